"""The terminal of the prompt, which may be gone, or belong to another job.

prompt_toolkit expects neither. Here, a terminal that is gone is the end of input. While another job has the terminal,
the keyboard waits and the screen shows nothing.
"""

import os
import re
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from prompt_toolkit.data_structures import Size
from prompt_toolkit.input.posix_utils import PosixStdinReader
from prompt_toolkit.input.vt100 import Vt100Input, raw_mode
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.output.vt100 import Vt100_Output

from common.foreground import is_in_background

USUAL_ROWS, USUAL_COLUMNS = 24, 80
"""The size that is assumed if a terminal does not tell its own, as when a program has opened it and set no size."""


def usual_mode() -> list[Any]:
    """The terminal's mode, with the usual settings on: an earlier program that was killed may have left them off."""
    mode = termios.tcgetattr(0)
    mode[0] |= termios.ICRNL
    mode[3] |= termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN
    return mode


class _Reader(PosixStdinReader):
    """Treats a terminal that is gone as the end of input. The library would read from it forever."""

    def read(self, count: int = 4_096) -> str:
        """What was typed."""
        data = b""
        try:
            data = os.read(self.stdin_fd, count)
        except OSError:
            if is_in_background():
                return ""  # not gone: another job took it a moment ago
        self.closed = not data
        return self._stdin_decoder.decode(data)


class _RawMode(raw_mode):
    """The mode in which the terminal gives us each key at once; not set while another job has the terminal."""

    def __enter__(self) -> None:
        if not is_in_background():
            super().__enter__()

    def __exit__(self, *error: object) -> None:
        if not is_in_background():
            super().__exit__(*error)


class Keyboard(Vt100Input):
    """The keys. Not every terminal marks a paste. So a line end that arrives together with text after it is taken for
    a paste."""

    def __init__(self, on_background: Callable[[], None]) -> None:
        """`on_background` is called when there are keys, but for another job."""
        super().__init__(sys.stdin)
        self.stdin_reader = _Reader(0)
        self._on_background = on_background

    def raw_mode(self) -> raw_mode:
        """The mode that the prompt needs."""
        return _RawMode(0)

    def read_keys(self) -> list[KeyPress]:
        """The keys that were pressed."""
        if is_in_background():
            self._on_background()
            return []
        keys = super().read_keys()
        text = "".join(key.data for key in keys)
        is_text = all(len(key.key) == 1 or key.key in (Keys.ControlM, Keys.ControlJ, Keys.ControlI) for key in keys)
        return [KeyPress(Keys.BracketedPaste, text)] if is_text and re.search("[\r\n][^\r\n]", text) else keys


def terminal_size() -> Size:
    """The size of the terminal on standard output, or the usual one if it does not tell."""
    columns = rows = 0
    with suppress(OSError):
        columns, rows = os.get_terminal_size(1)
    return Size(rows=rows or USUAL_ROWS, columns=columns or USUAL_COLUMNS)


class Screen(Vt100_Output):
    """A terminal that may be gone. Writing to it then does nothing: the thread that reads from it finds out."""

    @property
    def responds_to_cpr(self) -> bool:
        """False: do not ask it where its cursor is. If the answer came after our end, the shell would take it for
        input."""
        return False

    def flush(self) -> None:
        """Write what was collected, unless another job has the terminal."""
        if is_in_background():
            self._buffer.clear()
        with suppress(OSError):
            super().flush()
