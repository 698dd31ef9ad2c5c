"""The longest rollbacks: points that are known, on fixed seeds. Nodes do what hindsight says."""

import random
from pathlib import Path

import numpy as np
import pytest

from lab.experiments.attackers import CourseAttacker, UntilCaught, find_side_tips
from lab.experiments.chains import Chain, chance_of, rules_of
from lab.experiments.hindsight import plan_best_fork
from lab.experiments.rollbacks import Rollbacks, carry_out, find_best_forks, run_attack
from stage5_pos.tree import Block, Tree
from tests.lab.experiments.inline import draw_page, measure

SLOTS = 3_600


@pytest.mark.parametrize("ties, low, high", [("won", 5, 20), ("lost", 3, 18)])
def test_withholding_undoes_as_much_as_is_known(ties: str, low: int, high: int) -> None:
    with rules_of(1, 3, ties):
        assert low <= run_attack(UntilCaught, 1, 3, ties, SLOTS) <= high


@pytest.mark.parametrize("share, won, lost", [(0.1, 4, 2), (0.2, 7, 6), (0.3, 15, 13), (0.4, 39, 37)])
def test_the_best_private_fork_undoes_as_much_as_is_known(share: float, won: int, lost: int) -> None:
    choose = random.Random(1)
    depths: dict[str, list[int]] = {"won": [], "lost": []}
    for _ in range(20):
        others, own = ([(slot, 0) for slot in range(1, SLOTS + 1) if choose.random() < chance_of(part)]
                       for part in (1 - share, share))
        for ties, found in depths.items():
            found.append(plan_best_fork(others, own, ties)[0])
    medians = np.median(depths["won"]), np.median(depths["lost"])
    assert medians == pytest.approx((won, lost), rel=0.25, abs=1)


@pytest.mark.parametrize("ties", ["won", "contract", "lost"])
def test_nodes_do_what_hindsight_says(ties: str) -> None:
    with rules_of(2, 4, ties):
        depth, first, last = find_best_forks(2, 4, 500)[ties]
        assert depth > 3 and carry_out(2, 4, first, last) == depth


def test_an_attacker_with_more_than_half_of_the_stake_shows_its_branch_in_the_end() -> None:
    with rules_of(2, 8):
        assert run_attack(UntilCaught, 2, 8, "contract", 600) > 8


def test_the_attacker_of_the_course_builds_on_two_branches_with_one_ticket() -> None:
    with rules_of(1, 4):
        chain = Chain(1, bad_stakes=4, attacker=CourseAttacker)
        chain.run(400)
        chain.settle()
        bad = {key.account for key in chain.keys[6:]}
        made = [(block.creator, block.slot) for block in chain.honest[0].tree.blocks.values() if block.creator in bad]
    assert len(made) > len(set(made)) and chain.longest_rollback > 0


def test_the_second_longest_chain_and_the_longest_side_branch() -> None:
    tree = Tree("genesis")
    for name, slot, parent in [("a", 1, "genesis"), ("b", 2, "a"), ("c", 3, "b"), ("d", 4, "c"), ("d2", 5, "c"), ("x", 2, "genesis"),
                               ("y", 3, "x")]:
        tree.add(Block(name, slot, parent, "", slot, [], b""))
    assert [tip.id for tip in find_side_tips(tree, 9)] == ["d2", "y"]
    tree.remove(tree.blocks["d2"])
    assert [tip.id for tip in find_side_tips(tree, 9)] == ["c", "y"], "the best chain without its last block"
    straight = Tree("genesis")
    straight.add(Block("a", 1, "genesis", "", 0, [], b""))
    assert [tip.id for tip in find_side_tips(straight, 9)] == ["genesis"]


def test_the_quick_form_leaves_a_page_with_its_picture(tmp_path: Path) -> None:
    rows = measure(Rollbacks(), tmp_path)
    assert [row["attack"] for row in rows] == ["none", "course", "withhold", "fork"]
    assert "From half of the stake on" in draw_page(Rollbacks(), rows, tmp_path)


@pytest.mark.long
def test_real_nodes_are_attacked_too() -> None:
    row, = Rollbacks().run({"how": "sockets", "attack": "withhold", "phi": 0.5, "slots": 300}, 1)
    assert int(row["contract"]) >= 1
