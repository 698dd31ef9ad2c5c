"""The chat node in memory: random topologies, random schedules, a clock that is turned by hand."""

import json
import random
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from lab.simulation import MemoryConnection, World
from stage1_chat.node import ChatNode
from tests.memory import Stranger, add_linked_stranger, add_stranger
from tests.processes import chat_message


def texts(world: World, node: ChatNode) -> list[str]:
    """The chat messages that `node` has printed, in order."""
    return [chat["text"] for chat in world.reported(node, "chat")]


def errors(world: World, node: ChatNode) -> list[str]:
    """The codes of the errors that `node` has printed."""
    return [error["code"] for error in world.reported(node, "error")]


def is_reading(world: World, node: ChatNode) -> bool:
    """Does `node` take lines by now?"""
    return world.networks[node.address].is_reading


def founded_world(seed: int = 1, longest_delay: float = 0.0) -> tuple[World, ChatNode]:
    """A world with one node, which has founded a network."""
    world = World(seed, longest_delay=longest_delay)
    return world, world.add(ChatNode)


# --- flooding ---------------------------------------------------------------------------------------

Said = dict[str | None, Counter[str]]
"""What was said in each network. Usually there is one; but who calls a node that is itself still joining
is sent away, and founds a network of its own (contract §2, §4)."""


def random_life(seed: int, cuts: bool) -> tuple[World, list[ChatNode], Said]:
    """Nodes join, call others, talk and (with `cuts`) lose connections, in an order that `seed` decides."""
    world = World(seed)
    choose = random.Random(seed)
    nodes = [world.add(ChatNode)]
    said: Said = defaultdict(Counter)
    for _ in range(choose.randint(10, 40)):
        action = choose.random()
        node = choose.choice(nodes)
        if action < 0.2 and len(nodes) < 8:
            nodes.append(world.add(ChatNode, choose.choice(nodes).address))
        elif action < 0.35:  # a second way, and so a circle
            world.open(world.networks[node.address], choose.choice(nodes).address)
        elif action < 0.45 and cuts and world.open_connections():
            world.cut(choose.choice(world.open_connections()))
        elif action < 0.75 and is_reading(world, node):
            text = choose.choice(["hi", "ho", "hum"])
            said[node.network_name][text] += 1
            node.on_line(text)
        elif action < 0.9:
            for _ in range(choose.randint(1, 20)):
                world.step()
        else:
            world.run(choose.random() * 0.1)
    return world, nodes, said


@pytest.mark.parametrize("first_seed", range(0, 2_000, 200))
def test_each_message_is_printed_once_by_everyone_whatever_the_topology(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 200):
        world, nodes, said = random_life(seed, cuts=False)
        world.run(1.0)
        for node in nodes:
            assert Counter(texts(world, node)) == said[node.network_name], f"seed {seed}, {node.address}"


@pytest.mark.parametrize("first_seed", range(10_000, 11_000, 200))
def test_what_was_said_while_connections_were_cut_arrives_after_the_redial(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 200):
        world, nodes, said = random_life(seed, cuts=True)
        world.run(70.0)
        for node in nodes:
            assert Counter(texts(world, node)) == said[node.network_name], f"seed {seed}, {node.address}"


def test_the_same_text_twice_is_two_messages() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    alice.on_line("hi")
    alice.on_line("hi")
    world.settle()
    assert texts(world, alice) == texts(world, bob) == ["hi", "hi"]


def test_a_message_goes_to_all_but_where_it_came_from() -> None:
    world, alice = founded_world()
    one, two, three = (add_linked_stranger(world, alice) for _ in range(3))
    message = chat_message("hi")
    one.send(message)
    world.settle()
    assert [peer.messages("chat") for peer in (one, two, three)] == [[], [message], [message]]


def test_a_copy_in_other_bytes_is_the_same_message() -> None:
    world, alice = founded_world()
    one, two = add_linked_stranger(world, alice), add_linked_stranger(world, alice)
    message = chat_message("hé")
    one.send(message)
    two.send_body(json.dumps(dict(reversed(message.items())), indent=2).encode())
    world.settle()
    assert texts(world, alice) == ["hé"]
    assert one.messages("chat") == []
    assert len(two.messages("chat")) == 1


def test_a_message_is_forwarded_as_the_bytes_that_came() -> None:
    world, alice = founded_world()
    one = add_linked_stranger(world, alice)
    bytes_sent: list[bytes] = []
    two = add_linked_stranger(world, alice)
    two.on_frames = lambda connection, frames, error=None: bytes_sent.extend(frames)  # type: ignore[method-assign]
    body = b'{ "text":"\\u0068i", "nonce":"%s" , "type":"chat"}' % (b"0" * 32)
    one.send_body(body)
    world.settle()
    assert [frame[4:] for frame in bytes_sent] == [body]
    assert texts(world, alice) == ["hi"]


