"""What a network of stage 5 begins with; its id is the network's name (contract §1, §3)."""

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import ClassVar

from common.encoding import ID, INTEGER, Field, FormatError, Message, Shape, is_id, is_integer
from stage4_sequencer.genesis import ACCOUNTS, BALANCES, MILLISECONDS, StageGenesis

TICKETS = 2**256
"""How many values a ticket can have."""

THRESHOLD_ERROR = 2**216
"""How far a listed threshold may differ from ours, as founders may round differently. It changes the chance to win by
2^-40 only."""

DIGITS = 90
"""Decimal digits in the computation of thresholds. 2^256 has 78, so the result is off by less than 1."""

SHAPE: Shape = {
    "seed": ID,
    "start_ms": INTEGER,
    "slot_ms": MILLISECONDS,
    "block_permille": Field(lambda value: is_integer(value, 1, 999), "an integer from 1 to 999"),
    "accounts": ACCOUNTS,
    "balances": BALANCES,
    "thresholds": Field(lambda value: isinstance(value, list) and all(map(is_id, value)),
                        "a list of numbers of 64 lower-case hex digits"),
}


class InvalidGenesis(ValueError):
    """A genesis of the right form whose thresholds do not follow from its balances."""


@dataclass(frozen=True)
class Genesis(StageGenesis):
    """When the slots are, how often a slot has a block, and what every account starts with."""

    STAGE: ClassVar[int] = 5

    seed: str
    start_ms: int
    slot_ms: int
    block_permille: int
    accounts: list[str]
    balances: list[int]
    thresholds: list[str]

    def winning_thresholds(self) -> dict[str, int]:
        """Account -> the number below which its tickets win. It is 0 for an account without stake."""
        return {account: int(digits, 16) for account, digits in zip(self.accounts, self.thresholds, strict=True)}

    def slot_at(self, now_ms: int) -> int:
        """The slot at a Unix time in milliseconds; negative before the network's start."""
        return (now_ms - self.start_ms) // self.slot_ms

    def slot_start(self, slot: int) -> int:
        """When a slot begins, as a Unix time in milliseconds."""
        return self.start_ms + slot * self.slot_ms


def threshold(stake: int, total: int, block_permille: int) -> int:
    """2^256 (1 - (1 - f)^s) for the share s = stake / total and f = block_permille / 1000 (contract §3).

    It is 0 without stake, and f of all tickets for a single account with all the stake.
    """
    # Why not floats? They have 53 bits, and a ticket has 256.
    with localcontext(Context(prec=DIGITS)):
        losing = (1 - Decimal(block_permille) / 1000) ** (Decimal(stake) / total)
        return int(TICKETS * (1 - losing))


def make_genesis(seed: str, start_ms: int, slot_ms: int, block_permille: int,
                 accounts: list[str], balances: list[int]) -> Genesis:
    """Make a genesis, with the thresholds that follow from the balances."""
    total = sum(balances)
    thresholds = [f"{threshold(stake, total, block_permille):064x}" for stake in balances]
    return Genesis(seed, start_ms, slot_ms, block_permille, accounts, balances, thresholds)


def read_genesis(message: Message) -> Genesis:
    """Read a genesis that has its shape; FormatError for lists of different lengths, InvalidAccount for an
    account that is not a key, InvalidGenesis for a threshold that is off by more than 2^216 (contract §3)."""
    genesis = Genesis(**{member: message[member] for member in SHAPE})
    genesis.check_accounts()
    if len(genesis.accounts) != len(genesis.thresholds):
        raise FormatError("genesis: expected as many thresholds as accounts")
    _check_thresholds(genesis)
    return genesis


def _check_thresholds(genesis: Genesis) -> None:
    """InvalidGenesis unless each listed threshold follows from its balance."""
    total = sum(genesis.balances)
    for balance, digits in zip(genesis.balances, genesis.thresholds, strict=True):
        if abs(int(digits, 16) - threshold(balance, total, genesis.block_permille)) > THRESHOLD_ERROR:
            raise InvalidGenesis(f"threshold {digits} does not follow from a balance of {balance} of {total}")
