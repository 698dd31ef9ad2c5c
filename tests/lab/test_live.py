"""`make network` as a process, with and without a terminal. However it ends, it leaves nothing behind."""

import contextlib
import errno
import os
import pty
import re
import secrets
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

import lab.live.live
from lab.live.launcher import Settings
from lab.live.live import Conductor, has_screen, main, print_line, read_lines
from tests.network.conftest import copy_keys
from tests.processes import DEADLINE, ROOT, eventually

NO_SCREEN = "\x1b[?1049l"
"""The escape sequence that gives the terminal its own screen back (xterm)."""


class Live:
    """`python -m lab.live` as a process, and whatever it starts."""

    def __init__(self, *options: str, terminal: int | None = None, hangup: signal.Handlers = signal.SIG_DFL,
                 **environment: str) -> None:
        self._mark = f"LIVE_TEST={secrets.token_hex(16)}"
        name, value = self._mark.split("=")
        streams = subprocess.PIPE if terminal is None else terminal
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lab.live", *options], cwd=ROOT, start_new_session=True, stdin=streams,
            stdout=streams, stderr=streams, env={**os.environ, "TERM": "xterm", name: value, **environment},
            preexec_fn=lambda: signal.signal(signal.SIGHUP, hangup))
        self.output = ""

    def nodes(self) -> list[int]:
        """Its running nodes."""
        return [pid for pid, command in self._processes() if "-m stage" in command]

    def _processes(self) -> Iterator[tuple[int, str]]:
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # ended meanwhile, or not ours to look at
                if self._mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")

    def wait_for_nodes(self, count: int) -> None:
        """Wait until `count` nodes run."""
        eventually(lambda: len(self.nodes()) >= count, state=self.process.poll)

    def expect_end(self, status: int = 0) -> None:
        """Check that it ends with that status, and leaves nothing behind."""
        assert self.process.wait(DEADLINE) == status
        eventually(lambda: not list(self._processes()), state=lambda: list(self._processes()))


@pytest.fixture
def live() -> Iterator[Any]:
    """Start it: `live(*options)` returns a `Live`. What is left of it at the end is killed."""
    started: list[Live] = []

    def start(*options: str, **how: Any) -> Live:
        started.append(Live(*options, **how))
        return started[-1]

    yield start
    for one in started:
        for pid, _ in one._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with one.process:
            pass  # this closes its pipes, and waits for it


def read_until(process: subprocess.Popen[bytes], text: str) -> None:
    """Read lines of standard output up to one that contains `text`."""
    assert process.stdout is not None
    while (line := process.stdout.readline().decode()) and text not in line:
        pass
    assert text in line


# --- without a terminal -------------------------------------------------------------------------

def test_a_script_is_carried_out_line_by_line_and_the_network_ends_with_it(live: Any) -> None:
    script = b"1 hello\nfoo\n2 /send 3 7\nwait equal\nall /ledger\npartition 1 2-3\nkill 2"
    network = live("--stage", "2", "--nodes", "3", "--seed", "5")
    output, errors = network.process.communicate(script, timeout=DEADLINE)
    network.expect_end(1)  # since `foo` was refused
    lines = output.decode().splitlines()
    assert lines[0] == "stage 2, 3 nodes, seed 5" and errors == b""
    for expected in ("all are up", "> 1 hello", "1-3     hello", "> foo", "1-3     all ledgers are equal",
                     "1-3     2: -7  3: 7", "PARTITION: 1  |  2-3", "2       killed"):
        assert expected in lines, lines
    assert lines[lines.index("> foo") + 1].startswith("no command 'foo'; expected ")
    assert "\x1b" not in output.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_nodes(live: Any, number: signal.Signals) -> None:
    network = live("--stage", "1", "--nodes", "3")
    read_until(network.process, "all are up")
    network.process.send_signal(number)
    network.expect_end()
    assert network.process.communicate() == (b"", b"")


