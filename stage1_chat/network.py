"""Every thread and every socket of the project.

    accept thread ────┐
    dial threads ─────┤                                              ┌──> writer thread ──> socket
    reader threads ───┼──> one inbox ──> the node's thread ──> outboxes
    standard input ───┘    (queue)       (and its timers)            └──> printer thread ──> standard output

One thread owns the node: it takes one item after the other from the inbox and
calls the node's method for it. Nobody else touches the node, so no stage needs
a lock. Only a reader receives from a socket and only a writer sends to it, so
two nodes that send to each other at once cannot block each other, and a peer
that reads slowly holds up nobody: its outbox grows until it is closed.

What handlers send is collected and handed to the writers when nothing more waits in
the inbox, or after some milliseconds: so a hundred messages wake each writer once.

`close()` does not wake a thread that blocks in `recv` or `accept`;
`shutdown()` does. Hence the way that a connection ends: the writer writes what
is left and shuts down its half; the reader reads until the other side has done
the same (closing at once would throw away what the peer has not read yet, the
reason for the closing before all); then the socket is closed.
"""

import heapq
import itertools
import queue
import random
import socket
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from common.console import Console
from common.encoding import encode_frame, split_address
from common.framing import FrameError, Splitter
from common.journal import JournalError
from common.limits import (BATCHES_AHEAD, FLUSH_SECONDS, HAND_OVER_SECONDS, HELLO_SECONDS,
                           LINES_AHEAD, MAX_INBOUND, MAX_OUTBOX, RECEIVE_BYTES)
from common.interface import Connection
from stage1_chat.node import ChatNode


def start_thread(name: str, target: Callable[[], None]) -> None:
    """Start a thread that does not keep the process alive."""
    threading.Thread(target=target, name=name, daemon=True).start()


class Outbox:
    """What waits for one writer: collected by the node's thread, written by a thread of its own.

    The two byte counters have one writer each, so that no lock is needed to know how much waits.
    """

    def __init__(self, name: str, write: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._write = write
        self._on_end = on_end
        self._collected: list[bytes] = []
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._bytes_in = self._bytes_out = 0
        self._is_closed = False
        self.has_ended = threading.Event()
        start_thread(name, self._run)

    @property
    def is_empty(self) -> bool:
        """Has nothing been collected since the last `hand_over`?"""
        return not self._collected

    @property
    def waiting(self) -> int:
        """Bytes that were handed over and are not written yet."""
        return self._bytes_in - self._bytes_out

    def collect(self, data: bytes) -> None:
        """Keep `data` until `hand_over`."""
        self._collected.append(data)

    def drop_collected(self) -> None:
        """Forget what was collected since the last `hand_over`."""
        self._collected.clear()

    def hand_over(self) -> None:
        """Let the writer have all that was collected, in one piece."""
        data = b"".join(self._collected)
        self._collected.clear()
        if data and not self._is_closed:
            self._bytes_in += len(data)
            self._queue.put(data)

    def close(self) -> None:
        """Let the writer write what waits, and end."""
        self.hand_over()
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)

    def _run(self) -> None:
        try:
            while (data := self._queue.get()) is not None:
                self._write(data)
                self._bytes_out += len(data)
        except OSError:
            pass  # the other side is gone; the reader finds out too, and tells the node
        self._on_end()
        self.has_ended.set()


