"""A random life: a seed decides which things happen to the nodes in a `World`, one after the other.

    chance = random.Random(seed)
    random_life(chance, 30, {0.2: join, 0.35: lambda: cut_one(world, chance), 1.0: lambda: world.run(chance.random())})

A test gives `check_lives` the seeds and a function that lives one life and checks it.
"""

import random
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping

from lab.schedules.shrinking import shrink_list
from lab.simulation import World

SHORTEN_SECONDS = 8.0
"""The time there is to make a life short."""

Action = Callable[[], object]
"""Something that happens. It returns False if it cannot happen now."""


class _Script:
    """What is left out of the lives that are lived now, to make a failing one short."""

    left_out: Collection[int] = ()
    """The numbers of the steps."""
    steps = 0
    """How many steps the last life had."""


def random_life(chance: random.Random, times: int, actions: Mapping[float, Action]) -> None:
    """Let `times` things happen. The key of an action is the upper end of its share of 0 to 1, in rising order; what
    cannot happen gives its turn to the next. Each step is drawn by itself: it stays the same if others are left out."""
    assert list(actions) == sorted(actions) and max(actions) == 1.0
    drawn_from, _Script.steps = chance.getrandbits(64), times
    for number in range(times):
        chance.seed(drawn_from + number)
        if number not in _Script.left_out:
            _take_step(chance.random(), actions)
    chance.seed(drawn_from + times)


def _take_step(drawn: float, actions: Mapping[float, Action]) -> None:
    for end, act in actions.items():
        if drawn < end and act() is not False:
            break


def check_lives(seeds: Iterable[int], life: Callable[[int], None]) -> None:
    """Live the life of each seed, with all that it checks. One that fails is made as short as it can be, and the failure
    of that short one is raised, so that all that is shown of it is short."""
    for seed in seeds:
        try:
            life(seed)
        except NotImplementedError:
            raise
        except Exception as error:
            raise shorten(seed, life, error) from None


def shorten(seed: int, life: Callable[[int], None], error: Exception) -> Exception:
    """The failure of the shortest life that fails at the same place, found in a limited time."""
    steps, found, deadline = list(range(_Script.steps)), error, time.monotonic() + SHORTEN_SECONDS
    kind = _place(error)

    def fails(kept: list[int]) -> bool:
        nonlocal found
        if time.monotonic() > deadline:
            return False
        _Script.left_out = set(steps) - set(kept)
        try:
            life(seed)
        except Exception as other:
            if _place(other) == kind:
                found = other
                return True
        finally:
            _Script.left_out = ()
        return False

    kept = shrink_list(steps, fails)
    found.add_note(f"seed {seed}, made as short as it can be: {len(kept)} of {len(steps)} steps")
    return found


def _place(error: Exception) -> tuple[type[Exception], int]:
    """What kind of failure it is: the exception, and the line where it was raised."""
    return type(error), traceback.extract_tb(error.__traceback__)[-1].lineno or 0


def cut_one(world: World, chance: random.Random) -> bool:
    """A connection is lost, if there is one."""
    ends = world.open_connections()
    if ends:
        world.cut(chance.choice(ends))
    return bool(ends)


def take_steps(world: World, chance: random.Random, most: int) -> None:
    """Deliver some of the frames that are on their way."""
    for _ in range(chance.randint(1, most)):
        world.step()
