"""Nodes in memory: the user is told of a bad address once, with what to do, and not at each call (contract §4)."""

import pytest

from lab.simulation import World
from stage1_chat.node import ChatNode
from common.reach import host_of
from tests.memory import Stranger, add_linked_stranger, add_stranger
from tests.stage1_chat.scenes import founded_world


def reasons(world: World, node: ChatNode) -> list[str]:
    """The reasons of the errors that `node` has printed."""
    return [error["reason"] for error in world.reported(node, "error")]


def test_a_founder_that_founds_a_new_network_is_reported_once_at_each_end_and_still_called() -> None:
    world, founder = founded_world()
    others = [world.add(ChatNode, founder.address) for _ in range(3)]
    world.run(1.0)
    first_network = founder.network_name
    world.kill(founder)
    world.run(0.5)
    restarted = world.add(ChatNode, address=founder.address)
    world.run(300.0)
    assert restarted.network_name != first_network
    for other in others:
        assert reasons(world, other) == [f"{founder.address} is in another network by now; to follow it, start this node again with --peer {founder.address}"]
        assert other.network_name == first_network
    assert sorted(reasons(world, restarted)) == [f"{other.address} calls from another network; to have it join this one, start that node again (with another folder, if it has --data)"
                                            for other in others]
    world.kill(restarted)
    back = world.add(ChatNode, address=founder.address)
    back.network_name = first_network
    world.run(40.0)
    assert len(back.links) == 3, "it was called again without a word"


@pytest.mark.parametrize("changes, words", [({"stage": 2}, "stage 2, but this node is of stage 1"), ({"version": 2}, "version 2, but this node has version 1")])
def test_a_peer_that_keeps_calling_is_reported_once_for_each_address(changes: dict[str, int], words: str) -> None:
    world, alice = founded_world()
    for listens in ("one:1", "one:1", "two:1", "one:1"):
        caller = add_stranger(world, alice)
        caller.send(caller.hello_message(alice.network_name, listen=listens, **changes))
        world.settle()
        assert caller.is_closed and caller.messages("error")[0]["code"] == "HANDSHAKE"
    assert [reason.partition(": ")[2] for reason in reasons(world, alice)] == [words, words]


def test_an_error_that_a_peer_sends_at_each_call_is_reported_once() -> None:
    world, alice = founded_world()
    peer = world.add(Stranger)
    peer.says_on_open = [peer.hello_message(alice.network_name)]
    bob = world.add(ChatNode, peer.address)
    world.settle()
    world.run(1.0)
    peer.says_on_open = [{"type": "error", "code": "BUSY", "reason": "128 connections are open"}]
    world.cut(next(iter(world.open_connections())))
    world.run(300.0)
    assert reasons(world, bob) == [f"{peer.address} says: 128 connections are open"]


def test_another_reason_of_the_same_peer_is_reported_too() -> None:
    world, alice = founded_world()
    for text in (1, "", 1):
        caller = add_linked_stranger(world, alice)
        caller.send({"type": "chat", "nonce": "0" * 32, "text": text})
        world.settle()
    assert len(reasons(world, alice)) == 3, "these have different addresses"
    for reason in ("no room", "no time", "no room"):
        caller = add_stranger(world, alice)
        caller.send(caller.hello_message(alice.network_name, listen="one:1"), {"type": "error", "code": "BUSY", "reason": reason})
        world.settle()
    assert [reason.rpartition(": ")[2] for reason in reasons(world, alice)[3:]] == ["no room", "no time"]


@pytest.mark.parametrize("address, peer, is_told", [
    ("127.0.0.1:5", "192.0.2.7:1", True), ("localhost:5", "node.example:1", True), ("127.1.2.3:5", "192.0.2.7:1", True),
    ("127.0.0.1:5", "127.0.0.1:1", False), ("127.0.0.1:5", "localhost:1", False), ("192.0.2.8:5", "192.0.2.7:1", False),
])
def test_a_node_on_loopback_warns_that_a_peer_elsewhere_cannot_call_it(address: str, peer: str, is_told: bool) -> None:
    world = World(seed=1)
    called = world.add(Stranger, address=peer)
    called.says_on_open = [called.hello_message("a" * 32)]
    node = world.add(ChatNode, peer, address=address)
    world.run(1.0)
    assert world.reported(node, "joined")
    told = [reason for reason in reasons(world, node) if "--host 0.0.0.0" in reason and "HOST=0.0.0.0" in reason]
    assert len(told) == is_told and all(address in reason for reason in told)


def test_a_node_that_announces_loopback_warns_once_that_callers_from_elsewhere_cannot_call_it() -> None:
    world = World(seed=1)
    node = world.add(ChatNode, address="127.0.0.1:5")
    for _ in range(3):
        add_linked_stranger(world, node)
    assert len(reasons(world, node)) == 1 and "127.0.0.1:5" in reasons(world, node)[0] and "ANNOUNCE=" in reasons(world, node)[0]


def test_two_callers_from_two_machines_that_announce_one_address_are_reported_once() -> None:
    world, alice = founded_world()
    callers = [add_stranger(world, alice) for _ in range(3)]
    for caller in callers:
        caller.send(caller.hello_message(alice.network_name, listen="laptop:5"))
        world.settle()
    assert len(alice.links) == 3, "they are served nevertheless"
    [reason] = reasons(world, alice)
    assert all(name in reason for name in (host_of(callers[0].address), host_of(callers[1].address), "laptop:5", "--announce"))


def test_one_machine_that_calls_again_before_its_first_connection_has_ended_is_not_reported() -> None:
    world, alice = founded_world()
    for place in ("laptop:1", "laptop:2"):
        caller = world.add(Stranger, alice.address, address=place)
        world.run(0.1)
        caller.send(caller.hello_message(alice.network_name, listen="laptop:5"))
        world.settle()
    assert len(alice.links) == 2 and reasons(world, alice) == []


def test_the_user_is_told_of_the_option_announce_if_a_peer_announces_the_same_address() -> None:
    world = World(seed=1, longest_delay=0.0)
    peer = world.add(Stranger)
    node = world.add(ChatNode, peer.address)
    world.run(0.1)
    peer.send(peer.hello_message("a" * 32, listen=node.address))
    world.run(6.0)
    assert len(reasons(world, node)) == 1 and "--announce" in reasons(world, node)[0]
    assert "--announce" in peer.messages("error")[0]["reason"]
    caller = add_stranger(world, node)
    caller.send(caller.hello_message(node.network_name, listen=node.address))
    world.settle()
    assert "--announce" in reasons(world, node)[1] and node.address in reasons(world, node)[1]
