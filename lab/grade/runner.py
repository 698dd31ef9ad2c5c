"""Grades one submission: pytest is run on the criteria, and what it reports becomes a `Result`."""

import contextlib
import datetime
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lab.blackbox.node_process import STAGES
from lab.grade.criteria import ALL, Criterion
from lab.grade.result import Outcome, Result, complete
from lab.grade.settings import ROOT, Settings
from lab.grade.sweep import sweep

WORKERS = 4
"""Criteria at a time, on two cores: most wait more than they compute."""
END_SECONDS = 30.0

Progress = Callable[[int, int, Outcome], None]
"""Called with the number of criteria that are done, the number of all, and the last outcome."""


def grade(command: Sequence[str], stage: int, folder: Path, *, seed: int = 1, name: str = "submission",
          only: str = "", only_this_stage: bool = False, cli_only: bool = False, slow: bool = False,
          factor: float = 1.0, directory: Path = ROOT, through: Sequence[str] = (),
          environment: dict[str, str] | None = None, workers: int = WORKERS, remarks: Sequence[str] = (),
          progress: Progress | None = None) -> Result:
    """Grade the node that `command` starts, or our own if it is empty, and leave the evidence in `folder`.

    `name` is what the submission is called. `only` is the key of a single criterion, or several with commas between
    them. `directory` is where the submission runs, `through` a command that starts it in confinement, and `environment`
    its whole environment. `remarks` are shown first. The files of lab/grade/formats.py are written by `write_all`.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(stage, folder, list(command), directory, list(through), environment, seed, factor,
                        secrets.token_hex(8), only, only_this_stage, cli_only, slow)
    path = folder / "settings.json"
    settings.save(path)
    (folder / "criteria.json").unlink(missing_ok=True)
    began, started = now(), time.monotonic()
    outcomes = []
    for outcome in _run(settings, path, 0 if only else workers):
        outcomes.append(outcome)
        if progress:
            progress(len(outcomes), len(read_criteria(folder)), outcome)
    result = Result(Settings.load(path), complete(read_criteria(folder), outcomes, stage),
                    began, round(time.monotonic() - started, 1), name, list(remarks))
    if not result.outcomes:
        result.remarks.append(f"No criterion of stage {stage} is called {only}; criteria.json of a run with SLOW=1, and"
                              " without ONLY, has all names." if only else
                              f"No criterion was checked. What pytest says is in {folder / 'pytest.txt'}.")
    result.save(folder / "grade.json")
    return result


def now() -> str:
    """The time in UTC, in the format of RFC 3339."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def read_criteria(folder: Path) -> list[Criterion]:
    """The criteria of a run; none until a worker has written the list."""
    path = folder / "criteria.json"
    return [Criterion(**members) for members in json.loads(path.read_text())] if path.exists() else []


def list_criteria(stage: int, folder: Path) -> list[Criterion]:
    """All criteria of a stage and of those before it, without running any. Files are written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    settings, path = Settings(stage, folder, only=ALL), folder / "settings.json"
    settings.save(path)
    subprocess.run([sys.executable, "-m", "pytest", *options_for(settings, path), "--collect-only"], cwd=ROOT,
                   env=surroundings(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return read_criteria(folder)


def surroundings() -> dict[str, str]:
    """The environment of pytest: this process's own, without what another pytest has set if it runs this one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def options_for(settings: Settings, path: Path) -> list[str]:
    """The options of pytest. Those that pyproject.toml has for the project's own tests are switched off."""
    return ["-p", "lab.grade.plugin", "--grade", str(path), "-p", "no:cacheprovider", "-o", "addopts=", "-q",
            "--import-mode=importlib", "--strict-markers", "--basetemp", str(settings.folder / "pytest"),
            *files_of(settings.stage)]


def files_of(stage: int) -> list[str]:
    """The files with the criteria of a stage and of those before it."""
    folders = [ROOT / "tests" / STAGES[number] for number in range(1, stage + 1)]
    return [str(path) for folder in folders for path in sorted(folder.glob("test_criteria*.py"))]


def _run(settings: Settings, path: Path, workers: int) -> Iterator[Outcome]:
    """The outcomes, as they come."""
    options = [*options_for(settings, path), "--numprocesses", str(workers), "--dist=load"]
    reading, writing = os.pipe()
    with (settings.folder / "pytest.txt").open("wb") as log, os.fdopen(reading) as outcomes:
        pytest = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            pass_fds=[writing], env={**surroundings(), "GRADE_OUTCOMES_TO": str(writing)},
            start_new_session=True)
        os.close(writing)
        try:
            yield from map(Outcome.read, outcomes)
            pytest.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            pass  # `complete` turns each criterion without an outcome into an error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pytest.pid, signal.SIGKILL)
            pytest.wait()
            sweep(settings.token)
