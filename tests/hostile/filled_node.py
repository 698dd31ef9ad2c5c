"""A node of stages 2 to 5 in memory that keeps very many transactions. It is filled in seconds, and measured alone.

    filled = FilledNode(stage=5, count=10_000)
    connection = filled.connect()
    filled.node.on_frame(connection, encode_frame({"type": "get_chain", "locator": []}))

The data goes through the handlers that read a journal, so no signature is made or checked. In stages 4 and 5 nine of
ten transactions are in blocks, the others wait in the pool.
"""

import json
import random
from collections.abc import Callable
from functools import cache
from typing import Any

from common.encoding import Message, encode_frame, make_id
from common.framing import make_frame
from common.interface import Connection, Lines, Members, State
from common.ledger import Transaction
from stage2_ledger.limits import MAX_PEERS
from stage2_ledger.node import LedgerNode
from stage3_signed.node import SignedNode, SignedSetup
from stage4_sequencer.genesis import Genesis as SequencerGenesis
from stage4_sequencer.node import SequencedNode
from stage4_sequencer.total_order import TotalOrderSetup
from stage5_pos import lottery
from stage5_pos.genesis import make_genesis
from stage5_pos.node import StakeNode
from tests.network.journals import SENDER, some_base64, winning_block
from tests.fixtures import kept_key
from tests.memory import FakeNetwork

START_MS = 1_700_000_000_000
RICH, STAKE, SEQUENCER, POOR = 1, 2, 3, 4
"""Numbers of kept keys: the sender of all transactions that fill the node, a stake holder that has made no block yet,
the sequencer, and an account without money."""

PER_BLOCK = 20
"""Transactions in a block. 10,000 transactions then fill nearly as many blocks as one answer may hold."""

BALANCE = 10**12

SEED = "5e" * 32
FIRST_SLOT = 10**9
"""The first slot of the blocks that tests make: far above those that fill the node, and in the past."""

FRAME = make_frame(b'{"type":"transaction"}'.ljust(900))
"""The kept frame of every transaction that fills a node: one for all, to save memory."""

NEIGHBOURS = 10


class QuietNetwork(FakeNetwork):
    """A network without other nodes. It notes nothing, and its time stands still until the test moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(11)

    def unix_ms(self) -> int:
        """Milliseconds since 1970."""
        return START_MS + super().unix_ms()

    def due(self) -> list[Callable[[], None]]:
        """The timers that are due, each once."""
        due = [action for at, action in self.timers if at <= self.time]
        self.timers = [timer for timer in self.timers if timer[0] > self.time]
        return due

    def connect(self, address: str) -> None:
        """Do nothing: nobody is there."""

    def report(self, event: str, members: Members, lines: Lines) -> None:
        """Discard the event."""


class Recorder(Connection):
    """The node's end of a connection. What the node sends is counted and discarded, but the nonces of pings are kept."""

    def __init__(self, network: QuietNetwork, dialled: str | None) -> None:
        super().__init__(dialled, "a test", network.now())
        self.sent = 0
        """Frames that the node has sent."""
        self.pings: list[str] = []
        """The nonces of the pings among them."""

    def send(self, frame: bytes) -> None:
        """Count the frame."""
        self.sent += 1
        if frame[4:].startswith(b'{"type":"ping"'):
            self.pings.append(json.loads(frame[4:])["nonce"])

    def close(self) -> None:
        """Remember that the node has closed it; `FilledNode.close` tells the node of the end."""
        self.state = State.ENDED


