"""What a run of the grader shows on a terminal: a bar while it goes on, then the table, and what went wrong."""

import sys
from collections import Counter
from collections.abc import Iterable
from io import StringIO
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from lab.grade.result import Outcome, Result, kind_of
from lab.grade.shortcomings import ERROR, FAILED, INCONCLUSIVE, PASSED
from lab.surroundings import columns, takes_escapes

WIDTH = 120
STYLES = {PASSED: "green", FAILED: "bold red", INCONCLUSIVE: "yellow", ERROR: "bold magenta"}


class Bar:
    """A progress bar. It is shown only on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._progress = Progress(TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                                  TextColumn("{task.description}"), console=Console(file=stream),
                                  disable=not takes_escapes(stream), transient=True)
        self._task = self._progress.add_task("", total=None)

    def show(self, done: int, total: int, last: Outcome) -> None:
        """Show that `done` of `total` criteria are done, and the title of the last."""
        self._progress.update(self._task, completed=done, total=total, description=last.criterion.title)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._progress.stop()


def draw(result: Result, has_colours: bool) -> str:
    """The table and the reasons as text, in colours if asked for."""
    console = Console(file=StringIO(), force_terminal=has_colours, width=max(columns(sys.stdout, WIDTH), 60),
                      highlight=False)
    for remark in result.remarks:
        console.print(Text(remark, style="yellow"))
    console.print(make_table(result))
    for one, others in groups(result):
        console.print(*reasons(result, one), sep="\n")
        if others:
            console.print(Text(f"  as well   {others} more, not checked for the same reason"))
    console.print(*(Text(line) for line in summary(result)), sep="\n")
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def make_table(result: Result) -> Table:
    """A table with a row for each criterion."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("criterion", "kind", "clause", "verdict"):
        table.add_column(name)
    table.add_column("points", justify="right")
    for one in result.outcomes:
        earlier = "" if one.criterion.stage == result.settings.stage else f" (stage {one.criterion.stage})"
        table.add_row(one.criterion.title + earlier, kind_of(one), one.criterion.clause,
                      Text(one.verdict, style=STYLES[one.verdict]), f"{one.score}/{one.points}")
    return table


def groups(result: Result) -> Iterable[tuple[Outcome, int]]:
    """The criteria that were not passed, each with how many more are inconclusive for the same reason. So a fault that
    stops many is printed once."""
    same = Counter(one.actual for one in result.outcomes if one.verdict == INCONCLUSIVE)
    for one in result.outcomes:
        if one.verdict in (FAILED, ERROR):
            yield one, 0
        elif one.verdict == INCONCLUSIVE and one.actual in same:
            yield one, same.pop(one.actual) - 1


def reasons(result: Result, outcome: Outcome) -> list[Text]:
    """Why a criterion was not passed, and how to see it again."""
    lines = [f"  rule      {outcome.criterion.rule} (contract {outcome.criterion.clause})",
             f"  expected  {outcome.expected}", f"  but       {outcome.actual}"]
    lines += [f"  hint      {outcome.criterion.hint}"] if outcome.criterion.hint else []
    lines += [f"  again     {result.settings.replay(outcome.criterion.key)}"]
    return [Text(), Text(f"{outcome.criterion.title}: {outcome.verdict}", style="bold"), *map(Text, lines)]


def summary(result: Result) -> list[str]:
    """The points, and how to do the same again."""
    counts = [f"{count} {verdict}" for verdict in STYLES
              if (count := sum(one.verdict == verdict for one in result.outcomes))]
    return ["", f"basics {result.score()} of {result.full()}, hardening {result.score(True)} of {result.full(True)}: "
            f"{', '.join(counts)}, in {result.seconds:g} s",
            f"seed {result.settings.seed}; again: {result.replay}",
            f"report.html, and the files for Gradescope, Classroom 50, check50 and JUnit: {result.settings.folder}"]
