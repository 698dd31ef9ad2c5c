"""Blocks of stage 4 in memory: which are accepted, which wait, and two with one number."""

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

from common.encoding import MAX_INTEGER
from common.journal import Journal
from lab.simulation import World
from stage4_sequencer.node import SequencedNode
from stage4_sequencer.total_order import TotalOrderSetup
from tests.memory import Event
from tests.stage2_ledger.scenes import PolitePeer, add_linked_peer, errors
from tests.stage4_sequencer.scenes import (ALICE, BOB, CAROL, NETWORK, SEQUENCER, STAGE, TOY_SEQUENCER, ChainPeer,
                                           add_founder_peer, add_node, assert_took, block_id, chain_of, followed_world,
                                           ids_of, no_key, signed_block, signed_transaction, status_of, tell,
                                           toy_signatures)

# --- which block is accepted ------------------------------------------------------------------------

def bad_blocks() -> dict[str, Event]:
    """Blocks with number 0 that are well-formed but invalid."""
    ids = ["a" * 64, "b" * 64]
    good = signed_block(0, ids)
    return {
        "another signer": signed_block(0, ids, ALICE),
        "another number": {**signed_block(1, ids), "number": 0},
        "another order": {**good, "transactions": ids[::-1]},
        "one id less": {**good, "transactions": ids[:1]},
        "another network": signed_block(0, ids, network="0" * 64),
        "no signature": {**good, "signature": ""},
        "signature in a second encoding": {**good, "signature": good["signature"] + "\n"},
    }


@pytest.mark.parametrize("what", bad_blocks())
def test_a_block_that_the_sequencer_has_not_signed_is_invalid_and_not_forwarded(what: str) -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    tell(world, other, *[bad_blocks()[what]] * 9)
    assert status_of(world, node) == (0, 0) and errors(world, node) == ["INVALID"] and not other.is_closed
    tell(world, other, bad_blocks()[what])
    assert other.is_closed and [error["code"] for error in other.messages("error")] == ["INVALID"]
    assert peer.news("block", "want") == []
    tell(world, peer, signed_block(0, []))
    assert status_of(world, node) == (1, 0), "a forged copy does not keep out the genuine one"


@pytest.mark.parametrize("change", [
    {"number": -1}, {"number": MAX_INTEGER + 1}, {"number": 0.0}, {"number": False}, {"number": None},
    {"transactions": ["a" * 64] * 2}, {"transactions": ["A" * 64]}, {"transactions": ["a" * 63]},
    {"transactions": "a" * 64}, {"signature": None}, {"signature": 1}, {"extra": 0},
    {"transactions": [f"{number:064x}" for number in range(50_001)]}],
    ids=lambda change: json.dumps(change)[:40])
def test_a_block_of_the_wrong_form_is_a_format_error(change: dict[str, Any]) -> None:
    world, node, peer = followed_world()
    tell(world, peer, {**signed_block(0, []), **change})
    assert errors(world, node) == ["FORMAT"] and peer.is_closed
    assert status_of(world, node) == (0, 0)


@pytest.mark.parametrize("message", [{"type": "get_blocks"}, {"type": "get_blocks", "from": -1}, {"type": "height"},
                                     {"type": "height", "number": "1"}, {"type": "height", "number": 1, "extra": 1}])
def test_questions_of_the_wrong_form_are_format_errors(message: Event) -> None:
    world, node, peer = followed_world()
    tell(world, peer, message)
    assert errors(world, node) == ["FORMAT"] and peer.is_closed


def test_an_id_in_an_earlier_block_makes_a_block_invalid() -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    paid, more = signed_transaction(ALICE, BOB, 30), signed_transaction(ALICE, BOB, 3)
    again = signed_block(1, ids_of([more, paid]))
    tell(world, peer, paid, more, signed_block(0, ids_of([paid])), again)
    assert status_of(world, node) == (1, 1) and errors(world, node) == ["INVALID"]
    good = signed_block(1, ids_of([more]))
    tell(world, peer, good)
    assert_took(world, node, [signed_block(0, ids_of([paid])), good], [paid, more])
    assert again not in other.news("block")


def test_an_early_block_with_an_id_of_an_earlier_one_is_not_accepted_either() -> None:
    world, node, peer = followed_world()
    innocent = add_linked_peer(world, node)
    paid = signed_transaction(ALICE, BOB, 30)
    first = signed_block(0, ids_of([paid]))
    tell(world, peer, paid, signed_block(1, ids_of([paid])))
    tell(world, innocent, *[signed_block(0, [], ALICE)] * 9, first)
    assert_took(world, node, [first], [paid])
    assert not innocent.is_closed, "its nine do not become ten through another peer's block"
    assert errors(world, node) == ["INVALID", "INVALID"]


