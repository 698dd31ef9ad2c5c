"""Every thread and every socket of the project; one connection's own are in connection.py.

    accept thread ────┐
    dial threads ─────┤                                              ┌──> writer thread ──> socket
    reader threads ───┼──> one inbox ──> the node's thread ──> outboxes
    standard input ───┤    (queue)       (and its timers)            └──> printer thread ──> standard output
    signals ──────────┘

One thread owns the node: it takes one item after the other from the inbox and
calls the node's method for it. Nobody else touches the node, so no stage needs
a lock.

What handlers send is collected and handed to the writers when nothing more waits in
the inbox, or after some milliseconds: so a hundred messages wake each writer once.

Everyone gets a turn: each connection has at most three items in the inbox, and when one takes
long, what is left of it goes to the end of its line. Strangers stand in one line, and the connections
that this node has opened in another, which gets more time (common/turns.py).
"""

import errno
import heapq
import itertools
import math
import os
import queue
import random
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from common.console import Console
from common.encoding import encode_frame, split_address
from common.journal import JournalError
from common.limits import (ACCEPTS_AHEAD, FLUSH_SECONDS, HAND_OVER_SECONDS, HELLO_SECONDS, LINES_AHEAD, MAX_INBOUND,
                           MAX_OPENINGS, MAX_OUTBOX, OPENINGS_PER_SECOND, SYSTEM_BYTES, TELL_AGAIN_SECONDS,
                           TIDY_SECONDS, TURN_AWAY_SECONDS, Allowance)
from common.turns import Turns
from stage1_chat.connection import Outbox, SocketConnection, start_thread
from stage1_chat.memory import tidy_memory
from stage1_chat.node import ChatNode

WORDS_SECONDS = 0.3
"""How long Tab waits for the node."""


SHORTAGES = {errno.EAGAIN: "threads", errno.EMFILE: "open files", errno.ENFILE: "open files",
             errno.ENOBUFS: "memory for sockets", errno.ENOMEM: "memory"}
"""What the system has run out of, by the number of the error that says so."""


