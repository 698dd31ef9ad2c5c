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


STRANGERS = [Boaster, Silent, Repeating, Dripping]


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
    answered(later, 300)
    assert asked[-1] == (later, 300)
    answered(later, 300)
    assert asked[-1] == (peer, 300), "all have failed once"
    answered(peer, 600)
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
