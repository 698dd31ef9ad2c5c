"""Stage 2: a ledger that ends up the same at every node.

Unlike stage 1:
- a node has more parts, some with messages of their own: see the names at the top of the class;
- it knows who is in the network, and keeps ten connections along a ring and two random ones (ring.py);
- it calls every lost neighbour again, and not only `--peer` (redial.py);
- transactions are flooded, and applied the moment they arrive: additions commute, so the order does not matter;
- two neighbours compare what they have (reconcile.py), so that nothing is lost with a connection, and each fetches what
  it lacks (fetcher.py);
- a node can keep a journal, and go on after a crash (keeping.py);
- `/send` and `/ledger` are new, and `/peers` shows all in the network.
"""

from collections.abc import Callable
from typing import Any

from common.encoding import (INTEGER, MAX_INTEGER, NONCE, Field, Message, Shape, canon, decode_frame, encode_frame,
                             is_address, is_integer, is_matching, make_id, make_nonce, shorten, without_padding)
from common.fetch_limits import MAX_FLOODED
from common.ledger import Ledger, Transaction
from common.interface import Command, CommandError, Connection, Network
from stage1_chat.node import ChatNode
from stage2_ledger import words
from stage2_ledger.fetcher import Fetcher
from stage2_ledger.gossip import Gossip
from stage2_ledger.id_tree import IdTree
from stage2_ledger.keeping import Keeper, LedgerSetup
from stage2_ledger.reconcile import Reconciliation
from stage2_ledger.redial import LostPeers
from stage2_ledger.ring import Ring

NAME = Field(is_matching("[\x21-\x7e]{1,64}"), "a name of 1 to 64 ASCII characters without spaces (U+0021 to U+007E)")


