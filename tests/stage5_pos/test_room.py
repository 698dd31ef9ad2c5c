"""What gives way when a node of stage 5 has no room: postponed blocks, branches that nobody else builds on, and
transactions that were let in only for such blocks."""

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pytest

from common.encoding import Message, decode_frame, encode_frame
from common.ledger import Transaction
from lab.simulation import World
from stage4_sequencer.pool import Refused
from stage5_pos.node import StakeNode
from stage5_pos.side import Aside
from stage5_pos.tree import Block
from tests.memory import Stranger, add_linked_stranger
from tests.stage5_pos.builder import (MILLION, add_node, block, block_id, new_world, next_slot, transaction,
                                      transaction_id, winner, wins)
from tests.stage5_pos.scenes import GENESIS, X, Y, balances, chain, scene, tell
from tests.stage5_pos.test_keeping import add_node as add_keeping_node
from tests.stage5_pos.test_keeping import crash

NOWHERE = [f"{number:064x}" for number in range(2_000)]
"""Ids of blocks and transactions that do not exist."""


def slots_of(number: int, first: int = 1) -> Iterator[int]:
    """The slots from `first` on that a genesis account wins."""
    return (slot for slot in count(first) if wins(number, slot))


def orphans(many: int, number: int = 1) -> list[Message]:
    """Orphans by one stake holder, on parents that do not exist."""
    return [block(slot, NOWHERE[slot], number=number) for slot in islice(slots_of(number), many)]


def ids_of(messages: list[Message]) -> list[str]:
    """The ids of some blocks."""
    return list(map(block_id, messages))


# --- postponed blocks ---------------------------------------------------------------------------

def test_orphans_give_way_to_blocks_that_continue_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage5_pos.postponed.MAX_WAITING", 4)
    world, node, peer = scene()
    continuing = [block(slot, GENESIS, [NOWHERE[slot]]) for slot in (1, 2, 3)]
    tell(world, peer, *orphans(4), *continuing)
    assert [one for one in ids_of(continuing) if one in node.waiting_blocks] == ids_of(continuing)
    tell(world, peer, *orphans(12)[4:])
    assert [one for one in ids_of(continuing) if one in node.waiting_blocks] == ids_of(continuing)
    assert len(node.waiting_blocks.blocks) == 4


def test_a_peer_that_has_sent_most_gives_way_to_one_that_has_sent_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage5_pos.postponed.MAX_WAITING", 6)
    world, node, greedy = scene()
    modest = add_linked_stranger(world, node, 5)
    tell(world, modest, block(2, NOWHERE[0], number=winner(2)))
    tell(world, greedy, *orphans(20))
    assert block_id(block(2, NOWHERE[0], number=winner(2))) in node.waiting_blocks
    assert len(node.waiting_blocks.blocks) == 6


def test_a_stranger_gives_way_to_those_that_this_node_has_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage5_pos.postponed.MAX_WAITING", 3)
    world, _, peer = scene()
    late = add_node(world, peer.connection.other.owner.address)  # type: ignore[attr-defined]
    stranger = add_linked_stranger(world, late, 5)
    called = next(iter(late.links))
    late.on_frame(called, encode_frame(block(3, GENESIS, [NOWHERE[3]])))
    late.on_frame(called, encode_frame(block(4, GENESIS, [NOWHERE[4]])))
    tell(world, stranger, *[block(slot, GENESIS, [NOWHERE[slot]]) for slot in (11, 12, 13)])
    assert late.waiting_blocks.count_of(called) == 2 and len(late.waiting_blocks.blocks) == 3


def test_blocks_that_lack_what_nobody_has_give_way_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage5_pos.postponed.MAX_WAITING", 2)
    world, node, peer = scene()
    unknown = block(1, GENESIS, [NOWHERE[0]])
    tell(world, peer, unknown, {"type": "pong", "nonce": "want"})
    others = [block(slot, GENESIS, [NOWHERE[slot]]) for slot in (2, 3)]
    tell(world, peer, *others)
    assert list(node.waiting_blocks.blocks) == ids_of(others)


