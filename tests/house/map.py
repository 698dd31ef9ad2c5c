"""Writes docs/map.md, a row for every file of the code: `python -m tests.house.map`. A test compares it with the code.

What a file is for is the first sentence of its docstring, so that it is written in one place.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.processes import ROOT

PAGE = ROOT / "docs" / "map.md"

TOP = """# Every file in one line

The README has [the files of the stages in reading order](../README.md#the-map), and lab/ has
[a map of its own](../lab/README.md). This list is for searching. `python -m tests.house.map` writes it.
"""

FOLDERS = ("common", "stage1_chat", "stage2_ledger", "stage3_signed", "stage4_sequencer", "stage5_pos", "lab", "tests")


def folders() -> Iterator[Path]:
    """Every folder with code, and those below it, by name."""
    for name in FOLDERS:
        yield from sorted({path.parent for path in (ROOT / name).rglob("*.py")})


def purpose_of(path: Path) -> str:
    """The first sentence of the file's docstring, in one line; empty if it has none."""
    paragraph = (ast.get_docstring(ast.parse(path.read_bytes())) or "").partition("\n\n")[0]
    return re.split(r"(?<=[.?!]) (?=[A-Z`])", " ".join(paragraph.split()))[0].replace("|", "\\|")


def make_page() -> str:
    """The page."""
    return TOP + "".join(map(make_table, folders()))


def make_table(folder: Path) -> str:
    """The heading of one folder, and a row for each of its files except `__init__.py`; empty if there are no others."""
    name = folder.relative_to(ROOT).as_posix()
    rows = [f"| [`{name}/{path.name}`](../{name}/{path.name}) | {purpose_of(path)} |" for path in sorted(folder.glob("*.py"))
            if path.name != "__init__.py"]
    if not rows:
        return ""
    about = purpose_of(folder / "__init__.py") if (folder / "__init__.py").exists() else ""
    return "\n".join([f"\n## {name}/", *(["", about] if about else []), "", "| file | what it is for |", "|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(make_page())
