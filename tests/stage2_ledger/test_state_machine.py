"""The ledger node in memory: ring, links, transactions and reconciliation, under random schedules."""

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from common.interface import Connection
from common.journal import Journal
from common.limits import MAX_CALLED_BACK, MAX_INVENTORY, MAX_MISSING, MAX_REDIALS
from lab.simulation import MemoryNetwork, World
from stage1_chat.node import ChatNode
from stage2_ledger.membership import Membership
from stage2_ledger.node import LedgerNode
from tests.memory import Event, Stranger, add_linked_stranger
from tests.sizes import and_long
from tests.stage2_ledger.scenes import (PolitePeer, add_linked_peer, balances, calls_of, cut_all, errors, founded_world,
                                        ledger_of, list_of, pairs, summary_of, transaction, transaction_id)

PING = {"type": "ping", "nonce": "end"}
PONG = {"type": "pong", "nonce": "end"}


def unknown_ids(count: int, seed: int = 0) -> list[str]:
    """Ids of which nobody has the message."""
    choose = random.Random(seed)
    return [f"{choose.getrandbits(256):064x}" for _ in range(count)]


def ring_order(addresses: Iterable[str]) -> list[str]:
    """Addresses of a `World` in the order of contract §3; they all have port 1."""
    return sorted(addresses, key=lambda address: address.partition(":")[0])


def the_ten_after(own: str, addresses: list[str]) -> list[str]:
    """The ten addresses that follow `own`, wrapping around; all others if there are fewer."""
    ring = ring_order(addresses)
    place = ring.index(own) + 1
    return (ring[place:] + ring[:place - 1])[:10]


# --- the ring ---------------------------------------------------------------------------------------

def test_addresses_sort_by_host_as_text_and_port_as_number() -> None:
    members = Membership("b:5", random.Random(1))
    for address in ("b:10", "b:9", "a:70", "10.0.0.9:1", "10.0.0.10:1", "B:6", "a-b:1", "a.b:1", "a:9"):
        members.add(address)
    assert members.sorted() == ["10.0.0.10:1", "10.0.0.9:1", "B:6", "a:9", "a:70", "a-b:1", "a.b:1",
                                "b:5", "b:9", "b:10"]


@pytest.mark.parametrize("own, expected", [
    (0, [*range(1, 11)]), (4, [*range(5, 15)]), (5, [*range(6, 15), 0]), (14, [*range(0, 10)]),
    (9, [10, 11, 12, 13, 14, 0, 1, 2, 3, 4])])
def test_the_ten_that_follow_wrap_around(own: int, expected: list[int]) -> None:
    members = Membership(f"h:{own + 1}", random.Random(1))
    for number in range(15):
        members.add(f"h:{number + 1}")
    assert members.successors() == [f"h:{number + 1}" for number in expected]


@pytest.mark.parametrize("count", range(1, 13))
def test_with_few_others_all_of_them_follow_and_none_twice(count: int) -> None:
    members = Membership("h:3", random.Random(1))
    for number in range(1, count + 1):
        members.add(f"h:{number}")
    others = len(members.sorted()) - 1
    assert len(set(members.successors())) == len(members.successors()) == min(10, others)
    assert "h:3" not in members.successors() and "h:3" not in members.wanted()
    assert len(set(members.wanted())) == len(members.wanted()) == min(12, others)


def test_two_more_are_picked_at_random_for_good_and_replaced_when_they_are_gone() -> None:
    picked: Counter[str] = Counter()
    for seed in range(300):
        members = Membership("h:1", random.Random(seed))
        for number in range(2, 32):
            members.add(f"h:{number}")
        two = members.wanted()[10:]
        assert len(set(two)) == 2 and not set(two) & set(members.successors()), f"seed {seed}"
        assert members.wanted()[10:] == two, f"seed {seed}: asked again, the same"
        members.discard(two[0])
        three = members.wanted()[10:]
        assert len(three) == 2 and two[1] in three and two[0] not in three, f"seed {seed}"
        picked.update(two)
    assert set(picked) == {f"h:{number}" for number in range(12, 32)}
    assert max(picked.values()) < 70, "30 of each are expected"


# --- joining ----------------------------------------------------------------------------------------

def joining_world(count: int) -> tuple[World, list[PolitePeer], LedgerNode, list[tuple[float, str]]]:
    """`count` scripted peers, and a node that has called the first one of them."""
    world = World(seed=1, longest_delay=0.0)
    peers = [world.add(PolitePeer, None, 2) for _ in range(count)]
    node = world.add(LedgerNode, peers[0].address)
    calls = calls_of(world, node)
    world.settle()
    return world, peers, node, calls


def test_a_node_joins_in_the_order_of_the_contract() -> None:
    world, peers, node, calls = joining_world(20)
    first = peers[0]
    assert first.news() == [first.hello_message(None, listen=node.address)]
    first.send(first.hello_message("a" * 32))
    world.settle()
    assert first.news() == [{"type": "summary", "answer": False, "buckets": {}}, {"type": "get_peers"}]
    assert calls == [], "it calls nobody else before it knows the list"
    addresses = ring_order(peer.address for peer in peers)
    first.send({"type": "peers", "addresses": addresses})
    world.settle()
    ten = the_ten_after(node.address, [*addresses, node.address])
    assert first.address in ten
    called = [address for _, address in calls]
    assert called[:9] == [address for address in ten if address != first.address]
    assert len(called) == len(set(called)) == 11, "nine of the ten, for one is linked, and two at random"
    assert not set(called) & {node.address, first.address}
    [presence] = first.news()
    assert presence == {"type": "presence", "nonce": presence["nonce"], "address": node.address}
    for peer in peers[1:]:
        hellos = [peer.hello_message("a" * 32, listen=node.address)] if peer.address in called else []
        assert peer.news() == hellos


def test_whoever_called_compares_first_and_the_called_one_says_nothing() -> None:
    world, alice = founded_world()
    peer = world.add(PolitePeer, alice.address, 2)
    world.settle()
    peer.send(peer.hello_message(alice.network_name))
    world.settle()
    assert [message["type"] for message in peer.news()] == ["hello"]


def test_the_list_has_all_nodes_in_order_and_the_newcomer_its_links() -> None:
    for seed in range(8):
        world, choose = World(seed), random.Random(seed)
        nodes = [world.add(LedgerNode)]
        for _ in range(24):
            nodes.append(world.add(LedgerNode, choose.choice(nodes).address))
            world.run(1.0)
        everyone = ring_order(node.address for node in nodes)
        for node in nodes:
            assert list_of(world, node) == everyone, f"seed {seed}, {node.address}"
        linked = {link.address for link in nodes[-1].links}
        assert set(the_ten_after(nodes[-1].address, everyone)) <= linked, f"seed {seed}"
        assert len(linked) >= 12, f"seed {seed}: and two more at random"


