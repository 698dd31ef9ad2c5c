"""The tests of one task, in a process of its own, which is killed if it does not end by itself.

The process reports what happens through a pipe, one JSON object a line (plugin.py). Its output comes through another
one. So an endless loop, even one that never returns to Python, becomes a failure of one line, and so does endless
output.
"""

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

EVENTS, TASK, TRACES = "TASKS_EVENTS", "TASKS_TASK", "TASKS_TRACES"
"""The environment variables of the process: the pipe, the number of the task, the file for stacks of hanging tests."""

MAX_OUTPUT = 4 * 1024 * 1024
"""Bytes that one test may print."""

LAST_SHOWN = 2_000
"""How many of the last bytes of output are kept."""

START_SECONDS, END_SECONDS = 60.0, 5.0
"""The time that the process has to load the tests, and to end after the last one."""


class Failure(NamedTuple):
    """The first test of a task that has failed."""

    test: str
    lines: Sequence[str]
    """The explanation for the student."""
    others: int = 0
    """How many more cases of this test fail for the same reason."""


class Outcome(NamedTuple):
    """How the tests of a task have ended."""

    passed: int
    total: int
    failure: Failure | None

    @property
    def is_done(self) -> bool:
        """Do all tests pass?"""
        return self.failure is None and self.passed == self.total > 0


class Child:
    """The process, seen from its parent, which waits for it."""

    def __init__(self, folder: Path, task: int, tests: Sequence[str], limit: float, traces: Path) -> None:
        """Start it in `folder`. One test has `limit` seconds. `traces` is a file for the stack of a test that hangs."""
        self.limit = limit
        self.traces = traces
        self.total = self.passed = 0
        self.failures: list[tuple[str, str, list[str]]] = []
        """Test, cause and lines of those that failed."""
        self.running, self.is_finished = "", False
        self.threads: list[str] = []
        """The names of threads that still ran when the tests were over, and that keep their process alive."""
        self.deadline = time.monotonic() + START_SECONDS
        self.printed, self.output = 0, b""
        news, told = os.pipe()
        environment = {**os.environ, EVENTS: str(told), TASK: str(task), TRACES: str(traces),
                       "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "pytest", "-p", "lab.tasks.plugin", "-p", "no:xdist", "-q", "--no-summary",
                   "-p", "no:cacheprovider", "--capture=no", "--timeout=0", "--continue-on-collection-errors", *tests]
        self.process = subprocess.Popen(command, cwd=folder, env=environment, pass_fds=[told], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        os.close(told)
        self._news, self._waiting = news, b""

    def wait(self) -> Outcome:
        """Read what it reports until it ends, or kill it when its time is over."""
        try:
            self._follow()
            self._await_end()
        finally:
            self._end()
        if not self.failures and self.process.returncode and not self.total:
            self._fail("the tests could not be loaded", "", self._last_output())
        if not self.failures:
            return Outcome(self.passed, self.total, None)
        test, cause, lines = self._first_failure()
        others = [one for one in self.failures[1:] if one[1] == cause and _function(one[0]) == _function(test)]
        return Outcome(self.passed, max(self.total, 1), Failure(test, lines, len(others) if cause else 0))

    def _first_failure(self) -> tuple[str, str, list[str]]:
        """The first failure. If a node has ended, a later failure of the same test may say why, and counts instead."""
        first = self.failures[0]
        told = [one for one in self.failures if one[0] == first[0] and any("is not written yet" in it for it in one[2])]
        return told[0] if told else first

    def _follow(self) -> None:
        assert self.process.stdout is not None
        output = self.process.stdout.fileno()
        with selectors.DefaultSelector() as waiting:
            waiting.register(output, selectors.EVENT_READ, self._take_output)
            waiting.register(self._news, selectors.EVENT_READ, self._take_news)
            while not self.is_finished and self._news in waiting.get_map():
                ready = waiting.select(max(0.0, self.deadline - time.monotonic()))
                for key, _ in sorted(ready, key=lambda one: one[0].fd != output):
                    data = os.read(key.fd, 65_536)
                    if data:
                        key.data(data)
                    else:
                        waiting.unregister(key.fd)
                if self.printed > MAX_OUTPUT:
                    self._fail(self.running, "", [f"It prints without end: stopped after {MAX_OUTPUT // 2**20} MiB.",
                                                  *self._last_output()])
                    return
                if time.monotonic() > self.deadline:
                    self._fail(self.running or "the tests", "", [self._describe_hang()])
                    return

    def _await_end(self) -> None:
        """All tests are over: the process has a few seconds to end."""
        if self.failures and self.failures[-1][0] == self.running != "":
            return
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            # On a busy machine Python itself may take that long to end, and that is nobody's fault.
            if self.threads:
                self._fail(self.running or "after the tests", "",
                           [f"The tests are over, but a thread that they have started still runs: {self.threads[0]}."])

    def _end(self) -> None:
        """End it, and what it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        os.close(self._news)

    def _take_output(self, data: bytes) -> None:
        self.printed += len(data)
        self.output = (self.output + data)[-LAST_SHOWN:]

    def _take_news(self, data: bytes) -> None:
        *lines, self._waiting = (self._waiting + data).split(b"\n")
        for line in lines:
            self._take_event(json.loads(line))

    def _take_event(self, event: dict[str, Any]) -> None:
        if event["kind"] == "collected":
            self.total = event["tests"]
            self.deadline = time.monotonic() + self.limit
        elif event["kind"] == "begin":
            self.running, self.printed, self.output = event["test"], 0, b""
            self.deadline = time.monotonic() + self.limit
        elif event["kind"] == "finished":
            self.is_finished, self.threads = True, event["threads"]
        elif event["kind"] == "passed":
            self.passed += not self.failures
        else:
            self._fail(event["test"], event["cause"], event["lines"])

    def _fail(self, test: str, cause: str, lines: list[str]) -> None:
        self.failures.append((test, cause, lines))

    def _describe_hang(self) -> str:
        """Where the test was when its time was over."""
        text = self.traces.read_text("utf-8", errors="replace") if self.traces.exists() else ""
        own = re.search(r'File "[^"]*?((?:stage\d_\w+|tests)/\w+\.py)", line (\d+) in (\w+)', text)
        place = f", in {own[1]}:{own[2]} {own[3]}" if own else ""
        seconds = self.limit if self.total else START_SECONDS
        return f"It does not end: stopped after {seconds:g} seconds{place}."

    def _last_output(self) -> list[str]:
        lines = self.output.decode(errors="replace").splitlines()
        return [f"  {line}" for line in lines[-3:]]


def _function(test: str) -> str:
    return test.partition("[")[0]