def test_a_hangup_that_was_ignored_stays_ignored(live: Any) -> None:
    network = live("--stage", "1", "--nodes", "2", hangup=signal.SIG_IGN)
    read_until(network.process, "all are up")
    network.process.send_signal(signal.SIGHUP)
    output, _ = network.process.communicate(b"1 still here\n", timeout=DEADLINE)
    network.expect_end()
    assert "1-2     still here" in output.decode().splitlines()


def test_spaces_of_other_scripts_reach_the_node(live: Any) -> None:
    network = live("--stage", "1", "--nodes", "2")
    texts = ["\u3000東\u3000", "می\u200cخواهم"]
    output, _ = network.process.communicate("".join(f"1 {text}\n" for text in texts).encode(), timeout=DEADLINE)
    network.expect_end()
    assert {f"1-2     {text}" for text in texts} <= set(output.decode().split("\n"))


def test_closed_output_ends_all_nodes_cleanly(live: Any) -> None:
    network = live("--stage", "1", "--nodes", "2")
    read_until(network.process, "stage 1")
    network.process.stdout.close()
    network.expect_end()
    assert network.process.stderr.read() == b""


def test_ctrl_c_ends_all_nodes_while_they_start_even_if_it_comes_twice(live: Any) -> None:
    network = live("--stage", "2", "--nodes", "5")
    network.wait_for_nodes(2)
    network.process.send_signal(signal.SIGINT)
    network.process.send_signal(signal.SIGINT)
    network.expect_end()
    assert b"Traceback" not in network.process.communicate()[1]


@pytest.mark.timeout(20)
def test_a_signal_may_come_while_another_one_is_handled(tmp_path: Path) -> None:
    conductor = Conductor(Settings(1, 2, 1, ()), tmp_path, print_line, lambda: 98)
    caught: list[int] = []

    def handle(number: int, _: object) -> None:
        caught.append(number)
        conductor.stop()

    before = signal.signal(signal.SIGPROF, handle)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        while len(caught) < 50:
            conductor.stop()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def test_ctrl_c_ends_it_while_a_command_waits(live: Any) -> None:
    network = live("--stage", "1", "--nodes", "2")
    network.process.stdin.write(b"wait 600\n")
    network.process.stdin.flush()
    read_until(network.process, "> wait 600")
    network.process.send_signal(signal.SIGINT)
    network.expect_end()


def test_if_it_is_killed_no_node_is_left(live: Any) -> None:
    network = live("--stage", "2", "--nodes", "3")
    read_until(network.process, "all are up")
    network.process.kill()
    network.expect_end(-signal.SIGKILL)


def test_a_failed_start_gives_one_line(live: Any, tmp_path: Path) -> None:
    keys = copy_keys(tmp_path / "keys")
    (keys / "key-3.pem").write_text("no key")
    network = live("--stage", "3", "--nodes", "3", "--keys", str(keys))
    errors = network.process.communicate(timeout=DEADLINE)[1]
    network.expect_end(1)
    assert errors.decode().startswith("python -m lab.live: ") and errors.count(b"\n") == 1, errors


@pytest.mark.parametrize("wrong", [["--nodes", "1"], ["--nodes", "31"], ["--stage", "6"], ["--slot", "0"], ["x"]])
def test_wrong_options_give_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


# --- on a terminal ------------------------------------------------------------------------------

