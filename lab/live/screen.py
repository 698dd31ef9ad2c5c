"""The screen of `make network`: a table of the nodes, the log, and the prompt, drawn by textual.

It knows nothing of nodes: it shows what the conductor (live.py) gives it, and passes on what is typed.
"""

import asyncio
import os
import queue
import unicodedata
from collections import deque
from typing import Protocol

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.events import Key, Resize
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input, RichLog, Static

from common.console import PROMPT
from lab.live.branches import Piece
from lab.live.playground import LOG_COLUMNS
from lab.live.commands import COMMANDS
from lab.live.table import Row, Snapshot
from lab.surroundings import ending_signals
from lab.live.words import WHO_COLUMNS, Line

REFRESH_SECONDS = 0.2

MAX_LINES = 1_000
"""The number of lines of the log that the user can scroll back to."""

SCROLLBAR = 1
"""Columns that the table leaves free for its scroll bar."""

GROUPS = ["#5fd75f", "#ffaf00", "#5fafff", "#d787ff", "#5fffd7", "#d7d75f"]
"""The colours of groups and branches, as bright as a projector needs them."""

KINDS = {
    "command": "bold white", "answer": "white", "news": "grey62", "chat": "italic #87d7ff", "block": "#87af87",
    "fork": "bold #ffff5f", "rollback": "bold black on #ffaf00", "fault": "bold #ff87ff", "alarm": "bold #ff5f5f",
    "error": "#ff5f5f",
}
"""How each kind of line of the log is shown."""

MARKS = {"up": "●", "evil": "!", "starting": "…", "down": "x"}

WIDTHS = {"node": 5, "address": 16, "conn": 6, "chats": 7, "height": 8, "ledger": 9, "tip": 9, "pool": 6,
          "balance": 11}
"""The width of each column. The rest of the terminal is for the faults and the last event."""

PORT = 8
"""The width of an address shortened to its port; all nodes are on this machine."""

TROUBLE, LAST_EVENT = 8, 17
"""The least width for faults and last event: `ROLLBACK of 123`, `block 1234 by 10`."""

RIGHT = {"conn", "chats", "height", "pool", "balance"}
"""The columns that hold numbers."""


