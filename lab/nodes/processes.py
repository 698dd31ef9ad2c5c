"""Real nodes for the tools of the lab: started by the command line of contract §4, typed to, read, ended.

    with running_network(stage=3, count=10) as nodes:
        nodes[4].type("hi")
        nodes[9].wait_for("chat", text="hi")

Behind the `with` no process is left, whatever has happened inside. If this program is killed, the
nodes end by themselves, since their standard input ends. What a node writes to standard error is
not hidden: it goes where this program's own does.

Output is kept as bytes and read as JSON only when somebody asks for an event, so that a thousand
events a second cost the watcher next to nothing.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Self

from stage2_ledger.limits import RING_LINKS

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the stages."""

STAGES = {1: "stage1_chat", 2: "stage2_ledger", 3: "stage3_signed", 4: "stage4_sequencer", 5: "stage5_pos"}
"""The module of each stage's client (contract §4)."""

START_SECONDS = 60.0
"""Time for a node to start, to join and to be linked, on a machine that is busy with other work."""

ANSWER_SECONDS = 60.0
"""Time for a node to answer a command. It handles first what has come before."""

END_SECONDS = 10.0
"""Time for a node to end in order before it is killed."""

POLL_SECONDS = 0.1
"""Pause between two questions about something that no event announces."""

READ_BYTES = 1024 * 1024

Event = dict[str, Any]
"""One line of a node's output (contract §4)."""


class NodeError(Exception):
    """A node has not done what was expected of it. The message is one line for the user."""


