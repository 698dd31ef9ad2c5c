"""A comparison of two stages as one page that needs nothing else: no script, no font, no other file."""

import re
from collections.abc import Iterable, Iterator
from html import escape

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from lab.compare.pairing import Comparison, LinePair, Row, Section, Status, align, stage_name
from lab.compare.stagecode import Piece, SourceFile

CODE_STYLE = "default"
"""The style of pygments: dark on light, for paper."""

LEXER, FORMATTER = PythonLexer(stripnl=False, ensurenl=False), HtmlFormatter(nowrap=True)
"""Made only once: making them takes as long as highlighting a few lines."""

CLASSES = {Status.NEW: "new", Status.CHANGED: "changed", Status.UNCHANGED: "alone", Status.GONE: "gone"}
MARK_CLASSES = {"+": "added", "-": "removed", "~": "other", " ": "same"}

STYLE = """
:root { color-scheme: light; --line: #d5d9de; --pale: #6a737d; --new: #1a7f37; --changed: #9a6700; --gone: #b02a1f;
  --alone: #6a737d; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 100rem; padding: 1rem; background: #fff; color: #1c2128;
  font: 1rem/1.45 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; padding-top: .5rem;
  border-top: 3px solid #1c2128; }
h3 { font-size: .95rem; margin: 0; display: inline; overflow-wrap: anywhere; }
p { margin: .3rem 0; } a { color: #0b57b0; text-decoration: none; } a:hover { text-decoration: underline; }
code, .code, .docs p { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .8rem; }
nav { margin: 1rem 0; font-size: .85rem; } nav b { display: block; margin-top: .5rem; break-after: avoid; }
.map { columns: 19rem; column-gap: 1.5rem; } summary { font-size: 1rem; cursor: pointer; }
nav ul { list-style: none; margin: 0; padding: 0; } nav li { overflow-wrap: anywhere; }
.status { display: inline-block; border: 1px solid; border-radius: .7rem; padding: 0 .5rem; margin-right: .4rem;
  font-size: .75rem; white-space: nowrap; }
.new > header .status, li.new::before, b.new { color: var(--new); }
.changed > header .status, li.changed::before, b.changed { color: var(--changed); }
.gone > header .status, li.gone::before, b.gone { color: var(--gone); }
.alone > header .status, li.alone::before, b.alone { color: var(--alone); }
li::before { display: inline-block; width: 1.1em; font-weight: bold; } li.new::before { content: "+"; }
li.changed::before { content: "~"; } li.gone::before { content: "−"; } li.alone::before { content: "·"; }
.two { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); column-gap: 1rem; }
.two > .l { grid-column: 1; } .two > .r { grid-column: 2; }
.docs { margin-bottom: 1rem; }
.docs .text { background: #f3f6fa; padding: .5rem .7rem; border-left: 3px solid #0b57b0; }
.docs p { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; } .none { color: var(--pale); font-style: italic; }
article { border: 1px solid var(--line); border-radius: .35rem; margin: .7rem 0; overflow: hidden; }
article > header { background: #f6f8fa; border-bottom: 1px solid var(--line); padding: .3rem .6rem; }
.remark { color: var(--pale); font-size: .85rem; }
.place { color: var(--pale); font-size: .75rem; padding: .2rem .6rem; overflow-wrap: anywhere; }
.place b { color: #0b57b0; }
.line { display: grid; grid-template-columns: 3.2rem minmax(0, 1fr); line-height: 1.35; }
.line > i { color: var(--pale); font-style: normal; text-align: right; padding-right: .6rem; user-select: none; }
.line > span { white-space: pre-wrap; overflow-wrap: anywhere; padding-left: calc(var(--deep) * 1ch);
  text-indent: calc(var(--deep) * -1ch); }
.line.added { background: #e2f5e6; } .line.removed { background: #fdeae7; } .line.other { background: #fff5d6; }
.alone .code { opacity: .75; }
.hide { user-select: none; } body:has(#hide:checked) .alone { display: none; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; } .scroll { overflow-x: auto; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; white-space: nowrap; } dt { font-weight: bold; margin-top: 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
@media screen and (max-width: 50rem) { body { padding: .6rem; } .two { grid-template-columns: minmax(0, 1fr); }
  .two > .l { grid-column: 1; order: 1; } .two > .r { grid-column: 1; order: 2; } .two > .nothing { display: none; }
  .place.r, .docs .r { margin-top: .5rem; } .place.r { border-top: 1px dashed var(--line); }
  .place.nothing + .place.r { border: 0; margin: 0; }
  th, td { padding: .3rem; font-size: .85rem; }
  th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; }
  th:first-child { writing-mode: horizontal-tb; transform: none; vertical-align: bottom; }
  .line { grid-template-columns: 2.4rem minmax(0, 1fr); }
  .line > i { padding-right: .4rem; } }
@media print { html { font-size: 10px; } body { max-width: none; padding: 0; } nav, .hide { display: none; }
  code, .code, .docs p { font-size: 6.5pt; } h2, article > header, .place { break-after: avoid; }
  .line { break-inside: avoid; grid-template-columns: 2rem 1fr; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } @page { size: A4 landscape; margin: 10mm; } }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole page."""
    colours = HtmlFormatter(style=CODE_STYLE)
    style = STYLE + str(colours.get_style_defs(".code"))  # type: ignore[no-untyped-call]
    return "\n".join(["<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
                      '<meta name="viewport" content="width=device-width, initial-scale=1">',
                      f"<title>{escape(title)}</title>", f"<style>{style}</style>", "</head>", "<body>",
                      *body, "</body>", "</html>", ""])


