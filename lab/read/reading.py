"""Puts what a stage runs into reading order.

`lab/compare/inheritance.py` finds out what runs. A class and its ancestors are shown as one class: each method has the
version that runs, and below it the earlier ones that it calls through `super()`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from lab.compare.inheritance import Inheritance, names_in, super_calls
from lab.compare.stagecode import ROOT, ClassCode, Piece, SourceFile, Stage, read_source, read_stages
from lab.read.chapters import COMMON, PLANS, REST, Plan

NODE = "PeeringNode"
"""The class from which the nodes of all stages inherit."""

LIBRARY = 0
"""The number that common/ has here, as if it were a stage before the first."""


class Entry(NamedTuple):
    """A piece of the text."""

    piece: Piece
    is_below: bool
    """Does it belong to the piece above it, which overrides it?"""
    remark: str
    """How it is related to other pieces, or the empty string."""


class Passage(NamedTuple):
    """The pieces of a chapter that are about one thing: the node, or a file."""

    title: str
    docstring: str
    entries: list[Entry]


class Chapter(NamedTuple):
    """A chapter of the text."""

    title: str
    about: str
    passages: list[Passage]


class Reading(NamedTuple):
    """The whole text."""

    stage: int
    chapters: list[Chapter]
    lines_left_out: int
    """The lines of common/ that the stage runs and the text does not show."""

    def entries(self) -> list[Entry]:
        """All its pieces, from top to bottom."""
        return [entry for chapter in self.chapters for passage in chapter.passages for entry in passage.entries]

    def lines_by_stage(self) -> dict[int, int]:
        """How many lines come from each stage; 0 is common/."""
        lines = Counter[int]()
        for entry in self.entries():
            lines[entry.piece.stage] += len(entry.piece.lines)
        return dict(sorted(lines.items()))


def read_all(root: Path = ROOT) -> dict[int, Stage]:
    """Read common/ and the stages."""
    common = {path.name: read_source(LIBRARY, path, root) for path in sorted((root / "common").glob("*.py"))}
    return {LIBRARY: Stage(LIBRARY, common), **read_stages(root)}


def name_stage(stage: int) -> str:
    """What a piece is marked with: `stage 2`."""
    return f"stage {stage}" if stage != LIBRARY else "common"


def make_reading(stages: dict[int, Stage], number: int, with_library: bool = False) -> Reading:
    """The text of one stage. `with_library`: with what it runs of common/."""
    return _Reader(stages, number).read(with_library)


class _Reader:
    """Makes the text of one stage."""

    def __init__(self, stages: dict[int, Stage], number: int) -> None:
        self._stages = stages
        self._number = number
        self._inheritance = Inheritance(stages)
        self._runs = {piece for piece in self._inheritance.runs(number) if piece.name != "imports"}
        self._kept_of: dict[ClassCode, set[Piece]] = {}
        self._node = self._sections_of_node()
        self._taken: set[Piece] = set()
        self._introduced: set[SourceFile] = set()

    def read(self, with_library: bool) -> Reading:
        """Put all chapters together."""
        own = range(1, self._number + 1)
        chapters = [self._chapter(plan, plan.files, own) for plan in PLANS]
        names = sorted({name for stage in own for name in self._stages[stage].files})
        chapters.append(self._chapter(REST._replace(sections=tuple(self._node)), names, own))
        if with_library:
            chapters.append(self._chapter(COMMON, self._stages[LIBRARY].files, [LIBRARY]))
        left_out = sum(len(piece.lines) for piece in self._runs - self._taken if piece.stage == LIBRARY)
        return Reading(self._number, [chapter for chapter in chapters if chapter.passages], left_out)

    def _chapter(self, plan: Plan, names: Iterable[str], stages: Iterable[int]) -> Chapter:
        """A chapter, with what these stages have in files of these names."""
        node = [entry for section in plan.sections for entry in self._take(self._node.pop(section, []))]
        files = [self._stages[stage].files[name] for name in names for stage in stages
                 if name in self._stages[stage].files]
        passages = [Passage("The node", "", node), *(self._passage(file) for file in files)]
        return Chapter(plan.title, plan.about, [one for one in passages if one.entries or one.docstring])

    def _passage(self, file: SourceFile) -> Passage:
        """What a file has outside the node. Its docstring is shown once, and only if something of the file runs."""
        is_shown = file not in self._introduced and any(piece in self._runs for piece in file.all_pieces())
        self._introduced.add(file)
        return Passage(file.path, file.docstring if is_shown else "", list(self._take(self._pieces_of(file))))

    def _take(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries that are not in the text yet. From now on they are."""
        for entry in entries:
            if entry.piece not in self._taken:
                self._taken.add(entry.piece)
                yield entry

    # --- the node -------------------------------------------------------------------------------

    def _sections_of_node(self) -> dict[str, list[Entry]]:
        """The pieces of the node, by the section that defines each name first."""
        nodes = [one for file in self._stages[self._number].files.values() for one in file.classes.values()
                 if self._inheritance.lineage_of(one)[-1].name == NODE]
        line = max(map(self._lineage_of, nodes), key=len)
        sections: dict[str, list[Entry]] = {f"{line[-1].name}:": self._heads(line)}
        for name, section in self._first_sections(line).items():
            sections.setdefault(section, []).extend(self._versions(line, name))
        return sections

    def _first_sections(self, line: list[ClassCode]) -> dict[str, str]:
        """Where each name of a class is defined first, the earliest class first."""
        found: dict[str, str] = {}
        for one in reversed(line):
            section = f"{one.name}:"
            for piece in sorted(one.pieces.values(), key=lambda piece: piece.first_line):
                for text in piece.lines:
                    if text.lstrip().startswith("# --- "):
                        section = f"{one.name}: {text.strip(' #-')}"
                if piece.name != one.name:
                    found.setdefault(piece.name, section)
        return found

    # --- files ----------------------------------------------------------------------------------

    def _pieces_of(self, file: SourceFile) -> Iterator[Entry]:
        """What a file has outside the node. A base class is left out: it is shown with the class that extends it."""
        for piece in file.all_pieces():
            if not piece.owner:
                yield from [Entry(piece, False, "")] if piece in self._runs else []
            elif piece.name == piece.owner and not self._is_base(file.classes[piece.owner]):
                yield from self._class(file.classes[piece.owner])

    def _is_base(self, one: ClassCode) -> bool:
        """Does a class that runs extend this one? False for the library, whose classes are shown one by one."""
        if one.stage == LIBRARY:
            return False
        if self._inheritance.lineage_of(one)[-1].name == NODE:
            return True
        heads = [piece for piece in self._runs if piece.owner and piece.name == piece.owner]
        return any(one in self._lineage_of(self._inheritance.class_of(head))[1:] for head in heads)

    def _class(self, one: ClassCode) -> Iterator[Entry]:
        """A class and its ancestors, as one class."""
        line = self._lineage_of(one)
        yield from self._heads(line)
        for name in self._first_sections(line):
            yield from self._versions(line, name)

    def _lineage_of(self, one: ClassCode) -> list[ClassCode]:
        """A class and its ancestors in the stages, itself first."""
        return [other for other in self._inheritance.lineage_of(one) if other.stage > LIBRARY or other is one]

    def _heads(self, line: list[ClassCode]) -> list[Entry]:
        heads = [one.pieces[one.name] for one in line if one.pieces[one.name] in self._runs]
        return [Entry(head, number > 0, f"{heads[number - 1].owner} is built on it" if number else "")
                for number, head in enumerate(heads)]

    def _versions(self, line: list[ClassCode], name: str) -> list[Entry]:
        """The version of a method that runs, and below it the earlier ones that it calls or names."""
        pieces = [one.pieces[name] for one in line if one.pieces.get(name) in self._kept(line)]
        return [Entry(piece, number > 0, self._remark(piece, number > 0, pieces[number + 1:]))
                for number, piece in enumerate(pieces)]

    def _kept(self, line: list[ClassCode]) -> set[Piece]:
        """What an object of a class runs: for each name the piece of the nearest class, and of overridden pieces only
        those that are called or named. (A file may name an earlier class in a type; that runs nothing of it.)"""
        if line[0] not in self._kept_of:
            pending = [next(one.pieces[name] for one in line if name in one.pieces)
                       for name in dict.fromkeys(name for one in line for name in one.pieces)]
            kept: set[Piece] = set()
            while pending:
                piece = pending.pop()
                if piece not in kept and piece in self._runs:
                    kept.add(piece)
                    pending += self._taken_over_by(piece, line)
            self._kept_of[line[0]] = kept
        return self._kept_of[line[0]]

    def _taken_over_by(self, piece: Piece, line: list[ClassCode]) -> Iterator[Piece]:
        """What a piece calls through `super()`, and what it names of an earlier class (`ChatNode.SHAPES`)."""
        owners = [one.name for one in line]
        wanted = [(owners.index(piece.owner) + 1, name) for name in super_calls(piece)]
        wanted += [(owners.index(owner), name) for owner, name in names_in(piece) if owner in owners and name]
        for start, name in wanted:
            yield from [one.pieces[name] for one in line[start:] if name in one.pieces][:1]

    def _remark(self, piece: Piece, is_below: bool, below: list[Piece]) -> str:
        remarks = ["called by super()" if piece.is_method else "named above"] if is_below else []
        over = self._inheritance.overridden(piece)
        if over is not None:
            is_added_to = over in below or self._inheritance.is_adding(piece)
            remarks.append(f"{'adds to' if is_added_to else 'replaces'} {over.title} of {name_stage(over.stage)}")
        return ", ".join(remarks)
