"""Links in memory: two links between the same two nodes, and peers that are called again."""

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

from common.journal import Journal
from lab.simulation import MemoryConnection, MemoryNetwork, World
from stage1_chat.node import ChatNode
from stage2_ledger.keeping import LedgerSetup
from stage2_ledger.limits import MAX_UNPROVEN_REDIALS, MAX_REDIALS
from stage2_ledger.node import LedgerNode
from tests.memory import Event, FakeConnection, add_linked_stranger
from tests.stage2_ledger.scenes import (PolitePeer, add_linked_peer, calls_of, cut_all, errors, forgetting, founded_world,
                                        grown_world, joining_world, linked_pair, list_of, pairs, transaction)

# --- two links between the same two nodes -----------------------------------------------------------

@pytest.mark.parametrize("order", ["smaller first", "larger first"])
def test_of_two_links_between_the_same_two_nodes_one_is_left(order: str) -> None:
    for seed in range(100):
        world, alice = founded_world(seed, longest_delay=0.05)
        bob = world.add(LedgerNode, alice.address)
        world.run(1.0)
        cut_all(world, alice)
        world.settle()
        for node in (alice, bob) if order == "smaller first" else (bob, alice):
            other = bob if node is alice else alice
            world.open(world.networks[node.address], other.address)
        world.run(10.0)
        assert list(pairs(world).values()) == [1], f"seed {seed}"
        assert len(alice.links) == len(bob.links) == 1, f"seed {seed}"
        states = [peer["state"] for peer in world.reported(alice, "peer")]
        # The larger address may hear of the end of its call before the other's hello. Then it calls once more.
        assert states.count("up") == states.count("down") + 1 <= 4, f"seed {seed}: {states}"


@pytest.mark.parametrize("who", ["the smaller address", "the larger address"])
def test_of_two_calls_to_the_same_address_one_is_left(who: str) -> None:
    world, alice, bob = linked_pair()
    caller, called = (alice, bob) if who == "the smaller address" else (bob, alice)
    cut_all(world, alice)
    world.settle()
    for _ in range(2):
        world.open(world.networks[caller.address], called.address)
    world.run(10.0)
    assert list(pairs(world).values()) == [1] and len(alice.links) == len(bob.links) == 1


@pytest.mark.parametrize("order", ["the liar first", "the liar last"])
def test_a_called_peer_that_claims_anothers_address_does_not_replace_that_ones_link(order: str) -> None:
    world, alice = founded_world()
    liar, honest = (world.add(PolitePeer, None, 2) for _ in range(2))
    for peer in (liar, honest):
        peer.says_on_open = [peer.hello_message(alice.network_name, listen=honest.address)]
    for peer in (liar, honest) if order == "the liar first" else (honest, liar):
        world.open(world.networks[alice.address], peer.address)
        world.settle()
    assert [link.dialled for link in alice.links] == [honest.address]
    assert liar.is_closed and not honest.is_closed


def test_the_call_by_which_a_node_joins_stays_even_if_the_other_one_calls_back() -> None:
    for seed in range(20):
        world, alice = founded_world(seed, longest_delay=0.05)
        other = add_linked_peer(world, alice)
        bob = world.add(LedgerNode, alice.address)
        world.run(0.5)
        first = next(link for link in bob.links if link.dialled == alice.address)
        calls = calls_of(world, alice)
        world.run(0.05 * seed)
        world.kill(other)  # with one link less, alice calls the nodes in her list
        world.run(10.0)
        assert first.is_open and bob.address in [address for _, address in calls], f"seed {seed}"


# --- calling again ----------------------------------------------------------------------------------

@pytest.mark.parametrize("who", ["the side that was called", "the side that had called"])
def test_both_sides_call_again_for_an_hour(who: str) -> None:
    world, alice, bob = linked_pair(caller_has_peer=False)
    node, other = (alice, bob) if who == "the side that was called" else (bob, alice)
    calls = calls_of(world, node)
    start = world.now
    world.kill(other)
    world.run(2 * 3_600.0)
    times = [time - start for time, _ in calls]
    assert {address for _, address in calls} == {other.address}
    assert [round(time) for time in times[:8]] == [1, 3, 7, 15, 31, 61, 91, 121]
    assert {round(later - earlier) for earlier, later in itertools.pairwise(times[5:])} == {30}
    assert 3_600 - 31 < times[-1] <= 3_600 + 1


