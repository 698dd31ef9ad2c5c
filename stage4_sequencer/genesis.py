"""What a network of stage 4 begins with; its id is the network's name (contract §1, §3)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from common.encoding import (MAX_INTEGER, NONCE, STRING, Field, FormatError, Message, Shape, canon, is_integer,
                             is_list_of, make_id)
from common.rsa import check_account

FOUNDERS_BALANCE = 1_000_000
MAX_ACCOUNTS = 100
MAX_MILLISECONDS = 3_600_000

MILLISECONDS = Field(lambda value: is_integer(value, 1, MAX_MILLISECONDS), f"1 to {MAX_MILLISECONDS} milliseconds")
ACCOUNTS = Field(is_list_of(STRING.is_good, MAX_ACCOUNTS, low=1), f"1 to {MAX_ACCOUNTS} accounts, none twice")


def _is_balances(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_integer, value)) and 1 <= sum(value) <= MAX_INTEGER


BALANCES = Field(_is_balances, f"integers with a sum of 1 to {MAX_INTEGER}")

SHAPE: Shape = {"nonce": NONCE, "sequencer": STRING, "interval_ms": MILLISECONDS,
                "accounts": ACCOUNTS, "balances": BALANCES}


class StageGenesis:
    """A genesis, in stages 4 and 5 alike. Each stage adds its members, in the order of the contract."""

    STAGE: ClassVar[int]
    accounts: list[str]
    balances: list[int]

    @property
    def id(self) -> str:
        """The id of the genesis, which is the name of its network."""
        return make_id(canon(["genesis", self.STAGE, *vars(self).values()]))

    def message(self) -> Message:
        """The genesis as it goes over the wire."""
        return {"type": "genesis", **vars(self)}

    def check_accounts(self) -> None:
        """FormatError unless there are as many balances as accounts, InvalidAccount for an account that is no key."""
        if len(self.accounts) != len(self.balances):
            raise FormatError("genesis: expected as many balances as accounts")
        for account in self.accounts:
            check_account(account)

    def starting_balances(self) -> dict[str, int]:
        """What every account has before the first block. In stage 5 the same numbers are the stakes."""
        return dict(zip(self.accounts, self.balances, strict=True))


@dataclass(frozen=True)
class Genesis(StageGenesis):
    """Who orders, how often, and what every account starts with."""

    STAGE: ClassVar[int] = 4

    nonce: str
    sequencer: str
    interval_ms: int
    accounts: list[str]
    balances: list[int]


def read_genesis(message: Message) -> Genesis:
    """Read a genesis that has its shape; FormatError for lists of different lengths, ValueError for a
    sequencer or an account that is not a key."""
    genesis = Genesis(**{member: message[member] for member in SHAPE})
    genesis.check_accounts()
    check_account(genesis.sequencer)
    return genesis
