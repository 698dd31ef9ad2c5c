"""A test that hangs is ended, wherever it hangs, and named in one line. So the grading of a submission always ends."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT
from tests.sizes import and_long

PLUGIN = """
from tests import watchdog

watchdog.GRACE_SECONDS = 0.5
"""

HANGS = """
import ctypes
import re
import time

from hypothesis import given, strategies


def loop():
    while True:
        pass


def loop_that_catches_all():
    while True:
        try:
            loop()
        except BaseException:
            pass


def search():
    re.match("(a+)+$", 60 * "a" + "b")


def sleep():
    time.sleep(1_000)


def power():
    return 7 ** 10**9


def hold_the_interpreter():
    ctypes.PyDLL(None).sleep(1_000)


def test_before():
    pass


@given(strategies.integers())
def test_that_hangs(number):
    WAY()


def test_after():
    pass
"""


def run_pytest(folder: Path, way: str, *options: str) -> subprocess.Popen[str]:
    """Start pytest, with the settings of this project, for a test that hangs in that `way`."""
    (folder / "conftest.py").write_text(PLUGIN)
    (folder / f"test_{way}.py").write_text(HANGS.replace("WAY", way))
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "pyproject.toml",
               "-q", "--timeout=1", *options, str(folder / f"test_{way}.py")]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            start_new_session=True)


def outputs(runs: list[subprocess.Popen[str]]) -> list[str]:
    """Their output, once they have ended. If they do not end, they are killed."""
    try:
        return [run.communicate(timeout=60)[0] for run in runs]
    finally:
        for run in runs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.communicate()


@pytest.mark.parametrize("way", and_long(["loop", "hold_the_interpreter"],
                                         ["search", "loop_that_catches_all", "sleep", "power"]))
def test_a_property_test_that_hangs_ends_in_time_and_is_named(way: str, tmp_path: Path) -> None:
    """Without xdist, pytest ends with the test. With xdist only a worker ends, and all other tests get their result."""
    alone, distributed = run_pytest(tmp_path, way), run_pytest(tmp_path, way, "--numprocesses=1")
    said, said_distributed = outputs([alone, distributed])
    named = [line for line in said.splitlines() if "hangs" in line and "test_that_hangs" in line]
    assert len(named) == 1 and alone.returncode != 0, said
    assert "1 failed, 2 passed" in said_distributed and "::test_that_hangs" in said_distributed, said_distributed
