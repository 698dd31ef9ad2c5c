"""The graphs of graphs.py as nodes in memory: the very classes that run on sockets, linked, failing, and flooding.

The lists of stage 2 say whom a node calls. A frame travels for one second, so the time at which a message comes is its
number of hops.
"""

import random
from collections.abc import Iterator

import numpy as np

from common.encoding import Message
from common.interface import Connection
from lab.experiments.graphs import Flood, Graph, Ints
from lab.simulation import MemoryNetwork, World
from stage1_chat.node import ChatNode
from stage2_ledger.membership import Membership

NETWORK = "0" * 32


def address_of(node: int) -> str:
    """The address of a node. Its place in the sorted list of addresses is the node's number."""
    return f"node-{node:06}:1"


def wanted_pairs(nodes: int, topology: str, seed: int) -> Iterator[tuple[int, int]]:
    """The links of the ring, and for `ring and random` also the random ones, as the lists of peers of the nodes have
    them once each node knows all."""
    addresses = [address_of(node) for node in range(nodes)]
    for node, own in enumerate(addresses):
        members = Membership(own, random.Random(f"{seed} {node}"))
        for address in addresses:
            members.add(address)
        for address in members.successors() if topology == "ring" else members.wanted():
            yield node, addresses.index(address)


class FloodingNode(ChatNode):
    """A node that belongs to the network from the start, and notes what comes."""

    def start(self, peer: str | None) -> None:
        """Join nobody: `NodesOf` links the nodes."""
        self.network_name = NETWORK
        self.copies = 0
        self.came_at = -1.0

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """Count it. Once the links are up, nothing comes but copies of the message."""
        self.copies += 1
        super().on_frame(connection, frame)

    def on_chat(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """Note when the first copy came."""
        if self.came_at < 0:
            self.came_at = self.network.now()
        super().on_chat(connection, message, frame)


class NodesOf:
    """The nodes of a graph, linked as it says."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self.graph = graph
        self.world = World(seed)
        self.nodes = [self.world.add(FloodingNode, address=address_of(node)) for node in range(graph.nodes)]
        for one, other in graph.pairs.tolist():
            network = self.nodes[one].network
            assert isinstance(network, MemoryNetwork)
            network.connect(address_of(other))
        self.world.run(seconds=10)
        self.world.flight_seconds = 1.0

    def fail(self, failed: Ints) -> None:
        """Cut these nodes off, all at once."""
        self.world.partition({address_of(node) for node in failed.tolist()})
        self.world.run(seconds=1)

    def flood(self, start: int) -> Flood:
        """Let a node say something, and wait until no other node will hear it."""
        for node in self.nodes:
            node.copies, node.came_at = 0, -1.0
        begin, before = self.world.now, -1
        self.nodes[start].say("hello")
        while before != (before := sum(node.copies for node in self.nodes)):
            self.world.run(seconds=1.5)  # longer than a hop: if nothing has come meanwhile, nothing is on its way
        hops = [-1 if node.came_at < 0 else round(node.came_at - begin) for node in self.nodes]
        return Flood(np.array(hops), sum(node.copies for node in self.nodes))


def nodes_of(graph: Graph, topology: str, seed: int) -> NodesOf:
    """Nodes in memory, linked by the lists of stage 2. These make no random graph: for `random`, nodes are linked as
    `graph` says."""
    if topology != "random":
        graph = Graph(graph.nodes, np.array(list(wanted_pairs(graph.nodes, topology, seed))))
    return NodesOf(graph, seed)
