"""A node of stage 4 that is behind, in memory: heights, questions and answers."""

import json
from typing import Any

import pytest

from common.encoding import MAX_INTEGER, encode_frame
from tests.memory import Event, add_stranger
from tests.stage2_ledger.scenes import add_linked_peer, ledger_of
from tests.stage4_sequencer.scenes import (ALICE, BOB, CAROL, NETWORK, STAGE, TOY_KEYS, TOY_SEQUENCER, ChainPeer,
                                           add_node, blocks_of, chain_of, followed_world, founded_world,
                                           signed_transaction, status_of, tell, toy_signatures)


def heights(messages: list[Event]) -> list[int]:
    """The numbers of the `height` messages."""
    return [message["number"] for message in messages if message["type"] == "height"]


def test_height_is_sent_after_the_handshake_and_every_five_seconds() -> None:
    world, node, peer = followed_world()
    tell(world, peer, *chain_of([[], [], []]))
    stranger = add_stranger(world, node, STAGE)
    tell(world, stranger, stranger.hello_message(NETWORK))
    assert heights(stranger.received) == [3]
    world.kill(stranger)
    world.settle()
    peer.news()
    told = []
    for _ in range(4):
        world.run(5.0)
        told.append(heights(peer.news()))
    assert told == [[3]] * 4


def test_the_neighbour_that_is_behind_asks_the_one_that_is_ahead() -> None:
    world, _, peer = followed_world()
    chain = chain_of([[]] * 4)
    tell(world, peer, *chain[:2])
    peer.news()
    tell(world, peer, {"type": "height", "number": 2})
    assert peer.news("height", "get_blocks") == [], "equal: nothing to say"
    tell(world, peer, {"type": "height", "number": 1})
    assert peer.news("height", "get_blocks") == [{"type": "height", "number": 2}], "ahead: so that the other asks"
    tell(world, peer, {"type": "get_blocks", "from": 1}, {"type": "get_blocks", "from": 0},
         {"type": "get_blocks", "from": 2}, {"type": "get_blocks", "from": MAX_INTEGER})
    assert peer.news("block") == [chain[1], *chain[:2]]
    tell(world, peer, {"type": "height", "number": 4})
    assert peer.news("height", "get_blocks")[0] == {"type": "get_blocks", "from": 2}, "behind: asks"


def test_blocks_are_announced_and_sent_before_they_are_executed() -> None:
    """Otherwise one transaction that nobody has would also keep the blocks after it from spreading."""
    world, node, peer = followed_world()
    chain = chain_of([[signed_transaction(ALICE, BOB, 1)], []])
    tell(world, peer, *chain)
    stranger = add_stranger(world, node, STAGE)
    tell(world, stranger, stranger.hello_message(NETWORK), {"type": "get_blocks", "from": 0})
    assert blocks_of(world, node) == []
    assert heights(stranger.received) == [2] and stranger.messages("block") == chain


def test_it_asks_again_as_soon_as_an_answer_is_handled_until_it_has_caught_up() -> None:
    world, node, _ = followed_world()
    chain_peer = add_linked_peer(world, node, ChainPeer)
    chain_peer.chain = chain_of([[]] * 10)
    tell(world, chain_peer, {"type": "height", "number": 10})
    assert status_of(world, node) == (10, 0)
    assert [message["from"] for message in chain_peer.news("get_blocks")] == [0, 3, 6, 9]


def test_an_answer_that_brings_nothing_ends_the_asking_until_the_next_height() -> None:
    world, node, _ = followed_world()
    liar = add_linked_peer(world, node, ChainPeer)
    for _ in range(2):
        tell(world, liar, {"type": "height", "number": 1_000})
        assert [message["from"] for message in liar.news("get_blocks")] == [0]


