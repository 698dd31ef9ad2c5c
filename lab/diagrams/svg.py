"""A space-time diagram as SVG that needs nothing else: no script, no font, no other file."""

from html import escape

from lab.diagrams.diagram import Diagram, Event, Message

STEP, ROW = 190, 34
"""Units from one node's line to the next one's, and from one row to the next."""

LEFT, TOP, RIGHT = 70, 46, 260
"""The margins around the lines of the nodes: for the times, for the names, and for texts to the right of the last
line."""

SLOPE = 12
"""How far down an arrow goes, since time passes while a message is under way."""

LETTER = 7.3
"""The width of a letter in the font of the labels."""

STYLE = """
.diagram { color-scheme: light dark; --paper: #fff; --ink: #1c2128; --line: #c3c9d0; --pale: #5f6872; --marked: #b3261e;
  font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
@media (prefers-color-scheme: dark) { .diagram { --paper: #14181d; --ink: #e3e7eb; --line: #464e58; --pale: #9aa4af;
  --marked: #ff8a80; } }
.diagram .paper { fill: var(--paper); } .diagram text { fill: var(--ink); } .diagram .time { fill: var(--pale); }
.diagram .name { font-weight: bold; } .diagram .life { stroke: var(--line); stroke-width: 2; }
.diagram .arrow { stroke: var(--ink); stroke-width: 1.4; } .diagram .head, .diagram .point { fill: var(--ink); }
.diagram .marked .arrow { stroke: var(--marked); stroke-width: 3; } .diagram .marked text { font-weight: bold; }
.diagram .marked .head, .diagram .marked .point, .diagram .marked text { fill: var(--marked); }
.diagram .label { paint-order: stroke; stroke: var(--paper); stroke-width: 4; stroke-linejoin: round; }
"""


def draw_svg(diagram: Diagram, title: str = "Messages between nodes") -> str:
    """The diagram as one `<svg>` element, to be written into a file or put into a page."""
    names, rows = diagram.columns(), diagram.rows()
    places = {name: LEFT + number * STEP for number, name in enumerate(names)}
    width = LEFT + max(0, len(names) - 1) * STEP + RIGHT
    height = TOP + (len(rows) + 1) * ROW
    parts = [f'<svg class="diagram" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             f'width="{width}" height="{height}" role="img">', f"<title>{escape(title)}</title>",
             f"<style>{STYLE}</style>", f'<rect class="paper" width="{width}" height="{height}"/>']
    for name, x in places.items():
        parts.append(f'<line class="life" x1="{x}" y1="{TOP - 10}" x2="{x}" y2="{height - 8}"/>')
        parts.append(f'<text class="name" x="{x}" y="{TOP - 20}" text-anchor="middle">{_escaped(name)}</text>')
    for number, row in enumerate(rows):
        y = TOP + number * ROW + ROW // 2
        drawn = _message(row, places, y) if isinstance(row, Message) else _event(row, places, y)
        marked, sign = (" marked", "! ") if row.is_marked else ("", "")
        time = f'<text class="time" x="8" y="{y + 4}">{sign}{row.at:.2f}</text>'
        parts.append(f'<g class="row{marked}">{time}{drawn}</g>')
    return "\n".join([*parts, "</svg>", ""])


def _message(message: Message, places: dict[str, int], y: int) -> str:
    start, end = places[message.sender], places[message.receiver]
    label = message.label
    if start == end:
        return _point(start, y, f"to itself: {label}")
    direction = 1 if end > start else -1
    room = int((abs(end - start) - 24) / LETTER)
    shown = label if len(label) <= room else label[:max(1, room - 1)] + "…"
    below = y + SLOPE
    head = f"{end},{below} {end - 9 * direction},{below - 6} {end - 9 * direction},{below + 4}"
    return (f'<line class="arrow" x1="{start}" y1="{y}" x2="{end - 6 * direction}" y2="{below}"/>'
            f'<polygon class="head" points="{head}"/>'
            f'<text class="label" x="{(start + end) // 2}" y="{y - 4}" text-anchor="middle">{_escaped(shown)}'
            f"<title>{_escaped(label)}</title></text>")


def _event(event: Event, places: dict[str, int], y: int) -> str:
    return _point(places[event.node], y, event.text)


def _point(x: int, y: int, text: str) -> str:
    room = int((RIGHT - 24) / LETTER)
    shown = text if len(text) <= room else text[:room - 1] + "…"
    return (f'<circle class="point" cx="{x}" cy="{y}" r="4.5"/>'
            f'<text class="label" x="{x + 10}" y="{y + 4}">{_escaped(shown)}<title>{_escaped(text)}</title></text>')


def _escaped(text: str) -> str:
    """A text in which every character is allowed in XML."""
    return escape("".join(one if one.isprintable() else "?" for one in text))
