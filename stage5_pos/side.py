"""What is kept for blocks that do not count yet, and may never: whoever has stake can make any number of them.

A stake holder may sign any number of blocks for a slot that it has won, each with fifty thousand transactions, and
build on blocks of a year ago. All of them can be valid. So a node keeps a bounded number of bytes for each creator, and
the lowest blocks leave first: a branch that nobody else builds on will not become the longest chain. If it matters
after all, it comes again in an answer to `get_chain`, or is asked for because somebody else's block builds on it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush

from common.ledger import Transaction
from stage4_sequencer.pool import Refused
from stage5_pos.limits import MAX_SOLO_BYTES
from stage5_pos.tree import Block, Path


class SoloBlocks:
    """The blocks that are off the best chain, and that only their own creator has built on."""

    def __init__(self) -> None:
        self._sizes: dict[str, dict[Block, int]] = {}
        """Creator -> its blocks -> the bytes that they take."""
        self._held: dict[str, int] = {}

    def add(self, block: Block, size: int) -> None:
        """A block has entered the tree, off the best chain; `size` is the number of bytes that it takes."""
        self._sizes.setdefault(block.creator, {})[block] = size
        self._held[block.creator] = self._held.get(block.creator, 0) + size

    def discard(self, block: Block) -> bool:
        """A block has left the tree, or is no longer one of these; True if it was one."""
        size = self._sizes.get(block.creator, {}).pop(block, None)
        if size is None:
            return False
        self._held[block.creator] -= size
        return True

    def on_built_upon(self, block: Block) -> None:
        """A block has entered the tree. If it builds on another creator's block, that one is no longer solo, nor are
        those below it."""
        parent = block.parent
        if parent is not None and parent.creator != block.creator:
            while parent is not None and self.discard(parent):
                parent = parent.parent

    def on_best_changed(self, path: Path, size_of: Callable[[Block], int]) -> None:
        """What is on the best chain is not solo; what has left it may be. `size_of` gives the bytes that a block
        takes."""
        for block in path.done:
            self.discard(block)
        for block in path.undone:
            mine = self._sizes.get(block.creator, {})
            if not all(child in mine for child in block.children):
                break
            self.add(block, size_of(block))

    def surplus(self, creator: str, newest: Block) -> Iterator[Block]:
        """While this creator's blocks take too many bytes: the lowest one on which nothing builds, but never `newest`.
        The caller must take each one out of the tree, and discard it here, before it asks for the next one."""
        if self._held.get(creator, 0) <= MAX_SOLO_BYTES:
            return
        mine = self._sizes[creator]
        leaves = [(block.height, number, block) for number, block in enumerate(mine)
                  if not block.children and block is not newest]
        heapify(leaves)
        while leaves and self._held[creator] > MAX_SOLO_BYTES:
            height, number, lowest = heappop(leaves)
            yield lowest
            if lowest.parent in mine and not lowest.parent.children:
                heappush(leaves, (height - 1, number, lowest.parent))


class Aside:
    """Transactions for which the pool had no room, and which came in for blocks that need them.

    They leave with the last of these blocks, unless one of the blocks becomes part of the best chain.
    """

    def __init__(self, transactions: dict[str, Transaction], frames: dict[str, bytes], refused: Refused) -> None:
        """While transactions are here, they are among the node's `transactions` and `frames`. Those that nobody needs
        any more go to `refused`."""
        self._transactions = transactions
        self._frames = frames
        self._refused = refused
        self._held_by: dict[str, set[str]] = {}
        """Transaction -> the blocks that need it, both as ids."""
        self._written: set[str] = set()
        """Those of the transactions that are in the journal."""
        self._in_tree: Counter[str] = Counter()
        """Transaction -> how many of the blocks that need it are in the tree."""
        self.size_for_waiting = 0
        """Bytes of the transactions that are here only for blocks that wait. Those that a block of the tree needs do
        not count: they stay when a waiting block leaves (see `SoloBlocks`)."""

    def __contains__(self, transaction_id: str) -> bool:
        return transaction_id in self._held_by

    def add(self, transaction: Transaction, frame: bytes, block_ids: Iterable[str]) -> None:
        """A transaction has come in for these blocks."""
        self._transactions[transaction.id] = transaction
        self._frames[transaction.id] = frame
        self._held_by[transaction.id] = set(block_ids)
        self.size_for_waiting += len(frame)

    def add_from_pool(self, transaction: Transaction, frame: bytes, blocks: Iterable[Block]) -> None:
        """A transaction has left the pool, and these blocks of the tree need it. It is in the journal."""
        self.add(transaction, frame, [])
        self._written.add(transaction.id)
        for block in blocks:
            self._count_in_tree(block, transaction.id)

    def _remove(self, transaction_id: str) -> None:
        del self._held_by[transaction_id]
        self._written.discard(transaction_id)
        if not self._in_tree.pop(transaction_id, 0):
            self.size_for_waiting -= len(self._frames[transaction_id])

    def among(self, ids: Iterable[str]) -> list[str]:
        """Those of the transactions that are here."""
        return [one for one in ids if one in self._held_by] if self._held_by else []

    def on_entered(self, block: Block) -> list[str]:
        """A block has entered the tree. Give those of its transactions that are here, and not in the journal yet: the
        caller puts them there."""
        # Why not all of them for each block? A small block can name transactions of 64 MiB, and so can the next. Once
        # is enough: a replay keeps each of them permanently.
        needed = self.among(block.transactions)
        for one in needed:
            self._count_in_tree(block, one)
        unwritten = [one for one in needed if one not in self._written]
        self._written.update(unwritten)
        return unwritten

    def _count_in_tree(self, block: Block, transaction_id: str) -> None:
        self._held_by[transaction_id].add(block.id)
        if transaction_id not in self._in_tree:
            self.size_for_waiting -= len(self._frames[transaction_id])
        self._in_tree[transaction_id] += 1

    def hold(self, block: Block) -> None:
        """A block has come that needs some of these, too."""
        for transaction_id in self.among(block.transactions):
            self._held_by[transaction_id].add(block.id)

    def size_of(self, block: Block) -> int:
        """The bytes that a block takes: its own, and those of the transactions here that it needs. Other blocks may
        need them, too; they count for each."""
        return len(block.frame) + sum(len(self._frames[one]) for one in self.among(block.transactions))

    def release(self, block: Block) -> None:
        """A block has left: so do the transactions that nobody needs now."""
        for transaction_id in self.among(block.transactions):
            self._held_by[transaction_id].discard(block.id)
            if block.height > 0:
                self._leave_tree(transaction_id)
            if not self._held_by[transaction_id]:
                self._remove(transaction_id)
                self._refused.add(self._transactions.pop(transaction_id))
                del self._frames[transaction_id]

    def _leave_tree(self, transaction_id: str) -> None:
        self._in_tree[transaction_id] -= 1
        if not self._in_tree[transaction_id]:
            del self._in_tree[transaction_id]
            self.size_for_waiting += len(self._frames[transaction_id])

    def take(self, ids: Iterable[str]) -> list[Transaction]:
        """These transactions are now kept permanently: remove those that were here, and give them."""
        taken = self.among(ids)
        for transaction_id in taken:
            self._remove(transaction_id)
        return [self._transactions[transaction_id] for transaction_id in taken]
