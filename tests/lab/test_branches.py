"""How the playground colours and draws the tree of blocks (lab/live/branches.py), and the colours of other stages."""

import pytest

from lab.live.branches import CELL, COLOURS, Branches
from lab.live.table import Colours


def grow(branches: Branches, parent: str, *ids: str) -> None:
    """Add a chain of blocks on a parent. The first character of an id names the block's creator."""
    for block_id in ids:
        height = branches.blocks[parent].height + 1 if parent in branches.blocks else 1
        branches.add({"id": block_id, "parent": parent, "height": height}, block_id[0])
        parent = block_id


def drawn(branches: Branches, *arguments: object) -> list[str]:
    """The drawing without colours."""
    return ["".join(piece.text for piece in line) for line in branches.draw(*arguments)]  # type: ignore[arg-type]


def test_a_branch_keeps_its_colour_and_a_fork_gets_a_new_one() -> None:
    branches = Branches()
    grow(branches, "genesis", "a1", "a2", "a3")
    grow(branches, "a1", "b2", "b3")
    grow(branches, "a1", "c2")
    colours = [branches.colour(one) for one in ("genesis", "a1", "a2", "a3", "b2", "b3", "c2")]
    assert colours[:4] == [0] * 4
    assert colours[4] == colours[5] != colours[6] and 0 not in colours[4:]
    assert branches.colour("unheard of") == 0


def test_a_new_branch_does_not_take_a_colour_that_is_shown() -> None:
    branches = Branches()
    grow(branches, "genesis", "a1")
    used = set(range(COLOURS)) - {4}
    assert branches.add({"id": "b1", "parent": "genesis", "height": 1}, "b", used).colour == 4
    assert branches.rivals(branches.blocks["b1"]) == [branches.blocks["a1"]]


def test_the_tree_is_drawn_from_left_to_right_with_one_line_for_each_branch() -> None:
    branches = Branches()
    grow(branches, "genesis", "1aaaaaa", "2bbbbbb", "3cccccc")
    grow(branches, "1aaaaaa", "4dddddd")
    assert drawn(branches, {"3cccccc": "<- 1-3", "4dddddd": "<- 4"}, 98) == [
        "       1       2       3",
        "──1:1aaa──2:2bbb──3:3ccc <- 1-3",
        "        └─4:4ddd <- 4"]


def test_a_node_that_lags_stands_below_its_block() -> None:
    branches = Branches()
    grow(branches, "genesis", "1aaaaaa", "2bbbbbb")
    assert drawn(branches, {"2bbbbbb": "<- 1", "1aaaaaa": "<- 2"}, 98)[2] == "       ^ <- 2"


def test_only_the_newest_heights_and_the_blocks_that_a_node_knows_are_drawn() -> None:
    branches = Branches()
    grow(branches, "genesis", *(f"{height}xxxxx" for height in range(1, 20)))
    lines = drawn(branches, {}, 40)
    assert lines == ["      17      18      19", "──1:17xx──1:18xx──1:19xx"]
    assert drawn(branches, {"5xxxxx": "<- 4", "19xxxxx": "<- 1", "16xxxxx": "<- 2-3"}, 40) == [
        lines[0], lines[1] + " <- 1", "─1:16xx at height 16 <- 2-3", "─5:5xxx at height 5 <- 4"]
    assert drawn(branches, {}, 40, ["1xxxxx"]) == ["       1", "──1:1xxx"]
    assert drawn(Branches(), {}, 40) == ["no blocks yet"]


def deep_fork() -> Branches:
    """Two branches of 40 blocks each. They fork at height 5."""
    branches = Branches()
    grow(branches, "genesis", *(f"{height}aa" for height in range(1, 46)))
    grow(branches, "5aa", *(f"{height}bb" for height in range(6, 46)))
    return branches


