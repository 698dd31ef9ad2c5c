"""What a stake holder can do with a slot or two: twins, blocks that list blocks, branches that come back."""

import time
from itertools import islice

import pytest

from common.encoding import Message
from lab.simulation import World
from stage4_sequencer.waiting import Waiting
from stage5_pos.limits import MAX_SOLO_BYTES, MAX_TWINS
from stage5_pos.node import StakeNode
from stage5_pos.side import SoloBlocks
from stage5_pos.tree import Block, Tree
from tests.fixtures import kept_key
from tests.memory import Stranger, add_linked_stranger
from tests.stage5_pos.builder import (MILLION, block, block_id, new_world, next_slot, transaction, transaction_id,
                                      winner, wins)
from tests.stage5_pos.scenes import GENESIS, X, balances, chain, is_counted, scene, tell
from tests.stage5_pos.test_keeping import add_node as add_keeping_node
from tests.stage5_pos.test_keeping import crash
from tests.stage5_pos.test_room import NOWHERE, slots_of


def twins(many: int, parent: str, slot: int) -> tuple[list[Message], list[Message]]:
    """Payments, and twins by genesis account 1 in one slot, each with one more payment than the one before."""
    paid = [transaction(2, X, 5, nonce) for nonce in range(many - 1)]
    ids = [transaction_id(one) for one in paid]
    return paid, [block(slot, parent, ids[:number], number=1) for number in range(many)]


# --- blocks that list blocks as transactions ----------------------------------------------------

def test_a_block_that_lists_a_postponed_block_as_a_transaction_never_enters() -> None:
    world, node, peer = scene()
    slot = next(slots_of(1))
    named = block(slot, NOWHERE[0], [GENESIS], number=1)
    names = block(slot, GENESIS, [block_id(named)], number=1)
    tell(world, peer, names, named)
    assert len(node.tree) == 0 and is_counted(world, node), "the genesis is no transaction"
    tell(world, peer, block(1, GENESIS))
    assert node.tree.best.height == 1


def test_a_block_that_lists_a_block_which_has_left_the_tree_does_not_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    world, node, peer = scene()
    tell(world, peer, *chain(2))
    first, second, third = islice(slots_of(1, 3), 3)
    gone = block(first, GENESIS, number=1)
    parent = block(second, GENESIS, number=next(other for other in range(2, 11) if wins(other, second)))
    names = block(third, block_id(parent), [block_id(gone)], number=1)
    tell(world, peer, names, gone)
    monkeypatch.setattr("stage5_pos.side.MAX_SOLO_BYTES", 100)
    tell(world, peer, block(second, GENESIS, number=1))
    assert block_id(gone) not in node.tree
    tell(world, peer, parent)
    assert block_id(parent) in node.tree and block_id(names) not in node.tree


def test_blocks_that_name_one_another_as_transactions_are_looked_at_once() -> None:
    """Each is reached from two others: following every path through sixty of them would take forever."""
    world, node, peer = scene()
    first, second = islice(slots_of(1), 2)
    paid, (*two, third) = twins(MAX_TWINS + 1, GENESIS, first)
    tell(world, peer, *paid, *two)
    branch = [third]
    for _ in range(60):
        branch.append(block(second, block_id(branch[-1]), [block_id(one) for one in branch[-2:-1]], number=1))
    tell(world, peer, *branch[1:], third)
    assert len(node.tree) == MAX_TWINS and len(node.waiting_blocks.blocks) == 60


# --- twins --------------------------------------------------------------------------------------

def test_two_of_several_twins_that_waited_for_one_parent_enter() -> None:
    world, node, peer = scene()
    slot = next(slots_of(1, 2))
    parent = block(1, GENESIS)
    paid, many = twins(10, block_id(parent), slot)
    tell(world, peer, *paid, *many)
    assert len(node.waiting_blocks.blocks) == 10
    tell(world, peer, parent)
    assert len(node.tree) == 1 + MAX_TWINS and not node.waiting_blocks.blocks


def test_a_third_twin_that_was_postponed_enters_if_somebody_else_builds_on_it() -> None:
    world, node, peer = scene()
    slot = next(slots_of(1, 2))
    parent = block(1, GENESIS)
    paid, many = twins(4, block_id(parent), slot)
    after = next(one for one in range(slot + 1, slot + 99) if winner(one) != 1)
    theirs = block(after, block_id(many[3]))
    tell(world, peer, *paid, *many, theirs, parent)
    assert block_id(theirs) in node.tree and len(node.tree) == 5 and not node.waiting_blocks.blocks


# --- what leaves, and comes back ----------------------------------------------------------------

