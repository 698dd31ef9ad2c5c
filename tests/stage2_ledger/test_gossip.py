"""Gossip alone: when a node compares, and with which neighbour."""

from common.interface import Connection
from stage1_chat.neighbours import Neighbours
from stage2_ledger.gossip import Gossip
from stage2_ledger.limits import GOSSIP_SECONDS
from tests.memory import FakeConnection, FakeNetwork


class Scene:
    """The gossip of a node with ten neighbours."""

    def __init__(self) -> None:
        self.network = FakeNetwork()
        self.neighbours = Neighbours()
        self.links = [FakeConnection(None, f"peer-{number}", 0.0) for number in range(10)]
        self.compared: list[Connection] = []
        self.gossip = Gossip(self.network, self.neighbours, self.compared.append)
        self.gossip.begin()

    def compared_in(self, seconds: float) -> list[Connection]:
        """The neighbours with which the node compares in the next `seconds`."""
        self.compared.clear()
        self.network.pass_time(seconds)
        return list(self.compared)


def test_every_5_seconds_a_node_compares_with_one_neighbour_and_not_always_the_same() -> None:
    scene = Scene()
    assert scene.compared_in(GOSSIP_SECONDS) == [], "nobody is there"
    scene.neighbours.links.update(dict.fromkeys(scene.links))
    rounds = [scene.compared_in(GOSSIP_SECONDS) for _ in range(50)]
    assert {len(compared) for compared in rounds} == {1} and len({compared[0] for compared in rounds}) > 5


def test_when_something_was_not_forwarded_it_compares_with_all_of_them_once() -> None:
    scene = Scene()
    scene.neighbours.links.update(dict.fromkeys(scene.links))
    scene.network.pass_time(1.0)
    scene.gossip.postpone(b"frame", scene.links[0])
    assert scene.links[0].useful_at == 1.0 and hash(b"frame") in scene.neighbours.seen_frames
    assert scene.compared_in(GOSSIP_SECONDS) == scene.links
    assert len(scene.compared_in(GOSSIP_SECONDS)) == 1
    assert [link.sent for link in scene.links] == [[]] * 10, "gossip itself sends nothing"
