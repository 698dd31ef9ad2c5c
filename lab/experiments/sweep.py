"""A sweep: all runs of all points of an experiment, on all cores; what is finished is on disk, and is not done again.

`finished.jsonl` has a line for each finished run. Its first line says what the rows depend on: the seed, the size,
the commit and the machine. A sweep that is interrupted, by Ctrl-C or by a power cut, continues where it stopped.
If the first line differs, the sweep starts over. The rows that are there are moved to another file next to it, and come
back when that seed, size, commit and machine are asked for again.
"""

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from lab.experiments.experiment import Experiment, Point, Row, seed_of


class Task(NamedTuple):
    """One run of one point."""

    point: Point
    number: int
    """Which run of this point, from 0 on."""

    @property
    def key(self) -> str:
        """What tells it from the others."""
        return json.dumps([self.point, self.number], sort_keys=True)


def make_tasks(experiment: Experiment, is_quick: bool) -> list[Task]:
    """All runs, in the order of the table. The first run of each point comes before any second one, so that what an
    interrupted sweep has is spread over all points."""
    points = experiment.points(is_quick)
    most = max(experiment.runs_of(point, is_quick) for point in points)
    return [Task(point, number) for number in range(most) for point in points
            if number < experiment.runs_of(point, is_quick)]


class Finished:
    """The rows of the finished runs, on disk."""

    def __init__(self, path: Path, depends_on: dict[str, Any]) -> None:
        """Read what is there, if it was measured with the same `depends_on`. Otherwise move it aside."""
        self._path = path
        self.moved_to: Path | None = None
        """Where rows that were measured with something else are now."""
        lines = list(_read_lines(path))
        if lines and lines[0] != depends_on:
            if len(lines) > 1:
                self.moved_to = self._aside(lines[0])
                os.replace(path, self.moved_to)
            lines = list(_read_lines(self._aside(depends_on)))
        self.rows: dict[str, list[Row]] = {line["task"]: line["rows"] for line in lines[1:]}
        """By the key of the task."""
        self._rewrite(depends_on)  # without a last line that was cut by a kill
        self._aside(depends_on).unlink(missing_ok=True)

    def _aside(self, depends_on: dict[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
        return self._path.with_name(f"{self._path.stem}-{digest[:8]}{self._path.suffix}")

    def _rewrite(self, depends_on: dict[str, Any]) -> None:
        entries = [depends_on, *({"task": key, "rows": rows} for key, rows in self.rows.items())]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        draft.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        os.replace(draft, self._path)

    def add(self, task: Task, rows: list[Row]) -> None:
        """A run has finished: its rows are on disk when this returns."""
        self.rows[task.key] = rows
        with self._path.open("a") as file:
            file.write(json.dumps({"task": task.key, "rows": rows}) + "\n")

    def table(self, tasks: list[Task]) -> list[Row]:
        """All rows, in the order of the points; each with its point's parameters and the number of the run."""
        points = [task.point for task in tasks if task.number == 0]
        by_point = sorted(tasks, key=lambda task: (points.index(task.point), task.number))
        return [{**task.point, "run": task.number, **row} for task in by_point for row in self.rows.get(task.key, [])]


def read_header(path: Path) -> dict[str, Any] | None:
    """What the rows in `path` depend on; None if it is not there."""
    return next(_read_lines(path), None)


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file that may not be there, up to one that is cut."""
    if not path.exists():
        return
    for line in path.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            return
        yield json.loads(line)


def sweep(experiment: Experiment, tasks: list[Task], seed: int, executor: Executor, finished: Finished,
          on_finished: Callable[[], None]) -> None:
    """Do the runs that are left to do. `on_finished` is called after each, when its rows are on disk."""
    futures = {}
    for task in tasks:
        if task.key not in finished.rows:
            its_seed = seed_of(seed, experiment.NAME, task.point, task.number)
            futures[executor.submit(experiment.run, task.point, its_seed)] = task
    for future in as_completed(futures):
        finished.add(futures[future], future.result())
        on_finished()


def write_csv(path: Path, rows: list[Row]) -> None:
    """The table of all rows, for other programs."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
