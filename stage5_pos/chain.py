"""What happens after a block has entered the tree: another chain may be the best, and some block may have to leave.

When another tip is the best, `TreeLedger.follow` undoes the blocks that only the abandoned branch has. Here, what these
had executed returns to the pool, and what the new branch has executed leaves it. The user is told of the rollback.
"""

from collections.abc import Callable, Iterator

from common.ledger import Transaction
from stage4_sequencer.pool import Pool, Refused
from stage5_pos.ledger import TreeLedger
from stage5_pos.side import Aside, SoloBlocks
from stage5_pos.tree import Block, Path, Tree


class BestChain:
    """Keeps the ledger and the pool as the best chain of the tree leaves them."""

    def __init__(self, tree: Tree, ledger: TreeLedger, pool: Pool, refused: Refused, aside: Aside,
                 add_id: Callable[[str], None], let_go_unpaid: Callable[[], dict[str, tuple[Transaction, bytes]]],
                 report: Callable[..., None], report_made_here: Callable[[str, str], None]) -> None:
        """`add_id` puts the id of a transaction among those that neighbours compare. `let_go_unpaid` forgets what the
        pool has no room for any longer. `report` tells the user of an event and its members, `report_made_here` of the
        new state of a transaction, if it was made here."""
        self._tree = tree
        self._ledger = ledger
        self._pool = pool
        self._refused = refused
        self._aside = aside
        self._add_id = add_id
        self._let_go_unpaid = let_go_unpaid
        self._report = report
        self._report_made_here = report_made_here
        self._solo_blocks = SoloBlocks()
        self.rollbacks = 0
        self.longest_rollback = 0

    def on_entered(self, block: Block, path: Path) -> None:
        """A block has entered the tree; `path` leads from the old best tip to the new one."""
        self._solo_blocks.on_built_upon(block)
        if path.done:
            self.on_best_changed(path)
        else:
            self._solo_blocks.add(block, self._aside.size_of(block))

    def on_best_changed(self, path: Path) -> None:
        """Another tip is the best. Most often it is one block more, and nothing is undone."""
        self._ledger.follow(path)
        for block in path.done:
            self._take_in(block)
        if path.undone:
            self._after_rollback(path)
        self._solo_blocks.on_best_changed(path, self._aside.size_of)

    def make_room(self) -> None:
        """Let go of what was covered when it came, and is not any more, if the pool has too much of that. What a block
        off the best chain names is kept for that block."""
        gone = self._let_go_unpaid()
        needed_by: dict[str, list[Block]] = {}
        for block_id in self._ledger.side_branches if gone else ():
            block = self._tree.blocks[block_id]
            for named in gone.keys() & block.transactions:
                needed_by.setdefault(named, []).append(block)
        for named, blocks in needed_by.items():
            self._aside.add_from_pool(*gone[named], blocks)
        for block in dict.fromkeys(block for blocks in needed_by.values() for block in blocks):
            if self._solo_blocks.discard(block):  # it takes more room now
                self._solo_blocks.add(block, self._aside.size_of(block))

    def _after_rollback(self, path: Path) -> None:
        """Blocks were undone. What they had executed, and the new branch has not, returns to the pool."""
        executed = {transaction_id for block in path.done for transaction_id in block.transactions}
        abandoned = [one for block in reversed(path.undone) for one in self._ledger.transactions_of(block)]
        back = [transaction for transaction in abandoned if transaction.id not in executed]
        self._pool.put_back(back)
        for transaction in back:
            self._report_made_here(transaction.id, "pending")
        depth = len(path.undone)
        self.rollbacks += 1
        self.longest_rollback = max(self.longest_rollback, depth)
        self._report("rollback", depth=depth, **{"from": path.undone[0].id, "to": path.done[-1].id})

    def _take_in(self, block: Block) -> None:
        """A block is part of the best chain. Its transactions that came in only for blocks are kept permanently, and
        none of its transactions stays in the pool. Their receivers may now be able to pay what they could not pay
        before."""
        for transaction in self._aside.take(block.transactions):
            self._add_id(transaction.id)
            self._pool.add(transaction)
        for transaction in self._ledger.transactions_of(block):
            self._refused.on_paid(transaction.receiver)
            if self._pool.remove(transaction.id):
                self._report_made_here(transaction.id, "applied")
        self._refused.on_paid(block.creator)

    def remove_surplus(self, newest: Block) -> Iterator[Block]:
        """While the solo blocks of the creator of `newest` (see `SoloBlocks`) take too much room, take the lowest of
        them out of the tree; give each one."""
        for surplus in self._solo_blocks.surplus(newest.creator, newest):
            self._solo_blocks.discard(surplus)
            self._tree.remove(surplus)
            self._ledger.forget(surplus)
            self._aside.release(surplus)
            yield surplus
