"""One connection on a socket: its reader thread, its writer thread, and what waits between them and the node.

Only a reader receives from a socket and only a writer sends to it, so two nodes that send
to each other at once cannot block each other, and a peer that reads slowly holds up nobody:
its outbox grows until it is dropped.

`close()` does not wake a thread that blocks in `recv` or `accept`; `shutdown()` does. Hence
the way that a connection ends: the writer writes what is left and shuts down its half; the
reader reads until the other side has done the same (closing at once would throw away what
the peer has not read yet, the reason for the closing before all); then the socket is closed.
"""

import errno
import queue
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from common.fairness import Batches, Fairness
from common.framing import FrameError, Splitter
from common.interface import Connection, State
from common.limits import FLUSH_SECONDS, LARGE_BYTES, MAX_OUTBOX, RECEIVE_BYTES, WRITE_BYTES
from common.turns import Pace


def start_thread(name: str, target: Callable[[], None]) -> None:
    """Start a thread that does not keep the process alive; OSError (EAGAIN) if the system has none left."""
    try:
        threading.Thread(target=target, name=name, daemon=True).start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "no more threads") from None


class Outbox:
    """What waits for one writer: collected by the node's thread, written by a thread of its own.

    The two byte counters have one writer each, so that no lock is needed to know how much waits.
    """

    def __init__(self, name: str, write: Callable[[bytes], None], on_end: Callable[[], None],
                 now: Callable[[], float]) -> None:
        """`write` is called with what waits, in pieces; `now` gives the time in seconds."""
        self._collected: list[bytes] = []
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._bytes_in = self._bytes_out = 0
        self.pace = Pace()
        """How much was written lately."""
        self.spent = 0.0
        """The processor time that the writer has taken, in seconds."""
        self.is_closed = False
        self.has_ended = threading.Event()
        # Only the thread knows them. Otherwise a connection and its outbox would refer to each other, and stay in
        # memory until the garbage collector finds them: one small thing in the middle of each free mebibyte.
        start_thread(name, lambda: self._run(write, on_end, now))

    @property
    def is_empty(self) -> bool:
        """Has nothing been collected since the last `hand_over`?"""
        return not self._collected

    @property
    def waiting(self) -> int:
        """Bytes that were collected and are not written yet."""
        return self._bytes_in - self._bytes_out

    def collect(self, data: bytes) -> None:
        """Keep `data` until `hand_over`."""
        self._collected.append(data)
        self._bytes_in += len(data)

    def forget_collected(self) -> None:
        """Do not write what was collected since the last `hand_over`."""
        self._bytes_in -= sum(map(len, self._collected))
        self._collected.clear()

    def hand_over(self) -> None:
        """Let the writer have all that was collected, in one piece."""
        if self._collected and not self.is_closed and not self.has_ended.is_set():
            self._queue.put(b"".join(self._collected))
        self._collected.clear()

    def close(self) -> None:
        """Let the writer write what waits, and end."""
        self.hand_over()
        if not self.is_closed:
            self.is_closed = True
            self._queue.put(None)

    def _run(self, write: Callable[[bytes], None], on_end: Callable[[], None], now: Callable[[], float]) -> None:
        try:
            while (data := self._queue.get()) is not None:
                for start in range(0, len(data), WRITE_BYTES):
                    piece = data[start:start + WRITE_BYTES]
                    write(piece)
                    self._bytes_out += len(piece)
                    if self.waiting > WRITE_BYTES:  # below that nobody asks
                        self.pace.add(len(piece), now())
                self.spent = time.thread_time()
        except OSError:
            pass  # the other side is gone; the reader finds out too, and tells the node
        on_end()
        self.has_ended.set()
        # Megabytes may wait here, and something may refer to this connection for long: let go of them now.
        self._queue = queue.SimpleQueue()


class Listener(Protocol):
    """What a connection tells the node, in the node's thread."""

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """A frame has come."""

    def on_bad_bytes(self, connection: Connection, error: FrameError) -> None:
        """What has come after the last frame is not the beginning of one."""

    def on_close(self, connection: Connection) -> None:
        """It has ended."""

    def report_error(self, code: str, reason: str) -> None:
        """Tell the user."""