class FilledNode:
    """One node, and all that a test needs to speak to it."""

    def __init__(self, stage: int, count: int) -> None:
        """A node that belongs to a network, has some neighbours, and keeps that many transactions."""
        self.stage = stage
        self.network = QuietNetwork()
        self.random = random.Random(stage)
        self.ids: list[str] = []
        self._opened = self._nonces = self._last_slot = 0
        self.node: Any = getattr(self, f"_make_node_{stage}")()
        self.neighbours = [self.connect() for _ in range(NEIGHBOURS)]
        self.node.keeper.is_replaying = True
        self._fill(count)
        self.node.keeper.is_replaying = False

    # --- its beginning --------------------------------------------------------------------------

    def _make_node_2(self) -> Any:
        return self._founded(LedgerNode(self.network, "127.0.0.1:1"))

    def _make_node_3(self) -> Any:
        return self._founded(SignedNode(self.network, "127.0.0.1:1", SignedSetup(key=kept_key(12))))

    def _setup(self) -> TotalOrderSetup:
        return TotalOrderSetup(key=kept_key(12))

    def _founded(self, node: Any) -> Any:
        node.start(None)
        return node

    def _make_node_4(self) -> Any:
        self.genesis: Any = SequencerGenesis("0" * 32, kept_key(SEQUENCER).account, 10_000, self._rich(), [BALANCE] * 2)
        return self._begun(SequencedNode(self.network, "127.0.0.1:1", self._setup(), make_key=lambda: kept_key(12)))

    def _make_node_5(self) -> Any:
        # A slot takes a millisecond.
        self.genesis = make_genesis(SEED, START_MS - 2 * FIRST_SLOT, 1, 999, self._rich(), [BALANCE] * 2)
        self.tip = self.genesis.id
        return self._begun(StakeNode(self.network, "127.0.0.1:1", self._setup(), {}, lambda: (self.genesis, {})))

    def _rich(self) -> list[str]:
        return [kept_key(RICH).account, kept_key(STAKE).account]

    def _begun(self, node: Any) -> Any:
        node.network_name = self.genesis.id
        node.keep_genesis(self.genesis)
        node.on_ready()
        return node

    # --- filling --------------------------------------------------------------------------------

    def _fill(self, count: int) -> None:
        for number in range(count):
            self._add_transaction(number)
        self._waiting = self.ids if self.stage < 4 else self.ids[count * 9 // 10:]
        for start in range(0, len(self.ids) - len(self._waiting), PER_BLOCK):
            self._add_block(self.ids[start:start + PER_BLOCK])

    def _add_transaction(self, number: int) -> None:
        """Keep an invented transaction. Its id depends on its number. Every tenth one names a new account."""
        transaction = Transaction(make_id(b"%d" % number), SENDER, f"account-{number // 10}", 1)
        self.ids.append(transaction.id)
        self.node.keep_transaction(transaction, FRAME)
        self.node.on_new_transaction(transaction)

    def _add_block(self, ids: list[str]) -> None:
        if self.stage == 4:
            block = {"type": "block", "number": len(self.node.blocks), "transactions": ids, "signature": "AAAA"}
        else:
            self._last_slot += 1
            parent = self.node.tree.best.id
            block = {**winning_block(self.genesis, self._last_slot, parent, ids), "signature": some_base64("block")}
        self.node.on_block(None, block, encode_frame(block))

    def fill_list_of_peers(self) -> None:
        """Fill the list of peers to its limit."""
        for number in range(MAX_PEERS):
            self.node.ring.members.add(f"10.0.{number // 250}.{number % 250}:1")

    # --- peers ----------------------------------------------------------------------------------

    def connect(self, greets: bool = True, dialled: bool = False) -> Recorder:
        """A connection to the node, opened by the node if `dialled`. If the peer `greets`, the handshake is done."""
        self._opened += 1
        address = f"127.1.{self._opened // 250}.{self._opened % 250}:1"
        connection = Recorder(self.network, address if dialled else None)
        self.node.on_open(connection)
        if greets:
            self.node.on_frame(connection, encode_frame(self.hello(address)))
            assert connection in self.node.links
        return connection

    def hello(self, address: str) -> Message:
        """The hello of a peer that listens there."""
        return {"type": "hello", "version": 1, "stage": self.stage, "network": self.node.network_name,
                "listen": address}

    def close(self, connection: Recorder) -> None:
        """End a connection, if the node has not done so."""
        connection.close()
        connection.was_refused = True
        self.node.on_close(connection)

    # --- messages -------------------------------------------------------------------------------

    def nonce(self) -> str:
        """A nonce that was not used here yet."""
        self._nonces += 1
        return f"{2**100 + self._nonces:032x}"

    def unknown(self, count: int) -> list[str]:
        """Ids that the node has never heard of."""
        return [f"{self.random.getrandbits(256):064x}" for _ in range(count)]

    def known(self, count: int) -> list[str]:
        """Ids of some transactions that fill the node."""
        return self.random.sample(self.ids, count)

    def pooled(self, count: int) -> list[str]:
        """Ids of some transactions that wait in the pool (stages 4 and 5)."""
        return [one for one in self.random.sample(self._waiting, 3 * count) if one in self.node.pool][:count]

    def payment(self, sender: int = RICH, amount: int = 1) -> Message:
        """A new transaction from the account of a kept key: in stage 2 by name, in later stages signed."""
        key, signed = kept_key(sender), self.stage > 2
        message = {"type": "transaction", "nonce": self.nonce(), "from": key.account if signed else f"name-{sender}",
                   "to": kept_key(5).account if signed else "name", "amount": amount}
        return {**message, "signature": key.sign(self.node.transaction_bytes(message))} if signed else message

    def sequenced(self, number: int, ids: list[str]) -> Message:
        """A block of stage 4, signed by the sequencer."""
        message = {"type": "block", "number": number, "transactions": ids}
        return {**message, "signature": kept_key(SEQUENCER).sign(self.node.block_bytes(message))}

    def forged_on(self, parent: str, ids: list[str] | None = None, slot: int = 0) -> Message:
        """A block of stage 5 on a parent, in the next slot that the stake holder wins, or the next from `slot` on. Each
        slot is used once."""
        key = kept_key(STAKE)
        threshold = self.genesis.winning_thresholds()[key.account]
        slot = slot or max(self._last_slot, FIRST_SLOT) + 1
        while lottery.ticket_value(self.genesis.seed, slot, key.account, draw_in(slot)) >= threshold:
            slot += 1
        self._last_slot = max(self._last_slot, slot)
        message = {"type": "block", "slot": slot, "parent": parent, "creator": key.account,
                   "draw": draw_in(slot), "transactions": ids or []}
        return {**message, "signature": key.sign(self.node.rules.block_bytes(message))}

    def id_of(self, block: Message) -> str:
        """The id of a block."""
        return make_id(self.node.rules.block_bytes(block))


@cache
def draw_in(slot: int) -> str:
    """The stake holder's draw, made beforehand: that takes longer than most of what is measured."""
    return lottery.make_draw(kept_key(STAKE), SEED, slot)
