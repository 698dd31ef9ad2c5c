"""The chat node in memory, on a clock that the test sets: joining, calling again, handshake, silence."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from common.interface import Connection, Network, Setup
from lab.simulation import World
from stage1_chat.node import ChatNode
from tests.memory import Stranger, add_linked_stranger, add_stranger
from tests.processes import chat_message
from tests.stage1_chat.scenes import errors, founded_world, is_reading, texts


# --- joining and calling again ----------------------------------------------------------------------

def calls_of(world: World, node: ChatNode) -> list[float]:
    """A list to which the time of each call that `node` makes from now on is added."""
    network, times = world.networks[node.address], []
    connect = network.connect

    def count_and_connect(address: str) -> None:
        times.append(world.now)
        connect(address)

    network.connect = count_and_connect  # type: ignore[method-assign]
    return times


def test_the_peer_is_called_again_after_1_2_4_seconds_and_then_every_30_forever() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    calls = calls_of(world, bob)
    world.partition({alice.address})
    start = world.now
    world.run(3 * 3_600.0)
    assert [round(time - start) for time in calls[:8]] == [1, 3, 7, 15, 31, 61, 91, 121]
    waits = {round(later - earlier) for earlier, later in pairwise(calls[5:])}
    assert waits == {30}
    assert calls[-1] - start > 3 * 3_600 - 31


def test_after_a_link_the_waits_begin_at_one_second_again() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    world.partition({alice.address})
    world.run(100.0)
    world.heal()
    world.run(62.0)
    assert [peer["state"] for peer in world.reported(bob, "peer")] == ["up", "down", "up"]
    calls = calls_of(world, bob)
    world.partition({alice.address})
    start = world.now
    world.run(8.0)
    assert [round(time - start) for time in calls] == [1, 3, 7]


def test_a_peer_that_shakes_hands_and_then_ends_the_connection_is_called_less_and_less_often() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    calls, start = calls_of(world, bob), world.now
    for _ in range(200):
        for connection in world.open_connections():
            world.cut(connection)
        world.run(0.5)
    assert [round(time - start) for time in calls] == [1, 3, 7, 15, 31, 61, 91]


def test_a_call_that_was_due_for_an_earlier_loss_is_not_made_for_the_next_one() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    world.cut(world.open_connections()[0])
    world.run(0.5)  # bob would call half a second from now
    world.open(world.networks[bob.address], alice.address)
    world.settle()
    calls, start = calls_of(world, bob), world.now
    world.partition({alice.address})
    world.run(10.0)
    assert [round(time - start, 1) for time in calls] == [2, 6], "twice as long, since the link did not last"


def test_only_the_side_that_called_calls_again() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    calls = calls_of(world, alice)
    world.kill(bob)
    world.run(100.0)
    assert calls == []
    assert world.reported(alice, "peer") == [{"address": bob.address, "state": "up"},
                                             {"address": bob.address, "state": "down"}]


def test_the_peer_is_called_again_even_if_a_caller_has_claimed_its_address_meanwhile() -> None:
    """The caller may be the peer itself, which is then linked twice, or anybody."""
    for is_peer in (True, False):
        world, alice = founded_world()
        bob = world.add(ChatNode, alice.address)
        world.run(1.0)
        world.cut(next(end for end in world.open_connections()))
        world.settle()
        if is_peer:
            world.open(world.networks[alice.address], bob.address)
        else:
            liar = world.add(Stranger, bob.address)
            liar.says_on_open = [liar.hello_message(bob.network_name, listen=alice.address)]
        world.run(10.0)
        assert sorted(str(link.dialled) for link in bob.links) == ["None", alice.address]
        assert len(alice.links) == 1 + is_peer
        calls = calls_of(world, bob)
        world.run(100.0)
        assert calls == []


def test_the_peer_is_called_again_even_if_the_connection_was_closed_for_bad_input() -> None:
    world, alice = founded_world()
    stranger = world.add(Stranger)
    stranger.says_on_open = [stranger.hello_message(alice.network_name), {"type": "chat"}]
    bob = world.add(ChatNode, stranger.address)
    calls = calls_of(world, bob)
    world.run(20.0)
    assert len(calls) >= 4, calls
    assert set(errors(world, bob)) == {"FORMAT"}


@pytest.mark.parametrize("peer", ["node-9:1", "nobody", "node-1:0", "node-1:65536", "node 1:1", ":1", "host:", "a:01"])
def test_a_node_that_finds_nobody_says_so_and_founds_a_network(peer: str) -> None:
    world = World(seed=1)
    node = world.add(ChatNode, peer)
    world.run(6.0)
    reported = world.networks[node.address].reported
    assert [entry["event"] for entry in reported] == ["founded", "listening", "error"]
    assert reported[2]["code"] == "NETWORK" and peer in reported[2]["reason"]
    assert reported[2]["reason"].endswith("this is a network of its own; nobody else is in it")
    assert reported[1]["address"] == node.address and reported[1]["network"] == node.network_name
    assert is_reading(world, node)


def test_a_node_that_joins_says_so_takes_the_networks_name_and_then_listens() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    assert bob.network_name == alice.network_name
    reported = [entry["event"] for entry in world.networks[bob.address].reported]
    assert sorted(reported) == ["joined", "listening", "peer"] and reported.index("joined") < reported.index(
        "listening")
    assert world.reported(bob, "joined") == [{"peer": alice.address}]


def test_a_peer_that_says_nothing_for_5_seconds_counts_as_nobody() -> None:
    world = World(seed=1, longest_delay=0.0)
    stranger = world.add(Stranger)
    node = world.add(ChatNode, stranger.address)
    world.run(4.9)
    assert node.network_name is None
    world.run(0.2)
    assert node.network_name is not None
    assert errors(world, node).count("NETWORK") == 1
    world.run(100.0)
    assert len(world.reported(node, "founded")) == len(world.reported(node, "listening")) == 1
    assert stranger.is_closed


@pytest.mark.parametrize("changes", [{"stage": 2}, {"version": 2}])
def test_a_peer_of_another_kind_counts_as_nobody(changes: dict[str, object]) -> None:
    world = World(seed=1)
    stranger = world.add(Stranger)
    stranger.says_on_open = [stranger.hello_message(**{"network": "0" * 32, **changes})]  # type: ignore[arg-type]
    node = world.add(ChatNode, stranger.address)
    world.run(6.0)
    assert errors(world, node) == ["HANDSHAKE", "NETWORK"]
    assert stranger.messages("error")[0]["code"] == "HANDSHAKE"
    assert len(world.reported(node, "founded")) == 1
    assert node.network_name not in (None, "0" * 32)
    assert len(stranger.messages("hello")) == 1, "it stays what it is, so it is not called again"


class NotReady(Stranger):
    """A peer by which nobody can join while it has a `mood`. It is there from the start."""

    mood = ""
    calls = 0

    def on_open(self, connection: Connection) -> None:
        """Behave as the mood says. Without a mood, greet as a founder does."""
        self.calls += 1
        self.says_on_open = {"busy": [{"type": "error", "code": "BUSY", "reason": "full"}], "silent": [],
                             "joining": [self.hello_message(None)], "closes": [],
                             "": [self.hello_message("a" * 32)]}[self.mood]
        super().on_open(connection)
        if self.mood == "closes":
            connection.close()


def waiting_world(peer: str, seconds: float) -> tuple[World, ChatNode, NotReady]:
    """A node that joins by `peer` with `--wait`, and a stranger at node-1:1."""
    world = World(seed=1, longest_delay=0.0)
    stranger = world.add(NotReady)
    return world, world.add(waiting(seconds), peer), stranger


def waiting(seconds: float) -> Callable[[Network, str], ChatNode]:
    """A function that makes a node with `--wait SECONDS`."""
    return lambda network, address: ChatNode(network, address, Setup(join_seconds=seconds))


ALONE = "; this is a network of its own; nobody else is in it"
"""The end of the reason when a node has founded a network instead of joining one."""


def network_error(world: World, node: ChatNode) -> list[str]:
    """The reasons of all errors that a node has reported. All must be NETWORK."""
    assert set(errors(world, node)) <= {"NETWORK"}
    return [error["reason"] for error in world.reported(node, "error")]


@pytest.mark.parametrize("mood, reason", [("busy", "node-1:1 says: full"), ("joining", "both nodes are still joining"),
                                          ("closes", "the connection was closed before the node had joined")])
def test_a_peer_that_is_not_ready_is_called_until_the_time_is_over(mood: str, reason: str) -> None:
    world, node, stranger = waiting_world("node-1:1", 30.0)
    stranger.mood = mood
    world.run(29.9)
    assert node.network_name is None and network_error(world, node) == [] and stranger.calls >= 50
    world.run(0.2)
    assert network_error(world, node) == [f"node-1:1: {reason}{ALONE}"]
    assert len(world.reported(node, "founded")) == 1
    calls = stranger.calls
    world.run(100.0)
    assert stranger.calls == calls


@pytest.mark.parametrize("mood", ["busy", "joining", "closes", "silent"])
def test_a_peer_that_gets_ready_in_time_is_joined(mood: str) -> None:
    world, node, stranger = waiting_world("node-1:1", 30.0)
    stranger.mood = mood
    world.run(20.0)
    stranger.mood = ""
    world.run(5.1)
    assert node.network_name == "a" * 32
    assert errors(world, node) == []
    if mood == "silent":  # it was busy, and now handles all that was said meanwhile
        assert stranger.messages("error") == []


def test_a_peer_that_comes_up_seconds_later_is_joined() -> None:
    for seconds, wait in ((4.0, 5.0), (29.0, 30.0)):
        world = World(seed=1)
        node = world.add(waiting(wait), "late:1")
        world.run(seconds)
        founder = world.add(ChatNode, address="late:1")
        world.run(1.0)
        assert node.network_name == founder.network_name and errors(world, node) == errors(world, founder) == []
    assert Setup().join_seconds == 5.0, "the default"


@pytest.mark.parametrize("wait, least, most", [(0.0, 0.0, 0.0), (2.0, 1.9, 2.6), (7.0, 6.9, 7.1)])
def test_if_nobody_listens_a_network_is_founded_when_the_time_is_over(wait: float, least: float, most: float) -> None:
    world, node, _ = waiting_world("nobody:1", wait)
    world.run(least)
    assert (node.network_name is None) == (wait > 0)
    world.run(most - least)
    assert network_error(world, node) == [f"nobody:1: nobody listens there{ALONE}"]


def test_a_call_has_5_seconds_for_an_answer_however_short_the_wait() -> None:
    world, node, stranger = waiting_world("node-1:1", 0.0)
    stranger.mood = "silent"
    world.run(4.0)
    stranger.send(stranger.hello_message("a" * 32))
    world.settle()
    assert node.network_name == "a" * 32


@pytest.mark.parametrize("shape", ["chain", "star"])
def test_ten_that_are_started_at_once_become_one_network(shape: str) -> None:
    """In any order, and on a machine so busy that a node needs up to three seconds to start."""
    for seed in range(30):
        world = World(seed)
        numbers = list(range(10))
        world.random.shuffle(numbers)
        nodes = []
        for number in numbers:
            peer = f"n-{number - 1 if shape == 'chain' else 0}:1" if number else None
            nodes.append(world.add(waiting(30.0), peer, address=f"n-{number}:1"))
            world.run(world.random.random() * 3.0)
        world.run(6.0)
        assert len({node.network_name for node in nodes}) == 1 and nodes[0].network_name, f"seed {seed}"
        assert [errors(world, node) for node in nodes] == [[]] * 10, f"seed {seed}"


def test_a_peer_that_said_hello_while_joining_is_called_again_even_if_it_has_joined_since() -> None:
    """Its caller has read that it has no network, and ends the connection: there is no link, and no event."""
    world, node, founder = waiting_world("node-1:1", 30.0)
    founder.mood = "silent"
    world.run(1.0)
    caller = add_stranger(world, node)
    founder.send(founder.hello_message("a" * 32))
    world.settle()
    assert node.network_name == "a" * 32
    caller.send(caller.hello_message(None))
    world.settle()
    assert caller.is_closed and caller.messages("error")[0]["reason"] == "both nodes are still joining"
    assert errors(world, node) == [] and len(world.reported(node, "peer")) == 1


def test_two_that_join_by_each_other_both_belong_to_a_network() -> None:
    for seed in range(200):
        world = World(seed)
        nodes = [world.add(ChatNode, "node-2:1"), world.add(ChatNode, "node-1:1")]
        world.run(20.0)
        for node in nodes:
            assert node.network_name is not None, f"seed {seed}"
            assert len(world.reported(node, "listening")) == 1, f"seed {seed}"


def test_while_a_node_joins_it_accepts_only_the_network_of_the_called_peer() -> None:
    world = World(seed=1, longest_delay=0.0)
    called = world.add(Stranger)
    node = world.add(ChatNode, called.address)
    intruder = add_stranger(world, node)
    intruder.send(intruder.hello_message("f" * 32))
    world.settle()
    assert intruder.is_closed and intruder.messages("error")[0]["code"] == "HANDSHAKE"
    assert node.network_name is None
    called.send(called.hello_message("a" * 32))
    world.settle()
    assert node.network_name == "a" * 32


# --- handshake --------------------------------------------------------------------------------------

WRONG_HELLOS = {"version 0": {"version": 0}, "version 2": {"version": 2}, "stage 2": {"stage": 2},
                "stage 0": {"stage": 0}, "another network": {"network": "0" * 32},
                "a genesis for a name": {"network": "0" * 64}, "itself": {"listen": "node-1:1"}}

MALFORMED_HELLOS = {
    "no version": {"version": ...}, "no network": {"network": ...}, "no listen": {"listen": ...},
    "no stage": {"stage": ...}, "version true": {"version": True}, "version text": {"version": "1"},
    "version 1.0": {"version": 1.0}, "stage -1": {"stage": -1}, "extra": {"color": "red"},
    "network not hex": {"network": "x" * 32}, "network short": {"network": "0" * 31}, "network 0": {"network": 0},
    "network upper case": {"network": "A" * 32}, "listen null": {"listen": None}, "listen no port": {"listen": "a"},
    "port 0": {"listen": "a:0"}, "port 65536": {"listen": "a:65536"}, "port 07": {"listen": "a:07"},
    "no host": {"listen": ":7"}, "host of 256": {"listen": "a" * 256 + ":7"}, "host with _": {"listen": "a_b:7"},
    "line end": {"listen": "a:7\n"}, "arabic digits": {"listen": "a:\u0667"},
}


@pytest.mark.parametrize("code, changes",
                         [pytest.param("HANDSHAKE", changes, id=name) for name, changes in WRONG_HELLOS.items()]
                         + [pytest.param("FORMAT", changes, id=name) for name, changes in MALFORMED_HELLOS.items()])
def test_a_bad_hello_ends_the_connection(code: str, changes: dict[str, object]) -> None:
    world, alice = founded_world()
    stranger = add_stranger(world, alice)
    hello = {**stranger.hello_message(alice.network_name), **changes}
    stranger.send({name: value for name, value in hello.items() if value is not ...})
    stranger.send(chat_message("never heard"))
    world.settle()
    assert stranger.is_closed
    assert [message["type"] for message in stranger.received] == ["hello", "error"]
    assert stranger.messages("error")[0]["code"] == code
    assert errors(world, alice) == [code]
    assert not alice.links and not alice.connections and texts(world, alice) == []
    assert world.reported(alice, "peer") == []


@pytest.mark.parametrize("listen", ["a:1", "a" * 255 + ":65535", "127.0.0.1:80", "a-b.C:10", "--1:9"])
def test_any_address_is_good_for_a_hello(listen: str) -> None:
    world, alice = founded_world()
    stranger = add_stranger(world, alice)
    stranger.send(stranger.hello_message(None, listen=listen))
    world.settle()
    assert world.reported(alice, "peer") == [{"address": listen, "state": "up"}]
    assert world.ask(alice, "/peers", "peers") == {"addresses": sorted([listen, alice.address]), "connections": 1}


def test_both_ends_say_hello_first_and_at_once() -> None:
    world, alice = founded_world()
    stranger = add_stranger(world, alice)
    assert stranger.received == [{"type": "hello", "version": 1, "stage": 1, "network": alice.network_name,
                                  "listen": alice.address}]
    listener = world.add(Stranger)
    world.add(ChatNode, listener.address)
    world.run(0.1)
    assert [(hello["type"], hello["network"]) for hello in listener.received] == [("hello", None)]


def test_no_hello_within_5_seconds_ends_the_connection() -> None:
    world, alice = founded_world()
    stranger = add_stranger(world, alice)
    opened = world.now
    world.run(4.8)
    assert not stranger.is_closed
    world.run(0.3)
    assert stranger.is_closed and stranger.messages("error")[0]["code"] == "HANDSHAKE"
    assert 4.8 < stranger.received_at[-1] - opened + 0.1 < 5.2
    assert errors(world, alice) == ["HANDSHAKE"]


@pytest.mark.parametrize("message", [chat_message("hi"), {"type": "ping", "nonce": ""}, {"type": "pong", "nonce": ""},
                                     {"type": "nobody knows this"}, {"type": "chat"}])
def test_nothing_but_error_may_come_before_hello(message: dict[str, object]) -> None:
    world, alice = founded_world()
    stranger = add_stranger(world, alice)
    stranger.send(message, stranger.hello_message(alice.network_name))
    world.settle()
    assert stranger.is_closed and stranger.messages("error")[0]["code"] == "HANDSHAKE"
    assert errors(world, alice) == ["HANDSHAKE"] and texts(world, alice) == []


@pytest.mark.parametrize("is_linked", [True, False])
def test_an_error_of_the_peer_is_shown_and_ends_the_connection(is_linked: bool) -> None:
    world, alice = founded_world()
    stranger = (add_linked_stranger if is_linked else add_stranger)(world, alice)
    stranger.send({"type": "error", "code": "BUSY", "reason": "too many"})
    world.settle()
    assert stranger.is_closed and stranger.messages("error") == []
    assert errors(world, alice) == ["BUSY"]
    assert "too many" in world.reported(alice, "error")[0]["reason"]


def test_a_second_hello_is_format() -> None:
    world, alice = founded_world()
    stranger = add_linked_stranger(world, alice)
    stranger.send(stranger.hello_message(alice.network_name))
    world.settle()
    assert stranger.is_closed and [error["code"] for error in stranger.messages("error")] == ["FORMAT"]


# --- a full house -----------------------------------------------------------------------------------

def test_the_caller_that_was_useless_for_longest_gives_way_if_that_is_a_minute() -> None:
    world, alice = founded_world()
    called = world.add(Stranger)
    called.says_on_open = [called.hello_message(alice.network_name)]
    world.open(world.networks[alice.address], called.address)
    world.settle()
    assert not alice.idle.make_room()
    first, second = add_linked_stranger(world, alice), add_linked_stranger(world, alice)
    world.run(40.0)
    for stranger in (called, first, second):  # they answer pings, and are not silent
        stranger.send({"type": "pong", "nonce": ""})
    assert not alice.idle.make_room(), "nobody was useless for a minute"
    first.send(chat_message("news"))
    world.run(25.0)
    assert alice.idle.make_room() and not alice.idle.make_room()
    world.settle()
    assert second.is_closed and [error["code"] for error in second.messages("error")] == ["BUSY"]
    assert not first.is_closed and not called.is_closed
    first.send(chat_message("news"), {"type": "pong", "nonce": ""})
    called.send({"type": "pong", "nonce": ""})
    world.run(50.0)
    first.send({"type": "pong", "nonce": ""})
    called.send({"type": "pong", "nonce": ""})
    world.run(11.0)
    assert alice.idle.make_room() and not alice.idle.make_room()
    world.settle()
    assert first.is_closed and not called.is_closed


def test_a_known_message_does_not_make_a_peer_useful() -> None:
    world, alice = founded_world()
    stranger, other = add_linked_stranger(world, alice), add_linked_stranger(world, alice)
    news = chat_message("news")
    other.send(news)
    world.run(50.0)
    stranger.send(news)
    other.send({"type": "pong", "nonce": ""})
    world.run(9.0)
    assert not alice.idle.make_room()
    world.run(1.1)
    assert alice.idle.make_room()
    world.settle()
    assert stranger.is_closed


def test_a_peer_that_had_to_make_room_calls_again() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(100.0)
    assert alice.idle.make_room()
    world.settle()
    assert errors(world, bob) == ["BUSY"] and not bob.links
    world.run(1.1)
    assert len(bob.links) == len(alice.links) == 1


# --- silence ----------------------------------------------------------------------------------------

def test_a_silent_connection_is_pinged_at_20_seconds_and_closed_at_60() -> None:
    world, alice = founded_world()
    stranger = add_linked_stranger(world, alice)
    linked = world.now
    world.run(19.0)
    assert stranger.messages("ping") == []
    world.run(7.0)
    assert 20 <= stranger.received_at[-1] - linked <= 26
    assert stranger.messages("ping")[0].keys() == {"type", "nonce"}
    world.run(33.0)
    assert not stranger.is_closed
    world.run(7.0)
    assert stranger.is_closed and stranger.messages("error") == []


def test_a_connection_on_which_pings_are_answered_stays() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(600.0)
    assert len(alice.links) == len(bob.links) == 1
    assert [peer["state"] for peer in world.reported(alice, "peer")] == ["up"]


def test_a_ping_is_a_barrier() -> None:
    world, alice = founded_world()
    one, two = add_linked_stranger(world, alice), add_linked_stranger(world, alice)
    one.send(chat_message("hi"), {"type": "ping", "nonce": "x" * 64}, {"type": "ping", "nonce": ""})
    while not one.messages("pong"):
        assert world.step()
    assert texts(world, alice) == ["hi"]
    world.settle()
    assert one.messages("pong") == [{"type": "pong", "nonce": "x" * 64}, {"type": "pong", "nonce": ""}]
    assert two.messages("pong") == []
