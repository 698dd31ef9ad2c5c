"""How two nodes find out what one of them lacks, and how that is fetched (contract §3, stage 2).

Flooding brings a message to everyone who is there. Reconciliation brings it to those
who were not: two neighbours compare 256 sums over their ids, then the ids of the few
buckets whose sums differ, then the one that lacks something asks for it.

Nothing here knows what the ids are of, or how a frame travels: any store of ids will do.
"""

import random
from collections import deque
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from operator import attrgetter

from common.encoding import Field, is_id, is_matching
from common.limits import MAX_MISSING, MAX_TRIES, MAX_WANT, MAX_WANTS_OPEN, WANT_AGAIN
from common.interface import Connection

_is_prefix = is_matching("[0-9a-f]{2}")

BUCKET = Field(_is_prefix, "two lower-case hex digits")
BUCKETS = Field(
    lambda value: isinstance(value, dict) and all(_is_prefix(key) and is_id(xor) for key, xor in value.items()),
    "an object of two hex digits -> 64 hex digits")


class Buckets:
    """Ids, in 256 buckets by their first two hex digits, each with the XOR of its ids."""

    def __init__(self) -> None:
        self._ids: dict[str, list[str]] = {}
        self._sums: dict[str, int] = {}

    def add(self, new_id: str) -> None:
        """Put in an id that is not there yet."""
        bucket = new_id[:2]
        self._ids.setdefault(bucket, []).append(new_id)
        self._sums[bucket] = self._sums.get(bucket, 0) ^ int(new_id, 16)

    def summary(self) -> dict[str, str]:
        """Prefix -> XOR of its ids as 64 hex digits; prefixes without ids are left out."""
        return {bucket: f"{xor:064x}" for bucket, xor in sorted(self._sums.items())}

    def differing(self, summary: dict[str, str]) -> list[str]:
        """The prefixes in which another node's summary differs from this one's."""
        own = self.summary()
        return sorted(bucket for bucket in own.keys() | summary.keys() if own.get(bucket) != summary.get(bucket))

    def ids(self, bucket: str) -> list[str]:
        """The ids of one prefix."""
        return self._ids.get(bucket, [])


class Missing:
    """An id that is asked for."""

    __slots__ = ("again_at", "is_needed", "named_by", "queued_on", "tries")  # there may be very many

    def __init__(self, named_by: Connection | None) -> None:
        self.named_by = named_by
        self.tries = 0
        self.again_at: float | None = None
        """When to ask again; None while it is queued."""
        self.queued_on: Connection | None = None
        """The connection in whose queue it waits to be asked for."""
        self.is_needed = False
        """Does a block need it? Then it is asked for until it comes."""


