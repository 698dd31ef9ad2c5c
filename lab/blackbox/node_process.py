"""A node as a process: started with the command line of contract §4, typed to, read, ended.

    with NodeProcess(1, "--peer", "none", folder=folder) as node:
        node.type("hi")
        node.wait_for("chat", text="hi")

Output is kept as bytes, and parsed as JSON only when somebody asks for an event. So even a thousand events a second
take hardly any time of this process.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from lab.blackbox.peer import DEADLINE, LAST_SHOWN, Event, has_members

STAGES = {1: "stage1_chat", 2: "stage2_ledger", 3: "stage3_signed", 4: "stage4_sequencer", 5: "stage5_pos"}
"""The module of each stage's client (contract §4)."""

READ_BYTES = 1024 * 1024


class NodeError(AssertionError):
    """A node did not do what was expected of it. The message is one line for the user."""

    wanted = ""
    """What was waited for, if anything was."""


class NodeProcess:
    """One client, as a process of its own."""

    patience = DEADLINE
    """Seconds to wait for an event, unless the caller gives a timeout."""

    most_output: float = math.inf
    """The most bytes that it may write to standard output. If it writes more it is killed, to save our memory."""

    def __init__(self, stage: int, *options: str, folder: Path, program: Sequence[str] = (),
                 command: Sequence[str] = (), through: Sequence[str] = (), environment: Mapping[str, str] | None = None,
                 as_json: bool = True, error_output: IO[bytes] | int | None = subprocess.PIPE,
                 own_session: bool = False, inherits: bool = True) -> None:
        """Start the client of `stage` with `options`, in the folder that holds the stages.

        `program` names another Python module to start instead, with its first arguments; `command` is a client that is
        not a Python module, with its first arguments. `through` is a command that starts it, such as `ip netns exec`.
        `environment` is added to this process's own, if the node `inherits` that. `error_output` is where standard
        error goes: None means to this program's own, and a pipe is read into `errors`.
        """
        self.stage = stage
        self.errors: list[str] = []
        """The lines that it has written to standard error so far, if that is a pipe."""
        self.read_at = time.monotonic()
        """When its last output came, in seconds of the monotonic clock."""
        self._as_json = as_json
        self._events: list[Event] = []
        self._output = bytearray()
        self._parsed = 0
        self._is_finished = False
        self.is_flooding = False
        """Has it written more than `most_output`?"""
        self._news = threading.Condition()
        program = program or [STAGES[stage]]
        client = [*through, *(command or [sys.executable, "-m", *program])]
        self.process = subprocess.Popen([*client, *(["--json"] if as_json else []), *options], cwd=folder,
                                        env={**(os.environ if inherits else {}), **(environment or {})},
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=error_output,
                                        start_new_session=own_session)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.pid = self.process.pid
        self.name = f"node {self.pid} ({' '.join([*(command or program), *options])})"
        """Its name in error messages."""
        self._readers = [threading.Thread(target=self._read, name=f"reader of {self.pid}", daemon=True)]
        if self.process.stderr is not None:
            self._readers.append(threading.Thread(target=self._read_errors, args=(self.process.stderr,), daemon=True))
        for reader in self._readers:
            reader.start()

    # --- what it reports ------------------------------------------------------------------------

    def _read(self) -> None:
        while data := os.read(self.stdout.fileno(), READ_BYTES):
            with self._news:
                self._output += data
                self.read_at = time.monotonic()
                self._news.notify_all()
                self.note_output(data)
            if len(self._output) > self.most_output:
                self.is_flooding = True
                self.process.kill()
                break
        with self._news:
            self._is_finished = True
            self._news.notify_all()

    def _read_errors(self, stream: IO[bytes]) -> None:
        for line in stream:
            self.errors.append(line.decode(errors="replace").removesuffix("\n"))

    def note_output(self, data: bytes) -> None:
        """A hook, called with each new piece of standard output, by the thread that reads it."""

    def read_event(self, line: bytes) -> Event:
        """Parse a line of output; NodeError if it is not an event (contract §4)."""
        try:
            event: Event = json.loads(line)
        except (ValueError, RecursionError):
            event = {}
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            raise NodeError(f"{self.name} has written a line that is not a JSON object with a member `event`: "
                            f"{line[:300]!r}")
        return event

    def _wait_for_news(self, wanted: str, deadline: float) -> None:
        """Wait for more output. NodeError if there will be none. The caller holds `_news`."""
        left = max(0.0, deadline - time.monotonic())
        if self.is_flooding:
            raise self._explained(f"{self.name} has written more than {self.most_output / 2**20:g} MiB, and was ended",
                                  wanted)
        if self._is_finished:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self.process.wait(left)
                raise self._explained(f"{self.name} ended with status {status}, expected {wanted}", wanted)
        if self._is_finished or not left:
            raise self._explained(f"{self.name} has not reported {wanted} in time", wanted)
        self._news.wait(left)

    def _explained(self, message: str, wanted: str = "") -> NodeError:
        error = NodeError(message)
        error.wanted = wanted
        error.add_note(self.describe())
        return error

    @property
    def events(self) -> list[Event]:
        """What it has reported so far, unless `as_json` is False."""
        with self._news:
            end = self._output.rfind(b"\n") + 1
            if self._as_json:
                self._events += map(self.read_event, bytes(self._output[self._parsed:end]).splitlines())
            self._parsed = end
            return self._events

    @property
    def lines(self) -> list[str]:
        """The complete lines of its standard output so far, and once it has ended also an incomplete last one."""
        with self._news:
            *lines, rest = self._output.split(b"\n")
            return [line.decode() for line in ([*lines, rest] if rest and self._is_finished else lines)]

    def wait_for(self, event: str, timeout: float | None = None, since: int = 0, **members: Any) -> Event:
        """The first event of that name with these `members`, from event number `since` on.

        NodeError if it does not come within `timeout` seconds, or if the node ends.
        """
        wanted = f"the event {event}" + (f" {members}" if members else "")
        deadline = time.monotonic() + (self.patience if timeout is None else timeout)
        with self._news:
            while True:
                for candidate in self.events[since:]:
                    if has_members(candidate, "event", event, members):
                        return candidate
                since = max(since, len(self._events))
                self._wait_for_news(wanted, deadline)

    def wait_for_line(self, text: str, timeout: float | None = None) -> str:
        """The first line of standard output that contains `text`, once it has come. NodeError as above."""
        deadline = time.monotonic() + (self.patience if timeout is None else timeout)
        with self._news:
            while (found := next((line for line in self.lines if text in line), None)) is None:
                self._wait_for_news(f"a line with {text!r}", deadline)
        return found

    def wait_for_text(self, text: bytes, times: int, timeout: float | None = None) -> float:
        """Wait until complete lines of the output contain `text` this many times. Return when the last output came
        (monotonic clock).

        For tens of thousands of events, which would take too long to parse as JSON. NodeError as above.
        """
        deadline = time.monotonic() + (self.patience if timeout is None else timeout)
        found = start = 0
        with self._news:
            while True:
                end = self._output.rfind(b"\n") + 1
                found += self._output.count(text, start, end)
                start = end
                if found >= times:
                    return self.read_at
                self._wait_for_news(f"{text.decode()} {times} times ({found} so far)", deadline)

    def take(self) -> list[Event]:
        """The events that have come since the last call. Then they are forgotten, so that a long run does not fill the
        memory: `wait_for`, `output` and `events` start over."""
        with self._news:
            taken, self._events = self.events, []
            del self._output[:self._parsed]
            self._parsed = 0
        return taken

    def all_of(self, event: str, **members: Any) -> list[Event]:
        """All events of that name with these `members` that have come so far."""
        return [one for one in list(self.events) if has_members(one, "event", event, members)]

    def told(self, event: str, **members: Any) -> list[Event]:
        """The same, but first wait for all that it has reported by now: it answers a command only after that."""
        self.ask("/peers", "peers")
        return self.all_of(event, **members)

    @property
    def has_ended(self) -> bool:
        """Has it closed its standard output? It does so when it ends."""
        with self._news:
            return self._is_finished

    @property
    def output(self) -> bytes:
        """All that it has written to standard output so far."""
        with self._news:
            return bytes(self._output)

    @property
    def listening(self) -> Event:
        """The event `listening`, once it has come: address, stage, network, account."""
        return self.wait_for("listening")

    @property
    def address(self) -> str:
        """The address that it listens on, once it does."""
        return str(self.listening["address"])

    @property
    def network(self) -> str:
        """The name of its network, once it belongs to one."""
        return str(self.listening["network"])

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it has used (utime and stime of /proc)."""
        times = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_kib(self) -> int:
        """The memory that it uses, in KiB (VmRSS of /proc)."""
        return self._memory("VmRSS")

    @property
    def peak_kib(self) -> int:
        """The most memory that it has used so far, in KiB (VmHWM of /proc)."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])

    def describe(self) -> str:
        """Its last reports, for somebody who wants to know what went wrong."""
        status = "runs" if self.process.poll() is None else f"ended with status {self.process.returncode}"
        lines = self.output.rsplit(b"\n", LAST_SHOWN + 1)[-LAST_SHOWN - 1:]
        last = [f"    {line.decode(errors='replace')[:300]}" for line in lines if line]
        errors = [f"    standard error: {line[:300]}" for line in self.errors[-LAST_SHOWN:]]
        return "\n".join([f"  {self.name}  {status}", *last, *errors])

    # --- what is typed to it --------------------------------------------------------------------

    def type_bytes(self, data: bytes) -> None:
        """Write to its standard input; NodeError if it has ended."""
        try:
            self.stdin.write(data)
            self.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise NodeError(f"{self.name} has ended, and reads no more input") from None

    def type(self, lines: str) -> None:
        """Type one line, or several with line ends between them; NodeError if it has ended."""
        self.type_bytes(lines.encode() + b"\n")

    def ask(self, command: str, event: str, timeout: float | None = None, **members: Any) -> Event:
        """Type a command, and return the event that answers it: the first of that name that comes afterwards."""
        since = len(self.events)
        self.type(command)
        return self.wait_for(event, timeout, since, **members)

    # --- its end --------------------------------------------------------------------------------

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def end_input(self) -> None:
        """Close its standard input. Then it shuts down, unless it was started with `--daemon`."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()

    def wait_exit(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended and all its output has been read. NodeError if that takes too long."""
        patience = self.patience if timeout is None else timeout
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise self._explained(f"{self.name} still runs after {patience:g} seconds, expected its end",
                                  "its end") from None
        for reader in self._readers:
            reader.join(patience)
        return self.process.returncode

    def kill(self) -> int:
        """Kill it (SIGKILL), unless it has ended. Return its exit status once all its output has been read."""
        self.process.kill()
        status = self.process.wait()
        self.end_input()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