def test_many_who_join_at_once_all_know_each_other() -> None:
    for seed in range(100):
        world = World(seed)
        nodes = [world.add(LedgerNode)]
        nodes += [world.add(LedgerNode, nodes[0].address) for _ in range(8)]
        world.run(2.0)
        everyone = ring_order(node.address for node in nodes)
        for node in nodes:
            assert list_of(world, node) == everyone, f"seed {seed}, {node.address}"
        assert set(pairs(world).values()) == {1}, f"seed {seed}: {pairs(world)}"
        assert len(pairs(world)) == 36, f"seed {seed}: all are linked to all"


def test_get_peers_is_answered_with_the_sorted_list() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice), add_linked_peer(world, alice)
    one.send({"type": "presence", "nonce": "0" * 32, "address": "a:100"},
             {"type": "presence", "nonce": "1" * 32, "address": "a:20"}, {"type": "get_peers"}, {"type": "get_peers"})
    world.settle()
    answer = {"type": "peers", "addresses": ["a:20", "a:100", alice.address, one.address, two.address]}
    assert one.news() == [answer, answer]
    assert world.ask(alice, "/peers", "peers") == {"addresses": answer["addresses"], "connections": 2}


def test_presence_is_flooded_once_and_not_back() -> None:
    world, alice = founded_world()
    one, two, three = (add_linked_peer(world, alice) for _ in range(3))
    presence = {"type": "presence", "nonce": "0" * 32, "address": "somebody:7"}
    one.send(presence)
    world.settle()
    two.send(presence)
    two.send_body(json.dumps(presence, indent=3).encode())
    three.send(presence, PING)
    world.settle()
    assert (one.news(), two.news(), three.news()) == ([], [presence], [presence, PONG])
    assert "somebody:7" in list_of(world, alice)
    again = {**presence, "nonce": "1" * 32}
    one.send(again)
    world.settle()
    assert (one.news(), two.news(), three.news()) == ([], [again], [again]), "another nonce is another message"


def test_a_presence_reaches_everyone_in_the_ring_once() -> None:
    for seed in range(30):
        world = World(seed)
        nodes = [world.add(LedgerNode)]
        for _ in range(5):
            nodes.append(world.add(LedgerNode, nodes[0].address))
            world.run(1.0)
        watchers = [add_linked_peer(world, node) for node in nodes]
        newcomer = world.add(LedgerNode, nodes[seed % 6].address)
        world.run(2.0)
        for watcher in watchers:
            came = [message["address"] for message in watcher.news("presence")]
            assert came.count(newcomer.address) == 1, f"seed {seed}, {watcher.address}: {came}"


@pytest.mark.parametrize("is_second", [False, True])
def test_peers_that_nobody_asked_for_are_format(is_second: bool) -> None:
    world, [peer], node, calls = joining_world(1)
    peer.send(peer.hello_message("a" * 32), {"type": "peers", "addresses": []})
    world.settle()
    assert "presence" in [message["type"] for message in peer.news()]
    liar = peer if is_second else add_linked_peer(world, node)
    liar.send({"type": "peers", "addresses": ["victim:80"]})
    world.settle()
    assert [error["code"] for error in liar.messages("error")] == ["FORMAT"] and liar.is_closed
    assert "victim:80" not in list_of(world, node)
    assert "victim:80" not in [address for _, address in calls]


@pytest.mark.parametrize("addresses", [
    ["a:1", "a:1"], ["a:0"], ["a"], [""], [1], [None], "a:1", None, {}, ["a:1", ["b:1"]],
    [f"a:{number + 1}" for number in range(10_001)]], ids=lambda value: str(value)[:20])
def test_a_list_of_the_wrong_form_is_format_and_leaves_no_trace(addresses: Any) -> None:
    world, [peer], node, calls = joining_world(1)
    peer.send(peer.hello_message("a" * 32), {"type": "peers", "addresses": addresses})
    world.settle()
    assert [error["code"] for error in peer.messages("error")] == ["FORMAT"] and peer.is_closed
    assert calls == [] and set(list_of(world, node)) <= {node.address, peer.address}


def test_the_list_holds_ten_thousand_at_most() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    peer.send(*({"type": "presence", "nonce": f"{number:032x}", "address": f"a:{number}"}
                for number in range(1, 10_100)), {"type": "get_peers"})
    world.settle()
    [answer] = peer.news("peers")
    assert len(answer["addresses"]) == 10_000
    assert {alice.address, peer.address} <= set(answer["addresses"])


def test_the_list_is_written_down_when_it_has_changed_and_only_then(tmp_path: Path) -> None:
    world = World(1)
    node = world.add(LedgerNode, None, Journal(tmp_path))
    written = []
    for minute in range(3):
        if minute == 2:
            node.members.add("somebody:7")
        for _ in range(12):
            world.run(5.0)
            node.commit()
        written.append((tmp_path / "journal.sqlite-wal").stat().st_size)
    assert written[0] == written[1] < written[2]
    node.on_end()


# --- addresses that do not answer -------------------------------------------------------------------

def test_addresses_that_do_not_answer_are_not_in_the_list_and_others_are_called_instead() -> None:
    world, peers, node, calls = joining_world(20)
    dead = [f"node-{number}:1" for number in range(22, 30)]
    assert set(dead) < set(the_ten_after(node.address, [*dead, node.address, *(peer.address for peer in peers)]))
    living = [peer.address for peer in peers]
    peers[0].send(peers[0].hello_message("a" * 32), {"type": "peers", "addresses": dead + living})
    world.settle()
    assert list_of(world, node) == ring_order([*living, node.address])
    called = [address for _, address in calls]
    assert len(called) == len(set(called)), "each is called once"
    assert len(set(called) & set(living)) == 11, "twelve links are opened in spite of the dead, one is there already"


@pytest.mark.parametrize("says", ["nothing", "another network", "another stage", "end"])
def test_who_answers_without_belonging_is_not_in_the_list(says: str) -> None:
    world, [peer, odd], node, _ = joining_world(2)
    odd.says_on_open = {"nothing": [], "end": [{"type": "error", "code": "BUSY", "reason": ""}],
                        "another network": [odd.hello_message("b" * 32)],
                        "another stage": [odd.hello_message("a" * 32, stage=1)]}[says]
    peer.send(peer.hello_message("a" * 32), {"type": "peers", "addresses": [odd.address]})
    world.run(6.0)
    assert odd.is_closed
    assert list_of(world, node) == [peer.address, node.address]


