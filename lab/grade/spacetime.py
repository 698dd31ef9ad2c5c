"""A conversation as a space-time diagram, in SVG: each participant has a vertical line, and messages go across.

The distance between two rows says nothing about time, which stands on the left: what matters is the order.
"""

from collections.abc import Sequence
from html import escape

from lab.grade.actors import Note

ROW, TOP, LEFT, LANE, RIGHT = 30, 34, 62, 168, 40
MOST_ROWS = 40
"""Of the end of a conversation; a longer one is in its file."""
LONGEST = 26
"""Characters of what stands at a message."""

STYLE = """
.spacetime { font: 12px system-ui, "DejaVu Sans", sans-serif; } .spacetime text { fill: var(--ink); }
.spacetime .time { fill: var(--pale); font-size: 10px; } .spacetime .lane { stroke: var(--line); stroke-width: 2; }
.spacetime .name { font-weight: bold; } .spacetime .arrow { stroke: var(--link); stroke-width: 1.5; }
.spacetime .head { fill: var(--link); } .spacetime .dot { fill: var(--ink); } .spacetime .end { fill: var(--failed); }
"""
"""What a page puts into its style sheet. The colours are the page's."""


def draw(notes: Sequence[Note]) -> str:
    """The diagram of the last notes. What the grader types and reads stands at the lane of the node."""
    shown = notes[-MOST_ROWS:]
    lanes = list(dict.fromkeys(name for note in shown for name in (note.source, note.target) if name != "grader"))
    x = {name: LEFT + LANE * number + 20 for number, name in enumerate(lanes)}
    width, height = LEFT + LANE * max(len(lanes), 1) + RIGHT, TOP + ROW * (len(shown) + 1)
    lines = [f'<svg class="spacetime" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
             'aria-label="who said what to whom, from top to bottom">',
             '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="3" orient="auto">'
             '<path class="head" d="M0,0 L7,3 L0,6 z"/></marker></defs>']
    for name in lanes:
        lines.append(f'<text class="name" x="{x[name]}" y="16" text-anchor="middle">{escape(name)}</text>'
                     f'<line class="lane" x1="{x[name]}" y1="{TOP - 10}" x2="{x[name]}" y2="{height - 8}"/>')
    for row, note in enumerate(shown):
        lines.append(_row(note, TOP + ROW * row + 14, x))
    return "\n".join([*lines, "</svg>"])


def _row(note: Note, y: int, x: dict[str, int]) -> str:
    time = f'<text class="time" x="2" y="{y + 4}">{note.at:.3f} s</text>'
    title = f"<title>{escape(note.text[:1_000])}</title>"
    label = escape(_label(note))
    if "grader" in (note.source, note.target):
        here = x[note.target if note.source == "grader" else note.source]
        kind = "end" if note.kind in ("ended", "signal") else "dot"
        return (f'<g>{title}{time}<circle class="{kind}" cx="{here}" cy="{y}" r="4"/>'
                f'<text x="{here + 9}" y="{y + 4}">{label}</text></g>')
    start, end = x[note.source], x[note.target]
    middle, away = (start + end) / 2, 5 if end > start else -5
    return (f'<g>{title}{time}<line class="arrow" x1="{start + away}" y1="{y - 3}" x2="{end - away}" y2="{y + 5}" '
            f'marker-end="url(#head)"/><text x="{middle}" y="{y - 4}" text-anchor="middle">{label}</text></g>')


def _label(note: Note) -> str:
    text = " ".join(note.text.split())
    if note.kind == "message" or note.kind == "output":
        for key in ('"event": "', '"event":"', '"type": "', '"type":"'):
            if key in text:
                text = text.partition(key)[2].partition('"')[0] + _detail(note.text)
                break
    prefix = {"typed": "> ", "started": "start ", "ended": "ended, "}.get(note.kind, "")
    whole = prefix + ("" if note.kind == "started" else text)
    return whole if len(whole) <= LONGEST else whole[:LONGEST - 1] + "…"


def _detail(text: str) -> str:
    for name in ("text", "code", "state", "amount", "number", "height"):
        found = text.partition(f'"{name}":')[2].strip()
        if found:
            return " " + found.split(",")[0].strip('"{} ')
    return ""
