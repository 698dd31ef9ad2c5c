"""The ring in memory: its order, joining, and the list of peers."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from common.journal import Journal
from lab.simulation import World
from stage2_ledger.membership import Membership
from stage2_ledger.keeping import LedgerSetup
from stage2_ledger.node import LedgerNode
from stage2_ledger.ring import LINK_PING
from tests.stage2_ledger.scenes import (PING, PONG, PolitePeer, add_linked_peer, calls_of, cut_all, forgetting,
                                        founded_world, grown_world, joining_world, list_of, pairs, ring_order)


def the_ten_after(own: str, addresses: list[str]) -> list[str]:
    """The ten addresses that follow `own` around the ring, or all others if there are fewer."""
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


def test_two_more_are_picked_at_random_kept_and_replaced_when_they_are_gone() -> None:
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


def test_in_a_full_list_there_is_room_for_a_node_that_was_called_and_answered() -> None:
    members = Membership("h:1", random.Random(1))
    for number in range(2, 10_002):
        members.add(f"stranger:{number}")
    members.add("heard:1")
    members.add_reached("reached:1")
    assert "heard:1" not in members and "reached:1" in members and members.own in members
    assert len(members.sorted()) == 10_000


# --- joining ----------------------------------------------------------------------------------------

def test_a_node_joins_in_the_order_of_the_contract() -> None:
    world, peers, node, calls = joining_world(20)
    first = peers[0]
    assert first.news() == [first.hello_message(None, listen=node.address)]
    first.send(first.hello_message("a" * 32))
    world.settle()
    ping, sums, *rest = first.news()
    assert ping == {"type": "ping", "nonce": LINK_PING}
    assert sums == {"type": "sums", "answer": False, "salt": sums["salt"], "sums": {"": [[0] * 16, "0" * 128]}}
    assert rest == [{"type": "summary", "answer": False, "buckets": {}}, {"type": "get_peers"}]
    assert calls == [], "it calls nobody else before it knows the list"
    addresses = ring_order(peer.address for peer in peers)
    first.send({"type": "peers", "addresses": addresses})
    world.settle()
    ten = the_ten_after(node.address, [*addresses, node.address])
    assert first.address in ten
    called = [address for _, address in calls]
    assert called[:9] == [address for address in ten if address != first.address]
    assert len(called) == len(set(called)) == 11, "nine of the ten, since one is linked, and two at random"
    assert not set(called) & {node.address, first.address}
    [presence] = first.news()
    assert presence == {"type": "presence", "nonce": presence["nonce"], "address": node.address}
    for peer in peers[1:]:
        hellos = [peer.hello_message("a" * 32, listen=node.address)] if peer.address in called else []
        assert peer.news() == hellos


def test_the_caller_compares_first_and_the_called_node_says_nothing() -> None:
    world, alice = founded_world()
    peer = world.add(PolitePeer, alice.address, 2)
    world.settle()
    peer.send(peer.hello_message(alice.network_name))
    world.settle()
    assert [message["type"] for message in peer.news()] == ["hello"]


def test_the_list_has_all_nodes_in_order_and_the_newcomer_its_links() -> None:
    for seed in range(8):
        world, _, nodes = grown_world(seed, 25, pause=1.0)
        everyone = ring_order(node.address for node in nodes)
        for node in nodes:
            assert list_of(world, node) == everyone, f"seed {seed}, {node.address}"
        linked = {link.address for link in nodes[-1].links}
        assert set(the_ten_after(nodes[-1].address, everyone)) <= linked, f"seed {seed}"
        assert len(linked) >= 12, f"seed {seed}: and two more at random"


def test_many_that_join_at_once_all_know_each_other() -> None:
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


def test_a_newcomer_sends_its_presence_to_all_that_it_calls_even_if_the_peer_by_which_it_joined_dies() -> None:
    world, [first, *others], node, _ = joining_world(12)
    first.send(first.hello_message("a" * 32), {"type": "peers", "addresses": [peer.address for peer in others]})
    while not node.ring.presence:
        assert world.step()
    world.kill(first)
    world.settle()
    for peer in others:
        peer.send(peer.hello_message("a" * 32))
    world.settle()
    presences = [message for peer in others for message in peer.news("presence")]
    assert presences == [{"type": "presence", "nonce": presences[0]["nonce"], "address": node.address}] * 11


def test_the_peer_of_the_command_line_stays_linked_and_listed_among_ten_thousand_addresses_of_strangers() -> None:
    world, alice = founded_world()
    bob = world.add(LedgerNode, alice.address)
    world.run(1.0)
    stranger = add_linked_peer(world, bob)
    stranger.send(*({"type": "presence", "nonce": f"{number:032x}", "address": f"node-2-{number}:1"}
                    for number in range(1, 10_100)))
    world.run(30.0)
    assert [link.dialled for link in bob.links if link.dialled == alice.address] == [alice.address]
    world.partition({alice.address})
    world.run(60.0)
    assert bob.links.keys() and alice.address not in list_of(world, bob)
    stranger.send(*({"type": "presence", "nonce": f"{number:032x}", "address": f"node-2-{number}:1"}
                    for number in range(20_000, 30_100)))
    world.heal()
    world.run(31.0)
    assert bob.neighbours.is_linked(alice.address) and alice.address in list_of(world, bob)


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


def test_the_list_holds_at_most_ten_thousand() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    peer.send(*({"type": "presence", "nonce": f"{number:032x}", "address": f"a:{number}"}
                for number in range(1, 10_100)), {"type": "get_peers"})
    world.settle()
    [answer] = peer.news("peers")
    assert len(answer["addresses"]) == 10_000
    assert {alice.address, peer.address} <= set(answer["addresses"])


def test_the_list_is_written_only_when_it_has_changed(tmp_path: Path) -> None:
    world = World(1)
    node = world.add(LedgerNode, None, LedgerSetup(journal=Journal(tmp_path)))
    written = []
    for minute in range(3):
        if minute == 2:
            node.ring.members.add("somebody:7")
        for _ in range(12):
            world.run(5.0)
            node.commit()
        written.append((tmp_path / "journal.sqlite-wal").stat().st_size)
    assert written[0] == written[1] < written[2]
    node.on_end()


class CountingJournal(Journal):
    """Counts how often the list of peers is written."""

    times = 0

    def note(self, name: str, value: str) -> None:
        """Count the call."""
        super().note(name, value)
        self.times += name == "peers"


def test_little_is_written_however_long_the_list_is_and_however_often_it_changes(tmp_path: Path) -> None:
    world = World(1, longest_delay=0.0)
    journal = CountingJournal(tmp_path)
    node = world.add(LedgerNode, None, LedgerSetup(journal=journal))
    for number in range(9_000):
        node.ring.members.add(f"{number:0200d}:1")
    for number in range(600):
        stranger = world.add(PolitePeer, node.address, 2)
        stranger.says_on_open = [stranger.hello_message(node.network_name, listen=f"stranger-{number}:1")]
        world.settle()
        stranger.connection.close()
        world.run(0.1)
    assert journal.times == 1, "in the first minute"
    node.ring.members = Membership(node.address, random.Random(1))
    world.run(3_600.0)
    assert journal.times == 2 and journal.read_note("peers") == json.dumps([node.address])
    node.on_end()


# --- a call that ends early -------------------------------------------------------------------------

@pytest.mark.parametrize("caller_has_peer", [True, False])
def test_a_call_that_is_cut_in_its_first_seconds_does_not_prove_the_claim_of_a_stranger(caller_has_peer: bool) -> None:
    """Only a call that ends before its ping is answered was closed because there were two links."""
    world, alice = founded_world()
    bob = world.add(LedgerNode, alice.address)
    world.run(0.5)
    if not caller_has_peer:
        bob.neighbours.peer = None
    stranger = world.add(PolitePeer, bob.address, 2)  # simultaneous with bob's call, so bob does not close it
    stranger.says_on_open = [stranger.hello_message(bob.network_name, listen=alice.address)]
    world.settle()
    with forgetting(alice):
        cut_all(world, alice)
        world.settle()
    assert [link.is_own for link in bob.links] == [False]
    world.run(2.0)
    assert alice.address in [link.dialled for link in bob.links]


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
    assert len(set(called) & set(living)) == 11, "twelve links in spite of the dead: one was there, eleven are opened"


@pytest.mark.parametrize("says", ["nothing", "another network", "another stage", "end"])
def test_a_peer_that_answers_but_does_not_belong_to_the_network_is_not_in_the_list(says: str) -> None:
    world, [peer, odd], node, _ = joining_world(2)
    odd.says_on_open = {"nothing": [], "end": [{"type": "error", "code": "BUSY", "reason": ""}],
                        "another network": [odd.hello_message("b" * 32)],
                        "another stage": [odd.hello_message("a" * 32, stage=1)]}[says]
    peer.send(peer.hello_message("a" * 32), {"type": "peers", "addresses": [odd.address]})
    world.run(6.0)
    assert odd.is_closed
    assert list_of(world, node) == [peer.address, node.address]


def test_a_refused_caller_removes_from_the_list_only_the_address_that_it_brought() -> None:
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
        world.run(2.1)
    assert list_of(world, alice) == [alice.address, known, honest.address]
    assert [address for _, address in calls] == [known, honest.address], "with one link less it calls those in the list"


def test_a_killed_node_leaves_the_lists_of_its_neighbours_and_the_ten_links_are_kept_up() -> None:
    for seed in range(8):
        world, choose, nodes = grown_world(seed, 18)
        world.run(1.0)
        for _ in range(5):
            nodes.remove(killed := choose.choice(nodes))
            neighbours = [link.owner for link in world.open_connections() if link.other.owner is killed]
            world.kill(killed)
            world.run(0.9)  # less than a second, so that the first call to the killed node cannot be what brings others
            for node in neighbours:
                assert isinstance(node, LedgerNode)
                own = list_of(world, node)
                assert killed.address not in own, f"seed {seed}, {node.address}"
                missing = set(the_ten_after(node.address, own)) - {link.address for link in node.links}
                assert not missing, f"seed {seed}: {node.address} lacks links to {missing}"
