"""Stage 5 in memory: what a node does when another branch becomes the best, and how much work that is."""

import random
from collections import Counter
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from stage5_pos.node import StakeNode
from tests.fixtures import kept_key
from tests.stage5_pos.builder import MILLION, block, block_id, next_slot, transaction, transaction_id, winner
from tests.stage5_pos.scenes import GENESIS, X, balances, chain, scene, tell


def count_moves(node: StakeNode, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count from now on how often a block is put on the best chain, and how often one is taken off."""
    moves: Counter[str] = Counter()

    def counted(name: str) -> Callable[..., None]:
        method = getattr(node.ledger.best, name)

        def call(*arguments: Any) -> None:
            moves[name] += 1
            method(*arguments)
        return call

    for name in ("push", "pop"):
        monkeypatch.setattr(node.ledger.best, name, counted(name))
    return moves


def test_a_node_undoes_and_executes_only_the_blocks_after_the_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    world, node, peer = scene()
    trunk = chain(60)
    tell(world, peer, *trunk)
    moves = count_moves(node, monkeypatch)
    tell(world, peer, *chain(4, block_id(trunk[56]), trunk[59]["slot"] + 1))
    assert node.tree.best.height == 61 and node.chain.longest_rollback == 3
    assert moves == {"push": 4, "pop": 3}


def test_blocks_on_the_genesis_and_payments_move_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world, node, peer = scene()
    trunk = chain(60)
    tell(world, peer, *trunk)
    moves, before = count_moves(node, monkeypatch), balances(node)
    slot = trunk[-1]["slot"]
    for number in range(5):
        slot = next_slot(slot)
        payment = transaction(1, X, 5, number)
        tell(world, peer, block(slot, GENESIS), payment, block(slot, GENESIS, [transaction_id(payment)]))
    assert len(node.tree) == 70 and len(node.pool) == 5
    assert moves == {} and balances(node) == before


@pytest.mark.parametrize("seed", range(12))
def test_through_many_rollbacks_no_transaction_is_lost_or_executed_twice(seed: int) -> None:
    generator = random.Random(seed)
    world, node, peer = scene(seed)
    node.stakes = {number: kept_key(number) for number in range(1, 7)}
    for number in node.stakes:
        node.on_line(f"/send {X} {number} --from {number}")
    node.stakes = {}
    own = [event["id"] for event in world.reported(node, "sent")]
    branches: list[tuple[str, int, list[str]]] = [(GENESIS, 0, [])]
    for _ in range(14):
        parent, slot, used = generator.choice(branches[-4:])
        slot = next_slot(slot + generator.randrange(2))
        chosen = generator.sample([one for one in own if one not in used], min(generator.randrange(3), 6 - len(used)))
        made = block(slot, parent, chosen, winner(slot, generator.choice([0, 1])))
        tell(world, peer, made)
        branches.append((block_id(made), slot, used + chosen))
        executed = [one for link in node.tree.chain for one in link.transactions]
        assert list(node.pool) == [one for one in own if one not in executed], f"seed {seed}"
        assert balances(node).get(X, 0) == sum(own.index(one) for one in executed), f"seed {seed}"
        assert sum(balances(node).values()) == 10 * MILLION + 10 * node.tree.best.height, f"seed {seed}"
    assert node.chain.rollbacks >= 1, f"seed {seed}: this test needs a rollback"
    events = world.reported(node, "transaction")
    for one in own:
        states = [event["state"] for event in events if event["id"] == one]
        assert states == [state for state, _ in groupby(states)] and states[0] == "pending", f"seed {seed}: {states}"
        assert states[-1] == ("pending" if one in node.pool else "applied"), f"seed {seed}: {states}"
