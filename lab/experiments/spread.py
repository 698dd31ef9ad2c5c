"""How far and how often a message travels, and what stays together when nodes fail, in three kinds of network."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter, StrMethodFormatter

from lab.experiments.experiment import Experiment, Point, Row, column, groups, spread, where
from lab.experiments.flooding import nodes_of
from lab.experiments.graphs import DEGREE, TOPOLOGIES, flood, largest
from lab.experiments.percolation import (regular_hops, regular_together, ring_and_random_hops, ring_and_random_together,
                                         ring_hops, ring_together)
from lab.experiments.picture import draw_measured, draw_theory
from stage2_ledger.limits import RANDOM_LINKS, RING_LINKS

SIZES = [10, 30, 100, 300, 1_000, 3_000, 10_000]
FAILING = 1_000
"""The size of the networks in which some nodes fail."""
FAILED = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]

NAMES = {"ring": "10 successors", "ring and random": "10 successors, 2 random", "random": "random 10-regular"}
LINKS = {"ring": 2 * RING_LINKS, "ring and random": 2 * (RING_LINKS + RANDOM_LINKS), "random": DEGREE}
"""Links of a node, on average, in a large network."""


class Spread(Experiment):
    """A message is flooded from one node, after some nodes have failed or not."""

    NAME: ClassVar[str] = "spread"
    TITLE: ClassVar[str] = "Two random links carry news to 10,000 nodes in five hops"
    QUESTION: ClassVar[str] = (
        "How many hops, and how many copies, does it take until 10 to 10,000 nodes have a message? What share of a"
        " network stays together when 10 to 80 % of the nodes fail?")
    METHOD: ClassVar[str] = (
        "Three networks are compared. In the first, each node opens links to its ten successors on a ring; in the"
        " second, to these and to two random nodes, as in stages 2 to 5; in the third, it has ten links to random"
        " nodes. A link is used in both directions. The links are arrays. Two things are counted: the hops to the last"
        " node, and how many copies of the message come to a node. Up to 1,000 nodes, the node classes in memory do the"
        " same: the lists of peers of stage 2 say whom each one calls, and stage 1 floods. In networks of 1,000 nodes"
        " some fail at random, all at once. Then the message begins in the largest part, before anybody has called"
        " others in place of the lost. What is left out: when nodes join one after the other, early ones keep the"
        " links that they had when the network was small, so they have more links than others, and news"
        " spreads a little faster.")
    MEASURED: ClassVar[dict[str, str]] = {
        "last": "hops to the last node", "mean": "hops on average", "copies": "copies that come to a node",
        "together": "share of the survivors in the largest part"}

    def points(self, is_quick: bool) -> list[Point]:
        """Networks that grow, and networks that fail."""
        sizes, by_classes, failed = ([10, 100], [10], [0.5]) if is_quick else (SIZES, [10, 100, 1_000], FAILED)
        grown = [("model", nodes, 0.0) for nodes in sizes] + [("classes", nodes, 0.0) for nodes in by_classes]
        failing = 100 if is_quick else FAILING
        cut = [("model", failing, share) for share in failed] + [("classes", failing, share) for share in failed[1::3]]
        return [{"topology": topology, "how": how, "nodes": nodes, "failed": share}
                for how, nodes, share in grown + cut for topology in TOPOLOGIES]

    def runs(self, is_quick: bool) -> int:
        """How often each point is repeated."""
        return 2 if is_quick else 20

    def runs_of(self, point: Point, is_quick: bool) -> int:
        """Fewer with the node classes: a thousand nodes take seconds."""
        return 5 if point["how"] == "classes" and not is_quick else self.runs(is_quick)

    def run(self, point: Point, seed: int) -> list[Row]:
        """Link a network, let nodes fail, flood what is left."""
        nodes, topology = int(point["nodes"]), str(point["topology"])
        generator = np.random.default_rng(seed)
        graph = TOPOLOGIES[topology](nodes, generator)
        order = generator.permutation(nodes)
        failed, alive = np.split(order, [round(float(point["failed"]) * nodes)])
        if point["how"] == "classes":
            network = nodes_of(graph, topology, seed)
            network.fail(failed)
            found = largest(alive, network.flood)
        else:
            left = graph.without(failed)
            found = largest(alive, lambda start: flood(left, start))
        hops = found.hops[found.hops >= 0]
        return [{"last": int(hops.max()), "mean": float(hops.mean()), "copies": found.copies / found.reached,
                 "together": found.reached / alive.size}]

    def draw(self, figure: Figure, rows: Sequence[Row]) -> None:
        """A panel for hops, one for copies, one for what stays together."""
        panels = figure.subplots(1, 3)
        grown = where(rows, failed=0.0)
        sizes = np.geomspace(30, max(column(grown, "nodes")), 200).tolist()  # below, all are linked to nearly all
        shares = np.linspace(0, 0.85, 200).tolist()
        failing = max(column([row for row in rows if row["failed"]], "nodes"))
        for place, topology in enumerate(TOPOLOGIES):
            mine = where(rows, topology=topology)
            for axes, those, x, y in [(panels[0], where(mine, failed=0.0), "nodes", "last"),
                                      (panels[1], where(mine, failed=0.0), "nodes", "copies"),
                                      (panels[2], [row for row in mine if row["failed"]], "failed", "together")]:
                draw_measured(axes, where(those, how="model"), x, y, NAMES[topology], place)
                draw_classes(axes, where(those, how="classes"), x, y, "node classes" if place == 2 else "")
            draw_theory(panels[0], sizes, [hops(topology, size) for size in sizes], "", place)
            draw_theory(panels[1], sizes, [copies(topology, size) for size in sizes], "", place)
            draw_theory(panels[2], shares, [together(topology, failing, share) for share in shares], "", place)
        panels[0].set(xscale="log", yscale="log", xlabel="nodes", title="hops to the last node")
        panels[1].set(xscale="log", xlabel="nodes", title="copies to each node", ylim=(0, 26))
        panels[2].set(xlabel="nodes that fail", title="survivors together", ylim=(0, 1.04))
        for axis in (panels[0].xaxis, panels[0].yaxis, panels[1].xaxis):
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axis.set_minor_formatter(NullFormatter())
        for axis in (panels[2].xaxis, panels[2].yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4,
                      title="points: the model; lines: theory", title_fontsize=17)

    def findings(self, rows: Sequence[Row]) -> list[str]:
        """Theory next to measurement, for the largest network, and for each share that fails."""
        found = []
        model = where(rows, how="model")
        most = int(max(column(model, "nodes")))
        for topology, name in NAMES.items():
            mine = where(model, topology=topology, nodes=most, failed=0.0)
            found.append(f"{name}, {most:,} nodes: {np.mean(column(mine, 'last')):.1f} hops to the last node, and"
                         f" {np.mean(column(mine, 'mean')):.1f} on average (theory {hops(topology, most):.1f});"
                         f" {np.mean(column(mine, 'copies')):.1f} copies come to each node (theory"
                         f" {copies(topology, most):.1f}).")
        for (failed, nodes), group in groups([row for row in model if row["failed"]], "failed", "nodes"):
            parts = [f"{name} {np.mean(column(where(group, topology=topology), 'together')):.1%} (theory"
                     f" {together(topology, float(nodes), float(failed)):.1%})" for topology, name in NAMES.items()]
            found.append(f"{failed:.0%} of {nodes:,} nodes fail: {'; '.join(parts)}.")
        found.append("A message travels over each link in both directions, except over those by which it first came to"
                     " a node. For networks with random links, theory says how far most nodes are; the last ones are a"
                     " hop or two farther. The share that stays together is that of the giant component of an infinite"
                     " network; on the ring alone, that of the largest piece.")
        return found


def draw_classes(axes: Axes, rows: Sequence[Row], x: str, y: str, label: str) -> None:
    """The medians of the node classes, as rings around the points of the model."""
    points = [(float(value), spread(column(group, y))[1]) for (value,), group in groups(rows, x)]
    axes.plot([value for value, _ in points], [middle for _, middle in points], "o", color="#000000", fillstyle="none",
              markersize=21, markeredgewidth=2.5, label=label, zorder=4)


def hops(topology: str, nodes: float) -> float:
    """Theory: hops to the last node of a ring, and to most nodes of the others."""
    if nodes <= LINKS[topology] + 1:
        return 1.0
    return {"ring": ring_hops(nodes), "ring and random": ring_and_random_hops(nodes),
            "random": regular_hops(nodes, DEGREE)}[topology]


def copies(topology: str, nodes: float) -> float:
    """Theory: a node sends a message on all its links but one, and the first one on all."""
    return min(nodes - 1, LINKS[topology]) - 1 + 1 / nodes


def together(topology: str, nodes: float, failed: float) -> float:
    """Theory: the share of the survivors that the largest part has."""
    return {"ring": lambda: ring_together(nodes, failed), "ring and random": lambda: ring_and_random_together(failed),
            "random": lambda: regular_together(failed, DEGREE)}[topology]()
