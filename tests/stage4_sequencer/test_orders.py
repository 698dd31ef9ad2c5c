"""Two orders of one sequencer, in memory: nodes that meet the other half of the network find the proof."""

import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.journal import Journal
from lab.simulation import World
from stage4_sequencer.limits import MAX_DIGESTS, MAX_EVIDENCE
from stage4_sequencer.node import SequencedNode
from stage4_sequencer.order import Gap, Order
from stage4_sequencer.total_order import TotalOrderSetup
from tests.memory import Event
from tests.stage2_ledger.scenes import PolitePeer, add_linked_peer, errors
from tests.stage4_sequencer.scenes import (ALICE, BOB, TOY_KEYS, TOY_SEQUENCER, ChainPeer, add_founder_peer,
                                           block_id, followed_world, ids_of, no_key, signed_block, signed_transaction,
                                           status_of, tell, toy_signatures)

Block = dict[str, Any]


@pytest.fixture(autouse=True)
def cheap_signatures() -> Iterator[None]:
    """Cheap signatures for all tests: these are about order."""
    with toy_signatures():
        yield


def chain(length: int, parts_at: int | None = None, branch: int = 0) -> list[Block]:
    """Blocks of a sequencer that signs different ones for each `branch` from `parts_at` on. Nobody has the transactions
    that they order."""
    return [signed_block(number, [f"{branch:032x}{number:032x}"] if parts_at is not None and number >= parts_at else [],
                         TOY_SEQUENCER) for number in range(length)]


def half(world: World, blocks: list[Block], size: int = 2, journal: Journal | None = None) -> list[SequencedNode]:
    """Some nodes that know only each other, and have received these blocks."""
    peer = add_founder_peer(world)
    nodes = [world.add(SequencedNode, peer.address, TotalOrderSetup(key=TOY_KEYS[0], journal=journal), no_key)]
    world.run(0.1)
    nodes += [world.add(SequencedNode, nodes[0].address, TotalOrderSetup(key=TOY_KEYS[1]), no_key) for _ in range(size - 1)]
    world.run(1.0)
    tell(world, peer, *blocks)
    world.run(5.0)
    assert all(len(node.blocks) == len(blocks) for node in nodes)
    return nodes


def meet(world: World, one: SequencedNode, other: SequencedNode) -> None:
    """Let one node call the other."""
    world.open(world.networks[one.address], other.address)


def proven(world: World, node: SequencedNode) -> list[int]:
    """The numbers for which `node` has reported two blocks."""
    return [event["number"] for event in world.reported(node, "equivocation")]


def count_questions(nodes: list[SequencedNode]) -> Counter[str]:
    """Count from now on the questions that `nodes` are asked."""
    asked: Counter[str] = Counter()

    def note(kind: str, answer: Any, *arguments: Any) -> None:
        asked[kind] += 1
        answer(*arguments)

    for node in nodes:
        comparison, sync = node.comparison, node.sync
        comparison.on_get_order = partial(note, "get_order", comparison.on_get_order)  # type: ignore[method-assign]
        sync.on_get_blocks = partial(note, "get_blocks", sync.on_get_blocks)  # type: ignore[method-assign]
    return asked


# --- two halves that meet -----------------------------------------------------------------------------

@pytest.mark.parametrize("parts_at, length, other_length", [
    (0, 1, 1), (0, 1, 700), (3, 4, 4), (3, 600, 5), *(pytest.param(*lengths, marks=pytest.mark.long)
                                                     for lengths in [(3, 5, 600), (640, 700, 650), (1, 1_500, 1_500)])])
def test_two_halves_with_two_orders_report_it_as_soon_as_they_meet(
        parts_at: int, length: int, other_length: int) -> None:
    world = World(1, longest_delay=0.05)
    one = half(world, chain(length, parts_at, 1))
    other = half(world, chain(other_length, parts_at, 2))
    asked = count_questions([*one, *other])
    meet(world, one[0], other[0])
    world.run(2.0)
    for node in [*one, *other]:
        assert parts_at in proven(world, node)
        assert errors(world, node) == []
    assert asked["get_order"] <= 14, "a few steps, not a walk"


