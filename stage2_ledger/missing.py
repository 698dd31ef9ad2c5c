"""Notes about missing ids, and about the connections that have named them; `fetcher.py` asks for the ids."""

from collections import deque
from typing import NamedTuple

from common.fetch_limits import WANT_AGAIN
from common.interface import Connection
from stage2_ledger.limits import SLOW_MESSAGES_PER_SECOND


class Question(NamedTuple):
    """A want that is not answered yet, and when it was sent."""

    ids: list[str]
    asked_at: float


class Source:
    """A connection that has named ids which have not come."""

    def __init__(self) -> None:
        self.named: dict[str, None] = {}
        self.queue: dict[str, None] = {}
        """Those of the named ids that it will be asked for next."""
        self.questions: deque[Question] = deque()
        self.patient_until = 0.0
        """A time in seconds of the clock. Until then nobody else is asked for its ids, since it has brought enough."""

    def is_stalled(self, now: float) -> bool:
        """Has it brought too little for 5 s, although it was asked? One that is slow but steady has not stalled."""
        return bool(self.questions) and max(self.questions[0].asked_at + WANT_AGAIN, self.patient_until) <= now

    def brought(self, now: float) -> None:
        """It has brought something that it was asked for. Each message gives it a little more time, so it must go on at
        `SLOW_MESSAGES_PER_SECOND`: one message now and then is not enough."""
        asked_at = self.questions[0].asked_at if self.questions else now
        patient_until = max(now, asked_at + WANT_AGAIN, self.patient_until)
        self.patient_until = min(now + WANT_AGAIN, patient_until + 1 / SLOW_MESSAGES_PER_SECOND)


class Missing:
    """An id that somebody has named and that has not come."""

    __slots__ = ("asked", "failed", "named_by", "rounds", "tries")  # and tuples below, since there may be very many

    def __init__(self) -> None:
        self.named_by: tuple[Connection, ...] = ()
        self.asked: tuple[Connection, ...] = ()
        """Those of `named_by` that are asked for it, or have it in their queue."""
        self.failed: tuple[Connection, ...] = ()
        """Those that had named it, but did not bring it when they were asked."""
        self.rounds = 0
        """How many rounds of questions have failed since somebody named it. Each further round asks twice as many."""
        self.tries = 1
        """The number of this try. A try ends when no neighbour is left that has named the id."""
