"""Shortens a list on which something fails, as far as it can: delta debugging (Zeller and Hildebrandt, 2002)."""

from collections.abc import Callable
from typing import TypeVar

Step = TypeVar("Step")


def shrink_list(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """A part of `steps` that still fails, but no longer fails if any one of its steps is left out. `fails` may answer
    no because its time is over; then the part is longer than necessary."""
    piece = max(1, len(steps) // 2)
    while piece:
        before = steps
        steps = _without_pieces(steps, piece, fails)
        if piece > 1 or steps is before:
            piece //= 2
    return steps


def _without_pieces(steps: list[Step], piece: int, fails: Callable[[list[Step]], bool]) -> list[Step]:
    """From the end on, leave out `piece` steps at a time, if the rest still fails."""
    start = len(steps)
    while start > 0:
        start -= piece
        rest = steps[:max(0, start)] + steps[start + piece:]
        if fails(rest):
            steps = rest
    return steps