class Fetcher:
    """Asks for missing ids: a thousand at a time, four questions open on a connection, again after 5 s."""

    def __init__(self, ask: Callable[[Connection, list[str]], None], now: Callable[[], float],
                 generator: random.Random) -> None:
        """`ask` sends one question, and a ping behind it whose pong is told to `on_answered`."""
        self._ask = ask
        self._now = now
        self._generator = generator
        self._missing: dict[str, Missing] = {}
        self._queues: dict[Connection, dict[str, None]] = {}
        self._named: dict[Connection, dict[str, None]] = {}
        """The ids that each connection has named, but for those that blocks need."""
        self._open_questions: dict[Connection, deque[float]] = {}
        """When each question was asked that is not answered yet, oldest first."""

    def __len__(self) -> int:
        return len(self._missing)

    @property
    def is_full(self) -> bool:
        """Are as many ids asked for as may be at a time?"""
        return len(self._missing) >= MAX_MISSING

    def need(self, ids: Iterable[str], connection: Connection | None, for_block: bool = False) -> None:
        """Ask for those of `ids` that nobody is asked for yet: the other end of `connection`, or with None
        whoever `ask_again` picks. Ids for which there is no room are left out; need them again later."""
        for missing_id in ids:
            if missing_id not in self._missing:
                named_by = None if for_block else connection
                if self.is_full and not self._make_room(named_by):
                    break
                self._missing[missing_id] = Missing(named_by)
                if named_by is not None:
                    self._named.setdefault(named_by, {})[missing_id] = None
                if connection is None:
                    self._missing[missing_id].again_at = self._now()
                else:
                    self._queue(missing_id, connection)
            if for_block:
                self._missing[missing_id].is_needed = True
                self._forget_who_named(missing_id)
        if connection is not None:
            self._ask_next(connection)

    def forget(self, ids: Iterable[str]) -> None:
        """Ask no more for `ids`: they have come, or nobody needs them any longer."""
        for known_id in ids:
            if known_id not in self._missing:
                continue
            self._forget_who_named(known_id)
            missing = self._missing.pop(known_id)
            # Nothing of it may stay: who names ids for ever would fill a queue that is never asked.
            if missing.queued_on is not None:
                del self._queues[missing.queued_on][known_id]

    def _forget_who_named(self, missing_id: str) -> None:
        asker = self._missing[missing_id].named_by
        if asker is not None:
            self._missing[missing_id].named_by = None
            del self._named[asker][missing_id]
            if not self._named[asker]:
                del self._named[asker]

    def _make_room(self, asker: Connection | None) -> bool:
        """Whoever has named most gives way to who has named less, and everybody to blocks: the ids that one
        peer makes up must not keep out those of the others."""
        greediest = max(self._named, key=lambda one: len(self._named[one]), default=None)
        if greediest is None:
            return False
        if asker is not None and len(self._named[greediest]) <= len(self._named.get(asker, ())) + 1:
            return False
        self.forget([next(reversed(self._named[greediest]))])
        return True

    def on_answered(self, connection: Connection) -> None:
        """A question on this connection has been answered: there is room for the next."""
        if self._open_questions.get(connection):
            self._open_questions[connection].popleft()
            self._ask_next(connection)

    def on_lost(self, connection: Connection) -> None:
        """A connection is gone: what waited for it is asked for elsewhere."""
        self._open_questions.pop(connection, None)
        self._give_up_queue(connection)

    def ask_again(self, connections: Collection[Connection]) -> None:
        """Ask for what did not come within 5 s, each on a random connection; give up after 20 times.

        A connection that answers nothing is left alone, and what waits for it is asked for elsewhere:
        whoever names ids and then falls silent must not keep them from coming.
        """
        stalled = {connection for connection in connections if self._is_stalled(connection)}
        for connection in stalled:
            self._give_up_queue(connection)
        due = [missing_id for missing_id, missing in self._missing.items()
               if missing.again_at is not None and missing.again_at <= self._now()]
        self.forget([missing_id for missing_id in due
                     if self._missing[missing_id].tries >= MAX_TRIES and not self._missing[missing_id].is_needed])
        candidates = sorted((one for one in connections if one not in stalled), key=attrgetter("opened"))
        for missing_id in due if candidates else ():
            if missing_id in self._missing:
                self._queue(missing_id, self._generator.choice(candidates))
        for connection in candidates:
            self._ask_next(connection)

    def _is_stalled(self, connection: Connection) -> bool:
        questions = self._open_questions.get(connection, deque())
        return len(questions) == MAX_WANTS_OPEN and questions[0] + WANT_AGAIN <= self._now()

    def _give_up_queue(self, connection: Connection) -> None:
        for missing_id in self._queues.pop(connection, ()):
            self._missing[missing_id].queued_on = None
            self._missing[missing_id].again_at = self._now()

    def _queue(self, missing_id: str, connection: Connection) -> None:
        self._missing[missing_id].again_at = None
        self._missing[missing_id].queued_on = connection
        self._queues.setdefault(connection, {})[missing_id] = None

    def _ask_next(self, connection: Connection) -> None:
        queue = self._queues.get(connection)
        questions = self._open_questions.setdefault(connection, deque())
        again_at = self._now() + WANT_AGAIN
        while queue and len(questions) < MAX_WANTS_OPEN:
            ids = list(islice(queue, MAX_WANT))
            for missing_id in ids:
                del queue[missing_id]
                self._missing[missing_id].tries += 1
                self._missing[missing_id].queued_on = None
                self._missing[missing_id].again_at = again_at
            questions.append(self._now())
            self._ask(connection, ids)
