"""Stage 4: the sequencer, which is the node that founded the network, sets one order for all.

Unlike stage 3:
- a network begins with a genesis, which names the sequencer's key and what the founder has (genesis.py);
- a transaction takes effect when a block says so, not when it arrives: until then it is in the pool, which may be full
  (total_order.py);
- blocks come one after the other, each signed by the sequencer (here); one that lacks transactions waits for them
  (waiting.py), and blocks that were missed are fetched (catching_up.py);
- all nodes execute the same transactions in the same order, so all can refuse the same overdrafts (here);
- two blocks with one number are proof that the sequencer cheats (here); neighbours find them by comparing their orders
  (order.py);
- the user can send only what the account has, and is told once it has taken effect; `/blocks` and `/status` are new
  (total_order.py).
"""

from collections.abc import Callable
from typing import Any

from common.encoding import (INTEGER, STRING, Message, Shape, canon, decode_frame, encode_frame, ids_field, make_id,
                             make_nonce, without_padding)
from common.ledger import Ledger, Transaction
from common.rsa import PrivateKey
from common.interface import Connection, Invalid, Network
from stage4_sequencer import genesis
from stage4_sequencer.block import Block, check_signed
from stage4_sequencer.catching_up import HeightSync
from stage4_sequencer.genesis import FOUNDERS_BALANCE, Genesis
from stage4_sequencer.limits import MAX_BLOCK_IDS, MAX_EVIDENCE, MAX_WAITING, MAX_WAITING_IDS
from stage4_sequencer.order import Comparison, Order
from stage4_sequencer.total_order import TotalOrderNode, TotalOrderSetup
from stage4_sequencer.waiting import WaitingBlocks


