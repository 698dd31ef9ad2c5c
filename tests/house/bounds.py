"""Makes the table of all bounds, docs/bounds.md, from the code. `python -m tests.house.bounds` writes it.

A bound is a constant in a limits file, with its reason as a docstring below it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.house.test_house import ROOT, STAGES

FILES = ["common/limits.py", "common/fetch_limits.py",
         *(f"{stage}/limits.py" for stage in STAGES if (ROOT / stage / "limits.py").exists())]
PAGE = ROOT / "docs" / "bounds.md"
COMMAND = "python -m tests.house.bounds"

HEAD = f"""# All bounds

These bounds limit what a node holds, and what it does for others. The file that defines a bound also gives the whole
reason. A stage has its own bounds, those of the stages before it, and those of `common/`.

Some words of this page:

- A *batch* is what one `recv` has brought, cut into frames.
- A `Recent` is a set of two generations, a young one and an old one. When the young one is full it becomes the old one,
  and the old one is forgotten.
- A `Pace` says how many bytes a connection has moved lately, in one direction.
- An *unproven* address is one that this node has never reached itself.
- A *stranger* is a peer on a connection that the peer itself has opened.

`{COMMAND}` writes this page from the code.

| bound | value | where | what it bounds |
|---|---|---|---|
"""


class Bound(NamedTuple):
    """One or two constants that are explained together."""

    names: tuple[str, ...]
    value: str
    """The value as it stands in the code."""
    file: str
    reason: str


def find_bounds(file: str, source: str) -> Iterator[Bound]:
    """All constants of a limits file, each with its reason, which is empty if there is none."""
    body = ast.parse(source).body
    for constant, reason in zip(body, [*body[1:], None], strict=True):
        if isinstance(constant, ast.Assign):
            names = tuple(one.id for one in ast.walk(constant.targets[0]) if isinstance(one, ast.Name))
            yield Bound(names, ast.get_source_segment(source, constant.value) or "", file, read_reason(reason))


def read_reason(statement: ast.stmt | None) -> str:
    """The docstring below a constant on one line; empty if there is none."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return " ".join(str(statement.value.value).split())
    return ""


def all_bounds() -> list[Bound]:
    """The bounds of common/ and of all stages, in the order of the code."""
    found = [bound for file in FILES for bound in find_bounds(file, (ROOT / file).read_text("utf-8"))]
    return [bound for bound in found if bound.names != ("MEBIBYTE",)]  # which is a unit, not a bound


def make_page() -> str:
    """The page as it should be."""
    return HEAD + "".join(f"| {', '.join(f'`{name}`' for name in bound.names)} | {bound.value} | `{bound.file}`"
                          f" | {bound.reason.partition('. ')[0].rstrip('.')} |\n" for bound in all_bounds())


def main() -> None:
    """Write the page."""
    Path(PAGE).write_text(make_page(), "utf-8")


if __name__ == "__main__":
    main()
