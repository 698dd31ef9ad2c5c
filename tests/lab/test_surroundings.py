"""Surroundings of tools: several kinds of terminals, a COLUMNS that is out of date, output that is full or closed."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from io import StringIO
from typing import TextIO

import pytest

from lab.surroundings import columns, has_colours, takes_escapes
from tests.processes import ROOT

TOOL = "from lab.surroundings import run_tool; run_tool(lambda: print('größer ─\\n' * 10_000, end='') or 0)"
"""A program that prints more than a pipe holds."""


@pytest.fixture
def terminal() -> Iterator[Callable[[int], TextIO]]:
    """A terminal of that width."""
    keyboard, device = pty.openpty()
    stream = os.fdopen(device, "w")

    def resized(width: int) -> TextIO:
        fcntl.ioctl(device, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        return stream

    yield resized
    stream.close()
    os.close(keyboard)


@pytest.mark.parametrize(("width", "said", "expected"), [(60, "200", 60), (0, "", 80), (0, "132", 132), (0, "-3", 80)])
def test_a_terminal_is_asked_first(terminal: Callable[[int], TextIO], monkeypatch: pytest.MonkeyPatch, width: int,
                                   said: str, expected: int) -> None:
    monkeypatch.setenv("COLUMNS", said)
    assert columns(terminal(width), 98) == expected


@pytest.mark.parametrize(("said", "expected"), [("", 98), ("120", 120), ("0", 98), ("wide", 98), ("9" * 5000, 98)])
def test_without_a_terminal_columns_counts(monkeypatch: pytest.MonkeyPatch, said: str, expected: int) -> None:
    monkeypatch.setenv("COLUMNS", said)
    assert columns(StringIO(), 98) == expected


@pytest.mark.parametrize(("term", "no_color", "expected"), [
    ("xterm", "", (True, True)), ("xterm", "1", (True, False)), ("dumb", "", (False, False)), ("", "", (False, False))])
def test_dumb_terminals_and_no_color_are_respected(terminal: Callable[[int], TextIO], monkeypatch: pytest.MonkeyPatch,
                                               term: str, no_color: str, expected: tuple[bool, bool]) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("NO_COLOR", no_color)
    stream = terminal(80)
    assert (takes_escapes(stream), has_colours(stream)) == expected
    assert not takes_escapes(StringIO())


@pytest.mark.parametrize(("redirection", "status", "error"), [
    ("> /dev/full", 1, "cannot write the output: No space left on device; make room on this disk, or name a path on another one\n"), (">&-", 0, ""), ("2>&-", 0, ""),
    ("| true", 0, "")])
def test_output_that_is_full_or_closed(redirection: str, status: int, error: str) -> None:
    done = subprocess.run(["bash", "-o", "pipefail", "-c", f'{sys.executable} -c "{TOOL}" {redirection}'], cwd=ROOT,
                          capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (status, error)


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "gr??er ?"), ("latin-1", "größer ?"),
                                                 ("utf-8:strict", "größer ─")])
def test_output_in_other_encodings(encoding: str, shown: str) -> None:
    done = subprocess.run([sys.executable, "-c", TOOL], cwd=ROOT, capture_output=True, timeout=60,
                          env={**os.environ, "PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding.partition(":")[0]) == f"{shown}\n" * 10_000
