"""A client whose standard input, output or error is closed: no file or socket of the node takes its number."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, STAGES

CLOSED = ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("options", ["--json", ""])
def test_it_ends_cleanly_at_once_and_its_data_is_kept(closed: str, options: str, tmp_path: Path) -> None:
    command = f"exec {sys.executable} -m {STAGES[2]} {options} --peer none --data {tmp_path}"
    for redirections in (f"</dev/null {closed}", "</dev/null"):
        done = subprocess.run(["bash", "-c", f"{command} {redirections}"], cwd=ROOT, timeout=60, capture_output=True)
        assert done.returncode == 0, done
        assert done.stderr == b"", done
    if options:
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert events[0] == {"event": "founded", "resumed": True}
    else:
        assert b"resumed its network" in done.stdout
