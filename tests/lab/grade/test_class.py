"""`make grade-all`: a folder of submissions, each graded, none of them able to change its grade."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from lab.grade.criteria import Criterion
from lab.grade.result import Outcome, Result, complete
from lab.grade.settings import Settings
from lab.grade.shortcomings import FAILED, PASSED
from lab.gradeall.command import main
from lab.gradeall.points import Points, PointsError, read_points
from lab.gradeall.submissions import CannotGrade, prepare
from lab.gradeall.table import Row, make_class_page, make_csv
from tests.processes import ROOT

NODE = ROOT / "docs" / "examples" / "node.js"
QUICK = "1.founds-and-listens,1.joins"

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node, which runs JavaScript, is not installed")


def submit(folder: Path, files: dict[str, str]) -> None:
    """Write a submission."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def grades(to: Path) -> dict[str, dict[str, str]]:
    """The lines of grades.csv, by submission."""
    with (to / "grades.csv").open() as lines:
        return {row["submission"]: row for row in csv.DictReader(lines)}


def handout(folder: Path) -> None:
    """A filled-in handout whose tests and grader were edited."""
    shutil.copytree(ROOT / "stage1_chat", folder / "stage1_chat", ignore=shutil.ignore_patterns("__pycache__"))
    submit(folder, {"tests/stage1_chat/test_criteria.py": "def test_all():\n    assert True\n",
                    "lab/grade/criteria.py": "raise SystemExit(0)\n", "common/framing.py": "raise SystemExit(0)\n"})


def test_a_class_is_graded_and_graded_again_only_where_something_has_changed(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handout(tmp_path / "in" / "alice")
    submit(tmp_path / "in" / "bob", {"grade.toml": 'build = "false"\nstart = "./node"\n'})
    command = ["--submissions", str(tmp_path / "in"), "--stage", "1", "--to", str(tmp_path / "out"), "--only", QUICK,
               "--workers", "0"]
    assert main(command) == 0
    found = grades(tmp_path / "out")
    assert (found["alice"]["basics"], found["alice"]["passed"]) == ("100", "2")
    assert found["bob"]["basics"] == "0" and "does not build" in found["bob"]["note"]
    page = (tmp_path / "out" / "bob" / "report.html").read_text()
    assert '<p class="remark">it does not build' in page and "make grade-all STAGE=1" in page and "make grade " not in page
    assert "2 of 2  bob" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "alice" / "results.json").read_text())["score"] == 100
    assert main(command) == 0
    assert "2 of 2 are graded already" in capsys.readouterr().out


def test_a_submission_says_how_it_is_started(tmp_path: Path) -> None:
    submit(tmp_path / "a", {"grade.toml": 'start = "./theirs --stage {stage}"\ncli_only = true\n'})
    found = prepare(tmp_path / "a", tmp_path / "work", 3)
    assert found.start == [str(tmp_path / "work" / "theirs"), "--stage", "3"] and found.cli_only
    submit(tmp_path / "b", {"node": "#!/bin/sh\n"})
    assert os.access(prepare(tmp_path / "b", tmp_path / "work", 3).start[0], os.X_OK)


@pytest.mark.parametrize("text", ["", "start = 5", "begin = 'x'", "start = '\"'", "not TOML"])
def test_a_wrong_grade_toml_is_reported(tmp_path: Path, text: str) -> None:
    submit(tmp_path / "a", {"grade.toml": text})
    with pytest.raises(CannotGrade, match=r"grade\.toml"):
        prepare(tmp_path / "a", tmp_path / "work", 1)


def test_only_the_folder_of_the_stage_is_taken_from_a_handout(tmp_path: Path) -> None:
    handout(tmp_path / "a")
    prepare(tmp_path / "a", tmp_path / "work", 1)
    assert (tmp_path / "work" / "common" / "framing.py").read_text() == (ROOT / "common" / "framing.py").read_text()
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"common", "stage1_chat"}


@pytest.fixture
def result(tmp_path: Path) -> Result:
    """One criterion passed, two failed."""
    criteria = [Criterion(f"1.c{number}", f"Criterion {number}", 1, 5, "§2", "The rule.") for number in range(3)]
    outcomes = [Outcome(one, verdict) for one, verdict in zip(criteria, [PASSED, FAILED, FAILED], strict=True)]
    return Result(Settings(1, tmp_path), complete(criteria, outcomes, 1), "2026-11-28T06:12:00Z", 1.0)


def test_a_teachers_points_replace_ours(result: Result, tmp_path: Path) -> None:
    (tmp_path / "points.toml").write_text('leave_out = ["1.c1"]\nhidden = ["1.c2"]\n[weights]\n"1.c0" = 15\n')
    points = read_points(tmp_path / "points.toml", ["1.c0", "1.c1", "1.c2"])
    changed = points.apply(result)
    assert [one.points for one in changed.outcomes] == [75, 25]
    shown = points.for_students(changed)
    assert [one.criterion.key for one in shown.outcomes] == ["1.c0"] and "not shown here, but count as well: 1" in shown.remarks[0]
    assert Points().for_students(result) is result


@pytest.mark.parametrize("text", ['[weights]\n"1.c9" = 5', '[weights]\n"1.c0" = 0', "hidden = 5", "other = 1", "not TOML"])
def test_wrong_points_are_reported(tmp_path: Path, text: str) -> None:
    (tmp_path / "points.toml").write_text(text)
    with pytest.raises(PointsError, match=r"points\.toml"):
        read_points(tmp_path / "points.toml", ["1.c0"])


def test_a_name_is_neither_a_formula_nor_markup(result: Result, tmp_path: Path) -> None:
    rows = [Row("=1+1<b>", (33, 100), outcomes=tuple(result.outcomes)), Row("lost")]
    assert "\n'=1+1<b>,33,100," in make_csv(rows)
    page = make_class_page(rows, 1, tmp_path)
    assert "=1+1&lt;b&gt;" in page and "<b>," not in page and "Criterion 1 (§2): 0 of 1 have passed" in page


@pytest.mark.long
@needs_node
def test_seven_submissions_as_a_teacher_has_them(tmp_path: Path) -> None:
    text = NODE.read_text()
    start = 'start = "node node.js"\n'
    for name, files in {
            "perfect": {"node": "#!/usr/bin/env node\n" + text},
            "wrong": {"node.js": text.replace(", links().forEach((c) => c === source || write(c, bytes));", ";"),
                      "grade.toml": start},
            "crashes": {"node": "#!/bin/sh\nkill -SEGV $$\n"}, "hangs": {"node": "#!/bin/sh\nexec sleep 1000\n"},
            "does-not-build": {"grade.toml": 'build = "cc -o node node.c"\nstart = "./node"\n', "node.c": "int main("},
            "own-wire": {"node.js": text.replace("UInt32BE", "UInt32LE"), "grade.toml": start + "cli_only = true\n"},
            }.items():
        submit(tmp_path / "in" / name, files)
    handout(tmp_path / "in" / "handout")
    assert main(["--submissions", str(tmp_path / "in"), "--stage", "1", "--to", str(tmp_path / "out"), "--seed", "7"]) == 0
    found = {name: int(row["basics"]) for name, row in grades(tmp_path / "out").items()}
    assert 20 < found.pop("wrong") < 80
    assert found == {"perfect": 100, "crashes": 0, "hangs": 0, "does-not-build": 0, "own-wire": 100, "handout": 100}
