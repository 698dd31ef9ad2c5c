"""The best private fork: an attacker that only watches, the plan made in hindsight, and an attacker that carries it
out."""

from collections.abc import Sequence

from common.rsa import PrivateKey
from lab.experiments.attackers import SecretMaker, Watcher, WatchingMaker
from stage5_pos.tree import Block


class SilentMaker(WatchingMaker):
    """Notes what it could have made, and makes nothing."""

    wins: tuple[tuple[int, int], ...] = ()
    """The slots won, and the values of the draws."""

    def make_block(self, slot: int, value: int, draw: str, key: PrivateKey) -> None:
        """Note it."""
        self.wins += ((slot, value),)


class Silent(Watcher):
    """Never makes a block."""

    BLOCK_MAKER = SilentMaker


class PlannedMaker(SecretMaker):
    """Makes the blocks of `Planned`."""

    first, last = 0, -1
    """The slots in which it builds; its branch begins on the last block before them."""

    def make_block(self, slot: int, value: int, draw: str, key: PrivateKey) -> None:
        """Make one in these slots, and none in others."""
        if self.first <= slot <= self.last:
            super().make_block(slot, value, draw, key)

    def find_parent(self, slot: int) -> Block:
        """The newest block of the best chain before the plan's slots."""
        return next(block for block in reversed(self.tree.chain) if block.slot < self.first)

    def finish(self) -> None:
        """Show the branch."""
        self.show()


class Planned(Watcher):
    """Builds a branch in secret in slots that were chosen in hindsight."""

    BLOCK_MAKER = PlannedMaker


def plan_best_fork(others: Sequence[tuple[int, int]], own: Sequence[tuple[int, int]],
                   ties: str) -> tuple[int, int, int]:
    """The longest rollback that a private branch could bring about, in hindsight, and the first and the last slot in
    which it is built. `others` and `own` are the slots of the public chain's blocks and those that the attacker has
    won, with the values of the draws."""
    best = (0, 0, -1)
    made, public = dict(own), dict(others)
    slots = sorted({0, *made, *public})
    heights, counts, count_public, count_made = [], [], 0, 0
    for slot in slots:
        count_public += slot in public
        count_made += slot in made
        heights.append(count_public)
        counts.append(count_made)
    last_public = last_own = 0
    for end, slot in enumerate(slots):
        last_public, last_own = public.get(slot, last_public), made.get(slot, last_own)
        needs = 0 if ties == "won" or (ties == "contract" and last_own < last_public) else 1
        for start in range(end):
            depth = heights[end] - heights[start]
            if depth <= best[0]:
                break
            if counts[end] - counts[start] >= depth + needs:
                best = depth, slots[start] + 1, slot
                break
    return best
