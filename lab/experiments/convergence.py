"""How long it takes until all nodes have the same ledger."""

import math
import random
import time
from collections.abc import Sequence
from statistics import median
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from lab.bench.machine import count_cores
from lab.blackbox.node_process import NodeError
from lab.experiments import sockets
from lab.experiments.chains import F, HOLDERS
from lab.experiments.experiment import Experiment, Point, Row, column, groups, spread, where
from lab.experiments.picture import draw_measured, draw_theory
from lab.nodes.processes import ANSWER_SECONDS, NodeProcess, running_network
from lab.nodes.workload import PASSPHRASE, KeyRing
from stage2_ledger.limits import RANDOM_LINKS, RING_LINKS
from stage5_pos.rules import FEE

NODES = [2, 5, 10, 20, 50]

INTERVAL = 1.0
"""Seconds between two blocks, in stage 5 on average."""

TRANSACTIONS = 10
"""How many are typed, each at any of the nodes, before the clock starts."""

TRIES = 10
"""How many times that is done in one network."""

PATIENCE = 60.0
"""Seconds until ledgers that differ are a fault."""

NAMES = {2: "stage 2, ledger", 3: "stage 3, signed", 4: "stage 4, sequencer", 5: "stage 5, proof of stake"}

SINK = "sink"
"""The account that gets all the money, in stage 2."""


class Convergence(Experiment):
    """Real nodes, some transactions, and a clock."""

    NAME: ClassVar[str] = "convergence"
    TITLE: ClassVar[str] = "Ledgers are equal after the news, or after a block"
    QUESTION: ClassVar[str] = ("How long after the last transaction do 2 to 50 nodes have the same ledger, in each"
                               " stage?")
    METHOD: ClassVar[str] = (
        f"Real nodes on this machine, with sockets, and RSA from stage 3 on. {TRANSACTIONS} transactions are typed,"
        " each at any of the nodes. The clock starts with the last of them. Then all nodes are asked for their ledgers,"
        " again and again, until each has executed all of them and all ledgers are equal."
        " That is done in each network"
        f" {TRIES} times. Answering costs the nodes some time: the table says how long a round of questions takes. A"
        f" block comes every {INTERVAL:g} s in stage 4, and on average in stage 5, with F = {F}.")
    MEASURED: ClassVar[dict[str, str]] = {"seconds": "until all are equal, s", "round": "one round of questions, s",
                                          "busy": "time of the cores that nodes used, s / cores"}
    IS_ALONE: ClassVar[bool] = True

    def points(self, is_quick: bool) -> list[Point]:
        """Stages, and numbers of nodes."""
        if is_quick:
            return [{"stage": stage, "nodes": 2, "interval": interval, "tries": 2}
                    for stage, interval in ((2, 0.0), (5, 0.1))]
        return [{"stage": stage, "nodes": nodes, "interval": INTERVAL if stage >= 4 else 0.0, "tries": TRIES}
                for stage in NAMES for nodes in NODES]

    def runs(self, is_quick: bool) -> int:
        """How many networks."""
        return 1 if is_quick else 2

    def run(self, point: Point, seed: int) -> list[Row]:
        """Start a network, and let its ledgers become equal again and again."""
        # The wallets are next to the keys: in a folder of their own they would be left behind when a run is ended.
        keys = KeyRing(sockets.KEYS, sockets.KEYS, HOLDERS, lambda text: None)
        with running_network(int(point["stage"]), int(point["nodes"]), lambda place: options_of(point, place, keys),
                             {"WALLET_PASSPHRASE": PASSPHRASE}) as nodes:
            tries = Tries(nodes, keys.sink if nodes[0].stage > 2 else SINK, random.Random(seed))
            return [tries.do_one(float(point["interval"])) for _ in range(int(point["tries"]))]

    def draw(self, figure: Figure, rows: Sequence[Row]) -> None:
        """All stages in one panel."""
        axes = figure.subplots()
        numbers = sorted({int(row["nodes"]) for row in rows})
        for place, ((stage, interval), group) in enumerate(groups(rows, "stage", "interval")):
            theory = [expected(rows, int(stage), nodes, float(interval)) for nodes in numbers]
            draw_theory(axes, numbers, theory, "", place)
            moved = [{**row, "nodes": float(row["nodes"]) * 1.03**place} for row in group]
            draw_measured(axes, moved, "nodes", "seconds", NAMES[int(stage)], place)
        axes.set(xlabel="nodes", ylabel="until all ledgers are equal [s]", xscale="log", yscale="log")
        axes.set_xticks(numbers, list(map(str, numbers)))
        axes.xaxis.minorticks_off()
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.legend(title="points measured, lines theory", title_fontsize=17)

    def findings(self, rows: Sequence[Row]) -> list[str]:
        """Each stage next to theory."""
        found = []
        for (stage, nodes, interval), group in groups(rows, "stage", "nodes", "interval"):
            low, middle, high = spread(column(group, "seconds"))
            found.append(f"Stage {stage}, {nodes} nodes: {middle:.3f} s ({low:.3f}–{high:.3f}; theory"
                         f" {expected(rows, int(stage), int(nodes), float(interval)):.3f} s); meanwhile the nodes kept"
                         f" all cores busy for {np.mean(column(group, 'busy')):.3f} s.")
        found.append("Theory is the sum of three times: the median wait for a block, the hops that news needs, each as"
                     " long as in the smallest network, and the work of the cores. A node gets each message over each"
                     " of its links, and here all nodes share one machine."
                     f" A copy takes {1e6 * seconds_of_a_copy(rows):.0f} µs of all cores, judging by what the nodes of"
                     " the earliest stage used.")
        return found


