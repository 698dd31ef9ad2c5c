"""The lottery of stage 5: chances follow the stake, and nobody can draw twice (contract §3)."""

import hashlib
import json
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

import pytest

from common.encoding import encode_base64
from common.rsa import InvalidSignature, verify
from stage5_pos.genesis import make_genesis, threshold
from stage5_pos.lottery import is_winning, lottery_bytes, make_draw, ticket_value
from tests.fixtures import kept_key

SEEDS = [hashlib.sha256(b"lottery %d" % number).hexdigest() for number in range(2)]
SLOTS = 10_000
PERMILLE = 100
OUTSIDE = Decimal("0.001")
"""The chance that a fair lottery falls outside the interval, half of it on either side."""


def binomial_interval(trials: int, chance: Fraction) -> tuple[int, int]:
    """The 99.9 % interval of the binomial: each side outside it has a chance of at most 0.0005.

    The terms are added one by one, with 60 digits, so that the result depends on no approximation.
    """
    with localcontext(Context(prec=60)):
        p = Decimal(chance.numerator) / chance.denominator
        term, below, low = (1 - p) ** trials, Decimal(0), -1
        for wins in range(trials + 1):
            below += term
            if low < 0 and below > OUTSIDE / 2:
                low = wins
            if below >= 1 - OUTSIDE / 2:
                return low, wins
            term *= p / (1 - p) * (trials - wins) / (wins + 1)
    raise AssertionError("the terms of a binomial sum to 1")


@lru_cache
def values_of(seed: str, account: str) -> list[int]:
    """The values of an account's tickets, slot by slot.

    The draws are invented. That is as good as signatures here, since a value is a hash of the draw.
    """
    draws = [encode_base64(hashlib.sha256(f"{account} {slot}".encode()).digest()) for slot in range(SLOTS)]
    return [ticket_value(seed, slot, account, draw) for slot, draw in enumerate(draws)]


def slots_won(seed: str, account: str, stake: int, total: int) -> set[int]:
    """The slots in which this account may make a block."""
    limit = threshold(stake, total, PERMILLE)
    return {slot for slot, value in enumerate(values_of(seed, account)) if is_winning(value, limit)}


def chance_of(stake: int, total: int) -> Fraction:
    """1 - (1 - f)^s in floats, unlike stage5_pos/genesis.py, with an error of about 1e-16."""
    return Fraction(1 - (1 - PERMILLE / 1000) ** (stake / total))


def assert_fair(wins: int, trials: int, chance: Fraction) -> None:
    """Check that the number of wins lies within the 99.9 % interval."""
    low, high = binomial_interval(trials, chance)
    print(f"{wins} wins in {trials} slots, the interval is {low} to {high}")
    assert low <= wins <= high


def test_the_interval_is_that_of_the_binomial() -> None:
    """Computed by hand: ten tosses are all heads with probability 1/1024, more than 0.0005; eleven with 1/2048."""
    assert binomial_interval(10, Fraction(1, 2)) == (0, 10)
    assert binomial_interval(11, Fraction(1, 2)) == (1, 10)
    assert binomial_interval(100, Fraction(1, 2)) == (34, 66)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("stakes", [[1] * 10, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [990, 5, 4, 1], [1]],
                         ids=["equal", "unequal", "one has nearly all", "one has all"])
def test_wins_follow_the_stake(seed: str, stakes: list[int]) -> None:
    print(f"seed {seed}")
    won = [slots_won(seed, f"key {number}", stake, sum(stakes)) for number, stake in enumerate(stakes)]
    for wins, stake in zip(won, stakes, strict=True):
        assert_fair(len(wins), SLOTS, chance_of(stake, sum(stakes)))
    # However the stake is spread, a slot has a block with the probability of the network.
    assert_fair(len(set.union(*won)), SLOTS, Fraction(PERMILLE, 1000))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("parts", [[500], [250, 250], [10] * 9 + [410], [100] * 5, [499, 1]])
def test_splitting_a_stake_over_several_keys_does_not_change_its_owners_share(seed: str, parts: list[int]) -> None:
    """The owner of half of the stake wins equally many slots with any set of keys, and so does everybody else."""
    print(f"seed {seed}")
    won = [slots_won(seed, f"key {number}", part, 1000) for number, part in enumerate(parts)]
    assert_fair(len(set.union(*won)), SLOTS, chance_of(500, 1000))
    assert_fair(len(slots_won(seed, "somebody else", 500, 1000)), SLOTS, chance_of(500, 1000))


def test_real_signatures_win_as_often() -> None:
    seed, slots, keys = SEEDS[0], 40, [kept_key(number) for number in range(1, 11)]
    print(f"seed {seed}")
    limits = make_genesis(seed, 0, 1_000, 500, [key.account for key in keys], [1] * 10).winning_thresholds()
    won = set()
    for slot in range(1, slots + 1):
        for key in keys:
            draw = make_draw(key, seed, slot)
            verify(key.account, lottery_bytes(seed, slot), draw)
            if is_winning(ticket_value(seed, slot, key.account, draw), limits[key.account]):
                won.add(slot)
    assert_fair(len(won), slots, Fraction(1, 2))


# --- tickets and draws --------------------------------------------------------------------------

def test_the_signed_bytes_and_the_hashed_bytes() -> None:
    """The bytes of contract §3, implemented a second time."""
    seed, account = SEEDS[0], kept_key(1).account
    assert lottery_bytes(seed, 7) == f'["lottery","{seed}",7]'.encode()
    draw = make_draw(kept_key(1), seed, 7)
    assert draw == kept_key(1).sign(lottery_bytes(seed, 7))
    ticket = json.dumps(["ticket", seed, 7, account, draw], separators=(",", ":")).encode()
    assert ticket_value(seed, 7, account, draw) == int(hashlib.sha256(ticket).hexdigest(), 16)


def test_a_draw_is_always_the_same() -> None:
    assert len({make_draw(kept_key(1), SEEDS[0], 7) for _ in range(5)}) == 1


def test_a_draw_is_bound_to_its_key_its_seed_and_its_slot() -> None:
    draw = make_draw(kept_key(1), SEEDS[0], 7)
    for number, seed, slot in [(2, SEEDS[0], 7), (1, SEEDS[1], 7), (1, SEEDS[0], 8)]:
        assert make_draw(kept_key(number), seed, slot) != draw
        with pytest.raises(InvalidSignature):
            verify(kept_key(number).account, lottery_bytes(seed, slot), draw)


def test_every_part_of_a_ticket_changes_its_value() -> None:
    tickets = [(SEEDS[0], 7, "a", "d"), (SEEDS[1], 7, "a", "d"), (SEEDS[0], 8, "a", "d"), (SEEDS[0], 7, "b", "d"),
               (SEEDS[0], 7, "a", "e"), (SEEDS[0], 7, "ad", "")]
    assert len({ticket_value(*ticket) for ticket in tickets}) == len(tickets)


def test_a_value_wins_below_its_threshold_only() -> None:
    assert is_winning(4, 5) and not is_winning(5, 5) and not is_winning(6, 5)
    assert not is_winning(0, 0), "without stake, no ticket wins"
    assert 0 <= ticket_value(SEEDS[0], 1, "a", "d") < 2**256
