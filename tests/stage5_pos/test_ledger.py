"""The ledger of a tree: properties over random trees of random transactions, checked against a naive model."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.encoding import MAX_INTEGER
from common.ledger import Transaction
from stage5_pos.ledger import TreeLedger
from stage5_pos.rules import FEE, REWARD, InvalidBlock
from stage5_pos.tree import Block, Tree
from tests.sizes import and_long

NAMES = ["rich", "one", "two", "three", "four", "x", "y", "z"]
HOLDERS = {"rich": MAX_INTEGER, "one": 1_000, "two": 1_000, "three": 2, "four": 0, "payer": 1_000_000}
"""The last one sends nothing in blocks, so it can pay for what the test only tries out."""
Transfer = tuple[str, str, int]
Growth = tuple[int, int, str, list[Transfer], list[int]]

amounts = st.sampled_from([1, 1, 2, MAX_INTEGER]) | st.integers(0, 1_200)
transfers = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), amounts)
plans = st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 3), st.sampled_from(NAMES),
                           st.lists(transfers, max_size=3), st.lists(st.integers(0, 1_000), max_size=2)), max_size=16)
"""A plan of a tree. For each block: which earlier one is its parent (if the second number is 0, the newest), its
creator, its transfers, and which earlier transactions it lists again."""


class Forest:
    """A tree with its ledger, and the model's balances for each block."""

    def __init__(self, plan: Sequence[Growth] = ()) -> None:
        self.transactions: dict[str, Transaction] = {}
        self.tree = Tree("genesis")
        self.ledger = TreeLedger(self.tree, HOLDERS, self.transactions)
        self.model: dict[str, dict[str, int]] = {"genesis": HOLDERS}
        self.refused = self.rollbacks = 0
        for parent, newest, creator, wanted, again in plan:
            blocks, known = list(self.tree.blocks.values()), list(self.transactions)
            ids = [known[number % len(known)] for number in again if known]
            ids += [self.transaction(*transfer) for transfer in wanted]
            self.grow(blocks[parent % len(blocks)] if newest else blocks[-1], creator, ids)

    def transaction(self, sender: str, receiver: str, amount: int) -> str:
        """The id of a new transaction."""
        name = f"transaction {len(self.transactions)}"
        self.transactions[name] = Transaction(name, sender, receiver, amount)
        return name

    def grow(self, parent: Block, creator: str, ids: list[str]) -> Block | None:
        """Add a block as a node does, if it is valid. The ledger must agree with the model."""
        number = len(self.tree.blocks) + self.refused
        block = Block(f"block {number}", parent.slot + 1, parent.id, creator, number * 7919 % 101, ids, b"")
        after, before = self.execute_naively(block), dict(self.ledger.balances)
        block.parent = parent
        try:
            self.ledger.execute(block)
        except InvalidBlock:
            assert after is None and self.ledger.balances == before
            self.refused += 1
            return None
        assert after is not None, "the ledger accepts an invalid block"
        self.model[block.id] = after
        path = self.tree.add(block)
        if path.done:
            self.ledger.follow(path)
            self.rollbacks += bool(path.undone)
        self.check_best()
        return block

    def execute_naively(self, block: Block) -> dict[str, int] | None:
        """The balances after a block; None if it is invalid."""
        balances, used = dict(self.model[block.parent_id]), self.used(self.tree.blocks[block.parent_id])
        for name in block.transactions:
            _, sender, receiver, amount = self.transactions[name]
            if name in used or amount < 1 or balances.get(sender, 0) < amount:
                return None
            used.add(name)
            balances[sender] -= amount
            balances[receiver] = balances.get(receiver, 0) + amount - FEE
        balances[block.creator] = balances.get(block.creator, 0) + REWARD + FEE * len(block.transactions)
        return balances

    def used(self, block: Block | None) -> set[str]:
        """The transactions in a block and its ancestors."""
        used: set[str] = set()
        while block is not None:
            used.update(block.transactions)
            block = block.parent
        return used

    def check_best(self) -> None:
        """Check that the ledger is that of the best chain, for every account, and that no money is lost or made."""
        assert self.ledger.balances == self.model[self.tree.best.id], "the balances on the best chain"
        money = sum(HOLDERS.values()) + REWARD * self.tree.best.height
        assert sum(self.ledger.balances.values()) == money, "no money is lost, and only rewards are new"
        assert min(self.ledger.balances.values()) >= 0

    def check(self, block: Block) -> None:
        """Check that a child of this block sees exactly the balances and the used ids of the model."""
        for account in NAMES:
            balance = self.model[block.id].get(account, 0)
            probes = [Transaction("too much", account, account, balance + 1), Transaction("all", account, "w", balance)]
            assert self.ledger.choose_valid(block, probes, 2) == ["all"] * (balance >= FEE), f"{account} at {block.id}"
        probes = [Transaction(name, "payer", "w", 1) for name in self.transactions]
        unused = [name for name in self.transactions if name not in self.used(block)]
        assert self.ledger.choose_valid(block, probes, 10**6) == unused, "a transaction is executed once on a chain"


@given(plans)
@settings(max_examples=150)
def test_after_every_block_the_ledger_is_that_of_its_own_chain(plan: list[Growth]) -> None:
    forest = Forest(plan)
    for block in forest.tree.blocks.values():
        forest.check(block)


