"""If Python or the system lacks something, the user gets one line and no traceback (common/needs.py)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.needs import describe_missing

ROOT = Path(__file__).resolve().parents[2]

RUN_WITHOUT = """
import os, runpy, sys
for module in os.environ["HIDDEN"].split():
    sys.modules[module] = None
sys.path[0] = os.getcwd()
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
"""Run a module as `python -m` does, while some other modules cannot be imported."""

PEOPLE_TRY = [
    ("fcntl termios", "stage1_chat", "Linux, macOS, or WSL"),
    ("fcntl termios", "stage5_pos", "Linux, macOS, or WSL"),
    ("fcntl termios", "lab.bench", "Linux, macOS, or WSL"),
    ("Crypto", "stage3_signed", "the package pycryptodome is missing"),
    ("Crypto", "lab.attacks.attack", "the package pycryptodome is missing"),
    ("rich", "lab.compare", "the package rich is missing"),
    ("_sqlite3", "stage2_ledger --data {folder}", "this Python was built without _sqlite3"),
]


@pytest.mark.parametrize("hidden, program, words", PEOPLE_TRY)
def test_one_line_says_what_is_missing(hidden: str, program: str, words: str, tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", RUN_WITHOUT, *program.format(folder=tmp_path).split()], cwd=ROOT, stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=60, env={**os.environ, "HIDDEN": hidden})
    assert ended.returncode == 1 and len(ended.stderr.splitlines()) == 1, ended.stderr
    assert words in ended.stderr and "Traceback" not in ended.stderr + ended.stdout


def test_a_node_without_data_starts_where_python_has_no_sqlite() -> None:
    """SQLite is loaded for `--data` only: it would cost each start some milliseconds."""
    ended = subprocess.run([sys.executable, "-c", RUN_WITHOUT, "stage2_ledger", "--json", "--peer", "none"], cwd=ROOT,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                           env={**os.environ, "HIDDEN": "sqlite3"})
    assert ended.returncode == 0 and not ended.stderr and '"event": "listening"' in ended.stdout, ended.stderr


def test_a_defect_of_this_program_keeps_its_traceback() -> None:
    assert describe_missing("common.nothing") is None and describe_missing("") is None
    ended = subprocess.run([sys.executable, "-c", "import common\nimport common.nothing"], cwd=ROOT,
                           capture_output=True, text=True, timeout=60)
    assert "Traceback" in ended.stderr and "common.nothing" in ended.stderr