def test_who_has_called_and_is_refused_takes_off_the_list_only_what_it_has_brought() -> None:
    world, alice = founded_world()
    known, unknown = (world.add(PolitePeer, None, 2).address for _ in range(2))
    honest = add_linked_peer(world, alice)
    honest.send({"type": "presence", "nonce": "0" * 32, "address": known})
    world.settle()
    calls = calls_of(world, alice)
    for address in (known, unknown):
        liar = world.add(PolitePeer, alice.address, 2)
        liar.says_on_open = [liar.hello_message(alice.network_name, listen=address)]
        world.settle()
        assert address in list_of(world, alice)
        liar.send_body(b"rubbish")
        world.settle()
    assert list_of(world, alice) == [alice.address, known, honest.address]
    assert [address for _, address in calls] == [known], "with one link less it calls who is in the list"


def test_a_killed_node_leaves_every_list_and_the_ten_links_are_kept_up() -> None:
    for seed in range(8):
        world, choose = World(seed), random.Random(seed)
        nodes = [world.add(LedgerNode)]
        for _ in range(17):
            nodes.append(world.add(LedgerNode, choose.choice(nodes).address))
            world.run(0.5)
        world.run(1.0)
        for _ in range(5):
            nodes.remove(killed := choose.choice(nodes))
            neighbours = [link.owner for link in world.open_connections() if link.other.owner is killed]
            world.kill(killed)
            world.run(0.9)  # less than a second: the first call of the killed one must not be what brings others
            for node in neighbours:
                assert isinstance(node, LedgerNode)
                own = list_of(world, node)
                assert killed.address not in own, f"seed {seed}, {node.address}"
                missing = set(the_ten_after(node.address, own)) - {link.address for link in node.links}
                assert not missing, f"seed {seed}: {node.address} lacks links to {missing}"


# --- two links between the same two -----------------------------------------------------------------

@pytest.mark.parametrize("order", ["smaller first", "larger first"])
def test_of_two_links_between_the_same_two_one_is_left(order: str) -> None:
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
        assert states.count("up") == states.count("down") + 1 <= 3, f"seed {seed}: {states}"


def test_no_two_links_are_left_after_any_life() -> None:
    for seed in range(100):
        world = random_life(seed, has_cuts=True)[0]
        world.heal()
        world.run(40.0)
        assert set(pairs(world).values()) <= {1}, f"seed {seed}: {pairs(world)}"


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
def test_who_was_called_and_says_that_it_listens_where_another_one_does_does_not_take_its_link(order: str) -> None:
    world, alice = founded_world()
    liar, honest = (world.add(PolitePeer, None, 2) for _ in range(2))
    for peer in (liar, honest) if order == "the liar first" else (honest, liar):
        peer.says_on_open = [peer.hello_message(alice.network_name, listen=honest.address)]
        world.open(world.networks[alice.address], peer.address)
        world.settle()
    assert [link.dialled for link in alice.links] == [honest.address]
    assert liar.is_closed and not honest.is_closed


# --- calling again ----------------------------------------------------------------------------------

def linked_pair(caller_has_peer: bool = True) -> tuple[World, LedgerNode, LedgerNode]:
    """Two linked nodes; the second has called the first, which is its `--peer` or just another node."""
    world, alice = founded_world()
    bob = world.add(LedgerNode, alice.address)
    world.run(1.0)
    if not caller_has_peer:
        bob.peer = None
    return world, alice, bob


@pytest.mark.parametrize("who", ["who was called", "who had called"])
def test_both_sides_call_again_for_an_hour(who: str) -> None:
    world, alice, bob = linked_pair(caller_has_peer=False)
    node, other = (alice, bob) if who == "who was called" else (bob, alice)
    calls = calls_of(world, node)
    start = world.now
    world.kill(other)
    world.run(2 * 3_600.0)
    times = [time - start for time, _ in calls]
    assert {address for _, address in calls} == {other.address}
    assert [round(time) for time in times[:8]] == [1, 3, 7, 15, 31, 61, 91, 121]
    assert {round(later - earlier) for earlier, later in itertools.pairwise(times[5:])} == {30}
    assert 3_600 - 31 < times[-1] <= 3_600 + 1


def test_the_peer_of_the_command_line_is_called_for_ever() -> None:
    world, alice, bob = linked_pair()
    calls = calls_of(world, bob)
    world.kill(alice)
    world.run(3 * 3_600.0)
    assert world.now - calls[-1][0] < 31


@pytest.mark.parametrize("who", ["who was called", "who had called"])
def test_of_very_many_lost_peers_only_so_many_are_called_again_and_that_of_the_command_line(who: str) -> None:
    world, alice = founded_world()
    alice.peer = "first:1"
    calls = calls_of(world, alice)
    for address in [*(f"host-{number}:1" for number in range(MAX_REDIALS + 50)), alice.peer]:
        lost = Connection(address if who == "who had called" else None, "somewhere", world.now)
        lost.address = address
        alice.redials.on_lost(lost)
    world.run(1.5)
    called = {address for _, address in calls}
    assert len(called) == 1 + (MAX_REDIALS if who == "who had called" else MAX_CALLED_BACK)
    assert alice.peer in called


def test_an_address_comes_back_into_the_list_when_it_answers_again() -> None:
    world, alice, bob = linked_pair()
    world.part({alice.address})
    world.settle()
    assert list_of(world, alice) == [alice.address] and list_of(world, bob) == [bob.address]
    world.run(20.0)
    assert list_of(world, alice) == [alice.address] and list_of(world, bob) == [bob.address]
    world.heal()
    world.run(31.0)
    assert list_of(world, alice) == list_of(world, bob) == [alice.address, bob.address]
    assert list(pairs(world).values()) == [1]


def test_who_is_linked_by_then_is_not_called_again() -> None:
    world, alice, bob = linked_pair()
    cut_all(world, alice)
    world.settle()
    world.open(world.networks[alice.address], bob.address)
    world.settle()
    calls = calls_of(world, alice) + calls_of(world, bob)
    world.run(100.0)
    assert calls == [] and list(pairs(world).values()) == [1]


@pytest.mark.parametrize("ending", ["closes", "sends rubbish", "sends ten invalid ones", "sends an error"])
def test_who_was_refused_is_not_called_again(ending: str) -> None:
    """Not even one that this node had called; and one that has just left is."""
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