class SocketNetwork:
    """The verbs of `common.interface.Network` on TCP, and the loop of the node's thread."""

    node: ChatNode

    def __init__(self, host: str, port: int, console: Console) -> None:
        """Listen on `host` and `port` (0: a free one); OSError if that cannot be."""
        self.random: random.Random = random.SystemRandom()
        self._listener = socket.create_server((host, port), backlog=MAX_INBOUND)
        self.listening_port: int = self._listener.getsockname()[1]
        self._console = console
        self._printer = Outbox("printer", console.write, lambda: None, self.now)
        self._turns = Turns(time.monotonic, time.thread_time)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_numbers = itertools.count()
        self._openings = Allowance(MAX_OPENINGS, OPENINGS_PER_SECOND)
        self._opening_later = 0
        """Connections that were accepted, and are opened a little later."""
        self._collecting: list[SocketConnection] = []
        self._leaving: set[SocketConnection] = set()
        """Connections that have closed, and still have a while to write what waits."""
        self._is_running = True
        self._lacks_storage = False
        self._told_shortages: dict[str, float] = {}
        """What the user was told that the system has run out of, and when."""
        self._is_to_tidy = False
        self.status = 0
        """The exit status that the node has asked for."""

    # --- the node's thread ----------------------------------------------------------------------

    def start(self, node: ChatNode, peer: str | None) -> None:
        """Let the node join by `peer`, or found a network."""
        self.node = node
        start_thread("accept", self._accept)
        self._do(node.start, peer)
        self._hand_over()

    def run(self) -> None:
        """Be the node's thread, until `stop`."""
        while self._is_running:
            self._run_timers()
            if self._is_running:  # no timer has ended it
                self._handle_next()
        self._end()

    def _handle_next(self) -> None:
        """Wait for the next item, or for the next timer."""
        if self._turns.wait(self._seconds_to_next_timer()):
            self._do(self._turns.do_next)
            self._do_what_waits()
            self._hand_over()

    def stop_on_signals(self) -> None:
        """Let Ctrl-C (SIGINT) and SIGTERM end the node in order. Called by the node's thread, the main one.

        Python would call a handler when that thread does something next, and it may just be about to wait in the
        inbox for seconds. The number of a signal that comes is written to a pipe at once.
        """
        signals, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        start_thread("signals", lambda: self._await_signal(signals))

    def put(self, handler: Callable[..., None], *arguments: Any) -> None:
        """Have the node's thread call `handler`; with `put_for`, the one way in for every other thread."""
        self._turns.put(True, handler, *arguments)

    def put_for(self, connection: SocketConnection | None, handler: Callable[..., None], *arguments: Any,
                spent: float = 0.0) -> None:
        """The same for a connection, or for one that is not there yet: whoever has called waits in the line of
        strangers. `spent`: the processor time that its reader has taken, in seconds."""
        self._turns.put(connection is not None and connection.is_own, handler, *arguments, spent=spent)

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
        while self._is_running and self._turns.is_waiting and self.now() < deadline:
            self._do(self._turns.do_next)

    def _hand_over(self) -> None:
        """Commit what the handlers have done, then let the writers have what they have sent."""
        try:
            if not self._lacks_storage:
                self.node.commit()
        except JournalError as error:
            self._end_for_lack_of_storage(error)
        for connection in self._collecting:
            self._turns.charge(connection.is_own, connection.hand_over())
        self._collecting.clear()
        self._printer.hand_over()

    def _end_for_lack_of_storage(self, error: JournalError) -> None:
        """Nothing may be told that cannot be kept: drop what was sent since the last commit, and end."""
        for connection in self._collecting:
            connection.drop_collected()
        self._printer.drop_collected()
        self._lacks_storage = True
        self.node.report_error("STORAGE", str(error))
        self.stop(status=1)

    def _run_timers(self) -> None:
        due = self.now()  # what becomes due after this waits for the inbox: a slow timer must not starve it
        while self._is_running and self._timers and self._timers[0][0] <= due:
            self._do(heapq.heappop(self._timers)[2])
            self._hand_over()

    def _seconds_to_next_timer(self) -> float | None:
        return max(0.0, self._timers[0][0] - self.now()) if self._timers else None

    def _end(self) -> None:
        self._listener.close()
        self.node.on_end()
        deadline = self.now() + FLUSH_SECONDS
        connections = self._connections()
        for connection in connections:
            connection.close()
            connection.hand_over()
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
        try:
            start_thread(f"dial {address}", lambda: self._dial(address))
        except OSError as error:
            # Not from within `connect`: what asked for the call may not be done.
            self.after(0, partial(self._on_dial_failed, address, error))

    def report(self, event: str, members: dict[str, Any], drawing: str | None = None) -> None:
        """Print an event. When the reader of our output has stopped reading, lines are lost, not the node."""
        if self._printer.waiting <= MAX_OUTBOX:
            self._printer.collect(self._console.render(event, members, drawing))

    def read_lines(self) -> None:
        """Begin to read standard input."""
        try:
            start_thread("standard input", self._read_lines)
        except OSError as error:
            self._tell_shortage(error)
            self.stop(status=1)

    def stop(self, status: int = 0) -> None:
        """End the loop of `run` when the present handler is done."""
        self._is_running = False
        self.status = status

    # --- what connections ask for ---------------------------------------------------------------

    def has_collected(self, connection: SocketConnection) -> None:
        """Remember that `connection` has something to hand over."""
        self._collecting.append(connection)

    def see_off(self, connection: SocketConnection) -> None:
        """Give a closed connection a while to write; what waits for it counts as before."""
        self._leaving.add(connection)
        self.after(FLUSH_SECONDS, lambda: self._end_leaving(connection))

    def _end_leaving(self, connection: SocketConnection) -> None:
        self._leaving.discard(connection)
        connection.abort()

    def put_last(self, connection: SocketConnection, handler: Callable[[], None]) -> None:
        """Call `handler` of a connection when nothing else waits."""
        self._turns.put_last(connection.is_own, handler)

    def drop_last(self, handler: Callable[[], None]) -> None:
        """Forget what `put_last` was asked for: there is nothing left to handle."""
        self._turns.drop_last(handler)

    def tidy_later(self) -> None:
        """Something large came or waits: give back what it leaves behind, in a while, once for all that comes."""
        def tidy() -> None:
            self._is_to_tidy = False
            tidy_memory()

        if not self._is_to_tidy:
            self._is_to_tidy = True
            self.after(TIDY_SECONDS, tidy)

    def shed(self, most: int, held_by: Callable[[SocketConnection], int],
             pace_of: Callable[[SocketConnection], float]) -> None:
        """While all connections together hold more than `most` bytes, close the one that makes least progress.

        Those that this node has opened come last, and before them those that hold too little to matter.
        """
        def rank(connection: SocketConnection) -> tuple[bool, bool, float]:
            is_small = held_by(connection) < most // (2 * MAX_INBOUND)
            return connection.is_own, is_small, pace_of(connection)

        connections = sorted({*self._connections(), *self._leaving}, key=rank)
        held = sum(map(held_by, connections))
        for connection in connections:
            if held > most:
                held -= held_by(connection)
                self._leaving.discard(connection)
                connection.give_up(f"all connections hold more than {most} bytes, and this one makes least progress")

    def _connections(self) -> list[SocketConnection]:
        return [one for one in self.node.connections if isinstance(one, SocketConnection) and one.is_open]

    # --- the other threads ----------------------------------------------------------------------

    def _accept(self) -> None:
        credit = threading.Semaphore(ACCEPTS_AHEAD)

        def welcome(sock: socket.socket) -> None:
            try:
                self._welcome(sock)
            finally:
                credit.release()

        while self._is_running:
            credit.acquire()
            try:
                self.put_for(None, welcome, self._listener.accept()[0])
            except OSError as error:
                # Out of file descriptors, or the caller has gone again. Wait, do not spin.
                if error.errno in SHORTAGES:
                    self.put_for(None, self._tell_shortage, error)
                credit.release()
                threading.Event().wait(0.1)

    def _dial(self, address: str) -> None:
        try:
            sock = socket.create_connection(split_address(address), timeout=HELLO_SECONDS)
            sock.settimeout(None)
            if sock.getsockname() == sock.getpeername():
                # On loopback a call to a free port can get that very port as its own, and reach itself.
                sock.close()
                raise ConnectionRefusedError("nobody listens there")
        except (OSError, UnicodeError) as error:
            self.put(self._on_dial_failed, address, error)
        else:
            self.put(self._open, sock, address)

    def _on_dial_failed(self, address: str, error: OSError | UnicodeError) -> None:
        if isinstance(error, OSError):
            self._tell_shortage(error)
        self.node.on_dial_failed(address, f"cannot connect: {getattr(error, 'strerror', None) or error}")

    def _tell_shortage(self, error: OSError) -> None:
        """Tell the user what the system has run out of: once, and not for each connection that fails."""
        lacking = SHORTAGES.get(error.errno or 0)
        if lacking and self.now() >= self._told_shortages.get(lacking, -math.inf) + TELL_AGAIN_SECONDS:
            self._told_shortages[lacking] = self.now()
            self.node.report_error("BUSY", f"the system gives this process no more {lacking} (ulimit -a shows how many"
                                           " it may have): no new connections until some have ended")

    def _open(self, sock: socket.socket, dialled: str | None) -> None:
        try:
            # The node's thread hands over whole batches: waiting for more to send would only cost time.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SYSTEM_BYTES)
            connection = SocketConnection(self, sock, dialled)
        except OSError as error:
            self._tell_shortage(error)
            if dialled is None and error.errno in SHORTAGES:
                self._turn_away(sock, f"no more {SHORTAGES[error.errno]}")
            else:
                sock.close()  # gone again already, or there are no threads for it
            if dialled is not None:
                self.node.on_dial_failed(dialled, "the connection was closed at once")
        else:
            self.node.on_open(connection)

    def _welcome(self, sock: socket.socket) -> None:
        inbound = sum(one.dialled is None and one.is_open for one in self.node.connections)
        if inbound + self._opening_later >= MAX_INBOUND and not self.node.make_room():
            self._turn_away(sock, f"{MAX_INBOUND} connections are open")
        elif self._openings.take(self.now()):
            self._open(sock, None)
        else:
            self._opening_later += 1
            self.after(1 / OPENINGS_PER_SECOND, lambda: self._welcome_again(sock))

    def _welcome_again(self, sock: socket.socket) -> None:
        self._opening_later -= 1
        self._welcome(sock)

    def _turn_away(self, sock: socket.socket, reason: str) -> None:
        try:
            sock.setblocking(False)
            sock.send(encode_frame({"type": "error", "code": "BUSY", "reason": reason}))
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it did not wait for the answer
        # Not at once: closing with bytes that nobody has read resets the connection, and the answer would be lost.
        self.after(TURN_AWAY_SECONDS, sock.close)

    def _await_signal(self, signals: int) -> None:
        while os.read(signals, 1)[0] not in (signal.SIGINT, signal.SIGTERM):
            pass
        self.put(self.stop)

    def _read_lines(self) -> None:
        credit = threading.Semaphore(LINES_AHEAD)

        def handle(line: str) -> None:
            try:
                self.node.on_line(line)
            finally:
                credit.release()

        with suppress(OSError):  # a terminal that is gone is the end of input
            for line in self._console.lines(self._ask_words):
                credit.acquire()
                self.put(handle, line)
        if not self._console.is_daemon:
            self.put(self.stop)

    def _ask_words(self) -> list[str]:
        """What Tab completes, from the node's thread; nothing if that is busy for long."""
        answer: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        self.put(lambda: answer.put(self.node.words()))
        with suppress(queue.Empty):
            return answer.get(timeout=WORDS_SECONDS)
        return []


def find_own_address() -> str:
    """The address by which other machines reach this one; 127.0.0.1 if there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nobody's address. A UDP connect sends nothing.
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
