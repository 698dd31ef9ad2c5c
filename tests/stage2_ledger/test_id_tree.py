"""The tree of ids, checked against a plain set, and its cost when it is large."""

import hashlib
import time
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage2_ledger.id_tree import HEX_DIGITS, MAX_LEAF, IdTree
from tests.sizes import and_long
from tests.stage2_ledger.scenes import random_ids, summary_of

far_ids = st.integers(0, 2**64).map(lambda number: hashlib.sha256(str(number).encode()).hexdigest())
near_ids = st.integers(0, 200).map(lambda number: f"{'ab' * 15}{number:034x}")
"""Ids that differ only in their last digits. There are more of them than a leaf holds, at the deepest place of all."""
id_sets = st.sets(st.one_of(far_ids, near_ids), max_size=200)
prefixes = st.one_of(st.text(HEX_DIGITS, max_size=3), near_ids.flatmap(
    lambda one: st.integers(0, 63).map(lambda length: one[:length])))


def tree_of(some: set[str]) -> IdTree:
    """A tree with these ids."""
    tree = IdTree()
    for one in sorted(some):
        tree.add(one)
    return tree


def sum_of(some: set[str], prefix: str) -> tuple[int, int]:
    """Count and sum of the ids that begin with the prefix."""
    values = [int(one, 16) for one in some if one.startswith(prefix)]
    return len(values), sum(values)


@given(id_sets, prefixes)
def test_a_part_has_the_sum_of_its_ids(some: set[str], prefix: str) -> None:
    tree = tree_of(some)
    assert tree.sum(prefix) == sum_of(some, prefix)
    assert tree.sums(prefix) == [sum_of(some, prefix + digit) for digit in HEX_DIGITS]
    assert sorted(tree.ids(prefix)) == sorted(one for one in some if one.startswith(prefix))


@given(st.lists(st.tuples(st.booleans(), st.one_of(far_ids, near_ids)), max_size=400), prefixes)
def test_after_an_id_is_removed_the_tree_is_as_if_it_had_never_come(steps: list[tuple[bool, str]], prefix: str) -> None:
    tree, expected = IdTree(), set[str]()
    for is_added, one in steps:
        if not is_added:
            tree.discard(one)
            expected.discard(one)
        elif one not in expected:
            tree.add(one)
            expected.add(one)
    assert tree.sums(prefix) == tree_of(expected).sums(prefix)
    assert sorted(tree.ids("")) == sorted(expected)
    assert tree.summary() == summary_of(sorted(expected))


def test_a_tree_that_was_emptied_is_one_leaf_again() -> None:
    tree = IdTree()
    some = [f"{number:064x}" for number in range(10 * MAX_LEAF)]
    for one in some:
        tree.add(one)
    assert tree.root.children is not None
    for one in some:
        tree.discard(one)
    assert tree.root.children is None and tree.sum("") == (0, 0) and tree.ids("") == [] and tree.summary() == {}


@given(id_sets, st.lists(st.text(HEX_DIGITS, max_size=2), unique=True, max_size=4), st.integers(1, 100))
def test_ids_are_taken_in_pieces_each_once(some: set[str], asked: list[str], most: int) -> None:
    asked = [one for one in asked if not any(one != other and one.startswith(other) for other in asked)]
    tree, left, pieces = tree_of(some), list(asked), list[list[str]]()
    while left:
        pieces.append(tree.take(left, most))
        assert len(pieces[-1]) <= most and (pieces[-1] or not left)
    assert sorted(one for piece in pieces for one in piece) == sorted(one for one in some if one.startswith(tuple(asked)))


# --- what it costs ----------------------------------------------------------------------------------


def cost(action: Callable[[], object]) -> float:
    """The processor time in seconds, the least of five runs."""
    taken = []
    for _ in range(5):
        begun = time.process_time()
        action()
        taken.append(time.process_time() - begun)
    return min(taken)


@pytest.mark.parametrize("kept", and_long([50_000], [1_000_000]))
def test_no_operation_takes_much_longer_in_a_much_larger_tree(kept: int) -> None:
    few, many = (tree_of(set(random_ids(count))) for count in (10_000, kept))
    ids = [f"{'f' * 10}{number:054x}" for number in range(60)]
    places = [f"{number:03x}" for number in range(0, 4096, 64)]

    def come_and_go(tree: IdTree) -> None:
        for one in ids:
            tree.add(one)
        for one in ids:
            tree.discard(one)

    actions: dict[str, Callable[[IdTree], object]] = {
        "add and discard": come_and_go, "sums": lambda tree: [tree.sums(place) for place in places],
        "take": lambda tree: tree.take([""], 1_000), "summary": IdTree.summary}
    for name, action in actions.items():
        small, large = cost(partial(action, few)), cost(partial(action, many))
        assert large < 4 * small + 0.002, f"{name}: {small:.6f} s with 10,000 ids, {large:.6f} s with {kept}"
