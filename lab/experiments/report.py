"""The page of an experiment: question, method, picture, numbers, and what they say next to theory; no other file is
needed to read it."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from lab.experiments.experiment import Experiment, Point, Row, column, spread, where

STYLE = """
:root { color-scheme: light; --ink: #1c2128; --line: #d5d9de; --pale: #5f6872; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1.2rem; background: #fff; color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .4rem; } h2 { font-size: 1.15rem; margin: 1.4rem 0 .3rem; }
p, ul { margin: .4rem 0; } .question { font-size: 1.15rem; } .pale { color: var(--pale); font-size: .9rem; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; display: block; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .2rem .8rem; margin: .6rem 0; }
dt { color: var(--pale); } dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { vertical-align: bottom; } tbody tr { break-inside: avoid; }
@media (max-width: 40rem) { body { padding: .8rem; } dl { grid-template-columns: minmax(0, 1fr); }
  dt { margin-top: .3rem; } }
@media print { html { font-size: 10px; } body { max-width: none; padding: 0; } thead { display: table-header-group; }
  .wide { overflow-x: visible; } figure { break-inside: avoid; } @page { size: A4; margin: 14mm; } }
"""


class Circumstances(NamedTuple):
    """How the rows came about."""

    seed: int
    size: str
    """Of the sweep, "full" or "quick"."""
    commit: str
    machine: str
    """Processor, cores, system and Python, in a line."""
    command: str
    """What repeats it."""


QUICK = ('<p class="pale">This is the quick form: a few short runs, which show that everything works. Their numbers'
         " are mostly luck, and the points may be fewer than the text says.</p>")


def report_page(experiment: Experiment, points: Sequence[Point], rows: Sequence[Row], found: Circumstances,
                svg: str) -> str:
    """The page, with the picture inside."""
    return "\n".join([
        "<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(experiment.TITLE)}</title>", f"<style>{STYLE}</style>", "</head>", "<body>",
        f"<h1>{escape(experiment.TITLE)}</h1>", *([QUICK] if found.size == "quick" else []),
        f'<p class="question">{escape(experiment.QUESTION)}</p>',
        "<figure>", svg[svg.index("<svg"):], "</figure>",
        "<h2>What the numbers say next to theory</h2>", "<ul>",
        *(f"<li>{escape(finding)}</li>" for finding in experiment.findings(rows)), "</ul>",
        "<h2>How it was measured</h2>", f"<p>{escape(experiment.METHOD)}</p>", *_circumstances(found, points, rows),
        "<h2>The numbers</h2>",
        '<p class="pale">The median over all runs of a point, and from the 5th to the 95th percentile. Each run is in'
        " data.csv.</p>", *_table(experiment, points, rows), "</body>", "</html>", ""])


def _circumstances(found: Circumstances, points: Sequence[Point], rows: Sequence[Row]) -> Iterator[str]:
    runs = 1 + max((int(row["run"]) for row in rows), default=0)
    entries = {"Points": f"{len(points)}, up to {runs} runs each" if runs > 1 else f"{len(points)}, one run each",
               "Size": found.size, "Seed": str(found.seed), "Commit": found.commit, "Machine": found.machine,
               "To repeat it": found.command}
    yield "<dl>"
    yield from (f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in entries.items())
    yield "</dl>"


def _table(experiment: Experiment, points: Sequence[Point], rows: Sequence[Row]) -> Iterator[str]:
    heads = "".join(f"<th>{escape(head)}</th>" for head in [*points[0], *experiment.MEASURED.values()])
    yield f'<div class="wide"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>'
    for point in points:
        mine = where(rows, **point)
        cells = [_shown(value) for value in point.values()]
        cells += [_spread_shown([row for row in mine if name in row], name) for name in experiment.MEASURED]
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    yield "</tbody></table></div>"


def _spread_shown(rows: Sequence[Row], name: str) -> str:
    if not rows:
        return ""
    low, middle, high = spread(column(rows, name))
    return _shown(middle) if low == high else f"{_shown(middle)} ({_shown(low)}–{_shown(high)})"


def _shown(value: int | float | str) -> str:
    """A cell of the table; numbers have at most four significant digits."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def write_report(folder: Path, experiment: Experiment, points: Sequence[Point], rows: Sequence[Row],
                 found: Circumstances) -> None:
    """Write report.html next to the picture that is there already."""
    svg = (folder / "plot.svg").read_text()
    (folder / "report.html").write_text(report_page(experiment, points, rows, found, svg))
