"""Finds every text of this project that a user or a peer may see, and where words of the system get into it.

A text is found where it is written, not where it is printed. So it also finds a reason that one function puts together
and another one shows:

- Every string with two words or more is a text, wherever it stands. NOT_SHOWN lists what is not shown, such as SQL.
- A single word is a text if it is given to something that shows it: `print`, the reason of an exception, an option's
help. A function that passes a parameter on to one of these shows it, too. A variable is traced to its values.
- An f-string is its template: `cannot write {}`.

Words that are not in these files come from exceptions of libraries and of the system. `find_foreign_words` finds the
places that turn a caught one into text.

The reviewed texts are in reviewed_lines.txt. `python -m tests.house.shown_lines` brings that file up to date.
"""

import ast
import builtins
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("common", "lab", "stage1_chat", "stage2_ledger", "stage3_signed", "stage4_sequencer", "stage5_pos")
Showing = dict[str, set[str | int]]
REVIEWED = Path(__file__).with_name("reviewed_lines.txt")
UPDATE = "python -m tests.house.shown_lines"

SHOWING: Showing = {
    "print": {"*"}, "input": {"*"}, "getpass": {"*"}, "exit": {"*"}, "error": {"*"}, "notify": {"*"},
    "add_argument": {"help"}, "ArgumentParser": {"description"}, "ArgumentTypeError": {"*"}, "report": {"reason"},
    "Command": {"*"}, "Field": {1, "expected"}, "add_column": {"*"}, "add_row": {"*"}, "Static": {"*"},
}
"""Name of a function that shows texts -> the parameters that it shows, by name or by position; `*` means all.
Exceptions are added, and functions that pass a parameter on."""

NOT_SHOWN = {
    "execute": "SQL", "executescript": "SQL", "TABLES": "SQL",
    "fromhex": "bytes", "compile": "a pattern", "fullmatch": "a pattern", "match": "a pattern", "sub": "a pattern",
    "findall": "a pattern", "search": "a pattern", "is_matching": "a pattern",
    "start_thread": "the name of a thread", "Thread": "the name of a thread",
    "CSS": "colours and places", "STYLE": "colours and places", "Style": "colours", "style": "colours",
    "cast": "a type",
}
"""Name of a call, an argument or a constant -> what its strings are, if they are not text for people."""

COLOURS = re.compile(r"(bold|italic|dim|grey\d+)( on| #?\w+| underline)*")
CODE = re.compile(r"[A-Z_]+")
"""An error code of the contract."""
TAGS = re.compile(r"</?[a-z]\w*( [^<>]*)?>|<!doctype html>")
"""The parts of HTML that a reader of the page does not see."""
PLACEHOLDER = "{}"


class Shown(NamedTuple):
    """A text, and the file that contains it."""

    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"


def read_sources() -> dict[str, ast.Module]:
    """The files of the project that are not tests, by their paths."""
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in paths}


def find_shown(sources: dict[str, ast.Module]) -> set[Shown]:
    """All texts in these files."""
    showing = find_showing(sources.values())
    return {Shown(file, line) for file, tree in sources.items()
            for text in (*_Finder(showing).find(tree), *find_in_variables(tree, showing)) for line in lines_of(text)}


def find_shown_by_make(makefile: str) -> set[Shown]:
    """The texts of the Makefile: what it echoes, its errors, and what `make help` says about each target."""
    patterns = (r"echo '(.*?)'", r"\$\(error (.*)\)\)$", r"^[a-z0-9-]+:.*?## (.*)$", r"^advice = (.*)$")
    found = (text for pattern in patterns for text in re.findall(pattern, makefile, re.MULTILINE))
    return {Shown("Makefile", text) for text in found if has_two_words(text)}


# --- texts --------------------------------------------------------------------------------------

