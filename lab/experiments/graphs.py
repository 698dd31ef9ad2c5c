"""Who is linked to whom, as arrays: a model that keeps nothing of a network but its links.

Nodes are the numbers 0, 1, 2 … in the order of the ring. A link is used in both directions, whoever opened it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stage2_ledger.limits import RANDOM_LINKS, RING_LINKS

Ints = NDArray[np.int64]

DEGREE = 10
"""Links of each node in a random regular graph."""

CHANGES = 5
"""How many pairs of links try to change partners, for each link of a random regular graph: so each link tries ten
times."""


class Graph:
    """The links of a network."""

    def __init__(self, nodes: int, pairs: Ints) -> None:
        """`pairs` has a row for each link. A link that is there twice counts once, and one from a node to itself does
        not count."""
        ordered = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
        self.nodes = nodes
        self.pairs = ordered
        """Each link once, the smaller number first."""
        both = np.concatenate([ordered, ordered[:, ::-1]])
        both = both[np.argsort(both[:, 0], kind="stable")]
        self.degrees = np.bincount(both[:, 0], minlength=nodes)
        self._neighbours = both[:, 1]
        self._begins = np.concatenate([[0], np.cumsum(self.degrees)])

    def without(self, failed: Ints) -> "Graph":
        """The links that are left when these nodes have failed."""
        gone = np.isin(self.pairs, failed).any(axis=1)
        return Graph(self.nodes, self.pairs[~gone])

    def hops_from(self, start: int) -> Ints:
        """How many hops from `start` to each node; −1 where no path leads."""
        hops = np.full(self.nodes, -1)
        hops[start] = hop = 0
        front = np.array([start])
        while front.size:
            hop += 1
            counts = self.degrees[front]
            offsets = np.repeat(self._begins[front] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
            reached = self._neighbours[offsets + np.arange(counts.sum())]
            front = np.unique(reached[hops[reached] < 0])
            hops[front] = hop
        return hops


class Flood(NamedTuple):
    """How one message has spread."""

    hops: Ints
    """To each node; −1 where it has not come."""
    copies: int
    """How many copies came to a node, summed over all nodes."""

    @property
    def reached(self) -> int:
        """How many nodes it has come to, the first one included."""
        return int((self.hops >= 0).sum())


def flood(graph: Graph, start: int) -> Flood:
    """A message spreads from `start`: each node that it comes to sends it once on each link but the one it came by."""
    hops = graph.hops_from(start)
    came = hops >= 0
    return Flood(hops, int(graph.degrees[came].sum() - came.sum() + 1))


def largest(order: Ints, spread_from: Callable[[int], Flood]) -> Flood:
    """Of the floods that begin at one node of each part of the network, the one that reaches most. In each part, it
    begins at the node that is first in `order`."""
    seen: set[int] = set()
    floods = []
    for start in order.tolist():
        if start not in seen:
            floods.append(spread_from(start))
            seen.update(np.flatnonzero(floods[-1].hops >= 0).tolist())
    return max(floods, key=lambda one: one.reached)


# --- topologies -----------------------------------------------------------------------------------

def successors(nodes: int, count: int) -> Graph:
    """Each node opens links to the `count` nodes that follow it on a ring."""
    steps = np.arange(1, min(count, nodes - 1) + 1)
    first = np.repeat(np.arange(nodes), steps.size)
    return Graph(nodes, np.stack([first, (first + np.tile(steps, nodes)) % nodes], axis=1))


def ring(nodes: int, generator: np.random.Generator) -> Graph:
    """Each node opens links to the ten that follow it."""
    return successors(nodes, RING_LINKS)


def ring_and_random(nodes: int, generator: np.random.Generator) -> Graph:
    """Each node opens links to the ten that follow it and to two others at random, as in stages 2 to 5."""
    pairs = [ring(nodes, generator).pairs]
    others = nodes - 1 - RING_LINKS
    if others > 0:
        for node in range(nodes):
            steps = generator.choice(others, min(RANDOM_LINKS, others), replace=False) + RING_LINKS + 1
            pairs.append(np.stack([np.full(steps.size, node), (node + steps) % nodes], axis=1))
    return Graph(nodes, np.concatenate(pairs))


def random_regular(nodes: int, generator: np.random.Generator) -> Graph:
    """Each node has ten links, to nodes at random: a ring of five successors, in which pairs of links change partners
    many times. All such graphs are about equally likely then."""
    links = [(one, other) for one, other in successors(nodes, DEGREE // 2).pairs.tolist()]
    there = set(links)
    for first, second in generator.integers(len(links), size=(CHANGES * len(links), 2)).tolist():
        (a, b), (c, d) = links[first], links[second]
        changed = (min(a, d), max(a, d)), (min(b, c), max(b, c))
        if a != d and b != c and there.isdisjoint(changed):
            there -= {links[first], links[second]}
            there |= set(changed)
            links[first], links[second] = changed
    return Graph(nodes, np.array(links))


TOPOLOGIES: dict[str, Callable[[int, np.random.Generator], Graph]] = {
    "ring": ring, "ring and random": ring_and_random, "random": random_regular}
