"""The node's thread, and what it exchanges with all others; sockets are in openings.py and connection.py.

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

Whose turn it is, and what all connections together may hold, is the business of common/fairness.py.
"""

import os
import queue
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from common.console import Console
from common.fairness import Fairness
from common.journal import JournalError
from common.limits import FLUSH_SECONDS, HAND_OVER_SECONDS, LINES_AHEAD, MAX_OUTBOX
from common.shortages import Shortages
from common.timers import Timers
from stage1_chat.connection import Outbox, SocketConnection, start_thread
from stage1_chat.node import ChatNode
from stage1_chat.openings import Openings

WORDS_SECONDS = 0.3
"""How long Tab waits for the node."""


class SocketNetwork:
    """The verbs of `common.interface.Network` on TCP, and the loop of the node's thread."""

    node: ChatNode

    def __init__(self, host: str, port: int, console: Console) -> None:
        """Listen on `host` and `port` (0: a free one); OSError if that cannot be."""
        self.random: random.Random = random.SystemRandom()
        self._openings = Openings(host, port, self)
        self.listening_port = self._openings.listening_port
        self._console = console
        self._printer = Outbox("printer", console.write, lambda: None, self.now)
        self._timers = Timers(self.now)
        self.fairness = Fairness(self.now, self.after)
        self.collecting: list[SocketConnection] = []
        """Connections that have something to hand over to their writers."""
        self.shortages = Shortages(self.now, lambda code, reason: self.node.report_error(code, reason))
        self._is_running = True
        self._lacks_storage = False
        self.status = 0
        """The exit status that the node has asked for."""

    # --- the node's thread ----------------------------------------------------------------------

    def start(self, node: ChatNode, peer: str | None) -> None:
        """Let the node join by `peer`, or found a network."""
        self.node = node
        self._openings.start()
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
        if self.fairness.turns.wait(self._timers.seconds_to_next()):
            self._do(self.fairness.turns.do_next)
            self._do_what_waits()
            self._hand_over()

    def stop_on_signals(self) -> None:
        """Let Ctrl-C (SIGINT) and SIGTERM end the node in order, and have the console hear when the node was stopped
        and goes on (SIGCONT). Called by the node's thread, the main one.

        The way of a signal: Python writes its number to a pipe at once, the thread "signals" reads it there and puts
        `stop` into the inbox, and `run` ends. A handler alone would not do: Python calls it when the main thread does
        something next, and that one may just be about to wait in the inbox for seconds.
        """
        def await_signal() -> None:
            while (number := os.read(signals, 1)[0]) not in (signal.SIGINT, signal.SIGTERM):
                if number == signal.SIGCONT:
                    self._console.on_continued()
            self.put(self.stop)

        signals, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            signal.signal(number, lambda *_: None)  # the pipe does it; by default the process would end
        start_thread("signals", await_signal)

    def put(self, handler: Callable[..., None], *arguments: Any) -> None:
        """Have the node's thread call `handler`: the way in for every other thread."""
        self.fairness.turns.put(True, handler, *arguments)

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
        while self._is_running and self.fairness.turns.is_waiting and self.now() < deadline:
            self._do(self.fairness.turns.do_next)

    def _hand_over(self) -> None:
        """Commit what the handlers have done, then let the writers have what they have sent."""
        try:
            if not self._lacks_storage:
                self.node.commit()
        except JournalError as error:
            self._end_for_lack_of_storage(error)
        for connection in self.collecting:
            self.fairness.turns.charge(connection.is_own, connection.hand_over())
        self.collecting.clear()
        self._printer.hand_over()

    def _end_for_lack_of_storage(self, error: JournalError) -> None:
        """Nothing may be told that cannot be kept: drop what was sent since the last commit, and end."""
        for connection in self.collecting:
            connection.forget_collected()
        self._printer.forget_collected()
        self._lacks_storage = True
        self.node.report_error("STORAGE", str(error))
        self.stop(status=1)

    def _run_timers(self) -> None:
        due = self.now()  # what becomes due after this waits for the inbox: a slow timer must not starve it
        while self._is_running and (action := self._timers.pop_due(due)):
            self._do(action)
            self._hand_over()

    def _end(self) -> None:
        self._openings.close()
        self.node.on_end()
        deadline = self.now() + FLUSH_SECONDS
        connections = [one for one in self.node.connections if isinstance(one, SocketConnection)]
        for connection in connections:
            connection.close()
            connection.hand_over()
        self._printer.close()
        for connection in connections:
            connection.wait_until_down(deadline)
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
        self._timers.after(seconds, action)

    def connect(self, address: str) -> None:
        """Try to connect; `on_open` or `on_dial_failed` of the node follows."""
        self._openings.call(address)

    def report(self, event: str, members: dict[str, Any], drawing: str | None = None) -> None:
        """Print an event. When the reader of our output has stopped reading, lines are lost, not the node."""
        if self._printer.waiting <= MAX_OUTBOX:
            self._printer.collect(self._console.render(event, members, drawing))

    def read_lines(self) -> None:
        """Begin to read standard input."""
        try:
            start_thread("standard input", self._read_lines)
        except OSError as error:
            self.shortages.on_error(error)
            self.stop(status=1)

    def stop(self, status: int = 0) -> None:
        """End the loop of `run` when the present handler is done."""
        self._is_running = False
        self.status = status

    # --- the other threads ----------------------------------------------------------------------

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
