"""Forks compared with theory: points that are known, on fixed seeds."""

from pathlib import Path

import numpy as np
import pytest

from lab.experiments.chains import Chain, rules_of
from lab.experiments.experiment import Point, column
from lab.experiments.forks import Forks, growth, orphans
from tests.lab.experiments.inline import draw_page, measure


def test_theory_gives_the_known_points() -> None:
    assert [round(growth(delay), 3) for delay in (0, 1, 2)] == [0.1, 0.091, 0.083]
    assert [round(orphans(delay), 3) for delay in (0, 1, 2)] == [0.046, 0.133, 0.205]


@pytest.mark.parametrize("delay", [0, 1, 2])
def test_nodes_in_memory_do_as_theory_says(delay: int) -> None:
    rows = [row for seed in (3, 4) for row in Forks().run({"how": "memory", "delay": delay, "slots": 1_200}, seed)]
    assert np.mean(column(rows, "growth")) == pytest.approx(growth(delay), abs=0.015)
    assert np.mean(column(rows, "orphans")) == pytest.approx(orphans(delay), abs=0.03)


def test_the_quick_form_leaves_a_page_with_its_picture(tmp_path: Path) -> None:
    rows = measure(Forks(), tmp_path)
    assert [row["delay"] for row in rows] == [0, 0, 1, 1, 2, 2]
    page = draw_page(Forks(), rows, tmp_path)
    assert page.count("<svg") == 1 and "theory 0.091" in page


def test_the_same_seed_gives_the_same_rows() -> None:
    point: Point = {"how": "memory", "delay": 2, "slots": 200}
    assert Forks().run(point, 5) == Forks().run(point, 5) != Forks().run(point, 6)


@pytest.mark.parametrize("delay", [0, 3])
def test_a_maker_does_not_know_the_blocks_of_the_last_slots(delay: int) -> None:
    with rules_of(2):
        chain = Chain(2, delay)
        chain.run(900)
        chain.settle()
        blocks = chain.honest[0].tree.blocks
    apart = [block.slot - parent.slot for block in blocks.values()
             if (parent := blocks.get(block.parent_id)) is not None and parent.slot and block.creator != parent.creator]
    assert apart and min(apart) == delay + 1, "slots between a block and one of another creator that builds on it"
