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
        """How long nothing is due; None if there is nothing at all."""
        return max(0.0, self._heap[0][0] - self._now()) if self._heap else None

    def pop_due(self, by: float) -> Callable[[], None] | None:
        """The next action that is due at this time in seconds, if there is one; it is not kept any longer."""
        return heapq.heappop(self._heap)[2] if self._heap and self._heap[0][0] <= by else None
