"""Blocks and transactions of stage 5 in memory: which are valid, which are forwarded, and which are evidence."""

import pytest

from common.encoding import Message, decode_base64, encode_base64
from tests.fixtures import kept_key
from tests.memory import add_linked_stranger
from tests.stage5_pos.builder import MILLION, block, block_id, draw, transaction, transaction_id, winner, wins
from tests.stage5_pos.scenes import GENESIS, X, balances, chain, is_counted, scene, tell

# --- what is invalid ----------------------------------------------------------------------------

def test_invalid_transactions_among_valid_ones_change_nothing() -> None:
    world, node, peer = scene()
    good = [transaction(number % 10 + 1, X, 5, number) for number in range(30)]
    bad = [transaction(1, X, 0, 100), {**transaction(2, X, 9, 101), "amount": 8},
           transaction(3, X, 7, 102, signature=encode_base64(b"\1" * 256)),
           {**transaction(4, X, 9, 103), "from": kept_key(5).account},
           transaction(5, "AAAA", 9, 104)]
    for number, message in enumerate(good):
        tell(world, peer, message)
        if number % 6 == 0:
            tell(world, peer, bad[number // 6])
    overdraft = transaction(6, X, 2 * MILLION, 105)
    tell(world, peer, overdraft, block(1, GENESIS, [transaction_id(message) for message in good]))
    assert node.tree.best.height == 1 and balances(node)[X] == 30 * 4
    assert list(node.pool) == [transaction_id(overdraft)], "an overdraft is valid by itself, and waits"
    assert len(node.transactions) == 31


def test_a_negative_amount_is_format_and_ends_the_connection() -> None:
    world, node, peer = scene()
    tell(world, peer, {**transaction(1, X, 5), "amount": -1})
    assert peer.is_closed and world.reported(node, "error")[-1]["code"] == "FORMAT" and not node.transactions


def test_a_block_with_an_invalid_transaction_is_refused_with_all_that_builds_on_it() -> None:
    world, node, peer = scene()
    first, overdraft = transaction(1, X, 999_999, 1), transaction(1, X, 2, 2)
    bad = block(1, GENESIS, [transaction_id(first), transaction_id(overdraft)])
    child = block(2, block_id(bad))
    tell(world, peer, child, first, overdraft)
    before = balances(node)
    tell(world, peer, bad)
    assert len(node.tree) == 0 and balances(node) == before and not node.waiting_blocks.blocks
    assert len(world.reported(node, "error")) == 1
    for _ in range(12):
        tell(world, peer, bad, child, block(3, block_id(child)))
    assert not peer.is_closed, "repeats of a signed block that is known to be invalid do not count"
    assert not node.waiting_blocks.blocks, "blocks that build on it need not wait for it"
    assert all(block_id(one) in node.waiting_blocks.invalid for one in (bad, child, block(3, block_id(child))))
    tell(world, peer, block(1, GENESIS, [transaction_id(first)]))
    assert node.tree.best.height == 1


def test_a_block_that_lists_another_blocks_id_as_a_transaction_is_refused_with_all_that_builds_on_it() -> None:
    world, node, peer = scene()
    paid = transaction(2, X, 1_000)
    named = block(1, GENESIS)
    bad = block(2, GENESIS, [transaction_id(paid), block_id(named)])
    child = block(3, block_id(bad))
    tell(world, peer, paid, bad, child)
    assert len(node.waiting_blocks.blocks) == 2 and len(node.tree) == 0
    tell(world, peer, named)
    assert not node.waiting_blocks.blocks and all(block_id(one) in node.waiting_blocks.invalid for one in (bad, child))
    assert node.tree.best.id == block_id(named) and sum(balances(node).values()) == 10 * MILLION + 10
    assert X not in balances(node) and list(node.pool) == [transaction_id(paid)], "none of its transactions counts"
    tell(world, peer, block(4, block_id(named), [transaction_id(paid)]))
    assert node.tree.best.height == 2 and balances(node)[X] == 999, "an honest block may execute the same transaction"


def test_a_block_that_lists_a_block_of_the_tree_as_a_transaction_is_refused_at_once() -> None:
    world, node, peer = scene()
    named = chain(3)
    for slot, wrong in ((10, GENESIS), (11, block_id(named[0])), (12, block_id(named[2]))):
        bad = block(slot, block_id(named[2]), [wrong])
        tell(world, peer, *named, bad, block(20, block_id(bad)))
        assert block_id(bad) in node.waiting_blocks.invalid and not node.waiting_blocks.blocks
    assert peer.messages("want") == [] and node.tree.best.height == 3


def bad_blocks() -> dict[str, Message]:
    """Blocks that are refused before they enter the tree, each for one reason."""
    loser = next(number for number in range(1, 11) if not wins(number, 1))
    good = block(1, GENESIS)
    number = winner(1)
    size = len(decode_base64(good["signature"]))
    last = good["draw"].rstrip("=")[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(last) + 1]
    return {
        "another's signature": block(1, GENESIS, signature=block(2, GENESIS)["signature"]),
        "no signature": block(1, GENESIS, signature=""),
        "signature of zeros": block(1, GENESIS, signature=encode_base64(bytes(size))),
        "creator without stake": block(1, GENESIS, number=11, draw=draw(11, 1)),
        "draw that has not won": block(1, GENESIS, number=loser),
        "draw of another slot": block(1, GENESIS, draw=draw(number, 2)),
        "draw of another account": block(1, GENESIS, draw=draw(winner(1, 1), 1)),
        "draw in a second encoding": block(1, GENESIS, draw=good["draw"].rstrip("=")[:-1] + other + "=="),
        "draw without padding": block(1, GENESIS, draw=good["draw"].rstrip("=")),
        "slot changed": {**good, "slot": 2},
        "parent changed": {**good, "parent": "0" * 64},
        "transactions changed": {**good, "transactions": ["0" * 64]},
    }


@pytest.mark.parametrize("name", bad_blocks())
def test_a_bad_block_is_ignored_counted_and_not_remembered(name: str) -> None:
    world, node, peer = scene()
    neighbour = add_linked_stranger(world, node, 5)
    for _ in range(9):
        tell(world, peer, bad_blocks()[name])
    assert len(node.tree) == 0 and not node.waiting_blocks.blocks and not peer.is_closed
    tell(world, peer, block(1, GENESIS))
    assert len(node.tree) == 1, "the genuine block is not shut out"
    tell(world, peer, bad_blocks()[name])
    assert peer.is_closed and peer.messages("error")[-1]["code"] == "INVALID"
    assert [block_id(message) for message in neighbour.messages("block")] == [block_id(block(1, GENESIS))]


def test_slot_0_is_format() -> None:
    world, node, peer = scene()
    tell(world, peer, {**block(1, GENESIS), "slot": 0})
    assert peer.is_closed and world.reported(node, "error")[-1]["code"] == "FORMAT"


def test_a_slot_must_be_after_the_parents() -> None:
    world, node, peer = scene()
    parent = block(5, GENESIS)
    for slot in (4, 5):
        tell(world, peer, parent, block(slot, block_id(parent), number=winner(slot)))
    assert len(node.tree) == 1 and is_counted(world, node)


def test_a_block_from_the_future_is_ignored_until_its_time_has_come() -> None:
    world, node, peer = scene()
    now = node.clock.slot()
    near, far = block(now + 1, GENESIS), block(now + 2, GENESIS)
    for _ in range(12):
        tell(world, peer, far)
    assert len(node.tree) == 0 and not is_counted(world, node) and not peer.is_closed
    tell(world, peer, near)
    assert len(node.tree) == 1, "one slot of clock error is allowed"
    world.run(seconds=1)
    tell(world, peer, far)
    assert len(node.tree) == 2


# --- forwarding and evidence --------------------------------------------------------------------

def test_two_blocks_of_a_slot_enter_and_are_forwarded_and_the_equivocation_is_reported_once() -> None:
    world, node, peer = scene()
    neighbour = add_linked_stranger(world, node, 5)
    paid = [transaction(1, X, 10, nonce) for nonce in range(4)]
    twins = [block(1, GENESIS, [transaction_id(message)], number=winner(1)) for message in paid]
    tell(world, peer, *paid, *twins)
    assert [block_id(message) for message in neighbour.messages("block")] == [block_id(one) for one in twins[:2]]
    assert world.reported(node, "equivocation") == [
        {"creator": twins[0]["creator"], "slot": 1, "ids": [block_id(one) for one in twins[:2]]}]
    assert len(node.tree) == 2 and node.tree.best.id == min(map(block_id, twins[:2]))
    assert not is_counted(world, node) and peer.messages("want") == []


@pytest.mark.parametrize("is_own", [False, True], ids=["somebody else builds on it", "its creator builds on it"])
def test_a_third_block_of_a_slot_enters_when_somebody_else_builds_on_it(is_own: bool) -> None:
    """If the creator's own blocks counted, it could build on as many as it likes, and all would be kept."""
    world, node, peer = scene()
    creator = winner(1)
    twins = [block(1, GENESIS, [transaction_id(transaction(creator, X, 10, nonce))], number=creator)
             for nonce in range(4)]
    tell(world, peer, *[transaction(creator, X, 10, nonce) for nonce in range(4)], *twins)
    others = [number for number in range(1, 11) if number != creator]
    builder = creator if is_own else next(number for number in others if any(wins(number, slot) for slot in range(2, 99)))
    slot = next(slot for slot in range(2, 2_000) if wins(builder, slot))
    child = block(slot, block_id(twins[3]), number=builder)
    tell(world, peer, child)
    assert [message["ids"] for message in peer.messages("want")] == [[block_id(twins[3])]]
    tell(world, peer, twins[3])
    assert len(node.tree) == (2 if is_own else 4)
    if is_own:
        last = next(slot for slot in range(slot + 1, 2_000) if any(wins(number, slot) for number in others))
        theirs = next(number for number in others if wins(number, last))
        tell(world, peer, block(last, block_id(child), number=theirs), twins[3])
        assert len(node.tree) == 5, "now somebody else builds on a block above it"
    assert node.tree.best.height == 2 + is_own
    tell(world, peer, {"type": "want", "ids": [block_id(twins[3])]})
    assert peer.messages("block")[-1] == twins[3]
