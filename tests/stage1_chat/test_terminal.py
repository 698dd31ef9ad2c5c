"""Stage 1 in a terminal, which here is a pseudo terminal: questions, prompt, control characters, Ctrl-C."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Call, Launch
from tests.processes import DEADLINE, ROOT, chat_message, eventually

COLUMNS, ROWS = 60, 200


class Screen:
    """What a terminal shows after the bytes that it was sent: the few controls that a prompt needs."""

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
            self._line()[self.column:self.column + 1] = [character]
            self.column += 1

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
        """The lines shown, down to that of the cursor."""
        self._line()
        return ["".join(row).rstrip() for row in self.rows[:self.row + 1]]


class Terminal:
    """A node whose standard input and output are a terminal, and what the person in front of it sees."""

    def __init__(self, *options: str) -> None:
        self.keyboard, self.device = pty.openpty()
        fcntl.ioctl(self.device, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.mode_before = termios.tcgetattr(self.device)
        self.output = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stage1_chat", *options], cwd=ROOT, env={**os.environ, "TERM": "xterm"},
            stdin=self.device, stdout=self.device, stderr=self.device, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self.keyboard, keys.encode())

    def see(self, is_there: Callable[[list[str]], bool], what: str) -> list[str]:
        """Wait until the lines on the screen are so; AssertionError with the screen if that does not happen."""
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

    def see_line(self, line: str) -> list[str]:
        """Wait until one line of the screen is this, and an empty prompt is the last."""
        return self.see(lambda lines: line in lines and lines[-1] == ">", f"{line!r} above a prompt")

    def see_last(self, line: str) -> list[str]:
        """Wait until the line of the cursor is this."""
        return self.see(lambda lines: lines[-1] == line, f"{line!r} at the cursor")

    def wait_until_it_waits(self) -> None:
        """Wait until the node sleeps. A signal between its look for signals and its sleep would wait for a key."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S", state=stat.read_text)

    def _read(self, seconds: float) -> None:
        if select.select([self.keyboard], [], [], seconds)[0]:
            self.output += os.read(self.keyboard, 65_536)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen."""
        screen = Screen()
        screen.feed(self.output.decode(errors="replace"))
        return screen.lines

    @property
    def address(self) -> str:
        """The address that the node listens on, once it is on the screen."""
        lines = self.see(lambda shown: any(line.startswith("listening on ") for line in shown[:-1]), "the address")
        return next(line for line in lines if line.startswith("listening on ")).removeprefix("listening on ")

    def wait_exit(self) -> int:
        """The exit status, while what is still written is read."""
        status = None
        timer = threading.Timer(DEADLINE, self.process.kill)
        timer.start()
        while status is None:
            self._read(0.05)
            status = self.process.poll()
        timer.cancel()
        while select.select([self.keyboard], [], [], 0)[0]:  # what it wrote last
            self._read(0)
        return status

    def close(self) -> None:
        """End the node and the terminal."""
        self.process.kill()
        self.process.wait()
        for end in (self.keyboard, self.device):
            with contextlib.suppress(OSError):
                os.close(end)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Start a node in a terminal: `terminal(*options)`."""
    open_now: list[Terminal] = []

    def start(*options: str) -> Terminal:
        open_now.append(Terminal(*options))
        return open_now[-1]

    yield start
    for one in open_now:
        one.close()
        print("\n".join(["--- the screen at the end:", *one.lines]))


Start = Callable[..., Terminal]


def test_enter_at_the_first_question_founds_a_network(terminal: Start) -> None:
    one = terminal()
    one.see(lambda lines: "IP address" in lines[-1], "the question")
    one.press("\n")
    one.see_line("founded a network")
    one.press("hello\n")
    assert "> hello" in one.see_line("hello")


def test_host_and_port_of_a_peer_are_asked_for(terminal: Start, launch: Launch) -> None:
    peer = launch(1, "--peer", "none")
    host, _, port = peer.address.partition(":")
    one = terminal()
    one.see(lambda lines: "IP address" in lines[-1], "the first question")
    one.press(host + "\n")
    one.see(lambda lines: "port" in lines[-1], "the second question")
    one.press(port + "\n")
    assert not one.see_line(f"joined the network of {peer.address}")[2].startswith(">")


