"""How many transactions a second a network orders and executes, and what invalid ones cost it."""

import time
from collections.abc import Sequence
from statistics import mean, median
from typing import ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from lab.bench.machine import VerificationTimer, find_ceiling
from lab.blackbox.peer import Event
from lab.experiments import sockets
from lab.experiments.chains import F, HOLDERS
from lab.experiments.experiment import Experiment, Point, Row, column, groups, where
from lab.experiments.load import EXTRA, forgers, make_load
from lab.experiments.picture import draw_measured, draw_theory
from lab.nodes.processes import POLL_SECONDS, NodeProcess, running_network
from lab.nodes.workload import PASSPHRASE, KeyRing, injectors

SIZES = [1, 10, 100, 1_000, 10_000, 50_000]
SOME_SIZES = [1, 100, 1_000, 50_000]
LARGE_SIZES = [100, 1_000, 50_000]

SLOW, FAST = 1.0, 0.25
"""Seconds between two blocks, on average."""

SECONDS = 8.0
"""How long a run takes in which blocks are the limit, on average."""

MOST = 8_000
"""Transactions in a run. Signing them takes a few seconds."""

PATIENCE = 40.0
"""Seconds after which a run ends in any case."""

LOADS = {"valid": "all valid", "uncovered": f"{EXTRA:.0%} more, without money",
         "forged": f"{EXTRA:.0%} more, badly signed"}


