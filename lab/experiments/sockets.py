"""The network of chains.py with real nodes: ten stakes, processes on this machine, sockets, RSA, and real time."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from lab.blackbox.node_process import NodeError
from lab.experiments.chains import F, HOLDERS
from lab.nodes.processes import ROOT, NodeProcess, end_all, wait_until_linked
from stage2_ledger.limits import RING_LINKS

SLOT_SECONDS = 0.15
"""Long enough for a block to reach everybody within its slot, even on a machine that is busy."""

KEYS = ROOT / "run" / "bench-keys"


SLOTS = 600
"""In a run, which takes one and a half minutes."""

RUNS = 3

METHOD = (f"Three runs of {SLOTS} slots were also made by real nodes: ten processes on this machine, sockets, RSA, and"
          f" slots of {SLOT_SECONDS} seconds.")
"""What the pages of experiments with such points say."""


class Seen(NamedTuple):
    """What the nodes have reported about the slots that were looked at."""

    made: int
    """All blocks."""
    counted: int
    """Those of the best chain."""
    longest_rollback: int
    """At an honest node."""


@contextmanager
def running_stakes(bad_stakes: int) -> Iterator[list[NodeProcess]]:
    """Run honest nodes with one stake each, and after them an attacker that withholds, with the last stakes."""
    played = [[number] for number in range(1, HOLDERS - bad_stakes + 1)]
    if bad_stakes:
        played.append(list(range(HOLDERS - bad_stakes + 1, HOLDERS + 1)))
    nodes: list[NodeProcess] = []
    try:
        for place, numbers in enumerate(played):
            options = ["--keys", str(KEYS), "--forge", ",".join(map(str, numbers)), "--slot", str(SLOT_SECONDS),
                       "--rate", str(F), "--peer", nodes[0].address if nodes else "none"]
            is_bad = bad_stakes and place == len(played) - 1
            nodes.append(NodeProcess(5, *options, module="lab.experiments.attackers" if is_bad else ""))
        for node in nodes:
            wait_until_linked(node, min(len(nodes) - 1, RING_LINKS))
        yield nodes
    finally:
        end_all(nodes)


def wait_for_height(nodes: Sequence[NodeProcess], height: int) -> None:
    """Wait until the best chain of each node has that many blocks; NodeError after 10 s."""
    ends = time.monotonic() + 10
    for node in nodes:
        while node.ask("/status", "status")["height"] < height:
            if time.monotonic() > ends:
                raise NodeError(f"{node.name} does not reach height {height}")
            time.sleep(SLOT_SECONDS)


def watch(slots: int, bad_stakes: int = 0) -> Seen:
    """Let a network run for `slots` slots after all its nodes are linked, and count the blocks."""
    with running_stakes(bad_stakes) as nodes:
        honest = nodes[:HOLDERS - bad_stakes]
        first = honest[0].ask("/status", "status")["slot"] + 1
        for node in honest:
            node.take()  # what was rolled back before does not count
        time.sleep((slots + 0.5) * SLOT_SECONDS)
        if bad_stakes:
            wait_for_height(honest, nodes[-1].ask("/finish", "status")["height"])
        made = honest[0].ask("/tree", "tree")["blocks"]
        counted = honest[0].ask("/blocks", "blocks")["blocks"]
        events = [event for node in honest for event in node.take()]
    slot_range = range(first, first + slots)
    depths = [event["depth"] for event in events if event["event"] == "rollback"]
    return Seen(sum(block["slot"] in slot_range for block in made),
                sum(block["slot"] in slot_range for block in counted), max(depths, default=0))
