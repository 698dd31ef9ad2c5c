"""Stage 4: the sequencer, which is the node that founded the network, sets one order for all.

Unlike stage 3:
- a network begins with a genesis, which names the sequencer's key and what the founder has;
- a transaction takes effect when a block says so, not when it arrives: until then it is in the pool;
- all nodes execute the same transactions in the same order, so all can refuse the same overdrafts;
- blocks come one after the other, each signed by the sequencer; what is missing is fetched.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from common.encoding import (INTEGER, STRING, Message, Shape, canon, decode_frame, encode_frame, ids_field, make_id,
                             without_padding)
from common.ledger import Ledger, Transaction
from common.limits import (MAX_ANSWER_BLOCKS, MAX_BLOCK_IDS, MAX_EVIDENCE, MAX_FLOODED, MAX_MISSING, MAX_WAITING,
                           MAX_WAITING_IDS)
from common.rsa import PrivateKey, verify
from common.interface import Connection, Invalid, Network
from stage4_sequencer import genesis
from stage4_sequencer.genesis import FOUNDERS_BALANCE, Genesis
from stage4_sequencer.order import DIGESTS, NUMBERS, Comparison, Order
from stage4_sequencer.sources import Sources
from stage4_sequencer.total_order import TotalOrderNode, TotalOrderSetup

ORDER_PING = "order"
"""The nonce of the ping after a question about a neighbour's order; its pong tells that it is answered."""


class Block(NamedTuple):
    """The ids of transactions in the order in which they take effect."""

    id: str
    number: int
    transactions: list[str]
    frame: bytes


