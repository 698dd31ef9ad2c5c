"""What docs/security.md promises: the outcome of each attack in each stage, from its table "Attacks, measured"."""

from pathlib import Path

from lab.attacks.attack import Outcome
from lab.nodes.processes import ROOT

PAGE = ROOT / "docs" / "security.md"

HEADING = "## Attacks, measured"

WORDS = {"holds": Outcome.HOLDS, "**broken**": Outcome.BROKEN, "–": Outcome.NOT_APPLICABLE}
"""What a cell of the table may say."""

STAGES = range(1, 6)


class PromiseError(Exception):
    """The page has no such table, or the table cannot be read. The message is one line for the user."""


Promises = dict[str, dict[int, Outcome]]
"""Attack -> stage -> what is promised."""


def read_promises(page: Path = PAGE) -> Promises:
    """The promises of the page, in the page's order. PromiseError if they cannot be read."""
    section = page.read_text("utf-8").partition(f"\n{HEADING}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in section.splitlines() if line.startswith("|")]
    if len(rows) < 3:
        raise PromiseError(f"{page}: expected a table below {HEADING!r}")
    return {row[0]: _read_row(row, page) for row in rows[2:]}


def _read_row(row: list[str], page: Path) -> dict[int, Outcome]:
    for cell in row[1:6]:
        if cell not in WORDS:
            raise PromiseError(f"{page}: {row[0]}: expected one of {', '.join(WORDS)}, not {cell!r}")
    if len(row) != 8:
        raise PromiseError(f"{page}: {row[0]}: expected 8 cells: the attack, five stages, what stops it, the test")
    return {stage: WORDS[row[stage]] for stage in STAGES}
