"""The rules of validity of stage 5, without a node: each refuses what breaks it, and says why."""

import pytest

from common.encoding import Message
from common.interface import Invalid
from common.ledger import Transaction
from stage5_pos import lottery
from stage5_pos.rules import FEE, InvalidBlock, Rules, check_amount, check_place, is_from_the_future, why_invalid
from stage5_pos.tree import Block, Tree
from tests.fixtures import kept_key
from tests.stage5_pos.builder import SEED, block, block_bytes, draw, genesis, value, wins
from tests.stage5_pos.scenes import GENESIS

SLOT = next(slot for slot in range(1, 100) if wins(1, slot) and not wins(2, slot))
RULES = Rules(genesis())
ACCOUNT = kept_key(1).account
OTHER_SLOT = next(slot for slot in range(SLOT + 1, 200) if lottery.is_winning(
    lottery.ticket_value(SEED, slot, ACCOUNT, draw(1, SLOT)), RULES.thresholds[ACCOUNT]))
"""A slot in which the draw of `SLOT` would win if it were valid there."""


def check(message: Message, was_kept: bool = False) -> int:
    """Check a block by itself."""
    return RULES.check_block(message, RULES.block_bytes(message), was_kept)


def test_the_bytes_of_a_block_that_are_signed_are_its_canonical_bytes() -> None:
    message = block(SLOT, GENESIS, ["0" * 64], number=1)
    assert RULES.block_bytes(message) == block_bytes(message)


def test_for_a_good_block_the_value_of_its_draw_is_returned() -> None:
    assert check(block(SLOT, GENESIS, number=1)) == value(1, SLOT)


@pytest.mark.parametrize("message, reason", [
    (block(SLOT, GENESIS, number=1, creator=kept_key(11).account), "its creator has no stake"),
    (block(SLOT, GENESIS, number=2), "its draw has not won"),
    (block(OTHER_SLOT, GENESIS, number=1, draw=draw(1, SLOT)), "its draw: the signature"),
    (block(SLOT, GENESIS, number=1, signature=draw(1, SLOT)), "[0-9]: the signature")])
def test_a_block_that_is_bad_by_itself_is_refused_with_the_reason(message: Message, reason: str) -> None:
    with pytest.raises(Invalid, match=f"^block of slot .*{reason}"):
        check(message)


def test_blocks_of_the_journal_are_checked_except_for_their_signatures() -> None:
    assert check(block(SLOT, GENESIS, number=1, signature=""), was_kept=True) == value(1, SLOT)
    with pytest.raises(Invalid, match="has not won"):
        check(block(SLOT, GENESIS, number=2), was_kept=True)


def test_one_slot_of_clock_error_is_allowed() -> None:
    assert [slot for slot in range(5, 10) if is_from_the_future(slot, present=6)] == [8, 9]


@pytest.mark.parametrize("slot, parent, names, reason", [
    (5, "b", [], None), (6, "root", [], None), (4, "b", [], "its slot is not after its parent's"),
    (5, "nowhere", [], "its parent is invalid"), (5, "b", ["t", "b"], "what it names as a transaction is a block"),
    (5, "b", ["root"], "what it names as a transaction is a block")])
def test_on_which_parent_a_block_is_valid(slot: int, parent: str, names: list[str], reason: str | None) -> None:
    tree = Tree("root")
    tree.add(Block("b", 4, "root", "somebody", 0, [], b""))
    made = Block("c", slot, parent, "somebody", 0, names, b"")
    if reason is None:
        assert check_place(made, tree).id == parent
    else:
        with pytest.raises(InvalidBlock, match=reason):
            check_place(made, tree)


@pytest.mark.parametrize("amount, balance, is_executed, reason", [
    (FEE, FEE, False, None), (5, 5, False, None), (5, 4, False, "the account does not have the amount"),
    (FEE - 1, 9, False, f"the amount is below the fee of {FEE}"), (5, 9, True, "it is in an earlier block")])
def test_a_transaction_is_judged_at_its_point(amount: int, balance: int, is_executed: bool, reason: str | None) -> None:
    found = why_invalid(Transaction("t", "from", "to", amount), balance, is_executed)
    assert found == reason or (reason is not None and (found or "").startswith(reason))


def test_a_transaction_below_the_fee_is_refused_when_it_arrives() -> None:
    check_amount({"type": "transaction", "amount": FEE})
    with pytest.raises(Invalid, match=f"below the fee of {FEE}"):
        check_amount({"type": "transaction", "amount": FEE - 1})
