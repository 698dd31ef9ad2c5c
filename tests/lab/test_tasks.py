"""`make test` of a handout: tasks in order, a score, the first failure of the next one, and limits that hold."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.compare.stagecode import FOLDERS
from lab.handout import handout, pristine
from lab.tasks.table import Table, TableError, change_table, parse_table, read_changes
from tests.processes import ROOT

every_stage = pytest.mark.parametrize("stage", FOLDERS)
TESTS = re.compile(r"(?m)^(?:async )?def (test_\w+)")


def table_of(stage: int) -> Table:
    """The table of tasks of a stage."""
    return parse_table((ROOT / handout.TABLES / f"stage{stage}.toml").read_text("utf-8"))


# --- the tables ---------------------------------------------------------------------------------

@every_stage
def test_every_test_has_its_task_and_every_name_its_tests(stage: int) -> None:
    table, found = table_of(stage), set()
    for path in sorted((ROOT / "tests" / FOLDERS[stage]).glob("test_*.py")):
        for name in TESTS.findall(path.read_text("utf-8")):
            place = table.find(path.name, name)
            assert place is not None, f"no task of stage {stage} has {path.name}::{name}"
            found.add(place)
    named = {(at, group, name): one for at, task in enumerate(table.tasks) for group, it in enumerate(task.groups)
             for name, one in enumerate(it.names)}
    assert [named[place] for place in sorted(named.keys() - found)] == [], "these name no test"


@every_stage
def test_a_stage_has_five_to_twelve_tasks_and_a_hundred_points(stage: int) -> None:
    tasks = table_of(stage).tasks
    assert 5 <= len(tasks) <= 12 and sum(task.points for task in tasks) == 100
    assert [task.number for task in tasks] == list(range(1, len(tasks) + 1))
    contract = (ROOT / "docs" / "contract.md").read_text("utf-8")
    for task in tasks:
        assert task.decide.endswith((".", "?", "!")) and task.given.endswith((".", "?")) and task.minutes > 0
        for group in task.groups:
            assert group.rule.endswith(".") and group.contract, task.title
            for section in re.findall(r"§\d(?: ([A-Z][A-Za-z ]+\d?))?", group.contract):
                assert not section or f"**{section}" in contract or f"### {section}" in contract, section


TABLE = """limit = 3

[[task]]
title = "First"
points = 40
minutes = 10
decide = "What is one?"
given = "Nothing."
[[task.tests]]
run = ["test_it.py::test_one*"]
rule = "One is one."
contract = "§1"

[[task]]
title = "Second"
points = 60
minutes = 20
decide = "What is two?"
given = "One."
[[task.tests]]
run = ["test_it.py"]
rule = "Two is two."
contract = "§2"
"""


def test_the_longest_name_that_fits_decides() -> None:
    table = parse_table(TABLE)
    assert table.find("test_it.py", "test_one_more") == (0, 0, 0) and table.find("test_it.py", "test_two") == (1, 0, 0)
    assert table.find("test_other.py", "test_one") is None


def test_a_teacher_changes_points_and_leaves_tasks_out() -> None:
    changed = parse_table(change_table(TABLE, read_changes("[points]\n1 = 0\n2 = 7\n")))
    assert [(task.number, task.title, task.points) for task in changed.tasks] == [(2, "Second", 7)]
    assert changed.limit == 3 and change_table(TABLE, {}) == TABLE


@pytest.mark.parametrize("text, expected", [
    ("points", "expected a table [points]"), ("[points]\nx = 1", "expected a table [points]"),
    ("[points]\n1 = -1", "whole numbers"), ("[points]\n1 = true", "whole numbers"),
    ("[points]\n3 = 1", "no task 3; there are tasks 1 to 2"), ("[points]\n1 = 0\n2 = 0", "no task is left")])
def test_a_teachers_mistake_is_named(text: str, expected: str) -> None:
    with pytest.raises(TableError, match=re.escape(expected)):
        change_table(TABLE, read_changes(text))


# --- runs ---------------------------------------------------------------------------------------

FAKE = """
import pytest
from stage9_fake.code import one, two

