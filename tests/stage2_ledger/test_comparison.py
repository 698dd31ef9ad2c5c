"""How two nodes compare their trees of sums from the top down, message by message, and its cost (contract §3)."""

import json
import time
from collections import Counter

import pytest

from common.encoding import encode_frame
from common.interface import Connection, Network
from common.limits import MEBIBYTE
from lab.simulation import World
from stage2_ledger.limits import MAX_DIFFERING, MAX_IDS_IF_SLOW, MAX_TOLD_IDS, SLOW_ANSWER_SECONDS
from stage2_ledger.node import LedgerNode
from tests.memory import Event
from tests.stage2_ledger.scenes import (PING, PONG, OldNode, PolitePeer, add_linked_peer, errors, founded_world, random_ids,
                                        stock,
                                        summary_of, sums_of, transaction, unknown_ids)
from tests.sizes import and_long

SALT = "5" + "0" * 62 + "7"


def sums(ids: list[str], *prefixes: str, salt: str = SALT, answer: bool = True) -> Event:
    """The sums of these ids, without a prefix those of the whole store."""
    return {"type": "sums", "answer": answer, "salt": salt, "sums": sums_of(ids, salt, *(prefixes or ("",)))}


def holding(ids: list[str]) -> tuple[World, LedgerNode, PolitePeer]:
    """A node that holds these ids (without their messages), and a linked peer."""
    world, alice = founded_world()
    for one in ids:
        alice.ids.add(one)
    alice.is_lacking = lambda one: not alice.ids.sum(one)[0]  # type: ignore
    return world, alice, add_linked_peer(world, alice)


def said(world: World, peer: PolitePeer, *messages: Event) -> list[Event]:
    """What the node answers, without the pong that follows."""
    peer.send(*messages, PING)
    world.settle()
    news = peer.news()
    news.remove(PONG)
    return news


# --- beginning --------------------------------------------------------------------------------------

def test_on_a_new_link_the_node_that_has_called_tells_its_sums_at_once() -> None:
    world, alice = founded_world()
    bob = world.add(LedgerNode, alice.address)
    world.run(1.0)
    told = [(one.sender, one.receiver) for one in world.delivered if one.frame and b'"type":"sums"' in one.frame]
    assert told == [(bob.address, alice.address)], "who tells its sums to whom, in the first second"


# --- answering --------------------------------------------------------------------------------------

def test_sums_are_requested_by_prefix_and_have_a_digest_with_the_salt_of_the_question() -> None:
    ids = unknown_ids(500)
    world, _, peer = holding(ids)
    for salt in (SALT, "f" * 64):
        for prefixes in ([""], ["0", "7", "f"], ["12"], [ids[0][:63]], []):
            question = {"type": "get_sums", "salt": salt, "prefixes": prefixes}
            [answer] = said(world, peer, question)
            assert answer == {"type": "sums", "answer": True, "salt": salt, "sums": sums_of(ids, salt, *prefixes)}


def test_ids_are_requested_by_prefix() -> None:
    ids = unknown_ids(500)
    world, _, peer = holding(ids)
    [told] = said(world, peer, {"type": "get_ids", "prefixes": ["0", "7a", ids[0], ids[0][:3], "f" * 64]})
    expected = sorted(one for one in ids if one.startswith(("0", "7a", ids[0][:3])))
    assert {**told, "ids": sorted(told["ids"])} == {"type": "ids", "ids": expected}, "each once"
    assert said(world, peer, {"type": "get_ids", "prefixes": []}) == [{"type": "ids", "ids": []}]


def test_no_answer_has_more_ids_than_256_kib() -> None:
    world, _, peer = holding(unknown_ids(3 * MAX_TOLD_IDS))
    for prefixes in ([""], list("0123456789abcdef")):
        [told] = said(world, peer, {"type": "get_ids", "prefixes": prefixes})
        assert MAX_TOLD_IDS * 0.5 < len(told["ids"]) <= MAX_TOLD_IDS
        assert len(encode_frame(told)) <= MEBIBYTE / 4


# --- asking -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("answer", [False, True])
def test_equal_sums_are_not_answered(answer: bool) -> None:
    ids = unknown_ids(500)
    world, _, peer = holding(ids)
    assert said(world, peer, sums(ids, answer=answer)) == []


