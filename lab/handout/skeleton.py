"""A file of a stage as students get it: without the bodies of its functions.

Signatures, docstrings, constants and declared messages stay, and so does what has no body. A body is replaced by the
declarations of the public attributes that it sets, such as `self.links: Neighbours`, with their docstrings: other code
and the tests read these attributes.
"""

import ast
from collections.abc import Iterator

from lab.compare.stagecode import DEFINITIONS, FUNCTIONS

Function = ast.FunctionDef | ast.AsyncFunctionDef

UNWRITTEN = "raise NotImplementedError"
"""The body of a function that is left to write."""


def count_left(source: str) -> int:
    """How many functions of a file are left to write."""
    return source.count(UNWRITTEN)


def without_bodies(source: str) -> str:
    """A file whose functions raise NotImplementedError. What is not in a function stays as it is."""
    lines, tree = source.splitlines(), ast.parse(source)
    attributes = attributes_in(tree)
    for function in reversed(list(find_functions(tree))):
        start, end, head = body_of(function, lines)
        indent = " " * (function.col_offset + 4)
        kept = [f"{indent}{line}" if line else "" for line in attributes.get(function, [])]
        lines[start:end] = [*head, *kept, f"{indent}{UNWRITTEN}"]
    return "\n".join([*lines, ""])


def find_functions(tree: ast.AST) -> Iterator[Function]:
    """The functions and methods of a file, from top to bottom, without those inside others. Those that do nothing
    are left out: abstract ones, and hooks that only a later stage uses."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FUNCTIONS):
            if len(node.body) > 1 or ast.get_docstring(node) is None:
                yield node
        else:
            yield from find_functions(node)


def body_of(function: Function, lines: list[str]) -> tuple[int, int, list[str]]:
    """The first and the last line of a body, with its comments and without its docstring; and the lines to put in front
    of the new body. There are such lines only if the body begins on the line of the signature: that line up to the
    body, and the docstring."""
    first, end = function.body[0], end_of(function, lines)
    has_docstring = ast.get_docstring(function) is not None
    start = min([first.lineno, *(one.lineno for one in getattr(first, "decorator_list", []))]) - 1
    signature = lines[start].encode()[:first.col_offset].decode().rstrip()
    if signature and not isinstance(first, DEFINITIONS):
        docstring = f"{' ' * (function.col_offset + 4)}{ast.get_source_segment(chr(10).join(lines), first)}"
        return start, end, [signature, *([docstring] if has_docstring else [])]
    if has_docstring:
        return first.end_lineno or 0, end, []
    while not lines[start - 1].strip() or lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return start, end, []


def end_of(function: Function, lines: list[str]) -> int:
    """The last line of a function. Comments after its last statement belong to it."""
    end = function.end_lineno or 0
    for number, line in enumerate(lines[end:], end + 1):
        depth = len(line) - len(line.lstrip())
        if line.strip() and not (line.lstrip().startswith("#") and depth > function.col_offset):
            break
        end = number if line.strip() else end
    return end


# --- attributes ---------------------------------------------------------------------------------

def attributes_in(tree: ast.Module) -> dict[Function, list[str]]:
    """Method -> the lines that declare its public attributes: those that no earlier method of its class sets."""
    declared: dict[Function, list[str]] = {}
    for owner in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        seen: set[str] = set()
        parts = {target.id: ast.unparse(node.value) for node in owner.body if isinstance(node, ast.Assign)
                 for target in node.targets if isinstance(target, ast.Name)}
        for function in owner.body:
            if isinstance(function, FUNCTIONS):
                declared[function] = declare(function, seen, parts)
    return declared


def declare(function: Function, seen: set[str], parts: dict[str, str]) -> list[str]:
    """The declarations of the attributes that a method sets, apart from those in `seen`, each with its docstring.
    `parts`: attribute of the class -> the class of a part, such as RING -> Ring."""
    lines: list[str] = []
    for place, statement in enumerate(function.body):
        for name in attributes_set_by(statement):
            kind = kind_of(statement, function, parts)
            if kind is not None and not name.startswith("_") and name not in seen:
                seen.add(name)
                lines += [f"self.{name}: {kind}", *docstring_after(function.body[place + 1:])]
    return lines


def attributes_set_by(statement: ast.stmt) -> list[str]:
    """The attributes of `self` that a statement sets."""
    targets = statement.targets if isinstance(statement, ast.Assign) else (
        [statement.target] if isinstance(statement, ast.AnnAssign) else [])
    return [target.attr for target in targets
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"]


def docstring_after(following: list[ast.stmt]) -> list[str]:
    """The lines of the docstring of an attribute, if it has one."""
    if following and isinstance(following[0], ast.Expr) and isinstance(following[0].value, ast.Constant) and isinstance(
            following[0].value.value, str):
        return [line.strip() for line in f'"""{following[0].value.value}"""'.splitlines()]
    return []


def kind_of(statement: ast.stmt, function: Function, parts: dict[str, str]) -> str | None:
    """The type of the attribute that a statement sets: from its declaration, a parameter, the call of a class, or a
    constant. None if the statement does not show it."""
    if isinstance(statement, ast.AnnAssign):
        return ast.unparse(statement.annotation)
    value = statement.value if isinstance(statement, ast.Assign) else None
    if isinstance(value, ast.Call):
        return _class_called(value, parts)
    if isinstance(value, ast.Name):
        arguments = [*function.args.args, *function.args.kwonlyargs]
        return next((ast.unparse(one.annotation) for one in arguments if one.arg == value.id and one.annotation), None)
    if isinstance(value, ast.Constant) and value.value is not None:
        return type(value.value).__name__
    return None


def _class_called(call: ast.Call, parts: dict[str, str]) -> str | None:
    """The class of the object that a call makes: `Ring(...)`, `self.RING(...)`, or `self.parts.add(...)` of these."""
    if isinstance(call.func, ast.Name) and call.func.id.lstrip("_")[:1].isupper():
        return call.func.id
    if isinstance(call.func, ast.Attribute):
        if call.func.attr in parts:
            return parts[call.func.attr]
        if call.func.attr == "add" and call.args and isinstance(call.args[0], ast.Call):
            return _class_called(call.args[0], parts)
    return None
