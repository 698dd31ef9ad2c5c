"""Random blocks and payments of stake holders that obey no rule, sent to a node with little room. Whatever comes, in
whatever order, the node's data stays consistent, and a crash changes nothing."""

import random
from pathlib import Path

import pytest

from common.encoding import Message
from stage5_pos.node import StakeNode
from tests.fixtures import kept_key
from tests.memory import add_linked_stranger
from tests.sizes import and_long
from tests.stage5_pos.builder import (MILLION, block, block_id, genesis, new_world, next_slot, transaction,
                                      transaction_id, winner, wins)
from tests.stage5_pos.scenes import GENESIS, X, tell
from tests.stage5_pos.test_keeping import add_node, crash

ACCOUNTS = [X, kept_key(1).account, kept_key(2).account]


class Mischief:
    """Random messages of some stake holders. Account 1 wins most slots."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.payments: dict[str, Message] = {}
        self.blocks: list[Message] = []
        self.slots = {GENESIS: 0}

    def pay(self) -> Message:
        """A payment, sometimes of more than the sender has."""
        made = transaction(self.random.choice([1, 1, 2, 3]), self.random.choice(ACCOUNTS),
                           self.random.choice([1, 5, 7, 9, MILLION, MILLION + 20]), len(self.payments))
        self.payments[transaction_id(made)] = made
        return made

    def build(self, best: str) -> Message:
        """A block on any other block. It lists payments, some of them invalid there, and sometimes a block."""
        parent = self.random.choice([best, *self.slots, *list(self.slots)[-6:]])
        slot = next_slot(self.slots.get(parent, 0) + self.random.choice([0, 0, 0, 1, 2, 5]))
        if self.random.random() < 0.3:
            slot = next_slot(max(0, max(self.slots.values()) - self.random.randrange(8)))
        ids = self.random.sample(list(self.payments), min(len(self.payments), self.random.choice([0, 0, 1, 2, 3])))
        ids += [self.random.choice(list(self.slots))] * (self.random.random() < 0.1)
        number = 1 if wins(1, slot) and self.random.random() < 0.7 else winner(slot, self.random.choice([0, 1]))
        made = block(slot, parent, ids, number)
        self.blocks.append(made)
        self.slots[block_id(made)] = slot
        return made

    def say(self, node: StakeNode) -> list[Message]:
        """The next messages: something new, something that the node waits for, or something old."""
        what = self.random.choice(["pay", "payment", "payment", "build", "build", "block", "block", "blocks"])
        if what == "build":
            made = self.build(node.tree.best.id)
            return [made] * (self.random.random() < 0.7)
        if what == "payment":
            lacking = [one for waiting in node.waiting_blocks.blocks for one in sorted(node.waiting_blocks.lacks.lacking(waiting))]
            return [self.payments[one] for one in lacking if one in self.payments][:1]
        if what == "pay":
            return [self.pay()]
        return self.random.sample(self.blocks, min(len(self.blocks), 6 if what == "blocks" else 1))


def expected_balances(node: StakeNode) -> dict[str, int]:
    """The ledger of the best chain, executed from the genesis on."""
    balances = dict(genesis().starting_balances())
    for link in node.tree.chain[1:]:
        for payment in map(node.transactions.__getitem__, link.transactions):
            assert balances.get(payment.sender, 0) >= payment.amount
            balances[payment.sender] -= payment.amount
            balances[payment.receiver] = balances.get(payment.receiver, 0) + payment.amount - 1
        balances[link.creator] += 10 + len(link.transactions)
    return balances


def check(node: StakeNode, room: int) -> None:
    """Check that the data of the node, which has room for so many postponed blocks, is consistent."""
    assert node.balances() == expected_balances(node)
    assert set(node.waiting_blocks.lacks) == set(node.waiting_blocks.blocks) and len(node.waiting_blocks.blocks) <= room
    assert not set(node.waiting_blocks.blocks) & set(node.tree.blocks)
    off = [one for one in node.tree.blocks.values() if not node.tree.is_on_best_chain(one)]
    waiting = [node.waiting_blocks.blocks[one].block for one in node.waiting_blocks.blocks]
    executed = {one for link in node.tree.chain for one in link.transactions}
    pooled = set(node.pool)
    aside = set(node.transactions) - executed - pooled
    assert not executed & pooled and executed | pooled <= set(node.transactions)
    assert all(one in node.transactions for block in off for one in block.transactions)
    assert aside == set(node.aside.among(node.transactions))
    assert aside <= {one for block in [*off, *waiting] for one in block.transactions}, "a block needs each of them"
    for_waiting = aside - {one for block in off for one in block.transactions}
    assert node.aside.size_for_waiting == sum(len(node.frames[one]) for one in for_waiting)
    assert node.ids.sum("")[0] == len(executed | pooled) and set(node.frames) == set(node.transactions)


@pytest.mark.parametrize("seed", and_long(range(6), range(6, 400)))
def test_whatever_stake_holders_say_a_nodes_data_is_consistent(seed: int, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    room = [2, 8][seed % 2]  # two often do not suffice, but a branch of several blocks may wait only where there are more
    monkeypatch.setattr("stage5_pos.postponed.MAX_WAITING", room)
    monkeypatch.setattr("stage5_pos.side.MAX_SOLO_BYTES", 5_000)
    monkeypatch.setattr("stage4_sequencer.pool.MAX_UNCOVERED", 0)
    monkeypatch.setattr("stage4_sequencer.pool.MAX_POOL", 0)
    world = new_world(seed)
    node = add_node(world, tmp_path)
    mischief = Mischief(seed)
    peer = add_linked_stranger(world, node, 5)
    for _ in range(120):
        if peer.is_closed:
            peer = add_linked_stranger(world, node, 5)
        tell(world, peer, *mischief.say(node))
        check(node, room)
    node.commit()
    crash(node)
    again = add_node(new_world(seed), tmp_path)
    assert again.tree.best.id == node.tree.best.id and expected_balances(again) == expected_balances(node)
