"""The table of `make attacks` as one page that needs nothing else: no script, no font, no other file."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby

from lab.attacks.attack import Attack, Finding, Outcome
from lab.attacks.terminal import Findings, numbers
from lab.attacks.promises import Promises

STAGE_NAMES = {1: "chat", 2: "ledger", 3: "signed", 4: "sequencer", 5: "proof of stake"}

MARKS = {Outcome.HOLDS: "✓", Outcome.BROKEN: "✗", Outcome.NOT_APPLICABLE: "–", Outcome.UNKNOWN: "?"}
CLASSES = {Outcome.HOLDS: "holds", Outcome.BROKEN: "broken", Outcome.NOT_APPLICABLE: "none", Outcome.UNKNOWN: "unknown"}

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2128; --line: #d5d9de; --pale: #5f6872; --link: #0b57b0;
  --holds: #116329; --holds-paper: #dff3e4; --broken: #a40e26; --broken-paper: #fde3e1; --unknown: #7a5200;
  --unknown-paper: #fff1cc; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e3e7eb; --line: #363d45; --pale: #9aa4af;
  --link: #79b3ff; --holds: #7ee2a0; --holds-paper: #12351f; --broken: #ff9d96; --broken-paper: #4a1517;
  --unknown: #f0cf6a; --unknown-paper: #43340a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1.2rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .4rem; } h2 { font-size: 1.15rem; margin: 0; }
p { margin: .4rem 0; } a { color: inherit; text-decoration: none; } a:hover { text-decoration: underline; }
p a { color: var(--link); } .pale { color: var(--pale); font-size: .9rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { padding: .28rem .4rem; border-bottom: 1px solid var(--line); text-align: center; }
th:first-child { text-align: left; font-weight: normal; } thead th { vertical-align: bottom; font-size: .85rem; }
thead th b { display: block; font-size: 1.1rem; }
.mark { display: inline-block; border-radius: .3rem; padding: 0 .5rem; white-space: nowrap; font-size: .9rem; }
.holds { color: var(--holds); background: var(--holds-paper); }
.broken { color: var(--broken); background: var(--broken-paper); font-weight: bold; }
.unknown { color: var(--unknown); background: var(--unknown-paper); } .none { color: var(--pale); }
.differs { outline: 2px solid var(--unknown); }
section { border-top: 1px solid var(--line); padding: .9rem 0; break-inside: avoid; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem .8rem; margin: .6rem 0 0;
  font-size: .92rem; }
dt { white-space: nowrap; } dd { margin: 0; overflow-wrap: anywhere; }
@media screen and (max-width: 40rem) { body { padding: .8rem; font-size: .95rem; }
  .word, thead th span { display: none; }
  th, td { padding: .3rem .1rem; } .mark { padding: 0 .35rem; } dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: .5rem; } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --line: #bbb; --pale: #444; --link: #000;
  --holds: #116329; --holds-paper: #dff3e4; --broken: #a40e26; --broken-paper: #fde3e1; --unknown: #7a5200;
  --unknown-paper: #fff1cc; } html { font-size: 10px; } body { max-width: none; padding: 0; }
  thead { display: table-header-group; }
  tr { break-inside: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  @page { size: A4; margin: 14mm; } }
"""


def attacks_page(attacks: Sequence[Attack], findings: Findings, promises: Promises, summary: str) -> str:
    """The page of a run: the table, and a section on each attack. `summary` describes the run in one line."""
    title = "What each stage withstands"
    return "\n".join(["<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
                      '<meta name="viewport" content="width=device-width, initial-scale=1">',
                      f"<title>{title}</title>", f"<style>{STYLE}</style>", "</head>", "<body>",
                      f"<h1>{title}</h1>", *_introduction(summary), *_table(findings, promises),
                      *(line for number, attack in enumerate(attacks)
                        for line in _section(number, attack, findings[attack.name])), "</body>", "</html>", ""])


def _introduction(summary: str) -> Iterator[str]:
    yield ("<p>Each cell was measured: the attack was carried out on real nodes of that stage, on a network of its own."
           " <span class=\"mark holds\">✓ holds</span>: the stage withstands the attack."
           " <span class=\"mark broken\">✗ broken</span>: the attack succeeds. <span class=\"none\">–</span>: there is"
           " nothing to attack. Below, for each attack: what is done, which stage stops it and why, and what was"
           " measured.</p>")
    yield f'<p class="pale">{escape(summary)}</p>'


def _table(findings: Findings, promises: Promises) -> Iterator[str]:
    stages = list(next(iter(findings.values()), {}))
    heads = "".join(f'<th scope="col"><b>{stage}</b><span>{STAGE_NAMES[stage]}</span></th>' for stage in stages)
    yield f'<table>\n<thead><tr><th scope="col">attack, and the stage</th>{heads}</tr></thead>\n<tbody>'
    for number, (name, found) in enumerate(findings.items()):
        cells = "".join(f"<td>{_mark(found[stage], promises.get(name, {}).get(stage))}</td>" for stage in stages)
        yield f'<tr><th scope="row"><a href="#a{number}">{escape(name)}</a></th>{cells}</tr>'
    yield "</tbody>\n</table>"


def _mark(finding: Finding, promised: Outcome | None) -> str:
    """An outcome as a sign and a word; on a narrow screen only the sign. A frame marks one that was not promised."""
    if finding.outcome == Outcome.NOT_APPLICABLE == promised:
        return f'<span class="none" title="{escape(finding.evidence)}">{MARKS[finding.outcome]}</span>'
    differs = "" if finding.outcome == promised else " differs"
    return (f'<span class="mark {CLASSES[finding.outcome]}{differs}" title="{escape(finding.evidence)}">'
            f'{MARKS[finding.outcome]}<span class="word"> {finding.outcome}</span></span>')


def _section(number: int, attack: Attack, stages: Mapping[int, Finding]) -> Iterator[str]:
    yield f'<section id="a{number}">\n<h2>{escape(attack.name)}</h2>\n<p>{escape(attack.story)}</p>\n<dl>'
    for finding, group in groupby(stages, key=lambda stage: stages[stage]):
        those = list(group)
        noun = "stage" if len(those) == 1 else "stages"
        yield (f'<dt>{noun} {numbers(those).replace("-", "–")} <span class="mark {CLASSES[finding.outcome]}">'
               f"{finding.outcome}</span></dt><dd>{escape(finding.evidence)}</dd>")
    yield "</dl>\n</section>"
