"""The table of `make attacks` on a terminal: attacks down, stages across. Below it is what was measured."""

import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.attacks.attack import Attack, Finding, Outcome
from lab.attacks.promises import STAGES, Promises
from lab.surroundings import columns

WIDTH = 100
"""The width of output that does not go to a terminal; COLUMNS=120 sets another."""

SHOWN = {Outcome.HOLDS: "holds", Outcome.BROKEN: "broken", Outcome.NOT_APPLICABLE: "–", Outcome.UNKNOWN: "unknown"}
STYLES = {Outcome.HOLDS: "green", Outcome.BROKEN: "bold red", Outcome.NOT_APPLICABLE: "dim", Outcome.UNKNOWN: "yellow"}

DIFFERS = " ≠"
"""The mark after an outcome that docs/security.md does not promise."""

Findings = Mapping[str, Mapping[int, Finding]]


def draw(findings: Findings, promises: Promises, has_colours: bool) -> str:
    """The table and the evidence as text, in colours if asked for."""
    width = max(columns(sys.stdout, WIDTH), 60)
    console = Console(file=StringIO(), force_terminal=has_colours, width=width, highlight=False)
    console.print(make_table(findings, promises))
    for name, stages in findings.items():
        console.print()
        console.print(Text(name, style="bold"))
        for line in evidence_lines(stages, width):
            console.print(line)
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def make_table(findings: Findings, promises: Promises) -> Table:
    """One row for each attack, one column for each stage."""
    stages = list(next(iter(findings.values()), {}))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("attack")
    for stage in stages:
        table.add_column(f"stage {stage}")
    for name, found in findings.items():
        table.add_row(name, *(_cell(found[stage], promises.get(name, {}).get(stage)) for stage in stages))
    return table


def _cell(finding: Finding, promised: Outcome | None) -> Text:
    differs = "" if finding.outcome == promised else DIFFERS
    return Text(SHOWN[finding.outcome] + differs, style=STYLES[finding.outcome])


def evidence_lines(stages: Mapping[int, Finding], width: int) -> Iterable[Text]:
    """What was measured. Stages with the same evidence share a line."""
    for finding, group in groupby(stages, key=lambda stage: stages[stage]):
        mark = f"  {numbers(list(group))} "
        lead = mark + (f"{finding.outcome}: " if finding.outcome != Outcome.NOT_APPLICABLE else "– ")
        for line in textwrap.wrap(lead + finding.evidence, width, subsequent_indent=" " * len(mark)):
            yield Text(line, style="dim" if finding.outcome == Outcome.NOT_APPLICABLE else "")


def numbers(stages: Sequence[int]) -> str:
    """Consecutive stages as text: `2`, or `1-3`."""
    return str(stages[0]) if len(stages) == 1 else f"{stages[0]}-{stages[-1]}"


def draw_list(attacks: Iterable[Attack], promises: Promises) -> str:
    """The attacks, and what is promised for each in stages 1 to 5."""
    def shown(name: str, stage: int) -> str:
        promised = promises.get(name, {}).get(stage)
        return SHOWN[promised] if promised is not None else "?"

    return "\n".join(f"{attack.name:<44}  {'  '.join(f'{shown(attack.name, stage):<6}' for stage in STAGES)}".rstrip()
                     for attack in attacks)
