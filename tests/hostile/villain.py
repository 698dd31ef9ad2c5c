"""Attacks on a real node, and what must hold meanwhile for everybody else.

    with Healthy(node):
        villain = Villain(node)
        villain.send(frames_of({"type": "get_peers"}) * 1_000)
        villain.barrier()

At the end of the `with`, the node must still run, must have written nothing to standard error, must have answered
each ping of a well-behaved peer within 2 s, and must use at most 64 MiB more than before. The measurements are
printed: pytest shows them when a test fails, and with -rP for every test.
"""

import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any, Self

import pytest

from common.encoding import canon, make_id
from lab.blackbox.peer import Peer, frames_of
from tests.fixtures import kept_key
from tests.processes import DEADLINE, Event, NodeProcess, chat_message, eventually, frame

MEBIBYTE = 2**20

MAX_ANSWER_SECONDS = 2.0
"""The longest time that a well-behaved peer may wait for the answer to a ping, whatever others do.

In seconds of the node's processor time. On an idle machine that is the same as by the clock; on a busy one the
clock may show five times as much.
"""

BUSY_MACHINE = 5

MAX_GROWTH_MIB = 64
"""How much a flood may permanently add to a node's memory, in MiB."""

MAX_PEAK_MIB = 192
"""How much memory a flood may take while it lasts, in MiB: a full outbox that is being written, as
much again that was collected for it, and the copy made when that is joined."""

PAUSE_SECONDS = 0.02
"""Seconds between two pings of the well-behaved peer."""

HOPELESS_SECONDS = MAX_ANSWER_SECONDS * BUSY_MACHINE
"""After this many seconds the well-behaved peer stops waiting for an answer: the test has clearly failed."""

LONG_SECONDS = 1_800
"""The most that one long test may take, in seconds."""


def quick_and_long(names: str, quick: Any, long: Any) -> pytest.MarkDecorator:
    """One test in two sizes: a quick one for `make test`, and the full one for `make test-long`.

    With two `names`, each size is a pair.
    """
    marks = [pytest.mark.long, pytest.mark.timeout(LONG_SECONDS)]
    sizes = [size if isinstance(size, tuple) else (size,) for size in (quick, long)]
    return pytest.mark.parametrize(names, [pytest.param(*sizes[0], id="quick"),
                                           pytest.param(*sizes[1], id="long", marks=marks)])


# --- peers ------------------------------------------------------------------------------------------

class Villain(Peer):
    """A peer that says what it is told, discards what it hears, and comes back when it is thrown out."""

    def __init__(self, node: NodeProcess, *, reads: bool = True, listen: str | None = None) -> None:
        """`reads=False`: it never receives anything. `listen` is the address that its hello announces; by default one
        of its own, where nobody answers."""
        self.node = node
        self.reads = reads
        self.connections = 0
        """How often it has connected."""
        self.bytes_received = 0
        self.is_closed = threading.Event()
        self._awaited, self._has_come = b"", threading.Event()
        super().__init__(node.address, node.stage, node.network, listen, 0 if reads else 4_096)

    def connect(self) -> None:
        """Connect, and say hello."""
        super().connect()
        self.is_closed = threading.Event()
        self.connections += 1
        if self.reads:
            threading.Thread(target=self._read, args=(self.socket, self.is_closed), daemon=True).start()
        self.send(frames_of(self.hello_message()))

    def _read(self, sock: socket.socket, is_closed: threading.Event) -> None:
        tail = b""
        with contextlib.suppress(OSError):
            sock.settimeout(None)
            while data := sock.recv(MEBIBYTE):
                self.bytes_received += len(data)
                tail += data
                if self._awaited and self._awaited in tail:
                    self._has_come.set()
                tail = tail[-64:]
        is_closed.set()
        if is_closed is self.is_closed:
            self._has_come.set()  # nobody needs to wait for an answer any longer

    def send(self, data: bytes) -> bool:
        """Send bytes as they are. False if the node ended the connection before all were sent."""
        return self.send_bytes(data) and not self.is_closed.is_set()

    def insist(self, data: bytes) -> None:
        """Send bytes, on a new connection if the node has ended the old one."""
        while not self.send(data):
            self.connect()

    def press(self, data: bytes, seconds: float) -> int:
        """Send the same bytes again and again for `seconds`, as fast as the node takes them. Return how many times."""
        deadline, rounds = time.monotonic() + seconds, 0
        alarm = threading.Timer(seconds, self.cut)
        alarm.start()
        while time.monotonic() < deadline:
            if self.send(data):
                rounds += 1
            else:
                self.connect()
        alarm.join()
        return rounds

    def barrier(self, timeout: float = DEADLINE) -> bool:
        """Ping, and wait until the node has handled what went before. False if it has ended the connection."""
        nonce = secrets.token_hex(16)
        self._awaited, self._has_come = nonce.encode(), threading.Event()
        self.send(frames_of({"type": "ping", "nonce": nonce}))
        assert self.is_closed.is_set() or self._has_come.wait(timeout), f"no answer to a ping in {timeout:g} seconds"
        return not self.is_closed.is_set()

    def close(self) -> None:
        """End the connection. What has not been read is lost."""
        self.cut()
        super().close()