def test_a_message_belongs_to_its_network() -> None:
    (_, alice), (_, carol) = founded_world(seed=1), founded_world(seed=2)
    assert alice.network_name != carol.network_name
    for node in (alice, carol):
        node.on_chat(None, {"type": "chat", "nonce": "0" * 32, "text": "hi"}, b"frame")
    assert set(alice.history) != set(carol.history)


# --- history ----------------------------------------------------------------------------------------

def test_a_late_joiner_reads_what_was_said_in_order() -> None:
    world, alice = founded_world()
    for number in range(100):
        alice.on_line(f"line {number}")
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    carol = world.add(ChatNode, bob.address)
    world.run(1.0)
    assert texts(world, bob) == texts(world, carol) == [f"line {number}" for number in range(100)]


def test_the_newest_thousand_messages_are_kept_and_older_ones_are_not_printed_again() -> None:
    world, alice = founded_world()
    stranger = add_linked_stranger(world, alice)
    messages = [chat_message(f"line {number}") for number in range(1_200)]
    stranger.send(*messages)
    world.settle()
    late = add_linked_stranger(world, alice)
    kept = late.messages("chat")
    assert len(kept) >= 1_000
    assert kept == messages[-len(kept):]
    for message in messages:  # in other bytes, so that it is the id that is known
        late.send_body(json.dumps(message, indent=1).encode())
    world.settle()
    assert texts(world, alice) == [message["text"] for message in messages]


def test_both_sides_of_a_healed_partition_read_what_the_other_said() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    carol = world.add(ChatNode, bob.address)
    world.run(1.0)
    world.part({alice.address})
    alice.on_line("from alice")
    carol.on_line("from carol")
    world.run(10.0)
    assert (texts(world, alice), texts(world, bob)) == (["from alice"], ["from carol"])
    world.heal()
    world.run(40.0)
    for node in (alice, bob, carol):
        assert sorted(texts(world, node)) == ["from alice", "from carol"], node.address


# --- joining and calling again ----------------------------------------------------------------------

def calls_of(world: World, node: ChatNode) -> list[float]:
    """A list that grows by the time of each call that `node` makes from now on."""
    network, times = world.networks[node.address], []
    connect = network.connect

    def count_and_connect(address: str) -> None:
        times.append(world.now)
        connect(address)

    network.connect = count_and_connect  # type: ignore[method-assign]
    return times


def test_the_peer_is_called_again_after_1_2_4_seconds_and_then_every_30_for_ever() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    calls = calls_of(world, bob)
    world.part({alice.address})
    start = world.now
    world.run(3 * 3_600.0)
    assert [round(time - start) for time in calls[:8]] == [1, 3, 7, 15, 31, 61, 91, 121]
    waits = {round(later - earlier) for earlier, later in pairwise(calls[5:])}
    assert waits == {30}
    assert calls[-1] - start > 3 * 3_600 - 31


def test_after_a_link_the_waiting_begins_at_one_second_again() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    world.part({alice.address})
    world.run(100.0)
    world.heal()
    world.run(31.0)
    assert [peer["state"] for peer in world.reported(bob, "peer")] == ["up", "down", "up"]
    calls = calls_of(world, bob)
    world.part({alice.address})
    start = world.now
    world.run(8.0)
    assert [round(time - start) for time in calls] == [1, 3, 7]


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


def test_the_peer_is_called_again_also_when_it_had_called_meanwhile() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    world.cut(next(end for end in world.open_connections()))
    world.settle()
    world.open(world.networks[alice.address], bob.address)
    world.run(10.0)
    assert len(bob.links) == 1, "alice's call has made bob's own unnecessary"
    world.cut(next(end for end in world.open_connections()))
    world.run(10.0)
    assert len(bob.links) == 1


def test_the_peer_is_called_again_also_when_the_connection_was_closed_for_bad_input() -> None:
    world, alice = founded_world()
    stranger = world.add(Stranger)
    stranger.says_on_open = [stranger.hello_message(alice.network_name), {"type": "chat"}]
    bob = world.add(ChatNode, stranger.address)
    calls = calls_of(world, bob)
    world.run(20.0)
    assert len(calls) >= 4, calls
    assert set(errors(world, bob)) == {"FORMAT"}


@pytest.mark.parametrize("peer", ["node-9:1", "nobody", "node-1:0", "node-1:65536", "node 1:1", ":1", "host:", "a:01"])
def test_who_finds_nobody_says_so_and_founds_a_network(peer: str) -> None:
    world = World(seed=1)
    node = world.add(ChatNode, peer)
    world.run(6.0)
    reported = world.networks[node.address].reported
    assert [entry["event"] for entry in reported] == ["error", "founded", "listening"]
    assert reported[0]["code"] == "NETWORK" and peer in reported[0]["reason"]
    assert reported[2]["address"] == node.address and reported[2]["network"] == node.network_name
    assert is_reading(world, node)


