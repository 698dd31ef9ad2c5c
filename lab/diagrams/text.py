"""A space-time diagram as lines of text."""

import unicodedata

from lab.diagrams.diagram import Diagram, Event, Message

WIDEST_STEP, NARROWEST_STEP = 26, 4
"""Characters from one node's line to the next one's."""

LEAST_MARGIN = 22
"""Characters on the right, for labels that do not fit on their arrows."""

MARK = "!"
"""The sign at the left of a marked row. It can be searched for, and needs no colour."""


def draw_text(diagram: Diagram, width: int = 100) -> list[str]:
    """The lines of a diagram, each at most `width` characters long. An empty diagram has no lines."""
    rows, names = diagram.rows(), diagram.columns()
    if not names:
        return []
    times = [f"{row.at:.2f}" for row in rows]
    left = max([len(time) for time in times], default=0) + 3
    paper = _Paper(names, left, width)
    lines = [paper.head()]
    for row, time in zip(rows, times, strict=True):
        mark = MARK if row.is_marked else " "
        drawn = paper.arrow(row) if isinstance(row, Message) else paper.event(row)
        lines.append(f"{mark} {time:>{left - 3}} {drawn}"[:width].rstrip())
    return [*paper.legend(), *lines]


class _Paper:
    """The places of the columns, and the lines that are drawn through them."""

    def __init__(self, names: list[str], left: int, width: int) -> None:
        self.names = names
        self.left = left
        self.room = max(1, width - left)
        gaps = max(1, len(names) - 1)
        margin = max(LEAST_MARGIN, self.room // 4)
        self.step = max(NARROWEST_STEP, min(WIDEST_STEP, (self.room - margin) // gaps))
        self.places = {name: number * self.step for number, name in enumerate(names)}
        self.is_numbered = any(len(clean(name)) >= self.step for name in names[:-1])

    def legend(self) -> list[str]:
        """What the numbers above the columns mean, if names are too long to fit there."""
        if not self.is_numbered:
            return []
        entries, lines = [f"{number} = {clean(name)}" for number, name in enumerate(self.names, 1)], [""]
        for entry in entries:
            if lines[-1] and len(lines[-1]) + 2 + len(entry) > self.left + self.room:
                lines.append("")
            lines[-1] += ("  " if lines[-1] else "") + clip(entry, self.left + self.room)
        return lines

    def head(self) -> str:
        """The names above the columns."""
        heads = [str(number) if self.is_numbered else clean(name) for number, name in enumerate(self.names, 1)]
        line = "".join(head.ljust(self.step) for head in heads)
        return f"{' ' * self.left}{clip(line.rstrip(), self.room)}"

    def arrow(self, message: Message) -> str:
        """The line of a message: its arrow from column to column, with its label on it or at the right."""
        start, end = self.places[message.sender], self.places[message.receiver]
        label, line = clean(message.label), self._columns()
        if start == end:
            return self._with_note(line, start, f"> {label}")
        first, last = min(start, end), max(start, end)
        shaft = "=" if message.is_marked else "-"
        line[first + 1:last] = shaft * (last - first - 1)
        line[end - 1 if end > start else end + 1] = ">" if end > start else "<"
        if len(label) + 6 <= last - first:
            begin = first + 3
            line[begin - 1:begin + len(label) + 1] = f" {label} "
            return "".join(line)
        return self._with_note(line, max(self.places.values()), label)

    def event(self, event: Event) -> str:
        """The line of an event: a point on its node's line, with its text after it."""
        place, line = self.places[event.node], self._columns()
        line[place] = "*"
        return self._with_note(line, place, clean(event.text))

    def _columns(self) -> list[str]:
        line = [" "] * (max(self.places.values()) + 1)
        for place in self.places.values():
            line[place] = "|"
        return line

    def _with_note(self, line: list[str], place: int, note: str) -> str:
        """The line with a text to the right of `place`: before the next column if it fits, otherwise after the last
        one."""
        following = [other for other in self.places.values() if other > place]
        if following and len(note) + 3 > following[0] - place:
            return "".join(line) + "  " + clip(note, self.room - len(line) - 2)
        text = clip(note, self.room - place - 2)
        return "".join(line[:place + 1]) + " " + text + "".join(line[place + 2 + len(text):])


def clean(text: str) -> str:
    """A text in which every character is one column wide on a terminal."""
    return "".join(one if one.isprintable() and not unicodedata.combining(one)
                   and unicodedata.east_asian_width(one) not in "WF" else "?" for one in text)


def clip(text: str, width: int) -> str:
    """As much of a text as there is room for."""
    return text if len(text) <= width else text[:max(0, width - 1)] + "…"[:max(0, width)]
