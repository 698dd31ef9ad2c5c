"""Whole networks in memory, most under random schedules: all ledgers become equal."""

import random

import pytest

from lab.simulation import World
from stage1_chat.node import ChatNode
from stage2_ledger.node import LedgerNode
from tests.memory import Event
from tests.random_life import check_lives, cut_one, random_life, take_steps
from tests.sizes import and_long
from tests.stage2_ledger.scenes import (add_linked_peer, balances, founded_world, grown_world, ledger_of, list_of,
                                        pairs, ring_order, transaction)

Sent = dict[str, Event]


def random_sending(seed: int, has_cuts: bool) -> tuple[World, list[LedgerNode], Sent]:
    """Nodes join, send and (with `has_cuts`) lose connections and are split, in an order that `seed` decides.

    If a node is cut off for 5 seconds from the peer by which it joins, it founds another network (contract §4).
    """
    world, chance = World(seed), random.Random(seed)
    nodes = [world.add(LedgerNode)]
    sent: Sent = {}

    def join() -> bool:
        if len(nodes) == 6:
            return False
        nodes.append(world.add(LedgerNode, chance.choice(nodes).address))
        return True

    def part() -> bool:
        if has_cuts:
            world.partition({one.address for one in nodes if chance.random() < 0.5})
        return has_cuts

    def send() -> bool:
        node = chance.choice(nodes)
        if world.networks[node.address].is_reading:
            sent.update(send_randomly(world, node, chance))
            return True
        return False

    random_life(chance, chance.randint(15, 40), {
        0.15: join, 0.25: lambda: has_cuts and cut_one(world, chance), 0.32: part, 0.37: world.heal, 0.75: send,
        0.9: lambda: take_steps(world, chance, 20), 1.0: lambda: world.run(chance.random() * 0.3)})
    return world, nodes, sent


def send_randomly(world: World, node: LedgerNode, choose: random.Random) -> Sent:
    """Let `node` make a transaction. Return it by its id."""
    sender, receiver, amount = choose.choice("abc"), choose.choice("abc"), choose.randint(0, 3)
    node.on_line(f"/send {sender} {receiver} {amount}")
    sent_id = world.reported(node, "sent")[-1]["id"]
    return {sent_id: {"network": node.network_name, "from": sender, "to": receiver, "amount": amount}}


def check_ledgers(world: World, nodes: list[LedgerNode], sent: Sent, note: str) -> None:
    """Check that every node has exactly the transactions of its network, each once."""
    for node in nodes:
        expected = {one: message for one, message in sent.items() if message["network"] == node.network_name}
        assert node.transactions.keys() == expected.keys(), f"{note}, {node.address}: lacks " \
            f"{len(expected.keys() - node.transactions.keys())} of {len(expected)}"
        assert ledger_of(world, node) == balances(list(expected.values())), f"{note}, {node.address}"


@pytest.mark.parametrize("first_seed", range(0, 800, 200))
def test_all_ledgers_become_equal_while_nodes_join(first_seed: int) -> None:
    def life(seed: int) -> None:
        world, nodes, sent = random_sending(seed, has_cuts=False)
        world.run(6.0)
        check_ledgers(world, nodes, sent, f"seed {seed}")

    check_lives(range(first_seed, first_seed + 200), life)


@pytest.mark.parametrize("first_seed", and_long(range(10_000, 10_300, 150), range(10_300, 11_500, 150)))
def test_all_ledgers_become_equal_after_cuts_and_partitions(first_seed: int) -> None:
    def life(seed: int) -> None:
        world, nodes, sent = random_sending(seed, has_cuts=True)
        world.heal()
        world.run(40.0)
        check_ledgers(world, nodes, sent, f"seed {seed}")

    check_lives(range(first_seed, first_seed + 150), life)


def test_reconciliation_alone_makes_them_equal() -> None:
    """Nothing is flooded: transactions arrive only by reconciliation (contract §3)."""
    for seed in range(60):
        world, choose = World(seed), random.Random(seed)
        nodes: list[LedgerNode] = [world.add(LedgerNode)]
        nodes += [world.add(LedgerNode, nodes[0].address) for _ in range(3)]
        world.run(1.0)
        for node in nodes:
            node.flood = lambda frame, source: None  # type: ignore[method-assign]
        sent: Sent = {}
        for _ in range(choose.randint(1, 60)):
            sent |= send_randomly(world, choose.choice(nodes), choose)
        world.run(60.0)
        check_ledgers(world, nodes, sent, f"seed {seed}")


