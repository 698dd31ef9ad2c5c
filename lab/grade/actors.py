"""Who takes part in a criterion: nodes of the submission, our nodes, scripted peers. All they say is recorded."""

import contextlib
import json
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common.advice import describe_file_error
from lab.blackbox.node_process import NodeError, NodeProcess
from lab.blackbox.peer import Event, NoAnswer, RawPeer
from lab.grade.shortcomings import Shortcoming

LONGEST_NOTE = 4_000
"""The most characters of a note. The whole output of a node is in a file of its own."""
MOST_NOTES = 20_000
"""The most notes of a conversation."""


@dataclass
class Note:
    """One thing that was said."""

    at: float
    """Seconds since the criterion began."""
    source: str
    target: str
    kind: str
    """message, typed, output, started, signal, ended or closed."""
    text: str


@dataclass
class Conversation:
    """All that was said in a criterion, by whom, to whom and when."""

    began: float = field(default_factory=time.monotonic)
    notes: list[Note] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """The names of nodes, by their addresses."""
    is_over: bool = False
    """Has the criterion ended? Then nothing more is noted: how the grader ends nodes is not evidence."""

    def note(self, source: str, target: str, kind: str, what: object) -> None:
        """Note that something was said just now. After `MOST_NOTES` notes, everything is left out."""
        text = what if isinstance(what, str) else json.dumps(what, ensure_ascii=False)
        if len(self.notes) < MOST_NOTES and not self.is_over:
            self.notes.append(Note(round(time.monotonic() - self.began, 4), source, target, kind, text[:LONGEST_NOTE]))

    def name_of(self, address: str) -> str:
        """The name of the node at an address."""
        return self.names.get(address, address)

    def save(self, path: Path) -> None:
        """Write it, one JSON object a line."""
        lines = [json.dumps(asdict(note), ensure_ascii=False) for note in self.notes]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", errors="replace")


