"""How long until all ledgers are equal: theory, what counts as equal, and the quick form on real nodes."""

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from lab.experiments.convergence import Convergence, Tries, count_copies, count_hops, expected, seconds_of_a_copy
from lab.experiments.experiment import Row
from lab.nodes.processes import NodeProcess
from tests.lab.experiments.inline import draw_page, measure


class Answers:
    """A node that answers each `/ledger` with the next of some ledgers."""

    stage, pid = 2, 1

    def __init__(self, *ledgers: dict[str, int]) -> None:
        self.events: list[Any] = []
        self._ledgers: Iterator[dict[str, int]] = iter(ledgers)

    def type(self, line: str) -> None:
        if line == "/ledger":
            self.events.append({"event": "ledger", "accounts": next(self._ledgers)})

    def wait_for(self, event: str, timeout: float, since: int) -> Any:
        return self.events[since]


def test_ledgers_are_equal_once_each_has_all_payments_and_nothing_differs() -> None:
    nodes = [Answers({"sink": 1}, {"sink": 2}, {"sink": 2}, {"sink": 2}),
             Answers({"sink": 1}, {"sink": 1}, {"sink": 2, "creator": 10}, {"sink": 2})]
    tries = Tries(cast("list[NodeProcess]", nodes), "sink", random.Random(1))
    for node in tries.nodes:
        tries.pay(node)
    assert [tries.are_equal() for _ in range(4)] == [False, False, False, True]


def test_theory_knows_hops_copies_and_waits() -> None:
    assert [count_hops(nodes) for nodes in (2, 10, 25, 26, 50, 1_000)] == [1, 1, 1, 2, 2, 3]
    assert [count_copies(nodes) for nodes in (2, 10, 50)] == [2, 90, 1_200]
    rows: list[Row] = [{"stage": stage, "nodes": 2, "seconds": 0.01, "busy": 0.02} for stage in (2, 3)]
    assert seconds_of_a_copy(rows) == 0.001
    assert [expected(rows, stage, 10, 1.0 if stage > 3 else 0.0) for stage in (2, 3, 4, 5)] == pytest.approx(
        [0.91, 0.91, 0.6, 0.1 + math.log(2)])


@pytest.mark.usefixtures("keys")
def test_the_quick_form_leaves_a_page_with_its_picture(tmp_path: Path) -> None:
    rows = measure(Convergence(), tmp_path)
    assert [row["stage"] for row in rows] == [2, 2, 5, 5]
    assert "Stage 5, 2 nodes: " in draw_page(Convergence(), rows, tmp_path)