# --- theory ---------------------------------------------------------------------------------------

def count_links(nodes: int) -> int:
    """The links of a node: it opens some, and others open as many to it."""
    return min(nodes - 1, 2 * (RING_LINKS + RANDOM_LINKS))


def count_hops(nodes: int) -> int:
    """How many hops it takes to reach everybody: log(nodes), to the base of the links of a node."""
    return 1 if nodes <= count_links(nodes) + 1 else math.ceil(math.log(nodes) / math.log(count_links(nodes)))


def count_copies(nodes: int) -> int:
    """How many copies of a message all nodes get together: one over each link in each direction, at most."""
    return nodes * count_links(nodes)


def seconds_of_a_copy(rows: Sequence[Row]) -> float:
    """How long a copy of a message keeps all cores busy, judging by the earliest stage that was measured."""
    some = where(rows, stage=min(int(row["stage"]) for row in rows))
    return sum(column(some, "busy")) / sum(TRANSACTIONS * count_copies(int(row["nodes"])) for row in some)


def expected(rows: Sequence[Row], stage: int, nodes: int, interval: float) -> float:
    """Theory, in seconds: hops, work, and from stage 4 on the median wait for a block, which is one message. What a hop
    and a copy take is measured."""
    few = where(rows, stage=min(stage, 3), nodes=min(int(row["nodes"]) for row in rows)) or rows
    news = count_hops(nodes) * median(column(few, "seconds"))
    work = count_copies(nodes) * seconds_of_a_copy(rows)
    # The sequencer's blocks come at fixed times. The lottery has no memory, so half of all waits are shorter than this.
    waits = {4: interval / 2, 5: interval * math.log(2)}
    return news + work + waits[stage] if stage in waits else news + TRANSACTIONS * work


# --- one run -------------------------------------------------------------------------------------

def options_of(point: Point, place: int, keys: KeyRing) -> list[str]:
    """The options of one node. In stage 4 all have the founder's account: nobody else has money."""
    stage, interval, nodes = int(point["stage"]), float(point["interval"]), int(point["nodes"])
    if stage == 2:
        return []
    options = ["--wallet", str(keys.wallet(0 if stage == 4 else place % HOLDERS))]
    if stage == 4:
        options += ["--interval", f"{interval:.3f}"]
    if stage == 5:
        played = ",".join(map(str, range(place + 1, HOLDERS + 1, nodes))) or "none"
        options += ["--keys", str(keys.folder), "--forge", played, "--slot", f"{interval * F:.3f}", "--rate", str(F)]
    return options


class Tries:
    """A network whose ledgers become equal again and again."""

    def __init__(self, nodes: Sequence[NodeProcess], sink: str, choose: random.Random) -> None:
        """`sink` is the account that gets all the money."""
        self.nodes, self.sink, self.choose = nodes, sink, choose
        self.paid = 0
        """How many transactions have been typed so far. Each brings 1 to the sink."""

    def do_one(self, interval: float) -> Row:
        """Type some transactions, at any moment between two blocks, and wait."""
        time.sleep(self.choose.uniform(0, interval))
        before, start = self.cpu_seconds(), 0.0
        for _ in range(TRANSACTIONS):
            start = time.monotonic()
            self.pay(self.choose.choice(self.nodes))
        end, taken = self.wait_until_equal(start + PATIENCE)
        return {"seconds": end - start, "round": taken, "busy": (self.cpu_seconds() - before) / count_cores()}

    def cpu_seconds(self) -> float:
        """The time of the cores that the nodes have used so far; 0 if the system has no /proc."""
        try:
            return sum(node.cpu_seconds for node in self.nodes)
        except OSError:
            return 0.0

    def wait_until_equal(self, deadline: float) -> tuple[float, float]:
        """When all ledgers were equal (monotonic clock), and how long the last round of questions took. NodeError if
        they differ at `deadline`."""
        while True:
            asked = time.monotonic()
            are_equal = self.are_equal()
            now = time.monotonic()
            if are_equal:
                return now, now - asked
            if now > deadline:
                raise NodeError(f"{len(self.nodes)} nodes have different ledgers after {PATIENCE:g} seconds")
            time.sleep(now - asked)  # nodes must not be busy with questions only

    def pay(self, node: NodeProcess) -> None:
        """Type one transaction."""
        sender = f"{SINK}-{node.pid} " if node.stage == 2 else ""
        node.type(f"/send {sender}{self.sink} {1 + FEE if node.stage == 5 else 1}")
        self.paid += 1

    def are_equal(self) -> bool:
        """Have all nodes executed everything, with the same result?"""
        since = [len(node.events) for node in self.nodes]
        for node in self.nodes:
            node.type("/ledger")
        ledgers = [node.wait_for("ledger", ANSWER_SECONDS, place)["accounts"]
                   for node, place in zip(self.nodes, since, strict=True)]
        return all(ledger == ledgers[0] and ledger.get(self.sink) == self.paid for ledger in ledgers)
