"""Is the lottery fair, and does it pay to split a stake over several keys?"""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from common.console import count
from common.encoding import canon, make_id
from lab.experiments.experiment import Experiment, Point, Row, column, where
from lab.experiments.picture import draw_measured, draw_theory
from lab.schedules.keyed_hash import HashKey
from stage5_pos import lottery
from stage5_pos.genesis import TICKETS, threshold

PERMILLE = 100
"""A slot has a block with chance f = 0.1, as in a network that `make stage5` founds."""

UNIT = 36_000
"""The stake in play. It divides well, so that no share is rounded."""

OTHERS = 9
"""Other holders, one key each, with equal stakes."""

KEYS = [1, 4, 20]

RULES = {"threshold": "a draw below 1 − (1 − f)^share", "product": "stake × hash above a hardness"}


class Lottery(Experiment):
    """One holder with some share of the stake in some number of keys, and nine others who share the rest."""

    NAME: ClassVar[str] = "lottery"
    TITLE: ClassVar[str] = "Who wins the slots: share of slots won over share of stake"
    QUESTION: ClassVar[str] = ("Does a holder win as large a share of the slots as it has of the stake? And does it win"
                               " more if it splits its stake over several keys?")
    METHOD: ClassVar[str] = (
        "The lottery of stage 5 itself: its draws, its tickets, and the thresholds of its genesis. One holder has a"
        " given share of the stake, in 1, 4 or 20 keys; nine others share the rest, one key each. A draw is a keyed"
        " hash in place of an RSA signature. The second rule takes the same tickets, and lets a key win whose stake"
        " times its ticket is at least a hardness, which is set so that a tenth of the slots has a winner, too. The"
        " share won is the number of slots that the holder wins over the number of slots that anybody wins. The share"
        " made counts only the slots in which the holder's ticket is also the best, so that its block counts.")
    MEASURED: ClassVar[dict[str, str]] = {"won": "share of slots won", "made": "share of blocks made"}

    def points(self, is_quick: bool) -> list[Point]:
        """Shares of the stake, keys, and slots."""
        shares = [0.1, 0.5] if is_quick else [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8]
        return [{"rule": rule, "share": share, "keys": keys, "slots": 200 if is_quick else 3_600}
                for rule in RULES for keys in (KEYS[:2] if is_quick else KEYS) for share in shares]

    def runs(self, is_quick: bool) -> int:
        """How often each point is repeated."""
        return 2 if is_quick else 20

    def run(self, point: Point, seed: int) -> list[Row]:
        """Let everybody draw in each slot."""
        share, keys = float(point["share"]), int(point["keys"])
        stakes = split_stake(share, keys)
        holders = [HashKey(f"holder {seed} {number}") for number in range(len(stakes))]
        lottery_seed = make_id(canon(["lottery of an experiment", seed]))
        thresholds = [threshold(stake, UNIT, PERMILLE) for stake in stakes]
        hardness = find_hardness(stakes)
        won = made = slots = 0
        for slot in range(1, int(point["slots"]) + 1):
            values = [lottery.ticket_value(lottery_seed, slot, key.account, lottery.make_draw(key, lottery_seed, slot))
                      for key in holders]
            if point["rule"] == "threshold":
                wins = [(value, place) for place, value in enumerate(values)
                        if lottery.is_winning(value, thresholds[place])]
            else:
                wins = [(-value * stakes[place], place) for place, value in enumerate(values)
                        if value * stakes[place] >= hardness]
            slots += bool(wins)
            won += any(place < keys for _, place in wins)
            made += bool(wins) and min(wins)[1] < keys
        return [{"won": won / slots, "made": made / slots}] if slots else []

    def draw(self, figure: Figure, rows: Sequence[Row]) -> None:
        """A panel for each rule."""
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        shares = np.linspace(0.01, 0.9, 90)
        for axes, (rule, meaning) in zip(panels, RULES.items(), strict=True):
            axes.plot([0, 0.9], [0, 0.9], ":", color="#555555", label="share won = share of stake", zorder=1)
            for place, keys in enumerate(sorted({int(row["keys"]) for row in rows})):
                name = "1 key" if keys == 1 else f"{keys} keys"
                draw_measured(axes, where(rows, rule=rule, keys=keys), "share", "won", name, place, (place - 1) * 0.012)
                draw_theory(axes, shares.tolist(), [expected_share(rule, share, keys) for share in shares], "", place)
            axes.set(title=meaning, xlabel="share of stake")
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        panels[0].set_ylabel("share of slots won")
        panels[0].legend(title="points measured, lines theory", title_fontsize=16)

    def findings(self, rows: Sequence[Row]) -> list[str]:
        """How far each rule is off the diagonal, and what splitting brings."""
        found = []
        for rule, meaning in RULES.items():
            off = [(abs(mean / share - 1), share, keys, mean) for share, keys, mean in means(where(rows, rule=rule))]
            worst = max(off)
            found.append(f"By the rule “{meaning}”, the share won differs from the share of stake by at most"
                         f" {worst[0]:.1%}: {worst[1]:.0%} of the stake in {count(worst[2], 'key')} has won"
                         f" {worst[3]:.2%}.")
            gaps = [abs(mean - expected_share(rule, share, keys))
                    for share, keys, mean in means(where(rows, rule=rule))]
            found.append(f"Its measured means differ from theory by at most {max(gaps):.2%} of all slots won.")
        found.append("Under the first rule the lines for all numbers of keys coincide: 1 − (1 − f)^share is the same"
                     " however the share is split. Under the second one, whoever splits a stake loses by it, and a"
                     " small holder never wins, however long it waits.")
        return found


def split_stake(share: float, keys: int) -> list[int]:
    """The stakes of the holder's keys, and then those of the others."""
    mine = round(share * UNIT)
    return [mine // keys] * keys + [(UNIT - mine) // OTHERS] * OTHERS


def find_hardness(stakes: Sequence[int]) -> int:
    """The hardness at which f of the slots have a winner by the rule `product`."""
    low, high = 0, TICKETS * max(stakes)
    while high - low > TICKETS // 10**9:
        middle = (low + high) // 2
        if chance_of_any([chance_by_product(stake, middle) for stake in stakes]) > PERMILLE / 1000:
            low = middle
        else:
            high = middle
    return high


def chance_by_product(stake: int, hardness: int) -> float:
    """The chance that stake × ticket is at least the hardness."""
    return max(0.0, 1 - hardness / (TICKETS * stake))


def chance_of_any(chances: Sequence[float]) -> float:
    """The chance that at least one of some independent events happens."""
    return 1 - math.prod(1 - chance for chance in chances)


def expected_share(rule: str, share: float, keys: int) -> float:
    """Theory: the share of the won slots that the holder wins."""
    if rule == "threshold":
        return float(1 - (1 - PERMILLE / 1000) ** share) / (PERMILLE / 1000)
    stakes = split_stake(share, keys)
    hardness = find_hardness(stakes)
    return chance_of_any([chance_by_product(stake, hardness) for stake in stakes[:keys]]) / (PERMILLE / 1000)


def means(rows: Sequence[Row]) -> list[tuple[float, int, float]]:
    """Share of the stake, keys, and the mean share won."""
    points = dict.fromkeys((float(row["share"]), int(row["keys"])) for row in rows)
    return [(share, keys, float(np.mean(column(where(rows, share=share, keys=keys), "won")))) for share, keys in points]
