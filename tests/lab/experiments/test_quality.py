"""The attacker's share of the best chain."""

from pathlib import Path

import pytest

from lab.experiments.attackers import Selfish
from lab.experiments.chains import share_of_blocks
from lab.experiments.quality import Quality, measure_share
from lab.experiments.theory import quality_bound
from stage5_pos.node import StakeNode
from tests.lab.experiments.inline import draw_page, measure


def test_an_attacker_that_keeps_to_the_rules_has_the_share_of_its_stake() -> None:
    assert measure_share(1, 3, 1_800, StakeNode, "contract") == pytest.approx(share_of_blocks(0.3), abs=0.06)


def test_withholding_pays_where_ties_are_won_and_costs_where_they_are_lost() -> None:
    honest, lost, won = (measure_share(2, 2, 1_800, *how) for how in
                         [(StakeNode, "contract"), (Selfish, "lost"), (Selfish, "won")])
    assert lost < honest < won < quality_bound(share_of_blocks(0.2)) + 0.06


def test_the_quick_form_leaves_a_page_with_its_picture(tmp_path: Path) -> None:
    rows = measure(Quality(), tmp_path)
    assert len(rows) == 1 and "upper bound 0." in draw_page(Quality(), rows, tmp_path)
