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
"""Columns after a branch, for the nodes that stand at its tip; more if they need more."""

GAP = "─" + "┄" * (CELL - 1)
"""Blocks of a branch that are left out of a drawing."""

LEAST_WITH_GAP = 4
"""Blocks that must have room beside each other before one of them is the common one, and one the gap."""


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
        `tips` says what to write after the tips at which nodes stand; those further back get a line each, below. If
        all these part before these heights, the block that they have in common is drawn in front of them."""
        blocks = [block for block in self.blocks.values() if only is None or block.id in only]
        if not blocks:
            return [[Piece("no blocks yet")]]
        highest = max(block.height for block in blocks)
        room = max(ROOM_FOR_NODES, min(width // 2, max(map(len, tips.values()), default=0) + 1))
        places = max(1, (width - room) // CELL)
        ends = _ends([block for block in blocks if block.height > highest - places], tips)
        behind = sorted((block for block in blocks if block.height <= highest - places and block.id in tips),
                        key=lambda block: -block.height)
        axis = self._choose_heights([[*ends, *behind], ends], highest, places)
        drawn: set[str] = set()
        lines = [[Piece(axis.title())],
                 *(self._draw_branch(leaf, axis, tips, drawn) if leaf.height >= axis.first else
                   [Piece(_cell(leaf), leaf.colour), Piece(f" at height {leaf.height} {tips[leaf.id]}")]
                   for leaf in [*ends, *behind])]
        return [_cut(line, width) for line in lines]

    def _choose_heights(self, wishes: Sequence[Sequence[Known]], highest: int, places: int) -> "Axis":
        """Those in which the first of the `wishes` has its common block; the newest ones if there is none to show."""
        lowest = max(1, highest - places + 1)
        for ends in wishes if places >= LEAST_WITH_GAP else []:
            common = self._common(ends)
            if common is not None and common.height < lowest:
                return Axis(highest - places + 3, highest, common.height)
        return Axis(lowest, highest, None)

    def _common(self, ends: Sequence[Known]) -> Known | None:
        """The newest block that all these are or descend from; None if that is the genesis, or is not known."""
        if len(ends) < 2:
            return None
        paths = [self._path(end) for end in ends]
        shared = set.intersection(*({block.id for block in path} for path in paths))
        return next((block for block in paths[0] if block.id in shared), None)

    def _path(self, block: Known | None) -> list[Known]:
        """A block and all before it."""
        path: list[Known] = []
        while block is not None:
            path.append(block)
            block = self.blocks.get(block.parent)
        return path

    def _draw_branch(self, leaf: Known, axis: "Axis", tips: Mapping[str, str], drawn: set[str]) -> list[Piece]:
        """A branch from where it leaves those drawn already."""
        branch: list[Known] = []
        block: Known | None = leaf
        while block is not None and block.height >= axis.first and block.id not in drawn:
            branch.insert(0, block)
            block = self.blocks.get(block.parent)
        drawn.update(one.id for one in branch)
        place = f" {_cell(leaf).strip('─')} at height {leaf.height}" if axis.hides(leaf.height) else ""
        label = Piece(place + (f" {tips[leaf.id]}" if leaf.id in tips else ""), leaf.colour)
        if not branch:
            return [Piece(" " * (CELL * (axis.place(leaf.height) + 1) - 1)), Piece("^", leaf.colour), label]
        is_fork = block is not None and block.id in drawn
        shown = [one for one in branch if not axis.hides(one.height)]
        hidden = [one for one in branch if axis.hides(one.height)][-1:]
        cells = [Piece(GAP if one in hidden else "─" + _cell(one), one.colour)
                 for one in sorted([*shown, *hidden], key=lambda one: one.height)]
        if is_fork:
            cells[0] = Piece("└" + cells[0].text[1:], cells[0].colour)
        return [Piece(" " * CELL * axis.place(branch[0].height)), *cells, label]


class Axis(NamedTuple):
    """The heights that are drawn: from `lowest` to `highest`, and perhaps one before a gap."""

    lowest: int
    highest: int
    before_gap: int | None

    @property
    def first(self) -> int:
        """The first height that is drawn."""
        return self.lowest if self.before_gap is None else self.before_gap

    def hides(self, height: int) -> bool:
        """Does this height lie in the gap?"""
        return self.before_gap is not None and self.before_gap < height < self.lowest

    def place(self, height: int) -> int:
        """In which column of cells a height is drawn, from 0 on."""
        if self.before_gap is None:
            return height - self.lowest
        return 0 if height == self.before_gap else 1 if height < self.lowest else height - self.lowest + 2

    def title(self) -> str:
        """The line above the drawing."""
        before = f"{self.before_gap:>{CELL}}{'…':>{CELL}}" if self.before_gap is not None else ""
        return before + "".join(f"{height:>{CELL}}" for height in range(self.lowest, self.highest + 1))


def _cut(line: Sequence[Piece], width: int) -> list[Piece]:
    """A line that does not wrap: many nodes may stand at one block."""
    left, cut = width, []
    for piece in line:
        text = piece.text if len(piece.text) <= left else piece.text[:max(0, left - 1)] + "…" * (left > 0)
        cut.append(Piece(text, piece.colour))
        left -= len(text)
    return cut


def _ends(blocks: Sequence[Known], tips: Collection[str]) -> list[Known]:
    """Where branches end, the highest first, and the tips that others have built on."""
    parents = {block.parent for block in blocks}
    ends = [block for block in blocks if block.id not in parents or block.id in tips]
    return sorted(ends, key=lambda block: (block.height, block.id in tips), reverse=True)


def _cell(block: Known) -> str:
    return f"{block.creator[:2]}:{block.id[:4]}".rjust(CELL - 1, "─")
