"""Stage 2: a ledger that ends up the same at every node.

Unlike stage 1:
- a node knows who is in the network, and keeps ten connections along a ring and two random ones (ring.py);
- transactions are flooded, and applied the moment they arrive: additions commute, so the order does not matter;
- two neighbours compare what they have (reconcile.py), so that nothing is lost with a connection;
- a node can keep a journal, and go on after a crash (keeping.py).
"""


from common.encoding import (INTEGER, MAX_INTEGER, NONCE, Field, Message, Shape, canon,
                             decode_frame, encode_frame, ids_field, is_integer, is_matching, make_id, without_padding)
from common.journal import Journal
from common.ledger import Ledger, Transaction
from common.limits import GOSSIP_SECONDS, MAX_FLOODED, MAX_WANT
from common.interface import Command, CommandError, Connection, Network
from stage2_ledger.fetcher import Fetcher
from stage2_ledger.id_tree import IdTree
from stage2_ledger.reconcile import Reconciliation
from stage2_ledger.ring import RingNode

NAME = Field(is_matching("[\x21-\x7e]{1,64}"), "a name of 1 to 64 characters from U+0021 to U+007E")

WANT_PING = "want"
"""The nonce of the ping behind a want; its pong tells that the want is answered."""


class LedgerNode(RingNode):
    """A node that keeps a replicated ledger."""

    STAGE = 2

    SHAPES: dict[str, Shape] = {
        **RingNode.SHAPES,
        **Reconciliation.SHAPES,
        "transaction": {"nonce": NONCE, "from": NAME, "to": NAME, "amount": INTEGER},
        "want": {"ids": ids_field(MAX_WANT)},
    }

    COMMANDS: dict[str, Command] = {
        **RingNode.COMMANDS,
        "send": Command("/send FROM TO AMOUNT", "transfer AMOUNT from one account to another"),
        "ledger": Command("/ledger", "show the balance of every account"),
    }

    RECONCILIATION = Reconciliation

    def __init__(self, network: Network, address: str, journal: Journal | None = None) -> None:
        """With a journal the node keeps what it accepts, and goes on with what the journal holds."""
        super().__init__(network, address, journal)
        self.ledger = Ledger()
        self.transactions: dict[str, Transaction] = {}
        self.frames: dict[str, bytes] = {}
        """The frame of each transaction, as it came: id -> bytes."""
        self.ids = IdTree()
        self.fetcher = Fetcher(self.ask_for, network.now, network.random, self.trust, self.on_forsaken)
        self.owes_news = False
        """Has something come that was not passed on, since very much was fetched?"""
        self.reconciliation = self.add_part(
            self.RECONCILIATION(self.ids, self.fetch, self.fetcher.has_room, network.random))

    # --- transactions ---------------------------------------------------------------------------

    def on_transaction(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """A transaction, from a peer or (connection None) from this node's user."""
        canonical = self.transaction_bytes(message)
        transaction = Transaction(make_id(canonical), message["from"], message["to"], message["amount"])
        known = self.frames.get(transaction.id)
        if known is None or decode_frame(known) != message:
            # Also if it is a known one with another signature: a forged copy is no repeat.
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
        return canon(["transaction", self.network_name, message["nonce"],
                      message["from"], message["to"], message["amount"]])

    def transaction_id(self, message: Message) -> str:
        """The id of a transaction."""
        return make_id(self.transaction_bytes(message))

    def check_transaction(self, message: Message, canonical: bytes) -> None:
        """Invalid unless the transaction is good by itself. In stage 2 its form is all there is to it."""

    def has_room_for(self, transaction: Transaction) -> bool:
        """May this transaction come in? Here all do: the ledger is the sum of every one."""
        return True

    def on_no_room(self, transaction: Transaction, frame: bytes) -> None:
        """A valid transaction has come for which there is no room."""

    def keep_transaction(self, transaction: Transaction, frame: bytes) -> None:
        """Keep a transaction for those who will ask for it."""
        self.transactions[transaction.id] = transaction
        self.frames[transaction.id] = frame
        self.keep("transaction", frame)
        self.ids.add(transaction.id)

    def on_new_transaction(self, transaction: Transaction) -> None:
        """What a new transaction does: it is applied. (In stage 4 it waits for a block.)"""
        self.ledger.apply(transaction)

    # --- reconciliation -------------------------------------------------------------------------

    def on_ready(self) -> None:
        """The node belongs to a network: begin to compare with the others."""
        super().on_ready()
        self.network.after(GOSSIP_SECONDS, self.gossip)
        self.network.after(1.0, self.fetch_again)

    def link(self, connection: Connection) -> None:
        """There is a new neighbour: whoever called compares the two stores first."""
        super().link(connection)
        if connection.dialled is not None:
            self.reconciliation.begin(connection)

    def unlink(self, connection: Connection) -> None:
        """A neighbour is gone: what it was asked for is asked for elsewhere."""
        super().unlink(connection)
        self.fetcher.on_lost(connection)

    def gossip(self) -> None:
        """Every 5 s: compare with one random neighbour, or with all of them if something was not passed on."""
        self.network.after(GOSSIP_SECONDS, self.gossip)
        self.note_peers()
        one = [self.network.random.choice(list(self.links))] if self.links else []
        for connection in list(self.links) if self.owes_news else one:
            self.gossip_with(connection)
        self.owes_news = False

    def gossip_with(self, connection: Connection) -> None:
        """Compare with one neighbour."""
        self.reconciliation.begin(connection)

    def fetch(self, connection: Connection, ids: list[str]) -> None:
        """Ask a neighbour for those of the ids that it has told which are lacking here."""
        self.fetcher.need(filter(self.is_lacking, ids), connection)

    def is_lacking(self, transaction_id: str) -> bool:
        """Does this node lack a transaction that others have?"""
        return not self.is_kept(transaction_id)

    def is_kept(self, transaction_id: str) -> bool:
        """Is this transaction here for good?"""
        return transaction_id in self.transactions

    def on_want(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Send the messages asked for, as they were flooded."""
        for wanted in message["ids"]:
            found = self.find_frame(wanted)
            if found is not None:
                connection.send(found)

    def find_frame(self, wanted: str) -> bytes | None:
        """The frame of the message with this id, if this node has it."""
        return self.frames.get(wanted)

    def ask_for(self, connection: Connection, ids: list[str]) -> None:
        """Send a want, and a ping after it."""
        connection.send(encode_frame({"type": "want", "ids": ids}))
        connection.send(encode_frame({"type": "ping", "nonce": WANT_PING}))

    def on_pong(self, connection: Connection, message: Message, frame: bytes) -> None:
        """What was asked before that ping has been answered."""
        super().on_pong(connection, message, frame)
        if message["nonce"] == WANT_PING:
            self.on_fetched(connection, self.fetcher.on_answered(connection))

    def on_fetched(self, connection: Connection, is_worth_more: bool) -> None:
        """A want has been answered, so there may be room for more. Has the answer brought anything?"""
        self.reconciliation.go_on(connection)

    def on_forsaken(self, missing_id: str) -> None:
        """None of those that have named this id has brought it."""

    # --- passing on -----------------------------------------------------------------------------

    def spread(self, frame: bytes, source: Connection | None) -> None:
        """Pass on something new that is kept, and that neighbours find by comparing. So where very much is fetched it
        is not flooded piece by piece: all neighbours are told what there is the next time, and ask for what they
        lack."""
        if source is not None and self.is_catching_up_with(source):
            source.useful_at = self.network.now()
            self.seen_frames.add(hash(frame))
            self.owes_news = True
        else:
            self.flood(frame, source)

    def is_catching_up_with(self, connection: Connection) -> bool:
        """Is very much being fetched from this neighbour?"""
        return self.fetcher.count_named(connection) > MAX_FLOODED

    def trust(self, connection: Connection) -> int:
        """Who is asked first: the node of `--peer`, then those that this node has called itself. Anybody can call, so
        whoever has called comes last."""
        if not connection.is_own:
            return 0
        return 2 if self.is_peer(connection.proven) else 1

    def fetch_again(self) -> None:
        """Every second: ask others for what did not come."""
        self.network.after(1.0, self.fetch_again)
        self.fetcher.ask_again(self.links)

    # --- the user -------------------------------------------------------------------------------

    def words(self) -> list[str]:
        """The known accounts, too."""
        return [*super().words(), *self.known_accounts()]

    def known_accounts(self) -> set[str]:
        """The accounts that the user can mean: all in the ledger."""
        return set(self.balances())

    def command_send(self, arguments: list[str]) -> None:
        """`/send FROM TO AMOUNT`: make a transaction."""
        self.expect_arguments("send", arguments, 3)
        sender, receiver, amount = arguments
        for name in (sender, receiver):
            if not NAME.is_good(name):
                raise CommandError(f"expected {NAME.expected}", "ACCOUNT")
        self.send_transaction(self.transaction_message(sender, receiver, self.read_amount(amount)))

    LOWEST_AMOUNT = 0

    def read_amount(self, text: str) -> int:
        """Read an amount that was typed; CommandError if it is none."""
        if not (text.isascii() and text.isdigit() and len(text) <= 16 and is_integer(int(text), self.LOWEST_AMOUNT)):
            raise CommandError(f"expected an amount from {self.LOWEST_AMOUNT} to {MAX_INTEGER}")
        return int(text)

    def transaction_message(self, sender: str, receiver: str, amount: int) -> Message:
        """A transaction as it goes over the wire."""
        return {"type": "transaction", "nonce": self.make_nonce(), "from": sender, "to": receiver, "amount": amount}

    def send_transaction(self, message: Message) -> None:
        """Make a transaction known to everyone, this node first."""
        transaction_id = self.transaction_id(message)
        self.report("sent", id=transaction_id)
        self.on_transaction(None, message, encode_frame(message))
        self.report_sent(transaction_id)

    def report_sent(self, transaction_id: str) -> None:
        """Tell the user what became of a transaction made here: it is applied."""
        self.report("transaction", id=transaction_id, state="applied")

    def command_ledger(self, arguments: list[str]) -> None:
        """`/ledger`: show all balances."""
        self.expect_arguments("ledger", arguments)
        self.report("ledger", accounts=self.balances())

    def balances(self) -> dict[str, int]:
        """The balance of every account named so far."""
        return self.ledger.balances