def test_who_was_refused_takes_nobodys_place_among_those_who_are_called_again() -> None:
    world, alice = founded_world()
    for _ in range(MAX_CALLED_BACK):
        stranger = add_linked_stranger(world, alice, 2)
        stranger.says_on_open = [stranger.hello_message("b" * 32)]
        stranger.connection.close()
    world.run(10.0)
    assert errors(world, alice) == ["HANDSHAKE"] * MAX_CALLED_BACK
    honest = add_linked_stranger(world, alice, 2)
    calls = calls_of(world, alice)
    honest.connection.close()
    world.run(10.0)
    assert honest.address in [address for _, address in calls]


def refuse(message: Event, canonical: bytes) -> None:
    """Stands for a rule of a later stage: no transaction is valid."""
    from common.interface import Invalid
    raise Invalid("nothing is valid today")


def test_the_peer_of_the_command_line_is_called_again_whatever_it_did() -> None:
    world, [peer], _, calls = joining_world(1)
    peer.says_on_open = [peer.hello_message("a" * 32)]
    peer.send(peer.hello_message("a" * 32))
    peer.send_body(b"rubbish")
    world.run(2.0)
    assert [address for _, address in calls] == [peer.address]


def test_who_comes_back_calls_each_peer_once_also_when_one_is_dead(tmp_path: Path) -> None:
    world, alice = founded_world()
    peers = [alice, *(world.add(LedgerNode, alice.address) for _ in range(3))]
    world.run(1.0)
    living = [peer.address for peer in peers]
    journal = Journal(tmp_path)
    journal.note("network", str(alice.network_name))
    journal.note("peers", json.dumps([*living, "dead:1"]))
    node = world.add(LedgerNode, None, journal)
    world.run(10.0)
    up = [(peer["address"], peer["state"]) for peer in world.reported(node, "peer")]
    assert sorted(up) == [(address, "up") for address in living]
    journal.close()


@pytest.mark.parametrize("own", ["a:1", "z:1"])
def test_a_peer_that_the_user_calls_by_another_name_is_linked_once_and_called_for_ever(own: str) -> None:
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


def test_the_name_that_the_user_gave_is_called_for_ever_also_after_that_peer_has_called_itself() -> None:
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
    world.networks["alias:1"] = world.networks[moved.address]  # as where a name stands for another machine now
    world.run(31.0)
    assert [link.address for link in node.links] == [moved.address]


# --- transactions -----------------------------------------------------------------------------------

def test_a_transaction_is_applied_once_everywhere_and_told_to_its_maker() -> None:
    world, alice = founded_world()
    nodes = [alice, *(world.add(LedgerNode, alice.address) for _ in range(4))]
    world.run(1.0)
    nodes[2].on_line("/send alice bob 7")
    world.settle()
    for node in nodes:
        assert ledger_of(world, node) == {"alice": -7, "bob": 7}, node.address
    events = [entry for entry in world.networks[nodes[2].address].reported
              if entry["event"] in ("sent", "transaction")]
    [own_id] = nodes[2].transactions
    assert events == [{"event": "sent", "id": own_id}, {"event": "transaction", "id": own_id, "state": "applied"}]
    assert all(world.reported(node, "sent") == world.reported(node, "transaction") == []
               for node in nodes if node is not nodes[2])


def test_what_is_sent_is_the_wire_form_and_its_id_the_canonical_bytes() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    alice.on_line("/send a\"b\\c <&>é 9007199254740991")
    assert errors(world, alice) == ["ACCOUNT"]
    alice.on_line("/send a\"b\\c <&> 9007199254740991")
    world.settle()
    [message] = peer.news()
    assert message == {"type": "transaction", "nonce": message["nonce"], "from": 'a"b\\c', "to": "<&>",
                       "amount": 9_007_199_254_740_991}
    assert len(message["nonce"]) == 32 and set(message["nonce"]) <= set("0123456789abcdef")
    assert [sent["id"] for sent in world.reported(alice, "sent")] == [transaction_id(alice.network_name, message)]


def test_the_id_is_the_sha256_of_these_bytes() -> None:
    """The number was made by sha256sum, from the bytes that contract §1 describes."""
    world, [peer], node, _ = joining_world(1)
    peer.send(peer.hello_message("0" * 32), transaction("alice", "bob", 5, nonce="1" * 32))
    world.settle()
    # printf '["transaction","000…","111…","alice","bob",5]' | sha256sum
    assert list(node.transactions) == ["3d585f2d441dd8c65818e9a8d2e817514ee24c26ecbd0ee7751cfc0b347d5eeb"]


def test_equal_contents_are_two_transactions_and_the_own_echo_is_none() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice), add_linked_peer(world, alice)
    alice.on_line("/send alice bob 1")
    alice.on_line("/send alice bob 1")
    world.settle()
    echoes = one.news("transaction")
    assert len(echoes) == 2 and echoes[0] != echoes[1] and len(alice.transactions) == 2
    one.send(*echoes)
    for echo in echoes:
        two.send_body(json.dumps(dict(reversed(echo.items())), indent=1).encode())
    world.settle()
    assert ledger_of(world, alice) == {"alice": -2, "bob": 2}
    assert one.news() == []
    assert two.news() == echoes, "the own ones, once"
    assert len(world.reported(alice, "transaction")) == 2


def test_a_transaction_is_forwarded_as_the_bytes_that_came_and_not_back() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice), add_linked_peer(world, alice)
    frames: list[bytes] = []
    two.on_frame = lambda connection, frame: frames.append(frame)
    body = b'{ "amount":3, "to":"b\\u006fb" , "from":"a","type":"transaction", "nonce":"%s"}' % (b"0" * 32)
    one.send_body(body)
    one.send({"type": "want", "ids": [transaction_id(alice.network_name, json.loads(body))]})
    world.settle()
    assert [frame[4:] for frame in frames] == [body]
    assert one.news() == [json.loads(body)], "only when it asks, also as the bytes that came"


def test_balances_may_be_negative_and_large_and_amounts_zero() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    largest = 2**53 - 1
    peer.send(transaction("a", "b", 0), transaction("c", "c", 5), transaction("d", "e", largest),
              transaction("d", "e", largest), transaction("e", "a", 1), transaction("!", "~" * 64, 2))
    world.settle()
    assert ledger_of(world, alice) == {"a": 1, "b": 0, "c": 0, "d": -2 * largest, "e": 2 * largest - 1,
                                       "!": -2, "~" * 64: 2}


