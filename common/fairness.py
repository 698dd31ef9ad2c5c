"""Fairness between connections: nobody can fill a node's memory, or keep it busy with openings. No socket here.

What all connections together hold is counted: above a bound, some are dropped: strangers that hold much first, and
among equals those that make the least progress. How each of them gets its turn is in turns.py.
"""

import time
from collections.abc import Callable
from typing import Protocol

from common.bounded import Allowance
from common.limits import MAX_INBOUND, MAX_OPENINGS, MAX_OUTBOXES, MAX_RECEIVED, OPENINGS_PER_SECOND, TIDY_SECONDS
from common.memory import tidy_memory
from common.turns import Turns


class Customer(Protocol):
    """A connection, as `Fairness` sees it."""

    @property
    def is_own(self) -> bool:
        """Has this node called it?"""

    @property
    def unhandled(self) -> int:
        """Bytes that were read and not handled yet."""

    @property
    def unwritten(self) -> int:
        """Bytes that wait for the peer to read."""

    @property
    def read_pace(self) -> float:
        """How many bytes came lately; older ones count less (`Pace`)."""

    @property
    def write_pace(self) -> float:
        """How many bytes were written lately; older ones count less (`Pace`)."""

    def drop(self, reason: str) -> None:
        """Close it without writing what waits."""


class Fairness:
    """What one node does so that its connections are served fairly, and hold a bounded amount of memory."""

    def __init__(self, now: Callable[[], float], after: Callable[[float, Callable[[], None]], None]) -> None:
        """`now` gives the time in seconds; `after` calls a function that many seconds later."""
        self.turns = Turns(now, time.thread_time)
        self.customers: set[Customer] = set()
        """All connections, from their opening until everything for them is written."""
        self.now = now
        self.after = after
        self._openings = Allowance(MAX_OPENINGS, OPENINGS_PER_SECOND)
        self.opening_later = 0
        """Connections that were accepted, and are opened a little later."""
        self._is_to_tidy = False

    def may_open(self, try_again: Callable[[], None]) -> bool:
        """May the node accept one more caller now? If too many have come lately, `try_again` is called a little
        later."""
        def later() -> None:
            self.opening_later -= 1
            try_again()

        if self._openings.take(self.now()):
            return True
        self.opening_later += 1
        self.after(1 / OPENINGS_PER_SECOND, later)
        return False

    def count_unhandled(self) -> None:
        """Drop connections if all together hold too many bytes that the node has not handled."""
        self._shed(MAX_RECEIVED, lambda one: one.unhandled, lambda one: one.read_pace)

    def count_unwritten(self) -> None:
        """Drop connections if too much waits for all peers together."""
        self._shed(MAX_OUTBOXES, lambda one: one.unwritten, lambda one: one.write_pace)
        self.tidy_later()

    def _shed(self, most: int, held_by: Callable[[Customer], int], pace_of: Callable[[Customer], float]) -> None:
        """While all connections together hold more than `most` bytes, drop one after the other.

        First go strangers that hold much, then strangers that hold too little to matter, and at the very end the
        connections that this node has opened itself. Among equals, those that make the least progress go first.
        """
        def rank(customer: Customer) -> tuple[bool, bool, float]:
            is_small = held_by(customer) < most // (2 * MAX_INBOUND)
            return customer.is_own, is_small, pace_of(customer)

        customers = sorted(self.customers, key=rank)
        held = sum(map(held_by, customers))
        for customer in customers:
            if held > most:
                held -= held_by(customer)
                customer.drop(f"all connections together hold more than {most} bytes, and this one gives way"
                              " first")

    def tidy_later(self) -> None:
        """Something large came or waits: tidy the memory after `TIDY_SECONDS`, once for everything until then."""
        def tidy() -> None:
            self._is_to_tidy = False
            tidy_memory()

        if not self._is_to_tidy:
            self._is_to_tidy = True
            self.after(TIDY_SECONDS, tidy)
