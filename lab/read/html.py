"""The text of a stage as one page that needs nothing else: no script, no font, no other file."""

from collections.abc import Iterator
from html import escape

from pygments.formatters import HtmlFormatter

from lab.compare.html import CODE_STYLE, code_line, highlight_piece
from lab.compare.pairing import stage_name
from lab.read.reading import Chapter, Entry, Reading, name_stage
from lab.read.terminal import summarize

DARK_STYLE = "github-dark"
"""The style of pygments for a browser in dark mode. A printed page is always light."""

STYLE = """
:root { color-scheme: light; --back: #fff; --text: #1c2128; --line: #d5d9de; --pale: #606a75; --link: #0b57b0;
  --s0: #606a75; --s1: #0e7490; --s2: #1a7f37; --s3: #9a6700; --s4: #a0339b; --s5: #1f4fc4; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.3rem; margin: 2.5rem 0 .3rem; padding-top: .6rem;
  border-top: 3px solid var(--text); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; padding-bottom: .2rem; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
p { margin: .3rem 0; } a { color: var(--link); text-decoration: none; } a:hover { text-decoration: underline; }
nav ol { columns: 17rem; padding-left: 1.8rem; }
.doc { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .9rem; padding-left: .8rem;
  border-left: 3px solid var(--line); }
article { margin: .9rem 0; padding-left: .7rem; border-left: 4px solid var(--mark); }
article.below { margin: -.9rem 0 .9rem 1.5rem; padding-top: .3rem; }
header { font-size: .85rem; overflow-wrap: anywhere; } header b { color: var(--mark); }
header small { color: var(--pale); } header code { color: var(--pale); }
.s0 { --mark: var(--s0); } .s1 { --mark: var(--s1); } .s2 { --mark: var(--s2); } .s3 { --mark: var(--s3); }
.s4 { --mark: var(--s4); } .s5 { --mark: var(--s5); }
code, .code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .8rem; }
.line { display: grid; grid-template-columns: 2.8rem minmax(0, 1fr); line-height: 1.4; }
.line > i { color: var(--pale); font-style: normal; text-align: right; padding-right: .7rem; user-select: none; }
.line > span { white-space: pre-wrap; overflow-wrap: anywhere; padding-left: calc(var(--deep) * 1ch);
  text-indent: calc(var(--deep) * -1ch); }
@media screen and (prefers-color-scheme: dark) { :root { color-scheme: dark; --back: #0d1117; --text: #e0e6ec;
  --line: #30363d; --pale: #9099a3; --link: #6cb2ff; --s0: #9099a3; --s1: #4cc4dd; --s2: #56c46d; --s3: #dba63a;
  --s4: #df86d9; --s5: #82a8ff; } }
@media screen and (max-width: 40rem) { body { padding: .6rem; } article { padding-left: .4rem; }
  article.below { margin-left: .5rem; } code, .code { font-size: .72rem; }
  .line { grid-template-columns: 2rem minmax(0, 1fr); } .line > i { padding-right: .4rem; } }
@media print { html { font-size: 11px; } body { max-width: none; padding: 0; } a { color: inherit; }
  h2 { break-before: page; } h2, h3, header { break-after: avoid; } .line { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } @page { size: A4; margin: 14mm; } }
"""


def reading_page(reading: Reading) -> str:
    """The page of one stage."""
    title = f"The node of stage {stage_name(reading.stage)}"
    return "\n".join(["<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
                      '<meta name="viewport" content="width=device-width, initial-scale=1">',
                      f"<title>{escape(title)}</title>", f"<style>{STYLE}{_code_colours()}</style>", "</head>",
                      "<body>", f"<h1>{escape(title)}</h1>", *(f"<p>{escape(line)}</p>" for line in summarize(reading)),
                      *_contents(reading), *(line for number, chapter in enumerate(reading.chapters, 1)
                                             for line in _chapter(number, chapter)), "</body>", "</html>", ""])


def _code_colours() -> str:
    light, dark = (str(HtmlFormatter(style=style).get_style_defs(".code"))  # type: ignore[no-untyped-call]
                   for style in (CODE_STYLE, DARK_STYLE))
    # Each style brings a background of its own. The code must have that of the page.
    return (f"{light}\n@media screen and (prefers-color-scheme: dark) {{ {dark} }}\n"
            ".code, .code .err { background: none !important; border: 0 !important; }")


def _contents(reading: Reading) -> Iterator[str]:
    yield "<nav><ol>"
    for number, chapter in enumerate(reading.chapters, 1):
        yield f'<li><a href="#chapter{number}">{escape(chapter.title)}</a></li>'
    yield "</ol></nav>"


def _chapter(number: int, chapter: Chapter) -> Iterator[str]:
    yield f'<section>\n<h2 id="chapter{number}">{number} {escape(chapter.title)}</h2>\n<p>{escape(chapter.about)}</p>'
    for passage in chapter.passages:
        yield f"<h3>{escape(passage.title)}</h3>"
        if passage.docstring:
            yield f'<div class="doc">{escape(passage.docstring)}</div>'
        for entry in passage.entries:
            yield from _entry(entry)
    yield "</section>"


def _entry(entry: Entry) -> Iterator[str]:
    piece = entry.piece
    remark = f" <small>{escape(entry.remark)}</small>" if entry.remark else ""
    yield f'<article class="s{piece.stage}{" below" if entry.is_below else ""}">'
    yield (f"<header><b>{name_stage(piece.stage)}: {escape(piece.title)}</b>{remark}"
           f" <code>{escape(piece.place)}</code></header>")
    yield '<div class="code">'
    for number, line in enumerate(highlight_piece(piece), piece.first_line):
        yield code_line("", "", number, line)
    yield "</div></article>"
