"""The tree of blocks, and which of its chains is the best (contract §3, stage 5)."""

from typing import Any, NamedTuple

from stage4_sequencer.limits import MAX_ANSWER_BLOCKS


class Block:
    """A block: who made it in which slot, on which parent, with which transactions in order."""

    def __init__(self, block_id: str, slot: int, parent_id: str, creator: str, value: int,
                 transactions: list[str], frame: bytes) -> None:
        self.id = block_id
        self.slot = slot
        self.parent_id = parent_id
        self.creator = creator
        self.value = value
        """The lottery value of the draw, which breaks ties."""
        self.transactions = transactions
        self.frame = frame
        self.parent: Block | None = None
        """The parent block; None until `check_place` has found it. `height` is 0 until the block is in the tree."""
        self.height = 0
        self.children: list[Block] = []

    def describe(self) -> dict[str, Any]:
        """The members of the event `block`."""
        return {"id": self.id, "transactions": len(self.transactions), "creator": self.creator, "slot": self.slot,
                "height": self.height, "parent": self.parent_id}

    @property
    def rank(self) -> tuple[int, int, str]:
        """Smaller is better: the longer chain, then the smaller lottery value, then the smaller id."""
        # Why does the draw decide a tie, and not the id? A creator can choose the id, by choosing transactions, but
        # not the draw. Why not simply keep the block that came first? Each half of a network would keep its own,
        # perhaps for a long time. By this rule, nodes with the same blocks have the same best chain, in whatever order
        # the blocks came.
        return -self.height, self.value, self.id


class Path(NamedTuple):
    """How to get from one block of the tree to another."""

    undone: list[Block]
    """From the first block down to the common ancestor, newest first, without the ancestor."""
    done: list[Block]
    """From the common ancestor up to the second block, oldest first, without the ancestor."""


class Tree:
    """All valid blocks, from the genesis on."""

    def __init__(self, genesis_id: str) -> None:
        self.root = Block(genesis_id, 0, "", "", 0, [], b"")
        self.blocks: dict[str, Block] = {genesis_id: self.root}
        self.best: Block = self.root
        """The tip of the best chain."""
        self.chain: list[Block] = [self.root]
        """The best chain by height, the genesis first."""

    def __contains__(self, block_id: str) -> bool:
        return block_id in self.blocks

    def __len__(self) -> int:
        """The number of blocks, the genesis not counted."""
        return len(self.blocks) - 1

    def add(self, block: Block) -> Path:
        """Put in a valid block whose parent is there; give the way from the old best tip to the new one."""
        parent = self.blocks[block.parent_id]
        block.parent, block.height = parent, parent.height + 1
        self.blocks[block.id] = block
        parent.children.append(block)
        if block.rank > self.best.rank:
            return Path([], [])
        path = self.path(self.best, block)
        del self.chain[len(self.chain) - len(path.undone):]
        self.chain += path.done
        self.best = block
        return path

    def remove(self, block: Block) -> None:
        """Take out a block that is not on the best chain, and on which none builds."""
        del self.blocks[block.id]
        _parent(block).children.remove(block)

    def path(self, start: Block, end: Block) -> Path:
        """The way from one block to another. The work grows with the length of the fork, not of the chain."""
        undone, done = [], []
        while start is not end:
            if start.height >= end.height:
                undone.append(start)
                start = _parent(start)
            else:
                done.append(end)
                end = _parent(end)
        return Path(undone, done[::-1])

    def is_on_best_chain(self, block: Block) -> bool:
        """Does this block of the tree belong to the best chain?"""
        return block.height < len(self.chain) and self.chain[block.height] is block

    def locator(self) -> list[str]:
        """Ids of the best chain from the tip back: ten one by one, then in doubling steps, the genesis last."""
        # Most forks are short, so the first steps are small. Doubling keeps the list short on a long chain: thirty ids
        # reach a million blocks back.
        heights, height, step = [], len(self.chain) - 1, 1
        while height > 0:
            heights.append(height)
            if len(heights) >= 10:
                step *= 2
            height -= step
        return [self.chain[height].id for height in [*heights, 0]]

    def after_locator(self, locator: list[str]) -> list[Block]:
        """The blocks of the best chain after the first of these ids that is on it, as many as one answer may hold; none
        if no id is on it."""
        for block_id in locator:
            block = self.blocks.get(block_id)
            if block is not None and self.is_on_best_chain(block):
                return self.chain[block.height + 1:block.height + 1 + MAX_ANSWER_BLOCKS]
        return []


def _parent(block: Block) -> Block:
    assert block.parent is not None, "only the genesis has no parent, and all blocks descend from it"
    return block.parent
