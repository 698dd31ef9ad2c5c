"""Makes docs/answers.md, the code of the twelve answers in docs/architecture.md. `python -m tests.house.answers` writes it.

For each answer it has the functions that the answer names, in this order, each once.
"""

import ast
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from tests.house.test_house import FILES, ROOT

PAGE = ROOT / "docs" / "answers.md"
ANSWERS = ROOT / "docs" / "architecture.md"
COMMAND = "python -m tests.house.answers"

HEAD = f"""# The code of the twelve answers

[architecture.md](architecture.md#twelve-questions) answers twelve questions in words. Here are the functions that each
answer names, in the same order. A function that two answers name is in both.

`{COMMAND}` writes this page from the code.
"""


class Function(NamedTuple):
    """A function or method of a stage or of common/."""

    name: str
    """With its class: `Tree.add`."""
    file: str
    code: str


def all_functions() -> dict[str, list[Function]]:
    """Name -> the functions with this name. Some classes of different stages have the same name."""
    found: dict[str, list[Function]] = defaultdict(list)
    for file in FILES:
        source = (ROOT / file).read_text("utf-8")
        for name, node in _functions(ast.parse(source)):
            found[name].append(Function(name, file, _code_of(node, source)))
    return found


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{one.name}", one) for one in node.body if isinstance(one, ast.FunctionDef))


def _code_of(node: ast.FunctionDef, source: str) -> str:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return textwrap.dedent("\n".join(source.splitlines()[first - 1:node.end_lineno]))


def read_answers() -> dict[str, str]:
    """Question -> its answer, in the order of the page."""
    page = ANSWERS.read_text("utf-8").partition("## Twelve questions\n")[2].partition("\n## ")[0]
    parts = (part.partition("\n") for part in page.split("\n### ")[1:])
    return {question: answer for question, _, answer in parts}


def named_in(answer: str, functions: dict[str, list[Function]]) -> list[Function]:
    """The functions that an answer names, in its order. A name without its class, such as `_undo`, is that of the class
    named last that has it."""
    files = re.findall(r"`((?:stage\w+|common)/\w+\.py)`", answer)
    found: dict[tuple[str, str], Function] = {}
    classes: list[str] = []
    for name in re.findall(r"`(\w+(?:\.\w+)?)`", answer):
        full_names = [name, *(f"{one}.{name}" for one in reversed(classes))]
        candidates = next((functions[one] for one in full_names if one in functions), [])
        chosen = [one for one in candidates if one.file in files] or (candidates if len(candidates) == 1 else [])
        if "." in name and chosen:
            classes.append(name.partition(".")[0])
        found |= {(one.file, one.name): one for one in chosen[:1]}
    return list(found.values())


def make_page() -> str:
    """The page as it should be."""
    functions, lines = all_functions(), [HEAD]
    for question, answer in read_answers().items():
        lines.append(f"## {question}\n")
        for one in named_in(answer, functions):
            lines.append(f"`{one.name}` in [`{one.file}`](../{one.file}):\n\n```python\n{one.code}\n```\n")
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    PAGE.write_text(make_page(), "utf-8")


if __name__ == "__main__":
    main()