@pytest.mark.parametrize("typed", ["hal", "a line longer than the screen is wide, " * 3 + "end"],
                         ids=["short", "three rows"])
def test_the_line_being_typed_survives_what_arrives(terminal: Start, launch: Launch, typed: str) -> None:
    one = terminal("--peer", "none")
    other = launch(1, "--peer", one.address)
    one.see_line(f"peer {other.address} is up")
    one.press(typed)
    shown = "> " + typed
    rows = [shown[start:start + COLUMNS].rstrip() for start in range(0, len(shown), COLUMNS)]
    one.see(lambda lines: lines[-len(rows):] == rows, "what was typed")
    for number in range(5):
        other.type(f"arrives {number}")
    lines = one.see(lambda shown: "arrives 4" in shown and shown[-len(rows):] == rows, "the prompt below the messages")
    assert [line for line in lines if line.startswith("arrives")] == [f"arrives {number}" for number in range(5)]
    assert sum(line.startswith("> ") for line in lines) == 1, lines
    one.press("f\n")
    other.wait_for("chat", text=typed + "f")


def test_a_wide_message_does_not_break_the_prompt(terminal: Start, launch: Launch) -> None:
    one = terminal("--peer", "none")
    other = launch(1, "--peer", one.address)
    one.see_line(f"peer {other.address} is up")
    one.press("half")
    one.see_last("> half")
    other.type("x" * COLUMNS)
    other.type("y" * (COLUMNS + 1))
    one.see(lambda lines: lines[-4:] == ["x" * COLUMNS, "y" * COLUMNS, "y", "> half"], "both messages whole")


def test_no_peer_drives_the_terminal(terminal: Start, launch: Launch, call: Call) -> None:
    one = terminal("--peer", "none")
    other = launch(1, "--peer", one.address)
    peer = call(other)
    peer.hello()
    one.see_last(">")
    peer.send(chat_message("\x1b[2Jred\x07\r\x9b31m"))
    one.see_line(r"\x1b[2Jred\x07\x0d\x9b31m")
    assert b"\x1b[2J" not in one.output and b"\x07" not in one.output and b"\xc2\x9b" not in one.output


def test_the_end_of_input_at_a_question_founds_and_ends_in_order(terminal: Start) -> None:
    one = terminal()
    one.see(lambda lines: "IP address" in lines[-1], "the first question")
    one.press("\x04")
    one.see_line("founded a network")
    one.press("\x04")
    assert one.wait_exit() == 0


@pytest.mark.parametrize("end", [lambda one: one.press("/quit\n"), lambda one: one.press("\x04"),
                                 lambda one: one.press("\x03"), lambda one: one.process.send_signal(signal.SIGTERM),
                                 lambda one: one.process.send_signal(signal.SIGINT)],
                         ids=["/quit", "Ctrl-D", "Ctrl-C", "SIGTERM", "SIGINT"])
def test_the_end_is_in_order_and_the_terminal_as_it_was(terminal: Start, end: Callable[[Terminal], None]) -> None:
    one = terminal("--peer", "none")
    one.see_line("founded a network")
    end(one)
    assert one.wait_exit() == 0
    assert termios.tcgetattr(one.device) == one.mode_before
    assert "Traceback" not in "\n".join(one.lines)
    assert one.lines[-1] == "", "the shell's prompt begins on a line of its own"


@pytest.mark.parametrize("questions", [["IP address"], ["IP address", "port"]], ids=["first", "second"])
@pytest.mark.parametrize("end", [lambda one: one.press("\x03"), lambda one: one.process.send_signal(signal.SIGTERM)],
                         ids=["Ctrl-C", "SIGTERM"])
def test_it_ends_in_order_at_a_question_too(
        terminal: Start, questions: list[str], end: Callable[[Terminal], None]) -> None:
    one = terminal()
    for number, question in enumerate(questions):
        one.press("127.0.0.1\n" * min(number, 1))
        one.see(lambda lines, question=question: question in lines[-1], question)  # type: ignore[misc]
        one.wait_until_it_waits()
    end(one)
    assert one.wait_exit() == 0
    assert termios.tcgetattr(one.device) == one.mode_before
    assert "Traceback" not in "\n".join(one.lines)
