"""A sweep that is interrupted goes on where it was, with the same rows in the end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from matplotlib.figure import Figure

from lab.experiments.experiment import Experiment, Point, Row, seed_of
from lab.experiments.experiments import main
from lab.experiments.sweep import Finished, Task, make_tasks, sweep, write_csv
from tests.lab.experiments.inline import Inline, measure
from tests.processes import ROOT


class Seeds(Experiment):
    """Its rows are its seeds."""

    NAME = "seeds"
    TITLE = QUESTION = METHOD = "Seeds"
    MEASURED: ClassVar[dict[str, str]] = {"seed": "the seed"}

    def points(self, is_quick: bool) -> list[Point]:
        return [{"size": size} for size in (3, 1, 2)]

    def runs(self, is_quick: bool) -> int:
        return 2

    def run(self, point: Point, seed: int) -> list[Row]:
        return [{"row": row, "seed": seed} for row in range(int(point["size"]))]

    def draw(self, figure: Figure, rows: Sequence[Row]) -> None:
        pass

    def findings(self, rows: Sequence[Row]) -> list[str]:
        return []


def test_rows_are_in_the_order_of_the_points_and_each_run_has_a_seed_of_its_own(tmp_path: Path) -> None:
    rows = measure(Seeds(), tmp_path, seed=7)
    assert [(row["size"], row["run"], row["row"]) for row in rows] == [
        (size, run, row) for size in (3, 1, 2) for run in (0, 1) for row in range(size)]
    assert rows[0]["seed"] == seed_of(7, "seeds", {"size": 3}, 0)
    assert len({row["seed"] for row in rows}) == 6


@pytest.mark.parametrize("before", [1, 3, 5])
def test_a_sweep_that_is_interrupted_goes_on_with_the_same_rows(before: int, tmp_path: Path) -> None:
    whole = measure(Seeds(), tmp_path / "whole")
    tasks = make_tasks(Seeds(), True)
    finished = Finished(tmp_path / "cut.jsonl", {"seed": 1})
    executor = Inline()
    sweep(Seeds(), tasks[:before], 1, executor, finished, lambda: None)
    with (tmp_path / "cut.jsonl").open("a") as file:
        file.write('{"task": "cut by a ki')
    again, executor = Finished(tmp_path / "cut.jsonl", {"seed": 1}), Inline()
    sweep(Seeds(), tasks, 1, executor, again, lambda: None)
    assert again.table(tasks) == whole
    assert 10**6 - executor.may_do == 6 - before, "what was finished is not done again"
    assert Finished(tmp_path / "cut.jsonl", {"seed": 1}).table(tasks) == whole, "it is on disk, too"


def test_rows_of_another_seed_do_not_count(tmp_path: Path) -> None:
    measure(Seeds(), tmp_path, seed=1)
    assert {row["seed"] for row in measure(Seeds(), tmp_path, seed=2)}.isdisjoint(
        row["seed"] for row in measure(Seeds(), tmp_path / "other", seed=1))


def test_rows_of_another_seed_are_kept_aside_and_come_back(tmp_path: Path) -> None:
    path, task = tmp_path / "finished.jsonl", Task({"delay": 1}, 0)
    Finished(path, {"seed": 1}).add(task, [{"a": 1}])
    other = Finished(path, {"seed": 2})
    assert other.rows == {} and other.moved_to is not None and other.moved_to.exists()
    other.add(task, [{"a": 2}])
    assert Finished(path, {"seed": 1}).rows == {task.key: [{"a": 1}]}
    assert Finished(path, {"seed": 2}).rows == {task.key: [{"a": 2}]}
    assert Finished(path, {"seed": 2}).moved_to is None
    assert len(list(tmp_path.iterdir())) == 2


def test_the_table_is_written_for_other_programs(tmp_path: Path) -> None:
    write_csv(tmp_path / "data.csv", [{"a": 1, "b": 0.1}, {"a": 2, "c": "x"}])
    assert (tmp_path / "data.csv").read_text() == "a,b,c\n1,0.1,\n2,,x\n"


def test_without_a_name_nothing_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "which experiment? name it with NAME=" in capsys.readouterr().err


def test_an_unknown_name_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lotery"]) == 2
    assert "no experiment is called 'lotery'; there are throughput, forks" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_the_command_goes_on_where_it_was_and_leaves_no_process(end: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lab.experiments", "lottery", "--quick", "--to"]
    subprocess.run([*command, str(tmp_path / "whole")], cwd=ROOT, check=True, timeout=120)
    finished = tmp_path / "cut" / "lottery-quick" / "finished.jsonl"
    with subprocess.Popen([*command, str(tmp_path / "cut")], cwd=ROOT, start_new_session=True) as process:
        while not finished.exists() or len(finished.read_text().splitlines()) < 3:
            assert process.poll() is None, "it ended before it could be interrupted"
            time.sleep(0.01)
        os.kill(process.pid, end)
    group, deadline = process.pid, time.monotonic() + 20
    while is_alive(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(group)
    assert len(finished.read_text().splitlines()) < 17
    subprocess.run([*command, str(tmp_path / "cut")], cwd=ROOT, check=True, timeout=120)
    cut, whole = ((tmp_path / name / "lottery-quick" / "data.csv").read_text() for name in ("cut", "whole"))
    assert cut == whole
    assert len([json.loads(line) for line in finished.read_text().splitlines()]) == 17


def is_alive(group: int) -> bool:
    """Does any process of the group run?"""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
