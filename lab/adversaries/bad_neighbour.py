"""The attackers that need neither a block nor a stake: nodes of any stage that pass on what they should not.

Each is written for the stage that introduces what it misuses. `node_of` turns it into a node of a later stage, which
shows what that stage does about it. Attackers that make blocks are in dishonest_nodes.py.
"""

import json
import secrets
from typing import Any

from common.encoding import MAX_INTEGER, Message, decode_frame, encode_frame
from common.framing import make_frame
from common.interface import Connection
from lab.live.words import SHOWN_DIGITS
from stage1_chat.node import ChatNode
from stage2_ledger.node import LedgerNode
from stage3_signed.node import SignedNode
from stage4_sequencer.node import SequencedNode
from stage5_pos.node import StakeNode

NODES: dict[int, type[ChatNode]] = {1: ChatNode, 2: LedgerNode, 3: SignedNode, 4: SequencedNode, 5: StakeNode}
"""The node of each stage."""


def node_of(kind: type[ChatNode], stage: int) -> type[ChatNode]:
    """The attacker as a class of nodes of this stage: its methods override those of the stage."""
    if issubclass(kind, NODES[stage]):
        return kind
    made: type[ChatNode] = type(f"{kind.__name__}OfStage{stage}", (kind, NODES[stage]), {"__doc__": kind.__doc__})
    return made


class Confessing(ChatNode):
    """A node that says which rule it has just broken."""

    def confess(self, deed: str, **members: Any) -> None:
        """Report an event `evil`; `deed` is a sentence for people."""
        self.network.report("evil", {"deed": deed, **members}, lambda _: [f"evil: {deed}"])

    def flood_in_halves(self, first: bytes, second: bytes) -> None:
        """Send one frame to every second neighbour, and the other frame to the rest. A single neighbour gets both."""
        links = list(self.links)
        for connection in links[0::2]:
            connection.send(first)
        for connection in links[1::2] or links:
            connection.send(second)

    def send_around(self, *messages: Message, source: Connection | None = None) -> None:
        """Send messages on every link but one. Unlike `flood`, this does not note them as seen, so a neighbour that
        passes one back brings something new."""
        for message in messages:
            for connection in self.links:
                if connection is not source:
                    connection.send(encode_frame(message))


class Duplicate(Confessing):
    """Passes each message on five times, and later sends it once more, with the same content in other bytes.

    Every stage stops it: the id depends on the content alone, and a message whose id was seen before is not new.
    """

    TIMES = 5

    LATER_SECONDS = 3.0
    """Time for a transaction to be executed before it is replayed."""

    def flood(self, frame: bytes, source: Connection | None) -> None:
        """Send it five times. Confess only messages that a user has written, since nodes pass on many others."""
        for _ in range(self.TIMES):
            super().flood(frame, source)
        message = decode_frame(frame)
        if message["type"] in ("chat", "transaction") and self.links.keys() - {source}:
            self.confess(f"passes on one {message['type']} {self.TIMES} times", times=self.TIMES)
            self.network.after(self.LATER_SECONDS, lambda: self.replay(message))

    def replay(self, message: Message) -> None:
        """Send the same content in other bytes: with its members in another order, and with white space between
        them."""
        frame = make_frame(json.dumps(dict(reversed(message.items())), indent=4).encode())
        for connection in self.links:
            connection.send(frame)
        self.confess(f"replays an old {message['type']}, written in other bytes", replayed=True)


class Forge(LedgerNode, Confessing):
    """Takes 1,000, once, from each account that sends something: it makes a transaction in the sender's name.

    Stage 2 executes it: an account is a name, and anybody can write a name. Stage 3 stops it: an account is a key, and
    its owner must have signed.
    """

    LOOT = 1_000

    MALLORY = "mallory"
    """Its account in stage 2, where accounts are names."""

    victim: str | None = None
    """The only account that it takes from. None: every account that it hears of."""

    robbed: frozenset[str] = frozenset()
    """The accounts that it has taken from."""

    @property
    def own_account(self) -> str:
        """The account that receives the money."""
        return self.key.account if isinstance(self, SignedNode) else self.MALLORY

    def on_transaction(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """A neighbour has brought a transaction: rob its sender."""
        super().on_transaction(connection, message, frame)
        sender = message["from"]
        if (connection is not None and sender not in self.robbed | {self.own_account}
                and self.victim in (None, sender)):
            self.robbed |= {sender}
            self.rob(sender)

    def rob(self, account: str) -> None:
        """Move somebody's money. Where a signature is needed, another account's key makes it."""
        message = self.transaction_message(account, self.own_account, self.LOOT)
        if isinstance(self, SignedNode):
            message["signature"] = self.key.sign(self.transaction_bytes(message))
        transaction_id = self.transaction_id(message)
        self.send_around(message)
        self.confess(f"takes {self.LOOT:,} from somebody else's account: transaction {transaction_id[:SHOWN_DIGITS]}",
                     id=transaction_id)


class Tamper(LedgerNode, Confessing):
    """Multiplies the amount of each transaction that it passes on by a thousand.

    In stage 2 the changed copy is one more transaction, and everyone executes both. Stage 3 stops it: the amount is
    signed.
    """

    TIMES = 1_000

    made: frozenset[str] = frozenset()
    """The ids of the transactions that it has made."""

    def flood(self, frame: bytes, source: Connection | None) -> None:
        """Pass on a changed amount. Its own transactions stay as they are."""
        message = decode_frame(frame)
        if source is None or message["type"] != "transaction" or self.transaction_id(message) in self.made:
            super().flood(frame, source)
        elif 0 < message["amount"] * self.TIMES <= MAX_INTEGER:
            self.change(message, source)

    def change(self, message: Message, source: Connection) -> None:
        """Send the changed copy, with the signature of the genuine transaction if there is one."""
        changed = {**message, "amount": message["amount"] * self.TIMES}
        self.made |= {self.transaction_id(changed)}
        self.send_around(changed, source=source)
        genuine_id = self.transaction_id(message)
        self.confess(f"changes {message['amount']:,} into {changed['amount']:,} in transaction"
                     f" {genuine_id[:SHOWN_DIGITS]}", id=genuine_id)


class Strangers(LedgerNode, Confessing):
    """Announces three hundred nodes that do not exist.

    It starts in stage 2, which introduces the list of peers. It does no harm: nodes keep their real neighbours, make
    only 24 such calls at once and then one a second, and drop an address that does not answer.
    """

    COUNT = 300

    def on_ready(self) -> None:
        """The node belongs to a network."""
        super().on_ready()
        self.network.after(1.0, self.announce)

    def announce(self) -> None:
        """Announce them all, once there is a neighbour to hear it."""
        if not self.links:
            self.network.after(1.0, self.announce)
            return
        self.send_around(*({"type": "presence", "nonce": secrets.token_hex(16), "address": self.invent_address()}
                           for _ in range(self.COUNT)))
        self.confess(f"announces {self.COUNT} nodes that do not exist", count=self.COUNT)

    def invent_address(self) -> str:
        """An address at which nobody listens: 127.x.y.z is this machine."""
        choose = self.network.random.randrange
        return f"127.{choose(2, 250)}.{choose(2, 250)}.{choose(2, 250)}:{choose(1_024, 65_536)}"
