"""A comparison of two stages for the terminal: two columns that fill its width."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from lab.compare.pairing import Comparison, Row, Section, Status, align, stage_name
from lab.compare.stagecode import Piece, SourceFile

STYLES = {Status.NEW: "green", Status.CHANGED: "yellow", Status.UNCHANGED: "dim", Status.GONE: "red"}
MARK_STYLES = {"+": "green", "-": "red", "~": "yellow", " ": "dim"}

BETWEEN = " │ "
GUTTER = 7
"""Columns before a line of code, for its mark and its number in the file."""

INDENT = 4
"""How far the rest of a wrapped line is indented."""

LEGEND = "+ only in the later stage   - only in the earlier one   ~ not the same in both"


class Drawing:
    """Draws a comparison on a console."""

    def __init__(self, console: Console, comparison: Comparison, hides_unchanged: bool = False) -> None:
        """`hides_unchanged`: pieces that are left alone are only counted."""
        self._console = console
        self._comparison = comparison
        self._hides_unchanged = hides_unchanged
        self._half = max((console.width - len(BETWEEN)) // 2, GUTTER + 2 * INDENT)

    def draw(self) -> None:
        """Draw all of it."""
        comparison = self._comparison
        self._write_both(*([Text(f"Stage {stage_name(number)}", "bold")] for number in (comparison.left,
                                                                                       comparison.right)))
        self._write(Text(comparison.summary()))
        self._write(Text(LEGEND, "dim"))
        for section in comparison.sections:
            self._draw_section(section)

    def _draw_section(self, section: Section) -> None:
        self._write(Text(""))
        self._write(self._rule(f"══ {section.file} ", "═", "bold"))
        self._write_both(*(self._docstring(file, side) for file, side in (
            (section.left, self._comparison.left), (section.right, self._comparison.right))))
        shown = [row for row in section.rows if not (self._hides_unchanged and row.status == Status.UNCHANGED)]
        for row in shown:
            self._draw_row(row)
        if len(shown) < len(section.rows):
            self._write(Text(""))
            self._write(self._rule(f"── {len(section.rows) - len(shown)} {Status.UNCHANGED}, hidden ", "─",
                                   STYLES[Status.UNCHANGED]))

    def _docstring(self, file: SourceFile | None, side: int) -> list[Text]:
        if file is None:
            return [Text(f"(stage {side} has no such file)", "dim")]
        lines = [Text(line, "italic") for line in file.docstring.splitlines()]
        return [part for line in [Text(file.path, "bold"), *lines] for part in wrap(line, self._half)]

    def _draw_row(self, row: Row) -> None:
        remark = f" ({row.remark})" if row.remark else ""
        self._write(Text(""))
        self._write(self._rule(f"── {row.status}: {row.title}{remark} ", "─", STYLES[row.status]))
        self._write_both(self._heading(row.left, self._comparison.left), self._heading(row.right,
                                                                                      self._comparison.right))
        left, right = highlight(row.left), highlight(row.right)
        for pair in align([line.plain for line in left], [line.plain for line in right]):
            self._write_both(self._code(row.left, left, pair.left, pair.mark),
                             self._code(row.right, right, pair.right, pair.mark))

    def _heading(self, piece: Piece | None, side: int) -> list[Text]:
        if piece is None:
            return []
        mark = self._comparison.mark(piece, side)
        return wrap(Text(piece.place + (f", {mark}" if mark else ""), "bold cyan" if mark else "cyan"), self._half)

    def _code(self, piece: Piece | None, lines: Sequence[Text], index: int | None, mark: str) -> list[Text]:
        """One line of code with its mark and number, on as many lines as it needs."""
        if piece is None or index is None:
            return []
        gutter = Text(f"{mark} {piece.first_line + index:4} ", MARK_STYLES[mark])
        parts = wrap(lines[index], self._half - GUTTER)
        return [Text.assemble(" " * GUTTER if number else gutter, part) for number, part in enumerate(parts)]

    # --- lines ----------------------------------------------------------------------------------

    def _rule(self, text: str, line: str, style: str) -> Text:
        return Text(text.ljust(self._console.width, line), style)

    def _write(self, text: Text) -> None:
        for part in wrap(text, self._console.width):
            self._console.print(part, no_wrap=True, crop=False, highlight=False)

    def _write_both(self, left: Sequence[Text], right: Sequence[Text]) -> None:
        for number in range(max(len(left), len(right))):
            line = left[number].copy() if number < len(left) else Text("")
            line.truncate(self._half, overflow="crop", pad=True)
            line.append(BETWEEN, "dim")
            line.append_text(right[number] if number < len(right) else Text(""))
            line.rstrip()
            self._console.print(line, no_wrap=True, crop=False, highlight=False)


def highlight(piece: Piece | None) -> list[Text]:
    """The lines of a piece in colours."""
    if piece is None:
        return []
    text = Syntax("", "python", theme="ansi_dark", background_color="default").highlight("\n".join(piece.shown))
    text.rstrip()
    return list(text.split("\n", allow_blank=True))


def wrap(text: Text, width: int) -> list[Text]:
    """Wrap a line that is too long for `width`. All lines but the first are indented."""
    if text.cell_len <= width:
        return [text]
    start = min(len(text.plain) - len(text.plain.lstrip()), width // 2)
    return list(_fold(text, start, width))


def _fold(text: Text, start: int, width: int) -> Iterator[Text]:
    indent = 0
    while text.cell_len > width - indent:
        room = width - indent
        cut = text.plain.rfind(" ", start + 1, room + 1)
        cut = cut + 1 if cut > start else room
        head, text = text.divide([cut])
        head.rstrip()
        yield Text.assemble(" " * indent, head)
        indent, start = min(start + INDENT, width // 2) if indent == 0 else indent, 0
    yield Text.assemble(" " * indent, text)