BAD_MEMBERS: dict[str, dict[str, Any]] = {
    "amount -1": {"amount": -1}, "amount 2^53": {"amount": 2**53}, "amount 1.0": {"amount": 1.0},
    "amount true": {"amount": True}, "amount text": {"amount": "1"}, "amount null": {"amount": None},
    "amount list": {"amount": [1]}, "amount 10^400": {"amount": 10**400},
    "name with space": {"from": "a b"}, "name of 65": {"to": "x" * 65}, "name empty": {"from": ""},
    "name é": {"to": "é"}, "name DEL": {"to": "\x7f"}, "name and line end": {"to": "bob\n"}, "name 1": {"from": 1},
    "name null": {"to": None}, "name list": {"to": ["bob"]}, "nonce of 31": {"nonce": "0" * 31},
    "nonce upper": {"nonce": "A" * 32}, "nonce not hex": {"nonce": "g" * 32}, "no nonce": {"nonce": ...},
    "nonce 1": {"nonce": 1}, "no amount": {"amount": ...}, "no from": {"from": ...}, "no to": {"to": ...},
    "extra": {"id": "0" * 64}, "signature": {"signature": ""}}
BAD_BODIES = {f"amount {text}": json.dumps(transaction(amount=77, nonce="0" * 32)).replace("77", text).encode()
              for text in ("-0", "1e2", "1E2", "1.5", "-1", "1e400", "9007199254740992", "0.0")}
OTHER_BAD_MESSAGES: dict[str, Event] = {
    "presence without port": {"type": "presence", "nonce": "0" * 32, "address": "a"},
    "presence nonce": {"type": "presence", "nonce": "0" * 33, "address": "a:1"},
    "presence extra": {"type": "presence", "nonce": "0" * 32, "address": "a:1", "x": 1},
    "get_peers extra": {"type": "get_peers", "all": True}, "want without ids": {"type": "want"},
    "want 1,001": {"type": "want", "ids": unknown_ids(1_001)}, "want twice": {"type": "want", "ids": ["0" * 64] * 2},
    "want short id": {"type": "want", "ids": ["0" * 63]}, "want upper": {"type": "want", "ids": ["A" * 64]},
    "want text": {"type": "want", "ids": "0" * 64}, "want null": {"type": "want", "ids": [None]},
    "inventory bucket": {"type": "inventory", "bucket": "0", "ids": []},
    "inventory bucket upper": {"type": "inventory", "bucket": "AA", "ids": []},
    "inventory twice": {"type": "inventory", "bucket": "00", "ids": ["0" * 64] * 2},
    "inventory no id": {"type": "inventory", "bucket": "00", "ids": ["x"]},
    "summary answer 1": {"type": "summary", "answer": 1, "buckets": {}},
    "summary answer null": {"type": "summary", "answer": None, "buckets": {}},
    "summary list": {"type": "summary", "answer": False, "buckets": []},
    "summary prefix": {"type": "summary", "answer": False, "buckets": {"0": "0" * 64}},
    "summary prefix upper": {"type": "summary", "answer": False, "buckets": {"0A": "0" * 64}},
    "summary sum": {"type": "summary", "answer": False, "buckets": {"00": "0" * 63}},
    "summary sum 1": {"type": "summary", "answer": False, "buckets": {"00": 1}},
    "summary without buckets": {"type": "summary", "answer": False}}
BAD_INPUT = {
    **{name: json.dumps({member: value for member, value in {**transaction(), **changes}.items() if value is not ...})
       .encode() for name, changes in BAD_MEMBERS.items()},
    **BAD_BODIES, **{name: json.dumps(message).encode() for name, message in OTHER_BAD_MESSAGES.items()}}


@pytest.mark.parametrize("body", BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_input_of_the_wrong_form_ends_its_connection_and_changes_nothing(body: bytes) -> None:
    world, alice = founded_world()
    bad, good = add_linked_peer(world, alice), add_linked_peer(world, alice)
    good.send(transaction("a", "b", 3))
    world.settle()
    bad.news()
    bad.send_body(body)
    bad.send(transaction("never", "heard", 1))
    world.settle()
    assert [(message["type"], message["code"]) for message in bad.news()] == [("error", "FORMAT")]
    assert bad.is_closed and errors(world, alice) == ["FORMAT"]
    good.send(PING)
    world.settle()
    assert good.news() == [PONG], "nothing of it is forwarded"
    assert ledger_of(world, alice) == {"a": -3, "b": 3} and len(alice.transactions) == 1
    assert list_of(world, alice) == [alice.address, good.address]


@pytest.mark.parametrize("kind", ["block", "genesis", "height", "tip", "get_blocks", "get_chain", "Transaction"])
def test_types_of_later_stages_are_ignored(kind: str) -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice), add_linked_peer(world, alice)
    one.send({"type": kind, "number": -1}, PING)
    world.settle()
    assert one.news() == [PONG] and two.news() == [] and errors(world, alice) == []


@pytest.mark.parametrize("line, code", [
    ("/send", "COMMAND"), ("/send a b", "COMMAND"), ("/send a b 1 2", "COMMAND"), ("/send a b -1", "COMMAND"),
    ("/send a b 1.0", "COMMAND"), ("/send a b 1e3", "COMMAND"), ("/send a b x", "COMMAND"), ("/send a b ٣", "COMMAND"),
    ("/send a b 9007199254740992", "COMMAND"), ("/send a b +1", "COMMAND"), ("/send a b 1_0", "COMMAND"),
    ("/send a b " + "9" * 5_000, "COMMAND"), ("/send a b ²", "COMMAND"), ("/ledger now", "COMMAND"),
    ("/send é b 1", "ACCOUNT"), ("/send a " + "x" * 65 + " 1", "ACCOUNT"), ("/send a \udcff 1", "ACCOUNT"),
    ("/send a\x7f b 1", "ACCOUNT"), ("/account", "COMMAND"), ("/blocks", "COMMAND")])
def test_a_command_that_cannot_be_carried_out_is_one_error_and_changes_nothing(line: str, code: str) -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    alice.on_line(line)
    world.settle()
    assert errors(world, alice) == [code]
    assert peer.news() == [] and ledger_of(world, alice) == {}
    assert world.reported(alice, "sent") == []
    json.dumps(world.reported(alice, "error"), ensure_ascii=False).encode()  # can be printed


@pytest.mark.parametrize("line", ["/send a b 0", "/send a a 1", "/send a b 9007199254740991", "/send  a   b  007"])
def test_commands_that_can_be_carried_out(line: str) -> None:
    world, alice = founded_world()
    alice.on_line(line)
    assert errors(world, alice) == [] and len(world.reported(alice, "sent")) == 1
    assert sum(ledger_of(world, alice).values()) == 0


