"""The ledger that moves through the tree: properties over random trees of random transactions."""

from collections import Counter
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from common.ledger import Transaction
from stage5_pos.ledger import FEE, REWARD, InvalidBlock, TreeLedger
from stage5_pos.tree import Block, Tree

HOLDERS = {f"holder {number}": 1_000_000 for number in range(10)}
NAMES = [*HOLDERS, "x", "y", "z"]

transfers = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(1, 700_000))
plans = st.lists(st.tuples(st.integers(0, 1000), st.sampled_from(NAMES), st.lists(transfers, max_size=4)),
                 min_size=1, max_size=14)
"""A tree: for each block which earlier one is its parent, its creator, and what it tries to transfer."""


class Forest:
    """A tree grown after a plan, with its ledger and all valid blocks."""

    def __init__(self, plan: list[tuple[int, str, list[tuple[str, str, int]]]]) -> None:
        self.transactions: dict[str, Transaction] = {}
        self.tree = Tree("genesis")
        self.ledger = TreeLedger(self.tree, HOLDERS, self.transactions)
        for slot, (parent, creator, wanted) in enumerate(plan, start=1):
            self.grow(slot, list(self.tree.blocks.values())[parent % len(self.tree.blocks)], creator, wanted)

    def grow(self, slot: int, parent: Block, creator: str, wanted: list[tuple[str, str, int]]) -> None:
        """Add a block, unless one of its transactions is not covered: then nothing may have changed."""
        ids = []
        for sender, receiver, amount in wanted:
            name = f"transaction {len(self.transactions)}"
            self.transactions[name] = Transaction(name, sender, receiver, amount)
            ids.append(name)
        block = Block(f"block {slot}", slot, parent.id, creator, slot * 7919 % 101, ids, b"")
        self.ledger.move_to(parent)
        before = self.state()
        block.parent = parent
        try:
            self.ledger.apply_block(block)
        except InvalidBlock:
            assert self.state() == before, "a refused block has left something behind"
        else:
            self.tree.add(block)

    def state(self) -> tuple[dict[str, int], set[str], str]:
        """All that a ledger is."""
        return dict(self.ledger.balances), set(self.ledger.executed), self.ledger.at.id

    def from_genesis(self, block: Block) -> dict[str, int]:
        """The balances after a block, computed along its chain without the code under test."""
        chain = []
        while block.parent is not None:
            chain.append(block)
            block = block.parent
        balances = dict(HOLDERS)
        for link in reversed(chain):
            for name in link.transactions:
                _, sender, receiver, amount = self.transactions[name]
                balances[sender] = balances.get(sender, 0) - amount
                balances[receiver] = balances.get(receiver, 0) + amount - FEE
            balances[link.creator] = balances.get(link.creator, 0) + REWARD + FEE * len(link.transactions)
        return balances


@given(plans)
def test_undo_of_apply_is_the_identity(plan: list[tuple[int, str, list[tuple[str, str, int]]]]) -> None:
    forest = Forest(plan)
    for block in forest.tree.blocks.values():
        if block.parent is not None:
            forest.ledger.move_to(block.parent)
            before = forest.state()
            forest.ledger.apply_block(block)
            forest.ledger.undo_block(block)
            assert forest.state() == before


@given(plans, st.lists(st.integers(0, 1000), max_size=12))
@settings(max_examples=200)
def test_wherever_it_was_moved_the_ledger_is_that_of_its_chain(
        plan: list[tuple[int, str, list[tuple[str, str, int]]]], journey: list[int]) -> None:
    forest = Forest(plan)
    blocks = list(forest.tree.blocks.values())
    for stop in [blocks[number % len(blocks)] for number in journey] + [forest.tree.best]:
        forest.ledger.move_to(stop)
        assert forest.ledger.balances == forest.from_genesis(stop)
        assert sum(forest.ledger.balances.values()) == 10_000_000 + REWARD * stop.height
        assert min(forest.ledger.balances.values()) >= 0


def test_moving_takes_as_long_as_the_fork_is_deep_and_not_as_the_chain_is_long() -> None:
    forest = Forest([(height, "x", []) for height in range(2_000)])
    tip = forest.tree.best
    assert tip.height == 2_000
    fork = tip.parent.parent.parent  # type: ignore[union-attr]
    assert fork is not None
    for slot in range(2_001, 2_005):
        forest.grow(slot, fork, "y", [])
        fork = forest.tree.blocks[f"block {slot}"]
    assert forest.tree.best is fork, "the branch of four has overtaken that of three"
    work: Counter[str] = Counter()

    def counted(name: str) -> Callable[[Block], None]:
        method = getattr(forest.ledger, name)

        def call(block: Block) -> None:
            work[name] += 1
            method(block)
        return call

    for name in ("apply_block", "undo_block"):
        setattr(forest.ledger, name, counted(name))
    forest.ledger.move_to(tip)
    forest.ledger.move_to(fork)
    assert work == {"apply_block": 7, "undo_block": 7}


def test_fee_and_reward_to_the_unit() -> None:
    forest = Forest([(0, "holder 0", [("holder 1", "x", 100), ("x", "y", 99), ("y", "y", 98)])])
    forest.ledger.move_to(forest.tree.best)
    assert forest.ledger.balances == {**HOLDERS, "holder 0": 1_000_013, "holder 1": 999_900, "x": 0, "y": 97}
