"""The code of a stage as files, and in them pieces such as functions, methods and attributes.

The files are read and never run, so a comparison needs neither keys nor sockets, and shows the text as it is.
"""

import argparse
import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the stages."""

FOLDERS = {1: "stage1_chat", 2: "stage2_ledger", 3: "stage3_signed", 4: "stage4_sequencer", 5: "stage5_pos"}
"""The folder of each stage."""

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)


@dataclass(frozen=True, eq=False)
class Piece:
    """The smallest thing that is compared: a function, a method, a constant, the imports, the head of a class."""

    stage: int
    path: str
    """The path of its file, from the root: `stage3_signed/node.py`."""
    owner: str
    """The class that contains it, or the empty string."""
    name: str
    first_line: int
    """The number of its first line, from 1. The comments above the piece belong to it."""
    lines: tuple[str, ...]
    statements: tuple[ast.stmt, ...]

    @property
    def file(self) -> str:
        """The name of its file, which is the same in every stage that has it."""
        return self.path.rpartition("/")[2]

    @property
    def title(self) -> str:
        """Its name for people: `SignedNode.check_transaction`."""
        return f"{self.owner}.{self.name}" if self.owner and self.name != self.owner else self.name

    @property
    def place(self) -> str:
        """Where it is: `stage3_signed/node.py:58`."""
        return f"{self.path}:{self.first_line}"

    @property
    def is_method(self) -> bool:
        """Is it a function of a class?"""
        return bool(self.owner) and isinstance(self.statements[0], FUNCTIONS)

    @cached_property
    def code(self) -> str:
        """Its text without the comments above it, which are mostly headings of sections."""
        start = next(number for number, line in enumerate(self.lines) if not line.lstrip().startswith("#"))
        return "\n".join(self.lines[start:])

    @cached_property
    def shown(self) -> list[str]:
        """Its lines, shortened: methods without their common indentation, and headings (`# --- name ---`) without most
        of their dashes."""
        lines = (line.removeprefix("    ") if self.owner not in ("", self.name) else line for line in self.lines)
        return [re.sub("(?<=^# --- )(.*?) -+$", r"\1 ---", line) for line in lines]


@dataclass(frozen=True, eq=False)
class ClassCode:
    """A class: its pieces and its bases. Its head, with the docstring and the fields, is one piece."""

    stage: int
    path: str
    name: str
    bases: tuple[str, ...]
    """The base classes, as the file names them."""
    pieces: dict[str, Piece]
    """Its pieces by name. The head has the name of the class."""


@dataclass(frozen=True, eq=False)
class SourceFile:
    """One file of a stage."""

    stage: int
    path: str
    text: str
    docstring: str
    pieces: dict[str, Piece]
    """The pieces outside all classes, by name."""
    classes: dict[str, ClassCode]
    imports: dict[str, tuple[str, str]]
    """The names that it imports: name here -> (module, name there)."""

    @property
    def module(self) -> str:
        """The name under which it is imported: `stage3_signed.node`."""
        return self.path.removesuffix(".py").replace("/", ".")

    def all_pieces(self) -> list[Piece]:
        """All its pieces, from top to bottom."""
        inner = [piece for one in self.classes.values() for piece in one.pieces.values()]
        return sorted([*self.pieces.values(), *inner], key=lambda piece: piece.first_line)


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage: its own files, by name."""

    number: int
    files: dict[str, SourceFile]

    def pieces(self) -> list[Piece]:
        """All pieces of its own files."""
        return [piece for file in self.files.values() for piece in file.all_pieces()]


def read_stage(text: str) -> int:
    """Read an option that is the number of a stage."""
    if text not in map(str, FOLDERS):
        raise argparse.ArgumentTypeError(f"expected a stage from 1 to {max(FOLDERS)}, not {text!r}")
    return int(text)


def read_stages(root: Path = ROOT) -> dict[int, Stage]:
    """Read the files of all stages, by number."""
    return {number: Stage(number, {path.name: read_source(number, path, root)
                                   for path in sorted((root / folder).glob("*.py"))})
            for number, folder in FOLDERS.items()}


def read_source(stage: int, path: Path, root: Path) -> SourceFile:
    """Read one file; OSError or SyntaxError if that fails."""
    text, name = path.read_text("utf-8"), path.relative_to(root).as_posix()
    tree, lines = ast.parse(text, name), text.splitlines()
    file = SourceFile(stage, name, text, ast.get_docstring(tree) or "", {}, {}, dict(_imported_names(tree)))
    end = tree.body[0].end_lineno or 0 if file.docstring else 0
    for group in _group(tree.body[1:] if file.docstring else tree.body):
        if isinstance(group[0], ast.ClassDef):
            file.classes[group[0].name] = _read_class(file, group[0], lines, end)
        else:
            piece = _make_piece(file, "", group, lines, end)
            file.pieces[piece.name] = piece
        end = group[-1].end_lineno or end
    return file


