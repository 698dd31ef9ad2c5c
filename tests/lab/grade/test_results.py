"""What comes out of a run, in the forms that others read."""

import copy
import html.parser
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema  # type: ignore[import-untyped]
import pytest

from lab.grade.command import GRADER_HAS_FAILED, INTERRUPTED, main
from lab.grade.criteria import Criterion
from lab.grade.flaky import describe, find_changed
from lab.grade.formats import check50, classroom50, gradescope, junit, write_all
from lab.grade.result import Outcome, Result, complete
from lab.grade.settings import Settings
from lab.grade.shortcomings import ERROR, FAILED, INCONCLUSIVE, PASSED
from lab.grade.terminal import draw
from lab.grade.sweep import alive, marked
from tests.processes import ROOT, eventually

SCHEMAS = ROOT / "lab" / "grade" / "schemas"
VERDICTS = [PASSED, FAILED, INCONCLUSIVE, ERROR]


def criterion(number: int, hardening: bool = False) -> Criterion:
    return Criterion(f"1.c{number}", f"Criterion {number} <b>", 1, 5, "§2", "The rule.", hint="A hint.", hardening=hardening)


@pytest.fixture
def result(tmp_path: Path) -> Result:
    """A run with one criterion of each verdict, and one of hardening."""
    criteria = [*(criterion(number) for number in range(4)), criterion(9, hardening=True)]
    outcomes = [Outcome(one, verdict, "to hear \x01 <this>", "heard nothing", 0.5, f"criteria/{one.key}")
                for one, verdict in zip(criteria, [*VERDICTS, PASSED], strict=True)]
    where = tmp_path / "criteria" / "1.c1"
    where.mkdir(parents=True)
    notes = [("grader", "node-1", "typed", "hi"), ("node-1", "peer-1", "message", '{"type": "chat", "text": "<hi>"}'),
             ("node-1", "grader", "ended", "status 3")]
    (where / "conversation.jsonl").write_text("".join(json.dumps(
        {"at": 0.25, "source": source, "target": target, "kind": kind, "text": text}) + "\n"
        for source, target, kind, text in notes))
    settings = Settings(1, tmp_path, ["./theirs", "--stage", "1"], tmp_path, seed=7)
    return Result(settings, complete(criteria, outcomes, 1), "2026-11-28T06:12:00Z", 12.5, "alice")


def is_valid(name: str, content: Any) -> bool:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(json.dumps(content)), schema)
    return True


def test_gradescope(result: Result) -> None:
    content = gradescope(result, frozenset(["1.c2"]))
    assert is_valid("gradescope", content)
    assert content["score"] == 25 and [test["score"] for test in content["tests"]] == [25, 0, 0, 0, 100]
    assert [test["visibility"] for test in content["tests"]] == ["visible", "visible", "hidden", "visible", "visible"]
    failed = content["tests"][1]["output"]
    for text in ("The rule. (contract §2)", "A hint.", "heard nothing", "SEED=7 ONLY=1.c1"):
        assert text in failed


def test_classroom50(result: Result) -> None:
    content = classroom50(result, {"CLASSROOM": "cs", "OWNER": "alice", "COMMIT_URL": "https://x/commit/1"})
    assert is_valid("classroom50", content)
    assert (content["score"], content["max-score"]) == (25, 100) == tuple(
        sum(test[name] for test in content["tests"]) for name in ("score", "max-score"))
    assert content["classroom"] == "cs" and content["review"] == "https://x/commit/1"
    assert is_valid("classroom50", classroom50(result, {})), "on the machine of a student, too"


def test_check50(result: Result) -> None:
    content = check50(result)
    assert is_valid("check50", content)
    assert [one["passed"] for one in content["results"]] == [True, False, None, None, True]
    assert content["results"][1]["cause"]["actual"] == "heard nothing" and content["results"][1]["log"]


JUNIT = {"testsuites": (set(), {"testsuite"}),
         "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}, {"properties", "testcase"}),
         "properties": (set(), {"property"}), "property": ({"name", "value"}, set()),
         "testcase": ({"name", "classname", "time"}, {"failure", "error", "skipped"}),
         **dict.fromkeys(("failure", "error", "skipped"), ({"message"}, set[str]()))}
"""Elements of JUnit XML, each with its attributes and with what may be in it: what Jenkins and GitLab read."""


def check_junit(element: ElementTree.Element) -> None:
    attributes, children = JUNIT[element.tag]
    assert set(element.keys()) == attributes and {child.tag for child in element} <= children
    for child in element:
        check_junit(child)


