"""The table of tasks: which tests belong to which task, and what a student is told about it.

A table is a TOML file. Each `[[task]]` has a title, points, minutes, what to decide and what is given, and groups of
tests. A group has one rule with its section of the contract. Its tests are named as `file.py`, or `file.py::name`,
where the name may hold `*`. The longest name that fits decides, so "all others of this file" is `file.py`.
"""

import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

TABLE = "tasks.toml"
"""The name of its file in a handout."""

LIMIT_SECONDS = 30.0
"""The longest that one test may take, unless the table says otherwise."""


class TableError(ValueError):
    """A table of tasks cannot be read, or a teacher's changes to it cannot."""


class Group(NamedTuple):
    """Some tests that check one rule."""

    names: Sequence[str]
    rule: str
    contract: str
    """The sections of the contract that have the rule."""


class Task(NamedTuple):
    """One step of a stage."""

    number: int
    title: str
    points: int
    minutes: int
    """About how long it takes."""
    decide: str
    given: str
    groups: Sequence[Group]


class Table(NamedTuple):
    """All tasks of a stage."""

    tasks: Sequence[Task]
    limit: float
    """Seconds that one test may take."""

    def find(self, file: str, name: str) -> tuple[int, int, int] | None:
        """The place of a test, as the indexes of its task, group and name; None if it is in no task. `file` is the name
        of its file without folders, `name` that of the function."""
        found = [(len(one), (at_task, at_group, at_name))
                 for at_task, task in enumerate(self.tasks)
                 for at_group, group in enumerate(task.groups)
                 for at_name, one in enumerate(group.names) if fits(one, file, name)]
        return max(found)[1] if found else None

    def files(self, task: Task) -> list[str]:
        """The files that have tests of a task."""
        return list(dict.fromkeys(name.partition("::")[0] for group in task.groups for name in group.names))


def fits(selector: str, file: str, name: str) -> bool:
    """Does a selector, `file.py` or `file.py::name`, stand for this test?"""
    wanted, _, pattern = selector.partition("::")
    return wanted == file and fnmatchcase(name, pattern or "*")


def parse_table(text: str) -> Table:
    """Read a table; TableError if the text is not one."""
    try:
        content = tomllib.loads(text)
        tasks = [_read_task(number, entry) for number, entry in enumerate(content["task"], 1)]
    except KeyError as error:
        raise TableError(f"not a table of tasks: expected a member {error} in each task and group that needs it;"
                         " lab/tasks/table.py says what each has") from None
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise TableError(f"not a table of tasks: {error}") from None
    return Table(tasks, float(content.get("limit", LIMIT_SECONDS)))


def read_table(path: Path) -> Table:
    """Read the table in a file."""
    return parse_table(path.read_text("utf-8"))


def _read_task(number: int, entry: dict[str, Any]) -> Task:
    groups = [Group(group["run"], group["rule"], group["contract"]) for group in entry["tests"]]
    return Task(int(entry.get("number", number)), entry["title"], entry["points"], entry["minutes"], entry["decide"],
                entry["given"], groups)


def read_changes(text: str) -> dict[int, int]:
    """Read a teacher's changes: number of a task -> its points, 0 to leave it out. TableError if they are wrong.

        [points]
        3 = 40
        7 = 0
    """
    try:
        points = tomllib.loads(text)["points"]
        changes = {int(number): value for number, value in points.items()}
    except (tomllib.TOMLDecodeError, KeyError, ValueError, AttributeError):
        raise TableError('expected a table [points] with lines such as "3 = 40"') from None
    if not all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in changes.values()):
        raise TableError("points must be whole numbers, 0 or more")
    return changes


def change_table(text: str, changes: Mapping[int, int]) -> str:
    """The text of a table with other points, and without the tasks that have 0. Numbers and comments stay."""
    head, *entries = text.split("[[task]]\n")
    unknown = sorted(changes.keys() - set(range(1, len(entries) + 1)))
    if unknown:
        raise TableError(f"there is no task {unknown[0]}; there are tasks 1 to {len(entries)}")
    kept = [head]
    for number, entry in enumerate(entries, 1):
        points = parse_table(f"[[task]]\n{entry}").tasks[0].points
        wanted = changes.get(number, points)
        if wanted:
            changed = entry.replace(f"points = {points}\n", f"points = {wanted}\n", 1)
            kept.append(f"number = {number}\n{changed}" if changes else changed)
    if len(kept) == 1:
        raise TableError("no task is left: give at least one of them points")
    return "[[task]]\n".join(kept)
