"""The blockchain as every node keeps it, whether it holds stake or not.

The way of a block: `on_block` (seen before?) -> `check_block` (creator, slot, draw, signature) -> `put_off`
while its parent or transactions are missing -> `enter` (valid at its point? then it is in the tree)
-> `on_new_best`, where a rollback shows. How a node asks for what it has missed is in catching_up.py.
"""

from collections import OrderedDict
from typing import Any

from common.encoding import (ID, MAX_INTEGER, STRING, Field, Message, Shape, canon, decode_frame,
                             ids_field, is_integer, make_id, without_padding)
from common.ledger import Transaction
from common.limits import (COST_OF_A_BLOCK, ENTERED_AT_ONCE, MAX_ASIDE, MAX_BLOCK_IDS, MAX_EVIDENCE, MAX_TWINS,
                           MAX_WAITING_SECONDS, Recent)
from common.rsa import verify
from common.interface import Connection, Invalid, Network
from stage4_sequencer.total_order import TotalOrderNode, TotalOrderSetup
from stage5_pos import genesis, lottery
from stage5_pos.genesis import Genesis
from stage5_pos.ledger import InvalidBlock, TreeLedger
from stage5_pos.put_off import PutOff, PutOffBlocks
from stage5_pos.side import Aside, SoloBlocks
from stage5_pos.tree import Block, Path, Tree

CLOCK_ERROR_SLOTS = 1
"""How far ahead of this node's clock a block's slot may be (contract §3, stage 5)."""


TELL_CLOCK_SECONDS = 60.0
"""The user is told of a clock that is wrong once in so many seconds."""


def seconds(milliseconds: int) -> str:
    """A time for people."""
    return f"{milliseconds / 1000:,.1f} seconds"


