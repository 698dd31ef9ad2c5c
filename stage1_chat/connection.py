"""The socket of one connection, with its reader thread and its writer thread.

Why two threads? With one, two nodes that send to each other at the same time could both wait
in `sendall` until the other one reads. Here the reader always reads. And a peer that reads
slowly holds up nobody: its outbox grows until `BufferedConnection.send` drops it.

Why `shutdown()` and not `close()`? `close()` does not wake a thread that blocks in `recv` or
`accept`; `shutdown()` does. So a connection ends in steps. The writer writes what is left and
shuts down its half. The reader reads until the peer has done the same. Then the socket is
closed. To close it at once would throw away what the peer has not read yet, above all the
reason why the connection ends.
"""

import socket
import threading
from contextlib import suppress
from functools import partial

from common.buffered import BufferedConnection
from common.framing import Splitter
from common.threads import start_thread, start_writer
from stage1_chat.limits import RECEIVE_BYTES


class SocketWire:
    """What moves the bytes of a connection (`common.buffered.Wire`): here, through a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reader: threading.Thread | None = None
        self._writer: threading.Thread

    def start(self, connection: BufferedConnection) -> None:
        """Begin to read and to write; OSError if the system has no threads left."""
        self._writer = start_writer(f"writer {connection.remote}", connection.outbox, self._socket.sendall,
                                    self._end_output)
        try:
            self._reader = start_thread(f"reader {connection.remote}", partial(self._read, connection))
        except OSError:
            connection.outbox.close()  # the writer thread is already running, and would wait forever
            raise

    def _read(self, connection: BufferedConnection) -> None:
        """The reader thread."""
        splitter = Splitter()
        try:
            while data := self._socket.recv(RECEIVE_BYTES):
                if connection.is_open:
                    frames, error = splitter.feed(data)
                    afterwards = partial(connection.node.on_bad_bytes, connection, error) if error else None
                    connection.batches.add(connection, len(data), frames, afterwards)
                else:
                    splitter = Splitter()  # the node is done with it: read on only until the peer ends, too
        except OSError:
            pass  # reset by the peer, or shut down by us: the end, in any case
        if connection.is_open:
            connection.batches.add(connection, 0, [], connection.close)  # in its turn, after the frames before it
        self._writer.join()
        self._socket.close()
        connection.on_down()

    # --- the end --------------------------------------------------------------------------------

    def wait_until_down(self, seconds: float) -> None:
        """Wait until the peer has read what was sent and has closed its side, too; for at most `seconds`."""
        if self._reader is not None:
            self._reader.join(seconds)

    def abort(self) -> None:
        """Give up what is still to be written or read."""
        self._shut_down(socket.SHUT_RDWR)  # not close(): the reader may wait in recv

    def _end_output(self) -> None:
        if self._reader is not None:  # without a reader it was never opened, and `Openings` still sends the reason
            self._shut_down(socket.SHUT_WR)

    def _shut_down(self, how: int) -> None:
        with suppress(OSError):  # it is down already
            self._socket.shutdown(how)