class SocketConnection(Connection):
    """A connection on a real socket, with a reader thread and a writer thread."""

    def __init__(self, network: "SocketNetwork", sock: socket.socket, dialled: str | None) -> None:
        host, port = sock.getpeername()[:2]
        super().__init__(dialled, f"{host}:{port}", network.now())
        self._network = network
        self._socket = sock
        self._credit = threading.Semaphore(BATCHES_AHEAD)
        self._has_ended = threading.Event()
        self._outbox = Outbox(f"writer {self.remote}", sock.sendall, lambda: self._shut_down(socket.SHUT_WR))
        start_thread(f"reader {self.remote}", self._read)

    def send(self, frame: bytes) -> None:
        """Collect `frame` for the writer. Too much that waits ends the connection (contract §2)."""
        if self.is_open:
            if self._outbox.is_empty:
                self._network.has_collected(self)
            self._outbox.collect(frame)

    def drop_collected(self) -> None:
        """Do not send what the last handler sent."""
        self._outbox.drop_collected()

    def hand_over(self) -> None:
        """Let the writer have what the last handler sent."""
        self._outbox.hand_over()
        if self._outbox.waiting > MAX_OUTBOX and self.is_open:
            self._network.node.report_error("BUSY", f"{self.remote}: reads too slowly, {MAX_OUTBOX} bytes wait for it")
            self.close()
            self.abort()

    def close(self) -> None:
        """Write what waits, say farewell, close; at once as far as the node is concerned."""
        if self.is_open:
            self.is_open = False
            self._credit.release()  # a reader that waits for its turn shall read on, to the peer's farewell
            self._outbox.close()
            self._network.put(self._network.node.on_close, self)
            self._network.after(FLUSH_SECONDS, self.abort)

    def abort(self) -> None:
        """Give up what is still to be written or read."""
        self._shut_down(socket.SHUT_RDWR)

    def wait_until_ended(self, deadline: float) -> None:
        """Wait until the peer has read what was sent and said farewell, at most until `deadline` of the clock."""
        self._has_ended.wait(max(0.0, deadline - self._network.now()))

    def _shut_down(self, how: int) -> None:
        try:
            self._socket.shutdown(how)
        except OSError:
            pass  # it is down already

    def _read(self) -> None:
        splitter = Splitter()
        try:
            while data := self._socket.recv(RECEIVE_BYTES):
                if not self.is_open:
                    continue  # the node has done with it: read on only until the peer has ended too
                frames, error = splitter.feed(data)
                if frames or error:
                    self._credit.acquire()
                    self._network.put(self._deliver, frames, error)
        except OSError:
            pass  # reset by the peer, or shut down by us: the end, in any case
        self._network.put(self.close)
        self._outbox.has_ended.wait()
        self._socket.close()
        self._has_ended.set()

    def _deliver(self, frames: list[bytes], error: FrameError | None) -> None:
        try:
            if self.is_open:
                self._network.node.on_frames(self, frames, error)
        finally:
            self._credit.release()


