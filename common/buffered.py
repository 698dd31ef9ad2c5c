"""A connection with its two queues: what was read and waits for the node, what was sent and waits for the writer.

The node never waits for a peer. A peer that reads too slowly is dropped: by `send` if too much waits for it alone, by
common/fairness.py if too much waits for all peers together.

There is no socket and no thread here. Those belong to the wire, which stage 1 brings: it calls `batches.add` for what
was read, takes `outbox.pieces` to write them, and calls `on_down` when the socket is closed.
"""

from collections.abc import Callable
from typing import Protocol

from common.fairness import Fairness
from common.framing import FrameError
from common.interface import Connection, State
from common.limits import FLUSH_SECONDS, LARGE_BYTES, MAX_OUTBOX
from common.outbox import Outbox
from common.turns import Batches


class Listener(Protocol):
    """What a connection tells the node, in the node's thread."""

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """A frame has come."""

    def on_bad_bytes(self, connection: Connection, error: FrameError) -> None:
        """The bytes after the last good frame do not start a frame."""

    def on_close(self, connection: Connection) -> None:
        """The connection has ended."""

    def report_error(self, code: str, reason: str) -> None:
        """Tell the user."""


class Wire(Protocol):
    """What moves the bytes of a connection."""

    def start(self, connection: "BufferedConnection") -> None:
        """Begin to read and to write; OSError if that fails."""

    def abort(self) -> None:
        """Give up what is still to be written or read."""

    def wait_until_down(self, seconds: float) -> None:
        """Wait until the peer has read what was sent and has closed its side, too; for at most `seconds`."""


class BufferedConnection(Connection):
    """A connection whose node never waits for it, and which holds a bounded amount of memory."""

    def __init__(self, dialled: str | None, remote: str, node: Listener, fairness: Fairness,
                 on_collected: Callable[["BufferedConnection"], None], wire: Wire) -> None:
        """`on_collected` is called when there is something to `hand_over`; OSError if the wire cannot start."""
        super().__init__(dialled, remote, fairness.now())
        self.node = node
        self.fairness = fairness
        self._on_collected = on_collected
        self.batches = Batches(fairness.turns, fairness.now, node.on_frame, fairness.count_unhandled,
                               fairness.tidy_later)
        self.outbox = Outbox(fairness.now)
        self._writer_spent = 0.0
        """The processor time of the writer that is counted already, in seconds."""
        self._is_down = False
        """Is the socket closed?"""
        self.wire = wire
        wire.start(self)
        fairness.customers.add(self)

    # --- out ------------------------------------------------------------------------------------

    @property
    def unwritten(self) -> int:
        """Bytes that wait for the peer to read."""
        return 0 if self.state is State.ENDED or self.outbox.has_ended else self.outbox.waiting

    @property
    def write_pace(self) -> float:
        """How many bytes the peer took lately; older ones count less (`Pace`)."""
        return self.outbox.pace.at(self.fairness.now())

    def send(self, frame: bytes) -> None:
        """Collect `frame` for the writer. If too many bytes wait, the connection is dropped (contract §2)."""
        if self.is_open:
            if self.outbox.is_empty:
                self._on_collected(self)
            self.outbox.collect(frame)
            if self.unwritten > MAX_OUTBOX:
                self.drop(f"reads too slowly, more than {MAX_OUTBOX} bytes wait for it")

    def forget_collected(self) -> None:
        """Discard what was collected since the last `hand_over`: it never leaves this node."""
        self.outbox.forget_collected()

    def hand_over(self) -> float:
        """Pass to the writer what the handlers have sent. If a handler has closed this connection, the writer gets
        `FLUSH_SECONDS` to write the rest.

        If a large amount waits, the node counts what all connections hold. The result is the processor time that the
        writer has taken since the last call, in seconds.
        """
        if self.is_open:
            self.outbox.hand_over()
        elif not self.outbox.is_closed:
            self.outbox.close()
            self.fairness.after(FLUSH_SECONDS, self.wire.abort)
        if self.unwritten > LARGE_BYTES:
            self.fairness.count_unwritten()
        before, self._writer_spent = self._writer_spent, self.outbox.spent
        return self._writer_spent - before

    # --- in -------------------------------------------------------------------------------------

    @property
    def unhandled(self) -> int:
        """Bytes that were read and not handled yet."""
        return self.batches.unhandled if self.is_open else 0

    @property
    def read_pace(self) -> float:
        """How many bytes came lately; older ones count less (`Pace`)."""
        return self.batches.pace.at(self.fairness.now())

    # --- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what waits, tell the peer that nothing more follows, close. The node sees it as closed at once."""
        if self.is_open:
            self.state = State.LEAVING
            self.batches.close()
            self._on_collected(self)
            self.fairness.turns.put(self.is_own, self.node.on_close, self)
            self._forget_if_down()

    def finish(self) -> None:
        """Close, and hand over at once: the writer writes what waits, shuts down this half of the socket, and ends."""
        self.close()
        self.hand_over()

    def drop(self, reason: str) -> None:
        """Close without writing what waits: this connection takes more memory than it may."""
        self.node.report_error("BUSY", f"{self.remote}: {reason}")
        self.forget_collected()
        self.close()
        self.state = State.ENDED
        self.fairness.customers.discard(self)
        self.wire.abort()

    def on_down(self) -> None:
        """The wire is closed. Called by its reader."""
        self._is_down = True
        self.fairness.turns.put(self.is_own, self._forget_if_down)

    def _forget_if_down(self) -> None:
        if self._is_down and not self.is_open:
            self.state = State.ENDED
            self.fairness.customers.discard(self)
