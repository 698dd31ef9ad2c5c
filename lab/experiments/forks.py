"""How a chain forks when blocks take a long time to arrive."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.console import count
from lab.experiments import sockets
from lab.experiments.chains import F, HASHED, HOLDERS, Chain, chance_of, rules_of
from lab.experiments.experiment import Experiment, Point, Row, column, groups, spread, where
from lab.experiments.picture import draw_measured, draw_theory

DELAYS = [0, 1, 2, 5, 10]


class Forks(Experiment):
    """Ten honest nodes, and each block takes some slots to arrive."""

    NAME: ClassVar[str] = "forks"
    TITLE: ClassVar[str] = "Slow news makes forks, and forks cost blocks"
    QUESTION: ClassVar[str] = ("What does it cost that blocks travel for Δ slots: how fast does the chain grow, what"
                               " share of the blocks is orphaned, and how long is the longest rollback?")
    METHOD: ClassVar[str] = (
        "Ten nodes of stage 5, each with a tenth of the stake, run in memory for 3,600 slots. A slot has a block with"
        " chance F = 0.1. A block of slot t is known to all others in slot t + Δ + 1. Growth is the height of the best"
        f" chain, divided by the number of slots; orphans are the blocks that are not on it. {HASHED} {sockets.METHOD}")
    MEASURED: ClassVar[dict[str, str]] = {"growth": "growth, blocks a slot", "orphans": "orphan share",
                                          "rollback": "longest rollback, blocks"}

    def points(self, is_quick: bool) -> list[Point]:
        """Delays in slots."""
        if is_quick:
            return [{"how": "memory", "delay": delay, "slots": 300} for delay in DELAYS[:3]]
        points: list[Point] = [{"how": "memory", "delay": delay, "slots": 3_600} for delay in DELAYS]
        return [*points, {"how": "sockets", "delay": 0, "slots": sockets.SLOTS}]

    def runs(self, is_quick: bool) -> int:
        """How often each point is repeated."""
        return 2 if is_quick else 20

    def runs_of(self, point: Point, is_quick: bool) -> int:
        """Fewer with real nodes."""
        return sockets.RUNS if point["how"] == "sockets" else self.runs(is_quick)

    def is_alone(self, point: Point) -> bool:
        """Points with real nodes are."""
        return point["how"] == "sockets"

    def run(self, point: Point, seed: int) -> list[Row]:
        """Let the nodes make a chain, and look at it once the last block has arrived."""
        slots = int(point["slots"])
        if point["how"] == "sockets":
            seen = sockets.watch(slots)
            return [{"growth": seen.counted / slots, "orphans": 1 - seen.counted / seen.made,
                     "rollback": seen.longest_rollback}]
        with rules_of(seed):
            chain = Chain(seed, delay=int(point["delay"]))
            chain.run(slots)
            chain.settle()
            height = len(chain.best)
            return [{"growth": height / slots, "orphans": 1 - height / len(chain.honest[0].tree),
                     "rollback": chain.longest_rollback}]

    def draw(self, figure: Figure, rows: Sequence[Row]) -> None:
        """A panel for each of the three."""
        panels = figure.subplots(1, 3)
        real = where(rows, how="sockets")
        delays = np.linspace(0, 10, 200).tolist()
        names = {"growth": "growth\n[blocks per slot]", "orphans": "orphans\n[share of blocks]",
                 "rollback": "longest rollback\n[blocks]"}
        for place, (axes, (name, title)) in enumerate(zip(panels, names.items(), strict=True)):
            draw_measured(axes, where(rows, how="memory"), "delay", name, "measured", place)
            if real:
                draw_measured(axes, real, "delay", name, "real nodes", 3, 0.5)
            axes.set(xlabel="delay Δ [slots]", title=title)
            axes.set_ylim(bottom=0)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        draw_theory(panels[0], delays, [growth(delay) for delay in delays], "g = F / (1 + FΔ)", 0)
        draw_theory(panels[0], delays, [growth_with_own(delay) for delay in delays], "with own blocks", 0, "--")
        draw_theory(panels[1], delays, [orphans(delay) for delay in delays], "1 − g / 10p", 1)
        panels[2].yaxis.set_major_locator(MaxNLocator(integer=True))
        for axes in panels[:2]:
            axes.legend()

    def findings(self, rows: Sequence[Row]) -> list[str]:
        """Theory next to measurement at each delay."""
        found = []
        for (delay,), group in groups(where(rows, how="memory"), "delay"):
            low, middle, high = spread(column(group, "rollback"))
            expected = growth(float(delay)), orphans(float(delay))
            found.append(f"Δ = {delay}: growth {np.mean(column(group, 'growth')):.3f} (theory {expected[0]:.3f}),"
                         f" orphan share {np.mean(column(group, 'orphans')):.3f} (theory {expected[1]:.3f}),"
                         f" longest rollback {count(round(middle), 'block')} ({low:.0f}–{high:.0f}).")
        if real := where(rows, how="sockets"):
            luck = np.sqrt(F * (1 - F) / sockets.SLOTS)
            found.append(f"Real nodes without delay: growth {np.mean(column(real, 'growth')):.3f}, orphan share"
                         f" {np.mean(column(real, 'orphans')):.3f} (mean of {len(real)} runs). The lottery's luck moves"
                         f" the growth of one such run by {luck:.3f} (one standard deviation).")
        found.append("In theory nobody knows of a block before Δ slots have passed: a lower bound of the growth."
                     " In fact its creator knows it at once, and can build on it. With that, theory says"
                     f" {growth_with_own(10):.3f} at Δ = 10.")
        return found


def growth(delay: float) -> float:
    """Theory: after each block of the best chain, Δ slots pass in which others extend what they know: F / (1 + F Δ)."""
    return F / (1 + F * delay)


def growth_with_own(delay: float) -> float:
    """The same, if the creator of a block extends it meanwhile, with chance p in each of the Δ slots."""
    alone = chance_of(1 / HOLDERS)
    slots = (1 - (1 - alone) ** delay) / alone + (1 - alone) ** delay / F
    return float(1 / slots)


def orphans(delay: float) -> float:
    """Theory: 10 p blocks are made in a slot, p = 1 − (1 − F)^0.1. `growth` of them are on the best chain, and the
    rest are orphans."""
    return 1 - growth(delay) / (HOLDERS * chance_of(1 / HOLDERS))