def test_who_joins_says_so_takes_the_name_and_then_listens() -> None:
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


@pytest.mark.parametrize("changes", [{"stage": 2}, {"version": 2}, {"network": None}])
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


def test_two_that_join_by_each_other_both_belong_to_a_network() -> None:
    for seed in range(200):
        world = World(seed)
        nodes = [world.add(ChatNode, "node-2:1"), world.add(ChatNode, "node-1:1")]
        world.run(20.0)
        for node in nodes:
            assert node.network_name is not None, f"seed {seed}"
            assert len(world.reported(node, "listening")) == 1, f"seed {seed}"


def test_while_a_node_joins_it_takes_the_network_of_the_called_peer_only() -> None:
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
def test_any_address_will_do_for_a_hello(listen: str) -> None:
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


# --- bad input --------------------------------------------------------------------------------------

NONCE = "0" * 32
BAD_BODIES = {
    "not UTF-8": b'{"type":"x\xff"}', "not JSON": b"{", "two objects": b"{}{}", "an array": b'["type"]',
    "a string": b'"type"', "null": b"null", "NaN": b'{"type":"x","a":NaN}', "no type": b'{"a":1}',
    "type 1": b'{"type":1}', "type null": b'{"type":null}', "type twice": b'{"type":"x","type":"x"}',
    "a member twice": b'{"type":"unknown","a":1,"a":1}', "a member twice inside": b'{"type":"unknown","a":[{"b":1,"b":2}]}',
    "byte order mark": b'\xef\xbb\xbf{"type":"x"}', "deep": b'{"type":"x","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "control character": b'{"type":"a\nb"}', "surrogate bytes": b'{"type":"\xed\xa0\x80"}',
}
BAD_MESSAGES = {
    "no nonce": {"type": "chat", "text": "hi"}, "no text": {"type": "chat", "nonce": NONCE},
    "extra": {"type": "chat", "nonce": NONCE, "text": "hi", "from": "me"},
    "nonce not hex": {"type": "chat", "nonce": "g" * 32, "text": "hi"},
    "nonce upper": {"type": "chat", "nonce": "A" * 32, "text": "hi"},
    "nonce of 31": {"type": "chat", "nonce": "0" * 31, "text": "hi"},
    "nonce and line end": {"type": "chat", "nonce": "0" * 32 + "\n", "text": "hi"},
    "nonce a number": {"type": "chat", "nonce": 0, "text": "hi"},
    "text empty": {"type": "chat", "nonce": NONCE, "text": ""},
    "text of 4,097": {"type": "chat", "nonce": NONCE, "text": "x" * 4_097},
    "text a list": {"type": "chat", "nonce": NONCE, "text": ["hi"]},
    "text null": {"type": "chat", "nonce": NONCE, "text": None},
    "ping without nonce": {"type": "ping"}, "ping of 65": {"type": "ping", "nonce": "x" * 65},
    "ping of 1": {"type": "ping", "nonce": 1}, "pong without nonce": {"type": "pong"},
    "error without code": {"type": "error", "reason": "x"}, "error of 1": {"type": "error", "code": 1, "reason": "x"},
}
BAD_INPUT = ([pytest.param("FRAME", body, id=name) for name, body in BAD_BODIES.items()]
             + [pytest.param("FORMAT", json.dumps(message).encode(), id=name)
                for name, message in BAD_MESSAGES.items()]
             + [pytest.param("FORMAT", b'{"type":"chat","nonce":"%s","text":"\\ud800"}' % NONCE.encode(),
                             id="lone surrogate")])


@pytest.mark.parametrize("code, body", BAD_INPUT)
def test_bad_input_ends_its_connection_and_touches_nothing_else(code: str, body: bytes) -> None:
    world, alice = founded_world()
    bad, good = add_linked_stranger(world, alice), add_linked_stranger(world, alice)
    for _ in range(3):
        bad.send_body(body)
    bad.send(chat_message("never heard"))
    world.settle()
    assert bad.is_closed
    assert [message["type"] for message in bad.received] == ["hello", "error"]
    assert bad.messages("error")[0]["code"] == code
    assert errors(world, alice) == [code], "one line about it, not more"
    message = chat_message("still here")
    good.send(message, {"type": "ping", "nonce": "end"})
    world.settle()
    assert texts(world, alice) == ["still here"]
    assert good.messages("pong") == [{"type": "pong", "nonce": "end"}]
    assert len(alice.history) == 1 and len(alice.links) == 1


