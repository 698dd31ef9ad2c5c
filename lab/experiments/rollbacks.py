"""How long a rollback an attacker with some share of the stake can bring about."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from common.console import count
from lab.experiments import sockets
from lab.experiments.attackers import CourseAttacker, UntilCaught, WatchingMaker
from lab.experiments.chains import HASHED, HOLDERS, TIES, Chain, chance_of, rules_of
from lab.experiments.experiment import Experiment, Point, Row, column, groups, spread, where
from lab.experiments.hindsight import Planned, PlannedMaker, Silent, SilentMaker, plan_best_fork
from lab.experiments.picture import COLOURS, draw_measured, draw_theory
from lab.experiments.theory import best_private_fork, withholding
from stage5_pos.node import StakeNode

ATTACKS: dict[str, type[StakeNode]] = {"course": CourseAttacker, "withhold": UntilCaught}
NAMES = {"none": "no attacker", "course": "the course's attacker", "withhold": "withholds until caught",
         "fork": "best private fork"}
SLOTS = 3_600


class Rollbacks(Experiment):
    """Honest nodes with one stake each, and one attacker with several, in a network without delay."""

    NAME: ClassVar[str] = "rollbacks"
    TITLE: ClassVar[str] = "The longest rollback in 3,600 slots, against the attacker's stake"
    QUESTION: ClassVar[str] = ("How many blocks does an honest node have to undo at worst, if an attacker holds a share"
                               " φ of the stake, from 0 to 60 %?")
    METHOD: ClassVar[str] = (
        "Nodes of stage 5 run in memory for 3,600 slots: each honest one has a tenth of the stake, and the attacker has"
        " φ. A slot has a block with chance F = 0.1, and blocks arrive within their slot. The attacker of the course"
        " builds with each ticket on the second longest chain and on the longest side branch, in the open. The one that"
        " withholds builds in secret, shows its branch when it is about to lose its lead, and shows what it has at the"
        " end. The best private fork is found in hindsight: of all slots in which an attacker might have split, and"
        " might have shown its branch, those that undo most. If ties are as in the contract, a second run then"
        " carries that out. Ties: of two chains of the same length, the one with the smaller draw wins by the contract;"
        f" in other series the attacker wins all ties, or loses all. {HASHED} {sockets.METHOD}")
    MEASURED: ClassVar[dict[str, str]] = {"contract": "longest rollback, blocks", "won": "if the attacker wins ties",
                                          "lost": "if it loses them"}

    def points(self, is_quick: bool) -> list[Point]:
        """Attacks, and tenths of the stake."""
        stakes = [3] if is_quick else [1, 2, 3, 4, 5, 6]
        slots = 300 if is_quick else SLOTS
        points: list[Point] = [{"how": "memory", "attack": "none", "phi": 0.0, "slots": slots}]
        points += [{"how": "memory", "attack": attack, "phi": number / HOLDERS, "slots": slots}
                   for attack in ("course", "withhold", "fork") for number in stakes]
        if not is_quick:
            points += [{"how": how, "attack": "withhold", "phi": 0.3, "slots": sockets.SLOTS}
                       for how in ("memory", "sockets")]
        return points

    def runs(self, is_quick: bool) -> int:
        """How often each point is repeated."""
        return 1 if is_quick else 20

    def runs_of(self, point: Point, is_quick: bool) -> int:
        """Fewer with real nodes."""
        return sockets.RUNS if point["how"] == "sockets" else self.runs(is_quick)

    def is_alone(self, point: Point) -> bool:
        """Points with real nodes are."""
        return point["how"] == "sockets"

    def run(self, point: Point, seed: int) -> list[Row]:
        """Let the nodes make a chain under each rule for ties, and ask the honest ones for their longest rollback."""
        stakes, slots, attack = round(float(point["phi"]) * HOLDERS), int(point["slots"]), str(point["attack"])
        if point["how"] == "sockets":
            return [{"contract": sockets.watch(slots, stakes).longest_rollback}]
        if attack == "fork":
            return [run_best_fork(seed, stakes, slots)]
        row: Row = {}
        for ties in TIES if attack == "withhold" and slots >= SLOTS else ["contract"]:
            with rules_of(seed, stakes, ties):
                row[ties] = run_attack(ATTACKS.get(attack, StakeNode), seed, stakes, ties, slots)
        return [row]

    def draw(self, figure: Figure, rows: Sequence[Row]) -> None:
        """A panel for each of the two attacks in secret, the course's attacker next to the first."""
        panels = figure.subplots(1, 2, sharey=True)
        real = where(rows, how="sockets")
        rows = where(rows, how="memory", slots=max(int(row["slots"]) for row in rows))
        shares = np.linspace(0.05, 0.45, 81).tolist()
        _draw_band(panels[0], shares, [withheld(share, False) for share in shares],
                   [withheld(share, True) for share in shares], "theory: loses … wins ties", 1)
        draw_theory(panels[1], shares, [forked(share) for share in shares], "theory: upper bound, wins ties", 2, "--")
        for axes, attack, place in ((panels[0], "withhold", 1), (panels[1], "fork", 2)):
            draw_measured(axes, where(rows, attack="none"), "phi", "contract", NAMES["none"], 6)
            if attack == "withhold":
                draw_measured(axes, where(rows, attack="course"), "phi", "contract", NAMES["course"], 0, -0.012)
            draw_measured(axes, where(rows, attack=attack), "phi", "contract", NAMES[attack], place)
            if real and attack == "withhold":
                draw_measured(axes, real, "phi", "contract", f"real nodes, {sockets.SLOTS} slots", 3, 0.012)
            axes.set(xlabel="attacker's share φ of the stake", yscale="log", ylim=(0.7, 500))
            axes.set_yticks([1, 2, 5, 10, 20, 50, 100, 200], [1, 2, 5, 10, 20, 50, 100, 200])
            axes.minorticks_off()
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.legend(loc="upper left" if attack == "withhold" else "lower right")
        panels[0].set_ylabel("longest rollback [blocks]")

    def findings(self, rows: Sequence[Row]) -> list[str]:
        """Theory next to measurement, and what half of the stake means."""
        found = []
        short, rows = where(rows, slots=sockets.SLOTS), where(rows, slots=SLOTS) or rows
        for (attack, phi), group in groups(rows, "attack", "phi"):
            low, middle, high = spread(column(group, "contract"))
            found.append(f"{NAMES[str(attack)]}, φ = {phi:.0%}: {count(round(middle), 'block')}"
                         f" ({low:.0f}–{high:.0f})"
                         + _others_and_theory(group, str(attack), float(phi)) + ".")
        if real := column(where(short, how="sockets"), "contract"):
            low, middle, high = spread(column(where(short, how="memory"), "contract"))
            depths = ", ".join(f"{depth:.0f}" for depth in real)
            found.append(f"Real nodes, φ = 30%, {sockets.SLOTS} slots, withheld until caught: {depths} blocks in"
                         f" {len(real)} runs; nodes in memory, the same number of slots: {middle:.0f}"
                         f" ({low:.0f}–{high:.0f}).")
        found.append("A simulated attack is only a lower bound of what an attacker can do. From half of the stake on no"
                     " depth is safe: the private branch grows as fast as the public chain, and all of it can be"
                     " undone.")
        return found


