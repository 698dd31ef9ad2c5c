"""The cost of judging a block grows with the ids in it, not with the chain, the fork, or the kept data."""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from statistics import median
from time import process_time

import pytest

from common.ledger import Transaction
from stage5_pos.ledger import TreeLedger
from stage5_pos.tree import Block, Tree
from tests.sizes import and_long

IDS = 60
"""More ids than fit into a block of 4 KiB."""

DEEP = 300
"""The number of blocks in a fork."""

HOLDERS = {f"holder {number}": 10**12 for number in range(10)}


LEAST = 0.001
"""In seconds. Costs below this are not compared. To look once at each of 100,000 transactions takes several times as
long."""


class Grown:
    """A chain with many executed transactions, the forks of an attacker, and a few other payments."""

    def __init__(self, executed: int) -> None:
        self.numbers = count()
        self.random = random.Random(executed)
        self.transactions: dict[str, Transaction] = {}
        self.tree = Tree("genesis")
        self.ledger = TreeLedger(self.tree, HOLDERS, self.transactions)
        blocks = 2 * DEEP
        for _ in range(blocks):
            self.grow(self.tree.best, self.payments(executed // blocks))
        assert len(self.transactions) == executed
        self.forks = [self.grow_fork() for _ in range(20)]
        self.twins = self.grow_with_elder_twins()

    def payments(self, number: int) -> list[str]:
        """Ids of new transactions by holders: one in three goes to a known account, the others to new ones."""
        ids = []
        for _ in range(number):
            name = f"{next(self.numbers):064x}"
            receiver = f"account {self.random.randrange(len(self.transactions) + 10)}"
            self.transactions[name] = Transaction(name, self.random.choice(list(HOLDERS)), receiver, 10)
            ids.append(name)
        return ids

    def grow(self, parent: Block, ids: list[str]) -> Block:
        """Put a block into the tree, as a node does."""
        made = Block(f"block {next(self.numbers)}", parent.slot + 1, parent.id, "creator", 0, ids, b"")
        made.parent = parent
        self.ledger.execute(made)
        path = self.tree.add(made)
        if path.done:
            self.ledger.follow(path)
        return made

    def grow_fork(self) -> Block:
        """The tip of a branch from the genesis, full of other people's payments."""
        tip, known = self.tree.root, list(self.tree.chain[1].transactions)
        for _ in range(DEEP):
            tip = self.grow(tip, [known.pop()] if known else [])
        return tip

    def grow_with_elder_twins(self) -> Block:
        """The tip of a branch in which each block came after another one on the same parent."""
        tip = self.tree.root
        for _ in range(DEEP):
            self.grow(tip, [])
            tip = self.grow(tip, [])
        return tip

    def down_from(self, block: Block | None) -> Iterator[Block]:
        """A block and its ancestors."""
        while block is not None:
            yield block
            block = block.parent

    def roll_back(self) -> float:
        """Median seconds to add a block of `IDS` ids that makes the branch of the tip's twin the best one."""
        times = []
        for _ in range(9):
            fork = self.tree.best
            twins = [self.grow(fork, self.payments(IDS)), self.grow(fork, self.payments(IDS))]
            ids, loser = self.payments(IDS), next(twin for twin in twins if twin is not self.tree.best)
            begun = process_time()
            tip = self.grow(loser, ids)
            times.append(process_time() - begun)
            assert self.tree.best is tip
        return median(times)

    def judge(self, parents: Iterable[Block]) -> float:
        """Median seconds to judge a block of `IDS` ids on each of these parents, and to look up a payer's balance."""
        times = []
        for parent in parents:
            ids, payer = self.payments(IDS), self.random.choice(list(HOLDERS))
            begun = process_time()
            self.grow(parent, ids)
            assert self.ledger.balances[payer] > 0
            times.append(process_time() - begun)
        return median(times)


WHERE: dict[str, Callable[[Grown], Iterable[Block]]] = {
    "on the tip": lambda grown: (grown.tree.best for _ in range(9)),
    "on the genesis": lambda grown: [grown.tree.root] * 9,
    "now on the genesis, now on the tip": lambda grown: (grown.tree.chain[-number % 2] for number in range(18)),
    "in the middle": lambda grown: [grown.tree.chain[DEEP]] * 9,
    "on a branch": lambda grown: [grown.forks[0]] * 9,
    "on one branch after the other": lambda grown: grown.forks,
    "on the blocks of a branch, from its tip down": lambda grown: grown.down_from(grown.forks[0]),
    "on a branch of younger twins": lambda grown: [grown.twins] * 9,
}


@pytest.fixture(scope="module")
def few() -> Grown:
    return Grown(10_200)


@pytest.fixture(scope="module", params=and_long([102_000], [1_020_000]))
def many(request: pytest.FixtureRequest) -> Grown:
    return Grown(request.param)


def test_it_costs_the_same_on_every_parent_and_after_any_number_of_transactions(few: Grown, many: Grown) -> None:
    for where, parents in WHERE.items():
        one, other = few.judge(parents(few)), many.judge(parents(many))
        assert other < max(2 * one, LEAST), f"{where}: {one:.4f} s, then {other:.4f} s"
        assert max(one, other) < 0.05, f"{where}: {one:.4f} s, {other:.4f} s"


def test_the_cost_of_a_rollback_follows_from_its_blocks(few: Grown, many: Grown) -> None:
    one, other = few.roll_back(), many.roll_back()
    assert other < max(2 * one, LEAST), f"{one:.4f} s, then {other:.4f} s"
