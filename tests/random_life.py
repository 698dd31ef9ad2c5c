"""A random life: a seed decides which things happen to the nodes in a `World`, one after the other.

    chance = random.Random(seed)
    random_life(chance, 30, {0.2: join, 0.35: lambda: cut_one(world, chance), 1.0: lambda: world.run(chance.random())})
"""

import random
from collections.abc import Callable, Mapping

from lab.simulation import World

Action = Callable[[], object]
"""Something that happens. It returns False if it cannot happen now."""


def random_life(chance: random.Random, times: int, actions: Mapping[float, Action]) -> None:
    """Let `times` things happen. The key of an action is the upper end of its share between 0 and 1, in rising order. If
    an action cannot happen, the next one takes its turn."""
    assert list(actions) == sorted(actions) and max(actions) == 1.0
    for _ in range(times):
        drawn = chance.random()
        for end, act in actions.items():
            if drawn < end and act() is not False:
                break


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
