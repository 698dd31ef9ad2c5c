"""Whose turn it is with the node's thread.

What waits stands in two lines: what comes of connections that this node has opened, of its user and of its own
threads, and what comes of strangers, who may be many. While both lines have something, strangers get a sixth as
much processor time as the others, that of their reader threads included: deficit round robin (Shreedhar and Varghese,
1995), with seconds in the place of bytes.
"""

import math
import queue
from collections import deque
from collections.abc import Callable
from typing import Any

from common.limits import LARGE_BYTES, LAST_SECONDS, MAX_CREDIT, MAX_DEBT, OWN_SHARE, PACE_SECONDS

Item = tuple[Callable[..., None], tuple[Any, ...], float]
"""What is to be called, with which arguments, and the seconds that another thread has spent on it."""


class Line:
    """What waits for its turn, and what stands back until nothing else waits."""

    def __init__(self) -> None:
        self.waiting: deque[Item] = deque()
        self.postponed: deque[Item] = deque()
        self.postponed_since = 0.0
        """Since when nothing of `postponed` has been done, in seconds."""

    def is_overdue(self, now: float) -> bool:
        """Has one of those that stand back for all others waited for a second?"""
        return bool(self.postponed) and now > self.postponed_since + LAST_SECONDS

    def take(self, now: float) -> Item:
        """The next one."""
        if self.waiting and not self.is_overdue(now):
            return self.waiting.popleft()
        self.postponed_since = now
        return self.postponed.popleft()


class Turns:
    """What waits for one thread. Any thread may `put`; the rest is for that thread alone."""

    def __init__(self, now: Callable[[], float], spent: Callable[[], float]) -> None:
        """`now` gives the time in seconds, `spent` the processor time that the thread has taken. What the thread waits
        for the interpreter, which readers of strangers may hold, counts for nobody."""
        self._now = now
        self._spent = spent
        self._inbox: queue.SimpleQueue[tuple[bool, Item]] = queue.SimpleQueue()
        """What has come and is not in its line yet. It is the one place where threads meet."""
        self._own, self._strangers = Line(), Line()
        self._debt = 0.0
        """Seconds that strangers have had more than their share, counted while both wait."""

    def put(self, is_own: bool, handler: Callable[..., None], *arguments: Any, spent: float = 0.0) -> None:
        """Have `handler` called in its turn. `spent`: the processor time that it has cost already, in seconds."""
        self._inbox.put((is_own, (handler, arguments, spent)))

    def postpone(self, is_own: bool, handler: Callable[..., None], *arguments: Any) -> None:
        """Have `handler` called when nothing else in its line waits, or after a second. A stranger's waits for both
        lines."""
        line = self._own if is_own else self._strangers
        if not line.postponed:
            line.postponed_since = self._now()
        line.postponed.append((handler, arguments, 0.0))

    def forget(self, handler: Callable[..., None]) -> None:
        """Forget what `postpone` was asked for: there is nothing left to handle."""
        for line in (self._own, self._strangers):
            line.postponed = deque(item for item in line.postponed if item[0] != handler)

    @property
    def is_waiting(self) -> bool:
        """Does anything wait for its turn, apart from what stands back for all others?"""
        return bool(self._own.waiting or self._strangers.waiting) or not self._inbox.empty()

    @property
    def is_postponing(self) -> bool:
        """Does anything stand back for all others?"""
        return bool(self._own.postponed or self._strangers.postponed)

    def wait(self, timeout: float | None) -> bool:
        """Wait until there is something to do, at most `timeout` seconds if that is given; True if there is."""
        if not (self.is_postponing or self.is_waiting):
            try:
                self._stand_in_line(self._inbox.get(timeout=timeout))
            except queue.Empty:
                return False
        return True

    def do_next(self) -> None:
        """Do what is next, and count the time that it takes. Something must be waiting."""
        while not self._inbox.empty():
            self._stand_in_line(self._inbox.get_nowait())
        now = self._now()
        line = self._choose(now)
        handler, arguments, spent_before = line.take(now)
        begun = self._spent() - spent_before
        try:
            handler(*arguments)
        finally:
            self.charge(line is self._own, self._spent() - begun)

    def charge(self, is_own: bool, seconds: float) -> None:
        """Count so many seconds of the processor for one line, if the other one waits: a line that keeps nobody waiting
        owes nothing."""
        if (self._strangers if is_own else self._own).waiting:
            self._debt = min(MAX_DEBT, max(-MAX_CREDIT, self._debt + (-seconds / OWN_SHARE if is_own else seconds)))

    def _stand_in_line(self, came: tuple[bool, Item]) -> None:
        (self._own if came[0] else self._strangers).waiting.append(came[1])

    def _choose(self, now: float) -> Line:
        own, strangers = self._own, self._strangers
        if not (own.waiting or own.postponed):
            return strangers
        is_due = strangers.is_overdue(now) or (strangers.waiting and self._debt < 0)
        return strangers if is_due else own


class Pace:
    """How much has moved lately, in one direction of one connection. One thread adds, any may look."""

    def __init__(self) -> None:
        self._last = (0.0, 0.0)
        """How many bytes, and at what time in seconds. One value, since two threads may use it."""

    def add(self, count: int, now: float) -> None:
        """`count` bytes have moved. More than a mebibyte is never counted: what a peer's system takes in one piece says
        little about its line."""
        self._last = (min(LARGE_BYTES, self.at(now) + count), now)

    def at(self, now: float) -> float:
        """The bytes that have moved: those of a second ago count a third, those of two seconds ago a ninth."""
        moved, then = self._last
        return moved * math.exp((then - now) / PACE_SECONDS)
