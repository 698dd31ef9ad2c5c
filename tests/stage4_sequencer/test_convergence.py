"""Whole networks of stage 4 in memory under random schedules, with and without the sequencer."""

import json
import random
from functools import partial

import pytest

from common.encoding import encode_frame
from tests.random_life import Action, check_lives, cut_one, random_life, take_steps
from tests.stage2_ledger.scenes import errors, ledger_of, transaction_id
from tests.stage4_sequencer.scenes import (TOY_KEYS, TOY_SEQUENCER, add_node, blocks_of, execute_naively, founded_world,
                                           note_arrivals, signed_transaction, states_of, status_of, toy_signatures)


class Life:
    """A network in which anything may happen, in an order that a seed decides."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.choose = random.Random(seed)
        self.world, self.founder = founded_world(seed, 0.05, 2_000, TOY_KEYS[0], TOY_SEQUENCER)
        self.nodes = [self.founder]
        self.arrivals = note_arrivals(self.founder)
        for _ in range(3):
            self.join()

    def join(self) -> None:
        """One more node. It gets a second to join, since otherwise it would found a network of its own."""
        self.nodes.append(add_node(self.world, self.choose.choice(self.nodes), TOY_KEYS[len(self.nodes)]))
        self.world.run(1.0)

    def send(self) -> None:
        """A transaction: a command that a user may type, or an overdraft that a node makes without a check."""
        node = self.choose.choice(self.nodes)
        receiver = self.choose.choice(TOY_KEYS)
        if self.choose.random() < 0.3:
            amount = self.choose.randint(0, 2_000_000)
            message = signed_transaction(node.key, receiver, amount, node.network_name)
            node.on_transaction(None, message, encode_frame(message))
        else:
            share = self.choose.random() * max(0, node.available(node.key.account))
            node.on_line(f"/send {receiver.account} {int(share)}")

    def live(self) -> None:
        """Let up to fifty things happen, and check the invariants after each."""
        random_life(self.choose, self.choose.randint(20, 50), {end: partial(self._act, act) for end, act in {
            0.5: self.send, 0.6: self.join_if_possible, 0.68: lambda: cut_one(self.world, self.choose), 0.73: self.part,
            0.8: self.world.heal, 0.9: lambda: take_steps(self.world, self.choose, 30),
            1.0: lambda: self.world.run(self.choose.random() * 4.0)}.items()})

    def _act(self, act: Action) -> object:
        done = act()
        self.check()
        return done

    def join_if_possible(self) -> bool:
        """One more node, up to six, unless there is a partition."""
        if len(self.nodes) == 6 or self.is_partitioned():
            return False
        self.join()
        return True

    def part(self) -> None:
        """Partition the network, with half of the nodes on each side."""
        self.world.partition(set(self.choose.sample([node.address for node in self.nodes], len(self.nodes) // 2)))

    def is_partitioned(self) -> bool:
        """Is there a partition?"""
        addresses = [node.address for node in self.nodes]
        return any(self.world.is_partitioned(one, other) for one in addresses for other in addresses)

    def check(self) -> None:
        """The invariants: no node has executed anything but what the sequencer ordered, and no account has debts."""
        order = [block.id for block in self.founder.blocks]
        for node in self.nodes:
            executed = [block.id for block in node.blocks[:node.executed]]
            assert executed == order[:len(executed)], f"seed {self.seed}, {node.address}"
            assert all(balance >= 0 for balance in node.balances().values()), f"seed {self.seed}, {node.address}"

    def expected_ledger(self) -> dict[str, int]:
        """The ledger after all that reached the sequencer, in that order, by the naive model."""
        messages = {transaction_id(self.founder.network_name, message): message for message in
                    (json.loads(frame[4:]) for frame in self.founder.frames.values())}
        return execute_naively({TOY_KEYS[0].account: 1_000_000}, [messages[one] for one in self.arrivals])


@pytest.mark.parametrize("first_seed", range(0, 100, 20))
@toy_signatures()
def test_all_nodes_execute_the_same_despite_cuts_partitions_and_late_joiners(first_seed: int) -> None:
    def life(seed: int) -> None:
        life = Life(seed)
        life.live()
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

    check_lives(range(first_seed, first_seed + 20), life)


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