class SequencedNode(TotalOrderNode):
    """A node that executes transactions in the sequencer's order. The one that founds is the sequencer."""

    STAGE = 4

    # The classes of its parts; attackers and tests put others in their place:
    WAITING_BLOCKS = WaitingBlocks
    HEIGHT_SYNC = HeightSync
    COMPARISON = Comparison

    SHAPES: dict[str, Shape] = {
        **TotalOrderNode.SHAPES,
        **HeightSync.SHAPES,
        **Comparison.SHAPES,
        "genesis": genesis.SHAPE,
        "block": {"number": INTEGER, "transactions": ids_field(MAX_BLOCK_IDS), "signature": STRING},
    }

    def __init__(self, network: Network, address: str, setup: TotalOrderSetup, make_key: Callable[[], PrivateKey],
                 interval_ms: int = 10_000, sequencer_key: PrivateKey | None = None) -> None:
        """`make_key` makes the sequencer's key, if this node founds a network. `sequencer_key` is that key, if this
        node goes on with a network that it has founded."""
        super().__init__(network, address, setup)
        self.make_key = make_key
        self.interval_ms = interval_ms
        self.sequencer_key = sequencer_key
        """The key that signs blocks; None at every node but the sequencer."""
        self.sequencer = ""
        """The account whose signature makes a block."""
        self.blocks: list[Block] = []
        """The blocks accepted, by number."""
        self.executed = 0
        """How many of them have taken effect."""
        self.ordered: set[str] = set()
        """The transactions that are in an accepted block."""
        self.early: dict[int, tuple[Block, Connection | None]] = {}
        """Blocks that came before their turn, and from whom."""
        self.evidence: dict[int, tuple[bytes, bytes]] = {}
        """Two different signed blocks with one number: proof that the sequencer cheats."""
        self.order = Order()
        self.waiting_blocks = self.parts.add(
            self.WAITING_BLOCKS(network, self.links, self.fetcher, lambda _: self._execute_blocks()))
        self.sync: HeightSync = self.parts.add(
            self.HEIGHT_SYNC(self.blocks, self.waiting_blocks.lacks, network.now, self.fetcher.trust))
        self.comparison = self.parts.add(self.COMPARISON(self.order, self._lacks_evidence))

    # --- genesis --------------------------------------------------------------------------------

    def read_genesis(self, message: Message) -> Genesis:
        """Read a genesis of stage 4."""
        return genesis.read_genesis(message)

    def make_genesis(self) -> Genesis:
        """Make the sequencer's key and a genesis; from now on this node makes the blocks."""
        self.sequencer_key = self.make_key()
        return Genesis(make_nonce(self.network.random), self.sequencer_key.account, self.interval_ms,
                       [self.key.account], [FOUNDERS_BALANCE])

    def begin_with(self, genesis: Genesis) -> None:
        """Begin with the balances of the genesis."""
        self.sequencer = genesis.sequencer
        self.ledger = Ledger(genesis.starting_balances())
        self.interval_ms = genesis.interval_ms
        if self.sequencer_key is not None and self.sequencer_key.account == self.sequencer:
            self.network.after(self.interval_ms / 1000, self.make_block)

    # --- the sequencer --------------------------------------------------------------------------

    def make_block(self) -> None:
        """Every interval: make a block of what is in the pool, in order of arrival; none if the pool is empty."""
        self.network.after(self.interval_ms / 1000, self.make_block)
        # A transaction that has been ordered stays in the pool until its block is executed. Do not order it again.
        ids = [pooled for pooled in self.pool if pooled not in self.ordered][:MAX_BLOCK_IDS]
        if ids and self.sequencer_key is not None:
            message = {"type": "block", "number": len(self.blocks), "transactions": ids}
            message["signature"] = self.sequencer_key.sign(self.block_bytes(message))
            self.on_block(None, message, encode_frame(message))

    def block_bytes(self, message: Message) -> bytes:
        """The canonical bytes of a block (contract §1)."""
        return canon(["block", self.network_name, message["number"], message["transactions"]])

    # --- blocks ---------------------------------------------------------------------------------

    def on_block(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """A block: the next one is accepted, an early one is kept, a second one with the same number is evidence."""
        canonical = self.block_bytes(message)
        block = Block(make_id(canonical), message["number"], message["transactions"],
                      without_padding(frame, message))
        rival = self._find_block(block.number)
        if rival is not None and decode_frame(rival.frame) == message:
            return
        if not self.keeper.is_replaying:
            check_signed(f"block {block.number}", self.sequencer, canonical, message["signature"])
        if rival is not None and rival.id != block.id:
            self._keep_evidence(rival, block, connection)
        elif block.number == len(self.blocks):
            self.early[block.number] = (block, connection)
            self._accept_early()
        elif block.number > len(self.blocks):
            self._keep_early(block, connection)

    def _find_block(self, number: int) -> Block | None:
        """The block with this number, accepted or early; None if none has come."""
        if number < len(self.blocks):
            return self.blocks[number]
        return self.early[number][0] if number in self.early else None

    def _accept_block(self, block: Block, connection: Connection | None) -> None:
        """Take the next block: pass it on, fetch what it orders, execute it when that is there."""
        if not self.ordered.isdisjoint(block.transactions):
            raise Invalid(f"block {block.number}: it orders a transaction of an earlier block again")
        self.keeper.keep("block", block.frame)
        self.blocks.append(block)
        self.order.add(block.id)
        self.sync.on_came(block, connection)
        self.ordered.update(block.transactions)
        # Pass it on before it is executed: execution may have to wait for transactions that others already have.
        self.spread(block.frame, connection)
        lacking = self.lacking(block.transactions)
        if lacking:
            self.waiting_blocks.wait_for(block.id, lacking, connection)
        self._execute_blocks()

    def _keep_early(self, block: Block, connection: Connection | None) -> None:
        """Keep a block until its turn, and ask whoever has it for those before it."""
        ids = len(block.transactions) + sum(len(one.transactions) for one, _ in self.early.values())
        if not self.early or (len(self.early) < MAX_WAITING and ids <= MAX_WAITING_IDS):
            self.early[block.number] = (block, connection)
        if connection is not None:
            self.sync.on_early(connection, block.number)

    def _accept_early(self) -> None:
        """Accept the blocks whose turn it is now. If one is invalid, the sequencer should not have signed it, but the
        neighbour that sent it is not to blame: in the other order of a cheating sequencer it may be valid."""
        while len(self.blocks) in self.early:
            block, connection = self.early.pop(len(self.blocks))
            try:
                self._accept_block(block, connection)
            except Invalid as error:
                if connection is not None:
                    self.refusals.report_invalid(connection, str(error))
                return

    def _keep_evidence(self, first: Block, second: Block, connection: Connection | None) -> None:
        """The sequencer has signed two blocks with one number. The first one counts; the second is passed on as
        proof."""
        if self._lacks_evidence(first.number):
            self.evidence[first.number] = (first.frame, second.frame)
            if first.number in self.early:
                self.keeper.keep("block", first.frame)  # otherwise a replay would find the second one first
            self.keeper.keep("block", second.frame)
            self.report("equivocation", creator=self.sequencer, number=first.number, ids=[first.id, second.id])
            self.flood(second.frame, connection)

    def _lacks_evidence(self, number: int) -> bool:
        """Would two blocks with this number be kept?"""
        return number not in self.evidence and len(self.evidence) < MAX_EVIDENCE

    # --- execution ------------------------------------------------------------------------------

    def has_room_for(self, transaction: Transaction) -> bool:
        """There is always room for a transaction that a block needs."""
        return super().has_room_for(transaction) or bool(self.waiting_blocks.needed_by(transaction.id))

    def _execute_blocks(self) -> None:
        """Execute the accepted blocks in order, up to the first that lacks a transaction."""
        while self.executed < len(self.blocks) and self.blocks[self.executed].id not in self.waiting_blocks:
            block = self.blocks[self.executed]
            self.executed += 1
            for transaction_id in block.transactions:
                self._execute(transaction_id)
            self.report("block", **self._describe_block(block))

    def _execute(self, transaction_id: str) -> None:
        """Let a transaction take effect; one that would overdraw its sender's account is ignored forever."""
        transaction = self.transactions[transaction_id]
        self.pool.remove(transaction_id)
        if self.ledger.is_covered(transaction):
            self.ledger.apply(transaction)
            self.refused.on_paid(transaction.receiver)
            self.report_made_here(transaction_id, "applied")
        else:
            self.report_made_here(transaction_id, "rejected", reason="the account does not have the amount")

    # --- catching up ----------------------------------------------------------------------------

    def send_progress(self, connection: Connection) -> None:
        """Tell a neighbour which block this node awaits, and the digests of the order before it."""
        super().send_progress(connection)
        self.comparison.tell(connection)

    def fetch_again(self) -> None:
        """Every second: ask others, too, if the neighbours that were asked bring no blocks."""
        self.sync.ask_again()
        super().fetch_again()

    def unlink(self, connection: Connection) -> None:
        """A neighbour is gone: if it was asked for blocks, somebody else is asked at once."""
        super().unlink(connection)
        self.sync.catch_up()

    # --- the user -------------------------------------------------------------------------------

    def known_accounts(self) -> set[str]:
        """The sequencer's account, too, which people see with every block."""
        return super().known_accounts() | {self.sequencer}

    def _describe_block(self, block: Block) -> dict[str, Any]:
        """The members of the event `block`."""
        return {"id": block.id, "number": block.number, "transactions": len(block.transactions),
                "creator": self.sequencer}

    def describe_blocks(self) -> list[dict[str, Any]]:
        """The blocks that were executed, oldest first."""
        return [self._describe_block(block) for block in self.blocks[:self.executed]]

    def describe_status(self) -> dict[str, Any]:
        """The next number awaited, and how many transactions wait to be ordered or executed."""
        return {"next": len(self.blocks), "pending": len(self.pool)}
