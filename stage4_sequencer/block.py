"""A block of stage 4, and the check of a signature, which stage 5 uses, too."""

from typing import NamedTuple

from common.interface import Invalid
from common.rsa import verify


class Block(NamedTuple):
    """The ids of transactions in the order in which they take effect."""

    id: str
    number: int
    transactions: list[str]
    frame: bytes


def check_signed(what: str, account: str, signed: bytes, signature: str) -> None:
    """Invalid unless this is the account's signature over these bytes; the reason begins with `what`."""
    try:
        verify(account, signed, signature)
    except ValueError as error:
        raise Invalid(f"{what}: {error}") from None
