"""The lottery compared with theory."""

from pathlib import Path

import pytest

from lab.experiments.lottery import PERMILLE, Lottery, expected_share, find_hardness, split_stake
from stage5_pos.genesis import TICKETS
from tests.lab.experiments.inline import draw_page, measure


def test_the_quick_form_leaves_a_page_with_its_picture(tmp_path: Path) -> None:
    rows = measure(Lottery(), tmp_path)
    assert len(rows) == 16 and all(0 <= float(row["made"]) <= float(row["won"]) <= 1 for row in rows)
    page = draw_page(Lottery(), rows, tmp_path)
    assert page.count("<svg") == 1 and "<img" not in page and "Who wins the slots" in page and "the quick form" in page


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
def test_the_threshold_is_within_5_percent_of_the_diagonal_and_splitting_changes_nothing(share: float) -> None:
    assert expected_share("threshold", share, 1) == expected_share("threshold", share, 20)
    assert abs(expected_share("threshold", share, 1) / share - 1) < 0.05
    row, = Lottery().run({"rule": "threshold", "share": share, "keys": 2, "slots": 4_000}, seed=1)
    assert float(row["won"]) == pytest.approx(share, abs=0.05)


def test_stake_times_hash_is_far_off_unless_all_stakes_are_equal() -> None:
    assert expected_share("product", 0.1, 1) == pytest.approx(0.1, rel=0.1), "ten equal stakes"
    assert expected_share("product", 0.05, 1) == 0, "a small holder never wins"
    assert expected_share("product", 0.3, 1) == pytest.approx(1), "a large one wins all"
    assert expected_share("product", 0.3, 4) == 0, "unless it splits its stake"


def test_the_hardness_gives_a_tenth_of_the_slots_a_winner() -> None:
    stakes = split_stake(0.1, 1)
    hardness = find_hardness(stakes)
    chance = 1 - (hardness / (TICKETS * stakes[0])) ** 10
    assert chance == pytest.approx(PERMILLE / 1000, rel=1e-6)
