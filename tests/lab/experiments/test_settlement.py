"""How deep is safe: races on nodes, and margins on draws."""

from pathlib import Path

import pytest

from lab.experiments.chains import share_of_blocks
from lab.experiments.settlement import Settlement, draw_slots, find_margin, look_at_draws, race_on_nodes, share_of_slots
from lab.experiments.theory import race, settlement
from tests.lab.experiments.inline import draw_page, measure


def test_races_on_nodes_end_as_theory_says() -> None:
    tries, won = (sum(both) for both in zip(*(race_on_nodes(seed, 2, 2, 1_800) for seed in (1, 2)), strict=True))
    assert tries > 60 and won / tries == pytest.approx(race(2, share_of_blocks(0.2)), abs=0.12)


def test_the_best_attack_on_draws_is_as_good_as_theory_says() -> None:
    tries, undone = look_at_draws(1, 3, 10, 3_600)
    assert undone / tries == pytest.approx(settlement(10, share_of_slots(0.3))[10], abs=0.06)


@pytest.mark.parametrize("reach, slots, margin", [(0, "", 0), (0, "g", -1), (1, "g", 0), (1, "bg", 1), (0, "gb", 0), (0, "gbb", 1),
                                                  (2, "ggg", -1), (0, "gbbgg", 0), (0, "gbbggg", -1)])
def test_the_margin(reach: int, slots: str, margin: int) -> None:
    assert find_margin(reach, [slot == "b" for slot in slots]) == margin


def test_the_margin_stays_at_nothing_while_the_reach_is_more() -> None:
    # After "gbb" from reach 0 the reach is 2 and the margin 1. A good slot takes both down, the next one only the reach.
    assert [find_margin(0, [slot == "b" for slot in "gbb" + "g" * more]) for more in range(4)] == [1, 0, 0, -1]


def test_draws_win_as_often_as_in_the_lottery() -> None:
    slots = draw_slots(1, 3, 2_000)
    assert len(slots) == pytest.approx(200, abs=40) and sum(slots) / len(slots) == pytest.approx(share_of_slots(0.3), abs=0.08)


def test_the_quick_form_leaves_a_page_with_its_picture(tmp_path: Path) -> None:
    rows = measure(Settlement(), tmp_path)
    assert [(row["how"], row["depth"]) for row in rows] == [("nodes", 1), ("nodes", 4), ("draws", 10)]
    assert "slots with a block against every attack" in draw_page(Settlement(), rows, tmp_path)
