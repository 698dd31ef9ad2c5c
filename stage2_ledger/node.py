"""Stage 2: a ledger that ends up the same at every node.

Unlike stage 1:
- a node knows who is in the network, and keeps ten connections along a ring and two random ones;
- transactions are flooded, and applied the moment they arrive: additions commute, so the order does not matter;
- two neighbours compare what they have (reconcile.py), so that nothing is lost with a connection.
"""

import json
from typing import Any

from common.encoding import (ADDRESS, FLAG, INTEGER, MAX_INTEGER, NONCE, Field, FormatError, Message, Shape, canon,
                             decode_frame, encode_frame, ids_field, is_address, is_integer, is_list_of,
                             is_matching, make_id, without_padding)
from common.framing import MAX_BODY
from common.journal import Journal, JournalError
from common.ledger import Ledger, Transaction
from common.limits import DIALS_PER_SECOND, GOSSIP_SECONDS, MAX_DIALS, MAX_PEERS, MAX_WANT, Allowance
from common.interface import Command, CommandError, Connection, Invalid, Network
from stage1_chat.node import ChatNode
from stage2_ledger.membership import Membership
from stage2_ledger.reconcile import BUCKET, BUCKETS, Buckets, Fetcher

NAME = Field(is_matching("[\x21-\x7e]{1,64}"), "a name of 1 to 64 characters from U+0021 to U+007E")

WANT_PING = "want"
"""The nonce of the ping behind a want; its pong tells that the want is answered."""


