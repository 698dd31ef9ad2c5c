"""The tree of blocks of stage 5, as several nodes together know it: in colours, and drawn on its side.

Every branch has a colour: a block takes that of its parent, unless another child has it already. So nodes whose tips
have one colour are on one branch, also when one of them is behind.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

COLOURS = 6
"""Colours that branches take in turn, 0 to 5."""

CELL = 8
"""Columns that a block takes in a drawing: a dash, its creator's number, and the first digits of its id."""

ROOM_FOR_NODES = 16
"""Columns behind a branch, for the nodes that stand at its tip."""


class Known(NamedTuple):
    """A block that some node has reported."""

    id: str
    parent: str
    height: int
    creator: str
    """Who made it, in a few characters."""
    colour: int


class Piece(NamedTuple):
    """Some text in one colour; None is no colour."""

    text: str
    colour: int | None = None


class Branches:
    """All blocks that any node has reported."""

    def __init__(self) -> None:
        self.blocks: dict[str, Known] = {}
        self._children: dict[str, list[Known]] = {}
        self._last_colour = 0

    def add(self, block: Mapping[str, Any], creator: str, used: Collection[int] = ()) -> Known:
        """Note a block, given as the members of the event `block`. A new branch gets none of the `used` colours."""
        if block["id"] not in self.blocks:
            siblings = self._children.setdefault(block["parent"], [])
            known = Known(block["id"], block["parent"], block["height"], creator,
                          self._choose_colour(block["parent"], siblings, used))
            self.blocks[known.id] = known
            siblings.append(known)
        return self.blocks[block["id"]]

    def _choose_colour(self, parent: str, siblings: list[Known], used: Collection[int]) -> int:
        taken = {sibling.colour for sibling in siblings}
        if self.colour(parent) not in taken:
            return self.colour(parent)
        order = [(self._last_colour + step) % COLOURS for step in range(1, COLOURS + 1)]
        self._last_colour = next((one for one in order if one not in taken and one not in used), order[0])
        return self._last_colour

    def colour(self, block_id: str) -> int:
        """The colour of a block; that of the genesis is 0, and so is that of one that is not known here."""
        return self.blocks[block_id].colour if block_id in self.blocks else 0

    def rivals(self, block: Known) -> list[Known]:
        """The other blocks on the same parent."""
        return [other for other in self._children[block.parent] if other is not block]

    # --- the drawing ----------------------------------------------------------------------------

    def draw(self, tips: Mapping[str, str], width: int, only: Collection[str] | None = None) -> list[list[Piece]]:
        """The newest heights of all blocks, or of those with the ids `only`: one branch a line, from left to right.
        `tips` says what to write behind the tips at which nodes stand; those further back get a line each, below."""
        blocks = [block for block in self.blocks.values() if only is None or block.id in only]
        if not blocks:
            return [[Piece("no blocks yet")]]
        highest = max(block.height for block in blocks)
        lowest = max(1, highest - max(1, (width - ROOM_FOR_NODES) // CELL) + 1)
        heights = "".join(f"{height:>{CELL}}" for height in range(lowest, highest + 1))
        shown = [block for block in blocks if block.height >= lowest]
        drawn: set[str] = set()
        behind = sorted((block for block in blocks if block.height < lowest and block.id in tips),
                        key=lambda block: -block.height)
        return [[Piece(heights)], *(self._draw_branch(leaf, lowest, tips, drawn) for leaf in _ends(shown, tips)),
                *([Piece(_cell(block), block.colour), Piece(f" at height {block.height} {tips[block.id]}")]
                  for block in behind)]

    def _draw_branch(self, leaf: Known, lowest: int, tips: Mapping[str, str], drawn: set[str]) -> list[Piece]:
        """A branch from where it leaves those drawn already."""
        branch: list[Known] = []
        block: Known | None = leaf
        while block is not None and block.height >= lowest and block.id not in drawn:
            branch.insert(0, block)
            block = self.blocks.get(block.parent)
        drawn.update(one.id for one in branch)
        label = Piece(f" {tips[leaf.id]}" if leaf.id in tips else "", leaf.colour)
        if not branch:
            return [Piece(" " * (CELL * (leaf.height - lowest + 1) - 1)), Piece("^", leaf.colour), label]
        is_fork = block is not None and block.id in drawn
        indent = Piece(" " * CELL * (branch[0].height - lowest))
        cells = [Piece(("└" if is_fork and one is branch[0] else "─") + _cell(one), one.colour) for one in branch]
        return [indent, *cells, label]


def _ends(blocks: Sequence[Known], tips: Collection[str]) -> list[Known]:
    """Where branches end, the highest first, and the tips that others have built on."""
    parents = {block.parent for block in blocks}
    ends = [block for block in blocks if block.id not in parents or block.id in tips]
    return sorted(ends, key=lambda block: (block.height, block.id in tips), reverse=True)


def _cell(block: Known) -> str:
    return f"{block.creator[:2]}:{block.id[:4]}".rjust(CELL - 1, "─")
