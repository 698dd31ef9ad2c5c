"""A right solution with other names: our own stage, with everything renamed that a handout does not name.

The names that students see in code are fixed: those in what is given, and the public ones of the skeleton. Attributes
that the skeleton does not declare, and all names with an underscore, are a student's to choose.
"""

import ast
from collections.abc import Iterable, Mapping

OTHER = "other_"
"""What a renamed thing is called, with its old name after it."""

def is_private(name: str) -> bool:
    """Is this a helper's name?"""
    return name.startswith("_") and not name.startswith("__")


def defined_in(source: str) -> set[str]:
    """The classes, functions, attributes and private variables that a file defines."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and is_private(node.id):
            names.add(node.id)
    return {name for name in names if not name.startswith("__")}


def named_in(source: str) -> set[str]:
    """All names in the code of a file; what is in comments and docstrings names nothing."""
    return {name for node in ast.walk(ast.parse(source)) for field in ("name", "attr", "id", "arg")
            if isinstance(name := getattr(node, field, None), str)}


def attributes_set_in(source: str) -> set[str]:
    """The public attributes of `self` that a file gives a value to, or declares."""
    stored = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)
              and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id == "self"]
    return {node.attr for node in stored if not node.attr.startswith("_")}


def free_names(own: str, files: Mapping[str, bytes], sources: Iterable[str]) -> set[str]:
    """The names that a student may choose. `sources` are the files of the stage `own`, with their bodies. Of all names
    that they define, these are the ones that its skeleton does not name publicly, and the given files not at all."""
    code = {path: text.decode() for path, text in files.items() if path.endswith(".py")}
    named: set[str] = set()
    for path, text in code.items():
        if path.startswith(f"{own}/"):
            named |= {name for name in named_in(text) if not is_private(name)}
        elif path.split("/")[0] not in ("tests", "lab"):
            named |= named_in(text)
    return {name for source in sources for name in defined_in(source)} - named


class Renamer(ast.NodeTransformer):
    """Gives names of a file another name."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def visit(self, node: ast.AST) -> ast.AST:
        """Rename a node, and what is in it."""
        for field in ("name", "attr", "id", "arg"):
            if (name := getattr(node, field, None)) in self.names:
                setattr(node, field, rename(name))
        visited: ast.AST = super().visit(node)
        return visited


def rename(name: str) -> str:
    """The other name: what is private stays so."""
    return f"_{OTHER}{name[1:]}" if is_private(name) else f"{OTHER}{name}"


def with_other_names(source: str, names: set[str]) -> str:
    """A file in which these names are replaced."""
    return ast.unparse(Renamer(names).visit(ast.parse(source))) + "\n"


def read_in(source: str, names: set[str]) -> set[str]:
    """Those of these names that a file reads and does not define itself. A private name of an object other than
    `self` is never its own."""
    tree = ast.parse(source)
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    foreign = {node.attr for node in attributes if is_private(node.attr)
               and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))}
    patched = {argument.value for node in ast.walk(tree) if isinstance(node, ast.Call) for argument in node.args[1:2]
               if isinstance(argument, ast.Constant) and isinstance(argument.value, str)}
    return (({node.attr for node in attributes} | patched) & names) - defined_in(source) | foreign & names