def _read_class(file: SourceFile, tree: ast.ClassDef, lines: list[str], end: int) -> ClassCode:
    """Read a class. What precedes it in the file ends at line `end`."""
    bases = tuple(ast.unparse(base) for base in tree.bases)
    found = ClassCode(file.stage, file.path, tree.name, bases, {})
    head_size = next((number for number, statement in enumerate(tree.body) if not _is_of_head(statement)),
                     len(tree.body))
    head_end = tree.body[head_size - 1].end_lineno if head_size else _first_line(tree.body[0]) - 1
    head = ast.ClassDef(name=tree.name, bases=[], keywords=[], body=tree.body[:head_size],
                        decorator_list=tree.decorator_list, lineno=tree.lineno, end_lineno=head_end, col_offset=0)
    groups: list[list[ast.stmt]] = [[head], *_group(tree.body[head_size:])]
    for group in groups:
        piece = _make_piece(file, tree.name, group, lines, end)
        found.pieces[piece.name] = piece
        end = group[-1].end_lineno or end
    return found


def _is_of_head(statement: ast.stmt) -> bool:
    """Does it belong to the head of a class, as the docstring and the fields of a NamedTuple do?"""
    return isinstance(statement, ast.Expr) or (isinstance(statement, ast.AnnAssign) and statement.value is None)


def _group(body: Sequence[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """Group statements that form one piece: consecutive imports, or a value and the docstring below it."""
    group: list[ast.stmt] = []
    for statement in body:
        if group and not _belongs_to(statement, group[-1]):
            yield group
            group = []
        group.append(statement)
    if group:
        yield group


def _belongs_to(statement: ast.stmt, before: ast.stmt) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return isinstance(before, ast.Import | ast.ImportFrom)
    return (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            and not isinstance(before, DEFINITIONS))


def _make_piece(file: SourceFile, owner: str, group: Sequence[ast.stmt], lines: list[str], end: int) -> Piece:
    """The piece of these statements, with the comments above it. The piece before it ends at line `end`."""
    first = min(end + 1, _first_line(group[0]))
    while not lines[first - 1].strip():
        first += 1
    return Piece(file.stage, file.path, owner, _name_of(group[0], lines), first,
                 tuple(lines[first - 1:group[-1].end_lineno]), tuple(group))


def _first_line(statement: ast.stmt) -> int:
    decorators = statement.decorator_list if isinstance(statement, DEFINITIONS) else []
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _name_of(statement: ast.stmt, lines: list[str]) -> str:
    if isinstance(statement, DEFINITIONS):
        return statement.name
    if isinstance(statement, ast.Assign):
        return ast.unparse(statement.targets[0])
    if isinstance(statement, ast.AnnAssign):
        return ast.unparse(statement.target)
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return "imports"
    return lines[statement.lineno - 1].strip().rstrip(":")


def _imported_names(tree: ast.Module) -> Iterator[tuple[str, tuple[str, str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield alias.asname or alias.name, (node.module, alias.name)


# --- what a stage declares ----------------------------------------------------------------------

def messages_of(stage: Stage) -> list[str]:
    """The types of message that the stage declares in `SHAPES`, including those that it redefines."""
    shapes = [one.pieces["SHAPES"].statements[0] for file in stage.files.values()
              for one in file.classes.values() if "SHAPES" in one.pieces]
    tables = [shape.value for shape in shapes if isinstance(shape, ast.AnnAssign | ast.Assign)]
    keys = [key for table in tables if isinstance(table, ast.Dict) for key in table.keys]
    return [str(key.value) for key in keys if isinstance(key, ast.Constant)]


def handlers_of(stage: Stage, stages: dict[int, Stage]) -> list[str]:
    """The methods of the stage that handle a message: `on_TYPE`, for a type that it or an earlier stage declares."""
    known = {f"on_{name}" for number in range(1, stage.number + 1) for name in messages_of(stages[number])}
    return [piece.name for piece in stage.pieces() if piece.is_method and piece.name in known]


def tests_of(stage: Stage, root: Path = ROOT) -> list[str]:
    """The test functions in the stage's folder under tests/. Many of them run once for each of several cases."""
    trees = [ast.parse(path.read_text("utf-8")) for path in sorted((root / "tests" / FOLDERS[stage.number])
                                                                   .glob("test_*.py"))]
    return [node.name for tree in trees for node in tree.body
            if isinstance(node, FUNCTIONS) and node.name.startswith("test_")]
