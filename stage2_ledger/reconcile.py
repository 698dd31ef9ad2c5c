"""How two nodes find out what one of them lacks (contract §3, stage 2).

Flooding brings a message to everyone who is there. Reconciliation brings it to those who were not. A node tells a
neighbour the sums of the sixteen parts of its store. If they differ from its own, the neighbour asks for
the sums of the sixteen parts of each part that differs, and so on down. Of a small part it asks for the ids, and then
fetches those that it lacks. So the cost depends on what differs, and not on what is kept.

    alice                                       bob
    sums of 0 … f                     ──>       differ in 3 and 7; tells his own, so that she does the same
                                      <──       get_sums of 3, 7
    sums of 30 … 3f, 70 … 7f          ──>       differ in 3a and 7c; 7c is small
                                      <──       get_sums of 3a; get_ids of 7c
    sums of 3a0 … 3af; ids            ──>       …

The node that answers remembers nothing. The one that asks has one question open with each neighbour.

Older nodes, and minimal ones (contract §3, stage 2), do not know `sums`, although their hello names the same version.
Their `summary` has 256 sums of the whole store. The answer is all ids of the parts that differ, in pieces.

Nothing here knows what the ids stand for, or how a frame travels: any store of ids will do.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

from common.encoding import (FLAG, ID, Field, Message, Shape, encode_frame, ids_field, is_id, is_integer, is_list_of,
                             is_matching)
from common.interface import Connection
from common.parts import Part
from stage2_ledger.id_tree import HEX_DIGITS, IdTree, Sum, make_digests
from stage2_ledger.limits import (LISTED_AT_ONCE, MAX_COMPARED, MAX_DIFFERING, MAX_IDS_IF_SLOW, MAX_INVENTORY,
                                  MAX_LISTED, MAX_TOLD_IDS, SLOW_ANSWER_SECONDS)

SUMMARY_PING = "summary"
"""The nonce of the ping after a piece of the answer to a summary; its pong brings the next."""

_is_bucket = is_matching("[0-9a-f]{2}")
_is_parent = is_matching("[0-9a-f]{0,63}")
_is_digests = is_matching("[0-9a-f]{128}")


def _is_buckets(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_bucket(key) and is_id(xor) for key, xor in value.items())


def _is_sums(value: Any) -> bool:
    return (isinstance(value, dict) and len(value) <= MAX_COMPARED
            and all(_is_parent(prefix) and _is_sixteen_sums(sums) for prefix, sums in value.items()))


def _is_sixteen_sums(value: Any) -> bool:
    return (isinstance(value, list) and len(value) == 2 and _is_digests(value[1])
            and isinstance(value[0], list) and len(value[0]) == len(HEX_DIGITS) and all(map(is_integer, value[0])))


class Claim(NamedTuple):
    """What a neighbour says that it has with one prefix: the number of its ids, and the digest of their sum."""

    prefix: str
    size: int
    digest: str

    def is_true_of(self, own: Sum, salt: int) -> bool:
        """Does this node have the same?"""
        return self.size == own[0] and self.digest == make_digests([own], salt)

    def is_to_be_listed(self, own: Sum, most: int) -> bool:
        """Should the ids be asked for, and not the sums? Yes if they are few, or if most of them are lacking here; but
        not if they are more than `most`."""
        lacking = self.size - own[0]
        return self.size <= min(most, max(LISTED_AT_ONCE, 2 * lacking))


class Comparison:
    """How far this node is in comparing with one neighbour."""

    def __init__(self) -> None:
        self.knows_sums = False
        """Has the neighbour said `sums` or `get_sums`? Then it needs no summary."""
        self.salt: str = "0" * 64
        """The salt of the neighbour's first sums. All further sums are asked for with the same salt."""
        self.asked: list[str] = []
        """The prefixes whose sums this node has asked for."""
        self.is_listing = False
        """Has this node asked for ids?"""
        self.asked_at: float = 0.0
        """When the open question was asked, in seconds of the clock."""
        self.most_ids: int = MAX_TOLD_IDS
        """How many ids this node asks for at a time: fewer when the last answer was slow to come."""
        self.differing: list[Claim] = []
        """What differs and is to be asked about. The newest is taken first: so small parts go before large ones."""
        self.untold: list[str] = []
        """Prefixes that differ from the neighbour's summary, and whose ids it has not been told yet."""

    @property
    def has_asked(self) -> bool:
        """Is a question open?"""
        return bool(self.asked) or self.is_listing

    def order(self) -> list[int]:
        """The order in which the sixteen parts are looked at. It begins with the first digit of the salt, which differs
        from neighbour to neighbour: so two of them first tell this node different ids, and not both the same."""
        first = int(self.salt[0], 16)
        return [*range(first, len(HEX_DIGITS)), *range(first)]


