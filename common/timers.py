"""What is to be done later, in one thread."""

import heapq
import itertools
from collections.abc import Callable


class Timers:
    """Actions, each with the time when it is due."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` gives the time in seconds."""
        self._now = now
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        """Actions that are due at the same time keep their order."""

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` once, that much later."""
        heapq.heappush(self._heap, (self._now() + seconds, next(self._numbers), action))

    def seconds_to_next(self) -> float | None:
        """Seconds until the next action is due, 0 if it is overdue; None if there is none."""
        return max(0.0, self._heap[0][0] - self._now()) if self._heap else None

    def pop_due(self, by: float) -> Callable[[], None] | None:
        """Take out the next action that is due at time `by`, in seconds; None if none is."""
        return heapq.heappop(self._heap)[2] if self._heap and self._heap[0][0] <= by else None
