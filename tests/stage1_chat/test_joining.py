"""Joining and refusals alone: without a node, with calls that lead nowhere."""

import pytest

from common.encoding import encode_frame
from common.refusals import Refusals
from stage1_chat.joining import Joining
from stage1_chat.neighbours import Neighbours
from tests.memory import FakeConnection, FakeNetwork

PEER = "peer:1"


class Scene:
    """The `Joining` of a node that joins by `PEER`, with test doubles in place of the node."""

    def __init__(self, seconds: float = 10.0) -> None:
        self.network = FakeNetwork()
        self.neighbours = Neighbours()
        self.neighbours.peer = PEER
        self.has_network = False
        self.errors: list[str] = []
        self.joining = Joining(self.network, self.neighbours, seconds, lambda: self.has_network, self.found_network,
                               lambda code, reason: self.errors.append(f"{code} {reason}"))
        self.refusals = Refusals(self.joining, lambda code, reason: self.errors.append(f"{code} {reason}"))

    def found_network(self) -> None:
        """Nobody could be joined."""
        self.has_network = True

    def open(self, dialled: str | None = PEER) -> FakeConnection:
        """A call has succeeded."""
        connection = FakeConnection(dialled, "there:1", self.network.time)
        self.joining.on_open(connection)
        return connection

    def hear_error(self, connection: FakeConnection, code: str, reason: str) -> None:
        """The peer says why it ends the connection."""
        message = {"type": "error", "code": code, "reason": reason}
        self.refusals.on_error(connection, message, encode_frame(message))


ALONE = "; this is a network of its own; nobody else is in it"


def test_the_peer_is_called_again_until_the_time_is_over() -> None:
    scene = Scene(seconds=10.0)
    scene.joining.start(PEER)
    while not scene.has_network:
        calls = len(scene.network.called)
        scene.joining.on_failed("nobody listens there")
        scene.network.pass_time(0.5)
        assert scene.has_network or len(scene.network.called) == calls + 1
    assert scene.network.time == 10.0 and set(scene.network.called) == {PEER}
    assert scene.errors == [f"NETWORK {PEER}: nobody listens there{ALONE}"] and scene.neighbours.peer is None


def test_a_call_has_the_time_for_a_hello_however_short_the_wait() -> None:
    scene = Scene(seconds=0.0)
    scene.joining.start(PEER)
    scene.network.pass_time(4.9)
    assert not scene.has_network
    scene.network.pass_time(0.2)
    assert scene.errors == [f"NETWORK {PEER}: no answer within 5 seconds{ALONE}"]


def test_it_joins_by_the_first_connection_that_it_has_opened() -> None:
    scene = Scene()
    caller, called, second = scene.open(None), scene.open(), scene.open()
    assert [scene.joining.is_by(one) for one in (caller, called, second)] == [False, True, False]
    scene.joining.on_linked(called)
    assert not scene.joining.is_by(called)


def test_a_node_that_has_a_network_does_not_join() -> None:
    scene = Scene()
    scene.has_network = True
    assert not scene.joining.is_by(scene.open()) and not scene.joining.is_to(PEER)
    scene.joining.give_up("too late")
    assert scene.errors == []


def test_a_peer_that_is_busy_is_called_again_without_a_word() -> None:
    scene = Scene()
    scene.joining.start(PEER)
    connection = scene.open()
    scene.hear_error(connection, "BUSY", "full")
    assert not connection.is_open
    scene.joining.on_closed()
    scene.network.pass_time(0.5)
    assert scene.network.called == [PEER, PEER] and scene.errors == []
    scene.network.pass_time(10.0)
    assert scene.errors == [f"NETWORK {PEER}: there:1 says: full{ALONE}"]


@pytest.mark.parametrize("who", ["the peer", "this node"])
def test_after_a_refusal_nobody_is_called_again(who: str) -> None:
    scene = Scene()
    scene.joining.start(PEER)
    connection = scene.open()
    if who == "the peer":
        scene.hear_error(connection, "HANDSHAKE", "stage 2, but this node is of stage 1")
    else:
        scene.refusals.refuse(connection, "FORMAT", "no hello")
        assert connection.sent == [{"type": "error", "code": "FORMAT", "reason": "no hello"}]
    if scene.joining.is_by(connection):
        scene.joining.on_closed()
    scene.network.pass_time(10.0)
    assert scene.has_network and scene.network.called == [PEER] and len(scene.errors) == 2


def test_the_tenth_invalid_message_ends_a_connection_and_the_user_gets_one_line() -> None:
    scene = Scene()
    peer = scene.open(None)
    for number in range(10):
        assert peer.is_open
        scene.refusals.count_invalid(peer, f"no. {number}")
    assert not peer.is_open and peer.was_refused and peer.sent[-1]["code"] == "INVALID"
    assert scene.errors == ["INVALID there:1: no. 0"]


def test_the_user_is_told_the_same_about_an_address_only_once() -> None:
    scene = Scene()
    for port in (1, 2):
        peer = FakeConnection(None, f"10.0.0.1:{port}", 0.0)
        peer.claimed_address = "there:1"
        scene.refusals.refuse(peer, "HANDSHAKE", "another network")
    assert scene.errors == ["HANDSHAKE 10.0.0.1:1: another network"]