class LedgerNode(ChatNode):
    """A node that keeps a replicated ledger."""

    STAGE = 2

    SHAPES: dict[str, Shape] = {
        **ChatNode.SHAPES,
        "get_peers": {},
        "peers": {"addresses": Field(is_list_of(is_address, MAX_PEERS), f"at most {MAX_PEERS} addresses, none twice")},
        "presence": {"nonce": NONCE, "address": ADDRESS},
        "transaction": {"nonce": NONCE, "from": NAME, "to": NAME, "amount": INTEGER},
        "summary": {"answer": FLAG, "buckets": BUCKETS},
        "inventory": {"bucket": BUCKET, "ids": ids_field(MAX_BODY)},
        "want": {"ids": ids_field(MAX_WANT)},
    }

    COMMANDS: dict[str, Command] = {
        **ChatNode.COMMANDS,
        "send": Command("/send FROM TO AMOUNT", "transfer AMOUNT from one account to another"),
        "ledger": Command("/ledger", "show the balance of every account"),
    }

    def __init__(self, network: Network, address: str, journal: Journal | None = None) -> None:
        """With a journal the node keeps what it accepts, and goes on with what the journal holds."""
        super().__init__(network, address)
        self.journal = journal
        self.is_replaying = False
        """Does the journal tell what has happened? Then nothing is reported, checked or kept again."""
        self.members = Membership(address, network.random)
        self.dialling: set[str] = set()
        """Addresses that are being called for a new connection."""
        self.dials = Allowance(MAX_DIALS, DIALS_PER_SECOND)
        self.dials_later = False
        """Is another call due that would have been one too many at once?"""
        self.asked_for_peers: set[Connection] = set()
        self.ledger = Ledger()
        self.transactions: dict[str, Transaction] = {}
        self.frames: dict[str, bytes] = {}
        """The frame of each transaction, as it came: id -> bytes."""
        self.buckets = Buckets()
        self.fetcher = Fetcher(self.ask_for, network.now, network.random)

    # --- the ring -------------------------------------------------------------------------------

    def take_network(self, connection: Connection, name: str) -> None:
        """Having joined by one peer, ask it who else is there."""
        super().take_network(connection, name)
        self.ask_for_peers(connection)

    def ask_for_peers(self, connection: Connection) -> None:
        """Ask a neighbour for its list; `on_peers` follows."""
        self.asked_for_peers.add(connection)
        connection.send(encode_frame({"type": "get_peers"}))

    def on_ready(self) -> None:
        """The node belongs to a network: begin to compare with the others."""
        super().on_ready()
        self.note("stage", str(self.STAGE))
        self.note("network", str(self.network_name))
        self.network.after(GOSSIP_SECONDS, self.gossip)
        self.network.after(1.0, self.fetch_again)

    def on_get_peers(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Somebody who joins asks for the list of peers."""
        connection.send(encode_frame({"type": "peers", "addresses": self.peers()}))

    def on_peers(self, connection: Connection, message: Message, frame: bytes) -> None:
        """The list that was asked for: take a place on the ring, and let everyone know."""
        if connection not in self.asked_for_peers:
            raise FormatError("peers: nobody asked for them")
        self.asked_for_peers.discard(connection)
        for address in message["addresses"]:
            self.members.add(address)
        self.keep_up_links()
        presence = {"type": "presence", "nonce": self.make_nonce(), "address": self.address}
        self.on_presence(None, presence, encode_frame(presence))

    def on_presence(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """Somebody is in the network: remember the address and pass it on."""
        presence_id = make_id(canon(["presence", self.network_name, message["nonce"], message["address"]]))
        if presence_id not in self.seen_ids:
            self.seen_ids.add(presence_id)
            self.members.add(message["address"])
            self.flood(frame, connection)

    def peers(self) -> list[str]:
        """The list of peers in its order, this node's own address included."""
        return self.members.sorted()

    def keep_up_links(self) -> None:
        """Call those of the wanted addresses that are not linked."""
        for address in self.members.wanted():
            if address not in self.dialling and not self.is_linked(address):
                if not self.dials.take(self.network.now()):
                    self.keep_up_links_later()
                    break
                self.dialling.add(address)
                self.network.connect(address)

    def keep_up_links_later(self) -> None:
        """Go on calling when it is allowed again."""
        def go_on() -> None:
            self.dials_later = False
            self.keep_up_links()

        if not self.dials_later:
            self.dials_later = True
            self.network.after(1 / DIALS_PER_SECOND, go_on)

    def link(self, connection: Connection) -> None:
        """A neighbour more: whoever called compares the two stores first."""
        has_come_back = connection.address in self.redials or connection.dialled in self.redials
        super().link(connection)
        self.dialling.discard(connection.dialled or "")
        self.members.add(connection.address or "")
        self.note_peers()
        if connection.dialled is not None:
            self.send_summary(connection, is_answer=False)
        if has_come_back:
            # While the network was cut, each side has crossed out addresses of the other: merge the lists.
            self.ask_for_peers(connection)
        self.drop_double_link(connection)

    def drop_double_link(self, connection: Connection) -> None:
        """Two nodes that call each other at once have two links: the one with the larger address ends its own."""
        doubles = [link for link in self.links if link.address == connection.address and link.dialled is not None]
        if len(doubles) > 1 or (doubles and self.address > str(connection.address) and any(
                link.address == connection.address and link.dialled is None for link in self.links)):
            doubles[-1].close()

    def unlink(self, connection: Connection) -> None:
        """A neighbour less: not in the list while it does not answer, and somebody else takes its place."""
        super().unlink(connection)
        self.asked_for_peers.discard(connection)
        self.fetcher.on_lost(connection)
        if not self.is_linked(connection.address or ""):
            self.members.discard(connection.address or "")
            self.keep_up_links()

    def on_dial_failed(self, address: str, reason: str) -> None:
        """An address that does not answer is not in the list of peers."""
        super().on_dial_failed(address, reason)
        self.on_no_answer(address)

    def on_close(self, connection: Connection) -> None:
        """A connection that ends before its handshake did not answer either."""
        super().on_close(connection)
        if connection.dialled is not None and connection.address is None:
            self.on_no_answer(connection.dialled)

    def on_no_answer(self, address: str) -> None:
        """Call somebody else in the place of an address that did not answer."""
        self.dialling.discard(address)
        if not self.is_linked(address):
            self.members.discard(address)
            if self.network_name is not None:
                self.keep_up_links()

    def is_redialled(self, connection: Connection) -> bool:
        """From stage 2 on both sides call again, unless they are linked otherwise or this node has refused."""
        address = connection.dialled or connection.address or ""
        has_been_linked = connection.address is not None or address in self.redials
        is_wanted = has_been_linked and not connection.was_refused and not self.is_linked(address)
        return super().is_redialled(connection) or is_wanted

    # --- transactions ---------------------------------------------------------------------------

    def on_transaction(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """A transaction, from a peer or (connection None) from this node's user."""
        canonical = self.transaction_bytes(message)
        transaction = Transaction(make_id(canonical), message["from"], message["to"], message["amount"])
        known = self.frames.get(transaction.id)
        if known is None or decode_frame(known) != message:
            # Also if it is a known one with another signature: a forged copy is no repeat.
            self.check_transaction(message, canonical)
        if known is None and self.has_room_for(transaction):
            self.keep_transaction(transaction, without_padding(frame, message))
            self.flood(frame, connection)
            self.on_new_transaction(transaction)

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

    def keep_transaction(self, transaction: Transaction, frame: bytes) -> None:
        """Keep a transaction for those who will ask for it."""
        self.transactions[transaction.id] = transaction
        self.frames[transaction.id] = frame
        self.keep("transaction", frame)
        self.buckets.add(transaction.id)
        self.fetcher.forget([transaction.id])

    def on_new_transaction(self, transaction: Transaction) -> None:
        """What a new transaction does: it is applied. This is the hook that every later stage tells anew."""
        self.ledger.apply(transaction)

    # --- reconciliation -------------------------------------------------------------------------

    def gossip(self) -> None:
        """Every 5 s: compare with one random neighbour."""
        self.network.after(GOSSIP_SECONDS, self.gossip)
        self.note_peers()
        if self.links:
            self.gossip_with(self.network.random.choice(list(self.links)))

    def gossip_with(self, connection: Connection) -> None:
        """Tell one neighbour what this node has."""
        self.send_summary(connection, is_answer=False)

    def send_summary(self, connection: Connection, is_answer: bool) -> None:
        """Send the sums over all ids held."""
        connection.send(encode_frame({"type": "summary", "answer": is_answer, "buckets": self.buckets.summary()}))

    def on_summary(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Answer with the ids of each bucket that differs, and once with this node's own sums."""
        differing = self.buckets.differing(message["buckets"])
        for bucket in differing:
            connection.send(encode_frame({"type": "inventory", "bucket": bucket, "ids": self.buckets.ids(bucket)}))
        if differing and not message["answer"]:
            self.send_summary(connection, is_answer=True)

    def on_inventory(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Ask for the ids that this node lacks."""
        self.fetcher.need(filter(self.is_lacking, message["ids"]), connection)

    def is_lacking(self, transaction_id: str) -> bool:
        """Does this node lack a transaction that others have?"""
        return transaction_id not in self.transactions

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
        """Send a want, and a ping behind it."""
        connection.send(encode_frame({"type": "want", "ids": ids}))
        connection.send(encode_frame({"type": "ping", "nonce": WANT_PING}))

    def on_pong(self, connection: Connection, message: Message, frame: bytes) -> None:
        """The want before that ping has been answered."""
        if message["nonce"] == WANT_PING:
            self.fetcher.on_answered(connection)

    def fetch_again(self) -> None:
        """Every second: ask again for what did not come."""
        self.network.after(1.0, self.fetch_again)
        self.fetcher.ask_again(self.links)

    # --- what outlasts a crash ------------------------------------------------------------------

    @property
    def remembers_network(self) -> bool:
        """Does the journal hold a network?"""
        return self.journal is not None and self.journal.read_note("network") is not None

    def resume(self) -> None:
        """Go on with the network in the journal: what has happened happens again, through the same handlers."""
        assert self.journal is not None, "only who remembers a network resumes"
        self.network_name = self.journal.read_note("network")
        self.is_replaying = True
        try:
            for entry in self.journal.entries():
                self.replay(entry.kind, entry.content)
        except (Invalid, ValueError) as error:
            raise JournalError(f"{self.journal}: an entry that this program would not have kept: {error}") from None
        finally:
            self.is_replaying = False
        self.report("founded", resumed=True)
        peers = json.loads(self.journal.read_note("peers") or "[]")
        self.on_ready()
        self.call_known_peers(peers)

    def replay(self, kind: str, frame: bytes) -> None:
        """Let an entry of the journal happen again; its kind is the type of its message."""
        getattr(self, f"on_{kind}")(None, decode_frame(frame), frame)

    def note_peers(self) -> None:
        """Keep the list of peers, for the case that this node must find them again after a crash."""
        self.note("peers", json.dumps(self.peers()))

    def call_known_peers(self, addresses: list[str]) -> None:
        """Go back to the peers known before, and to that of `--peer`."""
        for address in addresses:
            self.members.add(address)
        first = [self.peer] if self.peer is not None and is_address(self.peer) else []
        for address in dict.fromkeys(first + self.members.wanted()):
            self.redials.call_now(address)

    def keep(self, kind: str, frame: bytes) -> None:
        """Put what was accepted into the journal."""
        if self.journal is not None and not self.is_replaying:
            self.journal.append(kind, frame)

    def note(self, name: str, value: str) -> None:
        """Put a value into the journal, in the place of what it was before."""
        if self.journal is not None and not self.is_replaying:
            self.journal.note(name, value)

    def commit(self) -> None:
        """Make what was kept outlast a crash, before anybody is told."""
        if self.journal is not None:
            self.journal.commit()

    def on_end(self) -> None:
        """Put the journal away."""
        if self.journal is not None:
            self.journal.close()

    def report(self, event: str, **members: Any) -> None:
        """Tell the user what happened, not what happens again."""
        if not self.is_replaying:
            super().report(event, **members)

    # --- the user -------------------------------------------------------------------------------

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
