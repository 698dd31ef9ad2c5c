"""pytest as the engine of the grader: it picks the criteria, runs each with a scene, and reports verdicts.

Loaded by `python -m pytest -p lab.grade.plugin --grade FILE`, which lab/grade/runner.py calls.
The workers of pytest-xdist run criteria side by side; the process that has started them passes each outcome on, one
JSON object a line. In `make test` tests/conftest.py uses only the fixture `scene`, with our own nodes, and `put_off`.
"""

import dataclasses
import json
import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.grade.criteria import Criterion, is_asked, make_criterion
from lab.grade.result import Outcome
from lab.grade.scene import Scene
from lab.grade.settings import CRITERION_SECONDS, SLOW_SECONDS, Settings
from lab.grade.shortcomings import FAILED, INCONCLUSIVE, Judgement, judge
from lab.grade.sweep import adopt_orphans

WEIGHTY = 5
"""`make test` runs only basics with at least this many points. All of them together take most of a minute."""

SETTINGS = pytest.StashKey[Settings]()
OUTCOME = pytest.StashKey[Outcome]()
SCENE = pytest.StashKey[Scene]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that only the runner gives."""
    group = parser.getgroup("grade")
    group.addoption("--grade", metavar="FILE", help="the settings of a run of lab.grade")


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings. Before there are workers, start the submission once, and write into the
    settings what it can do."""
    if config.getoption("grade"):
        adopt_orphans()
        path = Path(config.getoption("grade"))
        settings = config.stash[SETTINGS] = Settings.load(path)
        if "PYTEST_XDIST_WORKER" not in os.environ and not settings.is_ours:
            try_start(settings)
            settings.save(path)


def try_start(settings: Settings) -> None:
    """Find out whether the submission starts, and whether it opens our wallets."""
    for takes_wallets in ([True, False] if settings.stage >= 3 else [False]):
        settings.takes_wallets, settings.does_not_start = takes_wallets, ""
        with Scene(settings, "start", settings.folder / "start") as scene:
            try:
                assert scene.start().address
                return
            except AssertionError as error:
                said = [f"; it has written to standard error: {line[:300]}" for node in scene.nodes
                        for line in node.error_lines()[-1:]]
                settings.does_not_start = f"the node does not start: {scene.violation or error}{''.join(said)}"


def criterion_of(item: pytest.Item) -> Criterion | None:
    """The criterion that a test is, if it is one."""
    marker = item.get_closest_marker("criterion")
    if marker is None or not isinstance(item, pytest.Function):
        return None
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return make_criterion(item.name, own_stage(item.path), item.function.__doc__ or "", marker, parameters)


def own_stage(path: Path) -> int:
    """The stage in whose folder a test is."""
    found = re.match(r"stage(\d)_", path.parent.name)
    assert found is not None, f"{path} has a criterion, but is not in a folder of one stage"
    return int(found[1])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only the criteria of this run, and write a list of them into its folder."""
    if SETTINGS in config.stash:
        _pick(config.stash[SETTINGS], items)


def put_off(items: list[pytest.Item]) -> None:
    """Mark as `long` the criteria that `make test` leaves to `make test-long`."""
    for item in items:
        criterion = criterion_of(item)
        if criterion and (criterion.hardening or criterion.slow or criterion.points < WEIGHTY):
            item.add_marker(pytest.mark.long)


def _pick(settings: Settings, items: list[pytest.Item]) -> None:
    asked: list[tuple[Criterion, pytest.Item]] = []
    for item in items:
        criterion = criterion_of(item)
        if criterion and is_asked(criterion, settings.stage, settings.only, settings.only_this_stage,
                                  settings.cli_only, settings.slow):
            asked.append((criterion, item))
            limit = (SLOW_SECONDS if criterion.slow else CRITERION_SECONDS) * settings.factor
            item.add_marker(pytest.mark.timeout(limit))
    asked.sort(key=lambda pair: (pair[0].stage != settings.stage, pair[0].hardening))
    items[:] = [item for _, item in asked]
    listed = settings.folder / f"criteria-{os.getpid()}"
    listed.write_text(json.dumps([dataclasses.asdict(criterion) for criterion, _ in asked]))
    listed.replace(settings.folder / "criteria.json")


@pytest.fixture(name="scene")
def scene_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """The nodes and peers of a criterion. Without a run of the grader they are our own, of the criterion's stage."""
    criterion = criterion_of(request.node)
    key = criterion.key if criterion else request.node.name
    settings = request.config.stash.get(SETTINGS, None)
    folder = tmp_path / "scene" if settings is None else settings.folder / "criteria" / key
    used = settings or Settings(own_stage(request.node.path), folder)
    with Scene(used, key, folder) as one:
        request.node.stash[SCENE] = one
        yield one


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]
                              ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge what was raised, and send the outcome along with the last report."""
    report = yield
    criterion = criterion_of(item)
    if SETTINGS in item.config.stash and criterion is not None:
        error = call.excinfo.value if call.excinfo else None
        judgement = judge(error, criterion.rule)
        if judgement.verdict in (FAILED, INCONCLUSIVE) and call.when == "call" and SCENE in item.stash:
            add_crashes(judgement, item.stash[SCENE])
        if item.stash.get(OUTCOME, None) is None or judgement.verdict != "passed":
            earlier = item.stash.get(OUTCOME, None)
            if earlier is None or earlier.verdict == "passed":
                item.stash[OUTCOME] = Outcome(criterion, judgement.verdict, judgement.expected, judgement.actual,
                                              folder=f"criteria/{criterion.key}")
        outcome = item.stash[OUTCOME]
        outcome.seconds = round(outcome.seconds + call.duration, 3)
        if call.when == "teardown":
            _add_violation(item, outcome)
            report.user_properties.append(("outcome", json.dumps(dataclasses.asdict(outcome))))
    return report


def add_crashes(judgement: Judgement, scene: Scene) -> None:
    """Add to the reason which nodes have crashed: what one node lacks may be the fault of another one."""
    told = [one for one in scene.crashes() if one.partition(" had")[0] not in judgement.actual]
    judgement.actual = "; ".join([judgement.actual, *told])


def _add_violation(item: pytest.Item, outcome: Outcome) -> None:
    scene_of_item = item.stash.get(SCENE, None)
    if scene_of_item is not None and scene_of_item.violation:
        judged = Judgement(FAILED, "few processes and little on the disk", scene_of_item.violation)
        outcome.verdict, outcome.expected, outcome.actual = judged.verdict, judged.expected, judged.actual


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Pass the outcome on to the runner, if this is the process that has started the workers."""
    target = os.environ.get("GRADE_OUTCOMES_TO")
    if target and "PYTEST_XDIST_WORKER" not in os.environ:
        for name, value in report.user_properties:
            if name == "outcome":
                os.write(int(target), (str(value) + "\n").encode())


