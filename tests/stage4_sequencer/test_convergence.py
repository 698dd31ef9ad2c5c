"""Whole networks of stage 4 in memory under random schedules, with the sequencer and without it."""

import json
import random

import pytest

from common.encoding import encode_frame
from tests.stage2_ledger.scenes import errors, ledger_of, transaction_id
from tests.stage4_sequencer.scenes import (TOY_KEYS, TOY_SEQUENCER, add_node, blocks_of, execute_naively, founded_world,
                                           note_arrivals, signed_transaction, states_of, status_of, toy_signatures)


class Life:
    """A network of some nodes in which anything may happen, in an order that a seed decides."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.choose = random.Random(seed)
        self.world, self.founder = founded_world(seed, 0.05, 2_000, TOY_KEYS[0], TOY_SEQUENCER)
        self.nodes = [self.founder]
        self.arrivals = note_arrivals(self.founder)
        for _ in range(3):
            self.join()

    def join(self) -> None:
        """One node more; it has a second to join, or it would found a network of its own."""
        self.nodes.append(add_node(self.world, self.choose.choice(self.nodes), TOY_KEYS[len(self.nodes)]))
        self.world.run(1.0)

    def send(self) -> None:
        """A transaction: what the user of a node may type, or an overdraft from a node that asks nobody."""
        node = self.choose.choice(self.nodes)
        receiver = self.choose.choice(TOY_KEYS)
        if self.choose.random() < 0.3:
            amount = self.choose.randint(0, 2_000_000)
            message = signed_transaction(node.key, receiver, amount, node.network_name)
            node.on_transaction(None, message, encode_frame(message))
        else:
            share = self.choose.random() * max(0, node.available(node.key.account))
            node.on_line(f"/send {receiver.account} {int(share)}")

    def act(self) -> None:
        """Do one thing."""
        action = self.choose.random()
        if action < 0.5:
            self.send()
        elif action < 0.6 and len(self.nodes) < 6 and not self.is_parted():
            self.join()
        elif action < 0.68 and self.world.open_connections():
            self.world.cut(self.choose.choice(self.world.open_connections()))
        elif action < 0.73:
            side = self.choose.sample([node.address for node in self.nodes], len(self.nodes) // 2)
            self.world.part(set(side))
        elif action < 0.8:
            self.world.heal()
        elif action < 0.9:
            for _ in range(self.choose.randint(1, 30)):
                self.world.step()
        else:
            self.world.run(self.choose.random() * 4.0)

    def is_parted(self) -> bool:
        """Is there any wall?"""
        addresses = [node.address for node in self.nodes]
        return any(self.world.is_parted(one, other) for one in addresses for other in addresses)

    def check(self) -> None:
        """What must hold at every moment: nobody has executed anything else than the sequencer, or has debts."""
        order = [block.id for block in self.founder.blocks]
        for node in self.nodes:
            executed = [block.id for block in node.blocks[:node.executed]]
            assert executed == order[:len(executed)], f"seed {self.seed}, {node.address}"
            assert all(balance >= 0 for balance in node.balances().values()), f"seed {self.seed}, {node.address}"

    def expected_ledger(self) -> dict[str, int]:
        """The ledger after all that came to the sequencer, in that order, by the naive model."""
        messages = {transaction_id(self.founder.network_name, message): message for message in
                    (json.loads(frame[4:]) for frame in self.founder.frames.values())}
        return execute_naively({TOY_KEYS[0].account: 1_000_000}, [messages[one] for one in self.arrivals])


@pytest.mark.parametrize("first_seed", range(0, 100, 20))
@toy_signatures()
def test_all_nodes_execute_the_same_whatever_is_cut_parted_and_late(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 20):
        life = Life(seed)
        for _ in range(life.choose.randint(20, 50)):
            life.act()
            life.check()
        life.world.heal()
        life.world.run(75.0)
        order = [one for block in life.founder.blocks for one in block.transactions]
        assert order == life.arrivals, f"seed {seed}"
        for node in life.nodes:
            place = f"seed {seed}, {node.address}"
            assert blocks_of(life.world, node) == blocks_of(life.world, life.founder), place
            assert ledger_of(life.world, node) == life.expected_ledger(), place
            assert status_of(life.world, node) == (len(life.founder.blocks), 0), place
            for event in life.world.reported(node, "sent"):
                states = states_of(life.world, node, event["id"])
                assert len(states) == 2 and states[0] == "pending", place
            numbers = [block["number"] for block in life.world.reported(node, "block")]
            assert numbers == list(range(len(life.founder.blocks))), place
            assert set(errors(life.world, node)) <= {"FUNDS"}, place


@toy_signatures()
def test_without_the_sequencer_the_order_stops_and_the_nodes_go_on() -> None:
    for seed in range(5):
        life = Life(seed)
        for _ in range(10):
            life.send()
            life.world.run(0.5)
        life.world.run(5.0)
        one, two, three = others = life.nodes[1:]
        blocks, ledger = blocks_of(life.world, life.founder), ledger_of(life.world, life.founder)
        life.world.kill(life.founder)
        one.on_line("are you there?")
        message = signed_transaction(TOY_KEYS[0], TOY_KEYS[1], 7, one.network_name)
        two.on_transaction(None, message, encode_frame(message))
        late = add_node(life.world, three, TOY_KEYS[4])
        life.world.run(300.0)
        for node in (*others, late):
            place = f"seed {seed}, {node.address}"
            assert blocks_of(life.world, node) == blocks != [], place
            assert ledger_of(life.world, node) == ledger, place
            assert status_of(life.world, node) == (len(blocks), 1), place
            assert {"text": "are you there?"} in life.world.reported(node, "chat"), place