@pytest.mark.long
def test_a_difference_is_found_ten_thousand_blocks_back() -> None:
    world = World(1, longest_delay=0.05)
    one, other = half(world, chain(10_050, 50, 1)), half(world, chain(10_050, 50, 2))
    asked = count_questions([*one, *other])
    meet(world, one[0], other[0])
    world.run(2.0)
    assert all(50 in proven(world, node) for node in [*one, *other])
    assert asked["get_order"] <= 14 and asked["get_blocks"] <= 4


@pytest.mark.parametrize("count", [3, 4])
def test_where_several_orders_meet_everybody_has_a_proof(count: int) -> None:
    for seed in range(3):
        world, choose = World(seed, longest_delay=0.05), random.Random(seed)
        common = choose.randrange(20)
        halves = []
        for branch in range(count):
            parts_at = choose.randrange(common, common + 10)
            halves.append(half(world, chain(parts_at + choose.randrange(1, 200), parts_at, branch + 1)))
        for earlier, later in itertools.pairwise(halves):
            meet(world, choose.choice(earlier), choose.choice(later))
            world.run(choose.random() * 2)
        world.run(2.0)
        for node in [node for nodes in halves for node in nodes]:
            assert proven(world, node), f"seed {seed}"
            assert errors(world, node) == [], f"seed {seed}"


def test_a_third_order_is_proven_even_if_two_others_were_proven_near_it() -> None:
    """The number at which the third order differs lies in the same gap of the locator."""
    world = World(1)
    second = chain(1_000, 300, 2)
    one, two, three = (half(world, blocks, 1)[0] for blocks in
                       (chain(1_000, 300, 1), second, second[:310] + chain(1_000, 310, 3)[310:]))
    meet(world, one, two)
    world.run(1.0)
    assert proven(world, one)[0] == proven(world, two)[0] == 300
    meet(world, two, three)
    world.run(1.0)
    assert proven(world, three)[0] == 310


def test_equal_orders_of_unequal_length_have_nothing_to_report() -> None:
    for length, other_length in ((0, 40), (1, 40), (7, 700), (40, 40)):
        world = World(1, longest_delay=0.05)
        one, other = half(world, chain(length)), half(world, chain(other_length))
        asked = count_questions([*one, *other])
        meet(world, one[0], other[0])
        world.run(30.0)
        assert [status_of(world, node)[0] for node in [*one, *other]] == [other_length] * 4
        assert [proven(world, node) for node in [*one, *other]] == [[]] * 4
        assert asked["get_order"] <= 2


def test_a_difference_is_found_before_any_of_it_is_executed() -> None:
    """Nobody has the transactions of the first block, so nothing after it is executed either."""
    world = World(1)
    stuck = signed_block(0, ["f" * 64], TOY_SEQUENCER)
    one, other = (half(world, [stuck, *chain(20, 10, branch)[1:]], 1)[0] for branch in (1, 2))
    meet(world, one, other)
    world.run(1.0)
    assert one.executed == other.executed == 0
    assert proven(world, one)[0] == proven(world, other)[0] == 10


def test_blocks_that_came_early_are_compared_when_it_is_their_turn() -> None:
    world = World(1)
    one, other = (half(world, chain(3), 1)[0] for _ in range(2))
    for node, branch in ((one, 1), (other, 2)):
        early = add_linked_peer(world, node)
        tell(world, early, *chain(6, 4, branch)[4:])
        tell(world, early, chain(4)[3])
        assert status_of(world, node)[0] == 6
    meet(world, one, other)
    world.run(1.0)
    assert sorted(proven(world, one)) == sorted(proven(world, other)) == [4, 5]


def test_after_a_restart_a_new_proof_is_found_and_an_old_one_not_reported_again(tmp_path: Path) -> None:
    for branch in (1, 2):
        [node] = half(World(1), chain(600, 20, branch), 1, Journal(tmp_path / str(branch)))
        node.commit()
        node.on_end()
    for expected in (True, False):
        world = World(2)
        journals = [Journal(tmp_path / str(branch)) for branch in (1, 2)]
        nodes = [world.add(SequencedNode, None, TotalOrderSetup(key=TOY_KEYS[0], journal=journal), no_key)
                 for journal in journals]
        world.run(0.1)
        meet(world, *nodes)
        world.run(2.0)
        for node in nodes:
            assert (20 in proven(world, node)) == expected
            assert 20 in node.evidence
            node.commit()
            node.on_end()