class SocketConnection(Connection):
    """A connection on a real socket, with a reader thread and a writer thread."""

    def __init__(self, sock: socket.socket, dialled: str | None, node: Listener, fairness: Fairness,
                 on_collected: Callable[["SocketConnection"], None]) -> None:
        """`on_collected` is called when there is something to `hand_over`; OSError if it cannot be opened."""
        host, port = sock.getpeername()[:2]
        super().__init__(dialled, f"{host}:{port}", fairness.now())
        self._socket = sock
        self._node = node
        self._fairness = fairness
        self._on_collected = on_collected
        self.batches = Batches(fairness, node.on_frame)
        self._writer_spent = 0.0
        """The processor time of the writer that has been counted, in seconds."""
        self._is_down = threading.Event()
        """Is the socket closed?"""
        self._has_reader = False
        self._outbox = Outbox(f"writer {self.remote}", sock.sendall, self._end_output, fairness.now)
        try:
            start_thread(f"reader {self.remote}", self._read)
        except OSError:
            self._outbox.close()  # its writer is there already, and would wait for ever
            raise
        self._has_reader = True
        fairness.customers.add(self)

    # --- out ------------------------------------------------------------------------------------

    @property
    def unwritten(self) -> int:
        """Bytes that wait for the peer to read."""
        return 0 if self.state is State.ENDED or self._outbox.has_ended.is_set() else self._outbox.waiting

    @property
    def write_pace(self) -> float:
        """The bytes that the peer took lately."""
        return self._outbox.pace.at(self._fairness.now())

    def send(self, frame: bytes) -> None:
        """Collect `frame` for the writer. Too much that waits ends the connection (contract §2)."""
        if self.is_open:
            if self._outbox.is_empty:
                self._on_collected(self)
            self._outbox.collect(frame)
            if self.unwritten > MAX_OUTBOX:
                self.drop(f"reads too slowly, more than {MAX_OUTBOX} bytes wait for it")

    def forget_collected(self) -> None:
        """Do not send what the last handler sent."""
        self._outbox.forget_collected()

    def hand_over(self) -> float:
        """Let the writer have what handlers have sent, and end if they have closed: it has a while to write.

        What waits in large amounts is counted, and leaves memory to be given back. The result is the processor time
        that the writer has taken since the last time, in seconds.
        """
        if self.is_open:
            self._outbox.hand_over()
        elif not self._outbox.is_closed:
            self._outbox.close()
            self._fairness.after(FLUSH_SECONDS, self._abort)
        if self.unwritten > LARGE_BYTES:
            self._fairness.count_unwritten()
        before, self._writer_spent = self._writer_spent, self._outbox.spent
        return self._writer_spent - before

    # --- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what waits, say farewell, close. For the node the connection is closed at once."""
        if self.is_open:
            self.state = State.LEAVING
            self.batches.close()
            self._on_collected(self)
            self._fairness.turns.put(self.is_own, self._node.on_close, self)
            self._forget_if_down()

    def drop(self, reason: str) -> None:
        """Close without writing what waits: this connection takes more memory than it may."""
        self._node.report_error("BUSY", f"{self.remote}: {reason}")
        self.forget_collected()
        self.close()
        self.state = State.ENDED
        self._fairness.customers.discard(self)
        self._abort()

    def wait_until_down(self, deadline: float) -> None:
        """Wait until the peer has read what was sent and said farewell, at most until `deadline` of the clock."""
        self._is_down.wait(max(0.0, deadline - self._fairness.now()))

    def _forget_if_down(self) -> None:
        if self._is_down.is_set() and not self.is_open:
            self.state = State.ENDED
            self._fairness.customers.discard(self)

    def _abort(self) -> None:
        """Give up what is still to be written or read."""
        self._shut_down(socket.SHUT_RDWR)

    def _end_output(self) -> None:
        if self._has_reader:  # otherwise this connection has not come about, and the caller still gets an answer
            self._shut_down(socket.SHUT_WR)

    def _shut_down(self, how: int) -> None:
        try:
            self._socket.shutdown(how)
        except OSError:
            pass  # it is down already

    # --- in -------------------------------------------------------------------------------------

    @property
    def unhandled(self) -> int:
        """Bytes that were read and not handled yet."""
        return self.batches.unhandled if self.is_open else 0

    @property
    def read_pace(self) -> float:
        """The bytes that came lately."""
        return self.batches.pace.at(self._fairness.now())

    def _read(self) -> None:
        """The reader thread."""
        splitter = Splitter()
        try:
            while data := self._socket.recv(RECEIVE_BYTES):
                if self.is_open:
                    frames, error = splitter.feed(data)
                    afterwards = partial(self._node.on_bad_bytes, self, error) if error else None
                    self.batches.add(self, len(data), frames, afterwards)
                else:
                    splitter = Splitter()  # the node has done with it: read on only until the peer has ended too
        except OSError:
            pass  # reset by the peer, or shut down by us: the end, in any case
        if self.is_open:
            self.batches.add(self, 0, [], self.close)  # after what it has said before
        self._outbox.has_ended.wait()
        self._socket.close()
        self._is_down.set()
        self._fairness.turns.put(self.is_own, self._forget_if_down)
