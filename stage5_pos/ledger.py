"""The ledger at one place in the tree of blocks, and how it is moved to another (contract §3, stage 5).

There is one ledger. It stands at one block. To stand at another it undoes blocks down to
the common ancestor and executes those up to the other one, so a rollback takes time that
follows the depth of the fork, and not the length of the chain.
"""

from collections.abc import Iterable, Mapping

from common.ledger import Ledger, Transaction
from stage5_pos.tree import Block, Tree

FEE = 1
"""What the receiver of a transaction gets less than the sender pays; the block's creator gets it."""

REWARD = 10
"""What the creator of a block gets beside the fees."""


class InvalidBlock(Exception):
    """A transaction of the block is not valid at its point; the reason says why."""


class TreeLedger(Ledger):
    """The balances after one block of a tree."""

    def __init__(self, tree: Tree, balances: dict[str, int], transactions: Mapping[str, Transaction]) -> None:
        """Stand at the genesis, with its balances; `transactions` has what blocks name by their ids."""
        super().__init__(balances)
        self._tree = tree
        self._transactions = transactions
        self.at = tree.root
        """The block after which the balances are these."""
        self.executed: set[str] = set()
        """The transactions in that block and its ancestors."""
        self._new_accounts: dict[str, list[str]] = {}
        """Block id -> the accounts that it was the first to name, so that undoing it forgets them."""

    def move_to(self, block: Block) -> None:
        """Stand at another block of the tree."""
        path = self._tree.path(self.at, block)
        for undone in path.undone:
            self.undo_block(undone)
        for done in path.done:
            self.apply_block(done)

    def apply_block(self, block: Block) -> None:
        """Execute a child of the block stood at; InvalidBlock, and nothing has changed, if it is not valid."""
        self._new_accounts[block.id] = []
        for number, transaction_id in enumerate(block.transactions):
            transaction = self._transactions[transaction_id]
            reason = self.why_invalid(transaction)
            if reason is not None:
                self._undo_transactions(block, number)
                raise InvalidBlock(f"its transaction {transaction_id}: {reason}")
            self._note_new(block, transaction.sender, transaction.receiver)
            self.apply(transaction)
        self._note_new(block, block.creator)
        self.add(block.creator, REWARD + FEE * len(block.transactions))
        self.at = block

    def undo_block(self, block: Block) -> None:
        """Undo the block stood at; then the ledger is what it was before, to the last account."""
        self.add(block.creator, -REWARD - FEE * len(block.transactions))
        self._undo_transactions(block, len(block.transactions))
        assert block.parent is not None, "the genesis is never undone"
        self.at = block.parent

    def choose_valid(self, candidates: Iterable[Transaction], most: int) -> list[str]:
        """Ids of those candidates that are valid one after the other, as a child of the block stood at would
        execute them: at most `most`, in their order. Nothing has changed in the end."""
        draft = Block("", self.at.slot, self.at.id, "", 0, [], b"")
        self._new_accounts[draft.id] = []
        for transaction in candidates:
            if len(draft.transactions) == most:
                break
            if self.why_invalid(transaction) is None:
                self._note_new(draft, transaction.sender, transaction.receiver)
                self.apply(transaction)
                draft.transactions.append(transaction.id)
        self._undo_transactions(draft, len(draft.transactions))
        return draft.transactions

    def why_invalid(self, transaction: Transaction) -> str | None:
        """Why a transaction is not valid here, if it is not; its signature has been checked when it arrived."""
        if transaction.id in self.executed:
            return "it is in an earlier block or earlier in this one"
        if transaction.amount < FEE:
            return f"the amount is below the fee of {FEE}"
        if not self.is_covered(transaction):
            return "the account does not have the amount"
        return None

    def apply(self, transaction: Transaction) -> None:
        """Take the amount from the sender, and give it less the fee to the receiver."""
        self.add(transaction.sender, -transaction.amount)
        self.add(transaction.receiver, transaction.amount - FEE)
        self.executed.add(transaction.id)

    def undo(self, transaction: Transaction) -> None:
        """The opposite of `apply`."""
        self.add(transaction.receiver, FEE - transaction.amount)
        self.add(transaction.sender, transaction.amount)
        self.executed.discard(transaction.id)

    def _undo_transactions(self, block: Block, how_many: int) -> None:
        for transaction_id in reversed(block.transactions[:how_many]):
            self.undo(self._transactions[transaction_id])
        for account in self._new_accounts.pop(block.id):
            del self.balances[account]

    def _note_new(self, block: Block, *accounts: str) -> None:
        for account in dict.fromkeys(accounts):
            if account not in self.balances:
                self._new_accounts[block.id].append(account)
