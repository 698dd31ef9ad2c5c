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
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from common.buffered import BufferedConnection, Listener
from common.fairness import Fairness
from common.framing import Splitter
from common.outbox import Outbox
from stage1_chat.limits import RECEIVE_BYTES


def start_thread(name: str, target: Callable[[], None]) -> threading.Thread:
    """Start a thread that does not keep the process alive; OSError (EAGAIN) if the system has none left."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "no more threads") from None
    return thread


def start_writer(name: str, outbox: Outbox, write: Callable[[bytes], None],
                 on_end: Callable[[], None]) -> threading.Thread:
    """Start the thread that writes what waits in an outbox, by `write`; OSError if the system has none left."""
    # Only the thread knows `write` and `on_end`. Otherwise a connection and its outbox would refer to each other, and
    # stay in memory until the garbage collector finds them: one small thing in the middle of each free mebibyte.
    def run() -> None:
        with suppress(OSError):  # the other side is gone; the reader finds out too, and tells the node
            for piece in outbox.pieces():
                write(piece)
        on_end()
        outbox.end()

    return start_thread(name, run)


class SocketConnection(BufferedConnection):
    """A connection on a real socket, with a reader thread and a writer thread."""

    def __init__(self, sock: socket.socket, dialled: str | None, node: Listener, fairness: Fairness,
                 on_collected: Callable[[BufferedConnection], None]) -> None:
        """`on_collected` is called when there is something to `hand_over`; OSError if it cannot be opened."""
        host, port = sock.getpeername()[:2]
        super().__init__(dialled, f"{host}:{port}", node, fairness, on_collected)
        self._socket = sock
        self._reader: threading.Thread | None = None
        self._writer = start_writer(f"writer {self.remote}", self.outbox, sock.sendall, self._end_output)
        try:
            self._reader = start_thread(f"reader {self.remote}", self._read)
        except OSError:
            self.outbox.close()  # its writer is there already, and would wait for ever
            raise
        fairness.customers.add(self)

    def _read(self) -> None:
        """The reader thread."""
        splitter = Splitter()
        try:
            while data := self._socket.recv(RECEIVE_BYTES):
                if self.is_open:
                    frames, error = splitter.feed(data)
                    afterwards = partial(self.node.on_bad_bytes, self, error) if error else None
                    self.batches.add(self, len(data), frames, afterwards)
                else:
                    splitter = Splitter()  # the node has done with it: read on only until the peer has ended too
        except OSError:
            pass  # reset by the peer, or shut down by us: the end, in any case
        if self.is_open:
            self.batches.add(self, 0, [], self.close)  # after what it has said before
        self._writer.join()
        self._socket.close()
        self.on_down()

    # --- the end --------------------------------------------------------------------------------

    def wait_until_down(self, deadline: float) -> None:
        """Wait until the peer has read what was sent and said farewell, at most until `deadline` of the clock."""
        if self._reader is not None:
            self._reader.join(max(0.0, deadline - self.fairness.now()))

    def abort(self) -> None:
        """Give up what is still to be written or read."""
        self._shut_down(socket.SHUT_RDWR)

    def _end_output(self) -> None:
        if self._reader is not None:  # otherwise it has not come about, and the caller still gets an answer
            self._shut_down(socket.SHUT_WR)

    def _shut_down(self, how: int) -> None:
        with suppress(OSError):  # it is down already
            self._socket.shutdown(how)
