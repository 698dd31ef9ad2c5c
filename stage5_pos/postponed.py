"""Blocks outside the tree: those that wait for a parent (orphans) or for transactions, and those found invalid.

    postpone ──> waits ──> on_arrived: it lacks nothing ──> ready ──> enters the tree, or is refused
                  │
                  └──> give_up: too many wait, it has waited for too long, or it needs an invalid block

A node cannot know whether a block that lacks something will ever enter the tree (contract §3, stage 5). So when there
is no more room, it gives up neither the oldest block nor the newest, but the one that is least likely to enter. Among
equals it is one of the neighbour that fills the most room: a hundred orphans of one stranger leave before one block of
another.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from common.bounded import Recent
from common.interface import Connection, Network
from stage4_sequencer.limits import MAX_WAITING
from stage4_sequencer.waiting import Fetcher, WaitingBlocks
from stage5_pos.limits import COST_OF_A_BLOCK, ENTERED_AT_ONCE, MAX_ASIDE, MAX_WAITING_BYTES, MAX_WAITING_SECONDS
from stage5_pos.side import Aside
from stage5_pos.tree import Block, Tree


class PostponedBlock(NamedTuple):
    """A block that waits, the connection it came by, and when it began to wait, in seconds of the network's clock."""

    block: Block
    connection: Connection | None
    since: float


