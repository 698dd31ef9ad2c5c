"""The block maker, without a node: when it draws, what it signs, and why it never signs twice in a slot."""

from collections.abc import Callable
from typing import Any

import pytest

from common.encoding import Message
from lab.simulation import MemoryNetwork, World
from stage4_sequencer.pool import Pool
from stage5_pos.clock import SlotClock
from stage5_pos.ledger import TreeLedger
from stage5_pos.maker import BlockMaker
from stage5_pos.rules import Rules
from stage5_pos.tree import Tree
from tests.fixtures import kept_key
from tests.stage5_pos.builder import block, genesis, wins
from tests.stage5_pos.scenes import GENESIS

PLAYED = 1
SLOT = next(slot for slot in range(100, 200) if wins(PLAYED, slot) and wins(PLAYED, slot + 1))
"""A slot that the account wins, as it does the next one."""


class TimedNetwork(MemoryNetwork):
    """A network that only notes what is to be called later."""

    def __init__(self, world: World, address: str) -> None:
        super().__init__(world, address)
        self.timers: list[tuple[float, Any]] = []

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Note it."""
        self.timers.append((seconds, action))


class Scene:
    """A maker that plays one stake, on a clock that the test sets. `done` lists what it does, in order."""

    def __init__(self, slot: int, has_signed: bool = False) -> None:
        self.world = World(1, genesis().start_ms)
        self.world.now = float(slot)  # a slot takes a second
        self.done: list[Any] = []
        network, tree = TimedNetwork(self.world, "here"), Tree(GENESIS)
        self.timers = network.timers
        clock = SlotClock(network, genesis(), lambda code, reason: self.done.append(reason))
        self.maker = BlockMaker(
            clock, Rules(genesis()), {PLAYED: kept_key(PLAYED)}, tree,
            TreeLedger(tree, genesis().starting_balances(), {}), Pool(len),
            [(kept_key(PLAYED).account, SLOT)] if has_signed else [],
            lambda kind, content: self.done.append((kind, content)), lambda: self.done.append("committed"),
            self.done.append)

    def at(self, slot: float) -> list[Any]:
        """Set the clock to that slot, and call `on_slot`. Return what the maker does."""
        self.world.now = float(slot)
        self.done.clear()
        self.maker.on_slot()
        return list(self.done)


def made_in(slot: int) -> list[Any]:
    """What the maker does in a slot that it wins, if it has not drawn for it yet."""
    message: Message = block(slot, GENESIS, number=PLAYED)
    return [("slot", str(slot).encode()), "committed", message]


def test_the_slot_is_committed_before_the_block_is_signed_and_sent() -> None:
    scene = Scene(SLOT - 1)
    assert scene.at(SLOT) == made_in(SLOT)
    assert scene.at(SLOT + 1) == made_in(SLOT + 1)


def test_it_draws_once_for_each_slot() -> None:
    scene = Scene(SLOT - 1)
    scene.at(SLOT)
    assert scene.at(SLOT + 0.5) == []


def test_the_slot_in_which_it_starts_is_skipped() -> None:
    scene = Scene(SLOT)
    assert scene.at(SLOT + 0.5) == []
    assert scene.at(SLOT + 1) == made_in(SLOT + 1)


def test_the_slot_in_the_journal_is_skipped_even_if_the_clock_was_set_back() -> None:
    scene = Scene(SLOT - 10)
    scene.maker.skip_slots_until(SLOT)
    [told] = scene.at(SLOT - 1)
    assert "clock has gone back: no block is made for 2.0 seconds" in told
    assert scene.at(SLOT) == []
    assert scene.at(SLOT + 1) == made_in(SLOT + 1)


def test_an_account_that_has_signed_elsewhere_does_not_sign() -> None:
    assert Scene(SLOT - 1, has_signed=True).at(SLOT) == made_in(SLOT)[:2]


@pytest.mark.parametrize("at, seconds", [(0.0, 1.0), (0.25, 0.75), (-2.5, 0.5)])
def test_its_timer_is_set_for_the_start_of_the_next_slot(at: float, seconds: float) -> None:
    scene = Scene(SLOT)
    scene.world.now = SLOT + at
    scene.maker.await_slot()
    assert scene.timers == [(seconds, scene.maker.on_slot)]