# --- what it costs ------------------------------------------------------------------------------------

def test_a_known_difference_is_not_searched_for_again() -> None:
    world = World(1)
    one, other = (half(world, chain(600, 100, branch), 1)[0] for branch in (1, 2))
    meet(world, one, other)
    world.run(2.0)
    asked = count_questions([one, other])
    world.run(120.0)
    assert asked == {}


def test_no_block_is_asked_for_when_there_is_enough_proof() -> None:
    world = World(1)
    one, other = (half(world, chain(30, 10, branch), 1)[0] for branch in (1, 2))
    meet(world, one, other)
    world.run(2.0)
    assert len(one.evidence) == len(other.evidence) == MAX_EVIDENCE
    third = half(world, chain(30, 5, 3), 1)[0]
    meet(world, third, one)
    world.run(2.0)
    assert len(one.evidence) == MAX_EVIDENCE and 5 in proven(world, third)
    asked = count_questions([third])
    world.run(120.0)
    assert asked == {}


class Liar(PolitePeer):
    """Claims that its order differs wherever it is asked, and sends old blocks, or none."""

    blocks: list[Block] = []

    def on_frame(self, connection: Any, frame: bytes) -> None:
        """Answer the question, and then the ping after it."""
        super().on_frame(connection, frame)
        message = self.received[-1]
        if message["type"] == "ping" and len(self.received) > 1:
            question = self.received[-2]
            if question["type"] == "get_order":
                self.send({"type": "order", "digests": {str(number): "0" * 64 for number in question["numbers"]}})
            elif question["type"] == "get_blocks":
                self.send(*self.blocks)


def test_a_peer_that_lies_about_its_order_is_asked_a_few_times_and_nobody_else_is() -> None:
    for blocks in ([], chain(3), chain(700)[:5]):
        world, node, honest = followed_world()
        tell(world, honest, *chain(700))
        liar = add_linked_peer(world, node, Liar)
        liar.blocks = blocks
        honest.news()
        for _ in range(20):
            tell(world, liar, {"type": "order", "digests": {"700": "1" * 64}})
        assert len(liar.messages("get_order")) <= 3
        assert [question["from"] for question in liar.messages("get_blocks")] == [0]
        assert honest.news("get_order", "get_blocks") == []
        assert proven(world, node) == [] and errors(world, node) == [] and not liar.is_closed


def test_one_question_about_the_order_at_a_time() -> None:
    world, node, honest = followed_world()
    tell(world, honest, *chain(700))
    silent = add_linked_peer(world, node)
    silent.on_frame = lambda connection, frame: silent.received.append(frame)  # answers no ping
    tell(world, silent, *({"type": "order", "digests": {str(number): "1" * 64}} for number in range(100, 200)))
    assert sum(b'"get_order"' in frame for frame in silent.received) == 1


def test_an_answer_about_the_order_is_small_whatever_the_question() -> None:
    world, _, honest = followed_world()
    tell(world, honest, *chain(5))
    tell(world, honest, {"type": "get_order", "numbers": [2**53 - 1 - number for number in range(MAX_DIGESTS - 1)] + [5]})
    [answer] = honest.news("order")
    assert list(answer["digests"]) == ["5"]


@pytest.mark.parametrize("message", [
    {"type": "order"}, {"type": "order", "digests": []}, {"type": "order", "digests": {"0": "0" * 64}},
    {"type": "order", "digests": {"01": "0" * 64}}, {"type": "order", "digests": {"1": "0" * 63}},
    {"type": "order", "digests": {"1": None}}, {"type": "order", "digests": {"1" * 17: "0" * 64}},
    {"type": "order", "digests": {str(number): "0" * 64 for number in range(1, MAX_DIGESTS + 2)}},
    {"type": "get_order"}, {"type": "get_order", "numbers": {}}, {"type": "get_order", "numbers": [0]},
    {"type": "get_order", "numbers": [1, 1]}, {"type": "get_order", "numbers": [True]},
    {"type": "get_order", "numbers": [[1]]}, {"type": "get_order", "numbers": ["1"]},
    {"type": "get_order", "numbers": list(range(1, MAX_DIGESTS + 2))}], ids=lambda message: str(message)[:60])
