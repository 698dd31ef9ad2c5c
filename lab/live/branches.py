"""The tree of blocks of stage 5, as several nodes together know it: in colours, and drawn from left to right.

Every branch has a colour: a block takes that of its parent, unless another child already has it. So nodes whose tips
have the same colour are on one branch, even if one of them lags.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

COLOURS = 6
"""The number of colours that branches take in turn, 0 to 5."""

CELL = 8
"""Columns of a block in a drawing: a dash, its creator's number, and the first digits of its id."""

ROOM_FOR_NODES = 16
"""At least this many columns are kept free after a branch, for the nodes at its tip."""

LEAST_CELLS = 3
"""Even the narrowest drawing has room for this many blocks next to each other: a common block, a gap, a tip."""

WIDE_GAP = 2
"""The cells of a gap that says `… 27 blocks …`. If room is short, a gap has one cell."""

DEEP = 4
"""A branch of at least this many blocks is drawn even if it ended long ago: leaving it was a deep rollback."""


class Known(NamedTuple):
    """A block that some node has reported."""

    id: str
    parent: str
    height: int
    creator: str
    """Its creator, in a few characters."""
    colour: int


class Piece(NamedTuple):
    """A text in one colour; None means no colour."""

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
        """The colour of a block; 0 for the genesis, and for a block that is not known here."""
        return self.blocks[block_id].colour if block_id in self.blocks else 0

    def rivals(self, block: Known) -> list[Known]:
        """The other blocks on the same parent."""
        return [other for other in self._children[block.parent] if other is not block]

    # --- the drawing ----------------------------------------------------------------------------

    def draw(self, tips: Mapping[str, str], width: int, only: Collection[str] | None = None) -> list[list[Piece]]:
        """Draw the newest heights of all blocks, or of those with the ids `only`: a line for each branch, from left to
        right. `tips`: id of a node's tip -> the words after it; a tip inside a branch has its own line. If room is
        short, long straight parts are left out; the blocks from which branches grow are the last to go."""
        blocks = [block for block in self.blocks.values() if only is None or block.id in only]
        if not blocks:
            return [[Piece("no blocks yet")]]
        room = max(ROOM_FOR_NODES, min(width // 2, max(map(len, tips.values()), default=0) + 1))
        places = max((width - room) // CELL, LEAST_CELLS)
        branches = self._choose_branches(_ends(blocks, tips), tips, places)
        axis = _choose_axis(branches, tips, places)
        drawn = [branch for branch in branches if axis.has_line(branch, tips)]
        lines = [[Piece("".join(map(str, axis.parts)))],
                 *(_draw_branch(branch, axis, tips.get(branch.end.id, "")) for branch in drawn),
                 *([Piece(_cell(branch.end), branch.end.colour),
                    Piece(f" at height {branch.end.height} {tips[branch.end.id]}")]
                   for branch in branches if branch.end.id in tips and branch not in drawn)]
        return [_cut(line, width) for line in lines]

    def _choose_branches(self, ends: Sequence[Known], tips: Collection[str], places: int) -> list["Branch"]:
        """The branches to draw: those that end in the newest heights, those with tips, and the last deep rollback."""
        chosen: list[Branch] = []
        drawn: set[str] = set()
        has_deep = False
        for end in ends:
            own: list[Known] = []
            block: Known | None = end
            while block is not None and block.id not in drawn:
                own.insert(0, block)
                block = self.blocks.get(block.parent)
            is_new = end.height > ends[0].height - places or end.id in tips
            if is_new or (len(own) >= DEEP and not has_deep):
                has_deep = has_deep or not is_new
                chosen.append(Branch(end, own, block))
                drawn.update(one.id for one in own)
        return chosen


class Branch(NamedTuple):
    """A line of the drawing."""

    end: Known
    own: list[Known]
    """The blocks that no earlier line has, lowest first; none if the node's tip is inside another branch."""
    parent: Known | None
    """The block of another line that they build on."""

    @property
    def parting(self) -> int:
        """The height of the block from which it grows; if it grows from none, the height of its first block."""
        return self.parent.height if self.parent is not None else self.own[0].height

    def matters(self, tips: Collection[str]) -> bool:
        """Is it drawn even if there is no room for any of its blocks?"""
        return bool(self.own) and (self.end.id in tips or len(self.own) >= DEEP)


class Part(NamedTuple):
    """A part of the axis: one height, or several that are left out."""

    low: int
    high: int
    column: int
    """The column at which it begins."""
    width: int

    @property
    def is_gap(self) -> bool:
        """Are these heights left out? A single height never is."""
        return self.low != self.high

    def __str__(self) -> str:
        """The heading above it."""
        if not self.is_gap:
            return f"{self.low:>{self.width}}"
        count = self.high - self.low + 1
        return (f"… {count} blocks …" if self.width > CELL else f"… {count} …").center(self.width)[:self.width]


class Axis(NamedTuple):
    """The heights from left to right."""

    parts: list[Part]

    def find(self, height: int) -> Part | None:
        """The part that contains a height; None if it lies before all that is drawn."""
        return next((part for part in self.parts if part.low <= height <= part.high), None)

    def has_line(self, branch: Branch, tips: Collection[str]) -> bool:
        """Is this branch drawn? Not if the drawing begins after its last block, or if all its blocks are left out and
        `matters` is false."""
        end = self.find(branch.end.height)
        if end is None or not branch.own:
            return end is not None and not end.is_gap
        return branch.matters(tips) or not all(part is None or part.is_gap
                                               for part in (self.find(block.height) for block in branch.own))


def _choose_axis(branches: Sequence[Branch], tips: Collection[str], places: int) -> Axis:
    """Choose the heights by importance: the highest block; where branches that matter begin, larger ones first, and
    where they end; then the newest heights."""
    highest = branches[0].end.height
    others = sorted((branch for branch in branches[1:] if branch.matters(tips)), key=lambda one: -len(one.own))
    wanted = [highest, *(branch.parting for branch in others), max(1, highest - 1),
              *(branch.end.height for branch in others)]
    gap = WIDE_GAP if _count_cells(wanted, WIDE_GAP) <= places else 1
    heights = {highest}
    for height in wanted:
        if _count_cells({*heights, height}, gap) <= places:
            heights.add(height)
    for height in range(highest - 1, 0, -1):
        if _count_cells({*heights, height}, gap) > places:
            break
        heights.add(height)
    return Axis(_make_parts(heights, gap))


def _count_cells(heights: Collection[int], gap: int) -> int:
    return sum(part.width for part in _make_parts(heights, gap)) // CELL


def _make_parts(heights: Collection[int], gap: int) -> list[Part]:
    """The parts of an axis with these heights. A gap that would save no room is drawn in full."""
    parts: list[Part] = []

    def add(low: int, high: int, width: int) -> None:
        parts.append(Part(low, high, sum(part.width for part in parts), width))

    for height in sorted(set(heights)):
        first = parts[-1].high + 1 if parts else height
        if height - first > gap:
            add(first, height - 1, gap * CELL)
            first = height
        for one in range(first, height + 1):
            add(one, one, CELL)
    return parts


def _draw_branch(branch: Branch, axis: Axis, label: str) -> list[Piece]:
    """Draw a branch, from the block at which it leaves the branches above it."""
    found = [(block, part) for block in branch.own if (part := axis.find(block.height)) is not None]
    words = Piece(f" {label}" if label else "", branch.end.colour)
    if not found:
        stand = axis.find(branch.end.height)
        assert stand is not None
        return [Piece(" " * (stand.column + stand.width - 1)), Piece("^", branch.end.colour), words]
    shown = {part: Piece("─" + ("┄" * (part.width - 1) if part.is_gap else _cell(block)), block.colour)
             for block, part in found}
    cells = list(shown.values())
    if branch.parent is not None and axis.find(branch.parent.height) is not None:
        cells[0] = Piece("└" + cells[0].text[1:], cells[0].colour)
    place = f" {_cell(branch.end).strip('─')} at height {branch.end.height}" if found[-1][1].is_gap else ""
    end = Piece(place, branch.end.colour)
    return [Piece(" " * found[0][1].column), *cells, end, words]


def _cut(line: Sequence[Piece], width: int) -> list[Piece]:
    """Cut a line so that it does not wrap: many nodes may have their tip at one block."""
    left, cut = width, []
    for piece in line:
        text = piece.text if len(piece.text) <= left else piece.text[:max(0, left - 1)] + "…" * (left > 0)
        cut.append(Piece(text, piece.colour))
        left -= len(text)
    return cut


def _ends(blocks: Sequence[Known], tips: Collection[str]) -> list[Known]:
    """The ends of branches, highest first, and the nodes' tips that others have built on."""
    parents = {block.parent for block in blocks}
    ends = [block for block in blocks if block.id not in parents or block.id in tips]
    return sorted(ends, key=lambda block: (block.height, block.id in tips), reverse=True)


def _cell(block: Known) -> str:
    return f"{block.creator[:2]}:{block.id[:4]}".rjust(CELL - 1, "─")
