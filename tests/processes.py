"""Real nodes over loopback: start one, type to it, read its events, be its peer.

    def test_greeting(launch):
        alice = launch(1, "--peer", "none")
        bob = launch(1, "--peer", alice.address)
        bob.type("hi")
        alice.wait_for("chat", text="hi")

`launch` is the fixture of tests/conftest.py: it ends every node that it started, shows
what each has reported last, and fails the test if one wrote to standard error.

Nothing here imports the project. A node is what answers to contract §4 on its command
line and to §1 and §2 on its socket, so the same tests grade nodes that others wrote.
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from tests.raw_peer import DEADLINE, LAST_SHOWN, Event, RawPeer, chat_message, frame, has_members

__all__ = ["DEADLINE", "ROOT", "STAGES", "Event", "NodeProcess", "RawPeer", "chat_message", "eventually", "frame",
           "unused_address"]

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the stages."""

STAGES = {1: "stage1_chat", 2: "stage2_ledger", 3: "stage3_signed", 4: "stage4_sequencer", 5: "stage5_pos"}
"""The module of each stage's client (contract §4)."""

def eventually(question: Callable[[], bool], timeout: float = DEADLINE,
               state: Callable[[], object] = lambda: "") -> None:
    """Ask until the answer is yes; AssertionError with `state()` when `timeout` seconds were not enough.

    The one place that polls: for states that nobody announces, such as a ledger that is asked for.
    """
    deadline = time.monotonic() + timeout
    while not question():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout:g} seconds: {state()}")
        time.sleep(0.02)


class NodeProcess:
    """One client, as a process of its own."""

    def __init__(self, stage: int, *options: str, env: dict[str, str] | None = None, as_json: bool = True,
                 through: Sequence[str] = ()) -> None:
        """Start the client of `stage` with `options`; `env` is added to this process's environment. `through` is a
        command that starts it, such as `ip netns exec`."""
        self.stage = stage
        self.lines: list[str] = []
        """What it has written to standard output so far."""
        self.events: list[Event] = []
        """The same as JSON, unless `as_json` is False."""
        self.errors: list[str] = []
        """What it has written to standard error so far."""
        self.may_complain = False
        """Set this where a line on standard error is expected; else the fixture takes it for a defect."""
        self._as_json = as_json
        self._news = threading.Condition()
        command = [*through, sys.executable, "-m", STAGES[stage], *(["--json"] if as_json else []), *options]
        self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self._readers = [threading.Thread(target=self._read, args=(stream, keep), daemon=True) for stream, keep in
                         ((self.process.stdout, self._keep_output), (self.process.stderr, self.errors.append))]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, keep: Callable[[str], None]) -> None:
        for line in stream:
            with self._news:
                keep(line.decode().removesuffix("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _keep_output(self, line: str) -> None:
        self.lines.append(line)
        if self._as_json:
            self.events.append(json.loads(line))

    # --- what it reports ------------------------------------------------------------------------

    def _wait(self, find: Callable[[], Any], wanted: str, timeout: float) -> Any:
        """Wait for an answer of `find` that is not None. No polling: the readers tell when a line has come."""
        deadline = time.monotonic() + timeout
        with self._news:
            while (found := find()) is None:
                left = deadline - time.monotonic()
                ended = not any(reader.is_alive() for reader in self._readers) and self.process.poll() is not None
                if left <= 0 or ended:
                    reason = f"ended with status {self.process.returncode}" if ended else f"{timeout:g} seconds passed"
                    raise AssertionError(f"no {wanted}: {reason}\n{self.describe()}")
                self._news.wait(min(left, 1.0))
        return found

    def wait_for(self, event: str, timeout: float = DEADLINE, since: int = 0, **members: Any) -> Event:
        """The first event of that name with these `members`, of those from number `since` on, once it has come."""
        def find() -> Event | None:
            return next((one for one in self.events[since:] if has_members(one, "event", event, members)), None)
        return dict(self._wait(find, f"event {event} {members}", timeout))

    def wait_for_line(self, text: str, timeout: float = DEADLINE) -> str:
        """The first line of standard output that contains `text`, once it has come."""
        return str(self._wait(lambda: next((line for line in self.lines if text in line), None), repr(text), timeout))

    def all_of(self, event: str, **members: Any) -> list[Event]:
        """All events of that name with these `members` that have come so far."""
        return [one for one in list(self.events) if has_members(one, "event", event, members)]

    def told(self, event: str, **members: Any) -> list[Event]:
        """The same, once all has come that it has reported so far: a command's answer comes behind that."""
        self.ask("/peers", "peers")
        return self.all_of(event, **members)

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

    def describe(self) -> str:
        """What it has reported last, for a person who wonders why a test has failed."""
        status = "runs" if self.process.poll() is None else f"ended with status {self.process.returncode}"
        last = [f"    {line[:300]}" for line in self.lines[-LAST_SHOWN:]]
        errors = [f"    standard error: {line[:300]}" for line in self.errors[-LAST_SHOWN:]]
        return "\n".join([f"  {' '.join(map(str, self.process.args[1:]))}  {status}", *last, *errors])  # type: ignore

    # --- what it is told ------------------------------------------------------------------------

    def type_bytes(self, data: bytes) -> None:
        """Write to its standard input."""
        self.stdin.write(data)
        self.stdin.flush()

    def type(self, line: str) -> None:
        """Type a line."""
        self.type_bytes(line.encode() + b"\n")

    def ask(self, command: str, event: str, timeout: float = DEADLINE, **members: Any) -> Event:
        """Type a command and give the event that answers it: the first one of that name that comes after."""
        since = len(self.events)
        self.type(command)
        return self.wait_for(event, timeout, since, **members)

    # --- its end --------------------------------------------------------------------------------

    def end_input(self) -> None:
        """Close its standard input, which ends it, unless it is a `--daemon`."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait_exit(self, timeout: float = DEADLINE) -> int:
        """Its exit status, once it has ended and all that it wrote has been read."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {timeout:g} seconds\n{self.describe()}") from None
        for reader in self._readers:
            reader.join(timeout)
        return self.process.returncode

    def stop(self) -> int:
        """End it in order (SIGTERM), and give its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait_exit()

    def kill(self) -> None:
        """End it without a farewell (SIGKILL); nothing happens if it has ended."""
        self.process.kill()
        self.process.wait()
        self.end_input()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it has taken (utime and stime of /proc)."""
        times = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_kib(self) -> int:
        """The memory that it takes, in KiB (VmRSS of /proc)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def unused_address() -> str:
    """An address on loopback where nobody listens right now.

    Below the ports that systems give to those who ask for any, so nobody else gets it by chance.
    """
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"


def nodes_of(pid: int) -> list[str]:
    """The processes that a process, whichever thread of it, has started and not waited for."""
    return [node for task in Path(f"/proc/{pid}/task").iterdir() for node in (task / "children").read_text().split()]