def test_help_lists_the_commands_of_this_stage() -> None:
    world, alice = founded_world()
    commands = [entry["command"] for entry in world.ask(alice, "/help", "help")["commands"]]
    assert commands == ["/help", "/peers", "/quit", "/send FROM TO AMOUNT", "/ledger"]


def test_chat_goes_on_in_this_stage() -> None:
    world, alice, bob = linked_pair()
    alice.on_line("hi")
    world.settle()
    late = world.add(LedgerNode, bob.address)
    world.run(1.0)
    assert [world.reported(node, "chat") for node in (alice, bob, late)] == [[{"text": "hi"}]] * 3


# --- reconciliation, message by message -------------------------------------------------------------

def stocked_world(count: int) -> tuple[World, LedgerNode, PolitePeer, dict[str, Event]]:
    """A node with `count` transactions, a linked peer, and the transactions by their ids."""
    world, alice = founded_world()
    source = add_linked_peer(world, alice)
    messages = [transaction(amount=number) for number in range(count)]
    source.send(*messages)
    world.settle()
    peer = add_linked_peer(world, alice)
    return world, alice, peer, {transaction_id(alice.network_name, message): message for message in messages}


def inventory(bucket: str, ids: list[str]) -> Event:
    """An inventory message."""
    return {"type": "inventory", "bucket": bucket, "ids": ids}


def summary(ids: list[str], answer: bool = False) -> Event:
    """A summary of these ids."""
    return {"type": "summary", "answer": answer, "buckets": summary_of(ids)}


def canonical_inventories(messages: list[Event]) -> dict[str, set[str]]:
    """The inventories among `messages`, bucket -> ids; in which order is left to the node."""
    inventories = [message for message in messages if message["type"] == "inventory"]
    found = {message["bucket"]: set(message["ids"]) for message in inventories}
    assert len(found) == len(inventories) and all(len(one["ids"]) == len(set(one["ids"])) for one in inventories)
    return found


def by_bucket(ids: list[str]) -> dict[str, set[str]]:
    """Ids by their first two digits."""
    return {one[:2]: {other for other in ids if other[:2] == one[:2]} for one in ids}


def test_an_equal_summary_is_not_answered() -> None:
    world, _, peer, known = stocked_world(300)
    peer.send(summary(list(known)), summary(list(known), answer=True), PING)
    world.settle()
    assert peer.news() == [PONG]


@pytest.mark.parametrize("is_answer", [False, True])
def test_a_summary_is_answered_with_the_buckets_that_differ_and_once_with_a_summary(is_answer: bool) -> None:
    world, _, peer, known = stocked_world(300)
    ids = list(known)
    lacking = ids[:3]
    peer.send(summary(ids[3:], is_answer), PING)
    world.settle()
    *news, end = peer.news()
    differing = {one[:2] for one in lacking}
    assert canonical_inventories(news) == {bucket: same for bucket, same in by_bucket(ids).items()
                                           if bucket in differing}
    rest = [message for message in news if message["type"] != "inventory"]
    assert rest == ([] if is_answer else [summary(ids, answer=True)])
    assert end == PONG


def test_a_bucket_that_only_the_peer_has_is_answered_with_an_empty_inventory() -> None:
    world, _, peer, _ = stocked_world(0)
    peer.send(summary(["ab" + "0" * 61 + "1"]), PING)
    world.settle()
    assert peer.news() == [inventory("ab", []), summary([], answer=True), PONG]


def test_a_bucket_with_too_many_ids_for_one_inventory_is_told_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage2_ledger.node.MAX_INVENTORY", 2)
    world, alice, peer, known = stocked_world(600)
    peer.send(summary([], answer=True))
    world.settle()
    told = peer.news()
    expected = {bucket: [min(2, len(ids) - start) for start in range(0, len(ids), 2)]
                for bucket, ids in by_bucket(list(known)).items()}
    for bucket, sizes in expected.items():
        assert [len(message["ids"]) for message in told if message["bucket"] == bucket] == sizes
    assert sorted(one for message in told for one in message["ids"]) == sorted(known), "each once"
    late = world.add(LedgerNode, alice.address)
    world.run(0.1)
    assert late.transactions.keys() == known.keys()


def test_the_largest_inventory_fits_into_a_frame() -> None:
    world, alice = founded_world()
    for number in range(MAX_INVENTORY + 1):
        alice.buckets.add(f"{number:064x}")
    late = world.add(LedgerNode, alice.address)
    world.run(0.1)
    assert MAX_INVENTORY == 62_600 and len(late.fetcher) == MAX_INVENTORY + 1
    assert errors(world, late) == [] and len(alice.links) == 1


def test_an_inventory_is_answered_with_a_want_of_what_is_lacking() -> None:
    world, alice, peer, known = stocked_world(10)
    news = [transaction(amount=number) for number in range(5)]
    new_ids = [transaction_id(alice.network_name, message) for message in news]
    peer.send(inventory("00", [*known, *new_ids]))
    world.settle()
    want, ping = peer.news()
    assert want.keys() == {"type", "ids"} and want["type"] == "want" and sorted(want["ids"]) == sorted(new_ids)
    assert len(want["ids"]) == 5 and ping["type"] == "ping"
    peer.send(inventory("00", new_ids), PING)
    world.settle()
    assert peer.news() == [PONG], "asked for already"
    peer.send(*news, {"type": "pong", "nonce": ping["nonce"]}, inventory("00", [*known, *new_ids]), PING)
    world.settle()
    assert peer.news() == [PONG], "all is there"
    assert ledger_of(world, alice) == balances([*known.values(), *news])


def test_a_want_is_answered_in_its_order_and_unknown_ids_are_passed_over() -> None:
    world, alice, peer, known = stocked_world(50)
    ids = [*known][10:20][::-1]
    peer.send({"type": "want", "ids": ids[:5] + unknown_ids(500) + ids[5:]}, PING)
    world.settle()
    assert peer.news() == [*(known[one] for one in ids), PONG]
    peer.send({"type": "want", "ids": unknown_ids(1_000)}, {"type": "want", "ids": []}, PING)
    world.settle()
    assert peer.news() == [PONG] and errors(world, alice) == []


def test_what_was_fetched_is_flooded_on() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice), add_linked_peer(world, alice)
    message = transaction()
    one.send(inventory("00", [transaction_id(alice.network_name, message)]), message)
    world.settle()
    assert two.news() == [message]


