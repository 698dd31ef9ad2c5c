"""What makes a block valid, and a transaction in it (contract §3, stage 5): all rules, one check a line.

    its form            `SHAPE`                      before any handler sees it
    by itself           `Rules.check_block`          its creator, its draw, its signature
    by the clock        `is_from_the_future`         such a block is ignored; nobody is blamed for it
    at its point        `check_place`                its parent, and its slot
                        `why_invalid`                each of its transactions, one executed after the other

A transaction keeps the rules of stage 3, too: both accounts are keys, and the sender has signed. This module adds the
rules about the amount: `check_amount` when it arrives, `why_invalid` in a block. What a valid block does to the
balances is in stage5_pos/ledger.py.
"""

from common.encoding import ID, MAX_INTEGER, STRING, Field, Message, Shape, canon, ids_field, is_integer
from common.interface import Invalid
from common.ledger import Transaction
from stage4_sequencer.block import check_signed
from stage4_sequencer.limits import MAX_BLOCK_IDS
from stage5_pos import lottery
from stage5_pos.genesis import Genesis
from stage5_pos.tree import Block, Tree

FEE = 1
"""The part of the amount of a transaction that goes to the block's creator, and not to the receiver. No amount may be
lower."""

REWARD = 10
"""What the creator of a block gets in addition to the fees."""

CLOCK_ERROR_SLOTS = 1
"""How far ahead of this node's clock a block's slot may be."""

SHAPE: Shape = {"slot": Field(lambda value: is_integer(value, 1), f"an integer from 1 to {MAX_INTEGER}"),
                "parent": ID, "creator": STRING, "draw": STRING,
                "transactions": ids_field(MAX_BLOCK_IDS), "signature": STRING}


class InvalidBlock(Exception):
    """The block is not valid at its point; the reason says why."""


class Rules:
    """What a block must be by itself, wherever it stands, in the network of one genesis."""

    def __init__(self, genesis: Genesis) -> None:
        self.seed: str = genesis.seed
        self.thresholds: dict[str, int] = genesis.winning_thresholds()
        """Genesis account -> the value below which its draws win."""
        self._network = genesis.id

    def block_bytes(self, message: Message) -> bytes:
        """The canonical bytes of a block (contract §1)."""
        return canon(["block", self._network, message["slot"], message["parent"], message["creator"],
                      message["draw"], message["transactions"]])

    def check_block(self, message: Message, canonical: bytes, was_kept: bool = False) -> int:
        """Invalid unless its creator holds stake, has won the slot, and has signed; give the draw's value. A block from
        the journal (`was_kept`) had its signatures checked before it was written."""
        value = self._check_ticket(message)
        if not was_kept:
            drawn = lottery.lottery_bytes(self.seed, message["slot"])
            check_signed(f"block of slot {message['slot']}: its draw", message["creator"], drawn, message["draw"])
            self.check_signature(message, canonical)
        return value

    def _check_ticket(self, message: Message) -> int:
        """Invalid unless its creator holds stake and the draw wins; give the draw's value. Whether the draw is the
        creator's signature is checked later, since that costs more."""
        creator, slot = message["creator"], message["slot"]
        if creator not in self.thresholds:
            raise Invalid(f"block of slot {slot}: its creator has no stake")
        value = lottery.ticket_value(self.seed, slot, creator, message["draw"])
        if not lottery.is_winning(value, self.thresholds[creator]):
            raise Invalid(f"block of slot {slot}: its draw has not won")
        return value

    def check_signature(self, message: Message, canonical: bytes) -> None:
        """Invalid unless the creator has signed the block."""
        check_signed(f"block of slot {message['slot']}", message["creator"], canonical, message["signature"])


def is_from_the_future(slot: int, present: int) -> bool:
    """Is a slot too far ahead of the current one?"""
    return slot > present + CLOCK_ERROR_SLOTS


def check_place(block: Block, tree: Tree) -> Block:
    """InvalidBlock unless a block whose transactions are here can follow its parent; give the parent."""
    if names_a_block(block, tree):
        raise InvalidBlock("what it names as a transaction is a block")
    parent = tree.blocks.get(block.parent_id)
    if parent is None:
        raise InvalidBlock("its parent is invalid")
    if parent.slot >= block.slot:
        raise InvalidBlock("its slot is not after its parent's")
    return parent


def names_a_block(block: Block, tree: Tree) -> bool:
    """Does it name a block of the tree as a transaction? It would wait for that transaction forever."""
    return not tree.blocks.keys().isdisjoint(block.transactions)


def check_amount(message: Message) -> None:
    """Invalid if a transaction does not even pay the fee. It is neither kept nor forwarded.

    `StakeNode.check_transaction` asks this when the transaction arrives, before the signature is checked.
    """
    if message["amount"] < FEE:
        raise Invalid(f"transaction: {_BELOW_THE_FEE}")


def why_invalid(transaction: Transaction, balance: int, is_executed: bool) -> str | None:
    """Why a transaction is not valid at its point in a block, where its sender has this balance; None if it is valid.
    Its signature was checked when it arrived.

    `TreeLedger.execute` asks this through `View.execute`, for each transaction of a block that may enter the tree;
    `TreeLedger.choose_valid` for each one that an own block may take.
    """
    if is_executed:
        return "it is in an earlier block or earlier in this one"
    if transaction.amount < FEE:
        return _BELOW_THE_FEE
    if balance < transaction.amount:
        return "the account does not have the amount"
    return None


_BELOW_THE_FEE = f"the amount is below the fee of {FEE}"