def test_a_late_joiner_gets_everything() -> None:
    for count in (0, 1, 10, 5_000):
        world, alice = founded_world()
        peer = add_linked_peer(world, alice)
        messages = [transaction(amount=number) for number in range(count)]
        peer.send(*messages)
        world.settle()
        late = world.add(LedgerNode, alice.address)
        world.run(0.1)
        assert ledger_of(world, late) == balances(messages), f"{count} transactions"


def test_one_connection_heals_a_partition() -> None:
    for seed in range(60):
        world, choose, nodes = grown_world(seed, 6)
        side = {node.address for node in nodes[:choose.randint(1, 5)]}
        world.partition(side)
        sent: Sent = {}
        for _ in range(20):
            sent |= send_randomly(world, choose.choice(nodes), choose)
            world.run(choose.random() * 0.2)
        bridge = {choose.choice(sorted(side)), choose.choice([n.address for n in nodes if n.address not in side])}
        world.is_partitioned = lambda one, other, side=side, bridge=bridge: (  # type: ignore[misc]
            (one in side) != (other in side) and {one, other} != bridge)
        world.run(40.0)
        check_ledgers(world, nodes, sent, f"seed {seed}")
        assert [pair for pair in pairs(world) if len(pair & side) == 1] == [frozenset(bridge)], f"seed {seed}"


def test_after_a_long_partition_everybody_is_in_every_list_again() -> None:
    for seed in range(8):
        world, _, nodes = grown_world(seed, 6)
        world.partition({node.address for node in nodes[:3]})
        world.run(1_000.0)
        world.heal()
        world.run(40.0)
        for node in nodes:
            assert list_of(world, node) == ring_order(one.address for one in nodes), f"seed {seed}, {node.address}"


def test_after_more_than_an_hour_a_node_that_calls_its_peer_again_learns_of_all_others() -> None:
    """By then nobody else is called any more. Without the list of peers, one link alone would join the halves."""
    for seed in range(2):
        world, choose, nodes = grown_world(seed, 6)
        world.partition({node.address for node in nodes[:3]})
        world.run(3_700.0)
        sent = send_randomly(world, nodes[0], choose) | send_randomly(world, nodes[5], choose)
        world.heal()
        world.run(40.0)
        check_ledgers(world, nodes, sent, f"seed {seed}")
        callers = [node for node in nodes[3:] if node.neighbours.peer in {one.address for one in nodes[:3]}]
        assert callers
        for node in callers:
            assert list_of(world, node) == ring_order(one.address for one in nodes), f"seed {seed}, {node.address}"
            assert len(node.links) == 5, f"seed {seed}, {node.address}"


def test_the_others_agree_when_a_node_is_killed_while_it_sends() -> None:
    for seed in range(120):
        world, choose = World(seed), random.Random(seed)
        nodes = [world.add(LedgerNode)]
        nodes += [world.add(LedgerNode, nodes[0].address) for _ in range(4)]
        world.run(1.0)
        sent: Sent = {}
        killed = nodes[choose.randrange(5)]
        doomed: Sent = {}
        for _ in range(20):
            node = choose.choice(nodes)
            new = send_randomly(world, node, choose)
            (doomed if node is killed else sent).update(new)
            for _ in range(choose.randint(0, 6)):
                world.step()
        world.kill(killed)
        nodes.remove(killed)
        world.run(40.0)
        known = nodes[0].transactions.keys()
        assert sent.keys() <= known <= sent.keys() | doomed.keys(), f"seed {seed}"
        check_ledgers(world, nodes, {one: {**sent, **doomed}[one] for one in known}, f"seed {seed}")


def test_a_node_does_not_take_part_in_a_network_of_another_stage() -> None:
    world, alice = founded_world()
    chatting = world.add(ChatNode, alice.address)
    world.run(6.0)
    assert chatting.network_name != alice.network_name
    assert list_of(world, alice) == [alice.address]


def test_after_any_life_no_two_nodes_have_two_links() -> None:
    def life(seed: int) -> None:
        world = random_sending(seed, has_cuts=True)[0]
        world.heal()
        world.run(40.0)
        assert set(pairs(world).values()) <= {1}, f"seed {seed}: {pairs(world)}"

    check_lives(range(100), life)
