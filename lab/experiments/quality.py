"""What share of the best chain an attacker can have, and whether withholding pays."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lab.experiments.attackers import Selfish, WatchingMaker
from lab.experiments.chains import HASHED, HOLDERS, TIES, Chain, rules_of, share_of_blocks
from lab.experiments.experiment import Experiment, Point, Row, column, groups
from lab.experiments.picture import draw_measured, draw_theory
from lab.experiments.theory import quality_bound, selfish_share
from stage5_pos.node import StakeNode

SHIFTS = {"honest": -0.009, "lost": -0.003, "contract": 0.003, "won": 0.009}
NAMES = {"honest": "keeps to the rules", "lost": "withholds, loses ties", "contract": "withholds, ties by the contract",
         "won": "withholds, wins ties"}


class Quality(Experiment):
    """Honest nodes with one stake each, and one attacker with several, which wants a larger share of the chain."""

    NAME: ClassVar[str] = "quality"
    TITLE: ClassVar[str] = "Does withholding pay? The attacker's share of the best chain"
    QUESTION: ClassVar[str] = ("An attacker with a share φ of the stake makes about this share of the blocks if it"
                               " keeps to the rules. Does it get more of the best chain if it withholds some?")
    METHOD: ClassVar[str] = (
        "Nodes of stage 5 run in memory for 3,600 slots: each honest one has a tenth of the stake, and the attacker has"
        " φ. A slot has a block with chance F = 0.1, and blocks arrive within their slot. The attacker withholds as"
        " Eyal and Sirer describe it for Bitcoin. Only the blocks of the best chain at the end count. Of two chains of"
        " the same length, the one with the smaller draw wins by the contract; in other series the attacker wins"
        " all ties, or loses all."
        f" {HASHED}")
    MEASURED: ClassVar[dict[str, str]] = NAMES

    def points(self, is_quick: bool) -> list[Point]:
        """Tenths of the stake."""
        return [{"phi": number / HOLDERS, "slots": 200 if is_quick else 3_600}
                for number in ([3] if is_quick else [1, 2, 3, 4])]

    def runs(self, is_quick: bool) -> int:
        """How often each point is repeated."""
        return 1 if is_quick else 20

    def run(self, point: Point, seed: int) -> list[Row]:
        """One chain for each way to behave, with the same lottery."""
        stakes, slots = round(float(point["phi"]) * HOLDERS), int(point["slots"])
        row: Row = {"honest": measure_share(seed, stakes, slots, StakeNode, "contract")}
        for ties in TIES:
            row[ties] = measure_share(seed, stakes, slots, Selfish, ties)
        return [row]

    def draw(self, figure: Figure, rows: Sequence[Row]) -> None:
        """All ways to behave in one panel."""
        axes = figure.subplots()
        shares = np.linspace(0.02, 0.45, 100).tolist()
        blocks = [share_of_blocks(share) for share in shares]
        draw_theory(axes, shares, [quality_bound(share) for share in blocks], "upper bound α / (1 − α)", 6, "--")
        for place, (name, ties_won) in enumerate([("honest", None), ("lost", 0.0), ("contract", 0.5), ("won", 1.0)]):
            theory = [share if ties_won is None else selfish_share(share, ties_won) for share in blocks]
            draw_theory(axes, shares, theory, "", place)
            draw_measured(axes, rows, "phi", name, NAMES[name], place, SHIFTS[name])
        axes.set(xlabel="attacker's share φ of the stake", ylabel="its share of the best chain [of blocks]")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.legend(title="points measured, lines theory", title_fontsize=17)

    def findings(self, rows: Sequence[Row]) -> list[str]:
        """Theory next to measurement."""
        found = []
        for (phi,), group in groups(rows, "phi"):
            blocks = share_of_blocks(float(phi))
            expected = {"honest": blocks, "lost": selfish_share(blocks, 0), "contract": selfish_share(blocks, 0.5),
                        "won": selfish_share(blocks, 1)}
            parts = [f"{NAMES[name]} {np.mean(column(group, name)):.3f} (theory {theory:.3f})"
                     for name, theory in expected.items()]
            found.append(f"φ = {phi:.0%}: {'; '.join(parts)}; upper bound {quality_bound(blocks):.3f}.")
        found.append("Theory: if it loses all ties, withholding pays from a third of the stake on; if it wins half"
                     " of them, as under the contract's rule, from a quarter on.")
        return found


def measure_share(seed: int, stakes: int, slots: int, kind: type[StakeNode], ties: str) -> float:
    """The attacker's share of the best chain."""
    with rules_of(seed, stakes, ties):
        chain = Chain(seed, bad_stakes=stakes, attacker=kind)
        assert chain.attacker is not None
        maker = chain.attacker.maker
        if isinstance(maker, WatchingMaker):
            maker.ties = ties
        chain.run(slots)
        if isinstance(maker, WatchingMaker):
            maker.finish()
        chain.settle()
        return chain.bad_blocks() / len(chain.best)
