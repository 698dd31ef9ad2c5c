"""The loop of the node's thread: whose turn it is, what is due, and when all that was sent is handed over.

No socket and no thread here: whoever calls `run_loop` is the node's thread, and others `put` what it has to do.

What handlers send is collected and handed to the writers when nothing more waits in the inbox, or after some
milliseconds: so a hundred messages wake each writer once. Before that the node commits, so nothing leaves it that a
crash could make untrue.
"""

import random
import time
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from common.buffered import BufferedConnection
from common.console import Console
from common.fairness import Fairness
from common.interface import Lines, Members
from common.journal import JournalError
from common.limits import HAND_OVER_SECONDS, MAX_OUTBOX
from common.outbox import Outbox
from common.shortages import Shortages
from common.timers import Timers


class Owner(Protocol):
    """The node, as far as the loop is concerned with it."""

    def commit(self) -> None:
        """Make what has happened outlast a crash."""

    def report_error(self, code: str, reason: str) -> None:
        """Tell the user."""


class Loop:
    """The verbs of `common.interface.Network` that need no socket, and the loop of the node's thread."""

    node: Owner

    def __init__(self, console: Console) -> None:
        self.random: random.Random = random.SystemRandom()
        self.console = console
        self.printer = Outbox(self.now)
        """What is to be printed."""
        self._timers = Timers(self.now)
        self.fairness = Fairness(self.now, self.after)
        self.collecting: list[BufferedConnection] = []
        """Connections that have something to hand over to their writers."""
        self.shortages = Shortages(self.now, lambda code, reason: self.node.report_error(code, reason))
        self._is_running = True
        self._lacks_storage = False
        self.status = 0
        """The exit status that the node has asked for."""

    def run_loop(self) -> None:
        """Be the node's thread, until `stop`."""
        while self._is_running:
            self._run_timers()
            if self._is_running:  # no timer has ended it
                self._handle_next()

    def put(self, handler: Callable[..., None], *arguments: Any) -> None:
        """Have the node's thread call `handler`: the way in for every other thread."""
        self.fairness.turns.put(True, handler, *arguments)

    def do(self, handler: Callable[..., None], *arguments: Any) -> None:
        """Call `handler`. Whatever goes wrong in it, the node goes on, except without storage."""
        try:
            handler(*arguments)
        except JournalError as error:
            self._end_for_lack_of_storage(error)
        except Exception:
            traceback.print_exc()  # a defect of this program must not end what it does for all the others

    def hand_over(self) -> None:
        """Commit what the handlers have done, then let the writers have what they have sent."""
        try:
            if not self._lacks_storage:
                self.node.commit()
        except JournalError as error:
            self._end_for_lack_of_storage(error)
        for connection in self.collecting:
            self.fairness.turns.charge(connection.is_own, connection.hand_over())
        self.collecting.clear()
        self.printer.hand_over()

    def _handle_next(self) -> None:
        """Wait for the next item, or for the next timer."""
        if self.fairness.turns.wait(self._timers.seconds_to_next()):
            self.do(self.fairness.turns.do_next)
            self._do_what_waits()
            self.hand_over()

    def _do_what_waits(self) -> None:
        """Under load, handle some more before anything is handed over: it wakes each writer once for all."""
        deadline = self.now() + HAND_OVER_SECONDS
        while self._is_running and self.fairness.turns.is_waiting and self.now() < deadline:
            self.do(self.fairness.turns.do_next)

    def _run_timers(self) -> None:
        due = self.now()  # what becomes due after this waits for the inbox: a slow timer must not starve it
        while self._is_running and (action := self._timers.pop_due(due)):
            self.do(action)
            self.hand_over()

    def _end_for_lack_of_storage(self, error: JournalError) -> None:
        """Nothing may be told that cannot be kept: drop what was sent since the last commit, and end."""
        for connection in self.collecting:
            connection.forget_collected()
        self.printer.forget_collected()
        self._lacks_storage = True
        self.node.report_error("STORAGE", str(error))
        self.stop(status=1)

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

    def report(self, event: str, members: Members, lines: Lines) -> None:
        """Print an event. When the reader of our output has stopped reading, lines are lost, not the node."""
        if self.printer.waiting <= MAX_OUTBOX:
            self.printer.collect(self.console.render(event, members, lines))

    def stop(self, status: int = 0) -> None:
        """End the loop when the present handler is done."""
        self._is_running = False
        self.status = status