def test_junit(result: Result) -> None:
    root = ElementTree.fromstring(junit(result))
    check_junit(root)
    suite = root[0]
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["5", "1", "1", "1"]
    assert [case[0].tag if len(case) else "" for case in suite.iter("testcase")] == ["", "failure", "skipped", "error", ""]


class Page(html.parser.HTMLParser):
    """What a page refers to, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_needs_nothing_else_and_has_each_failure_with_its_conversation(result: Result) -> None:
    write_all(result, {})
    text = (result.settings.folder / "report.html").read_text()
    page = Page(text)
    assert page.links == ["#c1", "#c2", "#c3"] and all(f'id="{link[1:]}"' in text for link in page.links)
    words = " ".join(page.words)
    assert all(name in words for name in ("peer-1", "typed hi", "chat text <hi>", "ended status 3", "25", "SEED=7 ONLY=1.c1"))
    assert text.count("<svg") == text.count("</svg>") == 1
    assert {"results.json", "result.json", "check50.json", "junit.xml"} <= {
        path.name for path in result.settings.folder.iterdir()}


def test_the_table_shows_a_fault_that_stops_many_criteria_once(result: Result) -> None:
    result.outcomes[0].verdict, result.outcomes[0].actual = INCONCLUSIVE, "heard nothing"
    text = draw(result, has_colours=False)
    assert text.count("Criterion 0 <b>: inconclusive") == 1 and "Criterion 2 <b>: inconclusive" not in text
    assert "1 more, not checked for the same reason" in " ".join(text.split()) and "basics 0 of 100, hardening 100 of 100" in text


# --- whole runs -------------------------------------------------------------------------------------

def test_a_node_that_does_not_start_is_reported_once_and_at_once(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stage", "1", "--node", "false", "--to", str(tmp_path / "run"), "--seed", "7", "--cli-only",
                 "--workers", "0"]) == 0
    text = capsys.readouterr().out
    assert "basics 0 of 100, hardening 0 of 100" in text and text.count("ended with status 1") == 2, text
    content = json.loads((tmp_path / "run" / "results.json").read_text())
    assert is_valid("gradescope", content) and {test["score"] for test in content["tests"]} == {0}


def test_one_criterion_of_ours_is_asked_and_what_was_said_is_kept(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stage", "1", "--to", str(tmp_path / "run"), "--seed", "7", "--only", "1.not-back"]) == 0
    assert "basics 100 of 100" in capsys.readouterr().out
    where = tmp_path / "run" / "criteria" / "1.not-back"
    said = [json.loads(line) for line in (where / "conversation.jsonl").read_text().splitlines()]
    assert [(one["source"], one["target"]) for one in said if '"pass it on"' in one["text"] and one["kind"] == "message"
            ] == [("peer-1", "node-1"), ("node-1", "peer-2")]
    assert '"pass it on"' in (where / "node-1.stdout").read_text() and not (where / "node-1.stderr").read_text()


def test_an_interrupted_grader_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lab.grade", "--stage", "1", "--to", str(tmp_path / "run"), "--workers", "0",
               "--node", f"{sys.executable} -c 'import time; time.sleep(60)'"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as grader:
        settings = tmp_path / "run" / "settings.json"
        eventually(settings.exists)
        eventually(lambda: bool(settings.read_text()))
        token = json.loads(settings.read_text())["token"]
        eventually(lambda: bool(marked(token)))
        grader.terminate()
        assert grader.wait(30) == INTERRUPTED
    assert not alive(marked(token))


def test_nothing_to_ask_is_an_error_of_the_grader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stage", "1", "--to", str(tmp_path / "run"), "--only", "1.nonsense"]) == GRADER_HAS_FAILED
    assert "No criterion of stage 1 is called 1.nonsense" in " ".join(capsys.readouterr().out.split())


def test_a_criterion_that_changes_its_mind_is_named_with_its_seed(result: Result) -> None:
    other = copy.deepcopy(result)
    other.settings.seed = 8
    assert find_changed([result, other]) == {}
    other.outcomes[0].verdict, other.outcomes[0].actual = FAILED, "lost"
    assert describe(find_changed([result, other])) == ["1.c0: Criterion 0 <b>", "  seed 8: failed: lost"]


@pytest.mark.parametrize("factor", ["x", "0", "nan"])
def test_a_factor_that_is_not_a_number_above_0_gives_one_line(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], factor: str) -> None:
    monkeypatch.setenv("TIMEOUT_FACTOR", factor)
    with pytest.raises(SystemExit, match="2"):
        main(["--stage", "1"])
    assert capsys.readouterr().err.count("\n") == 1