def test_fewer_large_blocks_are_postponed_but_one_always_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage5_pos.postponed.MAX_WAITING_BYTES", 20_000)
    world, node, peer = scene()
    tell(world, peer, *orphans(30))
    kept = [node.waiting_blocks.blocks[one].block for one in node.waiting_blocks.blocks]
    assert len(kept) > 10 and sum(len(one.frame) for one in kept) <= 20_000
    large = block(1, GENESIS, NOWHERE)
    tell(world, peer, large)
    assert list(node.waiting_blocks.blocks) == [block_id(large)]


def test_two_orphans_of_a_slot_do_not_keep_out_the_block_that_continues_the_chain() -> None:
    world, node, peer = scene()
    creator = winner(1)
    tell(world, peer, *[block(1, NOWHERE[number], number=creator) for number in range(2)])
    good = block(1, GENESIS, [transaction_id(transaction(2, X, 5))], number=creator)
    tell(world, peer, good, transaction(2, X, 5))
    assert node.tree.best.id == block_id(good)


def test_each_peer_that_sends_a_postponed_block_is_asked_for_what_it_lacks() -> None:
    world, node, first = scene()
    second = add_linked_stranger(world, node, 5)
    paid = transaction(2, X, 5)
    waiting = block(1, GENESIS, [transaction_id(paid)])
    tell(world, first, waiting)
    tell(world, second, waiting)
    assert second.messages("want") == [], "the first has been asked"
    tell(world, first, {"type": "pong", "nonce": "want"})
    assert second.messages("want") == [{"type": "want", "ids": [transaction_id(paid)]}]
    tell(world, second, paid)
    assert node.tree.best.id == block_id(waiting)


def test_a_stranger_that_sends_the_last_block_early_does_not_keep_a_node_from_asking_for_the_chain() -> None:
    world, node, peer = scene()
    blocks = chain(5)
    stranger = add_linked_stranger(world, node, 5)
    tell(world, stranger, blocks[-1])
    assert block_id(blocks[-1]) in node.waiting_blocks
    tell(world, peer, {"type": "tip", "id": block_id(blocks[-1]), "height": 5})
    assert peer.messages("get_chain") == [{"type": "get_chain", "locator": [GENESIS]}]
    tell(world, peer, *blocks)
    assert node.tree.best.id == block_id(blocks[-1])


def test_orphans_of_others_do_not_pause_catching_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world, node, peer = scene()
    stranger = add_linked_stranger(world, node, 5)
    monkeypatch.setattr("stage5_pos.postponed.MAX_WAITING", 10)
    monkeypatch.setattr("stage5_pos.catching_up.MAX_WAITING", 10)
    monkeypatch.setattr("stage5_pos.catching_up.MAX_ANSWER_BLOCKS", 5)
    tell(world, stranger, *orphans(6))
    blocks = chain(13)
    tell(world, peer, {"type": "tip", "id": block_id(blocks[-1]), "height": 13})
    for start in (0, 5, 10):
        assert peer.messages("get_chain")[-1]["locator"][0] == [GENESIS, *ids_of(blocks)][start]
        tell(world, peer, *blocks[start:start + 5], {"type": "pong", "nonce": "blocks"})
    assert node.tree.best.height == 13


def test_a_parent_that_has_given_way_meanwhile_is_fetched_again() -> None:
    world, node, peer = scene()
    first, second, third = chain(3)
    paid = transaction(2, X, 5)
    last = block(next_slot(third["slot"]), block_id(first), [transaction_id(paid)])
    tell(world, peer, first, second, third, last)
    lone = block(next_slot(last["slot"]), block_id(last))
    tell(world, peer, lone)
    node.tree.remove(node.tree.blocks[block_id(third)])  # as if it had given way to others
    child = block(next_slot(lone["slot"]), block_id(third), [transaction_id(paid)])
    tell(world, peer, child)
    assert peer.messages("want")[-1]["ids"][-1] == block_id(third)


# --- branches of one creator alone --------------------------------------------------------------

