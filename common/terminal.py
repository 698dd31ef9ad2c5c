"""The prompt of a terminal: a line is typed below, while messages arrive above it.

Not the readline of the standard library: it keeps what is being typed to itself, and whoever looks at that
from another thread in order to put it back brings the process down sooner or later.
"""

import codecs
import os
import re
import termios
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress

PROMPT = "> "

KEY = re.compile("\x1b\\[[0-9;]*[A-Za-z~]|\x1bO[A-Z]|\x1b?.", re.DOTALL)
"""One key, as terminals send it (ECMA-48 control sequences, VT100's cursor keys): `\\x1b[D` is the one to the left."""

USUAL_COLUMNS = 80
"""Of a terminal that does not say how wide it is, as one that a program has opened and not set up."""

MAX_RECALLED = 1_000
"""Lines that can be had again."""


class Line:
    """What is being typed, and where the cursor stands in it."""

    def __init__(self, history: list[str]) -> None:
        self._history = history
        self._place = len(history)
        self.text = ""
        self.cursor = 0

    def press(self, key: str) -> None:
        """Press a key that edits; others that are no character do nothing."""
        if key in EDITING:
            EDITING[key](self)
        elif not key.startswith("\x1b") and (key >= " " or key == "\t"):
            self._replace(self.cursor, self.cursor, key)

    def _replace(self, start: int, end: int, text: str = "") -> None:
        self.text = self.text[:start] + text + self.text[end:]
        self.cursor = start + len(text)

    def move(self, to: int) -> None:
        """Put the cursor somewhere in the line."""
        self.cursor = max(0, min(to, len(self.text)))

    def delete(self, start: int, end: int) -> None:
        """Delete some characters."""
        self._replace(max(0, start), end)

    def delete_word(self) -> None:
        """Delete the word before the cursor."""
        before = self.text[:self.cursor].rstrip()
        self.delete(len(before) - len(before.split(" ")[-1]), self.cursor)

    def recall(self, steps: int) -> None:
        """Take an earlier or later line in the place of this one."""
        self._place = max(0, min(self._place + steps, len(self._history)))
        self.text = self._history[self._place] if self._place < len(self._history) else ""
        self.move(len(self.text))

    def shown(self, room: int) -> tuple[str, int]:
        """The part around the cursor that has room in so many columns, and the columns from the cursor to its end."""
        start, left = self.cursor, room
        while start > 0 and (width := columns(self.text[start - 1])) <= left:
            start, left = start - 1, left - width
        end = self.cursor
        while end < len(self.text) and (width := columns(self.text[end])) <= left:
            end, left = end + 1, left - width
        behind = sum(map(columns, self.text[self.cursor:end]))
        return "".join(map(visible, self.text[start:end])), behind


EDITING: dict[str, Callable[[Line], None]] = {
    **dict.fromkeys(["\x7f", "\x08"], lambda line: line.delete(line.cursor - 1, line.cursor)),
    **dict.fromkeys(["\x04", "\x1b[3~"], lambda line: line.delete(line.cursor, line.cursor + 1)),
    **dict.fromkeys(["\x01", "\x1b[H", "\x1bOH", "\x1b[1~"], lambda line: line.move(0)),
    **dict.fromkeys(["\x05", "\x1b[F", "\x1bOF", "\x1b[4~"], lambda line: line.move(len(line.text))),
    **dict.fromkeys(["\x02", "\x1b[D", "\x1bOD"], lambda line: line.move(line.cursor - 1)),
    **dict.fromkeys(["\x06", "\x1b[C", "\x1bOC"], lambda line: line.move(line.cursor + 1)),
    **dict.fromkeys(["\x10", "\x1b[A", "\x1bOA"], lambda line: line.recall(-1)),
    **dict.fromkeys(["\x0e", "\x1b[B", "\x1bOB"], lambda line: line.recall(1)),
    "\x15": lambda line: line.delete(0, line.cursor),
    "\x0b": lambda line: line.delete(line.cursor, len(line.text)),
    "\x17": Line.delete_word,
}
"""What keys do: those of terminals for the cursor, and the Ctrl keys that shells have for the same."""


def visible(character: str) -> str:
    """A character as it is shown while it is typed; what has no shape of its own is a question mark."""
    return character if character.isprintable() else "?"


def columns(character: str) -> int:
    """The columns that a character takes on a terminal (Unicode Annex 11)."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Prompt:
    """A terminal on standard input and output. One thread reads lines, another one prints above them."""

    def __init__(self) -> None:
        self._screen = threading.Lock()
        """Held by who changes the screen, or what is being typed."""
        self._history: list[str] = []
        self._line = Line(self._history)
        self._is_up = False
        self._mode = termios.tcgetattr(0)
        # What was killed here before may have left the terminal silent.
        self._mode[3] |= termios.ICANON | termios.ECHO
        termios.tcsetattr(0, termios.TCSADRAIN, self._mode)

    def lines(self) -> Iterator[str]:
        """The lines that are typed, until the end of input (Ctrl-D on an empty line). Bytes that are not UTF-8
        become lone surrogates."""
        self._take_keys()
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        with self._screen:
            self._is_up = True
            self._draw()
        while data := os.read(0, 4_096):
            for key in KEY.findall(decoder.decode(data)):
                if key == "\x04" and not self._line.text:
                    return
                if key in "\r\n":
                    yield self._finish()
                else:
                    with self._screen:
                        self._line.press(key)
            with self._screen:
                self._draw()

    def _take_keys(self) -> None:
        with suppress(termios.error):  # the terminal is gone, as who reads from it will hear
            mode = termios.tcgetattr(0)
            mode[3] &= ~(termios.ICANON | termios.ECHO)
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            termios.tcsetattr(0, termios.TCSADRAIN, mode)

    def _finish(self) -> str:
        with self._screen:
            text = self._line.text
            _write(f"\r\x1b[K{PROMPT}{''.join(map(visible, text))}\n".encode(errors="replace"))
            if text:
                self._history.append(text)
                del self._history[:-MAX_RECALLED]
            self._line = Line(self._history)
            return text

    def _draw(self) -> None:
        # One row only: a line that wraps could not be lifted any more when the terminal becomes narrower.
        width = os.get_terminal_size().columns or USUAL_COLUMNS
        shown, behind = self._line.shown(width - len(PROMPT) - 1)
        back = f"\x1b[{behind}D" if behind else ""
        _write(f"\r\x1b[K{PROMPT}{shown}{back}".encode(errors="replace"))

    def print_above(self, data: bytes) -> None:
        """Print whole lines, and put what is being typed back below them."""
        with self._screen:
            _write(b"\r\x1b[K" + data if self._is_up else data)
            if self._is_up:
                self._draw()

    def restore(self) -> None:
        """Give the terminal back as it was, the shell's prompt in the place of ours, or below what was being typed."""
        # Not for ever: who prints holds the screen, too, and waits if somebody has stopped the terminal by Ctrl-S.
        self._screen.acquire(timeout=1.0)
        with suppress(OSError, termios.error):  # nor if it is gone
            termios.tcsetattr(0, termios.TCSADRAIN, self._mode)
            if self._is_up:
                self._is_up = False
                _write(b"\n" if self._line.text else b"\r\x1b[K")


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data):]
