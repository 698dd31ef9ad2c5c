"""Blocks that wait for their parent or for transactions, and which of them gives way when too many do.

A node cannot know whether a block that lacks something will ever be worth anything (contract §3, stage 5). So what
gives way is not whatever came first or last, but what is least likely to become part of the tree, and among equals what
belongs to whoever fills the most room: a hundred orphans of a stranger leave before one block of somebody else.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from common.interface import Connection
from common.limits import MAX_WAITING, MAX_WAITING_BYTES
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
        self._bytes = 0
        self._counts: dict[Connection | None, int] = {}
        """How many blocks of each connection wait."""

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, block_id: str) -> bool:
        return block_id in self._blocks

    def __getitem__(self, block_id: str) -> PutOff:
        return self._blocks[block_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def since_before(self, moment: float) -> list[str]:
        """The ids of those that have waited since before that moment."""
        return [block_id for block_id, entry in self._blocks.items() if entry.since < moment]

    def count_of(self, connection: Connection) -> int:
        """How many blocks wait that this connection has sent first."""
        return self._counts.get(connection, 0)

    def add(self, entry: PutOff) -> None:
        """Let a block wait, even if there are too many then."""
        self._blocks[entry.block.id] = entry
        self._bytes += len(entry.block.frame)
        self._count(entry.connection, 1)

    def on_copy(self, block_id: str, connection: Connection) -> None:
        """A block that waits comes again: it counts as sent by whichever of the two has sent less."""
        entry = self._blocks[block_id]
        if entry.connection is None or self.count_of(connection) < self._counts[entry.connection]:
            self._count(entry.connection, -1)
            self._count(connection, 1)
            self._blocks[block_id] = entry._replace(connection=connection)

    def pop(self, block_id: str) -> PutOff:
        """A block waits no longer."""
        entry = self._blocks.pop(block_id)
        self._bytes -= len(entry.block.frame)
        self._count(entry.connection, -1)
        return entry

    def _count(self, connection: Connection | None, change: int) -> None:
        self._counts[connection] = self._counts.get(connection, 0) + change
        if not self._counts[connection]:
            del self._counts[connection]

    @property
    def is_overfull(self) -> bool:
        """Do more blocks wait than may? One may always."""
        return len(self) > 1 and (len(self) > MAX_WAITING or self._bytes > MAX_WAITING_BYTES)

    def hanging(self, is_here: Callable[[str], bool]) -> set[str]:
        """The ids of those that hang in the air: going from parent to parent one comes to a block that is not here."""
        hangs: dict[str, bool] = {}
        for block_id in self._blocks:
            branch = []
            while block_id in self._blocks and block_id not in hangs:
                branch.append(block_id)
                block_id = self._blocks[block_id].block.parent_id
            is_hanging = hangs.get(block_id, not is_here(block_id))
            hangs.update(dict.fromkeys(branch, is_hanging))
        return {block_id for block_id, is_hanging in hangs.items() if is_hanging}

    def giving_way(self, is_here: Callable[[str], bool], is_forsaken: Callable[[str], bool],
                   trust: Callable[[Connection], int]) -> list[str]:
        """The ids of what waits, what is least likely to become part of the tree first: what nobody has who was asked
        for it, then what hangs in the air, then what strangers have sent, and of that whatever comes from those who
        have sent most: the newest of a branch, whose beginning is worth more, and otherwise the oldest."""
        hanging = self.hanging(is_here)

        def order(numbered: tuple[int, PutOff]) -> tuple[bool, bool, bool, int, int]:
            number, (block, connection, _) = numbered
            is_strangers = connection is not None and trust(connection) == 0
            return (is_forsaken(block.id), block.id in hanging, is_strangers, self._counts[connection],
                    -number if block.id in hanging else number)

        return [entry.block.id for _, entry in sorted(enumerate(self._blocks.values()), key=order, reverse=True)]