def own_branches(many: int, number: int = 1) -> list[Message]:
    """Valid blocks of one stake holder, each on the genesis."""
    return [block(slot, GENESIS, number=number) for slot in islice(slots_of(number), many)]


def test_only_so_many_bytes_are_kept_of_branches_on_which_only_their_creator_builds(
        monkeypatch: pytest.MonkeyPatch) -> None:
    world, node, peer = scene()
    tell(world, peer, *chain(3))
    size = len(encode_frame(own_branches(1)[0]))
    monkeypatch.setattr("stage5_pos.side.MAX_SOLO_BYTES", 5 * size + 200)
    theirs = block(next_slot(3), block_id(chain(3)[0]), number=winner(next_slot(3)))
    tell(world, peer, theirs, *own_branches(40))
    own = [one for one in node.tree.blocks.values() if one.creator == account_of(1) and one.height == 1]
    assert len(own) <= 8, "five, and those that others build on"
    assert all(one in node.tree for one in [*ids_of(chain(3)), block_id(theirs)])
    assert node.tree.best.id == block_id(chain(3)[-1])


def account_of(number: int) -> str:
    """The account of a genesis key."""
    return str(own_branches(1, number)[0]["creator"])


def test_a_branch_that_gave_way_comes_back_when_the_longest_chain_builds_on_it(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage5_pos.side.MAX_SOLO_BYTES", 4_000)
    world, node, peer = scene()
    tell(world, peer, *chain(2))
    branches = own_branches(20)
    tell(world, peer, *branches)
    gone = next(one for one in branches if block_id(one) not in node.tree and winner(next_slot(one["slot"])) != 1)
    longest = chain(3, parent=block_id(gone), first_slot=gone["slot"] + 1)
    tell(world, peer, longest[0])
    assert peer.messages("want")[-1]["ids"] == [block_id(gone)]
    tell(world, peer, gone, *longest[1:])
    assert node.tree.best.id == block_id(longest[-1]) and node.tree.best.height == 4
    assert sum(balances(node).values()) == 10 * MILLION + 4 * 10
    before = world.reported(node, "block")
    assert len({event["id"] for event in before}) == len(before), "each is reported once"


def test_blocks_that_are_the_best_one_after_the_other_take_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two blocks of a slot the smaller id is better, so their creator can make each the best for a moment."""
    monkeypatch.setattr("stage5_pos.side.MAX_SOLO_BYTES", 4_000)
    world, node, peer = scene()
    slots = sorted(islice(slots_of(1), 60), key=lambda slot: -int(block_id(block(slot, GENESIS, number=1)), 16))
    tell(world, peer, *[block(slot, GENESIS, number=1) for slot in slots])
    assert len(node.tree) <= 6


# --- transactions that were let in for blocks ---------------------------------------------------

def full_pool(monkeypatch: pytest.MonkeyPatch) -> tuple[World, StakeNode, Stranger]:
    """A node whose pool has no room for transactions that their senders cannot pay."""
    monkeypatch.setattr("stage4_sequencer.pool.MAX_UNCOVERED", 0)
    return scene()


def unpayable(many: int) -> list[Message]:
    """Transactions that their sender cannot pay."""
    return [transaction(1, X, MILLION + 1, nonce) for nonce in range(many)]


def test_transactions_let_in_for_a_block_leave_with_it_when_it_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    world, node, peer = full_pool(monkeypatch)
    too_much = unpayable(5)
    ids = [transaction_id(one) for one in too_much]
    tell(world, peer, block(1, GENESIS, ids), *too_much[:4])
    assert [one for one in ids if one in node.transactions] == ids[:4] and len(node.pool) == 0
    tell(world, peer, too_much[4])
    assert not node.waiting_blocks.blocks and not node.transactions and not node.frames
    assert not any(map(node.is_lacking, ids)), "nor are they asked for when a peer lists them"


def test_transactions_let_in_for_a_block_leave_with_it_when_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world, node, peer = full_pool(monkeypatch)
    too_much = unpayable(2)
    ids = [transaction_id(one) for one in too_much]
    tell(world, peer, block(1, GENESIS, ids), block(2, NOWHERE[0], ids[:1]), too_much[0])
    node.waiting_blocks.give_up(block_id(block(1, GENESIS, ids)))
    assert list(node.transactions) == ids[:1], "another block needs it"
    node.waiting_blocks.give_up(block_id(block(2, NOWHERE[0], ids[:1])))
    assert not node.transactions and not node.frames and not node.waiting_blocks.blocks


def test_a_payment_of_money_that_comes_in_the_same_block_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    world, node, peer = full_pool(monkeypatch)
    other = add_linked_stranger(world, node, 5)
    paid = transaction(1, account_of(2), 500)
    spent = transaction(2, Y, MILLION + 100)
    made = block(1, GENESIS, [transaction_id(paid), transaction_id(spent)])
    tell(world, peer, spent)
    assert not node.transactions, "its sender does not have so much yet"
    tell(world, peer, made, paid, spent)
    assert node.tree.best.id == block_id(made) and balances(node)[Y] == MILLION + 99
    assert not node.aside.among(made["transactions"]) and len(node.pool) == 0
    assert node.ids.sum("")[0] == 2, "the node offers both to others"
    tell(world, other, {"type": "want", "ids": made["transactions"]})
    assert other.messages("transaction")[-2:] == [paid, spent]


def test_a_refused_transaction_is_asked_for_again_when_its_sender_has_been_paid(
    monkeypatch: pytest.MonkeyPatch) -> None:
    world, _, peer = full_pool(monkeypatch)
    spent = transaction(2, Y, MILLION + 100)
    tell(world, peer, spent)
    named: Message = {"type": "inventory", "bucket": "00", "ids": [transaction_id(spent)]}
    tell(world, peer, named)
    assert peer.messages("want") == []
    paid = transaction(1, account_of(2), 500)
    tell(world, peer, paid, block(1, GENESIS, [transaction_id(paid)]), named)
    assert peer.messages("want")[-1]["ids"] == [transaction_id(spent)]


def spent_elsewhere() -> tuple[list[Message], Message, Message]:
    """Five payments of 10 by account 1, a payment that leaves it only 20, and a block with that one, by another
    account."""
    spending = transaction(1, Y, MILLION - 20, 99)
    slot = next(slot for slot in count(1) if winner(slot) != 1)
    return [transaction(1, X, 10, nonce) for nonce in range(5)], spending, block(slot, GENESIS, [transaction_id(spending)])


def test_payments_that_their_sender_cannot_make_any_longer_leave_a_pool_that_has_no_room_for_them(
        monkeypatch: pytest.MonkeyPatch) -> None:
    world, node, peer = full_pool(monkeypatch)
    payments, spending, made = spent_elsewhere()
    tell(world, peer, *payments)
    assert len(node.pool) == 5, "account 1 has a million"
    tell(world, peer, made, spending)
    world.run(1.1)
    left, gone = [list(map(transaction_id, some)) for some in (payments[:2], payments[2:])]
    assert list(node.pool) == left, "those that came last have left"
    assert not node.transactions.keys() & set(gone) and not node.frames.keys() & set(gone)
    assert node.ids.sum("")[0] == 3 and not any(map(node.is_lacking, gone)), "the node neither offers nor fetches them"
    paid = transaction(2, account_of(1), 500)
    tell(world, peer, paid, block(next_slot(made["slot"]), block_id(made), [transaction_id(paid)]), *payments[2:])
    assert list(node.pool) == left + gone, "they can come again, in the same bytes"


def test_payments_that_leave_the_pool_stay_for_a_block_off_the_best_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    world, node, peer = full_pool(monkeypatch)
    payments, spending, _ = spent_elsewhere()
    first, second = chain(2)
    slot = next(slot for slot in count(next_slot(second["slot"])) if winner(slot) != 1)
    third = block(slot, block_id(second), [transaction_id(spending)])
    side = block(slot, GENESIS, [transaction_id(payments[4])])
    tell(world, peer, *payments, first, second, side, third, spending)
    world.run(1.1)
    assert node.tree.best.id == block_id(third) and side["transactions"][0] not in node.pool
    assert node.aside.among(map(transaction_id, payments)) == side["transactions"]
    longer = [side]
    for _ in range(4):
        longer.append(block(next_slot(longer[-1]["slot"]), block_id(longer[-1])))
    tell(world, peer, *longer)
    world.run(1.1)
    assert node.tree.best.id == block_id(longer[-1]) and balances(node)[X] == 9
    assert side["transactions"][0] not in node.aside and node.ids.sum("")[0] == len(
        node.transactions) - len(node.aside.among(node.transactions))


def test_what_left_the_pool_for_one_block_stays_for_another_that_waited_meanwhile() -> None:
    transactions: dict[str, Transaction] = {}
    frames: dict[str, bytes] = {}
    refused = Refused()
    aside = Aside(transactions, frames, refused)
    payment = Transaction("t", X, Y, 10)
    side, waited = (Block(name, 1, GENESIS, X, 0, ["t"], b"") for name in ("side", "waited"))
    side.height = waited.height = 1
    aside.add_from_pool(payment, b"frame", [side])
    assert aside.size_for_waiting == 0
    assert aside.on_entered(waited) == [], "it is in the journal"
    aside.release(side)
    assert transactions == {"t": payment} and frames == {"t": b"frame"}
    aside.release(waited)
    assert not transactions and not frames and "t" in refused and aside.size_for_waiting == 0


def test_payments_that_had_left_the_pool_are_not_back_in_it_after_a_restart(
        tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setattr("stage4_sequencer.pool.MAX_UNCOVERED", 0)
    world = new_world()
    node = add_keeping_node(world, folder)
    payments, spending, made = spent_elsewhere()
    tell(world, add_linked_stranger(world, node, 5), *payments, made, spending)
    world.run(1.1)
    node.commit()
    crash(node)
    world = new_world()
    again = add_keeping_node(world, folder)
    world.run(1.1)
    assert list(again.pool) == list(node.pool) and len(again.pool) == 2 and again.balances() == node.balances()


def test_a_node_that_goes_on_from_its_journal_has_transactions_let_in_only_for_a_block(
        tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setattr("stage4_sequencer.pool.MAX_UNCOVERED", 0)
    world = new_world()
    node = add_keeping_node(world, folder)
    peer = add_linked_stranger(world, node, 5)
    paid, spent = transaction(1, account_of(2), 500), transaction(2, Y, MILLION + 100)
    made = block(1, GENESIS, [transaction_id(paid), transaction_id(spent)])
    side = block(next_slot(1), GENESIS, [transaction_id(paid), transaction_id(spent)])
    tell(world, peer, made, paid, spent, side)
    node.commit()
    crash(node)
    again = add_keeping_node(new_world(), folder)
    assert again.tree.best.id == node.tree.best.id and len(again.tree) == len(node.tree) == 2
    assert again.balances() == node.balances()


def test_transactions_let_in_for_several_blocks_are_written_once(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small block can name transactions of 64 MiB, and so can the next one: the disk must not grow by each of them."""
    monkeypatch.setattr("stage4_sequencer.pool.MAX_UNCOVERED", 0)
    world = new_world()
    node = add_keeping_node(world, tmp_path)
    peer = add_linked_stranger(world, node, 5)
    paid, spent = transaction(1, account_of(2), 500), transaction(2, Y, MILLION + 100)
    ids = [transaction_id(paid), transaction_id(spent)]
    best = chain(3)
    sides = [block(slot, GENESIS, ids, number=1) for slot in islice(slots_of(1), 4)]
    tell(world, peer, *best, sides[0], paid, spent, *sides[1:])
    assert node.aside.among(ids) == ids[1:] and len(node.tree) == 7, "no block with them is on the best chain"
    node.commit()
    assert node.setup.journal is not None
    written = [decode_frame(entry.content) for entry in node.setup.journal.entries() if entry.kind == "transaction"]
    assert written == [paid, spent]
    crash(node)
    again = add_keeping_node(new_world(), tmp_path)
    assert list(again.tree.blocks) == list(node.tree.blocks) and again.tree.best.id == block_id(best[-1])


def test_of_a_transaction_that_has_left_nothing_is_remembered() -> None:
    aside = Aside({}, {}, Refused())
    needs_it = Block("b1", 1, "b0", "eve", 0, ["t"], b"frame")
    for _ in range(2):
        aside.add(Transaction("t", "eve", "bob", 1), b"frame of t", ["b1"])
        assert aside.on_entered(needs_it) == ["t"]
        needs_it.height = 1
        aside.release(needs_it)
        assert aside.size_for_waiting == 0


def test_only_so_many_bytes_are_let_in_for_blocks_and_then_blocks_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage5_pos.postponed.MAX_ASIDE", 3_000)
    world, node, peer = full_pool(monkeypatch)
    too_much = unpayable(12)
    ids = [transaction_id(one) for one in too_much]
    blocks = [block(1 + number, GENESIS, [*ids[3 * number:3 * number + 3], NOWHERE[number]]) for number in range(4)]
    tell(world, peer, *blocks, *too_much)
    assert 0 < len(node.waiting_blocks.blocks) < 4 and node.aside.size_for_waiting == sum(map(len, node.frames.values()))
    assert node.aside.size_for_waiting <= 3_000 or len(node.waiting_blocks.blocks) == 1


def test_when_a_block_has_left_the_tree_what_a_waiting_block_needs_takes_room_again() -> None:
    aside = Aside({}, {}, Refused())
    twins = [Block(name, 1, "b0", "eve", 0, ["t"], b"frame") for name in ("b1", "b2")]
    aside.add(Transaction("t", "eve", "bob", 1), b"frame of t", ["b1", "b2", "waiting"])
    sizes = [aside.size_for_waiting]
    for twin in twins:
        aside.on_entered(twin)
        twin.height = 1
        sizes.append(aside.size_for_waiting)
    for twin in twins:
        aside.release(twin)
        sizes.append(aside.size_for_waiting)
    assert sizes == [10, 0, 0, 0, 10]


def test_what_blocks_of_the_tree_need_takes_no_room_from_waiting_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it did, a single block with much of it would leave room for only one block that waits."""
    monkeypatch.setattr("stage5_pos.postponed.MAX_ASIDE", 500)
    world, node, peer = full_pool(monkeypatch)
    paid, spent = transaction(1, account_of(2), 500), transaction(2, Y, MILLION + 100)
    side = block(next(slots_of(1)), GENESIS, [transaction_id(paid), transaction_id(spent)], number=1)
    tell(world, peer, *chain(3), side, paid, spent)
    assert len(node.tree) == 4 and len(node.frames[transaction_id(spent)]) > 500
    assert node.aside.among(side["transactions"]) == [transaction_id(spent)]
    waiting = orphans(5)[1:]
    tell(world, peer, *waiting)
    assert [one for one in ids_of(waiting) if one in node.waiting_blocks] == ids_of(waiting)


def test_if_very_many_blocks_waited_for_one_transaction_only_some_enter_in_a_turn(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """A small message must not keep the node busy for a third of a second."""
    monkeypatch.setattr("stage5_pos.postponed.ENTERED_AT_ONCE", 100)
    world, node, peer = scene()
    paid = transaction(1, X, 5)
    slots = list(islice(slots_of(2), 10))
    tell(world, peer, *[block(slot, GENESIS, [transaction_id(paid)], number=2) for slot in slots])
    assert len(node.waiting_blocks.blocks) == 10
    node.on_frame(next(iter(node.links)), encode_frame(paid))
    assert len(node.tree) == 2 and node.describe_status()["waiting"] == 8
    made = [block(slot, GENESIS, [transaction_id(paid)], number=2) for slot in slots]
    assert all(node.waiting_blocks.is_known(one) for one in ids_of(made))
    world.settle()
    assert len(node.tree) == 10 and node.waiting_blocks.count() == 0 and not node.waiting_blocks.is_entering
