"""The proxy of lab/nodes/faults.py does to real connections exactly what it says."""

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from lab.nodes.faults import Faults
from tests.network.small_network import wait_until_all_are_linked
from tests.conftest import Launch
from tests.processes import NodeProcess, RawPeer, eventually

SILENT_SECONDS = 0.5
"""Seconds that are long enough for something that takes a millisecond unless it is held up."""


@pytest.fixture
def node(start_node: Launch, faults: Faults) -> NodeProcess:
    """A node of the chat room, whose place is named "node"."""
    return start_node(1, "none", *faults.add("node").options)


@pytest.fixture
def peer(node: NodeProcess, faults: Faults) -> Iterator[RawPeer]:
    """A peer of that node, whose place is named "peer". The handshake is done."""
    with RawPeer(node.address, network=node.network, listen=faults.add("peer").address) as peer:
        peer.join()
        yield peer


def hears_nothing(peer: RawPeer) -> bool:
    """Does nothing come for a while, not even an end?"""
    already = len(peer.received)
    with pytest.raises(AssertionError, match="nothing came"):
        peer.receive(SILENT_SECONDS)
    return len(peer.received) == already


def test_nodes_are_called_at_the_proxy_and_everything_passes(start_node: Launch, faults: Faults) -> None:
    alice, bob = (faults.add(name) for name in ("alice", "bob"))
    first = start_node(2, "none", *alice.options)
    second = start_node(2, first.address, *bob.options)
    assert (first.address, second.address) == (alice.address, bob.address)
    first.wait_for("peer", address=bob.address, state="up")
    first.type("x" * 4_000)
    second.wait_for("chat", text="x" * 4_000)
    assert faults.count_links("alice", "bob") == 1
    second.kill()
    first.wait_for("peer", address=bob.address, state="down")
    again = start_node(2, alice.address, *bob.options)
    again.wait_for("joined", peer=alice.address)


def test_a_cut_is_seen_by_both_and_nobody_gets_through_until_it_heals(start_node: Launch, faults: Faults) -> None:
    places = [faults.add(name) for name in ("alice", "bob", "carol")]
    alice = start_node(2, "none", *places[0].options)
    bob, carol = (start_node(2, alice.address, *place.options) for place in places[1:])
    wait_until_all_are_linked(faults)
    carol.wait_for("peer", address=bob.address, state="up")
    alice.wait_for("peer", address=bob.address, state="up")
    faults.cut("alice", "bob")
    alice.wait_for("peer", address=bob.address, state="down")
    bob.wait_for("peer", address=alice.address, state="down")
    assert faults.count_links("alice", "bob") == 0
    with RawPeer(alice.address, stage=2, network=alice.network, listen=bob.address) as caller:
        caller.send(caller.hello_message())
        caller.expect_closed()
    assert caller.received == [], "not even a hello"
    alice.type("by carol")
    bob.wait_for("chat", text="by carol")
    assert len(alice.all_of("peer", address=bob.address)) == 2, "up and down, and not up again"
    faults.heal()
    eventually(lambda: len(alice.all_of("peer", address=bob.address, state="up")) > 1, state=alice.describe)


def test_one_cut_is_mended_and_the_others_last(start_node: Launch, faults: Faults) -> None:
    alice, bob, carol = (faults.add(name) for name in ("alice", "bob", "carol"))
    first = start_node(1, "none", *alice.options)
    for place in (bob, carol):
        start_node(1, first.address, *place.options)
        first.wait_for("peer", address=place.address, state="up")
    faults.partition([["alice"], ["bob", "carol"]])
    eventually(lambda: len(first.all_of("peer", state="down")) == 2, state=first.describe)
    faults.mend("bob", "alice")
    eventually(lambda: faults.count_links("alice", "bob") == 1, state=faults.describe)
    faults.mend("bob", "carol")  # there is no cut between these two
    assert faults.count_links("alice", "carol") == 0
    assert "cut: [['alice', 'carol']]" in faults.describe()


def test_stalled_means_open_and_mute_both_ways(node: NodeProcess, peer: RawPeer, faults: Faults) -> None:
    faults.stall("peer", "node")
    node.type("hi")
    node.wait_for("chat", text="hi")
    peer.send({"type": "ping", "nonce": "first"})
    assert hears_nothing(peer)
    assert node.ask("/peers", "peers")["connections"] == 1
    faults.heal()
    peer.expect("chat", text="hi")
    peer.expect("pong", nonce="first")


