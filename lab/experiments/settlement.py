"""How deep a block must be before it is safe to act on what it says."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.experiments.attackers import Racer, RaceMaker
from lab.experiments.chains import (F, HASHED, HOLDERS, Chain, chance_of, make_keys, make_lottery, rules_of,
                                    share_of_blocks)
from lab.experiments.experiment import Experiment, Point, Row, column, groups, where
from lab.experiments.picture import COLOURS, MARKERS, draw_theory
from lab.experiments.theory import race, settlement
from stage5_pos import lottery

STAKES = [1, 2, 3, 4]
SAFE = 0.001
"""A risk that one may take; the page says how deep that is."""


class Settlement(Experiment):
    """A private attack on nodes in memory, and the best attack there is on the draws of their lottery."""

    NAME: ClassVar[str] = "settlement"
    TITLE: ClassVar[str] = "When is a block safe? The chance that it is undone after all"
    QUESTION: ClassVar[str] = ("How many blocks must follow a block, or how many slots must pass, before one may act on"
                               " it, if an attacker holds 10 to 40 % of the stake?")
    METHOD: ClassVar[str] = (
        "Left: nodes of stage 5 run in memory for 3,600 slots. An attacker builds a branch in secret, again and again."
        " Once the others have made a given number of blocks since the fork, it shows the branch as soon as it is as"
        " long as theirs, and gives up when its chance to get there is below 0.5 %. It wins ties. Right: from the draws"
        " of the same lottery, in slots that somebody wins, reach and margin are computed slot by slot: they say"
        " whether the best attack that there is could undo a slot when a given number have followed. A slot that the"
        f" attacker wins is its own, even if others win it too. A slot has a block with chance F = 0.1. {HASHED}")
    MEASURED: ClassVar[dict[str, str]] = {"undone": "share undone in a run", "tries": "tries in a run"}

    def points(self, is_quick: bool) -> list[Point]:
        """Tenths of the stake, and depths: in blocks with nodes, in slots that somebody wins with draws."""
        depths = {"nodes": [1, 4], "draws": [10]} if is_quick else {"nodes": [1, 2, 4, 6, 9, 12, 16],
                                                                    "draws": [5, 10, 20, 30, 45, 60, 80]}
        return [{"how": how, "phi": number / HOLDERS, "depth": depth, "slots": 300 if is_quick else 3_600}
                for how in depths for number in ([3] if is_quick else STAKES) for depth in depths[how]]

    def runs(self, is_quick: bool) -> int:
        """How often each point is repeated."""
        return 1 if is_quick else 20

    def runs_of(self, point: Point, is_quick: bool) -> int:
        """Half as many with nodes: a run has many tries."""
        return self.runs(is_quick) if point["how"] == "draws" else max(1, self.runs(is_quick) // 2)

    def run(self, point: Point, seed: int) -> list[Row]:
        """Count the tries, and how many of them undo the block."""
        measure = race_on_nodes if point["how"] == "nodes" else look_at_draws
        tries, undone = measure(seed, round(float(point["phi"]) * HOLDERS), int(point["depth"]), int(point["slots"]))
        return [{"tries": tries, "successes": undone, "undone": undone / tries}] if tries else []

    def draw(self, figure: Figure, rows: Sequence[Row]) -> None:
        """A panel for blocks, and one for slots."""
        blocks, slots = figure.subplots(1, 2, sharey=True)
        for place, number in enumerate(STAKES):
            share, name = share_of_blocks(number / HOLDERS), f"φ = {number / HOLDERS:.0%}"
            draw_theory(blocks, range(21), [race(depth, share) for depth in range(21)], "", place)
            chances = settlement(100, share_of_slots(number / HOLDERS))
            draw_theory(slots, range(101), chances, "", place)
            for axes, how in ((blocks, "nodes"), (slots, "draws")):
                draw_shares(axes, where(rows, how=how, phi=number / HOLDERS), name, place)
        blocks.set(title="a private attack", xlabel="blocks on top", ylabel="chance that it is undone", yscale="log",
                   ylim=(1e-4, 1.5))
        slots.set(title="the best attack there is", xlabel="slots with a block since")
        slots.legend(title="points measured, lines theory", title_fontsize=16, loc="lower right")

    def findings(self, rows: Sequence[Row]) -> list[str]:
        """How deep is safe, and how far measurement is off theory."""
        found = []
        for number in STAKES:
            phi = number / HOLDERS
            blocks = next(depth for depth in range(1_000) if race(depth, share_of_blocks(phi)) < SAFE)
            slots = sum(chance >= SAFE for chance in settlement(1_500, share_of_slots(phi)))
            found.append(f"φ = {phi:.0%}, for a risk below {SAFE:.1%}: {blocks} blocks against a private attack;"
                         f" {slots} slots with a block against every attack, which come in about"
                         f" {round(slots / F):,} slots.")
        for (how, share, depth), group in groups(rows, "how", "phi", "depth"):
            tries, undone = sum(column(group, "tries")), sum(column(group, "successes"))
            if undone >= 10:
                expected = theory_of(str(how), float(share), int(depth))
                found.append(f"{how}, φ = {float(share):.0%}, depth {depth}: {undone / tries:.4f} of {tries:.0f} tries"
                             f" (theory {expected:.4f}).")
        found.append("The curve on the left is that of one attack, and not a bound: a better attack undoes more. The"
                     " curve on the right is a bound for all attacks, as long as blocks arrive within their slot.")
        return found


def theory_of(how: str, phi: float, depth: int) -> float:
    """The line next to a point."""
    return race(depth, share_of_blocks(phi)) if how == "nodes" else settlement(depth, share_of_slots(phi))[depth]


def share_of_slots(share: float) -> float:
    """The share of the slots with a block that somebody with this share of the stake wins, alone or not."""
    return chance_of(share) / F


def draw_shares(axes: Axes, rows: Sequence[Row], label: str, place: int) -> None:
    """The share undone of all tries of a point, and two standard errors. These come from how much the runs differ,
    since the tries of one run depend on each other. If nothing was undone, no point is drawn."""
    xs, ys, low, high = [], [], [], []
    for (depth,), group in groups(rows, "depth"):
        tries, undone = np.array(column(group, "tries")), np.array(column(group, "successes"))
        if undone.sum():
            share = undone.sum() / tries.sum()
            error = 2 * np.sqrt(((undone - share * tries) ** 2).sum()) / tries.sum()
            xs.append(float(depth))
            ys.append(share)
            low.append(min(error, 0.9 * share))
            high.append(error)
    axes.errorbar(xs, ys, [low, high], fmt=MARKERS[place], color=COLOURS[place], label=label, capsize=6, elinewidth=2.5,
                  capthick=2.5, zorder=3)


def race_on_nodes(seed: int, stakes: int, depth: int, slots: int) -> tuple[int, int]:
    """How many races the attacker has run in a network of nodes, and how many it has won."""
    with rules_of(seed, stakes, "won"):
        chain = Chain(seed, bad_stakes=stakes, attacker=Racer)
        assert chain.attacker is not None and isinstance(chain.attacker.maker, RaceMaker)
        maker = chain.attacker.maker
        maker.ties, maker.depth = "won", depth
        maker.begin()
        chain.run(slots)
        return maker.attempts, maker.successes


def look_at_draws(seed: int, stakes: int, depth: int, slots: int) -> tuple[int, int]:
    """How many slots were followed by `depth` others, and how many of those the best attack could then undo."""
    is_bad = draw_slots(seed, stakes, slots)
    tries = undone = reach = 0
    for start in range(len(is_bad) - depth):
        undone += find_margin(reach, is_bad[start:start + depth]) >= 0
        tries += 1
        reach = max(0, reach + (1 if is_bad[start] else -1))
    return tries, undone


def find_margin(reach: int, is_bad: Sequence[bool]) -> int:
    """The margin after some slots, given who has won each of them, and the reach before them."""
    margin = reach
    for bad in is_bad:
        if bad:
            margin += 1
        elif margin != 0 or reach == 0:
            margin -= 1
        reach = max(0, reach + (1 if bad else -1))
    return margin


def draw_slots(seed: int, stakes: int, slots: int) -> list[bool]:
    """For each slot that somebody wins: is the attacker among the winners?"""
    genesis, keys = make_lottery(seed), make_keys(seed)
    thresholds = genesis.winning_thresholds()
    found = []
    for slot in range(1, slots + 1):
        draws = [lottery.make_draw(key, genesis.seed, slot) for key in keys]
        values = [lottery.ticket_value(genesis.seed, slot, key.account, draw)
                  for key, draw in zip(keys, draws, strict=True)]
        wins = [lottery.is_winning(value, thresholds[key.account]) for key, value in zip(keys, values, strict=True)]
        if any(wins):
            found.append(any(wins[HOLDERS - stakes:]))
    return found