def test_a_peer_that_begins_with_a_difference_is_sent_the_sums_once() -> None:
    ids = unknown_ids(50)
    world, _, peer = holding(ids)
    [told] = [one for one in said(world, peer, sums(ids[1:], answer=False)) if one["type"] == "sums"]
    assert told == sums(ids, salt=told["salt"], answer=True)
    assert "sums" not in {message["type"] for message in said(world, peer, sums(ids[1:], answer=True))}


def test_differences_are_followed_down_to_the_ids() -> None:
    """A node next asks only about the prefixes that differ."""
    ids = [f"{place:03x}{number:061x}" for place in range(0, 4096, 16) for number in range(20)]
    new = ["3a0" + "f" * 61, "c40" + "e" * 61]
    world, _, peer = holding(ids)
    questions = said(world, peer, sums(ids + new))
    asked = []
    while questions and questions[0]["type"] == "get_sums":
        [question] = questions
        assert question["salt"] == SALT and all(any(one.startswith(prefix) for one in new)
                                                for prefix in question["prefixes"])
        asked.append(sorted(question["prefixes"]))
        questions = said(world, peer, sums(ids + new, *question["prefixes"]))
    assert asked == [["3", "c"], ["3a", "c4"], ["3a0", "c40"]]
    [question] = questions
    assert question == {"type": "get_ids", "prefixes": question["prefixes"]}
    assert sorted(question["prefixes"]) == ["3a0f", "c40e"]
    want, _ = said(world, peer, {"type": "ids", "ids": new})
    assert sorted(want["ids"]) == sorted(new)


def test_a_part_that_is_missing_entirely_is_asked_for_by_its_ids_at_once() -> None:
    world, _, peer = holding([])
    [question] = said(world, peer, sums(unknown_ids(500)))
    assert question["type"] == "get_ids" and sorted(question["prefixes"]) == list("0123456789abcdef")


def test_after_an_answer_that_was_slow_to_come_fewer_ids_are_asked_for() -> None:
    claimed = unknown_ids(12_000)
    world, _, peer = holding([])
    questions, asked_for = said(world, peer, sums(claimed)), []
    for seconds in (SLOW_ANSWER_SECONDS / 2, SLOW_ANSWER_SECONDS + 0.5, 0.0, 0.0):
        [question] = questions
        ids = [one for one in claimed if one.startswith(tuple(question["prefixes"]))]
        asked_for.append(len(ids))
        world.run(seconds)
        questions = [one for one in said(world, peer, {"type": "ids", "ids": ids}) if one["type"] == "get_ids"]
    first, after_fast, after_slow, after_fast_again = asked_for
    assert after_slow <= MAX_IDS_IF_SLOW < min(first, after_fast, after_fast_again)


def test_one_question_is_open_on_a_connection() -> None:
    many = unknown_ids(10_000)
    world, alice, peer = holding([])
    told = sums(many)
    told["sums"][""][0] = [100_000] * 16
    [question] = said(world, peer, told)
    assert question["type"] == "get_sums"
    assert said(world, peer, sums(many[1:], salt="1" * 64), {"type": "pong", "nonce": "x"}) == []
    assert said(world, peer, sums(many, "3", salt="1" * 64)) == [], "not the salt of the question"
    world.run(60.0)
    assert peer.news("get_sums", "get_ids") == []
    assert len(said(world, peer, sums(many, *question["prefixes"]))) > 0, "the answer, at last"
    other = add_linked_peer(world, alice)
    assert len(said(world, other, told)) == 1, "with another neighbour it has its own"


def test_no_more_is_asked_for_while_listed_ids_wait() -> None:
    world, alice, peer = holding([])
    ids = unknown_ids(40_000)
    room = alice.fetcher.has_room
    alice.reconciliation.has_room = lambda connection: False
    assert said(world, peer, sums(ids)) == []
    world.run(60.0)
    peer.news()
    alice.reconciliation.has_room = room
    alice.on_fetched(next(iter(alice.links)), brought_something=True)
    world.settle()
    assert {message["type"] for message in peer.news()} == {"get_ids"}


