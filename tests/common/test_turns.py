"""Turns, on a clock that the test sets: how much time each line gets, and what waits until the inbox is empty."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from common.limits import LARGE_BYTES, MAX_CREDIT, MAX_DEBT, MAX_POSTPONED_SECONDS, OWN_SHARE
from common.outbox import Pace
from common.turns import Turns


class Clock:
    """A clock on which time passes only while somebody works."""

    def __init__(self) -> None:
        self.time = 0.0
        self.spent: defaultdict[str, float] = defaultdict(float)
        """Name -> the seconds of work done for it."""
        self.done: list[str] = []

    def now(self) -> float:
        """The time in seconds."""
        return self.time

    def work(self, name: str, seconds: float) -> None:
        """Work for `seconds`."""
        self.time += seconds
        self.spent[name] += seconds
        self.done.append(name)


def keep_busy(turns: Turns, clock: Clock, is_own: bool, name: str, seconds: float) -> None:
    """Give somebody endless work, `seconds` each time."""
    def work() -> None:
        turns.put(is_own, work)
        clock.work(name, seconds)

    turns.put(is_own, work)


@pytest.mark.parametrize("own, strange", [(0.001, 0.001), (0.001, 0.03), (0.01, 0.5), (0.03, 0.001), (0.001, 0.9)])
def test_strangers_get_their_share_of_the_time_however_many_they_are(own: float, strange: float) -> None:
    clock = Clock()
    turns = Turns(clock.now, clock.now)
    keep_busy(turns, clock, True, "own", own)
    for number in range(100):
        keep_busy(turns, clock, False, f"stranger {number}", strange)
    while clock.time < 100:
        turns.do_next()
    strangers = sum(clock.spent.values()) - clock.spent["own"]
    assert abs(strangers - clock.spent["own"] / OWN_SHARE) <= MAX_DEBT + strange + own
    counts = Counter(name for name in clock.done if name != "own")
    assert max(counts.values()) - min(counts[f"stranger {number}"] for number in range(100)) <= 1


def test_the_time_of_readers_counts_as_well() -> None:
    clock = Clock()
    turns = Turns(clock.now, clock.now)
    keep_busy(turns, clock, True, "own", 0.01)

    def work() -> None:
        turns.put(False, work, spent=0.03)
        clock.work("strangers", 0.01)

    turns.put(False, work, spent=0.03)
    while clock.time < 100:
        turns.do_next()
    assert abs(4 * clock.spent["strangers"] - clock.spent["own"] / OWN_SHARE) <= MAX_DEBT + 0.05


@pytest.mark.parametrize("is_own", [True, False])
def test_a_line_that_had_all_the_time_while_it_was_alone_owes_nothing(is_own: bool) -> None:
    clock = Clock()
    turns = Turns(clock.now, clock.now)
    keep_busy(turns, clock, is_own, "first", 0.01)
    while clock.time < 100:
        turns.do_next()
    keep_busy(turns, clock, not is_own, "late", 0.01)
    start = dict(clock.spent)
    while clock.time < 101:
        turns.do_next()
    first, late = clock.spent["first"] - start["first"], clock.spent["late"]
    own, strange = (first, late) if is_own else (late, first)
    assert abs(own / OWN_SHARE - strange) < 0.03


def test_a_slow_peer_of_our_own_makes_strangers_wait_only_for_a_bounded_time() -> None:
    clock = Clock()
    turns = Turns(clock.now, clock.now)
    keep_busy(turns, clock, True, "own", 0.5)
    keep_busy(turns, clock, False, "stranger", 0.01)
    while clock.time < 100:
        turns.do_next()
    assert clock.spent["stranger"] > 100 * MAX_CREDIT / (0.5 + MAX_CREDIT) / OWN_SHARE - 1


def test_postponed_work_waits_until_the_inbox_is_empty_or_for_a_second() -> None:
    clock = Clock()
    turns = Turns(clock.now, clock.now)
    keep_busy(turns, clock, False, "content", 0.01)
    for _ in range(3):
        turns.postpone(False, lambda: clock.work("costly", 0.5))
    times: list[float] = []
    while len(times) < 3:
        before = clock.time
        turns.do_next()
        if clock.done[-1] == "costly":
            times.append(before)
    assert all(later - earlier >= MAX_POSTPONED_SECONDS for earlier, later in itertools.pairwise([0.0, *times]))
    assert times[-1] < 3 * (MAX_POSTPONED_SECONDS + 0.5)


@pytest.mark.parametrize("is_own", [False, True])
def test_a_costly_stranger_waits_for_both_lines_and_a_costly_peer_of_our_own_for_one(is_own: bool) -> None:
    clock = Clock()
    turns = Turns(clock.now, clock.now)
    keep_busy(turns, clock, not is_own, "the other line", 0.01)
    turns.postpone(is_own, lambda: clock.work("costly", 0.1))
    while "costly" not in clock.done:
        turns.do_next()
    assert (clock.time > MAX_POSTPONED_SECONDS) == (not is_own)


def test_dropped_work_is_not_done() -> None:
    clock = Clock()
    turns = Turns(clock.now, clock.now)
    handlers: list[Callable[[], None]] = [lambda: clock.work("dropped", 0), lambda: clock.work("kept", 0)]
    for handler in handlers * 2:
        turns.postpone(False, handler)
    turns.forget(handlers[0])
    for _ in range(2):
        turns.do_next()
    assert clock.done == ["kept", "kept"] and not turns.is_waiting
    assert not turns.wait(0.001)


def test_a_peer_that_has_stopped_is_soon_below_a_slow_line() -> None:
    stopped, slow = Pace(), Pace()
    stopped.add(64 * LARGE_BYTES, 0.0)
    for tenth in range(31):
        slow.add(10 * 1_024, tenth / 10)
    assert stopped.at(1.0) > slow.at(3.0) > stopped.at(3.0)
