"""A result in the formats that others read: Gradescope, Classroom 50, check50, JUnit XML, and a page for people.

Each function makes the content of one file; `write_all` writes them into the folder of the run. The tests check the
formats against lab/grade/schemas/.

The points of a submission are those of the basics. Hardening is counted separately. Gradescope shows it test by test,
and the `score` at the top replaces the sum of all tests. Classroom 50 adds all tests up, so hardening is 0 of 0 there.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from lab.grade.evidence import read_conversation, spoken
from lab.grade.page import make_page
from lab.grade.result import Outcome, Result, kind_of
from lab.grade.shortcomings import ERROR, FAILED, INCONCLUSIVE, PASSED

CHECK50_VERSION = "3.3.0"
"""The version of check50 whose format this is."""
LOG_LINES = 60
"""How many of the last lines of a conversation check50.json has."""


def write_all(result: Result, environment: Mapping[str, str] = os.environ) -> None:
    """Write all files into the folder of the run."""
    folder = result.settings.folder
    for name, content in (("results.json", gradescope(result)), ("result.json", classroom50(result, environment)),
                          ("check50.json", check50(result))):
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    (folder / "junit.xml").write_bytes(junit(result))
    (folder / "report.html").write_text(make_page(result), "utf-8")


def words(result: Result, one: Outcome) -> str:
    """Why a criterion was not passed, in lines of text."""
    if one.verdict == PASSED:
        return ""
    criterion = one.criterion
    lines = [f"{one.verdict}: {criterion.rule} (contract {criterion.clause})", f"expected: {one.expected}",
             f"but: {one.actual}", *([f"hint: {criterion.hint}"] if criterion.hint else []),
             f"again: {result.settings.replay(criterion.key)}"]
    return "\n".join(lines)


def headline(result: Result) -> str:
    """The points in one line, and how to do the same again."""
    return (f"Stage {result.settings.stage}: basics {result.score()} of {result.full()}, hardening, counted separately,"
            f" {result.score(True)} of {result.full(True)}. Seed {result.settings.seed}; again: {result.replay}")


def gradescope(result: Result, hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
    """results.json. `hidden` are the keys of criteria that students do not see. If there are any, Gradescope does not
    show students their total either."""
    tests = [{"score": one.score, "max_score": one.points, "status": PASSED if one.verdict == PASSED else FAILED,
              "name": one.criterion.title, "number": str(number), "output": words(result, one),
              "tags": [kind_of(one), f"stage {one.criterion.stage}", one.verdict],
              "visibility": "hidden" if one.criterion.key in hidden else "visible"}
             for number, one in enumerate(result.outcomes, 1)]
    return {"score": result.score(), "execution_time": round(result.seconds),
            "output": "\n".join([*result.remarks, headline(result)]), "output_format": "text", "visibility": "visible",
            "stdout_visibility": "hidden", "tests": tests}


def classroom50(result: Result, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """result.json. The runner of Classroom 50 says in the environment who has submitted it, and for what."""
    def told(*names: str, otherwise: str) -> str:
        return next((environment[name] for name in names if environment.get(name)), otherwise)

    tests = [{"test-name": f"{one.criterion.key} {one.criterion.title}", "passed": one.verdict == PASSED,
              "score": 0 if one.criterion.hardening else one.score,
              "max-score": 0 if one.criterion.hardening else one.points} for one in result.outcomes]
    commit = told("COMMIT_URL", otherwise="local")
    return {"schema": "classroom50/result/v1", "classroom": told("CLASSROOM", otherwise="local"),
            "assignment": told("ASSIGNMENT", otherwise=f"stage-{result.settings.stage}"),
            "assignment_type": told("ASSIGNMENT_TYPE", otherwise="individual"),
            "owner": told("OWNER", "USERNAME", otherwise=result.name),
            "submission": told("SUBMISSION_TAG", otherwise=f"local-seed-{result.settings.seed}"), "commit": commit,
            "release": told("RELEASE_URL", otherwise="local"), "review": told("REVIEW_URL", otherwise=commit),
            "datetime": result.began, "score": result.score(), "max-score": result.full(), "tests": tests}


def check50(result: Result) -> dict[str, Any]:
    """check50.json: what is inconclusive is neither passed nor failed."""
    passed = {PASSED: True, FAILED: False, INCONCLUSIVE: None, ERROR: None}
    checks = [{"name": one.criterion.key, "description": one.criterion.title, "passed": passed[one.verdict],
               "log": [spoken(note) for note in read_conversation(result, one)][-LOG_LINES:],
               "cause": None if one.verdict == PASSED else {
                   "rationale": one.actual, "help": one.criterion.hint or None, "expected": one.expected,
                   "actual": one.actual},
               "data": {"replay": result.settings.replay(one.criterion.key), "points": one.points}, "dependency": None}
              for one in result.outcomes]
    slug = f"stage-{result.settings.stage}/seed-{result.settings.seed}"
    return {"slug": slug, "version": CHECK50_VERSION, "results": checks}


def junit(result: Result) -> bytes:
    """junit.xml: a criterion is a test case; inconclusive is skipped."""
    counts = Counter(one.verdict for one in result.outcomes)
    suite = ElementTree.Element("testsuite", {
        "name": f"stage {result.settings.stage}", "tests": str(len(result.outcomes)), "failures": str(counts[FAILED]),
        "errors": str(counts[ERROR]), "skipped": str(counts[INCONCLUSIVE]), "time": f"{result.seconds:.3f}",
        "timestamp": result.began.removesuffix("Z")})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("seed", str(result.settings.seed)), ("replay", result.replay)):
        ElementTree.SubElement(properties, "property", {"name": name, "value": value})
    for one in result.outcomes:
        case = ElementTree.SubElement(suite, "testcase", {
            "name": readable(one.criterion.title), "classname": one.criterion.key, "time": f"{one.seconds:.3f}"})
        if one.verdict != PASSED:
            tag = {FAILED: "failure", INCONCLUSIVE: "skipped", ERROR: "error"}[one.verdict]
            reason = ElementTree.SubElement(case, tag, {"message": readable(one.actual)})
            reason.text = readable(words(result, one))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def readable(text: str) -> str:
    """The text, with escapes for characters that XML does not allow."""
    return "".join(one if one in "\t\n" or " " <= one <= "\ud7ff" or "\ue000" <= one <= "\ufffd" or one > "\uffff"
                   else f"\\x{ord(one):02x}" for one in text)
