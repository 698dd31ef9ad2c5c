"""Which neighbours a node asks for blocks when it is behind (contract §3, stage 4).

Anybody may say that it is ahead, and then answer nothing, or very slowly. So one neighbour is asked at a time,
the best one; whenever nothing new comes for a while, twice as many others are asked as well.
"""

from collections.abc import Callable

from common.fetch_limits import WANT_AGAIN
from common.interface import Connection
from common.limits import MAX_INBOUND
from stage4_sequencer.limits import OLD_QUESTION_SECONDS, ROUND_TRIP, SLOW_BYTES_PER_SECOND


class Source:
    """What is known of one neighbour."""

    def __init__(self) -> None:
        self.height = 0
        """The next number that it awaits, as it last said."""
        self.failures = 0
        """How often it was asked in vain, or was slow, since it last brought something in time."""
        self.is_steady = False
        """Has its last answer brought enough new blocks for the time that it took?"""
        self.asked_from: int | None = None
        """The number of the first block that it was asked for; None if no question is open."""
        self.asked_at = 0.0
        self.brought = 0
        """Bytes of the new blocks that it has brought since it was asked."""
        self.has_failed = False
        """Was this question counted among the failures? It is counted once, even if a late answer is slow, too."""
        self.is_late = False
        """Was its question given up, since nothing new came for a while, or since another neighbour brings the blocks?
        Then it no longer counts as being asked."""

    def fail(self) -> None:
        """Count its question among the failures, once."""
        self.failures += not self.has_failed
        self.has_failed = True


class Sources:
    """The neighbours of one node, and which of them are asked."""

    def __init__(self, ask: Callable[[Connection, int], None], now: Callable[[], float],
                 trust: Callable[[Connection], int]) -> None:
        """`ask` asks for the blocks from a number on; whoever `trust` ranks higher is asked first."""
        self._ask = ask
        self._now = now
        self._trust = trust
        self._sources: dict[Connection, Source] = {}
        self._width = 1
        """How many are asked at a time."""
        self._widest = 1
        """How many were asked at a time at the most, since one was steady or none was ahead."""
        self._patient_until = 0.0
        """Until when those who are asked may go on. While one question follows the other, only new blocks make it
        later."""

    def told(self, connection: Connection, height: int) -> None:
        """A neighbour has told this node which block it awaits."""
        self._sources.setdefault(connection, Source()).height = height

    def height(self, connection: Connection) -> int:
        """The height that a neighbour told last; 0 if it told none, or did not bring what it claimed."""
        return self._sources[connection].height if connection in self._sources else 0

    def is_asked(self, connection: Connection) -> bool:
        """Does this neighbour still have a question to answer?"""
        return connection in self._sources and self._sources[connection].asked_from is not None

    def forget(self, connection: Connection) -> None:
        """A neighbour that is gone answers no questions."""
        self._sources.pop(connection, None)

    def ask(self, first: int) -> None:
        """Ask for the blocks from number `first` on, if fewer than `_width` neighbours of the same rank or a higher one
        are being asked. Lower ones do not count: a stranger can always be the first to say that it is ahead, and must
        not take the place of a trusted neighbour."""
        if all(source.height <= first for source in self._sources.values()):
            self._width = self._widest = 1
        free = [connection for connection, source in self._sources.items()
                if source.height > first and not self._is_asked(source)]
        for connection in sorted(free, key=self._rank):
            rivals = [one for one in self._open() if self._rank(one)[:2] <= self._rank(connection)[:2]]
            if len(rivals) >= self._width:
                break
            if not rivals and (self._open() or self._now() >= self._patient_until):
                self._patient_until = self._now() + WANT_AGAIN
            source = self._sources[connection]
            source.asked_from, source.asked_at, source.brought = first, self._now(), 0
            source.is_late = source.has_failed = False
            self._ask(connection, first)

    def lose_patience(self) -> None:
        """Every second: if those who are asked bring nothing, twice as many others may be asked as well."""
        late = self._open().values()
        if late and self._now() >= self._patient_until:
            self._width = self._widest = min(2 * self._widest, MAX_INBOUND)
            for source in late:
                source.is_late, source.is_steady = True, False
                source.fail()

    def came(self, size: int, connection: Connection | None) -> None:
        """A new block of `size` bytes has come on `connection`. Whoever brings blocks steadily may go on."""
        self._patient_until = min(self._now() + WANT_AGAIN, self._patient_until + size / SLOW_BYTES_PER_SECOND)
        if connection in self._sources:
            self._sources[connection].brought += size

    def answered(self, connection: Connection, first: int) -> None:
        """The answer is there; now number `first` is awaited. What others have brought does not count for a neighbour.
        If nobody has brought anything, it must tell its height again."""
        source = self._sources.get(connection)
        if source is None or source.asked_from is None:
            return
        self.lose_patience()
        seconds = self._now() - source.asked_at
        source.is_steady = source.brought >= max(seconds, WANT_AGAIN) * SLOW_BYTES_PER_SECOND
        if first == source.asked_from:
            source.fail()
            source.height = 0
        elif source.brought < (seconds - ROUND_TRIP) * SLOW_BYTES_PER_SECOND:
            source.fail()
        elif source.brought:
            source.failures = 0
        source.asked_from = None
        if source.brought:
            self._give_up_others()
        if source.is_steady:
            self._widest = 1

    def _give_up_others(self) -> None:
        """Somebody brings blocks, so one question is enough: give up those to neighbours that are not steady. If it
        brings only a few and then stops, as many are asked as if it had brought none."""
        self._width = 1
        for source in self._open().values():
            source.is_late = not source.is_steady

    def _rank(self, connection: Connection) -> tuple[int, int, bool, float]:
        """A key for sorting, the best neighbour first: fewest failures, then most trusted, then those that bring blocks
        steadily, then oldest connection."""
        source = self._sources[connection]
        return source.failures, -self._trust(connection), not source.is_steady, connection.opened

    def _open(self) -> dict[Connection, Source]:
        return {connection: source for connection, source in self._sources.items()
                if source.asked_from is not None and not source.is_late}

    def _is_asked(self, source: Source) -> bool:
        """Is a question to this neighbour open, and less than a minute old? Asking again would not make it faster."""
        return source.asked_from is not None and self._now() < source.asked_at + OLD_QUESTION_SECONDS