class Reconciliation(Part):
    """Compares a node's ids with those of each neighbour."""

    SHAPES: ClassVar[dict[str, Shape]] = {
        "sums": {"answer": FLAG, "salt": ID,
                 "sums": Field(_is_sums,
                               f"an object of at most {MAX_COMPARED} prefixes -> [16 counts, 128 hex digits]")},
        "get_sums": {"salt": ID, "prefixes": Field(is_list_of(_is_parent, MAX_COMPARED),
                                                   f"at most {MAX_COMPARED} times 0 to 63 hex digits, none twice")},
        "get_ids": {"prefixes": Field(is_list_of(is_matching("[0-9a-f]{0,64}"), MAX_LISTED),
                                      f"at most {MAX_LISTED} times 0 to 64 hex digits, none twice")},
        "ids": {"ids": ids_field(MAX_TOLD_IDS)},
        "summary": {"answer": FLAG, "buckets": Field(_is_buckets, "an object of two hex digits -> 64 hex digits")},
        "inventory": {"bucket": Field(_is_bucket, "two lower-case hex digits"), "ids": ids_field(MAX_INVENTORY)},
    }

    def __init__(self, ids: IdTree, fetch: Callable[[Connection, list[str]], None],
                 has_room: Callable[[Connection], bool], now: Callable[[], float], generator: random.Random) -> None:
        """`fetch` gets those of the ids that are lacking. `has_room` says if a neighbour may name more of them."""
        self._ids = ids
        self._fetch = fetch
        self.has_room = has_room
        self._now = now
        self._generator = generator
        self.comparisons: dict[Connection, Comparison] = {}

    def _with(self, connection: Connection) -> Comparison:
        return self.comparisons.setdefault(connection, Comparison())

    def on_lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self.comparisons.pop(connection, None)

    # --- telling sums ---------------------------------------------------------------------------

    def greet(self, connection: Connection) -> None:
        """There is a new neighbour: the node that called begins the comparison."""
        if connection.dialled is not None:
            self.begin(connection)

    def begin(self, connection: Connection) -> None:
        """Compare with a neighbour: tell it the sums of the whole store."""
        self._send_sums(connection, self._make_salt(), [""], is_answer=False)
        if not self._with(connection).knows_sums:
            self._send_summary(connection, is_answer=False)
        self.go_on(connection)

    def _make_salt(self) -> str:
        return f"{self._generator.getrandbits(256) | 1:064x}"

    def _send_sums(self, connection: Connection, salt: str, prefixes: list[str], is_answer: bool) -> None:
        factor = int(salt, 16)
        sums = {prefix: self._make_sums(prefix, factor) for prefix in prefixes}
        connection.send(encode_frame({"type": "sums", "answer": is_answer, "salt": salt, "sums": sums}))

    def _make_sums(self, prefix: str, salt: int) -> tuple[list[int], str]:
        sums = self._ids.sums(prefix)
        return [count for count, _ in sums], make_digests(sums, salt)

    def on_get_sums(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Answer with the sums of the sixteen parts of each prefix."""
        self._with(connection).knows_sums = True
        self._send_sums(connection, message["salt"], message["prefixes"], is_answer=True)

    # --- asking ---------------------------------------------------------------------------------

    def on_sums(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Note what differs, and ask about it. If the neighbour began, and something differs, tell it our sums."""
        comparison = self._with(connection)
        comparison.knows_sums = True
        salt, sums = message["salt"], message["sums"]
        if "" in sums and not comparison.has_asked and not comparison.differing:
            comparison.salt, comparison.asked = salt, [""]
        if comparison.asked and salt == comparison.salt:
            asked, comparison.asked = comparison.asked, []
            for prefix in asked:
                if prefix in sums:
                    comparison.differing += self._differing(comparison, prefix, *sums[prefix])
            del comparison.differing[MAX_DIFFERING:]
            self.go_on(connection)
        if not message["answer"] and sums.get("") != list(self._make_sums("", int(salt, 16))):
            self._send_sums(connection, self._make_salt(), [""], is_answer=True)

    def _differing(self, comparison: Comparison, prefix: str, counts: list[int], digests: str) -> Iterator[Claim]:
        """The parts in which the neighbour has ids, and not the same ones as this node."""
        own_counts, own_digests = self._make_sums(prefix, int(comparison.salt, 16))
        most = len(HEX_DIGITS) ** (63 - len(prefix))  # there are no more ids with that many digits given
        for digit in comparison.order():
            count, place = counts[digit], slice(8 * digit, 8 * digit + 8)
            if count and (count != own_counts[digit] or digests[place] != own_digests[place]):
                yield Claim(prefix + HEX_DIGITS[digit], min(count, most), digests[place])

    def go_on(self, connection: Connection) -> None:
        """Ask the next question, if none is open and there is room for more ids."""
        comparison = self._with(connection)
        if not comparison.has_asked and self.has_room(connection):
            self._ask(connection, *self._next_question(comparison))

    def _next_question(self, comparison: Comparison) -> tuple[list[str], list[str]]:
        """The prefixes whose sums to ask for, and those whose ids to ask for."""
        compared: list[str] = []
        listed: list[str] = []
        room = comparison.most_ids
        salt = int(comparison.salt, 16)
        while comparison.differing and len(compared) < MAX_COMPARED and len(listed) < MAX_LISTED:
            claim = comparison.differing.pop()
            own = self._ids.sum(claim.prefix)
            if claim.is_true_of(own, salt):
                continue  # what was lacking has come since
            if not claim.is_to_be_listed(own, comparison.most_ids):
                compared.append(claim.prefix)
            elif claim.size <= room:
                listed.append(claim.prefix)
                room -= claim.size
            else:
                comparison.differing.append(claim)
                break
        return compared, listed

    def _ask(self, connection: Connection, compared: list[str], listed: list[str]) -> None:
        comparison = self._with(connection)
        comparison.asked, comparison.is_listing, comparison.asked_at = compared, bool(listed), self._now()
        if compared:
            connection.send(encode_frame({"type": "get_sums", "salt": comparison.salt, "prefixes": compared}))
        if listed:
            connection.send(encode_frame({"type": "get_ids", "prefixes": listed}))

    def on_ids(self, connection: Connection, message: Message, frame: bytes) -> None:
        """The answer to `get_ids`: ask the next question, then fetch those that are lacking here."""
        # Why in this order? Answers come in the order of the questions. So there is something to fetch while the next
        # ids are on their way. But nothing of it comes before them, and a neighbour that brings nothing for 5 s counts
        # as stalled. So they must be few on a slow line.
        comparison = self._with(connection)
        comparison.is_listing = False
        is_slow = self._now() > comparison.asked_at + SLOW_ANSWER_SECONDS
        comparison.most_ids = MAX_IDS_IF_SLOW if is_slow else MAX_TOLD_IDS
        self.go_on(connection)
        self._fetch(connection, message["ids"])

    # --- telling ids ----------------------------------------------------------------------------

    def on_get_ids(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Answer with the ids that begin with these prefixes, as many as fit into one answer, each once."""
        ids = dict.fromkeys(self._ids.take(message["prefixes"], MAX_TOLD_IDS))  # one prefix may be in another
        connection.send(encode_frame({"type": "ids", "ids": list(ids)}))

    # --- older and minimal nodes ----------------------------------------------------------------

    def _send_summary(self, connection: Connection, is_answer: bool) -> None:
        connection.send(encode_frame({"type": "summary", "answer": is_answer, "buckets": self._ids.summary()}))

    def on_summary(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Answer with the ids of each bucket that differs. If the summary was not itself an answer, send this node's
        own summary, too. A neighbour that has shown that it knows `sums` gets no answer, nor does one that is still
        being told."""
        comparison = self._with(connection)
        if comparison.knows_sums or comparison.untold:
            return
        differing = self._ids.differing(message["buckets"])
        for bucket in differing:
            if not self._ids.sum(bucket)[0]:
                self._send_inventory(connection, bucket, [])
        comparison.untold = [bucket for bucket in reversed(differing) if self._ids.sum(bucket)[0]]
        self._tell(connection)
        if differing and not message["answer"]:
            self._send_summary(connection, is_answer=True)

    def _tell(self, connection: Connection) -> None:
        """Tell the next ids. If there are more, a ping follows, and its pong brings the next."""
        untold = self._with(connection).untold
        buckets: dict[str, list[str]] = {}
        for one in self._ids.take(untold, MAX_TOLD_IDS):
            buckets.setdefault(one[:2], []).append(one)
        for bucket, ids in buckets.items():
            self._send_inventory(connection, bucket, ids)
        if untold:
            connection.send(encode_frame({"type": "ping", "nonce": SUMMARY_PING}))

    def on_pong(self, connection: Connection, nonce: str) -> None:
        """A piece of the answer to a summary has been read."""
        if nonce == SUMMARY_PING and self._with(connection).untold:
            self._tell(connection)

    def _send_inventory(self, connection: Connection, bucket: str, ids: list[str]) -> None:
        connection.send(encode_frame({"type": "inventory", "bucket": bucket, "ids": ids}))

    def on_inventory(self, connection: Connection, message: Message, frame: bytes) -> None:
        """A part of the answer to a summary: fetch those that are lacking here."""
        self._fetch(connection, message["ids"])