def template_of(node: ast.AST) -> str | None:
    """The text of a string or an f-string, with {} for inserted values; None if the node is neither."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else PLACEHOLDER for part in node.values)
    return None


def has_two_words(text: str) -> bool:
    """Is there a word of two letters, and something else next to it?"""
    return len(text.split()) > 1 and has_word(text) and not COLOURS.fullmatch(text)


def has_word(text: str) -> bool:
    """Is there a word of two letters?"""
    return re.search("[A-Za-z]{2}", text) is not None


def lines_of(text: str) -> Iterator[str]:
    """The lines of a text, as they stand in the list."""
    for line in TAGS.sub(" ", text).split("\n"):
        if has_word(line):
            yield re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match[0]):02x}", line.strip())


def name_of(node: ast.AST) -> str:
    """The last part of a name: `c` of `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class _Finder(ast.NodeVisitor):
    """Collects the texts of one file."""

    def __init__(self, showing: Showing) -> None:
        self._showing = showing
        self._texts: list[str] = []

    def find(self, tree: ast.Module) -> list[str]:
        self.visit(tree)
        return self._texts

    def visit(self, node: ast.AST) -> None:
        text = template_of(node)
        if text is not None and has_two_words(text):
            self._texts.append(text)
        super().visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)  # a string inside it is a text of its own; its format is none

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        self.visit(node.test)  # not the message, which is for readers of the code

    def visit_Assign(self, node: ast.Assign) -> None:
        if not any(name_of(target) in NOT_SHOWN for target in node.targets):
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        """Skip an argument: its type may be a string, which is no text."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for part in (node.args, *node.decorator_list, *node.body):
            self.visit(part)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in NOT_SHOWN:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if name_of(node.func) in NOT_SHOWN:
            return
        for argument in shown_arguments(node, self._showing):
            self._texts += words_in(argument)
        self.generic_visit(node)


def words_in(argument: ast.expr) -> list[str]:
    """The texts in an argument that is shown, single words included."""
    return [text for text in map(template_of, parts_of(argument))
            if text is not None and has_word(text) and not CODE.fullmatch(text)]


def find_in_variables(tree: ast.Module, showing: Showing) -> Iterator[str]:
    """The values of variables that are shown: variables of functions, and constants of the file."""
    constants = list(_assignments(tree.body))
    for _, function in _functions(tree):
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        shown = {name for call in calls for argument in shown_arguments(call, showing) for name in names_in(argument)}
        assignments = [*constants, *_assignments(ast.walk(function))] if shown else []
        traced: set[str] = set()
        while new := shown - traced:
            traced |= new
            for name, value in assignments:
                if name in new:
                    yield from words_in(value)
                    shown |= names_in(value)


def _assignments(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """The variables that these nodes set, and their values."""
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((name_of(target), node.value) for target in targets if isinstance(target, ast.Name))


def names_in(argument: ast.expr) -> set[str]:
    """The variables in an argument that is shown."""
    return {part.id for part in parts_of(argument) if isinstance(part, ast.Name)}


# --- what shows a text --------------------------------------------------------------------------

def find_showing(trees: Iterable[ast.Module]) -> Showing:
    """SHOWING, with all exceptions, and with every function that passes a parameter on to something that shows it."""
    trees = list(trees)
    showing = {name: set(parameters) for name, parameters in SHOWING.items()}
    showing |= {name: {"*"} for name in builtin_exceptions() | own_exceptions(trees) | raised_exceptions(trees)}
    functions = [_Function(node, owner) for tree in trees for owner, node in _functions(tree)]
    has_grown = True
    while has_grown:
        has_grown = False
        for function in functions:
            known = showing.get(function.name, set())
            passed_on = function.passed_on(showing)
            if "*" not in known and not passed_on <= known:
                showing[function.name] = known | passed_on
                has_grown = True
    return showing


def builtin_exceptions() -> set[str]:
    """The names of Python's own exceptions."""
    return {name for name, value in vars(builtins).items()
            if isinstance(value, type) and issubclass(value, BaseException)}


def own_exceptions(trees: Iterable[ast.Module]) -> set[str]:
    """The names of the exceptions that these files define."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    own: set[str] = set()
    while found := {one.name for one in classes if is_exception({name_of(base) for base in one.bases}, own)} - own:
        own |= found
    return own


def raised_exceptions(trees: Iterable[ast.Module]) -> set[str]:
    """The names of all exceptions that are raised with a text, wherever they are defined."""
    return {name_of(node.exc.func) for tree in trees for node in ast.walk(tree)
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)}


def is_exception(bases: set[str], own: set[str]) -> bool:
    """Is a class with these bases an exception? Exceptions of libraries are recognised by their names."""
    return any(base in own or re.search("(Error|Exception|Interrupt|Exit)$", base) for base in bases)


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """All functions, each after the name of its class; that name is empty if it is in none."""
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                yield node.name if isinstance(node, ast.ClassDef) else "", child


class _Function:
    """A function, its parameters, and what it calls."""

    def __init__(self, node: ast.FunctionDef, owner: str) -> None:
        self.name = owner if node.name == "__init__" else node.name
        named = [one.arg for one in node.args.args]
        self._places = named[1:] if named[:1] in (["self"], ["cls"]) else named
        self._parameters = {*self._places, *(one.arg for one in node.args.kwonlyargs)}
        self._calls = [one for one in ast.walk(node) if isinstance(one, ast.Call)] if self._parameters else []

    def passed_on(self, showing: Showing) -> set[str | int]:
        """The parameters that it passes to something that shows them, by name and by position."""
        arguments = (argument for call in self._calls for argument in shown_arguments(call, showing))
        names = {name for argument in arguments for name in names_in(argument)} & self._parameters
        return names | {place for place, name in enumerate(self._places) if name in names}


def shown_arguments(call: ast.Call, showing: Showing) -> Iterator[ast.expr]:
    """The arguments of a call that are shown."""
    shown = showing.get(name_of(call.func))
    if shown is not None:
        yield from (argument for place, argument in enumerate(call.args) if "*" in shown or place in shown)
        yield from (keyword.value for keyword in call.keywords if "*" in shown or keyword.arg in shown)


def parts_of(node: ast.expr) -> Iterator[ast.expr]:
    """All expressions that may become the argument: itself, alternatives, parts of an f-string, values of a table."""
    yield node
    for part in ([node.body, node.orelse] if isinstance(node, ast.IfExp) else
                 node.values if isinstance(node, ast.BoolOp) else
                 [one.value for one in node.values if isinstance(one, ast.FormattedValue)]
                 if isinstance(node, ast.JoinedStr) else
                 [node.left, node.right] if isinstance(node, ast.BinOp) else
                 [node.value] if isinstance(node, ast.Subscript) else
                 node.values if isinstance(node, ast.Dict) else looked_up(node)):
        yield from parts_of(part)


def looked_up(node: ast.expr) -> list[ast.expr]:
    """The table and the default of `table.get(key, default)`; empty if the node is something else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        return [node.func.value, *node.args[1:]]
    return []


# --- words of the system ------------------------------------------------------------------------

OF_ERRORS = {"strerror", "args", "reason", "msg", "stderr"}
"""Members of exceptions that hold the words of the system or of a library."""

OF_TRACES = {"print_exc", "format_exc", "print_exception", "format_exception", "strerror"}
"""Functions that return such words."""


def find_foreign_words(sources: dict[str, ast.Module]) -> Iterator[str]:
    """Where a foreign exception is turned into text: `file: function`, in the order of the files."""
    own = own_exceptions(sources.values())
    for file, tree in sources.items():
        for owner, function in _functions(tree):
            if any(_is_made_text(node, name) for name, body in _foreign_errors(function, own)
                   for part in body for node in ast.walk(part)) or any(map(_is_trace, ast.walk(function))):
                yield f"{file}: {owner}.{function.name}" if owner else f"{file}: {function.name}"


def _foreign_errors(function: ast.FunctionDef, own: set[str]) -> Iterator[tuple[str, list[ast.stmt]]]:
    """The variables that hold a foreign exception, caught or given as a parameter, each with the statements in which
    it does so."""
    for one in (*function.args.args, *function.args.kwonlyargs):
        if is_exception(_names_in(one.annotation), own) and not _names_in(one.annotation) <= own:
            yield one.arg, function.body
    for node in ast.walk(function):
        if isinstance(node, ast.ExceptHandler) and node.name and not _names_in(node.type) <= own:
            yield node.name, node.body


def _names_in(node: ast.expr | None) -> set[str]:
    """The classes named by an `except` or a type: `b` and `c` of `(a.b, c)`."""
    inner = {id(one.value) for one in ast.walk(node) if isinstance(one, ast.Attribute)} if node else set()
    return {name_of(one) for one in ast.walk(node) if id(one) not in inner} - {""} if node else set()


def _is_made_text(node: ast.AST, name: str) -> bool:
    """Does this turn the exception `name` into text?"""
    def is_it(one: ast.expr) -> bool:
        return isinstance(one, ast.Name) and one.id == name

    if isinstance(node, ast.Attribute):
        return is_it(node.value) and node.attr in OF_ERRORS
    if isinstance(node, ast.FormattedValue):
        return is_it(node.value)
    if isinstance(node, ast.Call) and name_of(node.func) == "getattr":
        return is_it(node.args[0]) and template_of(node.args[1]) in OF_ERRORS
    return isinstance(node, ast.Call) and name_of(node.func) in ("str", "repr", "print") and any(map(is_it, node.args))


def _is_trace(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and name_of(node.func) in OF_TRACES


# --- the list of reviewed texts -----------------------------------------------------------------

def find_all() -> set[str]:
    """All lines that the list should have."""
    shown = find_shown(read_sources()) | find_shown_by_make((ROOT / "Makefile").read_text())
    return set(map(str, shown))


def read_reviewed() -> set[str]:
    """The lines of the list."""
    return set(REVIEWED.read_text().splitlines())


def update() -> None:
    """Bring the list up to date, and print what has changed."""
    lines, before = find_all(), read_reviewed() if REVIEWED.exists() else set()
    REVIEWED.write_text("".join(f"{line}\n" for line in sorted(lines)))
    print("\n".join(changes(before, lines)) or "nothing has changed")


def changes(before: set[str], after: set[str]) -> list[str]:
    """The added and the removed lines, for people."""
    return [*(f"+ {line}" for line in sorted(after - before)), *(f"- {line}" for line in sorted(before - after))]


if __name__ == "__main__":
    update()