def test_one_question_at_a_time() -> None:
    world, _, peer = followed_world()
    peer.on_frame = lambda connection, frame: (  # type: ignore[method-assign]
        peer.received.append(json.loads(frame[4:])))  # answers no pings
    tell(world, peer, *[{"type": "height", "number": 7}] * 5, *chain_of([[]] * 7)[2:5])
    assert peer.news("get_blocks") == [{"type": "get_blocks", "from": 0}]
    tell(world, peer, *chain_of([[]] * 3), {"type": "pong", "nonce": "blocks"})
    assert peer.news("get_blocks") == [{"type": "get_blocks", "from": 5}]


@toy_signatures()
def test_an_answer_has_at_most_500_blocks() -> None:
    world, node, peer = followed_world()
    chain = chain_of([[]] * 503, TOY_SEQUENCER)
    tell(world, peer, *chain)
    other = add_linked_peer(world, node)
    for start, numbers in ((0, range(500)), (2, range(2, 502)), (3, range(3, 503)), (4, range(4, 503))):
        tell(world, other, {"type": "get_blocks", "from": start})
        assert [block["number"] for block in other.news("block")] == list(numbers)


@pytest.mark.parametrize("size, count", [(4 * 2**20 - 100, 1), (2 * 2**20, 1), (2**20, 3), (2**20 - 100, 4)])
def test_an_answer_has_at_most_four_mebibytes_and_at_least_one_block(size: int, count: int) -> None:
    world, node, peer = followed_world()
    frame = encode_frame({"type": "block", "padding": "x" * size})
    node.sync.send_blocks(next(iter(node.links)), [frame] * 10)
    world.settle()
    assert len(peer.news("block")) == count


@toy_signatures()
def test_a_late_joiner_catches_up_with_hundreds_of_blocks() -> None:
    world, founder = founded_world(interval_ms=100, key=TOY_KEYS[0], sequencer=TOY_SEQUENCER)
    for number in range(1_201):
        founder.on_line(f"/send {TOY_KEYS[number % 5].account} {number % 7}")
        world.run(0.1)
    assert status_of(world, founder) == (1_201, 0)
    questions: list[int] = []
    answer = founder.sync.on_get_blocks

    def note_and_answer(connection: Any, message: Event, frame: bytes) -> None:
        questions.append(message["from"])
        answer(connection, message, frame)

    founder.sync.on_get_blocks = note_and_answer  # type: ignore[method-assign]
    late = add_node(world, founder, TOY_KEYS[5])
    world.run(0.2)
    assert questions == [0, 500, 1_000], "at once, not one answer every five seconds"
    world.run(10.0)
    assert blocks_of(world, late) == blocks_of(world, founder) and status_of(world, late) == (1_201, 0)
    assert ledger_of(world, late) == ledger_of(world, founder)


def test_blocks_missed_while_cut_off_are_fetched_even_if_no_new_block_comes() -> None:
    world, founder = founded_world(interval_ms=1_000)
    node = add_node(world, founder)
    world.run(1.0)
    world.partition({node.address})
    for _ in range(5):
        founder.on_line(f"/send {CAROL.account} 10")
        world.run(1.0)
    assert status_of(world, node) == (0, 0)
    world.heal()
    world.run(40.0)
    assert blocks_of(world, node) == blocks_of(world, founder) != []
    assert ledger_of(world, node) == ledger_of(world, founder)


def test_no_more_blocks_are_asked_for_while_very_many_transactions_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A late joiner must not note all ids of a long chain before it has the first transactions."""
    monkeypatch.setattr("stage4_sequencer.catching_up.MAX_MISSING", 4)
    world, node, _ = followed_world()
    chain_peer = add_linked_peer(world, node, ChainPeer)
    payments = [signed_transaction(ALICE, BOB, 1) for _ in range(20)]
    chain_peer.chain = chain_of([payments[number:number + 2] for number in range(0, 20, 2)])
    tell(world, chain_peer, {"type": "height", "number": 10})
    assert status_of(world, node)[0] == 3, "an answer has three blocks, which lack six"
    tell(world, chain_peer, *payments[:6])
    world.run(1.0)
    assert status_of(world, node)[0] == 6
    tell(world, chain_peer, *payments)
    world.run(3.0)
    assert status_of(world, node) == (10, 0)
