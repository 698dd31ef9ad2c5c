"""A block of stage 4."""

from typing import NamedTuple


class Block(NamedTuple):
    """The ids of transactions in the order in which they take effect."""

    id: str
    number: int
    transactions: list[str]
    frame: bytes
