"""Which code of earlier stages a stage runs, and which it overrides. It is found by following names; nothing is run.

A stage runs all of its own pieces. A class inherits from its bases what it does not override, and what it calls
through `super()`. Whatever these pieces name is run, too: functions, constants, other classes.
"""

import ast
from collections.abc import Iterator
from functools import cache

from lab.compare.stagecode import ClassCode, Piece, SourceFile, Stage

Key = tuple[str, str]
"""Two pieces are shown side by side if they have the same key: the family of their classes (for a piece outside
classes, the file), and the name."""


class Inheritance:
    """The classes and names of all stages."""

    def __init__(self, stages: dict[int, Stage]) -> None:
        self._stages = stages
        self._files = {file.module: file for stage in stages.values() for file in stage.files.values()}
        self._by_path = {file.path: file for file in self._files.values()}
        self._lineages: dict[ClassCode, list[ClassCode]] = {}
        self._keys: dict[Piece, Key] = {}
        """The keys that are known: a comparison asks for each of them a thousand times."""

    # --- classes --------------------------------------------------------------------------------

    def lineage_of(self, one: ClassCode) -> list[ClassCode]:
        """A class and all its ancestors in the stages, the class itself first. (No class has two bases there.)"""
        if one not in self._lineages:
            line = self._lineages[one] = [one]
            for base in one.bases:
                found = self._find_class(self._by_path[one.path], base)
                if found is not None:
                    line += self.lineage_of(found)
        return self._lineages[one]

    def class_of(self, piece: Piece) -> ClassCode:
        """The class that contains a piece; KeyError if it is in none."""
        return self._by_path[piece.path].classes[piece.owner]

    def overridden(self, piece: Piece) -> Piece | None:
        """The piece that a piece of a class overrides; None if it is new there."""
        if not piece.owner or piece.name == piece.owner:
            return None
        return self._find_in(self.lineage_of(self.class_of(piece))[1:], piece.name)

    def is_adding(self, piece: Piece) -> bool:
        """Does a method call what it overrides, so that it adds to it instead of replacing it?"""
        return any(name == piece.name for name in super_calls(piece))

    def key(self, piece: Piece) -> Key:
        """The key by which a piece is paired with one of another stage."""
        if piece not in self._keys:
            self._keys[piece] = self._make_key(piece)
        return self._keys[piece]

    def _make_key(self, piece: Piece) -> Key:
        if piece.owner:
            family = self.lineage_of(self.class_of(piece))[-1].name
            return family, "class" if piece.name == piece.owner else piece.name
        is_named = not isinstance(piece.statements[0], ast.Import | ast.ImportFrom | ast.If | ast.Expr)
        return ("" if is_named else piece.file), piece.name

    def is_kin(self, piece: Piece, other: Piece) -> bool:
        """Do two pieces have the same key and, in classes, an ancestor in common?"""
        return self.key(piece) == self.key(other) and self._root_of(piece) is self._root_of(other)

    def _root_of(self, piece: Piece) -> ClassCode | None:
        return self.lineage_of(self.class_of(piece))[-1] if piece.owner else None

    def age(self, piece: Piece) -> tuple[int, int]:
        """A sort key for pieces with the same key: what overrides comes before what it overrides."""
        return -piece.stage, -len(self.lineage_of(self.class_of(piece))) if piece.owner else 0

    # --- what a stage runs ----------------------------------------------------------------------

    def runs(self, number: int) -> list[Piece]:
        """All pieces that a stage runs, its own and earlier ones; what overrides comes before what it overrides."""
        own = self._stages[number]
        found: dict[Piece, None] = dict.fromkeys(own.pieces())
        for file in own.files.values():
            for one in file.classes.values():
                found.update(dict.fromkeys(self._taken_over(one)))
        pending = list(found)
        while pending:
            for piece in self._named_by(pending.pop()):
                if piece not in found:
                    found[piece] = None
                    pending.append(piece)
        for file in {self._by_path[piece.path] for piece in found}:
            found.update(dict.fromkeys(piece for name, piece in file.pieces.items() if name == "imports"))
        return sorted(found, key=lambda piece: (*self.age(piece), piece.path, piece.first_line))

    def _taken_over(self, one: ClassCode) -> Iterator[Piece]:
        """What an object of a class has: for each name the piece of the nearest class, and the heads of all classes."""
        names: set[str] = set()
        for member in self.lineage_of(one):
            yield from (piece for name, piece in member.pieces.items() if name not in names)
            names.update(member.pieces)

    def _named_by(self, piece: Piece) -> Iterator[Piece]:
        """The pieces that a piece names, or calls through `super()`."""
        file = self._by_path[piece.path]
        if piece.owner:
            bases = self.lineage_of(self.class_of(piece))[1:]
            found = (self._find_in(bases, name) for name in super_calls(piece))
            yield from (one for one in found if one is not None)
        if piece.name == "imports":
            return
        for name, attribute in names_in(piece):
            one = self._find_class(file, name)
            if one is None:
                yield from self._find_function(file, name, attribute)
            elif attribute is None:
                yield from self._taken_over(one)
            elif (member := self._find_in(self.lineage_of(one), attribute)) is not None:
                yield member

    # --- names ----------------------------------------------------------------------------------

    def _find_in(self, line: list[ClassCode], name: str) -> Piece | None:
        return next((one.pieces[name] for one in line if name in one.pieces), None)

    def _find_class(self, file: SourceFile, name: str) -> ClassCode | None:
        home, there = self._home_of(file, name)
        return home.classes.get(there) if home else None

    def _find_function(self, file: SourceFile, name: str, attribute: str | None) -> Iterator[Piece]:
        """The function or constant `name`, or `name.attribute` where `name` is a module."""
        home, there = self._home_of(file, name)
        module = self._files.get(".".join(file.imports.get(name, ())))
        if home is not None and there in home.pieces:
            yield home.pieces[there]
        elif module is not None and attribute in module.classes:
            yield from self._taken_over(module.classes[attribute])
        elif module is not None and attribute in module.pieces:
            yield module.pieces[attribute]

    def _home_of(self, file: SourceFile, name: str) -> tuple[SourceFile | None, str]:
        """The file that defines what is called `name` in `file`, and its name there; None if no stage defines it."""
        if name not in file.imports:
            return file, name
        module, there = file.imports[name]
        return self._files.get(module), there


@cache
def super_calls(piece: Piece) -> list[str]:
    """The names of the methods that a piece calls through `super()`. (This project never gives `super` arguments.)"""
    return [node.attr for statement in piece.statements for node in ast.walk(statement)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call)
            and ast.unparse(node.value) == "super()"]


@cache
def names_in(piece: Piece) -> list[tuple[str, str | None]]:
    """The names in a piece, each with the attribute that is read from it, or None where it stands alone."""
    nodes = [node for statement in piece.statements for node in ast.walk(statement)]
    owners = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    names: list[tuple[str, str | None]] = []
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.append((node.value.id, node.attr))
        elif isinstance(node, ast.Name) and id(node) not in owners:
            names.append((node.id, None))
    return names