@pytest.mark.parametrize("message", [
    {"type": "get_peers"}, {"type": "transaction", "amount": -1}, {"type": ""}, {"type": "block", "number": "x"},
    {"type": "chat2", "nonce": [{"a": 1.5e300}, True, None]}, {"type": "line"}, {"type": "start"}, {"type": "close"},
    {"type": "open"}, {"type": "message"}, {"type": "Chat"}, {"type": "chat "}, {"type": "x" * 10_000}])
def test_unknown_types_are_ignored(message: dict[str, object]) -> None:
    world, alice = founded_world()
    one, two = add_linked_stranger(world, alice), add_linked_stranger(world, alice)
    one.send(message, {"type": "ping", "nonce": ""})
    world.settle()
    assert one.messages("pong") and not one.is_closed
    assert len(two.received) == 1, "only the hello: nothing unknown is forwarded"
    assert errors(world, alice) == []


def test_bad_input_of_one_leaves_all_random_schedules_of_the_others_as_they_were() -> None:
    for seed in range(200):
        world, nodes, said = random_life(seed, cuts=False)
        choose = random.Random(seed)
        world.run(1.0)
        room = [node for node in nodes if node.network_name == nodes[0].network_name]
        stranger = add_linked_stranger(world, choose.choice(room))
        stranger.send_body(choose.choice(list(BAD_BODIES.values())))
        room[0].on_line("after")
        world.run(1.0)
        assert stranger.is_closed, f"seed {seed}"
        for node in room:
            assert Counter(texts(world, node)) == said[room[0].network_name] + Counter(["after"]), f"seed {seed}, {node.address}"


# --- what is typed ----------------------------------------------------------------------------------

@pytest.mark.parametrize("line, text", [
    ("hi", "hi"), ("//x", "/x"), ("//", "/"), ("///", "//"), (" /help", " /help"), (" ", " "), ("ünï\u2028", "ünï\u2028"),
    ("x" * 4_096, "x" * 4_096), ("😀" * 4_096, "😀" * 4_096), ("/" + "/" + "x" * 4_095, "/" + "x" * 4_095)])
def test_a_line_without_a_slash_is_a_chat_message(line: str, text: str) -> None:
    world, alice = founded_world()
    stranger = add_linked_stranger(world, alice)
    alice.on_line(line)
    world.settle()
    assert texts(world, alice) == [text]
    assert [message["text"] for message in stranger.messages("chat")] == [text]
    assert errors(world, alice) == []


@pytest.mark.parametrize("line", ["x" * 4_097, "//" + "x" * 4_096, "bad \udcff byte", "/", "/ ", "/nope", "/HELP",
                                  "/help me", "/peers 1", "/quit now", "/\udcff", "/on_line", "/__init__", "/say hi"])
def test_a_line_that_cannot_be_carried_out_is_one_error_and_changes_nothing(line: str) -> None:
    world, alice = founded_world()
    stranger = add_linked_stranger(world, alice)
    alice.on_line(line)
    world.settle()
    assert errors(world, alice) == ["COMMAND"]
    assert len(stranger.received) == 1 and texts(world, alice) == []
    assert world.networks[alice.address].is_running
    json.dumps(world.reported(alice, "error"), ensure_ascii=False).encode()  # can be printed


def test_an_empty_line_is_nothing() -> None:
    world, alice = founded_world()
    alice.on_line("")
    assert [entry["event"] for entry in world.networks[alice.address].reported] == ["founded", "listening"]


def test_help_lists_every_command_and_quit_ends_the_node() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    commands = world.ask(alice, "/help", "help")["commands"]
    assert [command["command"].split()[0] for command in commands] == ["/help", "/peers", "/quit"]
    assert all(command.keys() == {"command", "meaning"} and command["meaning"] for command in commands)
    alice.on_line("/quit")
    world.settle()
    assert not world.networks[alice.address].is_running
    assert world.reported(bob, "peer")[-1] == {"address": alice.address, "state": "down"}


def test_what_was_said_before_quit_still_arrives() -> None:
    for seed in range(100):
        world, alice = founded_world(seed)
        bob = world.add(ChatNode, alice.address)
        world.run(1.0)
        alice.on_line("bye")
        alice.on_line("/quit")
        world.settle()
        assert texts(world, bob) == ["bye"], f"seed {seed}"


def test_a_cut_loses_only_what_was_on_its_way() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    alice.on_line("lost on the way")
    world.cut(next(end for end in world.open_connections() if isinstance(end, MemoryConnection)))
    world.settle()
    assert texts(world, bob) == []
    world.run(2.0)
    assert texts(world, bob) == ["lost on the way"], "the history of the next handshake brings it"