def test_the_own_summary_grows_with_the_ids_and_names_no_empty_bucket() -> None:
    world, alice, peer, _ = stocked_world(0)
    ids: list[str] = []
    for number in range(60):
        message = transaction(amount=number)
        ids.append(transaction_id(alice.network_name, message))
        peer.send(message, summary(["ff" + "0" * 61 + "1"]))
        world.settle()
        assert peer.news("summary") == [summary(ids, answer=True)]


def test_four_wants_of_a_thousand_are_open_on_a_connection_at_most() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice, SilentPeer)
    ids = unknown_ids(6_500)
    peer.send(inventory("00", ids))
    world.settle()
    asked = [message["ids"] for message in peer.news("want")]
    assert [len(one) for one in asked] == [1_000] * 4
    for size in (1_000, 1_000, 500):
        peer.send({"type": "pong", "nonce": "something else"})
        world.settle()
        assert peer.news() == []
        peer.send({"type": "pong", "nonce": peer.ping_nonces.pop(0)})
        world.settle()
        wants = peer.news("want")
        assert [len(message["ids"]) for message in wants] == [size]
        asked += [message["ids"] for message in wants]
    peer.send(*({"type": "pong", "nonce": nonce} for nonce in peer.ping_nonces))
    world.settle()
    assert peer.news("want") == []
    assert sorted(one for some in asked for one in some) == sorted(ids), "each once"


def test_two_connections_have_four_wants_each() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice, SilentPeer), add_linked_peer(world, alice, SilentPeer)
    one.send(inventory("00", unknown_ids(10_000, seed=1)))
    two.send(inventory("00", unknown_ids(10_000, seed=2)))
    world.settle()
    assert len(one.news("want")) == len(two.news("want")) == 4


class SilentPeer(PolitePeer):
    """A scripted peer that answers no pings behind wants, but keeps their nonces."""

    ping_nonces: list[str]

    def on_open(self, connection: Any) -> None:
        """Begin with no nonces."""
        self.ping_nonces = []
        super().on_open(connection)

    def on_frame(self, connection: Any, frame: bytes) -> None:
        """Keep what has come."""
        Stranger.on_frame(self, connection, frame)
        if self.received[-1]["type"] == "ping":
            self.ping_nonces.append(self.received[-1]["nonce"])


def test_what_did_not_come_is_asked_for_again_after_5_seconds_elsewhere_20_times_at_most() -> None:
    others = set()
    for seed in range(20):
        world, alice = founded_world(seed)
        peers = [add_linked_peer(world, alice) for _ in range(3)]
        [missing] = unknown_ids(1, seed)
        peers[0].send(inventory(missing[:2], [missing]))
        world.settle()
        asked = [(world.now, 0)]
        assert len(peers[0].news("want")) == 1
        for _ in range(300):
            world.run(1.0)
            for number, peer in enumerate(peers):
                for message in peer.news("want"):
                    assert message["ids"] == [missing]
                    asked.append((world.now, number))
        waits = [later[0] - earlier[0] for earlier, later in itertools.pairwise(asked)]
        assert len(asked) == 20, f"seed {seed}: {asked}"
        assert all(5 <= wait <= 7 for wait in waits), f"seed {seed}: {waits}"
        assert {number for _, number in asked} == {0, 1, 2}, f"seed {seed}: {asked}"
        others.add(asked[1][1])
        peers[1].send(inventory(missing[:2], [missing]))
        world.settle()
        assert [message["ids"] for message in peers[1].news("want")] == [[missing]], "a new inventory, a new beginning"
    assert others == {0, 1, 2}, "on a random connection"


def test_what_a_lost_connection_was_asked_for_comes_from_another() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice, SilentPeer), add_linked_peer(world, alice)
    ids = unknown_ids(9_000)
    one.send(inventory("00", ids))
    world.settle()
    assert sum(len(message["ids"]) for message in one.news("want")) == 4_000
    one.connection.close()
    world.run(7.0)
    assert {id for message in two.news("want") for id in message["ids"]} == set(ids)


def test_who_names_ids_and_falls_silent_does_not_keep_them_from_coming() -> None:
    for seed in range(3):
        world, alice = founded_world(seed)
        honest = world.add(LedgerNode, alice.address)
        world.run(1.0)
        silent = add_linked_peer(world, alice, SilentPeer)
        honest.flood = lambda frame, source: None  # type: ignore[method-assign]
        for _ in range(5_000):
            honest.on_line("/send a b 1")
        silent.send(inventory("00", list(honest.transactions)))
        for _ in range(6):
            world.run(5.0)
            silent.send({"type": "pong", "nonce": "still there"})
        assert not silent.is_closed
        assert ledger_of(world, alice) == {"a": -5_000, "b": 5_000}, f"seed {seed}"


def test_what_has_come_is_not_asked_for_again() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice, SilentPeer), add_linked_peer(world, alice)
    messages = [transaction() for _ in range(50)]
    one.send(inventory("00", [transaction_id(alice.network_name, message) for message in messages]))
    world.settle()
    two.send(*messages)
    world.settle()
    one.news(), two.news()
    world.run(60.0)
    assert one.news("want") == two.news("want") == []


def test_so_many_ids_are_asked_for_at_a_time_and_no_more() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    ids = unknown_ids(201_000)
    for start in range(0, len(ids), 50_250):
        peer.send(inventory("00", ids[start:start + 50_250]))
    world.settle()
    asked = [id for message in peer.news("want") for id in message["ids"]]
    assert len(asked) == len(set(asked)) == MAX_MISSING <= 200_000, "the contract's bound"