def _others_and_theory(rows: Sequence[Row], attack: str, phi: float) -> str:
    parts = []
    for ties in ("won", "lost"):
        if numbers := [float(row[ties]) for row in rows if ties in row]:
            low, middle, high = spread(numbers)
            parts.append(f"ties {ties}: {middle:.0f} ({low:.0f}–{high:.0f})")
    if 0 < phi < 0.5 and attack == "withhold":
        parts.append(f"theory: {withheld(phi, False)} if it loses ties, {withheld(phi, True)} if it wins them")
    if 0 < phi < 0.5 and attack == "fork":
        parts.append(f"theory: at most {forked(phi)} in half of the runs")
    return "".join(f"; {part}" for part in parts)


def _draw_band(axes: Axes, xs: Sequence[float], low: Sequence[float], high: Sequence[float], label: str,
               place: int) -> None:
    """Two closed forms, and what lies between them."""
    axes.fill_between(xs, low, high, color=COLOURS[place], alpha=0.25, label=label, zorder=1)
    draw_theory(axes, xs, low, "", place)
    draw_theory(axes, xs, high, "", place)


def withheld(share: float, wins_ties: bool) -> int:
    """Theory for the one that withholds with a share of the stake."""
    return withholding(chance_of(share), chance_of(1 - share), SLOTS, wins_ties)


def forked(share: float) -> int:
    """Theory for the best private fork."""
    return best_private_fork(chance_of(share), chance_of(1 - share), SLOTS)


def run_attack(kind: type[StakeNode], seed: int, stakes: int, ties: str, slots: int) -> int:
    """The longest rollback under an attack that decides as it goes on."""
    chain = Chain(seed, bad_stakes=stakes, attacker=kind)
    maker = chain.attacker.maker if chain.attacker is not None else None
    if isinstance(maker, WatchingMaker):
        maker.ties = ties
    chain.run(slots)
    if isinstance(maker, WatchingMaker):
        maker.finish()
    chain.settle()
    return chain.longest_rollback


def run_best_fork(seed: int, stakes: int, slots: int) -> Row:
    """The longest rollback by a private branch that is planned in hindsight. With the contract's rule for ties, it is
    carried out."""
    with rules_of(seed, stakes):
        plans = find_best_forks(seed, stakes, slots)
        depth, first, last = plans["contract"]
        return {**{ties: plan[0] for ties, plan in plans.items()},
                "contract": carry_out(seed, stakes, first, last) if depth else 0}


def find_best_forks(seed: int, stakes: int, slots: int) -> dict[str, tuple[int, int, int]]:
    """The plan with each rule for ties: its depth, and the first and the last slot. The attacker has only watched."""
    chain = Chain(seed, bad_stakes=stakes, attacker=Silent)
    chain.run(slots)
    assert chain.attacker is not None and isinstance(chain.attacker.maker, SilentMaker)
    wins = [(slot, value) for slot, value in chain.attacker.maker.wins if slot <= slots]
    others = [(block.slot, block.value) for block in chain.best]
    return {ties: plan_best_fork(others, wins, ties) for ties in TIES}


def carry_out(seed: int, stakes: int, first: int, last: int) -> int:
    """The longest rollback if the attacker builds from the first slot to the last one, and then shows its branch."""
    chain = Chain(seed, bad_stakes=stakes, attacker=Planned)
    assert chain.attacker is not None and isinstance(chain.attacker.maker, PlannedMaker)
    chain.attacker.maker.first, chain.attacker.maker.last = first, last
    chain.run(last)
    chain.attacker.maker.finish()
    chain.settle()
    return chain.longest_rollback