class SocketNetwork:
    """The verbs of `common.interface.Network` on TCP, and the loop of the node's thread."""

    node: ChatNode

    def __init__(self, host: str, port: int, console: Console) -> None:
        """Listen on `host` and `port` (0: a free one); OSError if that cannot be."""
        self.random: random.Random = random.SystemRandom()
        self._listener = socket.create_server((host, port), backlog=MAX_INBOUND)
        self.listening_port: int = self._listener.getsockname()[1]
        self._console = console
        self._printer = Outbox("printer", console.write, lambda: None)
        self._inbox: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_numbers = itertools.count()
        self._collecting: list[SocketConnection] = []
        self._is_running = True
        self.status = 0
        """The exit status that the node has asked for."""

    # --- the node's thread ----------------------------------------------------------------------

    def run(self, node: ChatNode, peer: str | None) -> None:
        """Be the node's thread, until `stop`."""
        self.node = node
        start_thread("accept", self._accept)
        self._do(node.start, peer)
        self._hand_over()
        while self._is_running:
            self._run_timers()
            try:
                handler, *arguments = self._inbox.get(timeout=self._seconds_to_next_timer())
            except queue.Empty:
                continue
            self._do(handler, *arguments)
            self._do_what_waits()
            self._hand_over()
        self._end()

    def put(self, handler: Callable[..., None], *arguments: Any) -> None:
        """Have the node's thread call `handler`; the one way in for every other thread, and for signals."""
        self._inbox.put((handler, *arguments))

    def _do(self, handler: Callable[..., None], *arguments: Any) -> None:
        try:
            handler(*arguments)
        except JournalError as error:
            self._end_for_lack_of_storage(error)
        except Exception:
            traceback.print_exc()  # a defect of this program must not end what it does for all the others

    def _do_what_waits(self) -> None:
        """Under load, handle some more before anything is handed over: it wakes each writer once for all."""
        deadline = self.now() + HAND_OVER_SECONDS
        while self._is_running and not self._inbox.empty() and self.now() < deadline:
            handler, *arguments = self._inbox.get()
            self._do(handler, *arguments)

    def _hand_over(self) -> None:
        """Make last what the handlers have done, then let the writers have what they have said."""
        try:
            self.node.commit()
        except JournalError as error:
            self._end_for_lack_of_storage(error)
        for connection in self._collecting:
            connection.hand_over()
        self._collecting.clear()
        self._printer.hand_over()

    def _end_for_lack_of_storage(self, error: JournalError) -> None:
        """What cannot be kept must not be told: drop what was said since the last commit, and end."""
        for connection in self._collecting:
            connection.drop_collected()
        self._printer.drop_collected()
        if self._is_running:
            self.node.report_error("STORAGE", str(error))
            self.stop(status=1)

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self.now():
            self._do(heapq.heappop(self._timers)[2])
            self._hand_over()

    def _seconds_to_next_timer(self) -> float | None:
        return max(0.0, self._timers[0][0] - self.now()) if self._timers else None

    def _end(self) -> None:
        self._listener.close()
        deadline = self.now() + FLUSH_SECONDS
        connections = [one for one in self.node.connections if isinstance(one, SocketConnection)]
        for connection in connections:
            connection.close()
        self._printer.close()
        for connection in connections:
            connection.wait_until_ended(deadline)
        self._printer.has_ended.wait(FLUSH_SECONDS)

    # --- the verbs ------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    def unix_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` once, that much later."""
        heapq.heappush(self._timers, (self.now() + seconds, next(self._timer_numbers), action))

    def connect(self, address: str) -> None:
        """Try to connect, in a thread of its own: looking up a name and waiting for an answer take time."""
        start_thread(f"dial {address}", lambda: self._dial(address))

    def report(self, event: str, members: dict[str, Any], drawing: str | None = None) -> None:
        """Print an event. When the reader of our output has stopped reading, lines are lost, not the node."""
        if self._printer.waiting <= MAX_OUTBOX:
            self._printer.collect(self._console.render(event, members, drawing))

    def read_lines(self) -> None:
        """Begin to read standard input."""
        start_thread("standard input", self._read_lines)

    def stop(self, status: int = 0) -> None:
        """End the loop of `run` when the handler at work is done."""
        self._is_running = False
        self.status = status

    def has_collected(self, connection: SocketConnection) -> None:
        """Remember that `connection` has something to hand over."""
        self._collecting.append(connection)

    # --- the other threads ----------------------------------------------------------------------

    def _accept(self) -> None:
        while self._is_running:
            try:
                sock = self._listener.accept()[0]
            except OSError:
                # Out of file descriptors, or the caller has gone again. Wait, do not spin.
                threading.Event().wait(0.1)
                continue
            self.put(self._open, sock, None)

    def _dial(self, address: str) -> None:
        try:
            sock = socket.create_connection(split_address(address), timeout=HELLO_SECONDS)
            sock.settimeout(None)
            if sock.getsockname() == sock.getpeername():
                # On loopback a call to a free port can get that very port as its own, and reach itself.
                sock.close()
                raise ConnectionRefusedError("nobody listens there")
        except (OSError, UnicodeError) as error:
            self.put(self.node.on_dial_failed, address, f"cannot connect: {getattr(error, 'strerror', None) or error}")
        else:
            self.put(self._open, sock, address)

    def _open(self, sock: socket.socket, dialled: str | None) -> None:
        inbound = sum(connection.dialled is None for connection in self.node.connections)
        if dialled is None and inbound >= MAX_INBOUND:
            self._turn_away(sock)
            return
        try:
            # The node's thread hands over whole batches: waiting for more to send would only cost time.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = SocketConnection(self, sock, dialled)
        except OSError:
            sock.close()  # gone again already
            if dialled is not None:
                self.node.on_dial_failed(dialled, "the connection was closed at once")
        else:
            self.node.on_open(connection)

    def _turn_away(self, sock: socket.socket) -> None:
        try:
            sock.setblocking(False)
            sock.send(encode_frame({"type": "error", "code": "BUSY", "reason": f"{MAX_INBOUND} connections are open"}))
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it did not wait for the answer
        self.after(1.0, sock.close)

    def _read_lines(self) -> None:
        credit = threading.Semaphore(LINES_AHEAD)

        def handle(line: str) -> None:
            try:
                self.node.on_line(line)
            finally:
                credit.release()

        for line in self._console.lines():
            credit.acquire()
            self.put(handle, line)
        if not self._console.is_daemon:
            self.put(self.stop)


def find_own_address() -> str:
    """The address by which other machines reach this one; 127.0.0.1 if there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nobody's address. A UDP connect sends nothing.
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