class SequencedNode(TotalOrderNode):
    """A node that executes transactions in the sequencer's order. The one that founds is the sequencer."""

    STAGE = 4

    SHAPES: dict[str, Shape] = {
        **TotalOrderNode.SHAPES,
        "genesis": genesis.SHAPE,
        "block": {"number": INTEGER, "transactions": ids_field(MAX_BLOCK_IDS), "signature": STRING},
        "get_blocks": {"from": INTEGER},
        "height": {"number": INTEGER},
        "order": {"digests": DIGESTS},
        "get_order": {"numbers": NUMBERS},
    }

    def __init__(self, network: Network, address: str, setup: TotalOrderSetup, make_key: Callable[[], PrivateKey],
                 interval_ms: int = 10_000, sequencer_key: PrivateKey | None = None) -> None:
        """`make_key` gives the sequencer's key, when this node comes to found a network; `sequencer_key` is
        that key, when it goes on with one that it has founded."""
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
        """The transactions that some accepted block has ordered."""
        self.early: dict[int, tuple[Block, Connection | None]] = {}
        """Blocks that came before their turn, and from whom."""
        self.evidence: dict[int, tuple[bytes, bytes]] = {}
        """Two different signed blocks with one number: proof that the sequencer cheats."""
        self.sources = Sources(self.ask_from, network.now, self.trust)
        self.order = Order()
        self.comparison = Comparison(self.order, self.ask_about_order, self.lacks_evidence)

    # --- genesis --------------------------------------------------------------------------------

    def read_genesis(self, message: Message) -> Genesis:
        """Read a genesis of stage 4."""
        return genesis.read_genesis(message)

    def make_genesis(self) -> Genesis:
        """Make the sequencer's key and a genesis; from now on this node makes the blocks."""
        self.sequencer_key = self.make_key()
        return Genesis(self.make_nonce(), self.sequencer_key.account, self.interval_ms,
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
        """Every interval: order what is in the pool, as it arrived. Nothing there, no block."""
        self.network.after(self.interval_ms / 1000, self.make_block)
        # What is ordered stays in the pool while an earlier block lacks something: not twice, then.
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
        """A block: the next one is accepted, an early one kept, a second one with its number is evidence."""
        canonical = self.block_bytes(message)
        block = Block(make_id(canonical), message["number"], message["transactions"],
                      without_padding(frame, message))
        rival = self.find_block(block.number)
        if rival is not None and decode_frame(rival.frame) == message:
            return
        self.check_signature(message, canonical)
        if rival is not None and rival.id != block.id:
            self.keep_evidence(rival, block, connection)
        elif block.number == len(self.blocks):
            self.early[block.number] = (block, connection)
            self.accept_early()
        elif block.number > len(self.blocks):
            self.keep_early(block, connection)

    def find_block(self, number: int) -> Block | None:
        """The block with this number, if one came."""
        if number < len(self.blocks):
            return self.blocks[number]
        return self.early[number][0] if number in self.early else None

    def check_signature(self, message: Message, canonical: bytes) -> None:
        """Invalid unless the sequencer has signed the block."""
        if self.keeper.is_replaying:
            return
        try:
            verify(self.sequencer, canonical, message["signature"])
        except ValueError as error:
            raise Invalid(f"block {message['number']}: {error}") from None

    def accept_block(self, block: Block, connection: Connection | None) -> None:
        """Take the next block: pass it on, fetch what it orders, execute it when that is there."""
        if not self.ordered.isdisjoint(block.transactions):
            raise Invalid(f"block {block.number}: it orders a transaction of an earlier block again")
        self.keeper.keep("block", block.frame)
        self.blocks.append(block)
        self.order.add(block.id)
        self.sources.came(len(block.frame))
        self.ordered.update(block.transactions)
        self.spread(block.frame, connection)
        lacking = self.lacking(block.transactions)
        if lacking:
            self.wait_for(block.id, lacking, connection)
        self.execute_blocks()

    def keep_early(self, block: Block, connection: Connection | None) -> None:
        """Keep a block until its turn, and ask whoever has it for those before it."""
        ids = len(block.transactions) + sum(len(one.transactions) for one, _ in self.early.values())
        if not self.early or (len(self.early) < MAX_WAITING and ids <= MAX_WAITING_IDS):
            self.early[block.number] = (block, connection)
        if connection is not None:
            self.sources.told(connection, max(self.sources.height(connection), block.number + 1))
            self.catch_up()

    def accept_early(self) -> None:
        """Accept the blocks whose turn it is now. One that the sequencer should not have signed counts against nobody:
        nodes that follow another order of this sequencer have accepted it."""
        while len(self.blocks) in self.early:
            block, connection = self.early.pop(len(self.blocks))
            try:
                self.accept_block(block, connection)
            except Invalid as error:
                if connection is not None:
                    self.refusals.report_invalid(connection, str(error))
                return

    def keep_evidence(self, first: Block, second: Block, connection: Connection | None) -> None:
        """The sequencer has signed two blocks with one number. The first stands; everyone must know."""
        if self.lacks_evidence(first.number):
            self.evidence[first.number] = (first.frame, second.frame)
            if first.number in self.early:
                self.keeper.keep("block", first.frame)  # otherwise the second would be the first after a crash
            self.keeper.keep("block", second.frame)
            self.report("equivocation", creator=self.sequencer, number=first.number, ids=[first.id, second.id])
            self.flood(second.frame, connection)

    def lacks_evidence(self, number: int) -> bool:
        """Would two blocks with this number be kept?"""
        return number not in self.evidence and len(self.evidence) < MAX_EVIDENCE

    # --- execution ------------------------------------------------------------------------------

    def has_room_for(self, transaction: Transaction) -> bool:
        """What a block needs comes in always: the sequencer has ordered it."""
        return super().has_room_for(transaction) or bool(self.waiting.needed_by(transaction.id))

    def on_arrived(self, arrived: str) -> None:
        """A transaction has come: blocks that waited for it may be complete."""
        if self.waiting.on_arrived(arrived):
            self.execute_blocks()

    def execute_blocks(self) -> None:
        """Execute the accepted blocks in order, up to the first that lacks a transaction."""
        while self.executed < len(self.blocks) and self.blocks[self.executed].id not in self.waiting:
            block = self.blocks[self.executed]
            self.executed += 1
            for transaction_id in block.transactions:
                self.execute(transaction_id)
            self.report("block", **self.describe_block(block))

    def execute(self, transaction_id: str) -> None:
        """Let a transaction take effect; one that would make its sender negative is ignored for good."""
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
        """Say which block this node awaits, and in which order the others were."""
        self.send_height(connection)
        if self.blocks:
            connection.send(encode_frame({"type": "order", "digests": self.order.locator()}))

    def send_height(self, connection: Connection) -> None:
        """Say which block this node awaits."""
        connection.send(encode_frame({"type": "height", "number": len(self.blocks)}))

    def on_height(self, connection: Connection, message: Message, frame: bytes) -> None:
        """A neighbour says which block it awaits: the one that is behind asks."""
        self.sources.told(connection, message["number"])
        if message["number"] < len(self.blocks):
            self.send_height(connection)
        else:
            self.catch_up()

    def catch_up(self) -> None:
        """Ask for more blocks, unless those that are here lack as many transactions as may be asked for at a time."""
        if self.waiting.count_lacking() < MAX_MISSING:
            self.sources.ask(len(self.blocks))

    def is_catching_up_with(self, connection: Connection) -> bool:
        """Is this neighbour asked for very many blocks?"""
        return super().is_catching_up_with(connection) or (
            self.sources.is_asked(connection) and self.sources.height(connection) > len(self.blocks) + MAX_FLOODED)

    def ask_from(self, connection: Connection, number: int) -> None:
        """Ask a neighbour for the blocks from a number on."""
        self.ask_for_blocks(connection, {"type": "get_blocks", "from": number})

    def on_get_blocks(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Answer with the blocks from a number on."""
        first = message["from"]
        self.send_blocks(connection, (block.frame for block in self.blocks[first:first + MAX_ANSWER_BLOCKS]))

    def on_blocks_answered(self, connection: Connection) -> None:
        """Ask on, unless this node has caught up."""
        self.sources.answered(connection, len(self.blocks))
        self.catch_up()

    def fetch_again(self) -> None:
        """Every second: ask others if those who were asked for blocks bring none."""
        self.sources.lose_patience()
        self.catch_up()
        super().fetch_again()

    def unlink(self, connection: Connection) -> None:
        """A neighbour that is gone answers no questions; somebody else is asked at once."""
        super().unlink(connection)
        self.sources.forget(connection)
        self.catch_up()
        self.comparison.forget(connection)

    # --- two orders -----------------------------------------------------------------------------

    def on_order(self, connection: Connection, message: Message, frame: bytes) -> None:
        """A neighbour tells of its order: see whether it is this node's."""
        self.comparison.told(connection, message["digests"])

    def on_get_order(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Answer with the digests at these numbers."""
        connection.send(encode_frame({"type": "order", "digests": self.order.digests(message["numbers"])}))

    def ask_about_order(self, connection: Connection, question: Message) -> None:
        """Send a question about a neighbour's order, and a ping after it."""
        connection.send(encode_frame(question))
        connection.send(encode_frame({"type": "ping", "nonce": ORDER_PING}))

    def on_pong(self, connection: Connection, message: Message, frame: bytes) -> None:
        """The question before that ping has been answered."""
        super().on_pong(connection, message, frame)
        if message["nonce"] == ORDER_PING:
            self.comparison.answered(connection)

    # --- the user -------------------------------------------------------------------------------

    def known_accounts(self) -> set[str]:
        """The sequencer's too, which people see with every block."""
        return super().known_accounts() | {self.sequencer}

    def describe_block(self, block: Block) -> dict[str, Any]:
        """The members of the event `block`."""
        return {"id": block.id, "number": block.number, "transactions": len(block.transactions),
                "creator": self.sequencer}

    def describe_blocks(self) -> list[dict[str, Any]]:
        """The blocks that were executed, oldest first."""
        return [self.describe_block(block) for block in self.blocks[:self.executed]]

    def describe_status(self) -> dict[str, Any]:
        """The next number awaited, and how many transactions wait to be ordered or executed."""
        return {"next": len(self.blocks), "pending": len(self.pool)}
