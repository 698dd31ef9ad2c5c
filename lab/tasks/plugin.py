"""The part of pytest that runs one task: it picks and orders its tests, stops at the first that fails, and says why.

Loaded by `-p lab.tasks.plugin`. The environment says which task it is, and where to report what happens (child.py).
After the first failure the other cases of the same test still run for a few seconds, to count those with the same
cause.
"""

import faulthandler
import json
import os
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, TextIO

import pytest
from hypothesis import Phase, settings
from hypothesis.internal.conjecture import engine

from lab.diagrams.svg import draw_svg
from lab.tasks.child import EVENTS, TASK, TRACES
from lab.tasks.explain import Compared, diagram_of, explain, find_unwritten, find_world, frames_of
from lab.tasks.table import TABLE, read_table

CASES_SECONDS = 5.0
"""How long the other cases of a failed test still run."""

SHRINKING_PART = 4
"""A test's time divided by this is what Hypothesis may spend on making a failing example small."""

DRAWING = "failure.svg"


class TaskRun:
    """One task in this process."""

    def __init__(self, root: Path, number: int, news: TextIO, traces: TextIO) -> None:
        self.root = root
        self.table = read_table(root / TABLE)
        self.place = next(place for place, task in enumerate(self.table.tasks) if task.number == number)
        self.news = news
        self.traces = traces
        self.own = ""
        self.compared: Compared | None = None
        self.failed: pytest.Function | None = None
        self.until = 0.0

    def tell(self, kind: str, **members: Any) -> None:
        """Report something to the parent process."""
        self.news.write(json.dumps({"kind": kind, **members}) + "\n")
        self.news.flush()

    # --- which tests ----------------------------------------------------------------------------

    def pytest_collection(self) -> None:
        """Let Hypothesis make a failing example small for a part of the test's time only. Otherwise the test would be
        stopped as one that does not end. Its notes on what else would fail take more runs, and are not shown."""
        engine.MAX_SHRINKING_SECONDS = max(1, round(self.table.limit / SHRINKING_PART))
        settings.register_profile("task", settings(), report_multiple_bugs=False,
                                  phases=[phase for phase in Phase if phase is not Phase.explain])
        settings.load_profile("task")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Only this task's tests, in the order of the table."""
        mine: dict[pytest.Item, tuple[int, int]] = {}
        for item in items:
            name = item.originalname if isinstance(item, pytest.Function) else item.name
            place = self.table.find(item.path.name, name)
            if place is not None and place[0] == self.place:
                mine[item] = place[1:]
        items[:] = sorted(mine, key=lambda item: mine[item])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Report how many tests there are."""
        self.own = next(iter(session.items)).path.parent.name if session.items else self.own
        self.tell("collected", tests=len(session.items))

    def pytest_exception_interact(self, call: pytest.CallInfo[Any], report: pytest.CollectReport | pytest.TestReport
                                  ) -> None:
        """Report a file of tests that cannot be loaded as one failure."""
        if isinstance(report, pytest.CollectReport) and call.excinfo is not None:
            error, own = call.excinfo.value, Path(report.nodeid).parent.name
            said = [line[2:].strip() for line in str(report.longrepr).splitlines() if line.startswith("E ")]
            unwritten = find_unwritten(error, list(frames_of(error.__traceback__)), own)
            self.tell("failed", test=report.nodeid, cause="", lines=[unwritten] if unwritten else said[:4])

    # --- one test -------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """A test begins, unless it is time to stop."""
        if self.failed is not None and isinstance(item, pytest.Function) and (
                item.originalname != self.failed.originalname or time.monotonic() > self.until):
            item.session.shouldstop = "the first failure is what counts"
            raise item.session.Interrupted(item.session.shouldstop)
        self.compared = None
        self.traces.truncate(0)
        self.traces.seek(0)
        faulthandler.dump_traceback_later(max(0.5, self.table.limit - 1), file=self.traces)
        self.tell("begin", test=item.nodeid)

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> None:
        """Remember what was compared."""
        self.compared = Compared(op, left, right)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Function, call: pytest.CallInfo[None]
                                  ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A phase of a test is over: its setup, its call, or its teardown."""
        report = yield
        if report.failed and call.excinfo is not None:
            told = explain(call.excinfo.value, self.own, self.compared)
            if self.failed is None:
                self.failed, self.until = item, time.monotonic() + CASES_SECONDS
                self._draw(call.excinfo.value, bool(told.cause))
            self.tell("failed", test=item.nodeid, cause=told.cause, lines=told.lines)
        elif report.when == "call" or report.skipped:
            self.tell("passed", test=item.nodeid)
        if report.when == "teardown":
            faulthandler.cancel_dump_traceback_later()
        return report

    def pytest_sessionfinish(self) -> None:
        """All tests are over; what they have started may still run."""
        running = [one.name for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
        self.tell("finished", threads=running)

    def _draw(self, error: BaseException, is_exception: bool) -> None:
        """Draw all messages into a file, if the test has run in memory."""
        world = find_world(frames_of(error.__traceback__))
        if world is not None and world.delivered:
            (self.root / DRAWING).write_text(draw_svg(diagram_of(world, is_exception)), "utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Begin, if this process was started for a task."""
    if EVENTS in os.environ:
        news = os.fdopen(int(os.environ[EVENTS]), "w", encoding="utf-8")
        traces = open(os.environ[TRACES], "w", encoding="utf-8")
        config.pluginmanager.register(TaskRun(config.rootpath, int(os.environ[TASK]), news, traces))
