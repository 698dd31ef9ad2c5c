"""Fairness between the connections of a node: everyone is served, and nobody can fill its memory. No socket here.

The life of a batch, which is what one `recv` has brought, cut into frames:

    reader thread                                        the node's thread
    recv
     └─> Batches.add
           takes a free place: a connection has two,
           and while it has none its reader waits, so
           that TCP slows down the peer
           └─> Turns.put(Batches._queue_turn) ─────────> Turns.do_next
                                                          └─> Batches._queue_turn
                                                               was its last turn costly? Then its next one is postponed
                                                               until nothing else waits (Turns.postpone)
                                                               └─> Batches._take_turn
                                                                    handles frames for 10 ms;
                                                                    is anything left? Then Turns.put once more,
                                                                    otherwise the place is free again

Whose turn it is says turns.py. What all connections together hold is counted in `Fairness`: above a bound, those that
make least progress are dropped.
"""

import queue
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from common.bounded import Allowance
from common.limits import (BATCHES_AHEAD, LARGE_BYTES, LONG_TURN_SECONDS, MAX_INBOUND, MAX_OPENINGS, MAX_OUTBOXES,
                           MAX_RECEIVED, OPENINGS_PER_SECOND, TIDY_SECONDS, TURN_SECONDS)
from common.memory import tidy_memory
from common.turns import Pace, Turns


class Customer(Protocol):
    """A connection, as far as fairness is concerned with it."""

    @property
    def is_own(self) -> bool:
        """Has this node called it?"""

    @property
    def is_open(self) -> bool:
        """May it still bring something?"""

    @property
    def unhandled(self) -> int:
        """Bytes that were read and not handled yet."""

    @property
    def unwritten(self) -> int:
        """Bytes that wait for the peer to read."""

    @property
    def read_pace(self) -> float:
        """The bytes that came lately."""

    @property
    def write_pace(self) -> float:
        """The bytes that were written lately."""

    def drop(self, reason: str) -> None:
        """End it, without writing what waits."""


class Fairness:
    """What one node does so that its connections are served equally, and hold a bounded amount of memory."""

    def __init__(self, now: Callable[[], float], after: Callable[[float, Callable[[], None]], None]) -> None:
        """`now` gives the time in seconds; `after` calls something so many seconds later."""
        self.turns = Turns(now, time.thread_time)
        self.customers: set[Customer] = set()
        """All connections, from their opening until nothing of them is left to write."""
        self.now = now
        self.after = after
        self._openings = Allowance(MAX_OPENINGS, OPENINGS_PER_SECOND)
        self.opening_later = 0
        """Connections that were accepted, and are opened a little later."""
        self._is_to_tidy = False

    def may_open(self, try_again: Callable[[], None]) -> bool:
        """May a connection that somebody has opened be taken in now? If they are too many, `try_again` is called a
        little later."""
        def later() -> None:
            self.opening_later -= 1
            try_again()

        if self._openings.take(self.now()):
            return True
        self.opening_later += 1
        self.after(1 / OPENINGS_PER_SECOND, later)
        return False

    def count_unhandled(self) -> None:
        """Drop connections if all together hold too much that the node has not handled."""
        self._shed(MAX_RECEIVED, lambda one: one.unhandled, lambda one: one.read_pace)

    def count_unwritten(self) -> None:
        """Drop connections if too much waits for all peers together."""
        self._shed(MAX_OUTBOXES, lambda one: one.unwritten, lambda one: one.write_pace)
        self.tidy_later()

    def _shed(self, most: int, held_by: Callable[[Customer], int], pace_of: Callable[[Customer], float]) -> None:
        """While all connections together hold more than `most` bytes, drop the one that makes least progress.

        Those that this node has opened come last, and before them those that hold too little to matter.
        """
        def rank(customer: Customer) -> tuple[bool, bool, float]:
            is_small = held_by(customer) < most // (2 * MAX_INBOUND)
            return customer.is_own, is_small, pace_of(customer)

        customers = sorted(self.customers, key=rank)
        held = sum(map(held_by, customers))
        for customer in customers:
            if held > most:
                held -= held_by(customer)
                customer.drop(f"all connections hold more than {most} bytes, and this one makes least progress")

    def tidy_later(self) -> None:
        """Something large came or waits: give back what it leaves behind, in a while, once for all that comes."""
        def tidy() -> None:
            self._is_to_tidy = False
            tidy_memory()

        if not self._is_to_tidy:
            self._is_to_tidy = True
            self.after(TIDY_SECONDS, tidy)


