"""Blocks that wait until all that they need is there, and who can be asked for it.

Whoever sends a block says by it that they have what it lists. So a node asks the senders of a block, each for what is
still lacking, and tops up its questions as the answers come: a block may list fifty thousand transactions.
"""

from collections.abc import Collection, Iterable, Iterator

from common.interface import Connection


class WaitingBlock:
    """What one block lacks, and who has sent it."""

    def __init__(self, lacking: Iterable[str], now: float) -> None:
        self.order = tuple(lacking)
        """All that it lacked when it came, in the order of the block."""
        self.lacking = set(self.order)
        """What it still lacks."""
        self.senders: dict[Connection, Iterator[str]] = {}
        """Whoever has sent it, and what they are to be asked for next."""
        self.asked_at = now
        """When the senders were asked last from the beginning."""
        self.is_forsaken = False
        """Does it lack something that none of them has brought?"""

    def still_lacking(self) -> Iterator[str]:
        """What it lacks, in the order of the block; what has come by then is passed over."""
        return (one for one in self.order if one in self.lacking)


class Waiting:
    """Which block lacks which ids, and the other way round. Both are ids as strings."""

    def __init__(self) -> None:
        self._blocks: dict[str, WaitingBlock] = {}
        self._waiting_for: dict[str, dict[str, None]] = {}
        """Id -> the blocks that lack it, in order. One of a single entry is shared by all ids that only this block
        needs: there may be fifty thousand."""
        self._sent_by: dict[Connection, dict[str, None]] = {}

    def __contains__(self, block_id: str) -> bool:
        return block_id in self._blocks

    def __iter__(self) -> Iterator[str]:
        """The blocks, longest wait first."""
        return iter(self._blocks)

    def count_lacking(self) -> int:
        """How many ids are waited for by all blocks together."""
        return len(self._waiting_for)

    def lacking(self, block_id: str) -> set[str]:
        """What a block waits for."""
        return self._blocks[block_id].lacking

    def needed_by(self, needed: str) -> Collection[str]:
        """The blocks that wait for this id."""
        return self._waiting_for.get(needed, ())

    def add(self, block_id: str, lacking: Iterable[str], now: float) -> None:
        """Let a block wait for the ids that it lacks; at least one."""
        block = self._blocks[block_id] = WaitingBlock(lacking, now)
        alone = {block_id: None}
        for needed in block.lacking:
            others = self._waiting_for.setdefault(needed, alone)
            if len(others) > 1:
                others[block_id] = None
            elif others is not alone:
                self._waiting_for[needed] = others | alone

    def on_arrived(self, needed: str) -> list[str]:
        """Something has come; give the blocks that lack nothing any more, and wait no longer."""
        complete = []
        for block_id in self._waiting_for.pop(needed, ()):
            block = self._blocks[block_id]
            block.lacking.discard(needed)
            block.is_forsaken = False
            if not block.lacking:
                self._remove(block_id)
                complete.append(block_id)
        return complete

    def discard(self, block_id: str) -> list[str]:
        """Let a block wait no longer; give the ids that no other block waits for."""
        if block_id not in self._blocks:
            return []
        unneeded = []
        for needed in self._remove(block_id).lacking:
            if len(self._waiting_for[needed]) > 1:
                del self._waiting_for[needed][block_id]
            else:
                del self._waiting_for[needed]
                unneeded.append(needed)
        return unneeded

    def _remove(self, block_id: str) -> WaitingBlock:
        block = self._blocks.pop(block_id)
        for connection in block.senders:
            del self._sent_by[connection][block_id]
            if not self._sent_by[connection]:
                del self._sent_by[connection]
        return block

    # --- who is asked ---------------------------------------------------------------------------

    def on_sent(self, block_id: str, connection: Connection) -> None:
        """A connection has sent a block that waits, or says that it has it: it can be asked for what that lacks."""
        block = self._blocks[block_id]
        if connection not in block.senders:
            block.is_forsaken = False
            block.senders[connection] = block.still_lacking()
            self._sent_by.setdefault(connection, {})[block_id] = None

    def on_lost(self, connection: Connection) -> None:
        """A connection is gone, and cannot be asked any more."""
        for block_id in self._sent_by.pop(connection, ()):
            del self._blocks[block_id].senders[connection]

    def on_forsaken(self, needed: str) -> None:
        """None of those that were asked for this id has brought it."""
        for block_id in self.needed_by(needed):
            self._blocks[block_id].is_forsaken = True

    def is_forsaken(self, block_id: str) -> bool:
        """Does nobody who was asked have what this block lacks?"""
        return self._blocks[block_id].is_forsaken or not self._blocks[block_id].senders

    def senders(self, block_id: str) -> Collection[Connection]:
        """Whoever has sent a block that waits."""
        return self._blocks[block_id].senders

    def to_ask(self, connection: Connection) -> Iterator[str]:
        """What a connection is to be asked for next, since it has sent blocks which lack that."""
        for block_id in list(self._sent_by.get(connection, ())):
            yield from self._blocks[block_id].senders[connection]

    def due_again(self, before: float, now: float) -> list[str]:
        """The blocks for which nobody was asked since that moment. Their senders are to be asked from the beginning."""
        due = [block_id for block_id, block in self._blocks.items() if block.asked_at <= before]
        for block_id in due:
            block = self._blocks[block_id]
            block.asked_at = now
            for connection in block.senders:
                block.senders[connection] = block.still_lacking()
        return due