def test_a_transaction_let_in_for_a_block_stays_for_a_second_block_that_lacked_nothing(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage4_sequencer.pool.MAX_UNCOVERED", 0)
    world, node, peer = scene()
    tell(world, peer, *chain(2))
    paid, spent = transaction(1, kept_key(2).account, 500), transaction(2, X, MILLION + 100)
    ids = [transaction_id(paid), transaction_id(spent)]
    first, second = islice(slots_of(1, 3), 2)
    held = block(second, GENESIS, ids, number=next(other for other in range(2, 11) if wins(other, second)))
    tell(world, peer, paid, block(first, GENESIS, ids, number=1), spent, held)
    monkeypatch.setattr("stage5_pos.side.MAX_SOLO_BYTES", 100)
    tell(world, peer, block(second, GENESIS, number=1))
    assert block_id(block(first, GENESIS, ids, number=1)) not in node.tree
    tell(world, peer, *chain(3, parent=block_id(held), first_slot=second + 1))
    assert node.tree.best.height == 4 and balances(node)[X] == MILLION + 99


def test_a_transaction_let_in_for_a_block_enters_the_pool_as_soon_as_there_is_room(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage4_sequencer.pool.MAX_POOL", 0)
    world, node, peer = scene()
    paid = transaction(1, X, 5)
    named: Message = {"type": "inventory", "bucket": "00", "ids": [transaction_id(paid)]}
    tell(world, peer, block(2, NOWHERE[0], [transaction_id(paid)]), paid, paid)
    assert transaction_id(paid) in node.transactions and len(node.pool) == 0 and not node.is_lacking(named["ids"][0])
    monkeypatch.setattr("stage4_sequencer.pool.MAX_POOL", 1_000)
    world.run(seconds=2)
    tell(world, peer, named)
    assert peer.messages("want")[-1]["ids"] == named["ids"]
    tell(world, peer, paid)
    node.waiting_blocks.give_up(block_id(block(2, NOWHERE[0], [transaction_id(paid)])))
    assert list(node.pool) == named["ids"] and list(node.transactions) == named["ids"]


def come_back(world: World, node: StakeNode, peer: Stranger) -> list[Message]:
    """Let a branch of account 1 leave the tree, and come back because others build on it. Return their blocks."""
    tell(world, peer, *chain(2))
    branches = [block(slot, GENESIS, number=1) for slot in islice(slots_of(1), 20)]
    tell(world, peer, *branches)
    gone = next(one for one in branches if block_id(one) not in node.tree and winner(next_slot(one["slot"])) != 1)
    tell(world, peer, gone)
    assert block_id(gone) not in node.tree, "nobody builds on it"
    longest = chain(3, parent=block_id(gone), first_slot=gone["slot"] + 1)
    tell(world, peer, *longest, gone)
    assert node.tree.best.id == block_id(longest[-1])
    return longest


def test_a_branch_that_came_back_is_there_again_after_a_crash(tmp_path_factory: pytest.TempPathFactory,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage5_pos.side.MAX_SOLO_BYTES", 4_000)
    folder = tmp_path_factory.mktemp("data")
    world = new_world()
    node = add_keeping_node(world, folder)
    come_back(world, node, add_linked_stranger(world, node, 5))
    node.commit()
    crash(node)
    again = add_keeping_node(new_world(), folder)
    assert again.tree.best.id == node.tree.best.id and again.balances() == node.balances()


# --- what many of them cost ---------------------------------------------------------------------

def test_a_thousand_blocks_that_lack_the_same_transactions_are_given_up_at_once() -> None:
    waiting = Waiting()
    for number in range(1_000):
        waiting.add(f"block {number}", NOWHERE[:200], 0.0)
    began = time.process_time()
    unneeded = [waiting.discard(f"block {number}") for number in range(1_000)]
    assert time.process_time() - began < 1.5, "200,000 ids in 0.05 s; it was 5 s when each looked at all the others"
    assert sorted(unneeded[-1]) == NOWHERE[:200] and not any(unneeded[:-1])


def test_one_large_block_replaces_very_many_small_ones_at_once() -> None:
    tree, solo = Tree(GENESIS), SoloBlocks()
    made = [Block(f"{slot:064x}", slot, GENESIS, "somebody", 1, [], b"") for slot in range(1, 20_001)]
    for one in [Block("0", 1, GENESIS, "else", 0, [], b""), *made]:
        tree.add(one)
    for one in made[:-1]:
        solo.add(one, 800)
    solo.add(made[-1], MAX_SOLO_BYTES)
    began = time.process_time()
    for surplus in solo.surplus("somebody", made[-1]):
        solo.discard(surplus)
        del tree.blocks[surplus.id]
    assert time.process_time() - began < 1.5, "0.05 s; it was 15 s when each looked at all the others"
    assert len(tree) == 2