class Batches:
    """What the reader of one connection has brought, and the node has not handled yet. The reader calls `add`, and the
    node's thread all that there is besides."""

    def __init__(self, fairness: Fairness, handle: Callable[[Any, bytes], None]) -> None:
        """`handle` is called with the connection and each frame, in the node's thread.

        The connection is an argument of the other methods: if each knew the other, both would stay in memory until the
        garbage collector finds them.
        """
        self._fairness = fairness
        self._handle = handle
        self._batches: deque[tuple[deque[bytes], Callable[[], None] | None]] = deque()
        """Frames, and what is to be done after them."""
        self._bytes_read = self._bytes_handled = 0
        self.pace = Pace()
        """How much was read lately of frames that are not whole."""
        self._reader_spent = 0.0
        """The processor time of the reader that has been counted, in seconds."""
        self._is_costly = False
        """Did its last turn take very long?"""
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        """One item for each batch that may still be added: a semaphore, but some microseconds faster than Python's."""
        for _ in range(BATCHES_AHEAD):
            self._places.put(None)
        self._was_counted: queue.SimpleQueue[None] = queue.SimpleQueue()

    @property
    def is_empty(self) -> bool:
        """Does nothing wait for its turn?"""
        return not self._batches

    @property
    def unhandled(self) -> int:
        """Bytes that were read and not handled yet, those of an unfinished frame included."""
        return self._bytes_read - self._bytes_handled

    def add(self, customer: Customer, size: int, frames: list[bytes], afterwards: Callable[[], None] | None) -> None:
        """Have the node handle what was read, `size` bytes, and then do `afterwards`. Waits while the node has two
        batches of this connection. Called by the reader."""
        before = customer.unhandled
        self._bytes_read += size
        if not frames:  # the beginning of a large one
            self.pace.add(size, self._fairness.now())
        if frames or afterwards:
            self._places.get()
            self._batches.append((deque(frames), afterwards))
            spent = time.thread_time()
            self._fairness.turns.put(customer.is_own, self._queue_turn, customer, spent=spent - self._reader_spent)
            self._reader_spent = spent
        if customer.unhandled // LARGE_BYTES > before // LARGE_BYTES:
            # Read on when the node has counted what all connections hold: it may be busy for a second while 128 read.
            self._fairness.turns.put(customer.is_own, self._count)
            self._was_counted.get()

    def close(self) -> None:
        """Forget what waits. Whatever the reader waits for, it must read on, to the peer's farewell."""
        self._batches.clear()
        self._fairness.turns.forget(self._take_turn)
        self._places.put(None)
        self._was_counted.put(None)

    def _count(self) -> None:
        try:
            self._fairness.count_unhandled()
        finally:
            self._was_counted.put(None)

    def _queue_turn(self, customer: Customer) -> None:
        """Take the turn now; after a costly one only when nobody else waits."""
        if self._is_costly and customer.is_open:
            self._fairness.turns.postpone(customer.is_own, self._take_turn, customer)
        else:
            self._take_turn(customer)

    def _take_turn(self, customer: Customer) -> None:
        """Have the node handle one batch, or as much of it as one turn allows."""
        if not self._batches:
            return  # `close` came before the turn, and has freed the place
        frames, afterwards = self._batches.popleft()
        now = self._fairness.now
        begun = now()
        turn_ends = begun + TURN_SECONDS
        try:
            while frames and customer.is_open and now() < turn_ends:
                frame = frames.popleft()
                self._bytes_handled += len(frame)
                self._handle(customer, frame)
            if afterwards and not frames and customer.is_open:
                afterwards()
        finally:
            if frames and customer.is_open:
                self._batches.appendleft((frames, afterwards))
                self._fairness.turns.put(customer.is_own, self._queue_turn, customer)
            else:
                self._places.put(None)
            self._is_costly = now() - begun > LONG_TURN_SECONDS
            if self._is_costly:
                self._fairness.tidy_later()
