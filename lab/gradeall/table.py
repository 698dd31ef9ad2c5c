"""The class at a glance: `grades.csv`, and a page with the table criterion × submission."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from pathlib import Path
from urllib.parse import quote

from lab.grade.criteria import Criterion
from lab.grade.page import MARKS, STYLE
from lab.grade.result import Outcome
from lab.grade.shortcomings import ERROR, FAILED, INCONCLUSIVE, PASSED

HARDEST = 5
"""Criteria that are listed above the table: those that the fewest submissions have passed."""

LONGEST_REASON = 160
"""The most characters of a reason in the table."""

CSS = """
body { max-width: none; } .matrix { width: auto; } .matrix td { text-align: center; padding: .2rem .3rem; }
.matrix th { font-weight: normal; } .matrix thead th { vertical-align: bottom; text-align: center; }
.matrix thead th.name div { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 11rem; margin: auto; }
.matrix tbody th { position: sticky; left: 0; background: var(--paper); min-width: 9rem; max-width: 24rem; }
.matrix td.share { text-align: right; white-space: nowrap; }
.said { overflow-wrap: anywhere; }
@media screen and (max-width: 40rem) { .class tr { display: grid; grid-template-columns: minmax(0, 1fr) 6rem 6rem; }
  .class .said { grid-column: 1 / -1; } .class tr :not(.said) { border: 0; overflow-wrap: anywhere; } }