class NodeProcess:
    """One client, as a process of its own."""

    def __init__(self, stage: int, *options: str, environment: dict[str, str] | None = None, evil: str = "",
                 errors: IO[bytes] | None = None) -> None:
        """Start the client of `stage` with `options`; `environment` is added to this process's own.

        `evil` names an attacker of lab/adversaries/ to start in its place. `errors` is where standard error goes, if
        not where this program's own does.
        """
        self.events: list[Event] = []
        """What it has reported, as far as somebody has asked for events."""
        self.read_at = time.monotonic()
        """When its last output came, in seconds of the monotonic clock."""
        self._output = bytearray()
        self._parsed = 0
        self._is_finished = False
        self._news = threading.Condition()
        program = ["lab.adversaries.evil", evil, str(stage)] if evil else [STAGES[stage]]
        # A session of its own: Ctrl-C in a terminal ends this program, which then ends the nodes in order.
        self._process = subprocess.Popen(
            [sys.executable, "-m", *program, "--json", *options], cwd=ROOT, start_new_session=True,
            env={**os.environ, **(environment or {})}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self.pid = self._process.pid
        self.name = f"node {self.pid} ({' '.join([*program, *options])})"
        """What to call it when something is wrong with it."""
        self._reader = threading.Thread(target=self._read, name=f"reader of {self.pid}", daemon=True)
        self._reader.start()

    # --- what it reports ------------------------------------------------------------------------

    def _read(self) -> None:
        while data := os.read(self._stdout.fileno(), READ_BYTES):
            with self._news:
                self._output += data
                self.read_at = time.monotonic()
                self._news.notify_all()
        with self._news:
            self._is_finished = True
            self._news.notify_all()

    def _wait_for_news(self, wanted: str, deadline: float) -> None:
        """Wait for more output; NodeError if there will be none. Called with `_news` held."""
        if self._is_finished:
            raise NodeError(f"{self.name} ended with status {self._process.wait()}, expected {wanted}")
        left = deadline - time.monotonic()
        if left <= 0:
            raise NodeError(f"{self.name} has not reported {wanted} in time")
        self._news.wait(left)

    def _parse(self) -> None:
        end = self._output.rfind(b"\n") + 1
        self.events += map(json.loads, self._output[self._parsed:end].splitlines())
        self._parsed = end

    def wait_for(self, event: str, timeout: float = ANSWER_SECONDS, since: int = 0, **members: Any) -> Event:
        """The first event of that name with these `members`, of those from number `since` on.

        NodeError if it has not come in `timeout` seconds, or the node ends.
        """
        wanted = {"event": event, **members}
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                self._parse()
                for candidate in self.events[since:]:
                    if wanted == {name: candidate.get(name) for name in wanted}:
                        return candidate
                since = len(self.events)
                self._wait_for_news(f"the event {event}", deadline)

    def wait_for_text(self, text: bytes, times: int, timeout: float = ANSWER_SECONDS) -> float:
        """Wait until whole lines of the output hold `text` that often; when the last output came (monotonic).

        For events by the ten thousand, which it would take too long to read as JSON. NodeError as above.
        """
        deadline = time.monotonic() + timeout
        found = start = 0
        with self._news:
            while True:
                end = self._output.rfind(b"\n") + 1
                found += self._output.count(text, start, end)
                start = end
                if found >= times:
                    return self.read_at
                self._wait_for_news(f"{text.decode()} {times} times, only {found} times", deadline)

    def take(self) -> list[Event]:
        """The events that have come since the last call. They are forgotten here, so that a long life takes no room:
        `wait_for`, `output` and `events` begin anew."""
        with self._news:
            self._parse()
            taken, self.events = self.events, []
            del self._output[:self._parsed]
            self._parsed = 0
        return taken

    @property
    def has_ended(self) -> bool:
        """Has it closed its standard output, which it does by ending?"""
        with self._news:
            return self._is_finished

    @property
    def output(self) -> bytes:
        """All that it has written to standard output so far."""
        with self._news:
            return bytes(self._output)

    @property
    def address(self) -> str:
        """The address that it listens on, once it does."""
        return str(self.wait_for("listening", START_SECONDS)["address"])

    @property
    def network(self) -> str:
        """The name of its network, once it belongs to one."""
        return str(self.wait_for("listening", START_SECONDS)["network"])

    # --- what it is told ------------------------------------------------------------------------

    def type(self, lines: str) -> None:
        """Type one line, or several with line ends between them; NodeError if the node has ended."""
        try:
            self._stdin.write(lines.encode() + b"\n")
            self._stdin.flush()
        except (BrokenPipeError, ValueError):
            raise NodeError(f"{self.name} has ended, and can be told nothing") from None

    def ask(self, command: str, event: str, timeout: float = ANSWER_SECONDS) -> Event:
        """Type a command and give the event that answers it: the first of that name that comes after."""
        with self._news:
            self._parse()
            since = len(self.events)
        self.type(command)
        return self.wait_for(event, timeout, since)

    # --- its end --------------------------------------------------------------------------------

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def end_input(self) -> None:
        """Close its standard input, which ends it in order, unless it is a `--daemon`."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def wait_end(self, timeout: float = END_SECONDS) -> int:
        """Its exit status, once it has ended and its output has been read; it is killed if that takes too long."""
        try:
            self._process.wait(max(0.0, timeout))
        except subprocess.TimeoutExpired:
            self._process.kill()
        status = self._process.wait()
        self._reader.join()
        self._stdout.close()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end_all([self])


def end_all(nodes: Sequence[NodeProcess]) -> list[int]:
    """End all nodes in order and at once, kill those that do not go; their exit statuses."""
    deadline = time.monotonic() + END_SECONDS
    for node in nodes:
        node.send_signal(signal.SIGTERM)
    for node in nodes:
        node.end_input()
    return [node.wait_end(deadline - time.monotonic()) for node in nodes]


@contextlib.contextmanager
def running_network(stage: int, count: int, options: Callable[[int], list[str]] = lambda number: [],
                    environment: dict[str, str] | None = None) -> Iterator[list[NodeProcess]]:
    """Run `count` nodes of one network, all linked; `options(number)` are those of one node beside `--peer`.

    Node 0 founds the network, the others join by it. NodeError if that fails, or a node does not end well.
    """
    nodes: list[NodeProcess] = []
    try:
        for number in range(count):
            peer = nodes[0].address if nodes else "none"
            nodes.append(NodeProcess(stage, "--peer", peer, *options(number), environment=environment))
        for number, node in enumerate(nodes):
            # In stage 1 a node keeps one connection, to the peer that it joined.
            others = min(count - 1, RING_LINKS) if stage > 1 or number == 0 else 1
            wait_until_linked(node, others)
        yield nodes
    finally:
        statuses = end_all(nodes)
    for node, status in zip(nodes, statuses, strict=True):
        if status != 0:
            raise NodeError(f"{node.name} ended with status {status}, expected 0")


def wait_until_linked(node: NodeProcess, others: int) -> None:
    """Wait until `node` has as many connections as `others`; NodeError if it does not come to that."""
    deadline = time.monotonic() + START_SECONDS
    while (found := node.ask("/peers", "peers")["connections"]) < others:
        if time.monotonic() > deadline:
            raise NodeError(f"{node.name} has {found} connections, expected {others}")
        time.sleep(POLL_SECONDS)