class PostponedBlocks(WaitingBlocks):
    """The blocks that wait, each with the connection that it came by, and the time at which it began to wait."""

    def __init__(self, network: Network, links: Collection[Connection], fetcher: Fetcher, tree: Tree, aside: Aside,
                 trust: Callable[[Connection], int], enter: Callable[[PostponedBlock], None]) -> None:
        """`aside` has the transactions that are kept only for blocks. Blocks of neighbours that `trust` ranks higher
        stay longer. `enter` is called with a block that lacks nothing any more."""
        super().__init__(network, links, fetcher, self._get_ready)
        self._tree = tree
        self._aside = aside
        self._trust = trust
        self._enter = enter
        self.blocks: dict[str, PostponedBlock] = {}
        """The blocks by their ids, longest wait first."""
        self._bytes = 0
        self._ready: OrderedDict[str, PostponedBlock] = OrderedDict()
        """The blocks that lack nothing any more, and enter the tree when it is their turn."""
        self.is_entering = False
        """Are blocks entering, now or in a turn that is due?"""
        self.invalid = Recent()
        """The ids of blocks that were properly signed, and found invalid."""

    def count(self) -> int:
        """How many blocks wait, or are about to enter."""
        return len(self.blocks) + len(self._ready)

    def count_of(self, connection: Connection | None) -> int:
        """How many of the blocks that wait count as sent by this connection."""
        return sum(entry.connection is connection for entry in self.blocks.values())

    # --- what is known of a block ---------------------------------------------------------------

    def is_here(self, block_id: str) -> bool:
        """Is this block in the tree, or does it lack nothing to enter it?"""
        return block_id in self._tree or block_id in self._ready

    def is_settled(self, block_id: str) -> bool:
        """Is this block judged, or about to be? One that still lacks something is neither."""
        return self.is_here(block_id) or block_id in self.invalid

    def is_known(self, block_id: str) -> bool:
        """Has this block come before, with a proper signature?"""
        return self.is_settled(block_id) or block_id in self.blocks

    def lacks_only_transactions(self, block_id: str) -> bool:
        """Does this block wait, and is no ancestor of it missing, neither its parent nor one further up?"""
        return block_id in self.blocks and block_id not in self._orphaned()

    def is_built_upon(self, block_id: str, creator: str) -> bool:
        """Does a waiting block of another creator build on this one, directly or through other waiting blocks?"""
        branch = [block_id]
        while branch:
            parent_id = branch.pop()
            for waiting in self.needed_by(parent_id):
                child = self.blocks[waiting].block
                if child.parent_id == parent_id:  # not if it only names it as a transaction, which anybody can do
                    if child.creator != creator:
                        return True
                    branch.append(child.id)
        return False

    def frame_of(self, block_id: str) -> bytes:
        """The frame of a block that is in the tree or waits; empty for one that was given up, or is invalid."""
        if block_id in self._tree:
            return self._tree.blocks[block_id].frame
        entry = self.blocks.get(block_id) or self._ready.get(block_id)
        return entry.block.frame if entry is not None else b""

    # --- blocks come, and wait ------------------------------------------------------------------

    def postpone(self, block: Block, lacking: Iterable[str], connection: Connection | None) -> bool:
        """Let a block wait while what it lacks is fetched. If too many wait, the least promising are given up: False if
        this is one of them."""
        self.blocks[block.id] = PostponedBlock(block, connection, self._network.now())
        self._bytes += len(block.frame)
        self.wait_for(block.id, lacking, connection)
        self.make_room()
        return block.id in self.blocks

    def on_copy(self, block_id: str, connection: Connection) -> None:
        """A block that waits has come again, by another connection: it counts as sent by the one that fills less
        room."""
        entry = self.blocks[block_id]
        if entry.connection is None or self.count_of(connection) < self.count_of(entry.connection):
            self.blocks[block_id] = entry._replace(connection=connection)
        self.on_block_sent(block_id, connection)

    def on_block_sent(self, block_id: str, connection: Connection) -> None:
        """A connection has sent a block that waits, so it also has all blocks that this one builds on."""
        branch = []
        while block_id in self.blocks and connection not in self.lacks.senders(block_id):
            branch.append(block_id)
            block_id = self.blocks[block_id].block.parent_id
        for waiting in reversed(branch):
            self.lacks.on_sent(waiting, connection)
        self.ask_sender(connection)

    def is_to_be_fetched(self, lacking: str) -> bool:
        """A parent that waits itself, or is about to enter the tree, has been fetched already."""
        return not self.is_known(lacking)

    def _pop(self, block_id: str) -> PostponedBlock:
        entry = self.blocks.pop(block_id)
        self._bytes -= len(entry.block.frame)
        return entry

    # --- blocks wait no longer ------------------------------------------------------------------

    def _get_ready(self, complete: list[str]) -> None:
        """These blocks lack nothing any more: they enter the tree, then the blocks that wait for them, and so on."""
        for block_id in complete:
            self._ready[block_id] = self._pop(block_id)
        if not self.is_entering:
            self._enter_ready()

    def _enter_ready(self) -> None:
        """Let the blocks that lack nothing enter the tree. A thousand blocks may have waited for one transaction. So
        after some of them, other work has its turn before the next."""
        self.is_entering = True
        left = ENTERED_AT_ONCE
        while self._ready and left > 0:
            _, entry = self._ready.popitem(last=False)
            left -= COST_OF_A_BLOCK + len(entry.block.transactions)
            self._enter(entry)
        self.is_entering = bool(self._ready)
        if self.is_entering:
            self._network.after(0, self._enter_ready)

    def refuse_branch(self, block_id: str) -> None:
        """Remember that a block is invalid, and with it all waiting blocks that need it: as a parent, or because they
        name it as a transaction."""
        refused = [block_id]
        while refused:
            refused_id = refused.pop()
            refused += self.needed_by(refused_id)
            self.invalid.add(refused_id)
            self._fetcher.forget([refused_id])
            if refused_id in self.blocks:
                self.give_up(refused_id)

    def give_up(self, block_id: str) -> None:
        """Let a block wait no longer, and no longer ask for what only it needed."""
        block = self._pop(block_id).block
        self._fetcher.forget(self.lacks.discard(block_id))
        self._aside.release(block)

    def ask_again(self) -> None:
        """Give up the blocks that have waited for too long, and ask again for what the others lack."""
        too_old = self._network.now() - MAX_WAITING_SECONDS
        for block_id in [block_id for block_id, entry in self.blocks.items() if entry.since < too_old]:
            self.give_up(block_id)
        super().ask_again()

    # --- what gives way -------------------------------------------------------------------------

    def make_room(self) -> None:
        """Give up blocks while too many wait, or too many transactions are kept only for blocks."""
        if not self._is_overfull:
            return
        for block_id in self._giving_way():
            if not self._is_overfull:
                break
            self.give_up(block_id)

    @property
    def _is_overfull(self) -> bool:
        """Must a waiting block be given up? One may always wait."""
        count = len(self.blocks)
        return count > 1 and (count > MAX_WAITING or self._bytes > MAX_WAITING_BYTES
                              or self._aside.size_for_waiting > MAX_ASIDE)

    def _orphaned(self) -> set[str]:
        """The ids of orphans and of the blocks that build on them. From parent to parent, each leads to a block that is
        not here."""
        known: dict[str, bool] = {}
        for block_id in self.blocks:
            branch = []
            while block_id in self.blocks and block_id not in known:
                branch.append(block_id)
                block_id = self.blocks[block_id].block.parent_id
            is_orphaned = known.get(block_id, not self.is_here(block_id))
            known.update(dict.fromkeys(branch, is_orphaned))
        return {block_id for block_id, is_orphaned in known.items() if is_orphaned}

    def _giving_way(self) -> list[str]:
        """The ids of the waiting blocks, the least likely to enter the tree first. First go blocks that lack something
        that no neighbour could bring, then orphans and the blocks that build on them, then those of strangers,
        then those of the neighbour that has sent the most. Of orphans the oldest goes first. Of others the newest goes
        first, since it is of no use without the blocks before it."""
        orphaned = self._orphaned()
        counts = Counter(entry.connection for entry in self.blocks.values())

        def order(numbered: tuple[int, PostponedBlock]) -> tuple[bool, bool, bool, int, int]:
            number, (block, connection, _) = numbered
            is_strangers = connection is not None and self._trust(connection) == 0
            return (self.lacks.is_forsaken(block.id), block.id in orphaned, is_strangers, counts[connection],
                    -number if block.id in orphaned else number)

        return [entry.block.id for _, entry in sorted(enumerate(self.blocks.values()), key=order, reverse=True)]