def test_the_peer_of_the_command_line_is_called_forever() -> None:
    world, alice, bob = linked_pair()
    calls = calls_of(world, bob)
    world.kill(alice)
    world.run(3 * 3_600.0)
    assert world.now - calls[-1][0] < 31


@pytest.mark.parametrize("who", ["they had called this node", "this node had called them"])
def test_only_so_many_lost_peers_are_called_again_in_addition_to_that_of_the_command_line(who: str) -> None:
    world, alice = founded_world()
    alice.neighbours.peer = "first:1"
    calls = calls_of(world, alice)
    for address in [*(f"host-{number}:1" for number in range(MAX_REDIALS + 50)), alice.neighbours.peer]:
        lost = FakeConnection(address if who == "this node had called them" else None, "somewhere", world.now)
        lost.address = address
        alice.redials.on_lost(lost)
    world.run(1.5)
    called = {address for _, address in calls}
    assert len(called) == 1 + (MAX_REDIALS if who == "this node had called them" else MAX_UNPROVEN_REDIALS)
    assert alice.neighbours.peer in called


@pytest.mark.parametrize("who", ["this node had called them", "they had called this node"])
def test_peers_that_come_and_go_do_not_take_the_place_of_one_that_stayed(who: str) -> None:
    world, alice = founded_world()
    addresses = [f"host-{number}:1" for number in range(MAX_REDIALS)]
    for address in addresses:
        lost = MemoryConnection(world, alice, address if who == "this node had called them" else None, address)
        lost.address = address
        alice.redials.on_lost(lost)
    stayed = MemoryConnection(world, alice, "stayed:1" if who == "this node had called them" else None, "stayed:1")
    stayed.address = "stayed:1"
    world.run(600.0)
    alice.redials.on_lost(stayed)
    assert "stayed:1" in alice.redials
    places = MAX_REDIALS if who == "this node had called them" else MAX_UNPROVEN_REDIALS
    assert sum(address in alice.redials for address in addresses) == places - 1


def test_an_address_comes_back_into_the_list_when_it_answers_again() -> None:
    world, alice, bob = linked_pair()
    world.partition({alice.address})
    world.settle()
    assert list_of(world, alice) == [alice.address] and list_of(world, bob) == [bob.address]
    world.run(20.0)
    assert list_of(world, alice) == [alice.address] and list_of(world, bob) == [bob.address]
    world.heal()
    world.run(31.0)
    assert list_of(world, alice) == list_of(world, bob) == [alice.address, bob.address]
    assert list(pairs(world).values()) == [1]


@pytest.mark.parametrize("who", ["the side that had called", "the side that was called"])
def test_a_peer_that_is_linked_again_by_then_is_called_at_most_once_more(who: str) -> None:
    """A node that got a call calls back to see who that was. The caller, which is linked already, closes that call."""
    world, alice, bob = linked_pair()
    caller, called = (bob, alice) if who == "the side that had called" else (alice, bob)
    cut_all(world, alice)
    world.settle()
    calls, others = calls_of(world, caller), calls_of(world, called)
    world.open(world.networks[caller.address], called.address)
    world.run(100.0)
    assert calls == [] and [address for _, address in others] == [caller.address]
    assert list(pairs(world).values()) == [1] and len(alice.links) == len(bob.links) == 1


# --- false claims about addresses -------------------------------------------------------------------

def add_impostor(world: World, node: LedgerNode, name: str) -> PolitePeer:
    """Let a stranger call `node`, and claim to listen at `name`."""
    impostor: PolitePeer = world.add(PolitePeer, node.address, 2)
    impostor.says_on_open = [impostor.hello_message(node.network_name, listen=name)]
    world.run(0.1)
    return impostor


