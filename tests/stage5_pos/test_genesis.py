"""The genesis of stage 5: its id, thresholds and clock, and what is refused (contract §1, §3)."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.encoding import MAX_INTEGER, FormatError, Message, check_shape, decode_frame, encode_frame
from common.rsa import InvalidAccount
from stage5_pos.genesis import (
    SHAPE,
    Genesis,
    InvalidGenesis,
    make_genesis,
    read_genesis,
    threshold,
)
from tests.fixtures import kept_key

SEED = "5eed" * 16
ACCOUNTS = [kept_key(number).account for number in range(1, 11)]
MILLION = 1_000_000
ALLOWED = 2**216
"""The greatest error that a threshold may have (contract §3)."""
GENESIS = make_genesis(SEED, 1_700_000_000_000, 1_000, 100, ACCOUNTS, [MILLION] * 10)


def check(message: Message) -> Genesis:
    """Check a genesis as a node does: over the wire, then its shape, then its content."""
    message = decode_frame(encode_frame(message))
    check_shape(message, SHAPE)
    return read_genesis(message)


# --- what it says -------------------------------------------------------------------------------

def test_a_genesis_is_read_as_it_was_made() -> None:
    assert check(GENESIS.message()) == GENESIS
    assert list(GENESIS.message()) == ["type", "seed", "start_ms", "slot_ms", "block_permille", "accounts",
                                       "balances", "thresholds"]


def test_its_id_is_the_hash_of_its_canonical_bytes() -> None:
    values = ["genesis", 5, SEED, 1_700_000_000_000, 1_000, 100, ACCOUNTS, [MILLION] * 10, GENESIS.thresholds]
    canonical = json.dumps(values, separators=(",", ":"))
    assert GENESIS.id == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize("change", [
    {"seed": "5eee" * 16}, {"start_ms": 1_700_000_000_001}, {"slot_ms": 1_001}, {"block_permille": 101},
    {"accounts": ACCOUNTS[::-1]}, {"balances": [MILLION] * 9 + [MILLION + 1]}, {"thresholds": ["0" * 64] * 10},
])
def test_every_member_changes_the_id(change: dict[str, Any]) -> None:
    assert replace(GENESIS, **change).id != GENESIS.id


def test_balances_and_thresholds_by_account() -> None:
    genesis = make_genesis(SEED, 0, 1_000, 100, ACCOUNTS[:3], [3, 0, 1])
    assert genesis.starting_balances() == dict(zip(ACCOUNTS, [3, 0, 1], strict=False))
    assert genesis.winning_thresholds() == {account: threshold(stake, 4, 100)
                                            for account, stake in zip(ACCOUNTS, [3, 0, 1], strict=False)}


# --- thresholds ---------------------------------------------------------------------------------

def test_a_single_account_wins_with_the_rate_of_the_network() -> None:
    for permille in (1, 100, 500, 999):
        assert abs(threshold(7, 7, permille) - Fraction(permille, 1000) * 2**256) < 1
    assert threshold(MAX_INTEGER, MAX_INTEGER, 999) < 2**256


def test_an_account_without_stake_never_wins() -> None:
    assert threshold(0, 5, 999) == 0
    assert make_genesis(SEED, 0, 1, 1, ACCOUNTS[:2], [0, 5]).thresholds[0] == "0" * 64


@pytest.mark.parametrize(("stake", "total"), [(1, 2), (1, 3), (1, 10), (3, 7), (9, 10)])
@pytest.mark.parametrize("permille", [1, 100, 500, 999])
def test_thresholds_are_right_to_the_last_digit(stake: int, total: int, permille: int) -> None:
    """Checked with integers alone: x = threshold / 2^256 solves (1 - x)^total = (1 - f)^stake."""
    found = threshold(stake, total, permille)
    target = Fraction(1000 - permille, 1000) ** stake
    assert (1 - Fraction(found - 2, 2**256)) ** total > target > (1 - Fraction(found + 2, 2**256)) ** total


def test_the_threshold_of_one_of_ten_equal_accounts() -> None:
    """About a hundredth. A founder of another implementation should find the same value."""
    assert GENESIS.thresholds == [f"{threshold(1, 10, 100):064x}"] * 10
    assert math.isclose(threshold(1, 10, 100) / 2**256, 1 - 0.9**0.1, rel_tol=1e-12)


@given(st.integers(1, MAX_INTEGER), st.integers(1, 999))
def test_the_smallest_stake_has_a_chance(total: int, permille: int) -> None:
    expected = -math.expm1(math.log1p(-permille / 1000) / total)
    assert math.isclose(threshold(1, total, permille) / 2**256, expected, rel_tol=1e-9)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=8).filter(any), st.integers(1, 999))
def test_splitting_a_stake_leaves_the_chance_to_win_a_slot_the_same(parts: list[int], permille: int) -> None:
    total = sum(parts) + 10**6
    losing = math.prod(2**256 - threshold(part, total, permille) for part in parts)
    whole = 2**256 - threshold(sum(parts), total, permille)
    assert abs(Fraction(losing, 2 ** (256 * len(parts))) - Fraction(whole, 2**256)) < Fraction(16, 2**256)


# --- what is refused ----------------------------------------------------------------------------

def changed(**members: Any) -> Message:
    """The good genesis with other members."""
    return {**GENESIS.message(), **members}


ZEROS = ["0" * 64]
WRONG_FORMS = {
    "seed in upper case": {"seed": SEED.upper()}, "seed too short": {"seed": SEED[1:]}, "seed a number": {"seed": 1},
    "negative start": {"start_ms": -1}, "start too large": {"start_ms": MAX_INTEGER + 1}, "start true": {"start_ms": True},
    "slot of 0": {"slot_ms": 0}, "slot too long": {"slot_ms": 3_600_001}, "slot a text": {"slot_ms": "1000"},
    "rate 0": {"block_permille": 0}, "rate 1": {"block_permille": 1000}, "negative rate": {"block_permille": -1},
    "no accounts": {"accounts": [], "balances": [], "thresholds": []},
    "an account twice": {"accounts": ACCOUNTS[:9] + ACCOUNTS[:1]},
    "101 accounts": {"accounts": [str(number) for number in range(101)], "balances": [1] * 101, "thresholds": ZEROS * 101},
    "accounts no list": {"accounts": ACCOUNTS[0]}, "an account a number": {"accounts": [*ACCOUNTS[:9], 1]},
    "negative balance": {"balances": [MILLION] * 9 + [-1]}, "balance true": {"balances": [MILLION] * 9 + [True]},
    "sum 0": {"balances": [0] * 10}, "sum too large": {"balances": [MAX_INTEGER, 1] + [0] * 8},
    "balances no list": {"balances": 10 * MILLION}, "balance a list": {"balances": [MILLION] * 9 + [[MILLION]]},
    "one account less": {"accounts": ACCOUNTS[:9]}, "one balance less": {"balances": [MILLION] * 9},
    "one threshold less": {"thresholds": GENESIS.thresholds[:9]}, "one account more": {"accounts": [*ACCOUNTS, "a"]},
    "one balance more": {"balances": [MILLION] * 11}, "one threshold more": {"thresholds": GENESIS.thresholds + ZEROS},
    "threshold too short": {"thresholds": [*GENESIS.thresholds[:9], "0" * 63]},
    "threshold of 2^256": {"thresholds": [*GENESIS.thresholds[:9], "1" + "0" * 64]},
    "threshold in upper case": {"thresholds": [digits.upper() for digits in GENESIS.thresholds]},
    "threshold a number": {"thresholds": [*GENESIS.thresholds[:9], 0]}, "thresholds no list": {"thresholds": "0" * 64},
    "one member more": {"nonce": "0" * 32},
}


@pytest.mark.parametrize("members", WRONG_FORMS.values(), ids=WRONG_FORMS)
def test_a_genesis_of_the_wrong_form_is_a_format_error(members: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="^genesis"):
        check(changed(**members))


@pytest.mark.parametrize("member", SHAPE)
def test_a_genesis_without_a_member_is_a_format_error(member: str) -> None:
    with pytest.raises(FormatError, match=f"{member} is missing"):
        check({name: value for name, value in GENESIS.message().items() if name != member})


@pytest.mark.parametrize(("slot_ms", "permille", "count"), [(1, 1, 1), (3_600_000, 999, 1), (1_000, 100, 10)])
def test_the_ends_of_the_ranges_are_good(slot_ms: int, permille: int, count: int) -> None:
    balances = [MAX_INTEGER - count + 1] + [1] * (count - 1)
    for start_ms in (0, MAX_INTEGER):
        genesis = make_genesis(SEED, start_ms, slot_ms, permille, ACCOUNTS[:count], balances)
        assert check(genesis.message()) == genesis


@pytest.mark.parametrize("account", ["", "alice", ACCOUNTS[0] + "\n", ACCOUNTS[0][:-4], "A" * 392, "ä"])
def test_an_account_that_is_no_key_is_refused(account: str) -> None:
    with pytest.raises(InvalidAccount):
        check(changed(accounts=[*ACCOUNTS[:9], account]))


def shifted(by: int) -> Message:
    """The good genesis, with its last threshold changed by `by`."""
    return changed(thresholds=[*GENESIS.thresholds[:9], f"{int(GENESIS.thresholds[9], 16) + by:064x}"])


@pytest.mark.parametrize("by", [ALLOWED, -ALLOWED, 1, -1])
def test_a_threshold_may_be_a_little_off_and_counts_as_it_is_listed(by: int) -> None:
    genesis = check(shifted(by))
    assert genesis.winning_thresholds()[ACCOUNTS[9]] == threshold(1, 10, 100) + by
    assert genesis.id != GENESIS.id


TOO_FAR_OFF: dict[str, Callable[[], Message]] = {
    "one more than allowed": lambda: shifted(ALLOWED + 1),
    "one less than allowed": lambda: shifted(-ALLOWED - 1),
    "twice the chance": lambda: shifted(int(GENESIS.thresholds[9], 16)),
    "never": lambda: changed(thresholds=GENESIS.thresholds[:9] + ZEROS),
    "always": lambda: changed(thresholds=["f" * 64] * 10),
    "the chance of all": lambda: changed(thresholds=[f"{threshold(1, 1, 100):064x}"] * 10),
    "shares of something else": lambda: changed(balances=[2 * MILLION] + [MILLION] * 9),
    "another rate": lambda: changed(block_permille=101),
}


@pytest.mark.parametrize("message", TOO_FAR_OFF.values(), ids=TOO_FAR_OFF)
def test_a_threshold_that_does_not_follow_from_the_stake_is_refused(message: Callable[[], Message]) -> None:
    with pytest.raises(InvalidGenesis, match="does not follow"):
        check(message())


# --- slots --------------------------------------------------------------------------------------

def test_slots_follow_the_clock() -> None:
    genesis = replace(GENESIS, start_ms=10_000, slot_ms=500)
    assert [genesis.slot_at(now) for now in (10_000, 10_499, 10_500, 10_999, 11_000)] == [0, 0, 1, 1, 2]
    assert [genesis.slot_at(now) for now in (9_999, 9_500, 9_499)] == [-1, -1, -2]
    assert [genesis.slot_start(slot) for slot in (0, 1, 7)] == [10_000, 10_500, 13_500]


@given(st.integers(0, MAX_INTEGER), st.integers(1, 3_600_000), st.integers(0, MAX_INTEGER))
def test_now_lies_in_the_current_slot(start_ms: int, slot_ms: int, now_ms: int) -> None:
    genesis = replace(GENESIS, start_ms=start_ms, slot_ms=slot_ms)
    slot = genesis.slot_at(now_ms)
    assert genesis.slot_start(slot) <= now_ms < genesis.slot_start(slot + 1)
    assert genesis.slot_at(genesis.slot_start(slot)) == slot
