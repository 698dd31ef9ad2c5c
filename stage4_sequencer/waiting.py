"""Blocks that wait until everything they need is here, and which neighbours can be asked for it.

By sending a block, a neighbour claims to have what the block lists. So a node asks the senders of a block for
what is still lacking. A block may list fifty thousand transactions, so the node asks for some, and for more as the
answers come.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Protocol

from common.fetch_limits import MAX_FORSAKEN_WANT, WANT_AGAIN
from common.interface import Connection, Network
from common.parts import Part


class WaitingBlock:
    """What one block lacks, and who has sent it."""

    def __init__(self, lacking: Iterable[str], now: float) -> None:
        self.order: tuple[str, ...] = tuple(lacking)
        """All that it lacked when it came, in the order of the block."""
        self.lacking: set[str] = set(self.order)
        """What it still lacks."""
        self.senders: dict[Connection, Iterator[str]] = {}
        """The connections that have sent it, and what each is asked for next."""
        self.asked_at = now
        """When the senders were last asked for all of it, from the beginning."""
        self.is_forsaken = False
        """Does it lack something that none of them has brought?"""

    def still_lacking(self) -> Iterator[str]:
        """What it lacks, in the order of the block; ids that have come meanwhile are skipped."""
        # Why not `self.lacking` in the generator? It would refer to this object, which refers to the generator. Such a
        # cycle stays in memory for seconds after the block is given up, and a block may lack fifty thousand ids.
        lacking = self.lacking
        return (one for one in self.order if one in lacking)


class Waiting:
    """Which block lacks which ids, and the other way round. Blocks are given by their ids, too."""

    def __init__(self) -> None:
        self._blocks: dict[str, WaitingBlock] = {}
        self._waiting_for: dict[str, dict[str, None]] = {}
        """Id -> the blocks that lack it, in order. All ids that only one block needs share one dictionary: there may
        be fifty thousand of them."""
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
        """Something has come: give the blocks that lacked only this. They no longer wait."""
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
        """A connection has sent a waiting block, or says that it has it: it can be asked for what the block lacks."""
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
        """Does this block lack something that nobody who was asked has, or is there nobody to ask?"""
        return self._blocks[block_id].is_forsaken or not self._blocks[block_id].senders

    def senders(self, block_id: str) -> Collection[Connection]:
        """The connections that have sent a block that waits."""
        return self._blocks[block_id].senders

    def to_ask(self, connection: Connection) -> Iterator[str]:
        """What a connection is to be asked for next: what is lacking in the blocks that it has sent."""
        for block_id in list(self._sent_by.get(connection, ())):
            # Not `yield from`: a caller that takes only some would close that iterator, and ask for the rest late.
            for one in self._blocks[block_id].senders[connection]:  # noqa: UP028
                yield one

    def start_over(self, before: float, now: float) -> list[str]:
        """Go back to the beginning of what a block lacks, if its senders were last asked at time `before` or earlier.
        Give the ids of these blocks; the caller then asks for all of it again. Times are in seconds."""
        due = [block_id for block_id, block in self._blocks.items() if block.asked_at <= before]
        for block_id in due:
            block = self._blocks[block_id]
            block.asked_at = now
            for connection in block.senders:
                block.senders[connection] = block.still_lacking()
        return due


class Fetcher(Protocol):
    """What is needed of the node's `Fetcher` of stage 2, which asks neighbours for ids."""

    def need(self, ids: Iterable[str], connection: Connection) -> None:
        """Ask for `ids`, all of which the other end of `connection` says it has."""

    def room(self, connection: Connection) -> int:
        """How many more ids this connection may be asked for."""

    def forget(self, ids: Iterable[str]) -> None:
        """Stop asking for `ids`."""


class WaitingBlocks(Part):
    """The blocks of a node that wait, and the questions for what they lack."""

    def __init__(self, network: Network, links: Collection[Connection], fetcher: Fetcher,
                 on_complete: Callable[[list[str]], None]) -> None:
        """`on_complete` is given the ids of blocks that lack nothing any more."""
        self.lacks = Waiting()
        self._network = network
        self._links = links
        self._fetcher = fetcher
        self._on_complete = on_complete

    def __contains__(self, block_id: str) -> bool:
        return block_id in self.lacks

    def needed_by(self, needed: str) -> Collection[str]:
        """The blocks that wait for this id."""
        return self.lacks.needed_by(needed)

    def wait_for(self, block_id: str, lacking: Iterable[str], connection: Connection | None) -> None:
        """Let a block wait for what it lacks, and ask the neighbour that sent the block."""
        self.lacks.add(block_id, lacking, self._network.now())
        if connection is not None and connection in self._links:
            self.on_block_sent(block_id, connection)

    def on_block_sent(self, block_id: str, connection: Connection) -> None:
        """A connection has sent a block that waits, so it has what the block lacks. A hook: in stage 5 it also has what
        the block builds on."""
        self.lacks.on_sent(block_id, connection)
        self.ask_sender(connection)

    def on_arrived(self, arrived: str) -> None:
        """Something has come for which blocks may have waited."""
        complete = self.lacks.on_arrived(arrived)
        if complete:
            self._on_complete(complete)

    def on_forsaken(self, missing_id: str) -> None:
        """None of the neighbours that were asked has this id: blocks that need it wait for another sender."""
        self.lacks.on_forsaken(missing_id)

    # --- questions ------------------------------------------------------------------------------

    def ask_sender(self, connection: Connection) -> None:
        """Ask a sender of blocks for some more of what these lack."""
        lacking = filter(self.is_to_be_fetched, self.lacks.to_ask(connection))
        self._fetcher.need(islice(lacking, self._fetcher.room(connection)), connection)

    def is_to_be_fetched(self, lacking: str) -> bool:
        """Must somebody be asked for this id, which a block waits for? A hook: in stage 5 it may be a block that
        waits itself."""
        return True

    def ask_again(self) -> None:
        """Ask again for what blocks lack, if it was last asked for 5 s ago or earlier. The senders of a block are
        asked or, if all of them are gone, a random neighbour."""
        now = self._network.now()
        due = self.lacks.start_over(now - WANT_AGAIN, now)
        for connection in dict.fromkeys(sender for block_id in due for sender in self.lacks.senders(block_id)):
            self.ask_sender(connection)
        without_sender = (one for block_id in due if not self.lacks.senders(block_id)
                          for one in self.lacks.lacking(block_id))
        if self._links:
            self._fetcher.need(islice(filter(self.is_to_be_fetched, without_sender), MAX_FORSAKEN_WANT),
                               self._network.random.choice(list(self._links)))

    def on_lost(self, connection: Connection) -> None:
        """A neighbour is gone: what it was asked for is asked for elsewhere."""
        self.lacks.on_lost(connection)
