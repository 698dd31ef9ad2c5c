"""How a node gets what its neighbours have and it lacks (contract §3, stage 2).

A neighbour names ids in `ids` (an older or minimal node in `inventory`), or by sending a block that lists them. The
life of an id:

    named by a neighbour ──> asked of it ──> it comes: done
                                 │
                                 └──> it is not in the answer, or nothing comes for 5 s:
                                      asked of the next that has named it, then of two, four, … at once
                                          │
                                          └──> nobody is left: forsaken. Every 5 s any neighbour is asked for it, at
                                               most 20 times. Each second only some forsaken ids are asked for

So a neighbour that names ids and never answers costs one wait, and a hundred of them cost seven waits, not a hundred.
Nothing here knows what the ids stand for: any store of ids will do.
"""

import random
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from operator import attrgetter
from typing import ClassVar

from common.encoding import Message, Shape, encode_frame, ids_field
from common.fetch_limits import MAX_FORSAKEN_WANT, MAX_MISSING, WANT_AGAIN
from common.interface import Connection
from common.parts import Part
from stage2_ledger.limits import MAX_NAMED, MAX_TRIES, MAX_WANT, MAX_WANTS_OPEN
from stage2_ledger.missing import Missing, Question, Source


WANT_PING = "want"
"""The nonce of the ping after a want; its pong tells that the want is answered."""