def test_transactions_that_have_come_meanwhile_are_not_asked_for() -> None:
    world, alice, peer = holding([])
    ids = unknown_ids(500)
    alice.reconciliation.has_room = lambda connection: False
    assert said(world, peer, sums(ids)) == []
    for one in ids:
        alice.ids.add(one)
    alice.reconciliation.has_room = lambda connection: True
    alice.on_fetched(next(iter(alice.links)), brought_something=True)
    world.settle()
    assert peer.news() == []


def test_neighbours_are_asked_for_different_parts_first() -> None:
    """Otherwise all of them would send a newcomer the same ids at the same time."""
    ids = unknown_ids(500)
    world, alice, _ = holding([])
    firsts = set()
    for first in "0123456789abcdef":
        one = add_linked_peer(world, alice)
        salt = first + "0" * 62 + "1"
        [question] = said(world, one, sums(ids, salt=salt))
        firsts.add(question["prefixes"][0])
    assert len(firsts) == 16


def test_sets_of_ids_with_the_same_xor_are_told_apart() -> None:
    """Four ids with a ^ b = c ^ d: a summary sees no difference between a, b and c, d, but sums do."""
    one, two, three = (int("ab" + "0" * 30 + rest[:32], 16) for rest in unknown_ids(3))
    mine = [f"{one:064x}", f"{two:064x}"]
    theirs = [f"{three:064x}", f"{one ^ two ^ three:064x}"]
    if theirs[1][:2] != "ab":
        theirs[1] = "ab" + theirs[1][2:]
    assert summary_of(mine) == summary_of(theirs)
    world, _, peer = holding(mine)
    assert said(world, peer, {"type": "summary", "answer": True, "buckets": summary_of(theirs)}) == []
    [question] = said(world, peer, sums(theirs))
    assert question == {"type": "get_ids", "prefixes": ["a"]}


# --- a peer that lies -------------------------------------------------------------------------------

class Liar(PolitePeer):
    """Claims to have very many ids in every part that it is asked about."""

    asked = 0

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """Answer a request for sums with large ones, and one for ids with none."""
        super().on_frame(connection, frame)
        message = self.received[-1]
        if message["type"] == "get_ids":
            self.send({"type": "ids", "ids": []})
        if message["type"] == "get_sums":
            self.asked += 1
            self.send({"type": "sums", "answer": True, "salt": message["salt"], "sums": {
                prefix: [[2**53 - 1] * 16, "abcdef01" * 16] for prefix in message["prefixes"]}})


def test_a_liar_makes_a_node_remember_only_a_bounded_amount() -> None:
    world, alice, _ = holding(unknown_ids(100))
    liar = add_linked_peer(world, alice, Liar)
    liar.send({**sums([]), "sums": {"": [[2**53 - 1] * 16, "abcdef01" * 16]}})
    for _ in range(600):
        world.step()
        [comparison] = [one for one in alice.reconciliation.comparisons.values() if one.differing or one.asked]
        assert len(comparison.differing) <= MAX_DIFFERING
    assert liar.asked > 70, "in 300 questions the node must have gone down to the last digit and up again"
    assert errors(world, alice) == []


# --- older nodes ------------------------------------------------------------------------------------

def test_a_peer_that_has_sent_sums_gets_no_summary_and_no_answer_to_one() -> None:
    ids = unknown_ids(20)
    world, _, peer = holding(ids)
    summary = {"type": "summary", "answer": False, "buckets": {}}
    assert {message["type"] for message in said(world, peer, summary)} == {"inventory", "summary"}
    world.run(5.0)
    assert {message["type"] for message in peer.news()} == {"sums", "summary"}
    said(world, peer, sums(ids))
    assert said(world, peer, summary) == []
    world.run(5.0)
    assert {message["type"] for message in peer.news()} == {"sums"}


@pytest.mark.parametrize("kinds", [(OldNode, LedgerNode), (LedgerNode, OldNode), (LedgerNode, LedgerNode),
                                   (OldNode, OldNode)])
