"""What a change of the best chain causes, without a node: in the pool, and in what the user is told."""

from typing import Any

from common.ledger import Transaction
from stage4_sequencer.pool import Pool, Refused
from stage5_pos.chain import BestChain
from stage5_pos.ledger import TreeLedger
from stage5_pos.side import Aside
from stage5_pos.tree import Block, Tree


class Scene:
    """A tree with the payments t1, t2 and t3 in the pool."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.tree = Tree("root")
        self.transactions = {name: Transaction(name, "alice", "bob", 10) for name in ("t1", "t2", "t3")}
        self.ledger = TreeLedger(self.tree, {"alice": 100}, self.transactions)
        self.pool, refused = Pool(len), Refused()
        for one in self.transactions.values():
            self.pool.add(one)
        aside = Aside(dict(self.transactions), {}, refused)
        self.chain = BestChain(self.tree, self.ledger, self.pool, refused, aside, lambda one: None, dict,
                               lambda event, **members: self.told.append((event, members)),
                               lambda one, state: self.told.append((one, state)))

    def add(self, name: str, slot: int, parent: str, *ids: str) -> list[Any]:
        """Let a valid block enter the tree. Return what the user is told."""
        self.told.clear()
        block = Block(name, slot, parent, "carol", slot, list(ids), b"frame")
        block.parent = self.tree.blocks[parent]
        self.ledger.execute(block)
        self.chain.on_entered(block, self.tree.add(block))
        return list(self.told)


def test_transactions_that_the_best_chain_executes_leave_the_pool() -> None:
    scene = Scene()
    assert scene.add("a", 1, "root", "t2") == [("t2", "applied")]
    assert list(scene.pool) == ["t1", "t3"] and scene.ledger.balances["bob"] == 9
    assert scene.add("side", 2, "root", "t1") == [] and list(scene.pool) == ["t1", "t3"], "it is not on the best chain"


def test_transactions_that_only_the_abandoned_branch_has_executed_are_back_in_their_place() -> None:
    scene = Scene()
    scene.add("a", 1, "root", "t2", "t1")
    scene.add("x", 2, "root", "t1")
    told = scene.add("y", 3, "x", "t3")
    assert told == [("t3", "applied"), ("t2", "pending"), ("rollback", {"depth": 1, "from": "a", "to": "y"})]
    assert list(scene.pool) == ["t2"] and scene.ledger.balances["bob"] == 18
    assert (scene.chain.rollbacks, scene.chain.longest_rollback) == (1, 1)