class Terminal:
    """A terminal of 100 x 30, and what is drawn on it."""

    def __init__(self) -> None:
        self.here, self.there = pty.openpty()
        ioctl(self.there, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.before = termios.tcgetattr(self.there)
        self.drawn = ""

    def read(self) -> str:
        """What was drawn since the last call."""
        news = ""
        while select.select([self.here], [], [], 0.05)[0]:
            news += os.read(self.here, 65_536).decode(errors="replace")
        self.drawn += news
        return news

    def wait_for(self, text: str) -> None:
        """Wait until `text` is drawn, without control sequences."""
        def is_drawn() -> bool:
            self.read()
            return text in re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", self.drawn)
        eventually(is_drawn, state=lambda: self.drawn[-3000:])

    def close(self) -> None:
        """Close the terminal."""
        os.close(self.here)
        os.close(self.there)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal."""
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.mark.parametrize("how", ["quit", "SIGTERM"])
def test_the_terminal_is_given_back(live: Any, terminal: Terminal, how: str) -> None:
    network = live("--stage", "2", "--nodes", "2", terminal=terminal.there)
    terminal.wait_for("all are up")
    if how == "SIGTERM":
        network.process.send_signal(signal.SIGTERM)
    else:
        os.write(terminal.here, b"quit\r")
    eventually(lambda: NO_SCREEN in terminal.read() or NO_SCREEN in terminal.drawn, state=network.process.poll)
    network.expect_end()
    terminal.read()
    assert termios.tcgetattr(terminal.there) == terminal.before
    assert "Traceback" not in terminal.drawn


def test_a_terminal_that_is_gone_ends_all_nodes_although_a_hangup_is_ignored(live: Any, terminal: Terminal) -> None:
    network = live("--stage", "1", "--nodes", "2", terminal=terminal.there, hangup=signal.SIG_IGN)
    terminal.wait_for("all are up")
    os.close(terminal.here)
    terminal.here = os.open(os.devnull, os.O_RDWR)
    network.expect_end()


@pytest.mark.parametrize(("number", "lines"), [(errno.EIO, [None]), (errno.EBADF, [])],
                         ids=["gone", "what nohup gives"])
def test_input_that_is_gone_ends_all_nodes_and_input_that_was_never_readable_does_not(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, lines: list[str | None]) -> None:
    def fail(_: int) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lab.live.live, "read_in_foreground", fail)
    conductor = Conductor(Settings(1, 2, 1, ()), tmp_path, print_line, lambda: 98)
    read_lines(conductor)
    assert [conductor.lines.get() for _ in range(conductor.lines.qsize())] == lines


def test_ctrl_c_is_heard_while_the_nodes_start(live: Any, terminal: Terminal) -> None:
    network = live("--stage", "2", "--nodes", "12", terminal=terminal.there)
    terminal.wait_for("starting")
    os.write(terminal.here, b"\x03\x03")
    network.expect_end()
    terminal.read()
    assert termios.tcgetattr(terminal.there) == terminal.before


def test_no_colours_if_the_user_wants_none(live: Any, terminal: Terminal) -> None:
    network = live("--stage", "1", "--nodes", "2", terminal=terminal.there, NO_COLOR="1")
    terminal.wait_for("all are up")
    os.write(terminal.here, b"1 hello\r")
    terminal.wait_for("1-2     hello")
    os.write(terminal.here, b"\x04")
    network.expect_end()
    terminal.read()
    assert "\x1b" not in terminal.drawn


def test_the_size_of_the_window_comes_from_the_terminal_and_not_from_the_environment(live: Any,
                                                                                    terminal: Terminal) -> None:
    network = live("--stage", "1", "--nodes", "2", terminal=terminal.there, COLUMNS="40", LINES="10")
    terminal.wait_for("all are up")
    assert "─" * 100 in terminal.drawn
    os.write(terminal.here, b"\x04")
    network.expect_end()


@pytest.mark.parametrize(("term", "no_color", "is_terminal", "expected"), [
    ("xterm", "", True, True), ("dumb", "", True, False), ("xterm", "1", True, False), ("xterm", "", False, False)])
def test_a_screen_needs_a_terminal_that_can_and_may_show_it(monkeypatch: pytest.MonkeyPatch, term: str, no_color: str,
                                                            is_terminal: bool, expected: bool) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("NO_COLOR", no_color)
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(getattr(sys, name), "isatty", lambda: is_terminal, raising=False)
    assert has_screen() == expected