def test_branches_that_parted_long_ago_show_their_common_block() -> None:
    assert drawn(deep_fork(), {"45aa": "<- 1", "45bb": "<- 2"}, 60) == [
        "       5 … 38 blocks …        44      45",
        "───5:5aa─┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄──4:44aa──4:45aa <- 1",
        "        └┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄──4:44bb──4:45bb <- 2"]


def test_a_fork_stands_under_its_parent_even_in_a_gap() -> None:
    branches = deep_fork()
    grow(branches, "30aa", *(f"{height}cc" for height in range(31, 46)))
    lines = drawn(branches, {}, 48)
    assert [line[:17] for line in lines[1:]].count("        └┄┄┄┄┄┄┄─") == 2, lines


def rolled_back() -> Branches:
    """A branch of 28 blocks that forks at height 5 and was abandoned at height 33. The other branch is at 45 by now."""
    branches = Branches()
    grow(branches, "genesis", *(f"{height}aa" for height in range(1, 46)))
    grow(branches, "5aa", *(f"{height}bb" for height in range(6, 34)))
    return branches


def test_after_a_deep_rollback_the_fork_and_the_end_of_the_abandoned_branch_are_drawn() -> None:
    assert drawn(rolled_back(), {"45aa": "<- 1-10"}, 80) == [
        "       5 … 27 blocks …        33 … 10 blocks …        44      45",
        "───5:5aa─┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄──3:33aa─┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄──4:44aa──4:45aa <- 1-10",
        "        └┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄──3:33bb"]
    assert drawn(rolled_back(), {"45aa": "<- 1-10"}, 40) == [
        "       5 … 39 …       45", "───5:5aa─┄┄┄┄┄┄┄──4:45aa <- 1-10", "        └┄┄┄┄┄┄┄ 3:33bb at height 33"]


@pytest.mark.parametrize("width", [24, 30, 40, 60, 80, 100, 200, 400])
def test_a_deep_fork_is_never_lost(width: int) -> None:
    for tips in ({"45aa": "<- 1-10"}, {"45aa": "<- 1-5", "33bb": "<- 6-10"}):
        title, first, second = drawn(rolled_back(), tips, width)
        place = second.index("└")
        assert first[:place].endswith("──5:5aa") and title[:place].endswith(" 5")


def test_the_last_deep_rollback_is_drawn_and_small_ones_are_not() -> None:
    branches = rolled_back()
    grow(branches, "10aa", *(f"{height}cc" for height in range(11, 16)))
    grow(branches, "34aa", "35dd", "36dd")
    assert [line.strip() for line in drawn(branches, {}, 80)[2:]] == ["└┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄──3:33bb"]


def test_two_branches_on_the_genesis_begin_at_height_1() -> None:
    branches = Branches()
    grow(branches, "genesis", *(f"{height}aa" for height in range(1, 46)))
    grow(branches, "genesis", *(f"{height}bb" for height in range(1, 44)))
    lines = drawn(branches, {"45aa": "<- 1", "43bb": "<- 2"}, 80)
    assert [line[:8] for line in lines] == ["       1", "───1:1aa", "───1:1bb"]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_allowed_and_wide_drawings_show_more(width: int) -> None:
    tips = {"45aa": "<- " + ",".join(map(str, range(1, 31, 2))), "45bb": "<- 2", "20aa": "<- 4", "44bb": "<- 6"}
    lines = drawn(deep_fork(), tips, width)
    assert max(map(len, lines)) <= width
    assert len(lines[0].split()) >= (width - width // 2) // CELL - 1


def test_groups_keep_their_colours_while_members_come_and_go() -> None:
    colours = Colours()
    assert set(colours.choose([[1, 2, 3, 4]]).values()) == {0}
    parted = colours.choose([[1], [2, 3, 4]])
    assert (parted[2], parted[1]) == (0, 1), "the larger group keeps the colour"
    assert colours.choose([[1, 2], [3, 4]]) == {1: 1, 2: 1, 3: 0, 4: 0}
    many = colours.choose([[number] for number in range(1, 11)])
    assert set(many.values()) <= set(range(COLOURS))
