"""The text of a stage for the terminal, as wide as there is room."""

from rich.console import Console
from rich.text import Text

from lab.compare.pairing import stage_name
from lab.compare.terminal import highlight, wrap
from lab.read.reading import LIBRARY, Chapter, Entry, Passage, Reading, name_stage

STYLES = {LIBRARY: "dim", 1: "cyan", 2: "green", 3: "yellow", 4: "magenta", 5: "bold blue"}
"""The colour of each stage."""

BELOW = "│ "
"""The mark in front of a piece that belongs to the one above it."""

GUTTER = 6
"""Columns before a line of code: its number in the file."""


def summarize(reading: Reading) -> list[str]:
    """The lines at the top: how long the text is, and what is not in it."""
    lines = reading.lines_by_stage()
    parts = ", ".join(f"{name_stage(stage)}: {count}" for stage, count in lines.items())
    left_out = [f"Left out: {reading.lines_left_out} lines of common/ that it runs; ALL=1 shows them."]
    return [f"{sum(lines.values())} lines of code in {len(reading.entries())} pieces. By the stage that they come from:"
            f" {parts}.", "Imports, and what this stage replaces, are not shown.",
            *(left_out if reading.lines_left_out else [])]


class Drawing:
    """Draws the text of a stage on a console."""

    def __init__(self, console: Console, reading: Reading) -> None:
        self._console = console
        self._reading = reading

    def draw(self) -> None:
        """Draw all of it."""
        self._write(Text(f"The node of stage {stage_name(self._reading.stage)}", "bold"))
        for line in summarize(self._reading):
            self._write(Text(line))
        self._write(Text(""))
        for number, chapter in enumerate(self._reading.chapters, 1):
            self._write(Text(f"{number:2}  {chapter.title}"))
        for number, chapter in enumerate(self._reading.chapters, 1):
            self._draw_chapter(number, chapter)

    def _draw_chapter(self, number: int, chapter: Chapter) -> None:
        self._write(Text(""))
        self._write(Text(f"══ {number}  {chapter.title} ".ljust(self._console.width, "═"), "bold"))
        self._write(Text(chapter.about))
        for passage in chapter.passages:
            self._draw_passage(passage)

    def _draw_passage(self, passage: Passage) -> None:
        self._write(Text(""))
        self._write(Text(f"── {passage.title} ".ljust(self._console.width, "─"), "bold"))
        for line in passage.docstring.splitlines():
            self._write(Text(line, "italic"))
        for entry in passage.entries:
            self._draw_entry(entry)

    def _draw_entry(self, entry: Entry) -> None:
        piece = entry.piece
        before = Text(BELOW if entry.is_below else "", STYLES[piece.stage])
        self._write(Text(""), before if entry.is_below else Text(""))
        remark = f" ({entry.remark})" if entry.remark else ""
        self._write(Text.assemble((f"{name_stage(piece.stage)}: {piece.title}", STYLES[piece.stage]), remark,
                                  (f"  {piece.place}", "dim")), before)
        for number, line in enumerate(highlight(piece), piece.first_line):
            self._write(line, before, f"{number:{GUTTER - 1}} ")

    def _write(self, text: Text, before: Text | None = None, gutter: str = "") -> None:
        """Write one line of the text, on as many lines as it needs."""
        before = before or Text("")
        width = max(self._console.width - before.cell_len - len(gutter), GUTTER)
        for number, part in enumerate(wrap(text, width)):
            line = Text.assemble(before, (" " * len(gutter) if number else gutter, "dim"), part)
            line.rstrip()
            self._console.print(line, no_wrap=True, crop=False, highlight=False)
