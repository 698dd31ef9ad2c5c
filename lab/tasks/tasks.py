"""The tasks of a handout, run in order.

    python -m lab.tasks stage3_signed               # a line for each task, a score, the first failure of the next task
    python -m lab.tasks stage3_signed --task 3      # one task
    python -m lab.tasks stage3_signed -x            # pytest itself with its options, the easiest tests first
    python -m lab.tasks stage3_signed --all         # all tests, with all that pytest prints

Each task runs in a process of its own (child.py), and stops at its first failure: correct that, and run it again.
A task counts when all its tests pass.
"""

import argparse
import os
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from lab.tasks.child import Child, Failure, Outcome
from lab.tasks.explain import WIDTH, clip
from lab.tasks.table import TABLE, Group, Table, TableError, Task, read_table

MOST_LINES = 25
"""The most lines that are printed about a failure."""

AT_A_TIME = max(2, os.cpu_count() or 1)
"""Tasks that run at the same time. Many tests wait more than they compute."""

FULL_SCORE = 100


class Result(NamedTuple):
    """A task and its outcome."""

    task: Task
    outcome: Outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Run tasks; the status is 0 if all pass."""
    parser = argparse.ArgumentParser(prog="python -m lab.tasks", description="Run the tasks of a handout.",
                                     allow_abbrev=False)
    parser.add_argument("stage", help="the folder that the student writes")
    parser.add_argument("--task", type=int, help="only the task with this number")
    parser.add_argument("--all", action="store_true", help="all tests with their whole output")
    options, for_pytest = parser.parse_known_args(arguments)
    root = Path.cwd()
    tests = f"tests/{options.stage}"
    if options.all or (for_pytest and options.task is None):
        run_pytest(tests, for_pytest, shows_all=options.all)
    try:
        table = read_table(root / TABLE)
    except (OSError, TableError) as error:
        parser.error(f"{TABLE}: {error}")
    wanted = [task for task in table.tasks if options.task in (None, task.number)]
    if not wanted:
        parser.error(f"there is no task {options.task}; there are tasks "
                     f"{', '.join(str(task.number) for task in table.tasks)}")
    results = show(table, wanted, run_tasks(root, options.stage, table, wanted))
    return 0 if all(result.outcome.is_done for result in results) else 1


def run_pytest(tests: str, arguments: Sequence[str], shows_all: bool) -> None:
    """Become pytest. It runs the paths in `arguments`; if there are none, all tests of the stage. The easiest come
    first, unless `shows_all`."""
    has_path = any(Path(one.partition("::")[0]).exists() for one in arguments if not one.startswith("-"))
    how = ["-n2"] if shows_all else ["-n0", "--tb=short", "-p", "lab.tasks.order"]
    command = [sys.executable, "-m", "pytest", "--continue-on-collection-errors", *how,
               *([] if has_path else [tests]), *arguments]
    sys.stdout.flush()
    os.execv(sys.executable, command)


def run_tasks(root: Path, stage: str, table: Table, tasks: Sequence[Task]) -> Iterator[Result]:
    """The outcomes of tasks, in their order, each as soon as it is known."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_A_TIME) as pool:
        def run(task: Task) -> Result:
            tests = [f"tests/{stage}/{file}" for file in table.files(task)]
            traces = Path(folder) / f"task-{task.number}"
            return Result(task, Child(root, task.number, tests, table.limit, traces).wait())

        yield from pool.map(run, tasks)


# --- what is printed ----------------------------------------------------------------------------

def show(table: Table, tasks: Sequence[Task], results: Iterator[Result]) -> list[Result]:
    """Print a line for each task, the score, and what is to be done next."""
    known: list[Result] = []
    next_one: Result | None = None
    for result in results:
        if next_one is None and not result.outcome.is_done:
            next_one = result
        known.append(result)
        print(line_of(result, is_next=result is next_one), flush=True)
    if len(tasks) == len(table.tasks):
        print(f"\nscore {score(known)} of {FULL_SCORE}")
    if next_one is not None:
        print(*describe_next(table, next_one), sep="\n")
    elif len(tasks) == len(table.tasks):
        print("All tasks are done. `make test ALL=1` runs every test once more, and shows what pytest shows.")
    return known


def line_of(result: Result, is_next: bool) -> str:
    """The line of a task: done, next, begun or not begun."""
    task, outcome = result
    if outcome.is_done:
        state = "done"
    else:
        count = f"{outcome.passed} of {outcome.total} tests pass" if outcome.passed else ""
        state = ("next" if is_next else "begun" if outcome.passed else "not begun") + (f": {count}" if count else "")
    return f"{task.number:>3}  {clip(task.title, 52):<52} {task.points:>3} points  {state}"


def score(results: Sequence[Result]) -> int:
    """The points of the tasks that are done, as a share of all points, in percent."""
    whole = sum(result.task.points for result in results)
    return FULL_SCORE * sum(result.task.points for result in results if result.outcome.is_done) // whole


def describe_next(table: Table, result: Result) -> list[str]:
    """The next task, and its first failure."""
    task, failure = result.task, result.outcome.failure
    lines = ["", f"Task {task.number}: {task.title} (about {task.minutes} minutes)",
             *wrapped("Decide: ", task.decide), *wrapped("Given: ", task.given), ""]
    if failure is None:
        return [*lines, "No test of this task was found in tests/."]
    return lines + describe_failure(table, task, failure)[:MOST_LINES]


def describe_failure(table: Table, task: Task, failure: Failure) -> list[str]:
    """A failure: the rule, the test, and what it has found."""
    lines = []
    if (group := group_of(table, task, failure.test)) is not None:
        lines += wrapped("Rule: ", f"{group.rule} (contract {group.contract})")
    lines += [clip(f"Test: {sentence(failure.test)}", WIDTH), clip(f"      {failure.test}", WIDTH), *failure.lines]
    if failure.others:
        cases = "more case of this test fails" if failure.others == 1 else "more cases of this test fail"
        lines.append(f"{failure.others} {cases} for the same reason.")
    return lines


def group_of(table: Table, task: Task, test: str) -> Group | None:
    """The group that a test is in, by its pytest name; None for a whole file."""
    if "::" not in test:
        return None
    path, _, name = test.partition("::")
    place = table.find(path.rpartition("/")[2], name.partition("[")[0])
    return table.tasks[place[0]].groups[place[1]] if place is not None else None


def sentence(test: str) -> str:
    """The name of a test as a sentence."""
    if "::" not in test:
        return "a file of tests cannot be loaded"
    name, _, case = test.rpartition("::")[2].partition("[")
    said = name.removeprefix("test_").replace("_", " ")
    return said + (f" [{case}" if case else "")


def wrapped(head: str, text: str) -> list[str]:
    """A paragraph with `head` in front. The other lines are indented below it."""
    return textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