class Show(Protocol):
    """What the screen needs from the conductor (live.py)."""

    lines: "queue.SimpleQueue[str | None]"
    snapshot: Snapshot | None

    def stop(self) -> None:
        """Ask the conductor to end."""

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all has ended, or for `seconds`. Has it?"""


class Prompt(Input):
    """The line that the user types, and the lines typed before."""

    BINDINGS = [
        Binding("up", "recall(-1)", show=False),
        Binding("down", "recall(1)", show=False),
        Binding("tab", "cursor_right", show=False),
    ]

    class Typed(Message):
        """A line was typed."""

        def __init__(self, line: str) -> None:
            super().__init__()
            self.line = line

    def __init__(self) -> None:
        words = [f"{name} " for name in COMMANDS] + ["all /ledger"]
        super().__init__(placeholder="3 /send 5 100   kill 4   partition 1-5 6-10   heal   tree   help   quit",
                         suggester=SuggestFromList(words), compact=True)
        self.typed: list[str] = []
        self._place = 0

    def on_key(self, event: Key) -> None:
        """Take the line at Enter. A key binding would be too late: it runs after keys that are typed later."""
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self._take_line()
        elif event.character is not None and is_text(event.character) and not event.is_printable:
            # textual leaves out what Python calls not printable: full-width spaces, joiners, some marks.
            event.stop()
            event.prevent_default()
            self.replace(event.character, *self.selection)

    def _take_line(self) -> None:
        line, self.value = self.value, ""
        if line and self.typed[-1:] != [line]:
            self.typed.append(line)
        self._place = len(self.typed)
        self.post_message(self.Typed(line))

    def action_recall(self, steps: int) -> None:
        """Replace the line with one that was typed earlier, or later."""
        self._place = max(0, min(self._place + steps, len(self.typed)))
        self.value = self.typed[self._place] if self._place < len(self.typed) else ""
        self.cursor_position = len(self.value)


def is_text(character: str) -> bool:
    """Is this a character of a text, not one that controls a terminal?"""
    return unicodedata.category(character) not in ("Cc", "Cs", "Cn", "Zl", "Zp")


class Log(RichLog, can_focus=False):
    """The log. Its lines are wrapped again when the width of the window changes."""

    def __init__(self) -> None:
        super().__init__(max_lines=MAX_LINES, wrap=True, min_width=20)
        self._all: deque[Line] = deque(maxlen=MAX_LINES)

    def add(self, line: Line) -> None:
        """Write a line. A user who has scrolled back is not disturbed."""
        self._all.append(line)
        self._write_line(line, self.is_vertical_scroll_end)

    def on_resize(self, _: Resize) -> None:
        """Write all lines again, once the new width is in effect."""
        self.call_after_refresh(self._write_all)

    def _write_all(self) -> None:
        self.clear()
        for line in self._all:
            self._write_line(line, scroll_end=True)

    def _write_line(self, line: Line, scroll_end: bool) -> None:
        # Without a width, textual wraps for the old width of the window.
        self.write(draw_line(line), width=self.scrollable_content_region.width or None, scroll_end=scroll_end)


class Screen(App[None]):
    """The whole screen."""

    CSS = """
    #title { height: 1; background: #303030; color: white; }
    #table { height: auto; max-height: 65%; scrollbar-size-vertical: 1; }
    #rows { height: auto; }
    Log { height: 1fr; min-height: 4; border-top: solid #505050; scrollbar-size-vertical: 1; }
    #line { height: 1; background: #202020; }
    #mark { width: 2; color: #5fd75f; text-style: bold; }
    Prompt { width: 1fr; background: #202020; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [
        Binding("ctrl+c", "leave", priority=True, show=False),
        Binding("ctrl+q", "leave", priority=True, show=False),
        Binding("ctrl+d", "leave", priority=True, show=False),
        Binding("pageup", "scroll(-1)", priority=True, show=False),
        Binding("pagedown", "scroll(1)", priority=True, show=False),
    ]

    def __init__(self, show: Show, news: "queue.SimpleQueue[Line]") -> None:
        """Show what `show` gives, and the lines of the log that come through `news`."""
        super().__init__()
        self._show, self._news = show, news
        self._drawn: tuple[Snapshot, int] | None = None
        self.is_leaving = False
        self.log_columns = LOG_COLUMNS
        """The width of the log, which the conductor's thread reads."""

    def compose(self) -> ComposeResult:
        """Title, table, log, prompt, from the top."""
        yield Static(id="title")
        with VerticalScroll(id="table", can_focus=False):
            yield Static(id="rows")
        yield Log()
        with Horizontal(id="line"):
            yield Static(PROMPT, id="mark")
            yield Prompt()

    def on_mount(self) -> None:
        """Take the focus, and begin to draw."""
        for number in ending_signals():
            asyncio.get_running_loop().add_signal_handler(number, self.action_leave)
        self.query_one(Prompt).focus()
        self.set_interval(REFRESH_SECONDS, self.update_all)

    def on_prompt_typed(self, typed: Prompt.Typed) -> None:
        """A line was typed."""
        self._show.lines.put(typed.line)

    def on_resize(self, _: Resize) -> None:
        """The width of the window has changed."""
        self.update_all()

    def action_leave(self) -> None:
        """End the nodes. The screen stays until they are gone."""
        self.is_leaving = True
        self._show.stop()

    def action_scroll(self, pages: int) -> None:
        """Scroll the log by pages."""
        log = self.query_one(Log)
        log.scroll_relative(y=pages * max(1, log.size.height - 1), animate=False)

    def update_all(self) -> None:
        """Show what has changed. Leave once all has ended."""
        if not self.query("#title"):
            return  # the screen is being taken down already
        if not self.is_headless and not os.isatty(2):
            self.action_leave()  # the terminal is gone: nobody could end this, and textual would read forever
        self.log_columns = self.query_one(Log).scrollable_content_region.width or self.log_columns
        while not self._news.empty():
            self.query_one(Log).add(self._news.get())
        snapshot, width = self._show.snapshot, self.size.width
        if snapshot is not None and (snapshot, width) != self._drawn:
            self._drawn = snapshot, width
            self.query_one("#title", Static).update(draw_title(snapshot, width))
            self.query_one("#rows", Static).update(draw_table(snapshot, width - SCROLLBAR))
        if self.is_leaving:
            self.query_one("#title", Static).update(Text(" ending all nodes …", style="bold"))
        if self._show.wait(0):
            self.exit()


# --- drawing ------------------------------------------------------------------------------------

def draw_line(line: Line) -> Text:
    """A line of the log."""
    text = Text(f"{line.who:<{WHO_COLUMNS}} " if line.who else "", style="grey62")
    for piece in line.pieces or (Piece(line.text),):
        text.append(piece.text, KINDS[line.kind] if piece.colour is None else GROUPS[piece.colour])
    return text


def draw_title(snapshot: Snapshot, width: int) -> Text:
    """The network, and which nodes agree."""
    text = Text(f" {snapshot.title}   ", style="bold", no_wrap=True)
    text.append(snapshot.summary, "bold #ffff5f" if snapshot.is_split else "#5fd75f")
    text.truncate(width, overflow="ellipsis")
    return text


def draw_table(snapshot: Snapshot, width: int) -> Text:
    """The table, as wide as the terminal. On a narrow one, the address and others make room for the last event."""
    widths = choose_widths(snapshot.columns, width)
    left = width - sum(widths.values())
    longest = max((len(_trouble(row)) for row in snapshot.rows), default=0)
    trouble = min(max(longest, len("trouble")) + 1, max(len("trouble") + 1, left - LAST_EVENT))
    headers = [_cell(name, name, widths) for name in widths]
    lines = [Text(f"{''.join(headers)}{'trouble':<{trouble}}last event", style="grey62 underline")]
    for above, row in zip([None, *snapshot.rows], snapshot.rows, strict=False):
        if above is not None and above.component != row.component:
            lines.append(Text("─" * width, style="#ff87ff"))
        lines.append(_draw_row(row, dict(zip(snapshot.columns, row.cells, strict=True)), widths, trouble))
    for line in lines:
        line.truncate(width, overflow="ellipsis", pad=True)
    return Text("\n").join(lines)


def choose_widths(columns: list[str], width: int) -> dict[str, int]:
    """The columns that fit, with their widths. If room is short, an address is shortened to its port; then addresses,
    pool and connections are left out, in this order."""
    widths = {name: WIDTHS[name] for name in columns}
    for name, narrow in (("address", PORT), ("address", 0), ("pool", 0), ("conn", 0)):
        if width - sum(widths.values()) < TROUBLE + LAST_EVENT and name in widths:
            widths[name] = narrow
    return {name: wide for name, wide in widths.items() if wide}


def _trouble(row: Row) -> str:
    return row.state if row.state in ("down", "starting") else row.faults


def _draw_row(row: Row, shown: dict[str, str], widths: dict[str, int], trouble: int) -> Text:
    group = {"down": "#af5f5f", "starting": "grey50"}.get(row.state, GROUPS[row.colour])
    if widths.get("address") == PORT:
        shown["address"] = shown["address"][shown["address"].find(":"):]
    cells = [_cell(shown[name], name, widths) for name in widths]
    cells[0] = f"{MARKS[row.state]} {shown['node']:<{widths['node'] - 2}}"
    text = Text("".join(cells), style=group)
    text.append(_cut(_trouble(row), trouble), "bold #ff5f5f" if row.state in ("evil", "down") else "#ff87ff")
    text.append(row.last, "bold black on #ffaf00" if row.last.startswith("ROLLBACK") else group)
    return text


def _cell(text: str, column: str, widths: dict[str, int]) -> str:
    width = widths[column]
    return f"{text[:width - 2]:>{width - 2}}  " if column in RIGHT else _cut(text, width)


def _cut(text: str, width: int) -> str:
    return f"{text if len(text) < width else text[:width - 2] + '…':<{width}}"

