"""A playground for tests: real nodes, driven by the lines that people type, and the log that people see."""

import time
from collections.abc import Callable
from pathlib import Path

from lab.live.launcher import Settings
from lab.live.playground import Playground
from lab.live.commands import run
from lab.live.table import Snapshot, Table
from lab.live.words import Line
from lab.nodes.workload import KeyRing
from tests.processes import DEADLINE

QUICK = {4: ("--interval", "0.3"), 5: ("--slot", "0.2", "--rate", "0.5")}
"""The founder's options, so that blocks come quickly."""


class Play:
    """A network, its log so far, and methods to let it run."""

    def __init__(self, stage: int, nodes: int, keys: KeyRing | None, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.lines: list[Line] = []
        self.playground = Playground(Settings(stage, nodes, seed=1, founding=QUICK.get(stage, ())), keys, folder,
                                     self.lines.append)
        self._table = Table(self.playground)

    def __enter__(self) -> "Play":
        try:
            self.playground.start_all()
        except BaseException:
            self.playground.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        statuses = self.playground.close()
        assert set(statuses) <= {0}, statuses

    def type(self, *lines: str) -> None:
        """Type lines at the prompt."""
        for line in lines:
            run(self.playground, line)

    def until(self, question: Callable[[], object]) -> None:
        """Let the network run until the answer is yes."""
        deadline = time.monotonic() + DEADLINE
        while not question():
            assert time.monotonic() < deadline, "\n".join(map(str, self.lines))
            self.playground.wait(0.1)

    def wait_for(self, text: str, since: int = 0) -> Line:
        """The first line of the log, from number `since` on, that contains `text`."""
        def found() -> Line | None:
            return next((line for line in self.lines[since:] if text in str(line)), None)
        self.until(found)
        line = found()
        assert line is not None
        return line

    def shown(self, *texts: str) -> bool:
        """Does the log contain these lines, one right after the other?"""
        lines = list(map(str, self.lines))
        return any(lines[place:place + len(texts)] == list(texts) for place in range(len(lines)))

    def snapshot(self) -> Snapshot:
        """The current table."""
        return self._table.snapshot()

    def ledger(self, number: int) -> dict[str, int]:
        """The ledger of a node, with the names that people see."""
        names = self.playground.log.names
        return {names.of(account): balance for account, balance in self.playground.view(number).ledger.items()}
