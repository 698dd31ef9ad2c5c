"""The fetcher alone, when it has no room for more ids."""

import random
from itertools import count

import pytest

from stage2_ledger import fetcher
from stage2_ledger.fetcher import Fetcher
from tests.memory import FakeConnection

WANT, FORSAKEN, ROOM = 100, 600, 2_000


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds of contract §3, smaller."""
    monkeypatch.setattr(fetcher, "MAX_WANT", WANT)
    monkeypatch.setattr(fetcher, "MAX_NAMED", FORSAKEN)
    monkeypatch.setattr(fetcher, "MAX_MISSING", ROOM)


class Scene:
    """A fetcher, a stranger that fills it with ids that do not exist, and a neighbour that the node has called."""

    def __init__(self) -> None:
        self.time = 0.0
        self.numbers = count()
        self.fetcher = Fetcher(lambda wanted: None, lambda: self.time, random.Random(1),
                               lambda address: False,
                               lambda connection, brought_something: None, lambda forsaken: None)
        self.stranger = FakeConnection(None, "stranger", self.time)
        self.own = FakeConnection("own:1", "own", self.time)

    def fill(self) -> None:
        """Let the stranger answer a request with nothing, just in time, and list ids until there is no room."""
        self.time += 1.2
        self.fetcher.on_answered(self.stranger)
        self.fetcher.need((f"{next(self.numbers):064x}" for _ in range(ROOM)), self.stranger)


def test_ids_that_nobody_brings_do_not_pile_up_when_there_is_no_room_to_ask_for_them() -> None:
    scene = Scene()
    for _ in range(50):
        scene.fill()
        scene.fetcher.ask_again([scene.stranger])
    assert scene.fetcher.count_named(scene.stranger) == ROOM
    assert len(scene.fetcher) <= ROOM + FORSAKEN


def test_ids_that_are_due_may_be_dropped_while_room_is_made_for_the_first_of_them() -> None:
    scene = Scene()
    for _ in range(8):
        scene.fill()
    scene.fetcher.ask_again([scene.own])
    assert scene.fetcher.count_named(scene.own) > 0
    assert len(scene.fetcher) <= ROOM + FORSAKEN