@pytest.mark.parametrize("is_early", [True, False], ids=["before the cut", "after the cut"])
@pytest.mark.parametrize("caller_has_peer", [True, False])
def test_a_stranger_that_claims_the_address_of_a_lost_neighbour_does_not_end_the_calls_to_it(
        is_early: bool, caller_has_peer: bool) -> None:
    world, alice, bob = linked_pair(caller_has_peer)
    if is_early:
        add_impostor(world, bob, alice.address)
    with forgetting(alice):
        world.partition({alice.address})
        world.settle()
    if not is_early:
        add_impostor(world, bob, alice.address)
    world.heal()
    world.run(2.0)
    assert alice.address in [link.dialled for link in bob.links]
    assert pairs(world)[frozenset((alice.address, bob.address))] == 1


def test_strangers_that_claim_the_addresses_of_all_wanted_nodes_do_not_keep_a_node_from_calling_them() -> None:
    world, _, nodes = grown_world(1, 6)
    node = world.add(LedgerNode)
    node.network_name = nodes[0].network_name
    for other in nodes:
        add_impostor(world, node, other.address)
    assert set(list_of(world, node)) >= {other.address for other in nodes}
    cut_all(world, nodes[0])  # somebody else has to call it before it can call anybody
    add_impostor(world, node, "somebody:1").connection.close()
    world.run(5.0)
    assert {link.dialled for link in node.links} >= {other.address for other in nodes}


def test_strangers_do_not_take_the_places_of_nodes_that_are_called() -> None:
    """They claim addresses that follow the node's own on the ring, at which nobody answers."""
    world, _, nodes = grown_world(1, 6)
    node = world.add(LedgerNode)
    node.network_name = nodes[0].network_name
    for number in range(12):
        add_impostor(world, node, f"{node.address.removesuffix(':1')}-{number}:1")
    for other in nodes:
        node.ring.members.add(other.address)
    node.ring.keep_up_links()
    world.run(5.0)
    assert {link.dialled for link in node.links} >= {other.address for other in nodes}


def test_when_a_link_ends_an_impostor_does_not_get_the_address_that_a_closed_call_had_proven() -> None:
    world, alice, bob = linked_pair()
    cut_all(world, alice)
    world.settle()
    world.open(world.networks[alice.address], bob.address)
    add_impostor(world, bob, alice.address)
    world.run(10.0)
    assert pairs(world)[frozenset((alice.address, bob.address))] == 1
    with forgetting(alice):
        world.partition({alice.address})
        world.settle()
    world.heal()
    world.run(31.0)
    assert alice.address in [link.dialled for link in bob.links], "bob has called"


def test_a_peer_that_only_called_removes_no_answering_node_from_the_list() -> None:
    world, alice, bob = linked_pair()
    carol = world.add(LedgerNode, alice.address)
    world.run(1.0)
    with forgetting(bob), forgetting(carol):
        for end in world.open_connections():  # carol is known to bob, but not linked
            if {end.owner, end.other.owner} == {bob, carol}:
                world.cut(end)
        world.settle()
    bob.ring.members.add(carol.address)
    add_impostor(world, bob, carol.address).connection.close()
    world.settle()
    assert carol.address in list_of(world, bob)
    world.run(5.0)
    assert carol.address in list_of(world, bob) and pairs(world)[frozenset((bob.address, carol.address))] == 1


@pytest.mark.parametrize("kind", ["transaction", "presence"])
def test_a_transaction_makes_its_sender_useful_and_a_presence_does_not(kind: str) -> None:
    world, alice = founded_world()
    one = add_linked_peer(world, alice)
    world.run(1.0)
    other = add_linked_peer(world, alice)
    world.run(29.0)
    one.send(transaction() if kind == "transaction" else {"type": "presence", "nonce": "0" * 32, "address": "a:1"})
    world.run(35.0)
    assert alice.idle.make_room()
    world.settle()
    assert one.is_closed == (kind == "presence") and other.is_closed == (kind == "transaction")


def test_a_peer_that_had_to_make_room_is_called_by_nobody_and_calls_again() -> None:
    world, alice, bob = linked_pair()
    world.run(100.0)
    calls = calls_of(world, alice)
    assert alice.idle.make_room()
    world.run(2.0)
    assert [address for _, address in calls] == []
    assert list(pairs(world).values()) == [1] and list_of(world, alice) == [alice.address, bob.address]