.bar { display: inline-block; width: 4rem; height: .6rem; background: var(--line); margin-right: .4rem; }
.bar i { display: block; height: 100%; background: var(--passed); }
"""


@dataclass
class Row:
    """A submission that has been graded, or could not be."""

    name: str
    basics: tuple[int, int] = (0, 0)
    """The points, and the most that are possible."""
    hardening: tuple[int, int] = (0, 0)
    seconds: float = 0.0
    remarks: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()

    @property
    def counts(self) -> Counter[str]:
        """How many criteria have each verdict."""
        return Counter(one.verdict for one in self.outcomes)


def read_row(name: str, folder: Path) -> Row:
    """The results of a submission, from its folder; a row without points if there are none."""
    path = folder / "grade.json"
    if not path.exists():
        return Row(name, remarks=("The grader has failed here, which is not the student's fault: see grader.txt.",))
    content = json.loads(path.read_text("utf-8"))
    (basics, full), (hardening, hard) = content["basics"], content["hardening"]
    outcomes = tuple(Outcome.read(json.dumps(one)) for one in content["outcomes"])
    return Row(name, (basics, full), (hardening, hard), content["seconds"], tuple(content["remarks"]), outcomes)


def reason_of(row: Row) -> str:
    """Why nothing could be checked, if there is one reason for all criteria."""
    reasons = {one.actual for one in row.outcomes if one.verdict != PASSED}
    return reasons.pop() if len(reasons) == 1 and not row.counts[PASSED] else ""


# --- grades.csv ---------------------------------------------------------------------------------

def shorten(text: str) -> str:
    """The beginning of a reason. The page of the submission has all of it."""
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + " …"


def make_csv(rows: Sequence[Row]) -> str:
    """One line for each submission."""
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["submission", "basics", "of", "hardening", "of", *MARKS, "seconds", "note"])
    for row in rows:
        note = " ".join([*row.remarks, reason_of(row)]).strip()
        lines.writerow([plain(row.name), *row.basics, *row.hardening, *(row.counts[verdict] for verdict in MARKS),
                        row.seconds, plain(note)])
    return text.getvalue()


def plain(text: str) -> str:
    """A text that no spreadsheet program mistakes for a formula."""
    return f"'{text}" if text[:1] in tuple("=+-@\t\r") else text


# --- the page -----------------------------------------------------------------------------------

def make_class_page(rows: Sequence[Row], stage: int, folder: Path) -> str:
    """The page of a class; it needs nothing else, and links to the pages of the submissions."""
    title = f"Stage {stage}, submissions: {len(rows)}"
    return "\n".join(["<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
                      '<meta name="viewport" content="width=device-width, initial-scale=1">',
                      f"<title>{title}</title>", f"<style>{STYLE}{CSS}</style>", "</head>", "<body>",
                      f"<h1>{title}</h1>", *_remarks(rows), *_points(rows, folder), *_struggles(rows), *_matrix(rows),
                      "</body>", "</html>", ""])


def _remarks(rows: Sequence[Row]) -> Iterator[str]:
    for remark, count in Counter(remark for row in rows for remark in row.remarks).items():
        yield f'<p class="remark">{escape(remark)} <span class="pale">({count} of {len(rows)} submissions)</span></p>'


def _points(rows: Sequence[Row], folder: Path) -> Iterator[str]:
    yield '<table class="class"><thead><tr><th>submission</th><th class="number">basics</th>'
    yield '<th class="number">hardening</th><th class="said">verdicts</th>'
    yield '<th class="number wide">seconds</th></tr></thead><tbody>'
    for row in rows:
        page = "teacher.html" if (folder / row.name / "teacher.html").exists() else "report.html"
        name = f'<a href="{quote(row.name)}/{page}">{escape(row.name)}</a>' if row.outcomes else escape(row.name)
        counts = [f"{row.counts[verdict]} {verdict}" for verdict in MARKS if row.counts[verdict]]
        said = reason_of(row) or ", ".join(counts)
        yield (f'<tr><td>{name}</td><td class="number">{row.basics[0]} / {row.basics[1]}</td>'
               f'<td class="number">{row.hardening[0]} / {row.hardening[1]}</td>'
               f'<td class="said">{escape(shorten(said))}</td>'
               f'<td class="number wide">{row.seconds:g}</td></tr>')
    yield "</tbody></table>"


def criteria_of(rows: Sequence[Row]) -> list[Criterion]:
    """The criteria of all submissions, in the order of the table."""
    longest = max(rows, key=lambda row: len(row.outcomes)).outcomes if rows else ()
    found = {one.criterion.key: one.criterion for one in longest}
    for row in rows:
        for one in row.outcomes:
            found.setdefault(one.criterion.key, one.criterion)
    return list(found.values())


def shares(rows: Sequence[Row]) -> dict[str, tuple[int, int]]:
    """Key of a criterion -> how many submissions have passed it, and how many were checked for it."""
    passed = Counter(one.criterion.key for row in rows for one in row.outcomes if one.verdict == PASSED)
    asked = Counter(one.criterion.key for row in rows for one in row.outcomes)
    return {key: (passed[key], count) for key, count in asked.items()}


def _struggles(rows: Sequence[Row]) -> Iterator[str]:
    share = shares(rows)
    hardest = sorted((one for one in criteria_of(rows) if not one.hardening and share[one.key][0] < share[one.key][1]),
                     key=lambda one: share[one.key][0] / share[one.key][1])[:HARDEST]
    if hardest:
        yield "<h2>Where the class struggles</h2><p>The hardest criteria among the basics:</p><ul>"
        for one in hardest:
            yield (f"<li>{escape(one.title)} ({escape(one.clause)}): {share[one.key][0]} of {share[one.key][1]} "
                   "have passed</li>")
        yield "</ul>"


def _matrix(rows: Sequence[Row]) -> Iterator[str]:
    known = [{one.criterion.key: one for one in row.outcomes} for row in rows]
    share = shares(rows)
    yield '<h2>Each criterion, each submission</h2><p class="pale">'
    yield f"{MARKS[PASSED]} passed, {MARKS[FAILED]} failed, {MARKS[INCONCLUSIVE]} inconclusive, {MARKS[ERROR]} error of"
    yield 'the grader. The bar is the share of the class that has passed.</p><div class="scroll"><table class="matrix">'
    yield "<thead><tr><th>criterion</th><th>class</th>"
    yield "".join(f'<th class="name"><div>{escape(row.name)}</div></th>' for row in rows) + "</tr></thead><tbody>"
    for one in criteria_of(rows):
        passed, asked = share[one.key]
        kind = ' <span class="pale">(hardening)</span>' if one.hardening else ""
        yield (f'<tr><th>{escape(one.title)}{kind}</th><td class="share"><span class="bar"><i style="width:'
               f'{round(100 * passed / asked)}%"></i></span>{passed} / {asked}</td>')
        yield "".join(_cell(answers.get(one.key)) for answers in known) + "</tr>"
    yield "</tbody></table></div>"


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "<td></td>"
    why = f"{outcome.verdict}: {outcome.actual}" if outcome.actual else outcome.verdict
    return f'<td class="{outcome.verdict}" title="{escape(why[:300])}">{MARKS[outcome.verdict]}</td>'
