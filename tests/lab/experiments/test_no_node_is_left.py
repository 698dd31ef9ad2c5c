"""An experiment on real nodes that is interrupted leaves none of its processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import ROOT, eventually

pytestmark = [pytest.mark.long,
              pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system has no /proc")]


def find_started(mark: str) -> list[str]:
    """The command lines of all processes that have the mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or not ours to look at
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("name, module", [("convergence", "stage2_ledger"), ("throughput", "lab.nodes.signing")])
def test_no_process_is_left(name: str, module: str, end: signal.Signals, tmp_path: Path) -> None:
    mark = f"EXPERIMENT_TEST={os.getpid()}-{name}-{end}"
    environment = {**os.environ, **dict([mark.split("=")])}
    command = [sys.executable, "-m", "lab.experiments", name, "--quick", "--to", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True) as process:
        deadline = time.monotonic() + 120  # the very first run makes keys
        while not any(module in line for line in find_started(mark)):
            assert process.poll() is None and time.monotonic() < deadline, "it did not start what was to be interrupted"
            time.sleep(0.01)
        os.kill(process.pid, end)
    eventually(lambda: not find_started(mark), state=lambda: find_started(mark))
