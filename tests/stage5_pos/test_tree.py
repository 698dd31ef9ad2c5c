"""Which chain is the best: the answer is the same for every order in which blocks arrive."""

import random

from hypothesis import given
from hypothesis import strategies as st

from stage5_pos.drawing import draw_tree
from stage5_pos.tree import Block, Tree

shapes = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 3)), min_size=1, max_size=25)
"""For each block, which earlier one is its parent, and its lottery value. There are few values, so ties are common."""


def make_blocks(shape: list[tuple[int, int]]) -> list[Block]:
    """Blocks in an order in which parents come first."""
    blocks: list[Block] = []
    for slot, (parent, value) in enumerate(shape, start=1):
        parents = ["genesis", *(block.id for block in blocks)]
        blocks.append(Block(f"{slot * 7919 % 1000:03}", slot, parents[parent % len(parents)], "c", value, [], b""))
    return blocks


def heights(blocks: list[Block]) -> dict[str, int]:
    """The height of each block, by following its parents."""
    found = {"genesis": 0}
    for block in blocks:
        found[block.id] = found[block.parent_id] + 1
    return found


@given(shapes, st.integers(0, 2**32))
def test_the_best_tip_does_not_depend_on_the_order_of_arrival(shape: list[tuple[int, int]], seed: int) -> None:
    expected = min(make_blocks(shape), key=lambda block: (-heights(make_blocks(shape))[block.id], block.value, block.id))
    waiting, tree, generator = make_blocks(shape), Tree("genesis"), random.Random(seed)
    while waiting:
        block = generator.choice([block for block in waiting if block.parent_id in tree])
        waiting.remove(block)
        before = tree.best
        path = tree.add(block)
        assert path.done == [] or (path.done[-1] is tree.best is block)
        assert tree.path(before, tree.best) == path
    assert tree.best.id == expected.id
    assert [block.height for block in tree.chain] == list(range(tree.best.height + 1))
    assert tree.chain[-1] is tree.best and all(map(tree.is_on_best_chain, tree.chain))


def line(length: int) -> Tree:
    """A tree without forks."""
    tree = Tree("genesis")
    for height in range(1, length + 1):
        tree.add(Block(f"b{height}", height, f"b{height - 1}" if height > 1 else "genesis", "c", 0, [], b""))
    return tree


def test_a_locator_has_ten_single_steps_then_doubling_ones_and_the_genesis() -> None:
    assert line(0).locator() == ["genesis"]
    assert line(3).locator() == ["b3", "b2", "b1", "genesis"]
    assert line(40).locator() == [*(f"b{height}" for height in range(40, 30, -1)), "b29", "b25", "b17", "b1", "genesis"]
    assert len(line(20_000).locator()) <= 100


def test_what_comes_after_a_locator_begins_at_its_first_id_on_the_best_chain() -> None:
    tree = line(5)
    tree.add(Block("side", 9, "b1", "c", 0, [], b""))
    assert [block.id for block in tree.after_locator(["unknown", "side", "b3", "b1"])] == ["b4", "b5"]
    assert tree.after_locator(["unknown", "side"]) == []
    assert [block.id for block in tree.after_locator(["genesis"])] == ["b1", "b2", "b3", "b4", "b5"]


def test_the_drawing_marks_the_best_chain_and_where_a_branch_forks() -> None:
    tree = line(3)
    tree.add(Block("side", 9, "b1", "c", 0, [], b""))
    drawn = draw_tree(tree)
    assert [text.split("  ")[0].strip() for text in drawn] == ["*", "*", "| o", "*", "*"]
    assert "side" in drawn[2] and drawn[2].endswith("forks from b1")
    assert drawn[-1] == "*  genesis genesis"
