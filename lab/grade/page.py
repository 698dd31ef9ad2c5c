"""The page of a result: one file that needs nothing else. The points, then each criterion that was not passed."""

from collections.abc import Iterator
from html import escape

from lab.diagrams.svg import draw_svg
from lab.grade.evidence import diagram_of, read_conversation, spoken
from lab.grade.result import Outcome, Result, kind_of
from lab.grade.shortcomings import ERROR, FAILED, INCONCLUSIVE, PASSED

MARKS = {PASSED: "✓", FAILED: "✗", INCONCLUSIVE: "–", ERROR: "!"}

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2128; --line: #d5d9de; --pale: #5f6872; --link: #0b57b0;
  --passed: #116329; --failed: #a40e26; --inconclusive: #7a5200; --error: #7a1fa2; --card: #f5f7f9; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e3e7eb; --line: #363d45; --pale: #9aa4af;
  --link: #79b3ff; --passed: #7ee2a0; --failed: #ff9d96; --inconclusive: #f0cf6a; --error: #e0a8ff; --card: #1d232a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.2rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .6rem; } h2 { font-size: 1.1rem; margin: 0 0 .3rem; }
p { margin: .4rem 0; } a { color: var(--link); } .pale { color: var(--pale); font-size: .9rem; }
.points { display: flex; flex-wrap: wrap; gap: .8rem; margin: .8rem 0; }
.points div { background: var(--card); border-radius: .5rem; padding: .5rem 1rem; } .points b { font-size: 1.5rem; }
.remark { border-left: .3rem solid var(--inconclusive); padding-left: .6rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 1.6rem; font-size: .93rem; }
th, td { padding: .25rem .4rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; }
.passed { color: var(--passed); } .failed { color: var(--failed); font-weight: bold; }
.inconclusive { color: var(--inconclusive); } .error { color: var(--error); font-weight: bold; }
section { border-top: 1px solid var(--line); padding: .9rem 0; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .25rem .8rem; margin: .4rem 0; }
dt { color: var(--pale); } dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .85rem; }
pre { overflow-x: auto; background: var(--card); padding: .6rem; border-radius: .4rem; max-height: 30rem; }
.scroll { overflow-x: auto; } details summary { cursor: pointer; color: var(--link); }
@media screen and (max-width: 40rem) { body { padding: .8rem; } .wide { display: none; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; } dd { margin-bottom: .4rem; } }
"""

MOST_NOTES = 40
"""The most notes that a diagram shows. A longer conversation is in its file."""


def make_page(result: Result) -> str:
    """The page of a run."""
    title = f"{result.name}: stage {result.settings.stage}"
    return "\n".join(["<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
                      '<meta name="viewport" content="width=device-width, initial-scale=1">',
                      f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", "</head>", "<body>",
                      f"<h1>{escape(title)}</h1>", *_top(result), *_table(result), *_sections(result), "</body>",
                      "</html>", ""])


def _top(result: Result) -> Iterator[str]:
    for remark in [*result.remarks, *filter(None, [result.reason])]:
        yield f'<p class="remark">{escape(remark)}</p>'
    yield '<div class="points">'
    for name, hardening in (("basics", False), ("hardening, counted separately", True)):
        yield f"<div>{name}<br><b>{result.score(hardening)}</b> of {result.full(hardening)}</div>"
    yield "</div>"
    counts = {verdict: sum(one.verdict == verdict for one in result.outcomes) for verdict in MARKS}
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    yield f"<p>Criteria checked: {len(result.outcomes)} ({said}).</p>"
    if counts[INCONCLUSIVE]:
        yield ("<p>Inconclusive means that what a criterion begins with could not be set up. It earns no points."
               " What is wrong is said above, or by another criterion.</p>")
    yield f'<p class="pale">{escape(result.began)}, {result.seconds:g} s, seed {result.settings.seed}. Again:'
    yield f"<code>{escape(result.replay)}</code></p>"


def _table(result: Result) -> Iterator[str]:
    yield '<table><thead><tr><th>criterion</th><th class="wide">clause</th><th class="wide">kind</th>'
    yield '<th>verdict</th><th class="number">points</th></tr></thead><tbody>'
    for number, one in enumerate(result.outcomes):
        title = escape(one.criterion.title)
        if one.verdict != PASSED:
            title = f'<a href="#c{number}">{title}</a>'
        if one.criterion.stage != result.settings.stage:
            title += f' <span class="pale">(stage {one.criterion.stage})</span>'
        yield (f'<tr><td>{title}</td><td class="wide">{escape(one.criterion.clause)}</td>'
               f'<td class="wide">{kind_of(one)}</td><td class="{one.verdict}">{MARKS[one.verdict]} {one.verdict}</td>'
               f'<td class="number">{one.score} / {one.points}</td></tr>')
    yield "</tbody></table>"


def _sections(result: Result) -> Iterator[str]:
    for number, one in enumerate(result.outcomes):
        if one.verdict != PASSED:
            yield from _section(result, number, one)


def _section(result: Result, number: int, one: Outcome) -> Iterator[str]:
    criterion, notes = one.criterion, read_conversation(result, one)
    yield f'<section id="c{number}">'
    yield f'<h2>{escape(criterion.title)}: <span class="{one.verdict}">{one.verdict}</span></h2>'
    rows = [("rule", f"{criterion.rule} (contract {criterion.clause})"), ("expected", one.expected),
            ("but", one.actual), *([("hint", criterion.hint)] if criterion.hint else [])]
    yield "<dl>" + "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows)
    yield f"<dt>again</dt><dd><code>{escape(result.settings.replay(criterion.key))}</code></dd></dl>"
    if notes:
        yield f'<div class="scroll">{draw_svg(diagram_of(notes[-MOST_NOTES:]))}</div>'
        if len(notes) > MOST_NOTES:
            yield f'<p class="pale">The last {MOST_NOTES} of {len(notes)} notes.</p>'
        lines = "\n".join(escape(spoken(note)) for note in notes[-200:])
        yield f"<details><summary>the last 200 notes at most, word for word</summary><pre>{lines}</pre></details>"
    yield "</section>"