class LedgerNode(ChatNode):
    """A node that keeps a replicated ledger."""

    STAGE = 2

    KEEPER = Keeper
    RING = Ring
    FETCHER = Fetcher
    RECONCILIATION = Reconciliation
    """The classes of its parts."""

    SHAPES: dict[str, Shape] = {
        **ChatNode.SHAPES,
        **Ring.SHAPES,
        **Fetcher.SHAPES,
        **Reconciliation.SHAPES,
        "transaction": {"nonce": NONCE, "from": NAME, "to": NAME, "amount": INTEGER},
    }

    COMMANDS: dict[str, Command] = {
        **ChatNode.COMMANDS,
        "send": Command("/send FROM TO AMOUNT", "transfer AMOUNT from one account to another"),
        "ledger": Command("/ledger", "show the balance of every account"),
    }

    EVENTS = {**ChatNode.EVENTS, **words.EVENTS}

    def __init__(self, network: Network, address: str, setup: LedgerSetup | None = None) -> None:
        setup = setup or LedgerSetup()
        super().__init__(network, address, setup)
        self.keeper = self.KEEPER(setup.journal)
        self.redials: LostPeers = LostPeers(network, self.neighbours.is_linked, self.neighbours.is_peer)
        self.ring = self.parts.add(self.RING(network, address, self.neighbours, self.redials, self.keeper,
                                             self.seen_ids, lambda: self.network_name))
        self.ledger = Ledger()
        self.transactions: dict[str, Transaction] = {}
        self.frames: dict[str, bytes] = {}
        """The frame of each transaction, as it came or, if it is long, without padding: id -> bytes."""
        self.ids = IdTree()
        self.fetcher = self.parts.add(self.FETCHER(self.find_frame, network.now, network.random,
                                                   self.neighbours.is_peer, self.on_fetched, self.on_forsaken))
        self.reconciliation = self.parts.add(
            self.RECONCILIATION(self.ids, self.fetch, self.fetcher.has_room, network.now, network.random))
        self.gossip = Gossip(network, self.neighbours, self.gossip_with)

    # --- the network and the neighbours ---------------------------------------------------------

    def take_network(self, connection: Connection, name: str) -> None:
        """This node has joined by a peer: ask that peer who else is there."""
        super().take_network(connection, name)
        self.ring.ask_for_peers(connection)

    def on_ready(self) -> None:
        """The node belongs to a network: note that, and begin to compare with the others."""
        super().on_ready()
        self.keeper.note("stage", str(self.STAGE))
        self.keeper.note("network", str(self.network_name))
        self.ring.begin()
        self.gossip.begin()
        self.network.after(1.0, self.fetch_again)

    def on_open(self, connection: Connection) -> None:
        """A connection has been opened: say hello, unless it is a second call to the same node."""
        if not self.ring.ends_second_call(connection):
            super().on_open(connection)

    def on_own_address(self, connection: Connection) -> None:
        """The address called is another name of this node: take it off the list of peers, too."""
        super().on_own_address(connection)
        self.ring.members.cross_out(str(connection.dialled))

    def greetings(self) -> list[Callable[[Connection], None]]:
        """Two more: this node's presence, if this node called, and then the comparison of the two stores."""
        return [*super().greetings(), self.ring.greet, self.reconciliation.greet]

    def is_redialled(self, connection: Connection) -> bool:
        """From stage 2 on both sides call again."""
        return super().is_redialled(connection) or self.redials.is_wanted(connection)

    def peers(self) -> list[str]:
        """The list of peers in its order, this node's own address included."""
        return self.ring.members.sorted()

    # --- after a crash --------------------------------------------------------------------------

    def resume(self) -> None:
        """Replay the journal with the handlers that a live message has; then go back to the peers known before."""
        self.network_name = self.keeper.read_note("network")
        self.keeper.replay(self.replay)
        self.report("founded", resumed=True)
        self.on_ready()
        if self.neighbours.peer is not None and not is_address(self.neighbours.peer):
            self.report_error("NETWORK", f"{self.neighbours.peer}: expected HOST:PORT")
            self.neighbours.peer = None
        self.ring.go_back()

    def replay(self, kind: str, content: bytes) -> None:
        """Handle an entry of the journal again; its kind is the type of its message. A hook."""
        self.parts.find_handler(kind, self)(None, decode_frame(content), content)

    def commit(self) -> None:
        """Make what was kept outlast a crash, before anybody is told."""
        self.keeper.commit()

    def on_end(self) -> None:
        """Close the journal."""
        self.keeper.close()

    def report(self, event: str, **members: Any) -> None:
        """Tell the user what happened, but not while the journal is replayed."""
        if not self.keeper.is_replaying:
            super().report(event, **members)

    # --- transactions ---------------------------------------------------------------------------

    def on_transaction(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """A transaction, from a peer or (connection None) from this node's user."""
        canonical = self.transaction_bytes(message)
        transaction = Transaction(make_id(canonical), message["from"], message["to"], message["amount"])
        known = self.frames.get(transaction.id)
        if known is None or decode_frame(known) != message:
            # A known transaction with another signature is checked, too: it may be forged.
            self.check_transaction(message, canonical)
        self.fetcher.on_came(transaction.id, connection)
        if self.is_kept(transaction.id):
            return
        if self.has_room_for(transaction):
            self.keep_transaction(transaction, without_padding(frame, message))
            self.spread(frame, connection)
            self.on_new_transaction(self.transactions[transaction.id])
        else:
            self.on_no_room(transaction, without_padding(frame, message))

    def transaction_bytes(self, message: Message) -> bytes:
        """The canonical bytes of a transaction (contract §1)."""
        # Why the nonce? Two equal payments must be two transactions. Why the network's name? From stage 3 on these
        # bytes are signed, and a transaction of one network must be worth nothing in another.
        return canon(["transaction", self.network_name, message["nonce"],
                      message["from"], message["to"], message["amount"]])

    def transaction_id(self, message: Message) -> str:
        """The id of a transaction."""
        return make_id(self.transaction_bytes(message))

    def check_transaction(self, message: Message, canonical: bytes) -> None:
        """Invalid unless the transaction is valid by itself. A hook; in stage 2 every one of the right form is."""

    def has_room_for(self, transaction: Transaction) -> bool:
        """May this transaction come in? A hook; in stage 2 every transaction may."""
        return True

    def on_no_room(self, transaction: Transaction, frame: bytes) -> None:
        """A valid transaction has come for which there is no room. A hook."""

    def keep_transaction(self, transaction: Transaction, frame: bytes) -> None:
        """Store a transaction, so that neighbours can ask for it. A hook."""
        self.transactions[transaction.id] = transaction
        self.frames[transaction.id] = frame
        self.keeper.keep("transaction", frame)
        self.ids.add(transaction.id)

    def on_new_transaction(self, transaction: Transaction) -> None:
        """What a new transaction does: it is applied. A hook; in stage 4 it waits for a block."""
        self.ledger.apply(transaction)

    # --- reconciliation -------------------------------------------------------------------------

    def gossip_with(self, connection: Connection) -> None:
        """Compare with one neighbour. A hook."""
        self.reconciliation.begin(connection)

    def fetch(self, connection: Connection, ids: list[str]) -> None:
        """Ask a neighbour for those of its ids that are lacking here."""
        self.fetcher.need(filter(self.is_lacking, ids), connection)

    def is_lacking(self, transaction_id: str) -> bool:
        """Does this node lack a transaction that others have? A hook."""
        return not self.is_kept(transaction_id)

    def is_kept(self, transaction_id: str) -> bool:
        """Is this transaction stored permanently? A hook."""
        return transaction_id in self.transactions

    def find_frame(self, wanted: str) -> bytes | None:
        """The frame of the message with this id, if this node has it. A hook."""
        return self.frames.get(wanted)

    def on_fetched(self, connection: Connection, brought_something: bool) -> None:
        """A want has been answered, so there may be room for more. If the answer brought something, it is worth asking
        for more. A hook."""
        self.reconciliation.go_on(connection)

    def on_forsaken(self, missing_id: str) -> None:
        """None of those that have named this id has brought it. A hook."""

    # --- passing on -----------------------------------------------------------------------------

    def spread(self, frame: bytes, source: Connection | None) -> None:
        """Pass on something new that is kept. While many ids are fetched from its source, it is not flooded: neighbours
        find it when the stores are next compared, and ask for what they lack."""
        if source is not None and self.is_catching_up_with(source):
            self.gossip.postpone(frame, source)
        else:
            self.flood(frame, source)

    def is_catching_up_with(self, connection: Connection) -> bool:
        """Are more than `MAX_FLOODED` ids being fetched from this neighbour? A hook."""
        return self.fetcher.count_named(connection) > MAX_FLOODED

    def fetch_again(self) -> None:
        """Every second: ask others for what did not come. A hook."""
        self.network.after(1.0, self.fetch_again)
        self.fetcher.ask_again(self.links)

    # --- the user -------------------------------------------------------------------------------

    def words(self) -> list[str]:
        """The known accounts, too."""
        return [*super().words(), *self.known_accounts()]

    def known_accounts(self) -> set[str]:
        """The accounts that the user can mean: all in the ledger. A hook."""
        return set(self.balances())

    def command_send(self, arguments: list[str]) -> None:
        """`/send FROM TO AMOUNT`: make a transaction. A hook."""
        self.COMMANDS["send"].expect(arguments, 3)
        sender, receiver, amount = arguments
        for name in (sender, receiver):
            if not NAME.is_good(name):
                raise CommandError(f"expected {NAME.expected}, not {shorten(name)}", "ACCOUNT")
        self.send_transaction(self.transaction_message(sender, receiver, self.read_amount(amount)))

    LOWEST_AMOUNT = 0

    def read_amount(self, text: str) -> int:
        """Read an amount that was typed; CommandError if it is not one."""
        if not (text.isascii() and text.isdigit() and len(text) <= 16 and is_integer(int(text), self.LOWEST_AMOUNT)):
            raise CommandError(f"expected an amount from {self.LOWEST_AMOUNT} to {MAX_INTEGER}")
        return int(text)

    def transaction_message(self, sender: str, receiver: str, amount: int) -> Message:
        """A transaction as it goes over the wire."""
        nonce = make_nonce(self.network.random)
        return {"type": "transaction", "nonce": nonce, "from": sender, "to": receiver, "amount": amount}

    def send_transaction(self, message: Message) -> None:
        """Make a transaction known to everyone, this node first. A hook."""
        transaction_id = self.transaction_id(message)
        self.report("sent", id=transaction_id)
        self.on_transaction(None, message, encode_frame(message))
        self.report_sent(transaction_id)

    def report_sent(self, transaction_id: str) -> None:
        """Tell the user what became of a transaction made here: it is applied. A hook."""
        self.report("transaction", id=transaction_id, state="applied")

    def command_ledger(self, arguments: list[str]) -> None:
        """`/ledger`: show all balances."""
        self.COMMANDS["ledger"].expect(arguments)
        self.report("ledger", accounts=self.balances())

    def balances(self) -> dict[str, int]:
        """The balance of every account named so far."""
        return self.ledger.balances
