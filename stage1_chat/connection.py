"""One connection on a socket: its reader thread, its writer thread, and what waits between them and the node.

Only a reader receives from a socket and only a writer sends to it, so two nodes that send
to each other at once cannot block each other, and a peer that reads slowly holds up nobody:
its outbox grows until it is closed.

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
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from common.framing import Splitter
from common.interface import Connection
from common.limits import (BATCHES_AHEAD, LARGE_BYTES, LONG_TURN_SECONDS, MAX_OUTBOX, MAX_OUTBOXES, MAX_RECEIVED,
                           RECEIVE_BYTES, TURN_SECONDS, WRITE_BYTES)
from common.turns import Pace

if TYPE_CHECKING:
    from stage1_chat.network import SocketNetwork


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
        self._is_closed = False
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

    def drop_collected(self) -> None:
        """Forget what was collected since the last `hand_over`."""
        self._bytes_in -= sum(map(len, self._collected))
        self._collected.clear()

    def hand_over(self) -> None:
        """Let the writer have all that was collected, in one piece."""
        if self._collected and not self._is_closed and not self.has_ended.is_set():
            self._queue.put(b"".join(self._collected))
        self._collected.clear()

    def close(self) -> None:
        """Let the writer write what waits, and end."""
        self.hand_over()
        if not self._is_closed:
            self._is_closed = True
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


class SocketConnection(Connection):
    """A connection on a real socket, with a reader thread and a writer thread."""

    def __init__(self, network: "SocketNetwork", sock: socket.socket, dialled: str | None) -> None:
        host, port = sock.getpeername()[:2]
        super().__init__(dialled, f"{host}:{port}", network.now())
        self._network = network
        self._socket = sock
        self._batches: deque[tuple[deque[bytes], Callable[[], None] | None]] = deque()
        """What was read and not handled yet: frames, and what is to be done after them."""
        self._bytes_read = self._bytes_handled = 0
        self._pace = Pace()
        """How much was read lately."""
        self._reader_spent = self._writer_spent = 0.0
        """The processor time of these threads that has been counted, in seconds."""
        self._is_costly = False
        """Has its last turn taken very long?"""
        self._is_leaving = False
        self._credit: queue.SimpleQueue[None] = queue.SimpleQueue()
        """One item for each batch that may still be put: a semaphore, but some microseconds faster than Python's."""
        for _ in range(BATCHES_AHEAD):
            self._credit.put(None)
        self._counted = threading.Semaphore(0)
        self._has_ended = threading.Event()
        self._has_reader = False
        self._outbox = Outbox(f"writer {self.remote}", sock.sendall, self._end_output, network.now)
        try:
            start_thread(f"reader {self.remote}", self._read)
        except OSError:
            self._outbox.close()  # its writer is there already, and would wait for ever
            raise
        self._has_reader = True

    # --- out ------------------------------------------------------------------------------------

    @property
    def unwritten(self) -> int:
        """Bytes that wait for the peer to read."""
        return 0 if self._outbox.has_ended.is_set() else self._outbox.waiting

    def send(self, frame: bytes) -> None:
        """Collect `frame` for the writer. Too much that waits ends the connection (contract §2)."""
        if self.is_open:
            if self._outbox.is_empty:
                self._network.has_collected(self)
            self._outbox.collect(frame)
            if self.unwritten > MAX_OUTBOX:
                self.give_up(f"reads too slowly, more than {MAX_OUTBOX} bytes wait for it")

    def drop_collected(self) -> None:
        """Do not send what the last handler sent."""
        self._outbox.drop_collected()

    def hand_over(self) -> float:
        """Let the writer have what handlers have sent, and end if they have closed: it has a while to write.

        What waits in large amounts is counted, and leaves memory to be given back. The result is the processor time
        that the writer has taken since the last time, in seconds.
        """
        if self.is_open:
            self._outbox.hand_over()
        elif not self._is_leaving:
            self._is_leaving = True
            self._outbox.close()
            self._network.see_off(self)
        if self.unwritten > LARGE_BYTES:
            now = self._network.now()
            self._network.shed(MAX_OUTBOXES, lambda one: one.unwritten, lambda one: one._outbox.pace.at(now))
            self._network.tidy_later()
        before, self._writer_spent = self._writer_spent, self._outbox.spent
        return self._writer_spent - before

    # --- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what waits, say farewell, close. For the node the connection is closed at once."""
        if self.is_open:
            self.is_open = False
            self._batches.clear()
            self._network.drop_last(self._take_turn)
            # Wake the reader if it waits for its turn, or for the count: it must read on, to the peer's farewell.
            self._credit.put(None)
            self._counted.release()
            self._network.has_collected(self)
            self._network.put_for(self, self._network.node.on_close, self)

    def give_up(self, reason: str) -> None:
        """Close without writing what waits: this connection takes more memory than it may."""
        self._network.node.report_error("BUSY", f"{self.remote}: {reason}")
        self.drop_collected()
        self.close()
        self.abort()

    def abort(self) -> None:
        """Give up what is still to be written or read."""
        self._shut_down(socket.SHUT_RDWR)

    def wait_until_ended(self, deadline: float) -> None:
        """Wait until the peer has read what was sent and said farewell, at most until `deadline` of the clock."""
        self._has_ended.wait(max(0.0, deadline - self._network.now()))

    def _end_output(self) -> None:
        if self._has_reader:  # else this connection has not come about, and the network has an answer for the caller
            self._shut_down(socket.SHUT_WR)

    def _shut_down(self, how: int) -> None:
        try:
            self._socket.shutdown(how)
        except OSError:
            pass  # it is down already

    # --- in -------------------------------------------------------------------------------------

    @property
    def unhandled(self) -> int:
        """Bytes that were read and not handled yet, those of an unfinished frame included."""
        return self._bytes_read - self._bytes_handled if self.is_open else 0

    def _read(self) -> None:
        splitter = Splitter()
        try:
            while data := self._socket.recv(RECEIVE_BYTES):
                if self.is_open:
                    held = self.unhandled
                    self._bytes_read += len(data)
                    frames, error = splitter.feed(data)
                    if not frames:  # the beginning of a large one
                        self._pace.add(len(data), self._network.now())
                    self._put(frames, partial(self._network.node.on_bad_bytes, self, error) if error else None)
                    if self.unhandled // LARGE_BYTES > held // LARGE_BYTES:
                        self._wait_until_counted()
                else:
                    splitter = Splitter()  # the node has done with it: read on only until the peer has ended too
        except OSError:
            pass  # reset by the peer, or shut down by us: the end, in any case
        if self.is_open:
            self._put([], self.close)  # after what it has said before
        self._outbox.has_ended.wait()
        self._socket.close()
        self._has_ended.set()

    def _put(self, frames: list[bytes], afterwards: Callable[[], None] | None) -> None:
        if frames or afterwards:
            self._credit.get()
            self._batches.append((deque(frames), afterwards))
            spent = time.thread_time()
            self._network.put_for(self, self._await_turn, spent=spent - self._reader_spent)
            self._reader_spent = spent

    def _wait_until_counted(self) -> None:
        """Read on when the node has counted what all connections hold: it may be busy for a second while 128 read."""
        self._network.put_for(self, self._count)
        self._counted.acquire()

    def _count(self) -> None:
        """Close connections if all together hold too much that the node has not handled."""
        try:
            now = self._network.now()
            self._network.shed(MAX_RECEIVED, lambda one: one.unhandled, lambda one: one._pace.at(now))
        finally:
            self._counted.release()

    def _await_turn(self) -> None:
        """Take the turn now; after a long one only when nobody else waits."""
        if self._is_costly and self.is_open:
            self._network.put_last(self, self._take_turn)
        else:
            self._take_turn()

    def _take_turn(self) -> None:
        """Have the node handle what one `recv` has brought, or as much of it as one turn allows."""
        if not self._batches:
            return  # it was closed before its turn came
        frames, afterwards = self._batches.popleft()
        begun = self._network.now()
        turn_ends = begun + TURN_SECONDS
        try:
            while frames and self.is_open and self._network.now() < turn_ends:
                frame = frames.popleft()
                self._bytes_handled += len(frame)
                self._network.node.on_frame(self, frame)
            if afterwards and not frames and self.is_open:
                afterwards()
        finally:
            if frames and self.is_open:
                self._batches.appendleft((frames, afterwards))
                self._network.put_for(self, self._await_turn)
            else:
                self._credit.put(None)
            self._is_costly = self._network.now() - begun > LONG_TURN_SECONDS
            if self._is_costly:
                self._network.tidy_later()