class Fetcher(Part):
    """Asks for missing ids: a thousand at a time, four questions open on a connection."""

    SHAPES: ClassVar[dict[str, Shape]] = {"want": {"ids": ids_field(MAX_WANT)}}

    def __init__(self, find_frame: Callable[[str], bytes | None], now: Callable[[], float],
                 generator: random.Random, is_peer: Callable[[str | None], bool],
                 on_fetched: Callable[[Connection, bool], None], on_forsaken: Callable[[str], None]) -> None:
        """`find_frame` gives the frame with an id that others ask for, None if it is not here. `is_peer` tells whether
        an address is that of `--peer`. `on_fetched` is called when a question was answered, with whether that brought
        something; `on_forsaken` with an id, when each neighbour that has named it was asked in vain, or is gone."""
        self._find_frame = find_frame
        self._now = now
        self._generator = generator
        self._is_peer = is_peer
        self._on_fetched = on_fetched
        self._on_forsaken = on_forsaken
        self._missing: dict[str, Missing] = {}
        self._sources: dict[Connection, Source] = {}
        self._forsaken: OrderedDict[str, float] = OrderedDict()
        """Missing ids for which nobody is left to be asked, and when their next turn is, in seconds of the clock."""
        self._named = 0
        """How many ids all sources together have named. An id counts once for each source that has named it."""

    def __len__(self) -> int:
        return len(self._missing)

    def __contains__(self, missing_id: str) -> bool:
        return missing_id in self._missing

    def trust(self, connection: Connection) -> int:
        """How far a neighbour is trusted; the most trusted is asked first. That is the node of `--peer`, then those
        that this node has called itself, and last those that have called: anybody can."""
        if not connection.is_own:
            return 0
        return 2 if self._is_peer(connection.proven) else 1

    def room(self, connection: Connection) -> int:
        """How many more ids this connection may be asked to name, in addition to those that it has named."""
        return max(0, MAX_NAMED - self.count_named(connection))

    def count_named(self, connection: Connection) -> int:
        """How many missing ids this connection has named."""
        return len(self._sources[connection].named) if connection in self._sources else 0

    def has_room(self, connection: Connection) -> bool:
        """May this connection be asked to name more?"""
        return self.room(connection) > 0

    def need(self, ids: Iterable[str], connection: Connection) -> None:
        """Ask for `ids`, which the other end of `connection` has named. Those for which there is no room are left out;
        they will be named again."""
        for missing_id in ids:
            if not self._note_named_by(missing_id, connection):
                break
        self._ask_next(connection)

    def on_want(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Send the messages asked for, as they were flooded."""
        for wanted in message["ids"]:
            found = self._find_frame(wanted)
            if found is not None:
                connection.send(found)

    def on_came(self, known_id: str, connection: Connection | None) -> None:
        """The message with this id has come, asked for or not."""
        missing = self._missing.get(known_id)
        if missing is None:
            return
        if connection in self._sources:  # it brings something, though perhaps late, when others were asked already
            self._sources[connection].brought(self._now())
        self.forget([known_id])

    def forget(self, ids: Iterable[str]) -> None:
        """Stop asking for `ids`: they have come, or nobody needs them any longer."""
        for known_id in ids:
            missing = self._missing.pop(known_id, None)
            self._forsaken.pop(known_id, None)
            for connection in missing.named_by if missing is not None else ():
                self._cross_out(known_id, connection)

    def on_pong(self, connection: Connection, nonce: str) -> None:
        """If this pong ends the answer to a question, there may be more to ask."""
        if nonce == WANT_PING:
            self._on_fetched(connection, self.on_answered(connection))

    def on_answered(self, connection: Connection) -> bool:
        """A question on this connection has been answered: the peer does not have what has not come by now. True if it
        has brought something, so that it is worth asking more."""
        source = self._sources.get(connection)
        if source is None or not source.questions:
            return False
        question = source.questions.popleft()
        failed = [one for one in question.ids if one in source.named]
        self._on_failed(failed, connection)
        self._ask_next(connection)
        return len(failed) < len(question.ids)

    def on_lost(self, connection: Connection) -> None:
        """A connection is gone: what it has named is asked for elsewhere."""
        source = self._sources.get(connection)
        if source is not None:
            self._on_failed(list(source.named), connection)
            del self._sources[connection]

    def ask_again(self, connections: Collection[Connection]) -> None:
        """Every second: if a neighbour brings nothing, ask others for its ids. Ask one of `connections`, picked at
        random, for the forsaken ids that are due."""
        now = self._now()
        for connection, source in list(self._sources.items()):
            if source.is_stalled(now):
                self._on_failed(list(source.named), connection, again_at=now)
        due = list(islice((one for one, again_at in self._forsaken.items() if again_at <= now),
                          MAX_FORSAKEN_WANT))
        if due and connections:
            self._ask_anybody(due, self._pick(connections))

    def _pick(self, connections: Collection[Connection]) -> Connection:
        """A random one of those that answer; half of the time, only of those that are trusted most."""
        candidates = [one for one in connections if not self._is_stalled(one)] or list(connections)
        if self._generator.random() < 0.5:
            most = max(map(self.trust, candidates))
            candidates = [one for one in candidates if self.trust(one) == most]
        return self._generator.choice(sorted(candidates, key=attrgetter("opened")))

    def _ask_anybody(self, ids: list[str], connection: Connection) -> None:
        for missing_id in ids:
            if self._forsaken.pop(missing_id, None) is None:
                continue  # it was forgotten when room was made for one before it
            missing = self._missing[missing_id]
            missing.tries += 1
            missing.failed = ()
            if missing.tries > MAX_TRIES:
                del self._missing[missing_id]
            elif not self._note_named_by(missing_id, connection):
                self._forsake(missing_id, missing, self._now() + WANT_AGAIN)
        self._ask_next(connection)

    def _is_stalled(self, connection: Connection) -> bool:
        return connection in self._sources and self._sources[connection].is_stalled(self._now())

    # --- who is asked ---------------------------------------------------------------------------

    def _note_named_by(self, missing_id: str, connection: Connection) -> bool:
        """Note that a connection has named an id, and queue the id there unless another one is asked. A connection
        that was asked and did not bring the id no longer counts. False if there is no room."""
        missing = self._missing.get(missing_id)
        if missing is not None and (connection in missing.named_by or connection in missing.failed):
            return True
        if self._named >= MAX_MISSING and not self._make_room(connection):
            return False
        missing = self._missing.setdefault(missing_id, Missing())
        missing.named_by += (connection,)
        self._forsaken.pop(missing_id, None)
        self._sources.setdefault(connection, Source()).named[missing_id] = None
        self._named += 1
        if all(self._is_worth_less(asked, connection) or self._try_to_take_over(missing_id, asked, connection)
               for asked in missing.asked):
            self._queue(missing_id, connection)
        return True

    def _is_worth_less(self, asked: Connection, connection: Connection) -> bool:
        """Should `connection` be asked, too, since the one that was asked is trusted less, or has stalled?"""
        return self.trust(asked) < self.trust(connection) or self._is_stalled(asked)

    def _try_to_take_over(self, missing_id: str, asked: Connection, connection: Connection) -> bool:
        """Let `connection` take over an id from the queue of `asked`, if its own queue is shorter and it is trusted no
        less; True if it did. So a neighbour that names very many ids, and brings them one by one, does not keep
        others waiting."""
        queue = self._sources[asked].queue
        if (missing_id not in queue or self.trust(asked) > self.trust(connection)
                or len(queue) <= len(self._sources[connection].queue)):
            return False
        del queue[missing_id]
        missing = self._missing[missing_id]
        missing.asked = tuple(one for one in missing.asked if one is not asked)
        return True

    def _make_room(self, connection: Connection) -> bool:
        """Make room for an id of `connection`: forget ids of the least trusted neighbour; among equals, of the one that
        has named the most. Made-up ids must not keep out the ids of others. False if there is nothing to forget."""
        greediest = min((one for one, source in self._sources.items() if source.named),
                        key=lambda one: (self.trust(one), -self.count_named(one)))
        named, more_trusted = self._sources[greediest].named, self.trust(connection) - self.trust(greediest)
        surplus = len(named) - self.count_named(connection)
        if more_trusted < 0 or (more_trusted == 0 and surplus <= 1):
            return False
        # Half of the surplus at once: finding the greediest looks at every connection.
        self._on_failed(list(islice(reversed(named), (len(named) + 1 if more_trusted else surplus) // 2)), greediest)
        return True

    def _on_failed(self, ids: Iterable[str], connection: Connection, again_at: float | None = None) -> None:
        """This connection did not bring `ids`: ask the next that has named them. If there is none, anybody is asked
        after 5 s, or at the time `again_at`."""
        again_at = self._now() + WANT_AGAIN if again_at is None else again_at
        next_ones: dict[Connection, None] = {}  # keeps their order; that of a set differs in each process
        for missing_id in ids:
            missing = self._missing.get(missing_id)
            if missing is None or connection not in missing.named_by:
                continue
            missing.named_by = tuple(one for one in missing.named_by if one is not connection)
            missing.asked = tuple(one for one in missing.asked if one is not connection)
            missing.failed += (connection,)
            self._cross_out(missing_id, connection)
            if not missing.named_by:
                self._forsake(missing_id, missing, again_at)
            elif not missing.asked:
                next_ones |= dict.fromkeys(self._pass_on(missing_id, missing))
        for next_one in next_ones:
            self._ask_next(next_one)

    def _pass_on(self, missing_id: str, missing: Missing) -> list[Connection]:
        """Choose the next to be asked: one, after the next failure two, then four, so that many who do not answer
        hold nothing up for long."""
        by_trust = sorted(missing.named_by, key=self.trust, reverse=True)
        chosen = by_trust[:2 ** missing.rounds]
        missing.rounds += 1
        for connection in chosen:
            self._queue(missing_id, connection)
        return chosen

    def _forsake(self, missing_id: str, missing: Missing, again_at: float) -> None:
        """Nobody is left who has named an id. If more than `MAX_NAMED` are forsaken, the oldest is forgotten until it
        is named again."""
        missing.rounds = 0
        self._forsaken[missing_id] = again_at
        if len(self._forsaken) > MAX_NAMED:
            oldest = next(iter(self._forsaken))
            del self._forsaken[oldest], self._missing[oldest]
        self._on_forsaken(missing_id)

    def _cross_out(self, missing_id: str, connection: Connection) -> None:
        source = self._sources[connection]
        del source.named[missing_id]
        source.queue.pop(missing_id, None)
        self._named -= 1

    def _queue(self, missing_id: str, connection: Connection) -> None:
        self._missing[missing_id].asked += (connection,)
        self._sources[connection].queue[missing_id] = None

    def _ask_next(self, connection: Connection) -> None:
        """Ask a connection for what is queued there, in as many questions as may be open."""
        source = self._sources.get(connection, Source())
        while source.queue and len(source.questions) < MAX_WANTS_OPEN:
            ids = list(islice(source.queue, MAX_WANT))
            for missing_id in ids:
                del source.queue[missing_id]
            source.questions.append(Question(ids, self._now()))
            self._ask(connection, ids)

    def _ask(self, connection: Connection, ids: list[str]) -> None:
        """Send a want, and a ping after it."""
        connection.send(encode_frame({"type": "want", "ids": ids}))
        connection.send(encode_frame({"type": "ping", "nonce": WANT_PING}))
