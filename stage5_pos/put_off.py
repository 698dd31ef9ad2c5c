"""Blocks outside the tree: those that wait for a parent (orphans) or for transactions, and those found invalid.

    put_off ──> waits ──> on_arrived: it lacks nothing ──> ready ──> enters the tree, or is refused
                  │
                  └──> give_up: too many wait, or it has waited for too long

A node cannot know whether a block that lacks something will ever be worth anything (contract §3, stage 5). So the
block that gives way is not the first or the last, but the one that is least likely to enter the tree. Among equals it
is one of the neighbour that fills the most room: a hundred orphans of a stranger leave before one block of another.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from common.bounded import Recent
from common.interface import Connection, Network
from stage4_sequencer.limits import MAX_WAITING
from stage4_sequencer.waiting import Fetcher, WaitingBlocks
from stage5_pos.limits import COST_OF_A_BLOCK, ENTERED_AT_ONCE, MAX_ASIDE, MAX_WAITING_BYTES, MAX_WAITING_SECONDS
from stage5_pos.side import Aside
from stage5_pos.tree import Block, Tree


class PutOff(NamedTuple):
    """A block that waits, from whom it came, and since when, in seconds of the network's clock."""

    block: Block
    connection: Connection | None
    since: float


class PutOffBlocks(WaitingBlocks):
    """The blocks that wait, longest wait first."""

    def __init__(self, network: Network, links: Collection[Connection], fetcher: Fetcher, tree: Tree, aside: Aside,
                 trust: Callable[[Connection], int], enter: Callable[[PutOff], None]) -> None:
        """`aside` has the transactions that have come in only for blocks. What comes from those that `trust` ranks
        higher stays for longer. `enter` is given a block that lacks nothing."""
        super().__init__(network, links, fetcher, self._get_ready)
        self._tree = tree
        self._aside = aside
        self._trust = trust
        self._enter = enter
        self._blocks: dict[str, PutOff] = {}
        self._bytes = 0
        self._counts: dict[Connection | None, int] = {}
        """How many blocks of each connection wait."""
        self._ready: OrderedDict[str, PutOff] = OrderedDict()
        """Those that lack nothing, and enter when it is their turn."""
        self.is_entering = False
        """Are blocks entering, now or in a turn that is due?"""
        self.invalid = Recent()
        """The ids of blocks that were properly signed, and found invalid."""

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, block_id: str) -> bool:
        return block_id in self._blocks

    def __getitem__(self, block_id: str) -> PutOff:
        return self._blocks[block_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def count(self) -> int:
        """How many blocks wait, or are about to enter."""
        return len(self._blocks) + len(self._ready)

    def count_of(self, connection: Connection) -> int:
        """How many blocks wait that this connection has sent first."""
        return self._counts.get(connection, 0)

    # --- what is known of a block ---------------------------------------------------------------

    def _is_here(self, block_id: str) -> bool:
        """Is this block in the tree, or does it lack nothing to enter it?"""
        return block_id in self._tree or block_id in self._ready

    def is_settled(self, block_id: str) -> bool:
        """Is this block judged, or about to be? One that only waits may have been sent early, by anybody."""
        return self._is_here(block_id) or block_id in self.invalid

    def is_known(self, block_id: str) -> bool:
        """Has this block come before, with a proper signature?"""
        return self._is_here(block_id) or block_id in self._blocks or block_id in self.invalid

    def is_hanging(self, block_id: str) -> bool:
        """Is it an orphan, or builds on one: does it wait for a block that is not here?"""
        return block_id in self._hanging()

    def is_built_upon(self, block_id: str, creator: str) -> bool:
        """Does a block of somebody else that waits have this one as its parent, or build on one that has?"""
        branch = [block_id]
        while branch:
            parent_id = branch.pop()
            for waiting in self.needed_by(parent_id):
                child = self._blocks[waiting].block
                if child.parent_id == parent_id:  # and does not just name it as a transaction: anybody can do that
                    if child.creator != creator:
                        return True
                    branch.append(child.id)
        return False

    def frame_of(self, block_id: str) -> bytes:
        """The frame of a block that is in the tree or waits; empty for one that was given up, or is invalid."""
        if block_id in self._tree:
            return self._tree.blocks[block_id].frame
        entry = self._blocks.get(block_id) or self._ready.get(block_id)
        return entry.block.frame if entry is not None else b""

    # --- blocks come, and wait ------------------------------------------------------------------

    def put_off(self, block: Block, lacking: Iterable[str], connection: Connection | None) -> bool:
        """Let a block wait while what it lacks is fetched. If too many wait, the least promising ones leave: False if
        it is one of them."""
        self._blocks[block.id] = PutOff(block, connection, self._network.now())
        self._bytes += len(block.frame)
        self._count(connection, 1)
        self.wait_for(block.id, lacking, connection)
        self.make_room()
        return block.id in self._blocks

    def on_copy(self, block_id: str, connection: Connection) -> None:
        """A block that waits comes again: it counts as sent by whichever of the two has sent less."""
        entry = self._blocks[block_id]
        if entry.connection is None or self.count_of(connection) < self._counts[entry.connection]:
            self._count(entry.connection, -1)
            self._count(connection, 1)
            self._blocks[block_id] = entry._replace(connection=connection)
        self.on_block_sent(block_id, connection)

    def on_block_sent(self, block_id: str, connection: Connection) -> None:
        """A connection has sent a block that waits: it also has all that this one builds on."""
        branch = []
        while block_id in self._blocks and connection not in self.lacks.senders(block_id):
            branch.append(block_id)
            block_id = self._blocks[block_id].block.parent_id
        for waiting in reversed(branch):
            self.lacks.on_sent(waiting, connection)
        self.ask_sender(connection)

    def is_to_be_fetched(self, lacking: str) -> bool:
        """A parent that waits itself has been fetched already."""
        return lacking not in self._blocks

    def _pop(self, block_id: str) -> PutOff:
        entry = self._blocks.pop(block_id)
        self._bytes -= len(entry.block.frame)
        self._count(entry.connection, -1)
        return entry

    def _count(self, connection: Connection | None, change: int) -> None:
        self._counts[connection] = self._counts.get(connection, 0) + change
        if not self._counts[connection]:
            del self._counts[connection]

    # --- blocks wait no longer ------------------------------------------------------------------

    def _get_ready(self, complete: list[str]) -> None:
        """These blocks lack nothing any more: they enter the tree, then those that wait for them, and so on."""
        for block_id in complete:
            self._ready[block_id] = self._pop(block_id)
        if not self.is_entering:
            self._enter_ready()

    def _enter_ready(self) -> None:
        """Let blocks enter that lack nothing. If there are many, connections have their turns in between: a thousand
        blocks may have waited for one transaction."""
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
        """Remember a block as invalid, and so all waiting blocks that build on it."""
        refused = [block_id]
        while refused:
            refused_id = refused.pop()
            refused += self.needed_by(refused_id)
            self.invalid.add(refused_id)
            self._fetcher.forget([refused_id])
            if refused_id in self._blocks:
                self.give_up(refused_id)

    def give_up(self, block_id: str) -> None:
        """Let a block wait no longer, and no longer ask for what only it needed."""
        block = self._pop(block_id).block
        self._fetcher.forget(self.lacks.discard(block_id))
        self._aside.release(block)

    def give_up_old(self) -> None:
        """Give up the blocks that have waited for too long."""
        too_old = self._network.now() - MAX_WAITING_SECONDS
        for block_id in [block_id for block_id, entry in self._blocks.items() if entry.since < too_old]:
            self.give_up(block_id)

    # --- what gives way -------------------------------------------------------------------------

    def make_room(self) -> None:
        """Let blocks give way while too many wait, or too many transactions have come in only for blocks."""
        if not self._is_overfull:
            return
        for block_id in self._giving_way():
            if not self._is_overfull:
                break
            self.give_up(block_id)

    @property
    def _is_overfull(self) -> bool:
        """Must a block that waits give way? One may always wait."""
        return len(self) > 1 and (len(self) > MAX_WAITING or self._bytes > MAX_WAITING_BYTES
                                  or self._aside.size > MAX_ASIDE)

    def _hanging(self) -> set[str]:
        """The ids of orphans and of what builds on them: from parent to parent one comes to one that is not here."""
        hangs: dict[str, bool] = {}
        for block_id in self._blocks:
            branch = []
            while block_id in self._blocks and block_id not in hangs:
                branch.append(block_id)
                block_id = self._blocks[block_id].block.parent_id
            is_hanging = hangs.get(block_id, not self._is_here(block_id))
            hangs.update(dict.fromkeys(branch, is_hanging))
        return {block_id for block_id, is_hanging in hangs.items() if is_hanging}

    def _giving_way(self) -> list[str]:
        """The ids of what waits, the least likely to enter the tree first. First go blocks that lack what
        nobody asked has, then orphans and what builds on them, then what strangers sent, then what comes from those
        who sent most. Of orphans the oldest goes first; of others the newest, as a branch's beginning is worth more."""
        hanging = self._hanging()

        def order(numbered: tuple[int, PutOff]) -> tuple[bool, bool, bool, int, int]:
            number, (block, connection, _) = numbered
            is_strangers = connection is not None and self._trust(connection) == 0
            return (self.lacks.is_forsaken(block.id), block.id in hanging, is_strangers, self._counts[connection],
                    -number if block.id in hanging else number)

        return [entry.block.id for _, entry in sorted(enumerate(self._blocks.values()), key=order, reverse=True)]
