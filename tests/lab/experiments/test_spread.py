"""How far news spreads: the model compared with the node classes, and both with theory."""

from pathlib import Path

import numpy as np
import pytest

from common.encoding import Message
from common.interface import Connection
from lab.experiments.experiment import Point, Row
from lab.experiments.flooding import nodes_of
from lab.experiments.graphs import DEGREE, TOPOLOGIES, Graph, flood, largest, random_regular, ring
from lab.experiments.percolation import regular_together, ring_and_random_growth, ring_hops, ring_together
from lab.experiments.spread import Spread, copies, hops, together
from stage2_ledger.node import LedgerNode
from tests.lab.experiments.inline import draw_page, measure
from tests.sizes import and_long
from tests.stage2_ledger.scenes import grown_world

SIZES = and_long([("ring", 100), ("ring and random", 100), ("random", 100), ("random", 1_000)],
                 [("ring", 1_000), ("ring and random", 1_000)])


@pytest.mark.parametrize("topology, nodes", SIZES)
def test_the_node_classes_do_what_the_model_does(topology: str, nodes: int) -> None:
    generator = np.random.default_rng(nodes)
    network = nodes_of(TOPOLOGIES[topology](nodes, generator), topology, seed=1)
    by_classes, by_model = network.flood(7), flood(network.graph, 7)
    assert by_classes.hops.tolist() == by_model.hops.tolist() and by_classes.copies == by_model.copies
    failed, alive = np.split(generator.permutation(nodes), [nodes * 7 // 10])
    network.fail(failed)
    left = network.graph.without(failed)
    by_classes, by_model = largest(alive, network.flood), largest(alive, lambda start: flood(left, start))
    assert by_classes.hops.tolist() == by_model.hops.tolist() and by_classes.copies == by_model.copies


def test_the_lists_of_stage_2_make_the_links_of_the_model() -> None:
    assert nodes_of(ring(40, np.random.default_rng(1)), "ring", 1).graph.pairs.tolist() == \
        ring(40, np.random.default_rng(1)).pairs.tolist()
    made, model = (np.mean([graph.degrees.mean() for graph in graphs]) for graphs in (
        [nodes_of(ring(40, np.random.default_rng(seed)), "ring and random", seed).graph for seed in range(4)],
        [TOPOLOGIES["ring and random"](40, np.random.default_rng(seed)) for seed in range(4)]))
    assert made == pytest.approx(model, rel=0.02)


@pytest.mark.long
def test_a_network_that_nodes_of_stage_2_have_formed_spreads_news_like_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each node joined while the network was smaller, and keeps the links of that time. So early nodes have many links,
    and hear news first. News of a node in the middle takes as many hops as in the model, or slightly fewer."""
    came: dict[str, float] = {}

    def note(node: LedgerNode, connection: Connection | None, message: Message, frame: bytes) -> None:
        came.setdefault(node.address, node.network.now())
        on_chat(node, connection, message, frame)

    on_chat = LedgerNode.on_chat
    monkeypatch.setattr(LedgerNode, "on_chat", note)
    world, _, nodes = grown_world(1, 100)
    world.run(30)
    world.flight_seconds = 0.01
    begin = world.now
    nodes[50].say("hello")
    world.run(1)
    modelled = [flood(TOPOLOGIES["ring and random"](100, np.random.default_rng(seed)), 0).hops for seed in range(20)]
    measured = [round((came[node.address] - begin) / 0.01) for node in nodes]
    assert max(measured) == pytest.approx(np.mean([one.max() for one in modelled]), abs=1)
    assert np.mean(measured) == pytest.approx(np.mean(modelled), abs=0.1)
    degrees = [len(node.links) for node in nodes]
    assert np.mean(degrees) == pytest.approx(24, abs=1) and np.mean(degrees[:10]) > 2 * np.mean(degrees[50:])


@pytest.mark.parametrize("nodes", [5, 12, 13, 100, 3_000])
def test_a_random_regular_graph_has_ten_links_at_each_node(nodes: int) -> None:
    graph = random_regular(nodes, np.random.default_rng(nodes))
    assert set(graph.degrees.tolist()) == {min(DEGREE, nodes - 1)}
    assert len({tuple(pair) for pair in graph.pairs.tolist()}) == len(graph.pairs) == graph.degrees.sum() / 2


def test_a_graph_counts_a_link_once_and_none_to_itself() -> None:
    graph = Graph(4, np.array([[0, 1], [1, 0], [2, 2], [1, 2]]))
    assert graph.pairs.tolist() == [[0, 1], [1, 2]]
    assert flood(graph, 0).hops.tolist() == [0, 1, 2, -1] and flood(graph, 0).copies == 2
    assert largest(np.array([3, 2, 1, 0]), lambda start: flood(graph, start)).hops.tolist() == [2, 1, 0, -1]


# --- theory ---------------------------------------------------------------------------------------

def run(topology: str, nodes: int, failed: float = 0.0, seed: int = 1) -> Row:
    """One run of the model."""
    return Spread().run({"topology": topology, "how": "model", "nodes": nodes, "failed": failed}, seed)[0]


@pytest.mark.parametrize("topology, farther", [("ring", 0), ("ring and random", 1.5), ("random", 2)])
def test_hops_and_copies_are_those_of_theory(topology: str, farther: float) -> None:
    for nodes in (1_000, 10_000):
        row = run(topology, nodes)
        assert hops(topology, nodes) <= float(row["last"]) <= hops(topology, nodes) + farther
        assert float(row["copies"]) == pytest.approx(copies(topology, nodes), rel=0.01)
    assert ring_hops(10_000) == 500 and ring_and_random_growth() == pytest.approx(11)


@pytest.mark.parametrize("topology, seeds", [("ring", 40), ("ring and random", 6), ("random", 6)])
def test_what_stays_together_is_what_theory_says(topology: str, seeds: int) -> None:
    for failed in (0.5, 0.7, 0.8):
        measured = np.mean([float(run(topology, 1_000, failed, seed)["together"]) for seed in range(seeds)])
        assert measured == pytest.approx(together(topology, 1_000, failed), abs=0.06)


def test_a_random_regular_graph_falls_apart_when_eight_of_nine_fail() -> None:
    assert regular_together(8 / 9 - 0.01, 10) > 0.15 and regular_together(8 / 9 + 0.01, 10) == pytest.approx(0, abs=1e-6)
    assert regular_together(0, 10) == ring_together(1_000, 0) == 1


def test_the_same_seed_gives_the_same_rows() -> None:
    for how in ("model", "classes"):
        point: Point = {"topology": "ring and random", "how": how, "nodes": 50, "failed": 0.5}
        assert Spread().run(point, 5) == Spread().run(point, 5) != Spread().run(point, 6)


def test_the_quick_form_leaves_a_page_with_its_picture(tmp_path: Path) -> None:
    rows = measure(Spread(), tmp_path)
    assert len(rows) == 24
    page = draw_page(Spread(), rows, tmp_path)
    assert page.count("<svg") == 1 and "100 nodes: 5.0 hops to the last node" in page