def test_who_names_very_many_ids_does_not_keep_out_those_of_the_others() -> None:
    world, alice = founded_world()
    greedy, modest = add_linked_peer(world, alice), add_linked_peer(world, alice)
    for seed in range(3):
        greedy.send(inventory("00", unknown_ids(MAX_MISSING // 2, seed)))
    world.settle()
    ids = unknown_ids(3_000, seed=3)
    modest.send(inventory("00", ids))
    world.settle()
    assert {id for message in modest.news("want") for id in message["ids"]} == set(ids)
    assert len(alice.fetcher) == MAX_MISSING


def test_an_id_that_a_block_needs_gives_way_to_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage2_ledger.reconcile.MAX_MISSING", 3)
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice), add_linked_peer(world, alice)
    ids = unknown_ids(4)
    one.send(inventory("00", ids[:3]))
    world.settle()
    alice.fetcher.need(ids[2:3], None, for_block=True)
    two.send(inventory("00", ids[3:]))
    world.settle()
    one.news(), two.news()
    world.run(6.0)
    asked = [id for peer in (one, two) for message in peer.news("want") for id in message["ids"]]
    assert sorted(asked) == sorted([ids[0], ids[2], ids[3]])


def test_every_5_seconds_a_summary_goes_to_one_random_neighbour() -> None:
    world, alice = founded_world()
    peers = [add_linked_peer(world, alice) for _ in range(3)]
    got: Counter[str] = Counter()
    for round_number in range(60):
        world.run(5.0)
        news = [(peer.address, message) for peer in peers for message in peer.news("summary")]
        assert [message for _, message in news] == [summary([])], f"round {round_number}"
        got[news[0][0]] += 1
    assert min(got[peer.address] for peer in peers) >= 8, got


# --- ledgers become equal ---------------------------------------------------------------------------

Sent = dict[str, Event]


def random_life(seed: int, has_cuts: bool) -> tuple[World, list[LedgerNode], Sent]:
    """Nodes join, send and (with `has_cuts`) lose connections and are parted, in an order that `seed` decides.

    Who joins by a node that is parted from it or joining itself founds another network (contract §4).
    """
    world, choose = World(seed), random.Random(seed)
    nodes = [world.add(LedgerNode)]
    sent: Sent = {}
    for _ in range(choose.randint(15, 40)):
        action, node = choose.random(), choose.choice(nodes)
        if action < 0.15 and len(nodes) < 6:
            nodes.append(world.add(LedgerNode, choose.choice(nodes).address))
        elif action < 0.25 and has_cuts and world.open_connections():
            world.cut(choose.choice(world.open_connections()))
        elif action < 0.32 and has_cuts:
            world.part({one.address for one in nodes if choose.random() < 0.5})
        elif action < 0.37:
            world.heal()
        elif action < 0.75 and world.networks[node.address].is_reading:
            sent |= send_randomly(world, node, choose)
        elif action < 0.9:
            for _ in range(choose.randint(1, 20)):
                world.step()
        else:
            world.run(choose.random() * 0.3)
    return world, nodes, sent


def send_randomly(world: World, node: LedgerNode, choose: random.Random) -> Sent:
    """Let `node` make a transaction; gives it by its id."""
    sender, receiver, amount = choose.choice("abc"), choose.choice("abc"), choose.randint(0, 3)
    node.on_line(f"/send {sender} {receiver} {amount}")
    sent_id = world.reported(node, "sent")[-1]["id"]
    return {sent_id: {"network": node.network_name, "from": sender, "to": receiver, "amount": amount}}


def check_ledgers(world: World, nodes: list[LedgerNode], sent: Sent, note: str) -> None:
    """Every node has exactly what was sent in its network, each once."""
    for node in nodes:
        expected = {one: message for one, message in sent.items() if message["network"] == node.network_name}
        assert node.transactions.keys() == expected.keys(), f"{note}, {node.address}: lacks " \
            f"{len(expected.keys() - node.transactions.keys())} of {len(expected)}"
        assert ledger_of(world, node) == balances(list(expected.values())), f"{note}, {node.address}"


@pytest.mark.parametrize("first_seed", range(0, 800, 200))
def test_all_ledgers_become_equal_while_nodes_join(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 200):
        world, nodes, sent = random_life(seed, has_cuts=False)
        world.run(2.0)
        check_ledgers(world, nodes, sent, f"seed {seed}")


@pytest.mark.parametrize("first_seed", and_long(range(10_000, 10_300, 150), range(10_300, 11_500, 150)))
def test_all_ledgers_become_equal_after_cuts_and_partitions(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 150):
        world, nodes, sent = random_life(seed, has_cuts=True)
        world.heal()
        world.run(40.0)
        check_ledgers(world, nodes, sent, f"seed {seed}")


def test_reconciliation_alone_makes_them_equal() -> None:
    """Nothing is flooded; what arrives does so by summary, inventory and want."""
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
        world, choose = World(seed), random.Random(seed)
        nodes = [world.add(LedgerNode)]
        for _ in range(5):
            nodes.append(world.add(LedgerNode, choose.choice(nodes).address))
            world.run(0.5)
        side = {node.address for node in nodes[:choose.randint(1, 5)]}
        world.part(side)
        sent: Sent = {}
        for _ in range(20):
            sent |= send_randomly(world, choose.choice(nodes), choose)
            world.run(choose.random() * 0.2)
        bridge = {choose.choice(sorted(side)), choose.choice([n.address for n in nodes if n.address not in side])}
        world.is_parted = lambda one, other, side=side, bridge=bridge: (  # type: ignore[misc]
            (one in side) != (other in side) and {one, other} != bridge)
        world.run(40.0)
        check_ledgers(world, nodes, sent, f"seed {seed}")
        assert [pair for pair in pairs(world) if len(pair & side) == 1] == [frozenset(bridge)], f"seed {seed}"


def test_after_a_long_partition_everybody_is_in_every_list_again() -> None:
    for seed in range(8):
        world, choose = World(seed), random.Random(seed)
        nodes = [world.add(LedgerNode)]
        for _ in range(5):
            nodes.append(world.add(LedgerNode, choose.choice(nodes).address))
            world.run(0.5)
        world.part({node.address for node in nodes[:3]})
        world.run(1_000.0)
        world.heal()
        world.run(40.0)
        for node in nodes:
            assert list_of(world, node) == ring_order(one.address for one in nodes), f"seed {seed}, {node.address}"


def test_after_more_than_an_hour_who_calls_its_peer_again_learns_of_all_the_others() -> None:
    """By then nobody else is called any more. Were it not told who there is, one link would join the halves."""
    for seed in range(2):
        world, choose = World(seed), random.Random(seed)
        nodes = [world.add(LedgerNode)]
        for _ in range(5):
            nodes.append(world.add(LedgerNode, choose.choice(nodes).address))
            world.run(0.5)
        world.part({node.address for node in nodes[:3]})
        world.run(3_700.0)
        sent = send_randomly(world, nodes[0], choose) | send_randomly(world, nodes[5], choose)
        world.heal()
        world.run(40.0)
        check_ledgers(world, nodes, sent, f"seed {seed}")
        callers = [node for node in nodes[3:] if node.peer in {one.address for one in nodes[:3]}]
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


def test_a_node_that_does_not_take_part_in_a_network_of_another_stage() -> None:
    world, alice = founded_world()
    chatting = world.add(ChatNode, alice.address)
    world.run(6.0)
    assert chatting.network_name != alice.network_name
    assert list_of(world, alice) == [alice.address]