class GradedNode(NodeProcess):
    """A node that is recorded: what it says goes into the conversation, and its output into files."""

    def __init__(self, name: str, conversation: Conversation, stage: int, *options: str, folder: Path, directory: Path,
                 command: Sequence[str], through: Sequence[str], environment: Mapping[str, str],
                 inherits: bool, as_json: bool, patience: float, most_output: float) -> None:
        self.patience, self.most_output = patience, most_output
        self.conversation, self.folder, self.label = conversation, folder, name
        self._cut = bytearray()
        self._errors_to = (folder / f"{name}.stderr").open("wb")
        conversation.note("grader", name, "started", " ".join([*command, *(["--json"] if as_json else []), *options]))
        try:
            super().__init__(stage, *options, folder=directory, command=command, through=through,
                             environment=environment, as_json=as_json, error_output=self._errors_to, own_session=True,
                             inherits=inherits)
        except OSError as error:
            self._errors_to.close()
            raise NodeError(f"{name} cannot be started: {describe_file_error(error)}") from None
        self.name = name

    def note_output(self, data: bytes) -> None:
        """Note each complete line."""
        first, *lines = data.split(b"\n")
        self._cut += first[:LONGEST_NOTE]
        for line in lines:
            whole, self._cut = bytes(self._cut), bytearray(line[:LONGEST_NOTE])
            self.conversation.note(self.label, "grader", "output", whole.decode(errors="replace"))

    def read_event(self, line: bytes) -> Event:
        """Parse a line of output. A member that the event lacks is the node's fault (see `Said`)."""
        return Said(super().read_event(line), f"the event {line[:200].decode(errors='replace')}")

    @property
    def address(self) -> str:
        """The address that it listens on, once it does."""
        address = super().address
        self.conversation.names[address] = self.label
        return address

    def type_bytes(self, data: bytes) -> None:
        """Write to its standard input; NodeError if it has ended."""
        self.conversation.note("grader", self.label, "typed", data[:LONGEST_NOTE].decode(errors="replace"))
        with LimitedWait(self, self.patience):
            super().type_bytes(data)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.conversation.note("grader", self.label, "signal", signal.Signals(number).name)
        super().signal(number)

    def end_input(self) -> None:
        """Close its standard input."""
        self.conversation.note("grader", self.label, "typed", "(end of input)")
        super().end_input()

    def wait_exit(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended; NodeError if that takes too long."""
        status = super().wait_exit(timeout)
        self.conversation.note(self.label, "grader", "ended", f"status {status}")
        return status

    def error_lines(self) -> list[str]:
        """The lines of its standard error so far."""
        return (self.folder / f"{self.label}.stderr").read_text("utf-8", errors="replace").splitlines()

    def kill(self) -> int:
        """End it by SIGKILL."""
        if self.process.poll() is None:
            self.conversation.note("grader", self.label, "signal", "SIGKILL")
        self.process.kill()
        return self.process.wait()

    def save_and_close(self) -> None:
        """Save its output, and close its files and pipes. All processes that it has started must be gone."""
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(self.patience)
        with contextlib.suppress(OSError, ValueError):
            self.stdin.close()
        self.stdout.close()
        self._errors_to.close()
        (self.folder / f"{self.label}.stdout").write_bytes(self.output)


class LimitedWait:
    """Kills a node that does not read its input. Otherwise writing to the full pipe would wait forever."""

    def __init__(self, node: NodeProcess, seconds: float) -> None:
        self._timer = threading.Timer(seconds, node.process.kill)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()


class GradedPeer(RawPeer):
    """A scripted peer that is recorded: what it says to the node, and what the node says to it."""

    def __init__(self, name: str, conversation: Conversation, address: Any, stage: int, network: str | None,
                 patience: float, **how: Any) -> None:
        self.patience, self.label, self.conversation = patience, name, conversation
        super().__init__(address, stage, network, **how)
        self.other = conversation.name_of(address) if isinstance(address, str) else "the node that has called"
        conversation.names[self.listen] = name

    def send_bytes(self, data: bytes) -> bool:
        """Send bytes as they are."""
        self.conversation.note(self.label, self.other, "message", _words(data))
        return super().send_bytes(data)

    def receive(self, timeout: float | None = None) -> Event | None:
        """The next message; None at the end of the stream."""
        message = super().receive(timeout)
        if message is None:
            self.conversation.note(self.other, self.label, "closed", "(end of the connection)")
            return None
        self.conversation.note(self.other, self.label, "message", message)
        return message

    def expect(self, kind: str, timeout: float | None = None, **members: Any) -> Event:
        """The next message of that type with these members; Shortcoming if it does not come."""
        wanted = f"the message `{kind}`" + (f" with {members}" if members else "")
        try:
            message = self.find(kind, timeout, **members)
        except NoAnswer:
            raise Shortcoming(wanted, f"it has not come; {self._came()}") from None
        if message is None:
            raise Shortcoming(wanted, f"the connection was closed before it came; {self._came()}")
        return message

    def barrier(self, timeout: float | None = None) -> list[Event]:
        """Ping, wait for the pong, and return what came before it."""
        try:
            return super().barrier(timeout)
        except OSError:
            raise Shortcoming("the answer to a ping", f"the connection was closed; {self._came()}") from None

    def expect_closed(self, with_error: str | None = None, timeout: float | None = None) -> list[Event]:
        """Read to the end of the stream. The last message must be `error` of that code; with None, no error."""
        wanted = f"`error` {with_error} and the end of the connection" if with_error else "the end of the connection"
        deadline = time.monotonic() + (self.patience if timeout is None else timeout)
        try:
            while self.receive(max(0.0, deadline - time.monotonic())) is not None:
                pass
        except NoAnswer:
            raise Shortcoming(wanted, f"the connection is still open; {self._came()}") from None
        codes = [message["code"] for message in self.received if message["type"] == "error"]
        if codes != ([with_error] if with_error else []):
            raise Shortcoming(wanted, f"the connection was closed, and the codes of the errors were {codes}")
        return self.received

    def find_all(self, kind: str) -> list[Event]:
        """All messages of that type that have come so far; Shortcoming if there are none."""
        self.barrier()
        found = [message for message in self.received if message["type"] == kind]
        if not found:
            raise Shortcoming(f"the message `{kind}`", f"it has not come; {self._came()}")
        return found

    def _came(self) -> str:
        return f"what came: {', '.join(message['type'] for message in self.received[-10:]) or 'nothing'}"

    def read_message(self, body: bytes) -> Event:
        """Parse the body of a frame. A member that the message lacks is the node's fault (see `Said`)."""
        return Said(super().read_message(body), f"the message {body[:200].decode(errors='replace')}")


def _words(data: bytes) -> str:
    """Bytes as text for people: the bodies of complete frames, one a line, and everything else in hex."""
    bodies = []
    while len(data) >= 4 and 0 < (length := int.from_bytes(data[:4], "big")) <= len(data) - 4:
        bodies.append(data[4:4 + min(length, LONGEST_NOTE)].decode(errors="backslashreplace"))
        data = data[4 + length:]
        if len(bodies) == 20 and data:
            return "\n".join([*bodies, f"and {len(data)} more bytes"])
    return "\n".join(bodies + ([f"bytes {data[:60].hex(' ')}{' …' if len(data) > 60 else ''}"] if data else []))


class Said(dict[str, Any]):
    """An event or a message. If a criterion reads a member that it lacks, the criterion fails and says so."""

    def __init__(self, members: Event, what: str) -> None:
        super().__init__(members)
        self._what = what

    def __missing__(self, name: str) -> Any:
        raise NodeError(f"{self._what} has no member `{name}`")
