"""Values given to make are text: nothing in them is executed, and they arrive as they were typed.

A copy of the Makefile runs in a folder where the interpreter of .venv only prints its arguments.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lab.handout.handout import make_makefile
from tests.processes import ROOT

MAKER = """#!/bin/sh
if [ "$1 $2" != "-m venv" ]; then exec {python} "$@"; fi
echo made >> made-by
read go < go
mkdir -p .venv/bin
printf '#!/bin/sh\\n[ "$2" = pip ] && echo installed >> made-by\\nprintf "%%s\\\\n" "$@"\\n' > .venv/bin/python
chmod +x .venv/bin/python
"""
"""An interpreter that makes a virtual environment once somebody has written to `go`. It logs its work in `made-by`."""

PRINTER = '#!/bin/sh\nprintf "%s\\n" "$@"\n'

QUOTED = [("stage1", "PEER", "--peer"), ("stage5", "HOST", "--host"), ("stage2", "PORT", "--port"),
          ("stage4", "WAIT", "--wait"), ("stage3", "ANNOUNCE", "--announce"), ("soak", "MINUTES", "--minutes"), ("soak", "STAGE", "--stage"),
          ("compare", "A", "-A"), ("compare", "B", "-B"), ("compare", "HTML", "--html"),
          ("read", "STAGE", "--stage"), ("read", "HTML", "--html"),
          ("attacks", "HTML", "--html"), ("attacks", "SEED", "--seed"),
          ("experiment", "NAME", "--"), ("experiment", "SEED", "--seed"), ("experiments", "SEED", "--seed"), ("experiment", "ENGINE", "--engine"),
          *(("grade", option.removeprefix("--").upper(), option) for option in
            ("--stage", "--node", "--in", "--to", "--seed", "--only")), ("grade-flaky", "TIMES", "--times"),
          ("grade", "TIMEOUT_FACTOR", "--timeout-factor"),
          *(("grade-all", option.removeprefix("--").upper(), option) for option in
            ("--submissions", "--stage", "--to", "--points", "--seed", "--only")),
          ("mutants", "STAGE", "--stage"), ("mutants", "ONLY", "--only"),
          ("handout", "STAGE", "--stage"), ("handout", "TO", "--to"), ("network", "STAGE", "--stage"),
          ("network", "N", "--nodes")]
"""Target, name of a value, and the option by which the program gets it."""

CUT = [*((target, "ARGS") for target in ("stage3", "test", "test1", "test-long", "bench", "soak", "attacks", "network", "experiment")),
       ("experiment", "QUICK"), ("bench", "JSON"), ("grade", "CLI_ONLY"), ("grade", "SLOW"), ("grade", "ONLY_THIS_STAGE"),
       ("grade", "ARGS"), ("grade-all", "CLI_ONLY"), ("grade-all", "ARGS"), ("mutants", "WHOLE"), ("mutants", "ARGS"),
       ("compare", "WHOLE"), ("compare", "HIDE"), ("read", "ALL"), ("stage1", "SOMETHING_ELSE")]
"""Target and name of a value: the shell splits it, or it is only set or not, or nobody reads it."""


def make(folder: Path, target: str, *given: str, **environment: str) -> list[str]:
    """Run make in `folder`. Return the arguments of the interpreter."""
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith("MAKE")}, **environment}
    run = subprocess.run(["make", target, *given], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    return run.stdout.splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the Makefile, in which everything is made."""
    return furnish(tmp_path, (ROOT / "Makefile").read_text())


def furnish(folder: Path, makefile: str) -> Path:
    """Put a Makefile into `folder`, an interpreter that prints, and stamps that say that all is installed."""
    (folder / "Makefile").write_text(makefile)
    (folder / "pyproject.toml").touch()
    (folder / "requirements.txt").touch()
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(PRINTER)
    python.chmod(0o755)
    (folder / ".venv" / "made").write_text("python3\n")
    for group in ("", "-run", "-lab", "-experiments", "-cluster", "-test", "-lint"):
        (folder / ".venv" / f"installed{group}").touch()
    return folder


@pytest.mark.parametrize("target, name, option", QUOTED)
def test_a_value_arrives_as_it_was_typed(target: str, name: str, option: str, folder: Path) -> None:
    value = f"it's \"a\" $(shell touch {folder}/mark), $${{x}} `touch {folder}/mark` $(info said)"
    words = make(folder, target, f"{name}={value}")
    assert words[words.index(option) + 1] == value
    assert not (folder / "mark").exists()


@pytest.mark.parametrize("name, target", [(name, target) for target, name, *_ in [*QUOTED, *CUT]])
def test_nothing_in_a_value_is_executed(name: str, target: str, folder: Path) -> None:
    value = f"$(shell touch {folder}/mark)"
    if name == "ARGS":
        value = f"'{value}'"
    assert make(folder, target, f"{name}={value}"), "the program was not called"
    assert make(folder, target, **{name: value})
    assert not (folder / "mark").exists()


def test_args_are_several_words_split_by_the_shell(folder: Path) -> None:
    assert make(folder, "stage3", 'ARGS=--wallet "my wallet" --json')[-3:] == ["--wallet", "my wallet", "--json"]


@pytest.mark.parametrize("name, option", [("PEER", "--peer"), ("HOST", "--host"), ("PORT", "--port"), ("WAIT", "--wait"),
                                          ("ANNOUNCE", "--announce"), ("ARGS", None)])
def test_the_makefile_of_a_handout_executes_nothing_in_a_value(
    name: str, option: str | None, tmp_path: Path) -> None:
    folder = furnish(tmp_path, make_makefile(ROOT, 3))
    value = f"it's $(shell touch {folder}/mark)" if option else f"'$(shell touch {folder}/mark)'"
    words = make(folder, "stage3", f"{name}={value}")
    assert words[-1] == value.strip("'") and (option is None or words[-2] == option)
    make(folder, "test", f"{name}={value}")
    assert not (folder / "mark").exists()


@pytest.mark.parametrize("makefile", ["ours", "a handout's"])
def test_if_two_makes_start_first_one_waits_and_nothing_is_made_twice(makefile: str, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text() if makefile == "ours" else make_makefile(ROOT, 3))
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = []\n[project.optional-dependencies]\nterminal = []\n')
    (tmp_path / "requirements.txt").touch()
    maker = tmp_path / "maker"
    maker.write_text(MAKER.format(python=sys.executable))
    maker.chmod(0o755)
    os.mkfifo(tmp_path / "go")
    with begin_make(tmp_path, "stage1") as first, begin_make(tmp_path, "stage2") as second:
        said = {one.stderr.readline() for one in (first, second) if one.stderr}
        assert said == {"making .venv with ./maker\n", "another make is at work on .venv: waiting for it\n"}
        (tmp_path / "go").write_text("go\n")
        printed = [one.communicate(timeout=60)[0].splitlines() for one in (first, second)]
    assert [lines[-2:] for lines in printed] == [["-m", "stage1_chat"], ["-m", "stage2_ledger"]]
    assert (first.returncode, second.returncode) == (0, 0)
    assert (tmp_path / "made-by").read_text().split() == ["made", "installed"]


@contextmanager
def begin_make(folder: Path, target: str) -> Iterator[subprocess.Popen[str]]:
    """Run make in `folder` meanwhile. At the end it is killed, with all that it has started."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    with subprocess.Popen(["make", target, "PYTHON=./maker"], cwd=folder, env=environment, text=True,
                          start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
