"""Which addresses a node notes in its journal, and whom it calls first when it comes back after a crash."""

from pathlib import Path

import pytest

from common.journal import Journal
from lab.simulation import World
from stage1_chat.neighbours import Neighbours
from stage2_ledger.keeping import Keeper, LedgerSetup
from stage2_ledger.limits import MAX_NOTED_CALLERS, MAX_NOTED_REACHED
from stage2_ledger.node import LedgerNode
from stage2_ledger.noted_peers import NotedPeers
from tests.memory import FakeConnection, FakeNetwork
from tests.stage2_ledger.scenes import add_linked_peer, forgetting

# --- the lists alone --------------------------------------------------------------------------------

class CountingJournal(Journal):
    """Counts how many bytes of notes are written."""

    written = 0

    def note(self, name: str, value: str) -> None:
        """Count them."""
        super().note(name, value)
        self.written += len(value)


class Scene:
    """Noted peers with a journal, and connections that lead nowhere."""

    def __init__(self, folder: Path) -> None:
        self.network = FakeNetwork()
        self.neighbours = Neighbours()
        self.journal = CountingJournal(folder)
        self.noted = NotedPeers(self.network, self.neighbours, Keeper(self.journal), lambda: ["own:1"])

    def link(self, address: str, is_own: bool) -> FakeConnection:
        """A new neighbour, called by this node or a caller."""
        connection = FakeConnection(address if is_own else None, address, self.network.time)
        connection.address = address
        self.neighbours.add_link(connection)
        return connection

    def note(self) -> None:
        """Note the lists a minute later."""
        self.network.pass_time(60.0)
        self.noted.note()


@pytest.mark.parametrize("name, most", [("reached", MAX_NOTED_REACHED), ("callers", MAX_NOTED_CALLERS)])
def test_the_oldest_links_are_noted_and_after_them_earlier_ones(name: str, most: int, tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    first, second = (scene.link(f"{place}:1", name == "reached") for place in ("first", "second"))
    scene.note()
    del scene.neighbours.links[first]
    scene.link("third:1", name == "reached")
    scene.note()
    assert scene.noted.read(name) == ["second:1", "third:1", "first:1"]
    for number in range(2 * most):
        passing = scene.link(f"passing-{number}:1", name == "reached")
        scene.note()
        del scene.neighbours.links[passing]
    assert scene.noted.read(name)[:2] == ["second:1", "third:1"] and len(scene.noted.read(name)) == most
    scene.neighbours.links.clear()
    scene.note()
    assert second.address in scene.noted.read(name), "nobody is back yet"
    assert scene.noted.read("callers" if name == "reached" else "reached") == []
    scene.journal.close()


def test_callers_do_not_make_a_node_write_much(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for number in range(600):
        caller = scene.link(f"{number:0200d}:1", False)
        scene.noted.note()
        del scene.neighbours.links[caller]
        scene.network.pass_time(0.1)
    assert 0 < scene.journal.written < 60 * 1_024
    scene.journal.close()


# --- nodes that come back ---------------------------------------------------------------------------

def start(world: World, folder: Path, peer: str | None = None, address: str | None = None) -> LedgerNode:
    """A node with a journal of its own."""
    own = address or f"node-{len(world.networks) + 1}:1"
    setup = LedgerSetup(journal=Journal(folder / own.partition(":")[0]))
    return world.add(LedgerNode, peer, setup, address=address)


def crash(world: World, node: LedgerNode) -> None:
    """Kill a node. In memory nobody commits after each message."""
    node.commit()
    world.kill(node)
    node.on_end()


def invent(world: World, nodes: list[LedgerNode]) -> None:
    """Let a stranger announce 200 addresses of nobody that follow each of the nodes on the ring."""
    stranger = add_linked_peer(world, nodes[0])
    stranger.send(*({"type": "presence", "nonce": f"{place:016x}{port:016x}",
                     "address": node.address.replace(":1", f":{port}")}
                    for place, node in enumerate(nodes) for port in range(2, 202)))
    world.run(1.0)
    stranger.connection.close()
    world.run(60.0)


def test_a_network_that_has_crashed_comes_together_again_in_spite_of_invented_addresses(tmp_path: Path) -> None:
    world = World(1)
    nodes = [start(world, tmp_path)]
    nodes += [start(world, tmp_path, nodes[0].address) for _ in range(2)]
    world.run(10.0)
    invent(world, nodes)
    for node in nodes:
        assert len(node.peers()) > 400
        crash(world, node)
    nodes = [start(world, tmp_path, address=node.address) for node in nodes]
    world.run(3.0)
    assert [len(node.links) for node in nodes] == [2, 2, 2]
    for node in nodes:
        node.on_end()


@pytest.mark.parametrize("who", ["the founder", "the one that had joined"])
def test_a_node_calls_those_it_has_reached_and_those_that_have_called_it(who: str, tmp_path: Path) -> None:
    world = World(1)
    alice = start(world, tmp_path)
    bob = start(world, tmp_path, alice.address)
    world.run(10.0)
    invent(world, [alice, bob])
    node, other = (alice, bob) if who == "the founder" else (bob, alice)
    with forgetting(other):
        crash(world, node)
        world.settle()
    node = start(world, tmp_path, address=node.address)
    world.run(0.5)
    assert other.address in [link.dialled for link in node.links]
    for one in (node, other):
        one.on_end()