# --- other names ------------------------------------------------------------------------------------

def give_names(world: World, node: LedgerNode, count: int) -> list[str]:
    """Other names by which `node` can be called."""
    names = [f"alias-{number}:1" for number in range(count)]
    world.networks.update(dict.fromkeys(names, world.networks[node.address]))
    return names


def flood_presences(peer: PolitePeer, names: list[str], round_: int) -> None:
    """Announce somebody at these addresses, in messages that are new to everyone."""
    peer.send(*({"type": "presence", "nonce": f"{round_:016x}{number:016x}", "address": name}
                for number, name in enumerate(names)))


@pytest.mark.parametrize("is_own", [False, True], ids=["of a neighbour", "its own"])
@pytest.mark.parametrize("is_seen", [True, False], ids=["at the same place", "at another place"])
def test_another_name_is_called_once_and_leaves_the_list(
        is_own: bool, is_seen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    world, alice, bob = linked_pair()
    names = give_names(world, bob if is_own else alice, 8)
    if not is_seen:  # as for a node that listens at several addresses of its machine
        monkeypatch.setattr("lab.simulation.MemoryConnection", ElsewhereConnection)
    gossip = add_linked_peer(world, bob)
    calls = calls_of(world, bob)
    for round_ in range(20):
        flood_presences(gossip, names, round_)
        world.settle()
        add_impostor(world, bob, f"somebody-{round_}:1").connection.close()  # so that the node looks for others
        world.run(1.0)
    called = Counter(address for _, address in calls if address in names)
    assert called == dict.fromkeys(names, 1)
    assert not set(names) & set(list_of(world, bob)) and {alice.address, bob.address} <= set(list_of(world, bob))
    assert pairs(world)[frozenset((alice.address, bob.address))] == 1
    lines = [error for error in world.reported(bob, "error") if "itself" in error["reason"]]
    assert (1 if is_own else 0) <= len(lines) <= (len(names) if is_own else 0), "one line for each, or for several"


@pytest.mark.parametrize("seed", range(5))
def test_a_neighbour_that_was_called_by_another_name_is_called_again_by_its_own(seed: int) -> None:
    """Anybody can make a name that leads to somebody's address today, and elsewhere tomorrow."""
    world, alice = founded_world(seed, longest_delay=0.05)
    bob = world.add(LedgerNode, None)
    bob.network_name = alice.network_name
    [name] = give_names(world, alice, 1)
    bob.ring.members.add(name)
    bob.ring.members.add(alice.address)
    bob.ring.keep_up_links()
    world.run(3.0)
    del world.networks[name]
    with forgetting(alice):
        cut_all(world, bob)
        world.run(5.0)
    assert pairs(world)[frozenset((alice.address, bob.address))] == 1
    assert list_of(world, bob) == [alice.address, bob.address]


class ElsewhereConnection(MemoryConnection):
    """A connection that cannot be recognised as leading to the same place as another one."""

    numbers = itertools.count()

    def __init__(self, world: World, owner: ChatNode, dialled: str | None, remote: str) -> None:
        super().__init__(world, owner, dialled, f"{remote} {next(self.numbers)}")


def test_a_liar_that_claims_anothers_address_is_itself_removed_from_the_list() -> None:
    world, alice, bob = linked_pair()
    liar = world.add(PolitePeer, None, 2)
    liar.says_on_open = [liar.hello_message(bob.network_name, listen=alice.address)]
    bob.ring.members.add(liar.address)
    bob.ring.keep_up_links()
    world.run(1.0)
    assert liar.is_closed and list_of(world, bob) == [alice.address, bob.address]
    assert pairs(world)[frozenset((alice.address, bob.address))] == 1


@pytest.mark.parametrize("ending", ["closes", "sends rubbish", "sends ten invalid ones", "sends an error"])
def test_a_refused_peer_is_not_called_again(ending: str) -> None:
    """Not even a peer that this node had called. One that has merely left, or has sent an `error`, is called again."""
    world, [first, second], node, calls = joining_world(2)
    first.send(first.hello_message("a" * 32), {"type": "peers", "addresses": [second.address]})
    world.settle()
    second.send(second.hello_message("a" * 32))
    world.settle()
    calls.clear()
    if ending == "closes":
        second.connection.close()
    elif ending == "sends an error":
        second.send({"type": "error", "code": "BUSY", "reason": "later"})
    elif ending == "sends rubbish":
        second.send_body(b"rubbish")
    else:
        node.check_transaction = refuse  # type: ignore[method-assign]
        second.send(*(transaction() for _ in range(10)))
    world.run(10.0)
    assert second.is_closed or len(calls) > 0
    is_called = second.address in [address for _, address in calls]
    assert is_called == (ending in ("closes", "sends an error"))


def test_a_refused_peer_takes_no_place_among_those_that_are_called_again() -> None:
    world, alice = founded_world()
    for _ in range(MAX_UNPROVEN_REDIALS):
        stranger = add_linked_stranger(world, alice, 2)
        stranger.says_on_open = [stranger.hello_message("b" * 32)]
        stranger.connection.close()
    world.run(10.0)
    assert errors(world, alice) == ["HANDSHAKE"] * MAX_UNPROVEN_REDIALS
    honest = add_linked_stranger(world, alice, 2)
    calls = calls_of(world, alice)
    honest.connection.close()
    world.run(10.0)
    assert honest.address in [address for _, address in calls]


def refuse(message: Event, canonical: bytes) -> None:
    """A check as in later stages. Here no transaction is valid."""
    from common.interface import Invalid
    raise Invalid("nothing is valid today")


def test_the_peer_of_the_command_line_is_called_again_whatever_it_did() -> None:
    world, [peer], _, calls = joining_world(1)
    peer.says_on_open = [peer.hello_message("a" * 32)]
    peer.send(peer.hello_message("a" * 32))
    peer.send_body(b"rubbish")
    world.run(2.0)
    assert [address for _, address in calls] == [peer.address]


def test_a_node_that_comes_back_calls_each_peer_once_even_if_one_is_dead(tmp_path: Path) -> None:
    world, alice = founded_world()
    peers = [alice, *(world.add(LedgerNode, alice.address) for _ in range(3))]
    world.run(1.0)
    living = [peer.address for peer in peers]
    journal = Journal(tmp_path)
    journal.note("network", str(alice.network_name))
    journal.note("peers", json.dumps([*living, "dead:1"]))
    node = world.add(LedgerNode, None, LedgerSetup(journal=journal))
    world.run(10.0)
    up = [(peer["address"], peer["state"]) for peer in world.reported(node, "peer")]
    assert sorted(up) == [(address, "up") for address in living]
    journal.close()


@pytest.mark.parametrize("own", ["a:1", "z:1"])
def test_a_peer_that_the_user_calls_by_another_name_is_linked_once_and_called_forever(own: str) -> None:
    world, alice = founded_world()
    world.networks["alias:1"] = world.networks[alice.address]
    network = world.networks[own] = MemoryNetwork(world, own)
    node = network.node = LedgerNode(network, own)
    node.start("alias:1")
    world.run(1.0)
    for _ in range(2):
        cut_all(world, alice)  # both sides call again
        world.run(100.0)
        assert len(node.links) == 1 and list(pairs(world).values()) == [1]
    assert len(world.reported(node, "peer")) < 12, "the two have agreed"
    calls = calls_of(world, node)
    world.kill(alice)
    world.run(3 * 3_600.0)
    assert world.now - calls[-1][0] < 31


def test_the_name_that_the_user_gave_is_called_forever_even_after_that_peer_has_called_this_node() -> None:
    world, alice = founded_world()
    world.networks["alias:1"] = world.networks[alice.address]
    node = world.add(LedgerNode, "alias:1")
    world.run(1.0)
    cut_all(world, alice)
    alice.network.connect(node.address)
    world.run(60.0)
    assert [link.dialled for link in node.links] == [None]
    world.kill(alice)
    moved = world.add(LedgerNode)
    moved.network_name = node.network_name
    world.networks["alias:1"] = world.networks[moved.address]  # the name now stands for another machine
    world.run(31.0)
    assert [link.address for link in node.links] == [moved.address]