def grow_at_random(generator: random.Random, steps: int) -> Iterator[Forest]:
    """A forest whose branches overtake one another, yielded after each step."""
    forest = Forest()
    for _ in range(steps):
        lowest = forest.tree.best.height - generator.choice([1, 1, 5])
        parent = generator.choice([block for block in forest.tree.blocks.values() if block.height >= lowest])
        ids = generator.sample(list(forest.transactions), min(len(forest.transactions), generator.choice([0, 0, 1])))
        ids += [forest.transaction(generator.choice(NAMES), generator.choice(NAMES),
                                   generator.choice([1, 2, MAX_INTEGER, generator.randrange(1_000)]))
                for _ in range(generator.randrange(3))]
        forest.grow(parent, generator.choice(NAMES), ids)
        yield forest


@pytest.mark.parametrize("seed", and_long(range(8), range(8, 200)))
def test_after_many_reorganisations_nothing_is_left_of_abandoned_branches(seed: int) -> None:
    generator = random.Random(seed)
    for forest in grow_at_random(generator, 120):
        forest.check(generator.choice(list(forest.tree.blocks.values())))
        best = {block.id for block in forest.tree.chain}
        assert forest.ledger.side_branches.keys() == forest.tree.blocks.keys() - best, f"seed {seed}"
    assert forest.rollbacks >= 3 and forest.refused >= 10, f"seed {seed}: {forest.rollbacks}, {forest.refused}"
    straight = Forest()
    straight.transactions.update(forest.transactions)
    for block in forest.tree.chain[1:]:
        copy = Block(block.id, block.slot, block.parent_id, block.creator, block.value, block.transactions, b"")
        copy.parent = straight.tree.best
        straight.ledger.execute(copy)
        straight.ledger.follow(straight.tree.add(copy))
    assert kept(forest.ledger) == kept(straight.ledger), f"seed {seed}: as if there had never been another branch"


def kept(ledger: TreeLedger) -> dict[str, Any]:
    """All that a ledger keeps of the best chain."""
    return {name: value for name, value in vars(ledger.best).items() if name not in ("tip", "fork")}


def test_a_branch_within_a_branch_within_a_branch() -> None:
    forest = Forest()
    for _ in range(40):
        forest.grow(forest.tree.best, "one", [])
    payments = [forest.transaction("rich", "x", 5) for _ in range(20)]
    at = forest.tree.root
    for payment in payments:  # each goes on next to an elder twin, so none continues the branch that it comes from
        assert forest.grow(at, "two", []) is not None
        younger = forest.grow(at, "two", [payment])
        assert younger is not None
        at = younger
        forest.check(at)
    assert forest.grow(at, "two", [payments[0]]) is None, "it was executed twenty branches below"
    for _ in range(21):
        grown = forest.grow(at, "two", [])
        assert grown is not None
        at = grown
    assert forest.tree.best is at and forest.rollbacks == 1


def test_the_rest_of_a_branch_whose_beginning_the_best_chain_took_is_still_right() -> None:
    forest = Forest()
    for _ in range(3):
        forest.grow(forest.tree.best, "one", [])
    trunk = forest.tree.best
    aside = [forest.tree.root]
    for _ in range(3):
        aside.append(forest.grow(aside[-1], "two", [forest.transaction("rich", "x", 7)]) or trunk)
    other = [aside[2]]
    for _ in range(3):
        other.append(forest.grow(other[-1], "three", [forest.transaction("x", "y", 2)]) or trunk)
    assert forest.tree.best is other[-1], "it has taken two blocks of the branch aside, and left the third"
    for _ in range(3):
        grown = forest.grow(aside[-1], "two", [forest.transaction("x", "z", 3)])
        assert grown is not None
        aside.append(grown)
        for block in forest.tree.blocks.values():
            forest.check(block)
    assert forest.tree.best is aside[-1] and forest.rollbacks == 2


def test_fee_and_reward_to_the_unit() -> None:
    forest = Forest()
    ids = [forest.transaction(*transfer) for transfer in [("one", "x", 100), ("x", "y", 99), ("y", "y", 98)]]
    forest.grow(forest.tree.root, "two", ids)
    assert forest.ledger.balances == {**HOLDERS, "one": 900, "two": 1_013, "x": 0, "y": 97}


@pytest.mark.parametrize(("transfer", "reason"), [
    (("one", "x", 0), "the amount is below the fee of 1"),
    (("one", "x", 1_001), "the account does not have the amount"),
    (("nobody", "x", 1), "the account does not have the amount")])
def test_the_reason_names_the_transaction(transfer: Transfer, reason: str) -> None:
    forest = Forest()
    ids = [forest.transaction("two", "x", 5), forest.transaction(*transfer)]
    block = Block("block", 1, "genesis", "two", 0, ids, b"")
    block.parent = forest.tree.root
    with pytest.raises(InvalidBlock, match=f"^its transaction transaction 1: {reason}$"):
        forest.ledger.execute(block)
    assert forest.ledger.balances == HOLDERS


def test_the_same_id_twice_in_one_block_is_refused() -> None:
    forest = Forest()
    twice = forest.transaction("one", "x", 5)
    assert forest.grow(forest.tree.root, "two", [twice, twice]) is None


def test_transactions_chosen_for_a_block_on_another_branch_are_valid_there() -> None:
    forest = Forest()
    first, second = forest.transaction("three", "x", 2), forest.transaction("three", "y", 2)
    forest.grow(forest.tree.root, "two", [first])
    candidates = list(forest.transactions.values())
    assert forest.ledger.choose_valid(forest.tree.best, candidates, 9) == []
    assert forest.ledger.choose_valid(forest.tree.root, candidates[1:], 9) == [second]
    assert forest.ledger.choose_valid(forest.tree.root, candidates, 9) == [first]
    forest.check_best()