def test_a_replayed_block_is_executed_once_and_never_counts() -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    paid = signed_transaction(ALICE, BOB, 30)
    chain = chain_of([[paid], []])
    tell(world, peer, paid, *chain)
    for block in chain * 15:
        other.send(block)
        peer.send_body(json.dumps(dict(reversed(block.items())), indent=1).encode())
    world.settle()
    assert errors(world, node) == [] and not other.is_closed and not peer.is_closed
    assert_took(world, node, chain, [paid])
    assert [block["number"] for block in other.news("block")] == [0, 1], "forwarded once"
    assert [block["number"] for block in world.reported(node, "block")] == [0, 1]


@pytest.mark.parametrize("is_early", [False, True], ids=["accepted", "early"])
def test_a_badly_signed_copy_of_a_known_block_counts_every_time(is_early: bool) -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    block = signed_block(int(is_early), [])
    forged = {**block, "signature": signed_block(7, [])["signature"]}
    tell(world, other, block, *[block, forged] * 9)
    assert not other.is_closed and errors(world, node) == ["INVALID"]
    tell(world, other, forged)
    assert other.is_closed and world.reported(node, "equivocation") == []
    assert forged not in peer.news("block")


def test_a_block_is_forwarded_once_accepted_as_the_bytes_that_came() -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    frames: list[bytes] = []
    other.on_frame = lambda connection, frame: frames.append(frame)
    block = signed_block(0, [])
    body = json.dumps(dict(reversed(block.items())), indent=2).encode()
    peer.send_body(body)
    world.settle()
    assert [frame[4:] for frame in frames if b"block" in frame] == [body]
    assert peer.news("block") == [], "not to where it came from"


# --- early blocks -----------------------------------------------------------------------------------

def test_early_blocks_wait_for_their_turn() -> None:
    choose = random.Random(4)
    batches = [[signed_transaction(ALICE, BOB, 30)], [], [signed_transaction(BOB, CAROL, 75)],
               [signed_transaction(CAROL, ALICE, 70)]]
    chain = chain_of(batches)
    for seed in range(30):
        world, node, peer = followed_world(seed)
        messages = [*itertools.chain(*batches), *chain]
        choose.shuffle(messages)
        for position, message in enumerate(messages):
            tell(world, peer, message)
            came = [block for block in messages[:position + 1] if block["type"] == "block"]
            in_turn = next(number for number in range(5) if number == 4 or chain[number] not in came)
            assert status_of(world, node)[0] == in_turn, f"seed {seed}"
        assert_took(world, node, chain, list(itertools.chain(*batches)))
        assert errors(world, node) == []


@toy_signatures()
def test_at_most_a_thousand_early_blocks_are_kept() -> None:
    world, node, peer = followed_world()
    chain = chain_of([[] for _ in range(1_003)], TOY_SEQUENCER)
    silent = add_linked_peer(world, node)
    tell(world, silent, *chain[1:])
    assert status_of(world, node) == (0, 0) and errors(world, node) == []
    world.kill(silent)
    world.settle()
    tell(world, peer, chain[0])
    assert status_of(world, node) == (1_001, 0)
    tell(world, peer, *chain)
    assert status_of(world, node) == (1_003, 0)


