"""A terminal of its own for a node, and the screen that a person sees on it."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.processes import DEADLINE, ROOT, STAGES, eventually

COLUMNS, ROWS = 60, 200


class Screen:
    """What a terminal shows after some output. It knows the few control sequences that a prompt needs."""

    TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[=>]|(.)", re.DOTALL)

    def __init__(self) -> None:
        self.rows: list[list[str]] = [[]]
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        """Show `text`."""
        for match in self.TOKEN.finditer(text):
            if match[3]:
                self._character(match[3])
            elif match[2]:
                self._control(match[2], match[1])

    def _character(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row += 1
        elif character == "\b":
            self.column = max(0, self.column - 1)
        elif character >= " ":
            if self.column == COLUMNS:
                self.row, self.column = self.row + 1, 0
            # A wide character takes two cells; the second one is empty.
            cells = [character, ""] if unicodedata.east_asian_width(character) in "WF" else [character]
            self._line()[self.column:self.column + len(cells)] = cells
            self.column += len(cells)

    def _line(self) -> list[str]:
        while len(self.rows) <= self.row:
            self.rows.append([])
        line = self.rows[self.row]
        line += " " * (self.column - len(line))
        return line

    def _control(self, letter: str, parameters: str) -> None:
        count = int(parameters) if parameters.isdigit() else 1
        self._line()
        if letter == "A":
            self.row = max(0, self.row - count)
        elif letter == "C":
            self.column += count
        elif letter == "D":
            self.column = max(0, self.column - count)
        elif letter == "J":
            del self.rows[self.row + 1:], self.rows[self.row][self.column:]
        elif letter == "K":
            del self.rows[self.row][self.column:]
        elif letter not in "hlm":
            raise AssertionError(f"this terminal does not know the control {letter}")

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, down to the cursor."""
        self._line()
        return ["".join(row).rstrip() for row in self.rows[:self.row + 1]]


class Terminal:
    """A node whose standard input and output are a terminal, and what a person sees on it."""

    def __init__(self, *options: str, stage: int = 1, term: str = "xterm",
                 command: Sequence[str] = ()) -> None:
        self.keyboard, self.device = pty.openpty()
        fcntl.ioctl(self.device, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.mode_before = termios.tcgetattr(self.device)
        self.output = b""
        self.process = subprocess.Popen(
            [*command, sys.executable, "-m", STAGES[stage], *options], cwd=ROOT, env={**os.environ, "TERM": term},
            stdin=self.device, stdout=self.device, stderr=self.device, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def press(self, keys: str) -> None:
        """Press keys."""
        data = keys.encode()
        while data:
            data = data[os.write(self.keyboard, data):]

    def see(self, is_there: Callable[[list[str]], bool], what: str) -> list[str]:
        """Wait until `is_there` accepts the lines on the screen. AssertionError with the screen if it never does."""
        gives_up = threading.Event()
        timer = threading.Timer(DEADLINE, gives_up.set)
        timer.start()
        try:
            while not is_there(self.lines) and not gives_up.is_set():
                self._read(0.5)
            assert is_there(self.lines), f"{what} is not on the screen:\n" + "\n".join(self.lines)
        finally:
            timer.cancel()
        return self.lines

    def see_all(self, is_there: Callable[[list[str]], bool], what: str) -> None:
        """The same with all lines of the screen, even those below the cursor."""
        self.see(lambda _: is_there(["".join(row) for row in self.screen.rows]), what)

    def see_line(self, line: str) -> list[str]:
        """Wait until this is one line of the screen, and an empty prompt the last one."""
        return self.see(lambda lines: line in lines and lines[-1] == ">", f"{line!r} above a prompt")

    def see_last(self, line: str) -> list[str]:
        """Wait until this is the line of the cursor."""
        return self.see(lambda lines: lines[-1] == line, f"{line!r} at the cursor")

    def wait_until_it_waits(self) -> None:
        """Wait until the node sleeps. If a signal came between its check for signals and its sleep, it would wait for a
        key."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S", state=stat.read_text)

    def _read(self, seconds: float) -> None:
        if select.select([self.keyboard], [], [], seconds)[0]:
            self.output += os.read(self.keyboard, 65_536)

    def read_on(self) -> bool:
        """Read output without handling it yet. True if there was none."""
        before = len(self.output)
        self._read(0.05)
        return len(self.output) == before

    @property
    def screen(self) -> Screen:
        """The screen after all output so far."""
        screen = Screen()
        screen.feed(self.output.decode(errors="replace"))
        return screen

    @property
    def cursor(self) -> int:
        """The column of the cursor."""
        return self.screen.column

    @property
    def lines(self) -> list[str]:
        """The lines on the screen."""
        return self.screen.lines

    @property
    def address(self) -> str:
        """The address that the node listens on, once it is on the screen."""
        lines = self.see(lambda shown: any(line.startswith("listening on ") for line in shown[:-1]), "the address")
        return next(line for line in lines if line.startswith("listening on ")).removeprefix("listening on ")

    def wait_exit(self) -> int:
        """Wait for the exit status, and read the rest of the output meanwhile."""
        status = None
        timer = threading.Timer(DEADLINE, self.process.kill)
        timer.start()
        while status is None:
            self._read(0.05)
            status = self.process.poll()
        timer.cancel()
        while select.select([self.keyboard], [], [], 0)[0]:  # the last output
            self._read(0)
        return status

    def close(self) -> None:
        """End the node and the terminal."""
        self.process.kill()
        self.process.wait()
        for end in (self.keyboard, self.device):
            with contextlib.suppress(OSError):
                os.close(end)


Start = Callable[..., Terminal]
"""Start a node in a terminal: `terminal(*options, stage=1, term="xterm", command=())`."""