class ChainNode(TotalOrderNode):
    """A node that keeps the tree of blocks, and the ledger of its best chain."""

    STAGE = 5

    SHAPES: dict[str, Shape] = {
        **TotalOrderNode.SHAPES,
        "genesis": genesis.SHAPE,
        "block": {"slot": Field(lambda value: is_integer(value, 1), f"an integer from 1 to {MAX_INTEGER}"),
                  "parent": ID, "creator": STRING, "draw": STRING,
                  "transactions": ids_field(MAX_BLOCK_IDS), "signature": STRING},
    }

    def __init__(self, network: Network, address: str, setup: TotalOrderSetup) -> None:
        super().__init__(network, address, setup)
        self.genesis: Genesis
        self.thresholds: dict[str, int]
        """Genesis account -> the value below which its draws win."""
        self.tree: Tree
        self.ledger: TreeLedger
        self.put_off_blocks = PutOffBlocks()
        self.ready_blocks: OrderedDict[str, PutOff] = OrderedDict()
        """Those that lack nothing, and enter when it is their turn."""
        self.is_entering = False
        """Are blocks entering, now or in a turn that is due?"""
        self.solo_blocks = SoloBlocks()
        self.aside = Aside()
        self.invalid_blocks = Recent()
        """The ids of blocks that were properly signed, and found invalid."""
        self.signed_blocks: dict[tuple[str, int], list[str]] = {}
        """Creator and slot -> the ids of the first two blocks signed. Two are evidence."""
        self.twins: dict[tuple[str, int], list[str]] = {}
        """Creator and slot -> the ids of the blocks that have ever entered the tree, oldest first."""
        self.convicted: set[str] = set()
        """The creators against whom evidence is kept."""
        self.told_of_clock: set[Connection] = set()
        """The connections whose blocks from the future were looked at."""
        self.tell_clock_from = 0.0
        """The user is not told of clocks before this time, in seconds of the network's clock."""
        self.rollbacks = 0
        self.longest_rollback = 0

    def read_genesis(self, message: Message) -> Genesis:
        """Read a genesis of stage 5."""
        return genesis.read_genesis(message)

    def begin_with(self, genesis: Genesis) -> None:
        """Begin with the balances of the genesis, which also are the stakes."""
        self.genesis = genesis
        self.thresholds = genesis.winning_thresholds()
        self.tree = Tree(genesis.id)
        self.ledger = TreeLedger(self.tree, genesis.starting_balances(), self.transactions)

    def on_ready(self) -> None:
        """The node has a genesis: does it begin in the future?"""
        super().on_ready()
        self.tell_if_genesis_is_ahead()

    def unlink(self, connection: Connection) -> None:
        """A linked peer is gone."""
        self.told_of_clock.discard(connection)
        super().unlink(connection)

    def slot(self) -> int:
        """The current slot."""
        return self.genesis.slot_at(self.network.unix_ms())

    # --- blocks arrive --------------------------------------------------------------------------

    def block_bytes(self, message: Message) -> bytes:
        """The canonical bytes of a block (contract §1)."""
        return canon(["block", self.network_name, message["slot"], message["parent"], message["creator"],
                      message["draw"], message["transactions"]])

    def on_block(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """A block, from a peer or (connection None) made here."""
        canonical = self.block_bytes(message)
        block_id = make_id(canonical)
        self.on_block_came(connection, block_id, message["parent"])
        if self.is_known_block(block_id):
            self.on_known_block(connection, block_id, message, canonical)
            return
        if message["slot"] > self.slot() + CLOCK_ERROR_SLOTS and not self.keeper.is_replaying:
            self.on_future_block(connection, message, canonical)
            return
        if self.is_surplus(block_id, message["creator"], message["slot"]):
            return
        value = self.check_block(message, canonical)
        self.fetcher.on_came(block_id, connection)
        block = Block(block_id, message["slot"], message["parent"], message["creator"], value,
                      message["transactions"], without_padding(frame, message))
        self.note_signed(message, block_id, block.frame)
        self.aside.hold(block)
        if self.is_decided(block):
            self.enter(block, connection)
        else:
            self.put_off(block, connection)

    def on_future_block(self, connection: Connection | None, message: Message, canonical: bytes) -> None:
        """A block from the future: neither a fault of the sender for sure, nor of any use yet. If it is genuine, one of
        the two clocks is wrong, and the user is told: once for a connection, and once in a minute."""
        now = self.network.now()
        if connection is None or connection in self.told_of_clock or now < self.tell_clock_from:
            return
        self.told_of_clock.add(connection)
        try:
            self.check_block(message, canonical)
        except Invalid:
            return
        self.tell_clock_from = now + TELL_CLOCK_SECONDS
        ahead = self.genesis.slot_start(message["slot"]) - self.network.unix_ms()
        self.report_error("NETWORK", f"{connection.address}: its blocks are not taken, since they are {seconds(ahead)}"
                                     " ahead of this machine's clock; look at the clocks of both")

    def tell_if_genesis_is_ahead(self) -> None:
        """Tell the user if the network begins in the future, by this machine's clock."""
        ahead = self.genesis.start_ms - self.network.unix_ms()
        if ahead > 0:
            self.tell_clock_from = self.network.now() + TELL_CLOCK_SECONDS
            self.report_error("NETWORK", f"this network begins in {seconds(ahead)} by this machine's clock, and no"
                                         " block is taken before; look at this clock, and at that of the founder")

    def on_known_block(self, connection: Connection | None, block_id: str, message: Message, canonical: bytes) -> None:
        """A block that has come before: with another signature it may be forged. Whoever sends one that waits can be
        asked for what it lacks."""
        if not self.is_same_copy(block_id, message):
            self.check_signature(message, canonical)
        if connection in self.links and block_id in self.put_off_blocks:
            self.put_off_blocks.on_copy(block_id, connection)
            self.on_block_sent(block_id, connection)

    def on_block_came(self, connection: Connection | None, block_id: str, parent_id: str) -> None:
        """A block has come, known or not: who catches up sees by that how far an answer goes."""

    def is_surplus(self, block_id: str, creator: str, slot: int) -> bool:
        """Is this a third block of its creator for one slot, or one that has left the tree, and nobody else builds on
        it? Two are evidence, and more cost their creator nothing. So that no limit keeps out what others build on, it
        enters with theirs."""
        twins = self.twins.get((creator, slot), [])
        return ((len(twins) >= MAX_TWINS or block_id in twins) and not self.is_built_upon(block_id, creator)
                and not self.keeper.is_replaying)

    def is_built_upon(self, block_id: str, creator: str) -> bool:
        """Does a block of somebody else that waits have this one as its parent, or build on one that has?"""
        branch = [block_id]
        while branch:
            parent_id = branch.pop()
            for waiting in self.waiting.needed_by(parent_id):
                child = self.put_off_blocks[waiting].block
                if child.parent_id == parent_id:  # and does not name it as a transaction, as anybody can, without end
                    if child.creator != creator:
                        return True
                    branch.append(child.id)
        return False

    def is_known_block(self, block_id: str) -> bool:
        """Has this block come before, with a proper signature?"""
        return self.is_here(block_id) or block_id in self.put_off_blocks or block_id in self.invalid_blocks

    def is_here(self, block_id: str) -> bool:
        """Is this block in the tree, or does it lack nothing to enter it?"""
        return block_id in self.tree or block_id in self.ready_blocks

    def is_same_copy(self, block_id: str, message: Message) -> bool:
        """Does a known block come again with the signature that it has?"""
        known = self.known_frame(block_id)
        return bool(known) and decode_frame(known) == message

    def known_frame(self, block_id: str) -> bytes:
        """The frame of a block that is in the tree or waits; empty for one that was given up, or is invalid."""
        if block_id in self.tree:
            return self.tree.blocks[block_id].frame
        for waiting in (self.put_off_blocks, self.ready_blocks):
            if block_id in waiting:
                return waiting[block_id].block.frame
        return b""

    def check_block(self, message: Message, canonical: bytes) -> int:
        """Invalid unless its creator holds stake, has won the slot, and has signed; give the draw's value."""
        creator, slot, draw = message["creator"], message["slot"], message["draw"]
        if creator not in self.thresholds:
            raise Invalid(f"block of slot {slot}: its creator has no stake")
        value = lottery.ticket_value(self.genesis.seed, slot, creator, draw)
        if not lottery.is_winning(value, self.thresholds[creator]):
            raise Invalid(f"block of slot {slot}: its draw has not won")
        if self.keeper.is_replaying:
            return value
        try:
            verify(creator, lottery.lottery_bytes(self.genesis.seed, slot), draw)
        except ValueError as error:
            raise Invalid(f"block of slot {slot}: its draw: {error}") from None
        self.check_signature(message, canonical)
        return value

    def check_signature(self, message: Message, canonical: bytes) -> None:
        """Invalid unless the creator has signed the block."""
        try:
            verify(message["creator"], canonical, message["signature"])
        except ValueError as error:
            raise Invalid(f"block of slot {message['slot']}: {error}") from None

    def note_signed(self, message: Message, block_id: str, frame: bytes) -> None:
        """Remember who has signed what: two blocks in one slot are evidence against their creator."""
        creator, slot = message["creator"], message["slot"]
        signed = self.signed_blocks.setdefault((creator, slot), [])
        if block_id in signed or len(signed) >= 2:
            return
        signed.append(block_id)
        if len(signed) == 2:
            self.keep_evidence(creator, [self.known_frame(signed[0]), frame])
            self.report("equivocation", creator=creator, slot=slot, ids=list(signed))

    def keep_evidence(self, creator: str, frames: list[bytes]) -> None:
        """Keep both blocks of an equivocation: one proof is enough against each creator."""
        if creator not in self.convicted and len(self.convicted) < MAX_EVIDENCE:
            self.convicted.add(creator)
            for frame in filter(None, frames):
                self.keeper.keep("evidence", frame)

    def replay(self, kind: str, content: bytes) -> None:
        """The journal holds both blocks of an equivocation, also if one of them never entered the tree."""
        if kind == "evidence":
            message = decode_frame(content)
            self.note_signed(message, make_id(self.block_bytes(message)), content)
        else:
            super().replay(kind, content)

    # --- blocks wait ----------------------------------------------------------------------------

    def is_decided(self, block: Block) -> bool:
        """Can it be judged? Either all that it needs is here, or it is invalid whatever may come."""
        return (block.parent_id in self.invalid_blocks or self.names_a_block(block)
                or (block.parent_id in self.tree and not self.lacking(block.transactions)))

    def put_off(self, block: Block, connection: Connection | None) -> None:
        """Let a block wait while what it lacks is fetched. If too many wait, the least promising ones leave."""
        lacking = self.lacking(block.transactions)
        if block.parent_id not in self.tree:
            lacking.append(block.parent_id)
        self.put_off_blocks.add(PutOff(block, connection, self.network.now()))
        self.wait_for(block.id, lacking, connection)
        self.make_room_for_blocks()
        if block.id not in self.put_off_blocks:
            self.on_block_given_up(connection)

    def make_room_for_blocks(self) -> None:
        """Let blocks give way while too many wait, or too many transactions have come in only for blocks."""
        if not self.has_too_much:
            return
        for block_id in self.put_off_blocks.giving_way(self.is_here, self.waiting.is_forsaken, self.trust):
            if not self.has_too_much:
                break
            self.give_up(block_id)

    @property
    def has_too_much(self) -> bool:
        """Must a block that waits give way? One may always wait."""
        too_many = len(self.put_off_blocks) > 1 and self.aside.size > MAX_ASIDE
        return too_many or self.put_off_blocks.is_overfull

    def on_block_sent(self, block_id: str, connection: Connection) -> None:
        """A connection has sent a block that waits: it also has all that this one builds on."""
        branch = []
        while block_id in self.put_off_blocks and connection not in self.waiting.senders(block_id):
            branch.append(block_id)
            block_id = self.put_off_blocks[block_id].block.parent_id
        for waiting in reversed(branch):
            self.waiting.on_sent(waiting, connection)
        self.ask_sender(connection)

    def on_block_given_up(self, connection: Connection | None) -> None:
        """There was no room for a block from here."""

    def is_kept(self, transaction_id: str) -> bool:
        """A transaction that is here only for some blocks is not: it comes in like any other when there is room."""
        return super().is_kept(transaction_id) and transaction_id not in self.aside

    def keep_transaction(self, transaction: Transaction, frame: bytes) -> None:
        """Keep a transaction for good, whatever becomes of the blocks that it has come in for."""
        self.aside.take([transaction.id])
        super().keep_transaction(transaction, frame)

    def on_no_room(self, transaction: Transaction, frame: bytes) -> None:
        """What a block needs comes in all the same, for as long as the block is here."""
        super().on_no_room(transaction, frame)
        needed_by = self.waiting.needed_by(transaction.id)
        if not needed_by:
            return
        self.transactions[transaction.id] = transaction
        self.frames[transaction.id] = frame
        self.aside.add(transaction.id, len(frame), needed_by)
        self.on_arrived(transaction.id)
        self.make_room_for_blocks()

    def release_transactions(self, block: Block) -> None:
        """A block has left: so do transactions that have come in only for it."""
        for transaction_id in self.aside.release(block):
            self.refused.add(self.transactions.pop(transaction_id))
            del self.frames[transaction_id]

    def is_lacking(self, transaction_id: str) -> bool:
        """A block that has come is not lacking either, even if somebody lists it among transactions."""
        return super().is_lacking(transaction_id) and not self.is_known_block(transaction_id)

    def is_to_be_fetched(self, lacking: str) -> bool:
        """A parent that waits itself has been fetched already."""
        return lacking not in self.put_off_blocks

    def give_up(self, block_id: str) -> None:
        """Let a block wait no longer, and ask no more for what only it needed."""
        block = self.put_off_blocks.pop(block_id).block
        self.fetcher.forget(self.waiting.discard(block_id))
        self.release_transactions(block)

    def fetch_again(self) -> None:
        """Every second: give up the blocks that have waited for too long, ask again for the others."""
        too_old = self.network.now() - MAX_WAITING_SECONDS
        for block_id in self.put_off_blocks.since_before(too_old):
            self.give_up(block_id)
        super().fetch_again()

    def on_arrived(self, arrived: str) -> None:
        """A transaction or a block has come: blocks that waited for it enter the tree, and so on up the branch."""
        for block_id in self.waiting.on_arrived(arrived):
            self.ready_blocks[block_id] = self.put_off_blocks.pop(block_id)
        if self.ready_blocks and not self.is_entering:
            self.enter_ready()

    def enter_ready(self) -> None:
        """Let blocks enter that lack nothing. If there are many, connections have their turns in between: a thousand
        blocks may have waited for one transaction."""
        self.is_entering = True
        left = ENTERED_AT_ONCE
        while self.ready_blocks and left > 0:
            _, entry = self.ready_blocks.popitem(last=False)
            left -= COST_OF_A_BLOCK + len(entry.block.transactions)
            self.enter_from_waiting(entry)
        self.is_entering = bool(self.ready_blocks)
        if self.is_entering:
            self.network.after(0, self.enter_ready)

    def enter_from_waiting(self, entry: PutOff) -> None:
        """A block that waited can be judged."""
        try:
            self.enter(entry.block, entry.connection)
        except Invalid as error:
            if entry.connection is not None:
                self.refusals.report_invalid(entry.connection, str(error))
        if entry.connection is not None:
            self.on_no_longer_waiting(entry.connection)

    def on_no_longer_waiting(self, connection: Connection) -> None:
        """A block that had come from here waits no longer."""

    # --- blocks enter the tree ------------------------------------------------------------------

    def enter(self, block: Block, connection: Connection | None) -> None:
        """A block can be judged: it enters the tree if it is valid, and those that waited for it follow."""
        self.put_into_tree(block, connection)
        if block.id in self.tree:
            self.on_arrived(block.id)

    def put_into_tree(self, block: Block, connection: Connection | None) -> None:
        """Put a block into the tree and pass it on; Invalid, with all that builds on it, if it is not valid."""
        if not self.is_decided(block):
            self.put_off(block, connection)  # what it needs has given way to others since
            return
        if self.is_surplus(block.id, block.creator, block.slot):
            self.release_transactions(block)  # others of its slot have entered while it waited
            return
        try:
            self.execute_at_its_point(block)
        except InvalidBlock as error:
            self.release_transactions(block)
            self.refuse_branch(block.id)
            raise Invalid(f"block of slot {block.slot}: {error}") from None
        path = self.tree.add(block)
        self.fetcher.forget([block.id])
        self.note_entered(block, connection)
        self.solo_blocks.on_built_upon(block)
        if path.done:
            self.on_new_best(path)
        else:
            self.solo_blocks.add(block, self.size_alone(block))
        self.remove_surplus(block)

    def note_entered(self, block: Block, connection: Connection | None) -> None:
        """A block that enters the tree is kept; the first time it is reported, and the first two of a slot are passed
        on."""
        for transaction_id in self.aside.among(block.transactions):
            self.keeper.keep("transaction", self.frames[transaction_id])
        self.keeper.keep("block", block.frame)  # also if it comes back: what is replayed has left the tree by then
        twins = self.twins.setdefault((block.creator, block.slot), [])
        if block.id in twins:
            return
        twins.append(block.id)
        self.report("block", **self.describe_block(block))
        if len(twins) <= MAX_TWINS:
            self.spread(block.frame, connection)

    def size_alone(self, block: Block) -> int:
        """The bytes that are kept for this block alone."""
        return len(block.frame) + sum(len(self.frames[one]) for one in self.aside.among(block.transactions))

    def remove_surplus(self, newest: Block) -> None:
        """Take the lowest of a creator's own branches out of the tree while they take too much room."""
        for surplus in self.solo_blocks.surplus(newest.creator, newest):
            self.solo_blocks.discard(surplus)
            self.tree.remove(surplus)
            self.ledger.forget(surplus)
            self.release_transactions(surplus)
            self.neighbours.seen_frames.discard(hash(surplus.frame))  # it may be asked for, and come again

    def names_a_block(self, block: Block) -> bool:
        """Does it name a block of the tree as a transaction? It would wait for that transaction for ever."""
        return not self.tree.blocks.keys().isdisjoint(block.transactions)

    def execute_at_its_point(self, block: Block) -> None:
        """Execute a block after its parent; InvalidBlock if that cannot be."""
        if self.names_a_block(block):
            raise InvalidBlock("what it names as a transaction is a block")
        parent = self.tree.blocks.get(block.parent_id)
        if parent is None:
            raise InvalidBlock("its parent is invalid")
        if parent.slot >= block.slot:
            raise InvalidBlock("its slot is not after its parent's")
        block.parent = parent
        self.ledger.execute(block)

    def refuse_branch(self, block_id: str) -> None:
        """Remember a block as invalid, and so all waiting blocks that build on it."""
        refused = [block_id]
        while refused:
            refused_id = refused.pop()
            refused += self.waiting.needed_by(refused_id)
            self.invalid_blocks.add(refused_id)
            self.fetcher.forget([refused_id])
            if refused_id in self.put_off_blocks:
                self.give_up(refused_id)

    def on_new_best(self, path: Path) -> None:
        """Another tip is the best. What only the abandoned branch had executed returns to the pool."""
        self.ledger.follow(path)
        self.solo_blocks.on_new_best(path)
        for block in path.done:
            self.take_in(block)
        abandoned = [transaction for block in reversed(path.undone) for transaction in block.transactions]
        executed = [transaction for block in path.done for transaction in block.transactions]
        back = set(abandoned) - set(executed)
        for transaction in executed:
            if self.pool.remove(transaction):
                self.report_made_here(transaction, "applied")
        if path.undone:
            self.pool.put_back(self.transactions[transaction] for transaction in back)
            for transaction in abandoned:
                if transaction in back:
                    self.report_made_here(transaction, "pending")
            self.rollbacks += 1
            self.longest_rollback = max(self.longest_rollback, len(path.undone))
            self.report("rollback", depth=len(path.undone), **{"from": path.undone[0].id, "to": path.done[-1].id})

    def take_in(self, block: Block) -> None:
        """A block is part of the best chain: what had come in for it alone is here for good, and what its receivers
        could not pay before they may pay now."""
        for transaction_id in self.aside.take(block.transactions):
            self.ids.add(transaction_id)
            self.pool.add(self.transactions[transaction_id])
        for transaction_id in block.transactions:
            self.refused.on_paid(self.transactions[transaction_id].receiver)
        self.refused.on_paid(block.creator)

    def balances(self) -> dict[str, int]:
        """The balances on the best chain."""
        return self.ledger.balances

    # --- what others ask for --------------------------------------------------------------------

    def find_frame(self, wanted: str) -> bytes | None:
        """`want` serves blocks too."""
        block = self.tree.blocks.get(wanted)
        return super().find_frame(wanted) if block is None else block.frame or None

    # --- words for the user ---------------------------------------------------------------------

    def describe_block(self, block: Block) -> dict[str, Any]:
        """The members of the event `block`."""
        return {"id": block.id, "transactions": len(block.transactions), "creator": block.creator,
                "slot": block.slot, "height": block.height, "parent": block.parent_id}

    def describe_blocks(self) -> list[dict[str, Any]]:
        """The best chain, oldest first."""
        return [self.describe_block(block) for block in self.tree.chain[1:]]

    def describe_status(self) -> dict[str, Any]:
        """How far the chain is, and what has happened to it."""
        tip = self.tree.best
        return {"slot": self.slot(), "height": tip.height, "tip": tip.id, "blocks": len(self.tree),
                "waiting": len(self.put_off_blocks) + len(self.ready_blocks), "pool": len(self.pool),
                "rollbacks": self.rollbacks, "longest_rollback": self.longest_rollback}