def test_an_end_is_held_up_like_everything_else(node: NodeProcess, peer: RawPeer, faults: Faults) -> None:
    faults.stall("peer", "node")
    peer.reset()
    time.sleep(SILENT_SECONDS)
    assert node.all_of("peer", state="down") == []
    assert node.ask("/peers", "peers")["connections"] == 1
    faults.heal()
    node.wait_for("peer", state="down")


def test_a_new_connection_is_stalled_too(node: NodeProcess, peer: RawPeer, faults: Faults) -> None:
    faults.stall("peer", "node")
    with RawPeer(node.address, network=node.network, listen=peer.listen) as second:
        second.send(second.hello_message())
        assert hears_nothing(second)
        assert len(node.all_of("peer")) == 1, node.describe()
        faults.heal()
        second.expect("hello")


def test_one_way_means_that_only_answers_wait(node: NodeProcess, peer: RawPeer, faults: Faults) -> None:
    faults.partition([["peer"], ["node"]], one_way=True)
    peer.send({"type": "chat", "nonce": "0" * 32, "text": "there"}, {"type": "ping", "nonce": "back"})
    node.wait_for("chat", text="there")
    assert hears_nothing(peer)
    faults.heal()
    peer.expect("pong", nonce="back")
    assert node.all_of("peer", state="down") == []


def test_a_delay_is_about_that_long_each_way(node: NodeProcess, peer: RawPeer, faults: Faults) -> None:
    faults.delay("node", 0.4)
    start = time.monotonic()
    peer.barrier()
    assert time.monotonic() - start >= 2 * 0.5 * 0.4
    faults.delay("node", 0)
    eventually(lambda: takes(peer.barrier) < 0.2, state=faults.describe)


def takes(action: Callable[[], object]) -> float:
    """Seconds that an action takes."""
    start = time.monotonic()
    action()
    return time.monotonic() - start


def test_strangers_pass_and_a_partition_cuts_each_pair(start_node: Launch, faults: Faults) -> None:
    places = [faults.add(name) for name in "abcd"]
    founder = start_node(2, "none", *places[0].options)
    nodes = [start_node(2, founder.address, *place.options) for place in places[1:]]
    assert {node.network for node in nodes} == {founder.network}
    wait_until_all_are_linked(faults)
    faults.partition([["a"], ["b", "c"]])
    with RawPeer(founder.address, stage=2, network=founder.network) as stranger:
        stranger.join()
        eventually(lambda: faults.count_links("a", "b") + faults.count_links("a", "c") == 0, state=faults.describe)
        eventually(lambda: faults.count_links("b", "c") > 0 and faults.count_links("a", "d") > 0, state=faults.describe)


def test_at_the_end_all_threads_and_connections_are_gone(start_node: Launch) -> None:
    before = set(threading.enumerate())
    with Faults(1) as faults:
        places = [faults.add(name) for name in "ab"]
        nodes = [start_node(2, "none", *places[0].options)]
        nodes.append(start_node(2, nodes[0].address, *places[1].options))
        nodes[0].wait_for("peer", state="up")
        faults.stall("a", "b")
        ours = {thread for thread in threading.enumerate() if thread.name == "proxy"} - before
    assert len(ours) >= 4, "two that accept, two that carry"
    assert [thread for thread in ours if thread.is_alive()] == []
    nodes[0].wait_for("peer", state="down")
    with socket.socket() as caller, pytest.raises(OSError):
        caller.connect(("127.0.0.1", int(places[0].address.rpartition(":")[2])))


def test_the_same_seed_draws_the_same() -> None:
    with Faults(7) as one, Faults(7) as other, Faults(8) as third:
        draws = [[network.random.random() for _ in range(5)] for network in (one, other, third)]
    assert draws[0] == draws[1] != draws[2]


def test_a_throttled_line_keeps_its_rate_and_bytes_are_counted(
        node: NodeProcess, peer: RawPeer, faults: Faults) -> None:
    told = faults.count_bytes("peer", "node")
    faults.throttle("peer", 100_000)
    begun = time.monotonic()
    for _ in range(10):
        peer.send({"type": "chat", "nonce": secrets.token_hex(16), "text": "x" * 4_000})
    peer.barrier()
    assert time.monotonic() - begun > 0.35
    assert 40_000 < faults.count_bytes("peer", "node") - told < 42_000
    faults.heal()
    node.type("y" * 4_000)
    peer.expect("chat", text="y" * 4_000)
    assert faults.count_bytes("node", "peer") > 4_000