@pytest.mark.parametrize("number", [1, 2, 3])
def test_one(number):
    assert one(number) == number

def test_two_is_two():
    assert two() == 2
"""


class Fake:
    """A handout with two tasks and three small tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for package in ("stage9_fake", "tests/stage9_fake"):
            (folder / package).mkdir(parents=True)
            (folder / package / "__init__.py").touch()
        (folder / "tests" / "__init__.py").touch()
        for package in ("common", "lab", "stage1_chat"):
            (folder / package).symlink_to(ROOT / package)
        (folder / "tasks.toml").write_text(TABLE)
        (folder / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n'
                                               'pythonpath = ["."]\n')
        (folder / "tests" / "stage9_fake" / "test_it.py").write_text(FAKE)

    def write(self, one: str = "return number", two: str = "return 2", head: str = "") -> None:
        """Write the stage."""
        code = f"{head}\ndef one(number):\n    {one}\n\n\ndef two():\n    {two}\n"
        (self.folder / "stage9_fake" / "code.py").write_text(code)

    def limit_to(self, seconds: float) -> None:
        """Let a test have this many seconds."""
        (self.folder / "tasks.toml").write_text(TABLE.replace("limit = 3", f"limit = {seconds}"))

    def run(self, *arguments: str) -> list[str]:
        """What is printed."""
        done = subprocess.run([sys.executable, "-m", "lab.tasks", "stage9_fake", *arguments], cwd=self.folder,
                              capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        self.status = done.returncode
        return done.stdout.splitlines()


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """A small handout, whose tests take no time."""
    return Fake(tmp_path)


def test_a_task_is_done_or_next_or_not_begun_and_a_finished_one_counts(fake: Fake) -> None:
    fake.write(two="raise NotImplementedError")
    lines = fake.run()
    assert [line.split() for line in lines[:2]] == [["1", "First", "40", "points", "done"],
                                                    ["2", "Second", "60", "points", "next"]]
    assert "score 40 of 100" in lines and fake.status == 1
    assert lines[-1] == "stage9_fake/code.py:7 two is not written yet." and "Rule: Two is two. (contract §2)" in lines
    fake.write(one="return 1", two="raise NotImplementedError")
    lines = fake.run()
    assert lines[0].endswith("next: 1 of 3 tests pass") and lines[1].endswith("not begun")
    assert "> assert one(number) == number" in lines and "  came      1" in lines and "  expected  2" in lines
    fake.write()
    lines = fake.run()
    assert "score 100 of 100" in lines and fake.status == 0 and "All tasks are done." in lines[-1]


def test_one_task_alone(fake: Fake) -> None:
    fake.write(one="return 1")
    lines = fake.run("--task", "2")
    assert lines == ["  2  Second                                                60 points  done"]


def test_a_cause_is_named_once_for_all_its_cases(fake: Fake) -> None:
    fake.write(one="raise KeyError(number)")
    lines = fake.run()
    assert "KeyError: 1" in lines and "  came out of stage9_fake/code.py:3 one" in lines
    assert lines[-1] == "2 more cases of this test fail for the same reason."
    fake.write(one="return number if number < 2 else {}[number]")
    assert fake.run()[-1] == "1 more case of this test fails for the same reason."


def test_options_for_pytest_run_the_easiest_tests_first(fake: Fake) -> None:
    first, second = FAKE.index("@pytest"), FAKE.index("def test_two")
    (fake.folder / "tests" / "stage9_fake" / "test_it.py").write_text(
        f"{FAKE[:first]}{FAKE[second:]}\n{FAKE[first:second]}")
    fake.write(two="return 3")
    lines = fake.run("-v", "tests/stage9_fake/test_it.py")
    outcomes = [line.split()[1] for line in lines if " PASSED" in line or " FAILED" in line]
    assert outcomes == ["PASSED"] * 3 + ["FAILED"], lines


PROPERTY = """
import time
from hypothesis import given, settings, strategies
from stage9_fake.code import two

@given(strategies.lists(strategies.integers(0, 2**32), min_size=40))
@settings(deadline=None)
def test_two_is_two(numbers):
    time.sleep(0.03)
    assert two() == 2 or len(set(numbers)) < 30
"""


def test_an_example_that_takes_long_to_shrink_is_shown_in_time(fake: Fake) -> None:
    (fake.folder / "tests" / "stage9_fake" / "test_it.py").write_text(PROPERTY)
    fake.write(two="return 3")
    lines = fake.run("--task", "2")
    assert "> assert two() == 2 or len(set(numbers)) < 30" in lines and lines[-1].startswith("  with numbers=["), lines


HANGS = {
    "a call that never comes back": (
        "import re; re.match('(a+)+$', 'a' * 60 + 'b')", "It does not end: stopped after 1.5 seconds, in stage9_fake/code.py:3 one."),
    "output": ("\n    while True: print('x' * 1000)", "It prints without end: stopped after 4 MiB."),
    "a thread that stays": ("import threading, time; threading.Thread(target=time.sleep, args=(600,), name='left over').start(); return number",
                            "The tests are over, but a thread that they have started still runs: left over."),
}


@pytest.mark.parametrize("how", HANGS)
def test_what_does_not_end_gives_one_line_within_seconds(how: str, fake: Fake) -> None:
    fake.limit_to(1.5)
    fake.write(one=HANGS[how][0])
    began = time.monotonic()
    lines = fake.run("--task", "1")
    assert HANGS[how][1] in lines and time.monotonic() - began < 30, lines


def test_a_process_that_takes_long_to_end_is_no_failure(fake: Fake) -> None:
    """As it does on a busy machine."""
    fake.write(one="import atexit, time; atexit.register(time.sleep, 600); return number")
    assert fake.run("--task", "1") == ["  1  First                                                 40 points  done"]


def test_a_property_test_that_hangs_is_ended_too(fake: Fake) -> None:
    fake.limit_to(1.5)
    fake.write(one="while number: pass")
    (fake.folder / "tests" / "stage9_fake" / "test_it.py").write_text(
        "from hypothesis import given, strategies as st\nfrom stage9_fake.code import one\n\n"
        "@given(st.integers(0, 3))\ndef test_one(number):\n    one(number)\n")
    assert any("It does not end: stopped after 1.5 seconds" in line for line in fake.run("--task", "1"))


def test_a_file_that_cannot_be_loaded_gives_a_line(fake: Fake) -> None:
    fake.write(head="def now():\n    raise NotImplementedError\n\n\nnow()")
    assert "stage9_fake/code.py:2 now is not written yet." in fake.run()
    fake.write(head="import nothing_of_this_name")
    assert "ModuleNotFoundError: No module named 'nothing_of_this_name'" in fake.run()


# --- a whole handout ----------------------------------------------------------------------------

def write_with_python(stage: int, folder: Path) -> Path:
    """A handout that finds the packages that these tests use."""
    handout.write(handout.collect(stage), folder)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (folder / ".venv" / "installed").touch()
    os.utime(folder / "requirements.txt", (0, 0))
    return folder


def make(folder: Path, *words: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
    """Call make in a handout, as from a shell: `make test` may have called these tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *words], cwd=folder, env=environment, capture_output=True, text=True,
                          timeout=timeout, check=False)


def test_the_first_make_test_fits_on_one_screen_and_names_what_is_missing(tmp_path: Path) -> None:
    folder = write_with_python(3, tmp_path / "for students")
    done = make(folder, "test")
    lines = done.stdout.splitlines()
    assert done.returncode == 2 and len(lines) < 28 and max(map(len, lines)) <= 100, done.stdout
    assert re.fullmatch(r"stage3_signed/node.py:\d+ SignedSetup.__init__ is not written yet\.", lines[-1])
    done = make(folder, "stage3", "PEER=none")
    assert re.match(r"stage3_signed/__main__.py:\d+ SignedClient.add_options is not written yet\n", done.stderr)
    assert "make test " in make(folder).stdout and "stage1_chat" in make(folder, "stage1", "ARGS=--help").stdout
    shutil.copyfile(ROOT / "stage3_signed" / "node.py", folder / "stage3_signed" / "node.py")
    done = make(folder, "test", "TASK=1")
    assert done.returncode == 0 and done.stdout.splitlines()[0].endswith("done"), done.stdout


@pytest.mark.long
@pytest.mark.timeout(1_200)
@every_stage
def test_our_bodies_make_every_task_green_and_the_score_100(stage: int, tmp_path: Path) -> None:
    folder = write_with_python(stage, tmp_path)
    first = make(folder, "test", timeout=300).stdout.splitlines()
    assert "score 0 of 100" in first and len(first) < 29 and max(map(len, first)) <= 100
    for path in (ROOT / FOLDERS[stage]).glob("*.py"):
        shutil.copyfile(path, folder / FOLDERS[stage] / path.name)
    done = make(folder, "test", timeout=900)
    assert done.returncode == 0 and "score 100 of 100" in done.stdout, done.stdout


# --- a student's folder -------------------------------------------------------------------------

def test_a_students_folder_is_tested_from_a_pristine_copy(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "of somebody"
    handout.write(handout.collect(3), folder)
    (folder / "tasks.toml").write_text("mine")
    shutil.rmtree(folder / "tests")
    only_the_first = tmp_path / "with.toml"
    only_the_first.write_text("[points]\n" + "\n".join(f"{number} = 0" for number in range(2, 9)))
    words = ["--stage", "3", "--of", str(folder), "--with", str(only_the_first)]
    assert pristine.main(words) == 1
    assert "score 0 of 100" in capfd.readouterr().out
    for path in (ROOT / "stage3_signed").glob("*.py"):
        shutil.copyfile(path, folder / "stage3_signed" / path.name)
    assert pristine.main(words) == 0
    assert "score 100 of 100" in capfd.readouterr().out and (folder / "tasks.toml").read_text() == "mine"


@pytest.mark.parametrize("words, expected", [
    ("--stage 3 --of empty", "stage3_signed has no Python files"), ("--stage 3", "required: --of"),
    ("--stage 3 --of empty --with missing.toml", "missing.toml: No such file"),
    ("--stage 3 --of empty --with bad.toml", "bad.toml: expected a table [points]")])
def test_what_is_wrong_with_a_students_folder_gives_one_line(
        words: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.toml").write_text("points = 3")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        pristine.main(words.split())
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (2, "") and expected in shown.err and shown.err.count("\n") == 1


def test_make_passes_on_what_it_is_given() -> None:
    for words, expected in ((["handout", "STAGE=3", "TO=a", "WITH=b c"], "lab.handout --stage '3' --to 'a' --with 'b c'"),
                            (["test-handout", "STAGE=3", "OF=a b"], "lab.handout.pristine --stage '3' --of 'a b'")):
        done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        assert expected in " ".join(done.stdout.replace("\\\n", " ").split()), done.stdout


def test_the_plan_of_a_course_has_the_numbers_of_the_tables() -> None:
    rows = re.findall(r"(?m)^\| (\d) \| stage (\d),[^|]*\| (\d+) \| (\d+) \|", (ROOT / "docs" / "course.md").read_text("utf-8"))
    assert [int(week) for week, *_ in rows] == list(FOLDERS)
    for week, stage, tasks, hours in rows:
        table = table_of(int(stage)).tasks
        assert week == stage and int(tasks) == len(table) and int(hours) == round(sum(one.minutes for one in table) / 60)
