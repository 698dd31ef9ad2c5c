"""Closed forms and recurrences that measurements are compared with, each with its source.

Shares are of the stake or of the blocks, between 0 and 1. Depths are in blocks unless it says slots.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator

import numpy as np


def race(depth: int, share: float) -> float:
    """The chance that a private branch ever catches up with a public one that has grown by `depth` blocks since the two
    split, for an attacker that makes a `share` of all blocks: I_{4pq}(z, 1/2) of Grunspan and Pérez-Marco, "Double
    spend races" (2018). Ties count as caught up. It is 1 from one half on."""
    if share >= 0.5:
        return 1.0
    if share <= 0 or depth == 0:
        return float(depth == 0)
    # How many blocks the attacker has made when the others have made `depth`: a negative binomial. If it is behind by
    # m then, it catches up with chance (q / p)^m. All terms are positive, so nothing cancels.
    made = np.arange(20 * depth + 1_000)
    steps = np.log(share * (made[:-1] + depth) / made[1:])
    logarithms = depth * math.log(1 - share) + np.concatenate([[0.0], np.cumsum(steps)])
    behind = np.maximum(0, depth - made)
    return min(1.0, float(np.exp(logarithms + behind * math.log(share / (1 - share))).sum()))


def excursion(depth: int, share: float) -> float:
    """The chance that an attacker that leads by one block is caught after exactly `depth` blocks of the others, for a
    walk that goes up with chance q and down with p: C(2n − 2, n − 1) / n · q^(n − 1) p^n (first passage, Feller I)."""
    ways = math.lgamma(2 * depth - 1) - 2 * math.lgamma(depth) - math.log(depth)
    return math.exp(ways + (depth - 1) * math.log(share) + depth * math.log(1 - share))


def withholding(bad: float, good: float, slots: int, wins_ties: bool) -> int:
    """The median of the longest rollback in `slots` slots by an attacker that withholds until it is caught. `bad` and
    `good` are the chances that it, and that somebody else, wins a slot. Slots that both win are left out.

    Each attempt begins with a block of the attacker. If it loses ties, its second block must come before the others'
    first one, and it shows its branch while it is ahead by one.
    """
    share = bad / (bad + good)
    if share >= 0.5:
        return round(good * slots)
    lasts = 1 / (good - bad) if wins_ties else 1 / (bad + good) + share / (good - bad)
    attempts = slots / (1 / bad + lasts)
    reached, depth = (0.0 if wins_ties else 1 - share), 0
    while reached**attempts < 0.5:
        depth += 1
        reached += excursion(depth, share) * (1 if wins_ties else share)
    return depth


def best_private_fork(bad: float, good: float, slots: int) -> int:
    """An upper bound of the median of the longest rollback in `slots` slots by the best private fork, which wins ties.

    The longest one begins when the attacker has fallen behind the others further than ever before. That happens
    (good − bad) times a slot. If the chances of all these races to reach a depth add up to less than one half,
    fewer than half of all runs reach it.
    """
    share = bad / (bad + good)
    if share >= 0.5:
        return round(good * slots)
    depths = range(1, slots)
    return bisect_left(depths, -0.5, key=lambda depth: -(good - bad) * slots * race(depth + 1, share)) + 1


def settlement(most: int, share: float) -> list[float]:
    """The chance that the best possible attack can undo a slot when it has been followed by k slots that somebody
    won, for k from 0 to `most`, by the margin recurrence of Blum, Kiayias, Moore, Quader and Russell, "The
    Combinatorics of the Longest-Chain Rule" (2020). The attacker wins each such slot with chance `share`, below one
    half."""
    size = 2 + round(60 / math.log((1 - share) / share))
    return [float(state[:, size:].sum()) for state in _margins(most, share, size)]


def _margins(most: int, share: float, size: int) -> Iterator["np.ndarray[tuple[int, int], np.dtype[np.float64]]"]:
    """The joint chances of reach (first index) and margin (second index, less `size`), after each slot. A reach above
    `size`, and a way back from a margin below it, have chances below e^-60, and are left out."""
    ratio = share / (1 - share)
    state = np.zeros((size, 2 * size))
    for reach in range(size):  # the reach has long been geometric, and the margin starts equal to it
        state[reach, size + reach] = (1 - ratio) * ratio**reach
    yield state
    for _ in range(most):
        bad, good = np.zeros_like(state), np.zeros_like(state)
        bad[1:, 1:] = state[:-1, :-1]
        good[:-1, :-1] = state[1:, 1:]
        good[0, :-1] += state[0, 1:]
        # The margin stays at 0 if the reach is above it.
        good[:-1, size] += state[1:, size]
        good[:-1, size - 1] -= state[1:, size]
        state = share * bad + (1 - share) * good
        yield state


def selfish_share(share: float, ties_won: float) -> float:
    """The share of the best chain of an attacker that withholds as in Eyal and Sirer, "Majority is not enough" (2014);
    it wins a share `ties_won` of the ties (their γ)."""
    gained = share * (1 - share) ** 2 * (4 * share + ties_won * (1 - 2 * share)) - share**3
    return gained / (1 - share * (1 + (2 - share) * share))


def quality_bound(share: float) -> float:
    """The most that an attacker's share of the best chain can be: each of its blocks pushes one of the others' blocks
    out."""
    return share / (1 - share)