@pytest.mark.parametrize(("both", "mine", "theirs"), [(0, 0, 5_000), (0, 5_000, 0), (4_500, 30, 20), (0, 3, 4)])
def test_old_and_new_nodes_end_with_the_union(kinds: tuple[type[LedgerNode], type[LedgerNode]], both: int, mine: int,
                                              theirs: int) -> None:
    world = World(1)
    alice = world.add(kinds[0])
    messages = [transaction(amount=number) for number in range(both + mine + theirs)]
    stock(alice, messages[:both + mine])
    bob = world.add(kinds[1], alice.address)
    bob.network_name = alice.network_name
    stock(bob, messages[:both] + messages[both + mine:])
    bob.network_name = None
    world.run(20.0)
    assert alice.transactions.keys() == bob.transactions.keys()
    assert len(alice.transactions) == len(messages) and errors(world, alice) == errors(world, bob) == []


# --- what it costs ----------------------------------------------------------------------------------

class Measured(LedgerNode):
    """A node that measures the cost of its handlers, and has no messages for the ids that it holds."""

    def __init__(self, network: Network, address: str) -> None:
        super().__init__(network, address)
        self.received: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.lacking: set[str] = set()

    def is_lacking(self, transaction_id: str) -> bool:
        """Does it not hold this id?"""
        return not self.ids.sum(transaction_id)[0]

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """Measure the handler."""
        begun = time.process_time()
        super().on_frame(connection, frame)
        self.seconds.append(time.process_time() - begun)
        self.received[json.loads(frame[4:])["type"]] += len(frame)

    def fetch(self, connection: Connection, ids: list[str]) -> None:
        """Note the ids instead of asking for them."""
        self.lacking.update(filter(self.is_lacking, ids))


def differing_stores(kept: int) -> tuple[World, Measured, Measured]:
    """Two neighbours that hold `kept` ids. Each lacks 300 of the other's."""
    ids = random_ids(kept + 300)
    world = World(1)
    alice = world.add(Measured)
    bob = world.add(Measured, alice.address)
    world.run(1.0)
    for node, held in ((alice, ids[300:]), (bob, ids[:-300])):
        for one in held:
            node.ids.add(one)
    compare(world, alice, bob)
    assert alice.lacking == set(ids[:300]) and bob.lacking == set(ids[-300:])
    return world, alice, bob


def compare(world: World, alice: Measured, bob: Measured) -> None:
    """Let the two nodes compare once more; they fetch nothing."""
    for node in (alice, bob):
        node.received.clear()
        node.seconds.clear()
    bob.gossip_with(next(iter(bob.links)))
    world.settle()


MOST_BYTES = 1_000_000
MOST_SECONDS, MOST_IN_ONE = 0.05, 0.01
"""Seconds that a comparison may take at each node, in all and in its slowest handler, if `yardstick` takes 1.5 ms."""

YARDSTICK_SECONDS = 0.0015

ROUNDS = 5
"""How often it is measured. The fastest run counts: other programs can only make a handler slower."""


def yardstick() -> float:
    """How many times slower the processor currently is than an idle one, at least 1."""
    begun = time.process_time()
    squares = {}
    for number in range(20_000):
        squares[str(number)] = number * number
    return max(1.0, (time.process_time() - begun) / YARDSTICK_SECONDS)


@pytest.mark.parametrize("kept", and_long([50_000], [1_000_000]))
def test_the_cost_of_a_comparison_follows_from_the_differences_and_not_from_the_kept_data(kept: int) -> None:
    world, *nodes = differing_stores(kept)
    assert sum(sum(node.received.values()) for node in nodes) <= MOST_BYTES, [node.received for node in nodes]
    seconds: list[float] = []
    in_one: list[float] = []
    for _ in range(ROUNDS):
        slowness = yardstick()
        compare(world, *nodes)
        seconds.append(max(sum(node.seconds) for node in nodes) / slowness)
        in_one.append(max(max(node.seconds) for node in nodes) / slowness)
    assert min(seconds) <= MOST_SECONDS and min(in_one) <= MOST_IN_ONE, (seconds, in_one)


def test_a_newcomer_gets_everything_from_a_neighbour_whose_outbox_stays_small() -> None:
    world = World(1)
    alice = world.add(LedgerNode)
    stock(alice, [transaction(amount=number) for number in range(12_000)])
    late = world.add(LedgerNode, alice.address)
    largest = 0
    while len(late.transactions) < 12_000 and world.now < 5:
        if not world.step():
            world.run(0.01)
        largest = max([largest, *(sum(map(len, filter(None, end.arriving))) for end in world.open_connections())])
    assert len(late.transactions) == 12_000
    assert largest < 2 * MEBIBYTE
