"""What the nodes of stages 4 and 5 share: blocks say in which order transactions take effect.

Who makes the blocks, and which of them count, is left open: in stage 4 it is a
sequencer (node.py), in stage 5 a lottery.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from common.encoding import FormatError, Message, decode_frame, encode_frame
from common.ledger import Transaction
from common.limits import HELLO_SECONDS
from common.rsa import PrivateKey
from common.wallets import WalletError
from common.interface import Command, CommandError, Connection, HandshakeError, Invalid, Network
from stage3_signed.node import SignedNode, SignedSetup
from stage4_sequencer import words
from stage4_sequencer.catching_up import BlockSync
from stage4_sequencer.pool import Pool, Refused
from stage4_sequencer.waiting import WaitingBlocks

if TYPE_CHECKING:  # SQLite is loaded only by a node that keeps a journal
    from common.journal import Journal


class TotalOrderSetup(SignedSetup):
    """What a node of stages 4 and 5 is given when it is made."""

    def __init__(self, *, key: PrivateKey, join_seconds: float = HELLO_SECONDS,
                 journal: "Journal | None" = None, only_network: str | None = None) -> None:
        super().__init__(key=key, join_seconds=join_seconds, journal=journal)
        self.only_network = only_network
        """No other network is joined, and none is founded: `--network`."""


class TotalOrderNode(SignedNode):
    """A node whose network begins with a genesis, and whose transactions wait in a pool for a block."""

    COMMANDS: dict[str, Command] = {
        **SignedNode.COMMANDS,
        "blocks": Command("/blocks", "list the blocks, oldest first"),
        "status": Command("/status", "show how far this node is"),
    }

    EVENTS = {**SignedNode.EVENTS, **words.EVENTS}

    def __init__(self, network: Network, address: str, setup: TotalOrderSetup) -> None:
        super().__init__(network, address, setup)
        self.setup: TotalOrderSetup = setup
        self.only_network: str | None = setup.only_network
        self.expected_network: str | None = None
        """The network in the hello of the peer that this node joins by; its genesis is awaited."""
        self.genesis_frame = b""
        self.pool = Pool(lambda transaction_id: len(self.frames[transaction_id]))
        """The transactions that have not taken effect."""
        self.refused = Refused()
        """The transactions for which the pool had no room."""
        self.waiting_blocks: WaitingBlocks
        """The blocks that lack something. Each stage sets this, and `sync` (how to catch up), in `begin_with` or
        before."""
        self.sync: BlockSync
        self.made_here: set[str] = set()
        """The ids of the transactions that this node's user has made and wants to hear about."""

    # --- genesis --------------------------------------------------------------------------------

    @abstractmethod
    def read_genesis(self, message: Message) -> Any:
        """Read the genesis of this stage; ValueError if it is not valid. It has an `id` and a `message()`."""

    @abstractmethod
    def make_genesis(self) -> Any:
        """Make the genesis of a new network."""

    @abstractmethod
    def begin_with(self, genesis: Any) -> None:
        """Begin with the balances of the genesis."""

    def found_network(self) -> None:
        """Found a network: make its genesis. Not if the user wants one network and no other."""
        if self.only_network is not None:
            self.report_error("NETWORK", f"no node of network {self.only_network} answers; check --peer, and whether"
                                         " that node is running")
            self.network.stop(status=1)
            return
        try:
            genesis = self.make_genesis()
        except WalletError as error:
            self.report_error("STORAGE", str(error))
            self.network.stop(status=1)
            return
        self.network_name = genesis.id
        self.keep_genesis(genesis)
        self.report("founded")
        self.on_ready()

    def resume(self) -> None:
        """Go on with the network in the journal, unless the user wants another one."""
        kept = self.keeper.read_note("network")
        if self.only_network not in (None, kept):
            self.report_error("NETWORK", f"--data holds network {kept}, expected {self.only_network} (--network);"
                                         " name another folder, or leave --network out")
            self.network.stop(status=1)
        else:
            super().resume()

    def replay(self, kind: str, frame: bytes) -> None:
        """The journal begins with the genesis."""
        if kind == "genesis":
            self.keep_genesis(self.read_genesis(decode_frame(frame)))
        else:
            super().replay(kind, frame)

    def keep_genesis(self, genesis: Any) -> None:
        """Begin with this genesis, and keep it for those who join."""
        self.genesis_frame = encode_frame(genesis.message())
        self.keeper.keep("genesis", self.genesis_frame)
        self.begin_with(genesis)

    def check_network(self, connection: Connection, name: str | None) -> None:
        """HandshakeError, too, if the user wants another network than the peer's."""
        super().check_network(connection, name)
        if self.network_name is None and self.only_network not in (None, name):
            raise HandshakeError(f"network {name}, and only {self.only_network} is wanted")

    def take_network(self, connection: Connection, name: str) -> None:
        """The name of a network is not enough to join it: its genesis must come first; `on_genesis` calls again."""
        if self.genesis_frame:
            super().take_network(connection, name)
        else:
            self.expected_network = name

    def may_come_before_link(self, connection: Connection, name: str) -> bool:
        """A genesis, too, if this node is joining by this connection and has received the hello."""
        is_greeted = self.joining.is_by(connection) and connection.address is not None
        return super().may_come_before_link(connection, name) or (name == "genesis" and is_greeted)

    def on_genesis(self, connection: Connection, message: Message, frame: bytes) -> None:
        """The genesis of the peer's network: take it when joining. A member has it already, and only checks the id."""
        if frame == self.genesis_frame:
            return  # a hundred keys and thresholds need not be checked again for each neighbour
        try:
            genesis = self.read_genesis(message)
        except FormatError:
            raise
        except ValueError as error:
            raise Invalid(f"genesis: {error}") from None
        if self.network_name is not None:
            if genesis.id != self.network_name:
                raise Invalid("genesis: that of another network")
        elif genesis.id != self.expected_network:
            raise HandshakeError("the genesis is not that of the network in the hello")
        else:
            self.keep_genesis(genesis)
            self.take_network(connection, genesis.id)

    def greetings(self) -> list[Callable[[Connection], None]]:
        """Two more: the genesis, right after the hello, and at the end how far this node is (contract §3, stage 4)."""
        return [self._send_genesis, *super().greetings(), self.send_progress]

    def _send_genesis(self, connection: Connection) -> None:
        connection.send(self.genesis_frame)

    def send_progress(self, connection: Connection) -> None:
        """Tell a neighbour how far this node is, so that the one that is behind can ask. A hook: stage 4 also tells its
        order."""
        self.sync.send_progress(connection)

    def is_catching_up_with(self, connection: Connection) -> bool:
        """Are many ids being fetched from this neighbour, or is it asked for many blocks?"""
        return super().is_catching_up_with(connection) or self.sync.is_catching_up_with(connection)

    def gossip_with(self, connection: Connection) -> None:
        """Compare the stores with a neighbour, and tell it how far this node is."""
        super().gossip_with(connection)
        self.send_progress(connection)

    # --- the pool -------------------------------------------------------------------------------

    def on_new_transaction(self, transaction: Transaction) -> None:
        """A new transaction waits in the pool until a block orders it; before that it changes no balance."""
        self.pool.add(transaction)
        self.waiting_blocks.on_arrived(transaction.id)

    def has_room_for(self, transaction: Transaction) -> bool:
        """Is there room in the pool? What was made here comes in even if there is none."""
        if transaction.id in self.made_here or self.keeper.is_replaying:
            return True
        # There is less room for what its sender cannot pay. By `max`, a sender that has nothing cannot even pay 0:
        # otherwise anybody could fill the pool for nothing.
        return self.pool.has_room(is_covered=self.available(transaction.sender) >= max(1, transaction.amount))

    def on_no_room(self, transaction: Transaction, frame: bytes) -> None:
        """Remember what there was no room for: it is not asked for until there is, or until its sender has more."""
        self.refused.add(transaction)

    def let_go_unpaid(self) -> dict[str, tuple[Transaction, bytes]]:
        """Forget what the pool has no room for any longer (`Pool.unpaid`). Give it: id -> transaction and frame."""
        gone = {}
        for transaction in self.pool.unpaid(self.balances(), stays=self.made_here):
            self.pool.let_go(transaction.id)
            gone[transaction.id] = transaction, self.frames.pop(transaction.id)
            del self.transactions[transaction.id]
            self.ids.discard(transaction.id)
            self.neighbours.seen_frames.discard(hash(gone[transaction.id][1]))  # it may be asked for, and come again
            self.refused.add(transaction)
        return gone

    def is_lacking(self, transaction_id: str) -> bool:
        """A transaction that was refused for lack of room does not count as lacking: it is not asked for yet."""
        return super().is_lacking(transaction_id) and transaction_id not in self.refused

    def lacking(self, ids: Iterable[str]) -> list[str]:
        """Those of the transactions that this node does not have."""
        return [transaction_id for transaction_id in ids if transaction_id not in self.transactions]

    def available(self, account: str) -> int:
        """What an account has, less what it has pending."""
        return self.balances().get(account, 0) - self.pool.pending(account)

    def on_fetched(self, connection: Connection, brought_something: bool) -> None:
        """Ask this neighbour for more of what blocks lack, unless its last answer brought nothing."""
        super().on_fetched(connection, brought_something)
        if brought_something:
            self.waiting_blocks.ask_sender(connection)

    def on_forsaken(self, missing_id: str) -> None:
        """None of the neighbours that were asked has this id: blocks that need it wait for another sender."""
        self.waiting_blocks.on_forsaken(missing_id)

    def fetch_again(self) -> None:
        """Every second: ask again for what blocks lack, and for what was refused if there is room by now."""
        super().fetch_again()
        if self.pool.has_room(is_covered=False):
            self.refused.clear()
        else:
            self.on_full_pool()
        self.waiting_blocks.ask_again()

    def on_full_pool(self) -> None:
        """Every second while the pool has no room for what its sender cannot pay. A hook."""

    def known_accounts(self) -> set[str]:
        """The accounts in the ledger, and those in transactions that wait in the pool."""
        waiting = {account for one in self.pool.transactions() for account in (one.sender, one.receiver)}
        return super().known_accounts() | waiting

    # --- the user -------------------------------------------------------------------------------

    def signed_message(self, key: PrivateKey, receiver: str, amount: int) -> Message:
        """A transaction from the account of `key`; CommandError FUNDS if every node would ignore it later."""
        available = self.available(key.account)
        if amount > available:
            reason = f"the account needs {amount} and has {available} (its pending payments are subtracted)"
            raise CommandError(reason + self.advise_on_funds(key, amount), "FUNDS")
        return super().signed_message(key, receiver, amount)

    def advise_on_funds(self, key: PrivateKey, amount: int) -> str:
        """Advice to add if the account of `key` lacks the amount. A hook: stage 5 has other accounts to send from."""
        return ""

    def send_transaction(self, message: Message) -> None:
        """Make a transaction known, and follow what becomes of it."""
        self.made_here.add(self.transaction_id(message))
        super().send_transaction(message)

    def report_sent(self, transaction_id: str) -> None:
        """A transaction made here waits for a block."""
        self.report_made_here(transaction_id, "pending")

    def report_made_here(self, transaction_id: str, state: str, **members: str) -> None:
        """Tell the user what became of a transaction, if it was made here."""
        if transaction_id in self.made_here:
            self.report("transaction", id=transaction_id, state=state, **members)

    def command_blocks(self, arguments: list[str]) -> None:
        """`/blocks`: list the blocks that count, oldest first."""
        self.COMMANDS["blocks"].expect(arguments)
        self.report("blocks", blocks=self.describe_blocks())

    @abstractmethod
    def describe_blocks(self) -> list[dict[str, Any]]:
        """The members of the event `block`, for each block that counts, oldest first."""

    def command_status(self, arguments: list[str]) -> None:
        """`/status`: show how far this node is."""
        self.COMMANDS["status"].expect(arguments)
        self.report("status", peers=len(self.links), **self.describe_status())

    @abstractmethod
    def describe_status(self) -> dict[str, Any]:
        """The members of the event `status` that this stage adds."""
