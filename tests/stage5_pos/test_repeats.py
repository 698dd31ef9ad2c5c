"""Stage 5 in memory: blocks that come again, forged copies, and blocks that are lost on their way."""

import pytest

from common.encoding import Message, encode_frame
from lab.simulation import World
from stage5_pos.node import StakeNode
from tests.memory import Stranger
from tests.stage5_pos.builder import (MILLION, add_node, block, block_id, new_world, transaction, transaction_id,
                                      winner)
from tests.stage5_pos.scenes import GENESIS, X, balances, chain, is_counted, scene, tell

TOO_MUCH = transaction(1, X, MILLION + 1)
"""A transaction that is properly signed, but that its sender can never pay."""


def known_blocks() -> dict[str, Message]:
    """A block for each place where a node remembers blocks, once it has heard TOO_MUCH."""
    return {"in the tree": block(1, GENESIS),
            "waiting": block(1, "0" * 64, number=winner(1)),
            "invalid": block(1, GENESIS, [transaction_id(TOO_MUCH)])}


def know(name: str) -> tuple[World, StakeNode, Stranger, Message]:
    """A node that knows such a block, and the peer that sent it, which has then sent at most one invalid message."""
    world, node, peer = scene()
    message = known_blocks()[name]
    tell(world, peer, TOO_MUCH, message)
    known = block_id(message)
    assert {"in the tree": known in node.tree, "waiting": known in node.waiting_blocks,
            "invalid": known in node.waiting_blocks.invalid} == {place: place == name for place in known_blocks()}
    return world, node, peer, message


@pytest.mark.parametrize("name", known_blocks())
def test_a_known_block_may_come_again_any_number_of_times(name: str) -> None:
    world, node, peer, message = know(name)
    before = node.describe_status()
    for _ in range(25):
        tell(world, peer, message)
    assert not peer.is_closed and node.describe_status() == before
    assert len(world.reported(node, "error")) == (name == "invalid"), "the first time counts, and no repeat"


@pytest.mark.parametrize("name", known_blocks())
def test_each_badly_signed_copy_of_a_known_block_counts(name: str) -> None:
    world, node, peer, message = know(name)
    before = node.describe_status()
    forged = {**message, "signature": block(2, GENESIS)["signature"]}
    for _ in range(9 - (name == "invalid")):
        tell(world, peer, forged, message)
    assert not peer.is_closed
    tell(world, peer, forged)
    assert peer.is_closed and peer.messages("error")[-1]["code"] == "INVALID"
    assert {**node.describe_status(), "peers": 0} == {**before, "peers": 0}


def test_a_postponed_block_is_refused_with_its_branch_when_the_transaction_that_it_lacked_is_invalid() -> None:
    world, node, peer = scene()
    bad = block(1, GENESIS, [transaction_id(TOO_MUCH)])
    child = block(2, block_id(bad))
    grandchild = block(3, block_id(child))
    tell(world, peer, bad, child, grandchild)
    assert len(node.waiting_blocks.blocks) == 3 and not is_counted(world, node)
    tell(world, peer, TOO_MUCH)
    assert not node.waiting_blocks.blocks and len(node.tree) == 0 and len(node.fetcher) == 0
    assert all(block_id(one) in node.waiting_blocks.invalid for one in (bad, child, grandchild))
    for _ in range(12):
        tell(world, peer, bad, child, grandchild)
    assert len(node.tree) == 0 and not peer.is_closed
    tell(world, peer, block(4, GENESIS))
    assert node.tree.best.height == 1 and X not in balances(node)


@pytest.mark.parametrize("spent", [[0, 0], [0, 1, 0]])
def test_a_transaction_twice_in_a_list_of_ids_is_format(spent: list[int]) -> None:
    world, node, peer = scene()
    ids = [transaction_id(transaction(1, X, 5, nonce)) for nonce in range(2)]
    tell(world, peer, block(1, GENESIS, [ids[number] for number in spent]))
    assert peer.is_closed and world.reported(node, "error")[-1]["code"] == "FORMAT" and not node.waiting_blocks.blocks


def test_a_transaction_of_an_ancestor_must_not_come_again_but_may_on_another_branch() -> None:
    world, node, peer = scene()
    paid = transaction(1, X, 10)
    first = block(1, GENESIS, [transaction_id(paid)])
    second = block(2, block_id(first))
    again = block(3, block_id(second), [transaction_id(paid)])
    elsewhere = block(4, GENESIS, [transaction_id(paid)])
    tell(world, peer, paid, first, second, again)
    assert len(node.tree) == 2 and len(world.reported(node, "error")) == 1
    tell(world, peer, elsewhere)
    assert len(node.tree) == 3 and len(world.reported(node, "error")) == 1 and balances(node)[X] == 9


@pytest.mark.parametrize("is_loser_the_caller", [False, True])
def test_blocks_that_were_lost_on_their_way_are_fetched_when_a_tip_is_announced(is_loser_the_caller: bool) -> None:
    world = new_world()
    called = add_node(world)
    caller = add_node(world, called.address)
    world.run(seconds=1)
    loser, holder = (caller, called) if is_loser_the_caller else (called, caller)
    for message in chain(3):
        holder.on_block(None, message, encode_frame(message))
        for connection in world.connections:
            connection.arriving.clear()
    assert (holder.tree.best.height, loser.tree.best.height) == (3, 0)
    world.run(seconds=6)
    assert loser.tree.best.id == holder.tree.best.id
