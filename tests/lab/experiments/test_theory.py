"""Closed forms compared with numbers that are known."""

from fractions import Fraction
from math import comb

import pytest

from lab.experiments.chains import chance_of
from lab.experiments.theory import best_private_fork, excursion, quality_bound, race, selfish_share, settlement, withholding


def test_the_margin_recurrence() -> None:
    known = {0.1: {10: 6.1e-3, 50: 1.2e-9}, 0.2: {10: 7.5e-2, 50: 8.7e-5, 100: 2.3e-8}, 0.3: {10: 2.8e-1, 50: 1.9e-2, 100: 8.0e-4}}
    for share, points in known.items():
        chances = settlement(max(points), share)
        assert {slots: float(f"{chances[slots]:.1e}") for slots in points} == points


@pytest.mark.parametrize("share, depth", [("0.1", 1), ("0.1", 6), ("0.1", 40), ("0.3", 6), ("0.45", 20)])
def test_the_race_has_the_chance_of_the_exact_sum(share: str, depth: int) -> None:
    q = Fraction(share)
    exact = 1 - sum(((1 - q)**depth * q**k - q**depth * (1 - q)**k) * comb(k + depth - 1, k) for k in range(depth))
    assert race(depth, float(q)) == pytest.approx(float(exact), rel=1e-9)


def test_a_race_is_won_with_half_of_the_stake_and_lost_with_none() -> None:
    assert race(5, 0.5) == race(0, 0.2) == 1 and race(5, 0.0) == 0


def test_an_attacker_with_less_stake_than_the_others_is_caught_in_the_end() -> None:
    assert sum(excursion(depth, 0.3) for depth in range(1, 400)) == pytest.approx(1)


def test_the_longest_rollback_by_withholding() -> None:
    def median(share: float, wins_ties: bool) -> int:
        return withholding(chance_of(share), chance_of(1 - share), 3_600, wins_ties)

    assert [median(share, True) for share in (0.1, 0.2, 0.3)] == [2, 5, 10]
    assert [median(share, False) for share in (0.1, 0.2, 0.3)] == [1, 3, 6]
    assert median(0.4, True) == pytest.approx(23, abs=1) and median(0.4, False) == pytest.approx(16, abs=1)


def test_the_best_private_fork_is_bounded() -> None:
    known = {0.1: 4, 0.2: 7, 0.3: 15, 0.4: 39}
    for share, measured in known.items():
        assert best_private_fork(chance_of(share), chance_of(1 - share), 3_600) >= measured


def test_selfish_mining() -> None:
    assert round(selfish_share(0.25, 0), 3) == 0.195 and round(selfish_share(0.2, 0), 3) == 0.130
    assert selfish_share(1 / 3, 0) == pytest.approx(1 / 3), "from a third on it pays, even if all ties are lost"
    assert selfish_share(0.2, 1) < quality_bound(0.2) == 0.25
