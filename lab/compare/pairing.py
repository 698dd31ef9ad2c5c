"""Two stages side by side: which piece of one belongs to which piece of the other, and what has changed."""

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import zip_longest
from typing import NamedTuple

from lab.compare.inheritance import Inheritance, Key
from lab.compare.stagecode import FOLDERS, Piece, SourceFile, Stage

FIRST_FILES, LAST_FILES = ["node.py"], ["__main__.py", "__init__.py"]
"""The order of files in a comparison; all others lie between these. The node's file says what differs from the stage
before."""


class Status(StrEnum):
    """What the later stage does with a piece of the earlier one."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "left alone"
    GONE = "no longer run"


class Row(NamedTuple):
    """Two pieces that belong together; one of them may be missing."""

    status: Status
    left: Piece | None
    right: Piece | None
    remark: str
    """How the right piece is related to what it overrides; if there is none, what runs in place of the left one."""

    @property
    def title(self) -> str:
        """The name of the piece."""
        piece = self.right or self.left
        assert piece is not None, "a row has at least one side"
        return piece.title


class Section(NamedTuple):
    """A file of one stage, and the file of the same name of the other."""

    file: str
    left: SourceFile | None
    right: SourceFile | None
    rows: list[Row]


class Comparison(NamedTuple):
    """Two stages, the earlier one on the left."""

    left: int
    right: int
    is_whole: bool
    sections: list[Section]

    def count(self, status: Status) -> int:
        """How many pieces have this status."""
        return sum(row.status == status for section in self.sections for row in section.rows)

    def summary(self) -> str:
        """How many pieces are new, changed, left alone and gone."""
        return ", ".join(f"{self.count(status)} {status}" for status in Status)

    def mark(self, piece: Piece, side: int) -> str:
        """A note on a piece that comes from an earlier stage than the one on its side."""
        return "" if piece.stage == side else f"from stage {piece.stage}"


def compare(stages: dict[int, Stage], left: int, right: int, is_whole: bool = False) -> Comparison:
    """Compare two stages; with `is_whole`, each with the code that it inherits from earlier stages."""
    inheritance = Inheritance(stages)
    runs = {number: inheritance.runs(number) for number in (left, right)}
    shown = runs if is_whole else {number: stages[number].pieces() for number in (left, right)}
    rows = list(_pair_all(inheritance, shown[left], shown[right]))
    if not is_whole:
        rows = list(_fill(inheritance, rows, runs[left], runs[right]))
    rows = [_judge(inheritance, row, runs[left], runs[right]) for row in rows]
    ordered = _order_by_origin(inheritance, rows) if is_whole else _order_by_file(rows, stages[right])
    left_files, right_files = (_files(stages, number, is_whole) for number in (left, right))
    names = sorted(left_files.keys() | right_files.keys(), key=_file_rank)
    return Comparison(left, right, is_whole, [
        Section(name, left_files.get(name), right_files.get(name), ordered.get(name, [])) for name in names])


# --- which pieces stand side by side ------------------------------------------------------------

def _pair_all(inheritance: Inheritance, lefts: Iterable[Piece], rights: Iterable[Piece]) -> Iterator[Row]:
    """Put pieces with the same key side by side. On both sides, what overrides comes first."""
    by_key: dict[Key, tuple[list[Piece], list[Piece]]] = defaultdict(lambda: ([], []))
    for side, pieces in enumerate((lefts, rights)):
        for piece in sorted(pieces, key=inheritance.age):
            by_key[inheritance.key(piece)][side].append(piece)
    for left_ones, right_ones in by_key.values():
        for left, right in _pair(left_ones, right_ones):
            yield Row(Status.UNCHANGED, left, right, "")


def _pair(lefts: list[Piece], rights: list[Piece]) -> Iterator[tuple[Piece | None, Piece | None]]:
    """Pair identical pieces first, then pieces in files of the same name, then the rest in order."""
    pairs = [(piece, piece) for piece in lefts if piece in rights]
    pairs += _pair_by_file([one for one in lefts if one not in rights], [one for one in rights if one not in lefts])
    yield from pairs
    left_over = [one for one in lefts if one not in [left for left, _ in pairs]]
    right_over = [one for one in rights if one not in [right for _, right in pairs]]
    if all(map(_is_head, [*left_over, *right_over])):  # two classes are not the same just because their bases are
        yield from ((left, None) for left in left_over)
        yield from ((None, right) for right in right_over)
    else:
        yield from zip_longest(left_over, right_over)


def _pair_by_file(lefts: list[Piece], rights: list[Piece]) -> list[tuple[Piece, Piece]]:
    found: list[tuple[Piece, Piece]] = []
    for left in lefts:
        taken = [right for _, right in found]
        match = next((right for right in rights if right.file == left.file and right not in taken), None)
        if match is not None:
            found.append((left, match))
    return found


def _is_head(piece: Piece) -> bool:
    return piece.name == piece.owner


def _fill(inheritance: Inheritance, rows: list[Row], left_runs: list[Piece],
          right_runs: list[Piece]) -> Iterator[Row]:
    """Give each piece without a partner what the other stage runs in its place, whichever file that comes from. A piece
    that already has a partner is not used again."""
    shown = {piece for row in rows for piece in (row.left, row.right) if piece is not None}
    # A piece that the earlier stage runs as well, such as one that `super()` reaches, is not new in the later stage. So
    # it cannot be the partner of a piece that is gone.
    instead = [piece for piece in right_runs if piece in shown or piece not in left_runs]
    for row in rows:
        known = row.right or row.left
        assert known is not None
        if row.left is None or row.right is None:
            found = _counterpart(inheritance, known, left_runs if row.left is None else instead)
            if found is known or (found is not None and found not in shown and not _is_head(known)):
                shown.add(found)
                row = row._replace(left=found) if row.left is None else row._replace(right=found)
        yield row


def _counterpart(inheritance: Inheritance, known: Piece, others: list[Piece]) -> Piece | None:
    """What a stage runs in the place of a piece: the piece itself, or the first piece with its key. Two classes that
    only have the same name have nothing to do with each other."""
    return known if known in others else next((one for one in others if inheritance.is_kin(known, one)), None)


def _judge(inheritance: Inheritance, row: Row, left_runs: list[Piece], right_runs: list[Piece]) -> Row:
    """Add the status and the remark of a row."""
    left, right = row.left, row.right
    if right is None:
        assert left is not None
        instead = None if _is_head(left) else _counterpart(inheritance, left, right_runs)
        return row._replace(status=Status.GONE, remark=f"in its place: {instead.title}" if instead else "")
    if left is None:
        is_known = not _is_head(right) and _counterpart(inheritance, right, left_runs) is not None
        status = Status.CHANGED if is_known else Status.NEW
    else:
        status = Status.UNCHANGED if left.code == right.code else Status.CHANGED
    return row._replace(status=status, remark=_relation(inheritance, right))


def _relation(inheritance: Inheritance, piece: Piece) -> str:
    """How a method is related to what it overrides; empty if it overrides nothing."""
    overridden = inheritance.overridden(piece)
    if overridden is None or not piece.is_method:
        return ""
    verb = "adds to" if inheritance.is_adding(piece) else "replaces"
    return f"{verb} {overridden.title} of stage {overridden.stage}"


# --- in which order -----------------------------------------------------------------------------

def _file_rank(name: str) -> tuple[int, str]:
    return (name in LAST_FILES) - (name in FIRST_FILES), name


def _files(stages: dict[int, Stage], number: int, is_whole: bool) -> dict[str, SourceFile]:
    """The files of a stage by name; with `is_whole` also those of earlier stages, the newest of each name."""
    return {name: file for earlier in range(1 if is_whole else number, number + 1)
            for name, file in stages[earlier].files.items()}


def _order_by_file(rows: list[Row], later: Stage) -> dict[str, list[Row]]:
    """The rows by file, in the order of the later stage. A piece that only the earlier stage has comes after the piece
    that it follows there."""
    sections: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        piece = row.right if row.right is not None and row.right.stage == later.number else row.left
        assert piece is not None
        sections[piece.file].append(row)
    return {name: _merge(section, name, later.number) for name, section in sections.items()}


def _merge(rows: list[Row], file: str, later: int) -> list[Row]:
    merged = sorted((row for row in rows if row.right is not None and row.right.stage == later), key=_right_line)
    before: Row | None = None
    for row in sorted((row for row in rows if row.left is not None and row.left.file == file), key=_left_line):
        if row not in merged:
            merged.insert(merged.index(before) + 1 if before else 0, row)
        before = row
    return merged


def _left_line(row: Row) -> int:
    return row.left.first_line if row.left else 0


def _right_line(row: Row) -> int:
    return row.right.first_line if row.right else 0


def _order_by_origin(inheritance: Inheritance, rows: list[Row]) -> dict[str, list[Row]]:
    """Sort the rows by where a method was first defined. Of several versions, the latest comes first."""
    origins: dict[Key, Piece] = {}
    for piece in sorted({piece for row in rows for piece in (row.left, row.right) if piece}, key=inheritance.age):
        origins[inheritance.key(piece)] = piece  # the last one is the oldest

    def newest(row: Row) -> Piece:
        return min((piece for piece in (row.right, row.left) if piece is not None), key=inheritance.age)

    def origin(row: Row) -> Piece:
        return newest(row) if _is_head(newest(row)) else origins[inheritance.key(newest(row))]

    def place(row: Row) -> tuple[int, str, int, tuple[int, int]]:
        first = origin(row)
        return first.stage, first.path, first.first_line, inheritance.age(newest(row))

    sections: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=place):
        sections[origin(row).file].append(row)
    return sections


# --- lines --------------------------------------------------------------------------------------

class LinePair(NamedTuple):
    """Two lines side by side, each an index into its text, or None; `mark` is ` `, `~`, `-` or `+`."""

    mark: str
    left: int | None
    right: int | None


SIMILAR = 0.6
"""Two lines count as one changed line if they have at least this much in common (as `difflib` measures it)."""


def align(left: Sequence[str], right: Sequence[str]) -> list[LinePair]:
    """Put equal lines side by side, and a changed line next to its old form."""
    pairs: list[LinePair] = []
    for tag, *span in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        start, end, other_start, other_end = span
        if tag == "equal":
            pairs += map(LinePair, " " * (end - start), range(start, end), range(other_start, other_end))
        else:
            pairs += _align_changed(left, right, range(start, end), range(other_start, other_end))
    return pairs


def _align_changed(left: Sequence[str], right: Sequence[str], ones: range, others: range) -> Iterator[LinePair]:
    """Pair lines that are not equal: first the two most similar ones, then, in the same way, those above and below."""
    likeness = {(one, other): difflib.SequenceMatcher(None, left[one], right[other]).ratio()
                for one in ones for other in others if len(ones) > 1 or len(others) > 1}
    best = max(likeness, key=lambda pair: likeness[pair], default=(0, 0))
    if likeness.get(best, 0) > SIMILAR:
        one, other = best
        yield from _align_changed(left, right, range(ones.start, one), range(others.start, other))
        yield LinePair("~", one, other)
        yield from _align_changed(left, right, range(one + 1, ones.stop), range(other + 1, others.stop))
    else:
        for first, second in zip_longest(ones, others):
            yield LinePair("+" if first is None else "-" if second is None else "~", first, second)


def stage_name(number: int) -> str:
    """The name of a stage: `3 signed`."""
    return f"{number} {FOLDERS[number].partition('_')[2]}"