def test_early_blocks_may_list_only_so_many_transactions_together_and_one_without_room_may_come_again(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage4_sequencer.node.MAX_WAITING_IDS", 5)
    world, node, _ = followed_world()
    holder = add_linked_peer(world, node, ChainPeer)
    ids = [f"{number:064x}" for number in range(13)]
    chain = [signed_block(0, []), signed_block(1, ids[:6]), signed_block(2, ids[6:9]), signed_block(3, ids[9:11]),
             signed_block(4, ids[11:12])]
    tell(world, holder, chain[2], chain[4], chain[3])
    assert list(node.early) == [2, 4], "3 would be one too many"
    holder.chain = chain
    tell(world, holder, {"type": "height", "number": 5})
    assert status_of(world, node) == (5, 0) and not node.early
    tell(world, holder, signed_block(6, ids[:6]), signed_block(7, ids[12:]))
    assert list(node.early) == [6], "one block may always wait"


def test_an_early_block_makes_the_node_ask_for_those_before_it() -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    chain = chain_of([[]] * 6)
    tell(world, peer, chain[0])
    other.news()
    tell(world, other, chain[3], chain[5], chain[2])
    questions = other.news("get_blocks", "block")
    assert questions[0] == {"type": "get_blocks", "from": 1} and peer.news("get_blocks") == []
    assert [one for one in questions if one["type"] == "block"] == [], "not forwarded before its turn"
    tell(world, other, chain[1], chain[4])
    assert status_of(world, node) == (6, 0)
    assert [block["number"] for block in peer.news("block")] == [1, 2, 3, 4, 5], "forwarded in order"


# --- two blocks with one number ---------------------------------------------------------------------

@pytest.mark.parametrize("is_early", [False, True], ids=["accepted", "early"])
def test_the_first_of_two_blocks_with_one_number_stands_and_both_are_evidence(is_early: bool) -> None:
    world, node, peer = followed_world()
    other, third = add_linked_peer(world, node), add_linked_peer(world, node)
    paid, more = signed_transaction(ALICE, BOB, 30), signed_transaction(ALICE, BOB, 3)
    number = 1 if is_early else 0
    zero = [signed_block(0, [])] * number
    first, second, noise = (signed_block(number, ids_of(ids)) for ids in ([paid], [more], [more, paid]))
    tell(world, peer, paid, more, first)
    peer.news(), other.news(), third.news()
    tell(world, other, second)
    tell(world, peer, second, first)
    tell(world, third, noise, second)
    assert world.reported(node, "equivocation") == [
        {"creator": SEQUENCER.account, "number": number, "ids": [block_id(first), block_id(second)]}]
    assert [json.loads(frame[4:]) for frame in node.evidence[number]] == [first, second]
    assert peer.news("block") == third.news("block") == [second] and other.news("block") == []
    tell(world, peer, *zero, signed_block(number + 1, ids_of([more])))
    assert_took(world, node, [*zero, first, signed_block(number + 1, ids_of([more]))], [paid, more])
    assert errors(world, node) == [], "neither side is to blame for the sequencer"


@pytest.mark.parametrize("is_early", [False, True])
def test_after_a_restart_the_first_of_two_blocks_still_stands_and_both_are_evidence(
        is_early: bool, tmp_path: Path) -> None:
    number = 1 if is_early else 0
    first, second = (signed_block(number, ids) for ids in (["a" * 64], ["b" * 64]))
    for blocks in ([first, second], [second, first]):
        world = World(1)
        peer = add_founder_peer(world)
        node = world.add(SequencedNode, peer.address, TotalOrderSetup(key=ALICE, journal=Journal(tmp_path)), no_key)
        world.run(2.0)
        tell(world, peer, *blocks)
        assert [json.loads(frame[4:]) for frame in node.evidence[number]] == [first, second]
        node.commit()
        node.on_end()
    assert world.reported(node, "equivocation") == [], "it was reported before"


def test_a_second_block_that_is_forged_is_no_evidence() -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    tell(world, peer, signed_block(0, []))
    other.news()
    for forged in (signed_block(0, ["a" * 64], ALICE), {**signed_block(1, ["a" * 64]), "number": 0},
                   signed_block(0, ["a" * 64], network="0" * 64)):
        tell(world, peer, forged)
    assert world.reported(node, "equivocation") == [] and other.news("block") == [] and node.evidence == {}
    tell(world, peer, signed_block(0, ["a" * 64]))
    assert len(world.reported(node, "equivocation")) == 1 and len(other.news("block")) == 1


def test_nodes_that_got_different_blocks_all_learn_of_the_equivocation() -> None:
    for seed in range(50):
        world, one, peer = followed_world(seed, longest_delay=0.05)
        two = add_node(world, one)
        world.run(1.0)
        three = add_node(world, two, BOB)
        world.run(2.0)
        liar = world.add(PolitePeer, three.address, STAGE)
        world.run(0.1)
        liar.send(liar.hello_message(NETWORK))
        world.settle()
        first, second = signed_block(0, []), signed_block(0, ["a" * 64])
        peer.send(first)
        liar.send(second)
        world.settle()
        for node in (one, two, three):
            [event] = world.reported(node, "equivocation")
            assert sorted(event["ids"]) == sorted([block_id(first), block_id(second)]), f"seed {seed}"
        assert first in liar.messages("block") and second in peer.messages("block"), f"seed {seed}"
