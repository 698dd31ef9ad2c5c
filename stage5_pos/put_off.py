"""Blocks that wait for their parent or for transactions, and how many may (contract §3, stage 5)."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from common.interface import Connection
from common.limits import MAX_WAITING, MAX_WAITING_IDS, MAX_WAITING_TWINS
from stage5_pos.tree import Block


class PutOff(NamedTuple):
    """A block that waits, from whom it came, and since when, in seconds of the network's clock."""

    block: Block
    connection: Connection | None
    since: float


class PutOffBlocks:
    """The blocks that wait, longest wait first."""

    def __init__(self) -> None:
        self._blocks: dict[str, PutOff] = {}
        self._ids = 0
        """How many transactions they name."""
        self._twins: Counter[tuple[str, int]] = Counter()
        """Creator and slot -> how many of them wait."""

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, block_id: str) -> bool:
        return block_id in self._blocks

    def __getitem__(self, block_id: str) -> PutOff:
        return self._blocks[block_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def since_before(self, moment: float) -> list[str]:
        """Those that have waited since before that moment."""
        return [block_id for block_id, entry in self._blocks.items() if entry.since < moment]

    def has_twins(self, block: Block) -> bool:
        """Do as many blocks by this creator in this slot wait as may?"""
        return self._twins[block.creator, block.slot] >= MAX_WAITING_TWINS

    def has_room(self, ids: int = 0, blocks: int = 1) -> bool:
        """May that many more wait, which name that many transactions? One block may always."""
        return not self._blocks or (len(self) + blocks <= MAX_WAITING and self._ids + ids <= MAX_WAITING_IDS)

    def add(self, entry: PutOff) -> None:
        """Let a block wait."""
        self._blocks[entry.block.id] = entry
        self._ids += len(entry.block.transactions)
        self._twins[entry.block.creator, entry.block.slot] += 1

    def pop(self, block_id: str) -> PutOff:
        """A block waits no longer."""
        entry = self._blocks.pop(block_id)
        self._ids -= len(entry.block.transactions)
        self._twins[entry.block.creator, entry.block.slot] -= 1
        if not self._twins[entry.block.creator, entry.block.slot]:
            del self._twins[entry.block.creator, entry.block.slot]
        return entry
