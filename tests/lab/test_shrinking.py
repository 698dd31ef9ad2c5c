"""What fails on a long list of steps is made short: schedules of an adversary, and the random lives of the tests."""

import random

import pytest

from lab.schedules.shrinking import shrink_list
from tests.random_life import check_lives, random_life


def test_only_what_is_needed_to_fail_is_left() -> None:
    assert shrink_list(list(range(100)), lambda steps: {3, 50, 97} <= set(steps)) == [3, 50, 97]
    assert shrink_list(list(range(10)), lambda steps: False) == list(range(10)), "no time"


def test_a_life_that_fails_is_made_short_and_its_own_failure_is_raised() -> None:
    lived: list[list[str]] = []

    def life(seed: int) -> None:
        happened: list[str] = []
        lived.append(happened)
        random_life(random.Random(seed), 40, {0.1: lambda: happened.append("bad"), 1.0: lambda: happened.append("good")})
        assert happened.count("bad") < 2, happened

    with pytest.raises(AssertionError) as raised:
        check_lives(range(5), life)
    assert lived[0].count("good") > 10 and "['bad', 'bad']" in str(raised.value)
    assert "made as short as it can be: 2 of 40 steps" in raised.value.__notes__[0]


def test_a_life_that_meets_unwritten_code_is_not_made_short() -> None:
    times = 0

    def life(seed: int) -> None:
        nonlocal times
        times += 1
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        check_lives([1], life)
    assert times == 1
