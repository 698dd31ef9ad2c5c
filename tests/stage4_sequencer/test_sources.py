"""Which peers a node of stage 4 asks for blocks, in memory: strangers that claim to be ahead delay nobody."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from common.encoding import MAX_INTEGER
from common.interface import Connection
from lab.simulation import World
from stage4_sequencer.node import SequencedNode
from stage4_sequencer.sources import Sources
from stage4_sequencer.total_order import TotalOrderSetup
from tests.memory import FakeConnection
from tests.slow_line import SlowWorld
from tests.stage2_ledger.scenes import PolitePeer, add_linked_peer, errors
from tests.stage4_sequencer.scenes import (TOY_KEYS, TOY_SEQUENCER, ChainPeer, add_founder_peer, chain_of,
                                           followed_world, no_key, status_of, tell, toy_signatures)

CHAIN = chain_of([[] for _ in range(600)], TOY_SEQUENCER)

FAR_AHEAD = {"type": "height", "number": MAX_INTEGER}


@pytest.fixture(autouse=True)
def cheap_signatures() -> Iterator[None]:
    """Cheap signatures for all tests: these are about who is asked."""
    with toy_signatures():
        yield


class Boaster(PolitePeer):
    """Claims again and again that it is far ahead, and answers questions with nothing."""

    def start(self, peer: str | None) -> None:
        """Begin to boast."""
        super().start(peer)
        self.network.after(1.0, self.boast)

    def boast(self) -> None:
        """Claim it every second, as long as the connection lasts."""
        self.network.after(1.0, self.boast)
        if not self.is_closed:
            self.send(FAR_AHEAD)


class Silent(Boaster):
    """Does not even answer a ping."""

    def on_frame(self, connection: Any, frame: bytes) -> None:
        """Keep the frame."""
        self.received.append(json.loads(frame[4:]))


class Repeating(Boaster):
    """Answers with blocks that everybody has."""

    def on_frame(self, connection: Any, frame: bytes) -> None:
        """Send old blocks, and a pong."""
        if json.loads(frame[4:])["type"] == "get_blocks":
            self.send(*CHAIN[:5])
        super().on_frame(connection, frame)


class Dripping(Boaster):
    """Brings one block every four seconds."""

    def on_frame(self, connection: Any, frame: bytes) -> None:
        """Begin at the number of the question, and answer no ping."""
        self.received.append(json.loads(frame[4:]))
        if self.received[-1]["type"] == "get_blocks":
            self.drip(self.received[-1]["from"])

    def drip(self, number: int) -> None:
        """Send the next block."""
        if number < len(CHAIN):
            self.send(CHAIN[number])
            self.network.after(4.0, lambda: self.drip(number + 1))


class OneByOne(Boaster):
    """Answers with one block 4.5 seconds later."""

    def on_frame(self, connection: Any, frame: bytes) -> None:
        """Send the block, and the pong of a ping, when the time is over."""
        message = json.loads(frame[4:])
        if message["type"] == "get_blocks":
            self.network.after(4.5, lambda: self.send(*CHAIN[message["from"]:][:1]))
        elif message["type"] == "ping":
            self.network.after(4.5, lambda: self.send({**message, "type": "pong"}))


def add_honest(world: World) -> SequencedNode:
    """A node of the same network that has all blocks and knows nobody else."""
    peer = add_founder_peer(world)
    node = world.add(SequencedNode, peer.address, TotalOrderSetup(key=TOY_KEYS[1]), no_key)
    world.run(0.5)
    tell(world, peer, *CHAIN)
    assert status_of(world, node)[0] == len(CHAIN)
    return node


def surround(world: World, node: SequencedNode, kind: type[Boaster], count: int = 20) -> list[Boaster]:
    """Strangers that have called `node`, and boast."""
    strangers = [add_linked_peer(world, node, kind) for _ in range(count)]
    for stranger in strangers:
        stranger.send(FAR_AHEAD)
    world.settle()
    return strangers


STRANGERS = [Boaster, Silent, Repeating, Dripping, OneByOne]


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_peer_that_this_node_has_called_is_asked_before_many_strangers(kind: type[Boaster]) -> None:
    world, node, _ = followed_world()
    honest = add_honest(world)
    surround(world, node, kind)
    world.open(world.networks[node.address], honest.address)
    world.run(1.0)
    assert status_of(world, node)[0] == len(CHAIN), "at once, even if a stranger was asked first"
    assert errors(world, node) == []


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_neighbour_that_called_this_node_gets_its_turn_among_many_strangers(kind: type[Boaster]) -> None:
    world, node, _ = followed_world()
    honest = add_honest(world)
    surround(world, node, kind)
    world.open(world.networks[honest.address], node.address)
    world.run(28.0)
    assert status_of(world, node)[0] == len(CHAIN), "1, 2, 4 … 32 are asked, each time 5 s later"
    assert errors(world, node) == []


def test_a_stranger_that_is_asked_first_has_five_seconds() -> None:
    for kind in STRANGERS:
        world, node, _ = followed_world()
        surround(world, node, kind, 1)
        honest = add_honest(world)
        world.run(20.0)
        world.open(world.networks[honest.address], node.address)
        world.run(7.0)
        assert status_of(world, node)[0] == len(CHAIN), kind.__name__


class AnyLength(ChainPeer):
    """Answers with up to a hundred blocks."""

    answer = 100


def questions(peer: PolitePeer) -> list[int]:
    """The numbers from which `peer` was asked for blocks."""
    return [message["from"] for message in peer.messages("get_blocks")]


def test_one_of_several_neighbours_is_asked_and_each_block_comes_once() -> None:
    world, node, _ = followed_world()
    peers = [add_linked_peer(world, node, AnyLength) for _ in range(6)]
    for peer in peers:
        peer.chain = CHAIN
        peer.send({"type": "height", "number": len(CHAIN)})
    world.settle()
    assert status_of(world, node)[0] == len(CHAIN)
    assert sorted(first for peer in peers for first in questions(peer)) == list(range(0, len(CHAIN), 100))


def test_when_the_asked_neighbour_leaves_another_one_is_asked_at_once() -> None:
    world, node, _ = followed_world()
    silent, other = add_linked_peer(world, node, Silent), add_linked_peer(world, node, AnyLength)
    other.chain = CHAIN
    tell(world, silent, FAR_AHEAD)
    tell(world, other, {"type": "height", "number": len(CHAIN)})
    assert questions(silent) == [0] and questions(other) == []
    world.kill(silent)
    world.settle()
    assert status_of(world, node)[0] == len(CHAIN)


def test_a_neighbour_that_answers_nothing_is_not_asked_again_for_a_minute() -> None:
    world, node, _ = followed_world()
    silent = add_linked_peer(world, node, Silent)
    world.run(55.0)
    assert questions(silent) == [0], "a second question does not hurry a slow reader"
    silent.send({"type": "chat", "nonce": "0" * 32, "text": "still here"})
    world.run(10.0)
    assert questions(silent) == [0, 0] and not silent.is_closed


def test_the_order_is_no_failure_then_the_peer_then_own_calls_then_order_of_arrival() -> None:
    asked: list[tuple[Connection, int]] = []
    caller, later = FakeConnection(None, "caller", 1.0), FakeConnection(None, "later", 5.0)
    called, peer = FakeConnection("called:1", "called", 2.0), FakeConnection("peer:1", "peer", 3.0)
    trust: dict[Connection, int] = {called: 1, peer: 2}
    sources = Sources(lambda connection, first: asked.append((connection, first)), lambda: 9.0,
                      lambda connection: trust.get(connection, 0))
    for connection in (later, caller, called, peer):
        sources.told(connection, 1_000)

    def answered(connection: Connection, first: int) -> None:
        sources.answered(connection, first)
        sources.ask(first)

    sources.ask(0)
    for connection in (peer, called, caller):
        answered(connection, 0)
    assert asked == [(peer, 0), (called, 0), (caller, 0), (later, 0)]
    for connection in (caller, called, peer):
        sources.told(connection, 1_000)
    sources.came(100_000, later)
    answered(later, 300)
    assert asked[-1] == (later, 300)
    answered(later, 300)
    assert asked[-1] == (peer, 300), "all have failed once"
    sources.came(100_000, peer)
    answered(peer, 600)
    sources.came(100_000, peer)
    answered(peer, 1_000)
    assert asked[-1] == (peer, 600) and len(asked) == 7


def test_twice_as_many_others_are_asked_each_time_that_nothing_has_come_for_five_seconds() -> None:
    asked: list[Connection] = []
    time = 0.0
    sources = Sources(lambda connection, _: asked.append(connection), lambda: time, lambda _: 0)
    sources.lose_patience()  # nobody is asked yet, so this is no reason to ask more of them
    for number in range(40):
        sources.told(FakeConnection(None, str(number), float(number)), 1_000)
    counts = []
    for _ in range(5):
        sources.ask(0)
        counts.append(len(asked))
        time += 5.0
        sources.lose_patience()
    assert counts == [1, 1 + 2, 1 + 2 + 4, 1 + 2 + 4 + 8, 1 + 2 + 4 + 8 + 16]


class Scene:
    """Sources alone, with a clock and a list of who was asked."""

    def __init__(self, count: int) -> None:
        self.time = 0.0
        self.asked: list[Connection] = []
        self.sources = Sources(lambda connection, _: self.asked.append(connection), lambda: self.time, lambda _: 0)
        self.neighbours = [FakeConnection(None, str(number), float(number)) for number in range(count)]
        for one in self.neighbours:
            self.sources.told(one, 1_000_000)

    def wait(self, seconds: float, first: int) -> None:
        """Let time pass, and ask for the blocks from `first` on."""
        self.time += seconds
        self.sources.lose_patience()
        self.sources.ask(first)

    def answer(self, connection: Connection, size: int, first: int) -> None:
        """Let a neighbour bring `size` bytes and end its answer; then ask for the blocks from `first` on."""
        if size:
            self.sources.came(size, connection)
        self.sources.answered(connection, first)
        self.sources.ask(first)


def test_a_neighbour_that_answers_slowly_gives_way_to_the_next() -> None:
    scene = Scene(2)
    slow, other = scene.neighbours
    scene.sources.ask(0)
    scene.time = 4.5
    scene.answer(slow, 500, 1)
    scene.answer(other, 100_000, 200)
    assert scene.asked == [slow, other, other]


def test_one_small_block_for_each_question_brings_no_new_patience() -> None:
    scene = Scene(2)
    slow, other = scene.neighbours
    scene.sources.ask(0)
    for number in range(1, 6):
        scene.time += 0.9
        scene.answer(slow, 500, number)
    assert scene.asked == [slow] * 6, "each answer has come within a second"
    scene.wait(0.9, 5)
    assert scene.asked == [slow] * 6 + [other]
    scene.answer(other, 100_000, 200)
    scene.answer(slow, 500, 201)
    assert scene.asked == [slow] * 6 + [other] * 2


def test_neighbours_that_bring_one_block_each_do_not_slow_the_doubling() -> None:
    scene = Scene(40)
    number, counts = 0, []
    scene.sources.ask(number)
    for _ in range(5):
        for _ in range(5):
            scene.time += 0.9
            for one in [one for one in scene.neighbours if scene.sources.is_asked(one)]:
                number += 1
                scene.answer(one, 50, number)
        counts.append(len(set(scene.asked)))
        scene.wait(0.9, number)
    assert all(count >= least for count, least in zip(counts, [1, 3, 7, 15, 31], strict=True)), counts


def test_whoever_is_patient_until_just_after_the_five_seconds_is_late() -> None:
    scene = Scene(3)
    scene.sources.ask(0)
    scene.time = 5.1
    scene.answer(scene.neighbours[0], 0, 0)
    assert scene.asked == scene.neighbours, "two more, although no second has begun since"


@pytest.mark.parametrize("seconds", [0.0, 2.0])
def test_what_others_have_brought_is_no_success(seconds: float) -> None:
    scene = Scene(3)
    first, second, third = scene.neighbours
    scene.sources.ask(0)
    scene.wait(5.0, 0)
    assert scene.asked == [first, second, third]
    scene.time += seconds
    for number in (200, 400):
        scene.answer(third, 100_000, number)
        for idle in (first, second):
            scene.answer(idle, 0, number)
    assert scene.asked == [first, second, third, third, third]


def test_a_slow_neighbour_is_asked_on_if_there_is_no_other() -> None:
    scene = Scene(1)
    only = scene.neighbours[0]
    scene.sources.ask(0)
    for number in range(1, 9):
        scene.wait(4.0, number - 1)
        scene.answer(only, 500, number)
    assert scene.asked == [only] * 9


def test_one_neighbour_is_asked_again_after_the_node_has_caught_up() -> None:
    scene = Scene(9)
    scene.sources.ask(0)
    for _ in range(2):
        scene.wait(5.0, 0)
    scene.answer(scene.neighbours[6], 500, 1_000_000)
    assert len(scene.asked) == 7
    scene.time += 60.0
    for one in scene.neighbours:
        scene.sources.told(one, 1_000_001)
    scene.sources.ask(1_000_000)
    scene.wait(5.0, 1_000_000)
    assert len(scene.asked) == 7 + 1 + 2, "as at the beginning"


def test_a_late_answer_still_counts() -> None:
    world, node, _ = followed_world()
    slow = add_linked_peer(world, node, Silent)
    world.run(20.0)
    tell(world, slow, *CHAIN[:500], {"type": "pong", "nonce": "blocks"})
    assert status_of(world, node)[0] == 500 and questions(slow) == [0, 500]


@pytest.mark.parametrize("bytes_per_second", [20_000, 100_000])
def test_on_a_slow_line_each_block_comes_once_even_if_several_neighbours_have_it(bytes_per_second: int) -> None:
    world = SlowWorld()
    founder = add_founder_peer(world)
    nodes = [world.add(SequencedNode, founder.address, TotalOrderSetup(key=TOY_KEYS[0]), no_key)]
    world.run(1.0)
    nodes += [world.add(SequencedNode, nodes[0].address, TotalOrderSetup(key=key), no_key) for key in TOY_KEYS[1:4]]
    world.run(1.0)
    tell(world, founder, *CHAIN)
    world.run(5.0)
    assert [status_of(world, node)[0] for node in nodes] == [len(CHAIN)] * 4
    late = world.add(SequencedNode, nodes[0].address, TotalOrderSetup(key=TOY_KEYS[4]), no_key)
    world.rates[late.address] = bytes_per_second
    needed = sum(len(block.frame) for block in nodes[0].blocks)
    world.run(1.5 * needed / bytes_per_second + 3.0)
    assert status_of(world, late)[0] == len(CHAIN) and len(late.links) > 2
    assert world.received[late.address] <= 1.2 * needed + 20_000