class Healthy(Villain):
    """The well-behaved peer next to the villains: it pings all the time, and notes how long each answer takes."""

    def __init__(self, node: NodeProcess, *, growth_mib: int = MAX_GROWTH_MIB, peak_mib: int = MAX_PEAK_MIB) -> None:
        """The node may grow by `growth_mib` in the end, and by `peak_mib` meanwhile, whatever happens in the `with`."""
        super().__init__(node)
        self.growth_mib, self.peak_mib = growth_mib, peak_mib
        self.answers: list[tuple[float, float]] = []
        """How long each answer took: by the clock, and in the node's processor time, in seconds."""
        self._failure = ""
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ping, daemon=True)

    def _ping(self) -> None:
        while not self._is_over.wait(PAUSE_SECONDS) and not self._failure:
            start, computed = time.monotonic(), self.node.cpu_seconds
            try:
                if not self.barrier(HOPELESS_SECONDS):
                    self._failure = "the node has ended the connection of the peer that behaves"
            except AssertionError as error:
                self._failure = str(error)
            self.answers.append((time.monotonic() - start, self.node.cpu_seconds - computed))

    def __enter__(self) -> Self:
        assert self.barrier(), self.node.describe()
        self.node.may_complain = True  # `check` looks at standard error itself
        self.before_kib = self.node.resident_kib
        self._thread.start()
        return self

    def wait(self, seconds: float) -> None:
        """Go on for `seconds`, until an attack takes effect."""
        self._is_over.wait(seconds)

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()
        try:
            if error[0] is None:
                self.check()
        finally:
            print(self.describe())
            self.close()

    def check(self) -> None:
        """Raise AssertionError unless the node is as well as before."""
        assert self.node.process.poll() is None, self.node.describe()
        assert not self.node.errors, self.node.describe()
        assert not self._failure, self.describe() + self._failure
        slowest = max(max(clock / BUSY_MACHINE, computed) for clock, computed in self.answers)
        assert slowest < MAX_ANSWER_SECONDS, self.describe()
        eventually(lambda: self.growth < self.growth_mib, state=self.describe)  # once it has handled what it has read
        assert self.peak < self.peak_mib, self.describe()

    @property
    def growth(self) -> float:
        """How much more memory the node uses than before, in MiB."""
        return (self.node.resident_kib - self.before_kib) / 1024

    @property
    def peak(self) -> float:
        """How much more memory it used at its peak, in MiB."""
        return (self.node.peak_kib - self.before_kib) / 1024

    def describe(self) -> str:
        """The measurements, for a person who wonders why a test failed."""
        slowest = ", ".join(f"{clock:.2f} ({computed:.2f})" for clock, computed in sorted(self.answers)[:-6:-1])
        memory = ("the node has ended" if self.node.process.poll() is not None else
                  f"memory {self.growth:+.0f} MiB, {self.peak:+.0f} at its highest, before {self.before_kib // 1024}")
        return f"{len(self.answers)} pings, the slowest answers in s (of the processor): {slowest}; {memory}\n"


# --- messages ---------------------------------------------------------------------------------------

def padded(message: Event, size: int) -> bytes:
    """A frame of `size` bytes with one message and many spaces, which JSON allows."""
    return frame(json.dumps(message).encode().ljust(size - 4))


def chats(count: int, text: str) -> Iterable[bytes]:
    """Frames of chat messages, each new to everyone."""
    return (frames_of(chat_message(text)) for _ in range(count))


def random_ids(count: int, bucket: str = "") -> list[str]:
    """Ids that nobody has."""
    return [bucket + secrets.token_hex(32)[len(bucket):] for _ in range(count)]


def transaction(node: NodeProcess, sender: int = 1, receiver: int = 2, amount: int = 1, **changes: Any) -> Event:
    """A transaction that is new to everyone, between the accounts of two kept keys. In stage 2 accounts are names;
    from stage 3 on it is signed. `changes` are made after signing."""
    signed = node.stage > 2
    message: Event = {"type": "transaction", "nonce": secrets.token_hex(16),
                      "from": kept_key(sender).account if signed else f"account-{sender}",
                      "to": kept_key(receiver).account if signed else f"account-{receiver}", "amount": amount}
    if signed:
        message["signature"] = kept_key(sender).sign(transaction_bytes(node, message))
    return {**message, **changes}


def transaction_bytes(node: NodeProcess, message: Event) -> bytes:
    """The canonical bytes of a transaction (contract §1)."""
    return canon(["transaction", node.network, *(message[name] for name in ("nonce", "from", "to", "amount"))])


def transaction_id(node: NodeProcess, message: Event) -> str:
    """The id of a transaction."""
    return make_id(transaction_bytes(node, message))
