"""The ring alone: without a node, with connections that lead nowhere."""

import json
from pathlib import Path

import pytest

from common.bounded import Recent
from common.encoding import FormatError, encode_frame
from common.journal import Journal
from stage1_chat.neighbours import Neighbours
from stage2_ledger.keeping import Keeper
from stage2_ledger.redial import LostPeers
from stage2_ledger.ring import LINK_PING, Ring
from tests.memory import Event, FakeConnection, FakeNetwork

OWN = "m:1"


class Scene:
    """A ring, and test doubles in place of its node."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.network = FakeNetwork()
        self.neighbours = Neighbours()
        self.redials = LostPeers(self.network, self.neighbours.is_linked, self.neighbours.is_peer)
        self.keeper = Keeper(journal)
        self.name: str | None = "a" * 32
        self.ring = Ring(self.network, OWN, self.neighbours, self.redials, self.keeper, Recent(), lambda: self.name)

    def open(self, address: str, dialled: str | None = None, remote: str = "") -> FakeConnection:
        """A connection. `address` is the one in its hello."""
        connection = FakeConnection(dialled, remote or address, self.network.time)
        connection.address = address
        self.neighbours.connections.add(connection)
        return connection

    def link(self, address: str, dialled: str | None = None) -> FakeConnection:
        """Give the ring a new neighbour."""
        connection = self.open(address, dialled)
        self.neighbours.add_link(connection)
        self.redials.on_linked(connection)
        self.ring.greet(connection)
        return connection

    def lose(self, connection: FakeConnection) -> None:
        """Take a neighbour away."""
        connection.close()
        del self.neighbours.links[connection]
        self.ring.on_lost(connection)

    def calls(self) -> list[str]:
        """The addresses that were called since the last call of this method."""
        called, self.network.called = self.network.called, []
        return called

    def hear(self, connection: FakeConnection, message: Event) -> None:
        """Give the ring a message."""
        getattr(self.ring, f"on_{message['type']}")(connection, message, encode_frame(message))


PRESENCE: Event = {"type": "presence", "nonce": "1" * 32, "address": "x:1"}


def test_a_list_that_was_asked_for_is_added_and_the_nodes_that_follow_are_called() -> None:
    scene = Scene()
    peer = scene.link("p:1", dialled="p:1")
    scene.ring.ask_for_peers(peer)
    addresses = [f"n:{number}" for number in range(10, 20)]
    scene.hear(peer, {"type": "peers", "addresses": ["a:1", *addresses]})
    assert scene.ring.members.sorted() == sorted(["a:1", *addresses, OWN, "p:1"])
    assert set(scene.calls()) == {"a:1", *addresses}, "ten that follow, and one of the two others is linked"
    assert [message["type"] for message in peer.sent] == ["ping", "get_peers", "presence"]
    assert peer.sent[2]["address"] == OWN


def test_a_list_that_nobody_asked_for_is_a_format_error() -> None:
    scene = Scene()
    peer = scene.link("p:1")
    with pytest.raises(FormatError):
        scene.hear(peer, {"type": "peers", "addresses": ["victim:80"]})
    assert "victim:80" not in scene.ring.members


def test_a_peer_that_asks_is_sent_the_list_in_its_order() -> None:
    scene = Scene()
    peer = scene.link("p:1")
    scene.hear(peer, {"type": "get_peers"})
    assert peer.sent == [{"type": "peers", "addresses": [OWN, "p:1"]}]


def test_a_presence_is_passed_on_once_and_not_to_the_peer_that_brought_it() -> None:
    scene = Scene()
    one, other = scene.link("o:1"), scene.link("p:1")
    for source in (one, one, other):
        scene.hear(source, PRESENCE)
    assert one.sent == [] and other.sent == [PRESENCE] and "x:1" in scene.ring.members


def test_a_called_neighbour_is_sent_this_nodes_presence() -> None:
    scene = Scene()
    peer = scene.link("p:1", dialled="p:1")
    scene.ring.ask_for_peers(peer)
    scene.hear(peer, {"type": "peers", "addresses": []})
    called, caller = scene.link("q:1", dialled="q:1"), scene.link("r:1")
    assert [message["type"] for message in called.sent] == ["presence", "ping"] and caller.sent == []


def test_a_second_call_to_one_place_is_ended_before_anything_is_sent() -> None:
    scene = Scene()
    first = scene.open("p:1", dialled="alias:1", remote="10.0.0.1:1")
    second = FakeConnection("p:1", "10.0.0.1:1", 0.0)
    assert scene.ring.ends_second_call(second) and not second.is_open and second.was_refused
    assert first.proven == "p:1" and first.is_open, "that is the address that it claims"
    elsewhere, caller = FakeConnection("q:1", "10.0.0.2:1", 0.0), FakeConnection(None, "10.0.0.1:1", 0.0)
    assert not scene.ring.ends_second_call(elsewhere) and not scene.ring.ends_second_call(caller)


@pytest.mark.parametrize("other, is_kept", [("a:1", True), ("z:1", False)])
def test_of_two_simultaneous_calls_that_of_the_smaller_address_stays(other: str, is_kept: bool) -> None:
    scene = Scene()
    own = scene.link(other, dialled=other)
    inbound = scene.link(other)
    assert own.is_open and inbound.is_open == is_kept, "exactly one side closes the call that it got"


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_call_that_ends_early_proves_the_callers_address_unless_the_ping_was_answered(is_answered: bool) -> None:
    scene = Scene()
    caller, called = scene.link("a:1"), scene.link("a:1", dialled="a:1")
    if is_answered:
        scene.ring.on_pong(called, LINK_PING)
    scene.lose(called)
    assert caller.is_own != is_answered and "a:1" in scene.ring.members
    scene.network.pass_time(1.0)
    assert scene.calls() == (["a:1"] if is_answered else []), "one more call tells"


def test_another_node_is_called_in_the_place_of_a_neighbour_that_is_gone() -> None:
    scene = Scene()
    peer = scene.link("n:1", dialled="n:1")
    scene.ring.members.add("o:1")
    scene.lose(peer)
    assert scene.calls() == ["o:1"] and scene.ring.members.sorted() == [OWN, "o:1"]


def test_a_caller_that_is_gone_removes_no_earlier_address_from_the_list() -> None:
    scene = Scene()
    for number in range(30):
        scene.ring.members.add(f"n:{number + 1}")
    unwanted = (set(scene.ring.members.sorted()) - {OWN} - set(scene.ring.members.wanted())).pop()
    scene.lose(scene.link(unwanted))
    assert scene.calls()[0] == unwanted and unwanted in scene.ring.members


def test_an_address_that_does_not_answer_leaves_the_list_unless_a_neighbour_names_it() -> None:
    scene = Scene()
    scene.ring.members.add("n:1")
    scene.link("o:1")
    for address in ("n:1", "o:1"):
        scene.ring.on_no_answer(address)
    assert scene.ring.members.sorted() == [OWN, "o:1"]


def test_while_the_node_joins_nobody_is_called_in_the_place_of_a_node_that_does_not_answer() -> None:
    scene = Scene()
    scene.name = None
    scene.ring.members.add("n:1")
    scene.ring.on_no_answer("o:1")
    assert scene.calls() == []


def test_a_neighbour_that_was_lost_and_is_back_is_asked_for_its_list() -> None:
    scene = Scene()
    peer = scene.link("p:1", dialled="p:1")
    scene.lose(peer)
    scene.redials.on_lost(peer)
    back = scene.link("p:1", dialled="p:1")
    assert back.sent == [{"type": "ping", "nonce": LINK_PING}, {"type": "get_peers"}]


def test_the_list_survives_a_restart(tmp_path: Path) -> None:
    scene = Scene(Journal(tmp_path))
    scene.ring.members.add("n:1")
    scene.ring.begin()
    scene.network.pass_time(5.0)
    assert json.loads(str(scene.keeper.read_note("peers"))) == [OWN, "n:1"]
    scene.keeper.commit()
    scene.keeper.close()
    again = Scene(Journal(tmp_path))
    again.neighbours.peer = "peer:1"
    again.ring.go_back()
    assert again.calls() == ["peer:1", "n:1"] and again.ring.members.sorted() == [OWN, "n:1"]
    again.keeper.close()
