"""Flooding over a fixed list of neighbours: no handshake, no calls, no sockets. The first thing that a node can do."""

import json
from typing import Any

from common.encoding import encode_frame
from stage1_chat.neighbours import Neighbours
from stage1_chat.node import ChatNode
from tests.memory import FakeConnection, FakeNetwork

NETWORK = "0123456789abcdef" * 2


def chat(text: str, nonce: str = "0" * 32) -> dict[str, Any]:
    """A chat message."""
    return {"type": "chat", "nonce": nonce, "text": text}


def linked(neighbours: Neighbours, count: int) -> list[FakeConnection]:
    """`count` neighbours."""
    connections = [FakeConnection(remote=f"peer {number}") for number in range(count)]
    for connection in connections:
        neighbours.add_link(connection)
    return connections


def room(count: int) -> tuple[FakeNetwork, ChatNode, list[FakeConnection]]:
    """A node that belongs to a network and has `count` neighbours, without any handshake."""
    network = FakeNetwork()
    node = ChatNode(network, "node:1")
    node.network_name = NETWORK
    return network, node, linked(node.neighbours, count)


def texts(network: FakeNetwork) -> list[str]:
    """The chat messages that the user was shown."""
    return [event["text"] for event in network.reported if event["event"] == "chat"]


def test_a_frame_goes_to_all_neighbours_but_the_one_it_came_from() -> None:
    neighbours = Neighbours()
    one, two, three = linked(neighbours, 3)
    frame = encode_frame(chat("hi"))
    neighbours.pass_on(frame, two)
    assert [connection.news() for connection in (one, two, three)] == [[chat("hi")], [], [chat("hi")]]


def test_what_this_node_makes_goes_to_all_neighbours() -> None:
    neighbours = Neighbours()
    connections = linked(neighbours, 2)
    neighbours.pass_on(encode_frame(chat("hi")), None)
    assert [connection.news() for connection in connections] == [[chat("hi")], [chat("hi")]]


def test_a_chat_message_is_printed_and_passed_on() -> None:
    network, node, (one, two) = room(2)
    node.on_chat(one, chat("hi"), encode_frame(chat("hi")))
    assert texts(network) == ["hi"]
    assert (one.news(), two.news()) == ([], [chat("hi")])


def test_a_copy_ends_here() -> None:
    """Two neighbours bring the same message: on a circle, a node that passes on copies never stops."""
    network, node, (one, two, three) = room(3)
    for source in (one, two, one):
        node.on_chat(source, chat("hi"), encode_frame(chat("hi")))
    assert texts(network) == ["hi"]
    assert [len(connection.news()) for connection in (one, two, three)] == [0, 1, 1]


def test_a_nonce_makes_the_same_text_another_message() -> None:
    network, node, (one, two) = room(2)
    for nonce in ("0" * 32, "1" * 32):
        node.on_chat(one, chat("hi", nonce), encode_frame(chat("hi", nonce)))
    assert texts(network) == ["hi", "hi"] and len(two.news()) == 2


def test_what_is_typed_is_printed_here_and_sent_to_everyone_and_its_echo_is_ignored() -> None:
    network, node, (one, two) = room(2)
    node.on_line("hi")
    [message] = one.news()
    assert two.news() == [message] and message["text"] == "hi" and texts(network) == ["hi"]
    node.on_chat(one, message, encode_frame(message))
    assert texts(network) == ["hi"] and json.dumps(two.news()) == "[]"