class Throughput(Experiment):
    """Real nodes with more work than they get done."""

    NAME: ClassVar[str] = "throughput"
    TITLE: ClassVar[str] = "Small blocks limit a chain; with large ones, the cores do"
    QUESTION: ClassVar[str] = ("How many transactions a second do all ten nodes execute, with blocks of 1 to 50,000"
                               f" transactions, and what does it cost if {EXTRA:.0%} more come that are invalid?")
    METHOD: ClassVar[str] = (
        "Ten real nodes on this machine, with sockets and RSA. They are sent as many transactions as the blocks of"
        f" {SECONDS:g} seconds have room for, at most {MOST:,}: each node its share, as fast as it reads. The time is"
        f" from the first byte until all ten have executed all, at most {PATIENCE:g} s. Stage 5 has slots of a tenth of"
        f" the block interval, and F = {F}. The transactions without money come from an account that has nothing; nodes"
        " pass them on and keep them. The badly signed ones are sent to each node by a sender that connects again"
        " whenever the node ends the connection, which is at the tenth; no node passes them on. The dashed bound is"
        " that of verifying: cores / (nodes · V), where V is the time of one verification, measured before each run."
        " Nodes make smaller blocks than they may (lab/experiments/small_blocks.py); no other rule is changed.")
    MEASURED: ClassVar[dict[str, str]] = {
        "per_second": "executed at all nodes, a second", "mean_block": "transactions in a block",
        "orphans": "orphan share", "refused": "bad signatures that each node refused",
        "ceiling": "bound by verifying, a second"}
    IS_ALONE: ClassVar[bool] = True

    def points(self, is_quick: bool) -> list[Point]:
        """Sizes of blocks, for each kind of load."""
        if is_quick:
            return [{"stage": stage, "nodes": 2, "interval": 0.05, "load": load, "size": 5, "seconds": 0.5}
                    for stage, load in ((4, "valid"), (5, "forged"))]
        series = [(5, SLOW, "valid", SIZES), (5, FAST, "valid", SOME_SIZES), (4, SLOW, "valid", SOME_SIZES),
                  (5, SLOW, "uncovered", LARGE_SIZES), (5, SLOW, "forged", LARGE_SIZES)]
        return [{"stage": stage, "nodes": HOLDERS, "interval": interval, "load": load, "size": size, "seconds": SECONDS}
                for stage, interval, load, sizes in series for size in sizes]

    def runs(self, is_quick: bool) -> int:
        """How often each point is repeated."""
        return 1 if is_quick else 2

    def run(self, point: Point, seed: int) -> list[Row]:
        """Start a network, send it all the work at once, and wait until all nodes have executed it."""
        # The wallets are next to the keys: in a folder of their own they would be left behind when a run is ended.
        return [measure(point, seed, KeyRing(sockets.KEYS, sockets.KEYS, HOLDERS + 1, lambda text: None))]

    def draw(self, figure: Figure, rows: Sequence[Row]) -> None:
        """A panel for sizes and intervals of blocks, one for invalid transactions."""
        panels = figure.subplots(1, 2)
        ceiling = median(column(rows, "ceiling"))
        valid = where(rows, load="valid")
        for place, seconds in enumerate(dict.fromkeys(column(valid, "interval"))):
            _draw_bound(panels[0], seconds, ceiling, place, "" if place else "bound: room in the blocks")
        for place, ((stage, interval), group) in enumerate(groups(valid, "stage", "interval")):
            draw_measured(panels[0], _moved(group, place), "size", "per_second",
                          f"stage {stage}, a block in {interval:g} s", place)
        usual = where(rows, stage=5, interval=SLOW)
        _draw_bound(panels[1], SLOW, ceiling, 0)
        _draw_bound(panels[1], SLOW, ceiling / (1 + EXTRA), 3)
        for place, load in zip((0, 3, 4), LOADS, strict=True):
            draw_measured(panels[1], _moved(where(usual, load=load), place // 2), "size", "per_second", LOADS[load],
                          place)
        for axes, title in zip(panels, ("size and interval of blocks", "with invalid ones (stage 5)"), strict=True):
            draw_theory(axes, [1, SIZES[-1]], [ceiling, ceiling], "bound: the cores only verify", 6, "--")
            axes.set(xlabel="transactions in a block, at most", xscale="log", title=title)
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
            axes.set_xticks(SIZES[:-1])
        panels[0].set(yscale="log", ylabel="executed at all nodes [1/s]")
        panels[1].set(xlim=(70, 110_000), ylim=(0, 1.75 * ceiling))  # smaller blocks would all be at the bottom
        for axes, place_of_legend in zip(panels, ("lower right", "upper right"), strict=True):
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
            axes.legend(loc=place_of_legend)

    def findings(self, rows: Sequence[Row]) -> list[str]:
        """What is executed at each point, next to its bound."""
        found = []
        for (stage, interval, load, size), group in groups(rows, "stage", "interval", "load", "size"):
            bound = bound_of(float(size), float(interval), median(column(group, "ceiling")))
            found.append(f"Stage {stage}, a block of at most {size:,} in {interval:g} s, {LOADS[str(load)]}:"
                         f" {mean(column(group, 'per_second')):,.0f} a second (bound {bound:,.0f}){_refused(group)}.")
        found.append("The bound is the smaller of two: the size of a block over the mean time between two, and what the"
                     " cores can verify at all nodes.")
        return found


def bound_of(size: float, interval: float, ceiling: float) -> float:
    """Theory: no more in a second than blocks have room for, and no more than the cores can verify."""
    return min(size / interval, ceiling)


def _draw_bound(axes: Axes, interval: float, ceiling: float, place: int, label: str = "") -> None:
    sizes = np.geomspace(1, 50_000, 200).tolist()
    draw_theory(axes, sizes, [bound_of(size, interval, ceiling) for size in sizes], label, place)


def _refused(rows: Sequence[Row]) -> str:
    """How many bad signatures there were, if there were any. A node serves its connections
    in turn, so it may not have read all of them."""
    if "refused" not in rows[0]:
        return ""
    return (f"; meanwhile each node refused {mean(column(rows, 'refused')):,.0f} of"
            f" {EXTRA * mean(column(rows, 'executed')):,.0f} bad signatures")


def _moved(rows: Sequence[Row], steps: int) -> list[Row]:
    """Rows whose points are drawn further to the right on the logarithmic axis, next to those of other series."""
    return [{**row, "size": float(row["size"]) * 1.2**steps} for row in rows]


# --- one run -------------------------------------------------------------------------------------

def measure(point: Point, seed: int, keys: KeyRing) -> Row:
    """Send a network its load, and take the time until all nodes have executed everything, or until `PATIENCE` is
    over."""
    stage, nodes = int(point["stage"]), int(point["nodes"])
    number = min(MOST, round(int(point["size"]) * float(point["seconds"]) / float(point["interval"])))
    verification = median(VerificationTimer(keys.keys[0].key).measure())
    with running_network(stage, nodes, lambda place: options_of(point, place, keys),
                         {"WALLET_PASSPHRASE": PASSPHRASE}, "lab.experiments.small_blocks") as network:
        load = make_load(stage, str(point["load"]), network[0].network, nodes, number, keys, seed)
        with injectors(network, stage) as peers, forgers(network, load.forged, peers[0].listen) as bad:
            before, start = network[0].ask("/status", "status"), time.monotonic()
            for peer, share in zip(peers, load.shares, strict=True):
                peer.start(share)
            for forger in bad:
                forger.start()
            executed = wait_until_executed(network, keys.sink, number, start + PATIENCE)
            row: Row = {"per_second": executed / (time.monotonic() - start), "executed": executed,
                        "ceiling": find_ceiling(nodes, verification)}
            if bad:
                row["refused"] = min(forger.refused for forger in bad)
        return row | describe_blocks(network[0], before)


def options_of(point: Point, place: int, keys: KeyRing) -> list[str]:
    """The options of one node. In stage 5 the stakes are dealt out among all nodes."""
    stage, interval, nodes = int(point["stage"]), float(point["interval"]), int(point["nodes"])
    options = ["--wallet", str(keys.wallet(place)), "--stage", str(stage), "--block-size", str(point["size"])]
    if stage == 4:
        return [*options, "--interval", f"{interval:.3f}"]
    played = ",".join(map(str, range(place + 1, HOLDERS + 1, nodes)))
    return [*options, "--keys", str(keys.folder), "--forge", played, "--slot", f"{interval * F:.3f}", "--rate", str(F)]


def wait_until_executed(nodes: Sequence[NodeProcess], sink: str, number: int, deadline: float) -> int:
    """How many transactions all nodes have executed: `number`, or as many as there are at `deadline`."""
    while True:
        executed = min(node.ask("/ledger", "ledger")["accounts"].get(sink, 0) for node in nodes)
        if executed >= number or time.monotonic() > deadline:
            return int(executed)
        time.sleep(POLL_SECONDS)


def describe_blocks(node: NodeProcess, before: Event) -> Row:
    """How large the blocks of a node's best chain are, and in stage 5 the share of blocks since `before` that are not
    on it."""
    blocks = node.ask("/blocks", "blocks")["blocks"]
    row: Row = {"mean_block": mean([block["transactions"] for block in blocks if block["transactions"]] or [0])}
    if node.stage == 5:
        after = node.ask("/status", "status")
        made = after["blocks"] - before["blocks"]
        row["orphans"] = 1 - (after["height"] - before["height"]) / made if made else 0.0
    return row
