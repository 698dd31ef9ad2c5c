"""What accounts have after each block of the tree, and which transactions have been executed (contract §3, stage 5).

Every block of the tree belongs to one branch. The best chain is one, from the genesis on; any other begins after the
block that it forks from, and goes on with the first child of each of its blocks. A branch remembers the balances by
height. So the balance of an account after any block of the tree is looked up: in that block's branch or, if it is not
there, in the branch that this one forks from. Nothing is undone to judge a block: that happens only when another branch
becomes the best chain.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from common.ledger import Ledger, Transaction
from stage5_pos.rules import FEE, REWARD, InvalidBlock, why_invalid
from stage5_pos.tree import Block, Path, Tree


class Branch:
    """Blocks that follow one another, and what they did."""

    def __init__(self, fork: Block | None) -> None:
        self.fork = fork
        """The parent of the first block, which belongs to another branch; None for that of the genesis."""
        self.tip = fork
        """The last block."""
        self.balances: dict[str, int] = {}
        """Account -> its balance after the last block, for the accounts that these blocks name."""
        self._changed_at: dict[str, int] = {}
        """Account -> the height of the last block that names it."""
        self._before: dict[str, list[int]] = {}
        """Account -> its earlier balances, as [height, balance, height, balance, …], oldest first."""
        self._executed_at: dict[str, int] = {}
        """Transaction -> the height of the block that has it."""

    def push(self, block: Block, height: int, balances: Mapping[str, int]) -> None:
        """Append a block, after which the accounts that it names have these balances."""
        changed_at, before = self._changed_at, self._before
        for account in changed_at.keys() & balances.keys():
            past = before.get(account)
            if past is None:
                before[account] = [changed_at[account], self.balances[account]]
            else:
                past.append(changed_at[account])
                past.append(self.balances[account])
        self.balances.update(balances)
        self._changed_at.update(dict.fromkeys(balances, height))
        self._executed_at.update(dict.fromkeys(block.transactions, height))
        self.tip = block

    def pop(self, accounts: Iterable[str]) -> None:
        """The opposite of `push`, given the accounts that the last block names."""
        assert self.tip is not None, "the genesis is never undone"
        for account in accounts:
            before = self._before.pop(account, None)
            if before is None:
                del self.balances[account], self._changed_at[account]
                continue
            self.balances[account], self._changed_at[account] = before.pop(), before.pop()
            if before:
                self._before[account] = before
        for transaction_id in self.tip.transactions:
            del self._executed_at[transaction_id]
        self.tip = self.tip.parent

    def balances_at(self, height: int, accounts: Set[str]) -> dict[str, int]:
        """What these accounts have after the block at this height. Those that no block up to it names are left out."""
        found = {}
        for account in accounts & self.balances.keys():
            if self._changed_at[account] <= height:
                found[account] = self.balances[account]
            elif account in self._before:
                before = self._before[account]
                entries = bisect_right(range(len(before) // 2), height, key=lambda entry: before[2 * entry])
                if entries:
                    found[account] = before[2 * entries - 1]
        return found

    def executed_at(self, height: int, transactions: Set[str]) -> set[str]:
        """Those of the transactions that are in the block at this height, or below it in the branch."""
        return {found for found in transactions & self._executed_at.keys() if self._executed_at[found] <= height}


class View(NamedTuple):
    """What some transactions need to know of the state after one block of the tree, so that they can be tried out."""

    balances: dict[str, int]
    """The balances of the accounts that the transactions name."""
    executed: set[str]
    """Those of the transactions that have been executed."""

    def execute(self, transaction: Transaction) -> str | None:
        """Let a transaction take effect, or say why it is not valid here."""
        transaction_id, sender, receiver, amount = transaction
        balances = self.balances
        reason = why_invalid(transaction, balances[sender], transaction_id in self.executed)
        if reason is None:
            balances[sender] -= amount
            balances[receiver] += amount - FEE  # the fee is not lost: `TreeLedger.execute` gives it to the creator
            self.executed.add(transaction_id)
        return reason


class TreeLedger(Ledger):
    """The ledger of every block of a tree. Its `balances` are those of the best chain."""

    def __init__(self, tree: Tree, balances: dict[str, int], transactions: Mapping[str, Transaction]) -> None:
        """Begin with the balances of the genesis; `transactions` has what blocks name by their ids."""
        super().__init__()
        self._transactions = transactions
        self.best = Branch(None)
        """The best chain."""
        self.best.push(tree.root, tree.root.height, balances)
        self.balances = self.best.balances
        self.side_branches: dict[str, Branch] = {}
        """Block id -> its branch, for the blocks that are not on the best chain."""

    def execute(self, block: Block) -> None:
        """Execute a block after its parent; InvalidBlock, and nothing has changed, if it is not valid there.

        The balances stay those of the best chain, unless the block continues it. The caller then puts a
        valid block into the tree.
        """
        assert block.parent is not None, "the genesis is not executed"
        transactions = self.transactions_of(block)
        view = self._view(block.parent, transactions, block.creator)
        for transaction in transactions:
            reason = view.execute(transaction)
            if reason is not None:
                raise InvalidBlock(f"its transaction {transaction.id}: {reason}")
        view.balances[block.creator] += REWARD + FEE * len(transactions)
        # Use the strings that are in memory already: those from the frame are equal, but take 113 bytes each.
        block.transactions = [transaction.id for transaction in transactions]
        self._put(block, view.balances)

    def choose_valid(self, parent: Block, candidates: Sequence[Transaction], most: int) -> list[str]:
        """Ids of those candidates that are valid one after the other, as a child of `parent` would execute them:
        at most `most`, in their order."""
        view = self._view(parent, candidates)
        chosen: list[str] = []
        for transaction in candidates:
            if len(chosen) == most:
                break
            if view.execute(transaction) is None:
                chosen.append(transaction.id)
        return chosen

    def follow(self, path: Path) -> None:
        """Another tip is the best: undo the abandoned blocks, which become a side branch, and append the new ones to
        the best chain.

        If these are only the beginning of a side branch, they also stay in it, since its other blocks build on them.
        """
        abandoned = Branch(path.done[0].parent)
        balances = [self._undo(block) for block in path.undone]
        for block in reversed(path.undone):
            abandoned.push(block, block.height, balances.pop())
            self.side_branches[block.id] = abandoned
        for block in path.done:
            branch = self.side_branches.pop(block.id, None)
            if branch is not None:
                self.best.push(block, block.height, self._left_by(block, branch))

    def forget(self, block: Block) -> None:
        """A block has left the tree: it was off the best chain, and the last of its branch."""
        branch = self.side_branches.pop(block.id)
        branch.pop(self._left_by(block, branch))

    def transactions_of(self, block: Block) -> list[Transaction]:
        """What a block executes, in order."""
        return [self._transactions[transaction_id] for transaction_id in block.transactions]

    def _view(self, block: Block, transactions: Sequence[Transaction], *others: str) -> View:
        """The state after a block of the tree, as far as it concerns these transactions and these other accounts."""
        accounts = _named(transactions).union(others)
        ids = {transaction.id for transaction in transactions}
        balances, executed = dict.fromkeys(accounts, 0), set()
        for branch, height in self._line(block):
            balances.update(branch.balances_at(height, accounts))
            executed |= branch.executed_at(height, ids)
        return View(balances, executed)

    def _line(self, block: Block) -> list[tuple[Branch, int]]:
        """The branches that a block stands on, from that of the genesis to its own, each with its last height."""
        line = []
        at: Block | None = block
        while at is not None:
            branch = self._branch(at)
            line.append((branch, at.height))
            at = branch.fork
        return line[::-1]

    def _branch(self, block: Block) -> Branch:
        return self.side_branches.get(block.id, self.best)

    def _put(self, block: Block, balances: dict[str, int]) -> None:
        """Put a block into the branch that it continues, or into a new one."""
        parent = block.parent
        assert parent is not None
        branch = self._branch(parent)
        if parent is not branch.tip:
            branch = Branch(parent)
        branch.push(block, parent.height + 1, balances)
        if branch is not self.best:
            self.side_branches[block.id] = branch

    def _undo(self, block: Block) -> dict[str, int]:
        """Undo the tip of the best chain: the ledger is exactly what it was before. Give the balances that the block
        had left, so that it can be appended again."""
        balances = self._left_by(block, self.best)
        self.best.pop(balances)
        return balances

    def _left_by(self, block: Block, branch: Branch) -> dict[str, int]:
        """The balances after a block of this branch, for the accounts that the block names."""
        accounts = _named(self.transactions_of(block))
        return branch.balances_at(block.height, accounts | {block.creator})


def _named(transactions: Sequence[Transaction]) -> set[str]:
    """The accounts that some transactions name."""
    return {transaction.sender for transaction in transactions} | {transaction.receiver for transaction in transactions}