def test_messages_about_the_order_of_the_wrong_form_are_format_errors(message: Event) -> None:
    world, node, peer = followed_world()
    tell(world, peer, message)
    assert errors(world, node) == ["FORMAT"] and peer.is_closed


# --- the messages -------------------------------------------------------------------------------------

def digests_of(blocks: list[Block]) -> list[str]:
    """Digests 0, 1, 2 …, made from contract §3 and not by the code under test."""
    digests = [b""]
    for block in blocks:
        digests.append(hashlib.sha256(digests[-1] + bytes.fromhex(block_id(block))).digest())
    return [digest.hex() for digest in digests]


def test_the_order_is_sent_after_the_handshake_and_with_each_height() -> None:
    world, node, peer = followed_world()
    blocks = chain(100, 0)
    tell(world, peer, *blocks)
    expected = {str(number): digests_of(blocks)[number] for number in (100, 99, 98, 96, 92, 84, 68, 36)}
    world.run(5.0)
    assert [message["digests"] for message in peer.news("order")] == [expected]
    other = world.add(PolitePeer, node.address, 4)
    world.run(0.1)
    tell(world, other, other.hello_message(node.network_name))
    assert [message["digests"] for message in other.messages("order")] == [expected]
    tell(world, other, {"type": "get_order", "numbers": [7, 101, 1]})
    assert other.messages("order")[-1]["digests"] == {"7": digests_of(blocks)[7], "1": digests_of(blocks)[1]}


def test_a_neighbour_that_does_not_know_these_messages_stays_a_neighbour() -> None:
    world, node, _ = followed_world()
    old = add_linked_peer(world, node, ChainPeer)
    old.chain = chain(20)
    tell(world, old, {"type": "height", "number": 20})
    world.run(20.0)
    assert status_of(world, node)[0] == 20 and not old.is_closed and errors(world, node) == []


def test_no_neighbour_is_blamed_for_a_block_that_only_the_nodes_own_order_makes_invalid() -> None:
    """A block of the other half orders a transaction that an earlier block has ordered here. Its nodes are honest."""
    world, node, peer = followed_world()
    paid = signed_transaction(ALICE, BOB, 1)
    other = add_linked_peer(world, node, ChainPeer)
    with_it, again = signed_block(0, ids_of([paid]), TOY_SEQUENCER), signed_block(1, ids_of([paid]), TOY_SEQUENCER)
    other.chain = [signed_block(0, [], TOY_SEQUENCER), again]
    tell(world, peer, with_it)
    for _ in range(15):
        tell(world, other, {"type": "height", "number": 2})
    assert not other.is_closed and errors(world, node) == ["INVALID"], "only one line"
    assert status_of(world, node)[0] == 1


# --- the digests alone --------------------------------------------------------------------------------

def order_of(ids: list[str]) -> Order:
    """The order of blocks with these ids."""
    order = Order()
    for one in ids:
        order.add(one)
    return order


def test_the_search_closes_in_on_the_first_block_that_differs_whatever_the_lengths() -> None:
    choose = random.Random(11)
    for _ in range(300):
        parts_at, length, other_length = choose.randrange(400), choose.randrange(1, 500), choose.randrange(1, 500)
        own, other = (order_of([f"{branch if number >= parts_at else 0:064x}" for number in range(count)])
                      for branch, count in ((1, length), (2, other_length)))
        gap = own.find_gap(other.locator())
        if gap is None and own.is_behind(other.locator()):
            gap = own.find_gap(other.digests([length]))
        if parts_at >= min(length, other_length):
            assert gap is None
        elif other_length <= length or gap is not None:
            while gap is not None and not gap.is_closed:
                gap = own.find_gap(other.digests(gap.numbers()))
            assert gap == (parts_at, parts_at + 1)


def test_the_numbers_to_ask_for_are_few_and_cover_the_whole_order() -> None:
    for agreed, differing in ((0, 2), (1, 3), (0, 63), (0, 64), (0, 65), (1, 66), (3, 10**6), (0, 2**53 - 1)):
        numbers = Gap(agreed, differing).numbers()
        assert len(numbers) <= MAX_DIGESTS and numbers == sorted(set(numbers))
        assert (numbers[0], numbers[-1]) == (max(1, agreed), differing)
        assert max(later - earlier for earlier, later in itertools.pairwise([agreed, *numbers])) \
            <= (differing - agreed) // 32 + 1