def comparison_page(comparison: Comparison) -> str:
    """The page of a comparison."""
    title = f"Stage {stage_name(comparison.left)} and stage {stage_name(comparison.right)}"
    return page(title, _body(title, comparison))


def _body(title: str, comparison: Comparison) -> Iterator[str]:
    counts = ", ".join(f'<b class="{CLASSES[status]}">{comparison.count(status)} {status}</b>' for status in Status)
    yield f"<h1>{escape(title)}</h1>"
    yield f"<p>{counts}" + (", with all that each inherits" if comparison.is_whole else "") + "</p>"
    yield '<p class="hide"><label><input type="checkbox" id="hide"> hide what is left alone</label></p>'
    rows = {row: f"p{number}" for number, row in enumerate(row for one in comparison.sections for row in one.rows)}
    yield "<nav><details><summary>All pieces</summary><div class=\"map\">"
    for section in comparison.sections:
        yield f'<b><a href="#{section.file}">{section.file}</a></b>\n<ul>'
        for row in section.rows:
            yield f'<li class="{CLASSES[row.status]}"><a href="#{rows[row]}">{escape(row.title)}</a></li>'
        yield "</ul>"
    yield "</div></details></nav>"
    for section in comparison.sections:
        yield from _section(section, comparison, rows)


def _section(section: Section, comparison: Comparison, names: dict[Row, str]) -> Iterator[str]:
    yield f'<section>\n<h2 id="{section.file}">{section.file}</h2>\n<div class="two docs">'
    yield _docstring(section.left, comparison.left, "l") + _docstring(section.right, comparison.right, "r")
    yield "</div>"
    for row in section.rows:
        yield f'<article class="{CLASSES[row.status]}" id="{names[row]}">'
        remark = f' <span class="remark">{escape(row.remark)}</span>' if row.remark else ""
        yield f'<header><span class="status">{row.status}</span><h3>{escape(row.title)}</h3>{remark}</header>'
        yield from _one_column(row, comparison) if row.status == Status.UNCHANGED else _two_columns(row, comparison)
        yield "</article>"
    yield "</section>"


def _docstring(file: SourceFile | None, side: int, column: str) -> str:
    if file is None:
        return f'<div class="{column}"><span class="none">Stage {side} has no such file.</span></div>'
    return (f'<div class="{column}"><code>{file.path}</code><div class="text"><p>{escape(file.docstring)}</p></div>'
            "</div>")


def _one_column(row: Row, comparison: Comparison) -> Iterator[str]:
    """A piece that is the same on both sides is shown once."""
    piece = row.right or row.left
    assert piece is not None
    yield f'<div class="place">{_place(piece, comparison.right)}</div>\n<div class="code">'
    for number, line in enumerate(highlight_piece(piece)):
        yield code_line("same", "", piece.first_line + number, line)
    yield "</div>"


def _two_columns(row: Row, comparison: Comparison) -> Iterator[str]:
    yield '<div class="two code">'
    for piece, side, column in ((row.left, comparison.left, "l"), (row.right, comparison.right, "r")):
        if piece is not None:
            yield f'<div class="place {column}">{_place(piece, side)}</div>'
        else:
            yield f'<div class="place {column} nothing"></div>'
    left, right = row.left.shown if row.left else (), row.right.shown if row.right else ()
    left_html, right_html = highlight_piece(row.left), highlight_piece(row.right)
    for pair in align(left, right):
        yield _half(row.left, left_html, pair.left, pair, "l") + _half(row.right, right_html, pair.right, pair, "r")
    yield "</div>"


def _half(piece: Piece | None, lines: list[str], index: int | None, pair: LinePair, column: str) -> str:
    if piece is None or index is None:
        return f'<div class="{column} nothing"></div>'
    return code_line(MARK_CLASSES[pair.mark], column, piece.first_line + index, lines[index])


def code_line(mark: str, column: str, number: int, code: str) -> str:
    """One line of code. If it is too long, it is wrapped, and the rest is indented by two more columns."""
    text = re.sub("<[^>]*>", "", code)
    deep = len(text) - len(text.lstrip()) + 2
    return f'<div class="line {mark} {column}"><i>{number}</i><span style="--deep:{deep}">{code or " "}</span></div>'


def _place(piece: Piece, side: int) -> str:
    """Where a piece is, and its stage if that is not the stage on its side."""
    mark = "" if piece.stage == side else f" <b>from stage {piece.stage}</b>"
    return escape(piece.place) + mark


def highlight_piece(piece: Piece | None) -> list[str]:
    """The lines of a piece as HTML."""
    if piece is None:
        return []
    text = str(highlight("\n".join(piece.shown), LEXER, FORMATTER))
    return text.split("\n")[:len(piece.shown)]
