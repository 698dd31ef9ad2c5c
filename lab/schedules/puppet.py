"""The adversary of the schedules: one of ten stakes, and many addresses that call honest nodes and are called by them.

A `Puppet` is one of these addresses. Its manner decides how it answers. The `Adversary` controls all puppets: it knows
what any of them has received, and keeps what it has made itself. What it does without being asked is in mischief.py.
"""

import json
import random
from collections.abc import Iterable

from common.encoding import Message, canon, decode_frame, encode_frame, make_id
from common.interface import Connection, Network
from lab.schedules.honest import ADVERSARY, KEYS, Past, block_bytes, draw, sign_block
from lab.schedules.keyed_hash import HashKey
from lab.simulation import World
from stage1_chat.node import ChatNode

MANNERS = ["open", "late", "pong", "mute", "prefix", "reversed", "old", "relay", "herald", "mirror", "greeter"]
"""How a puppet answers. All answer get_peers.
open: truly. late: after a few seconds, even with what is withheld. pong: only with pongs.
mute: not at all. prefix: only with the first blocks. reversed: in the wrong order. old: only with old blocks. relay: it
passes on what honest nodes send. herald: it announces blocks that it does not send. mirror: whenever it hears of a tip,
it claims to know one more block. greeter: it sends all the adversary's own blocks on each new connection."""

ANSWERED = {"ping", "want", "get_chain", "get_peers", "tip"}
"""The message types that a puppet answers, each in the method `answer_TYPE`."""

ANSWERS_A_SECOND = 30
"""The most answers of one puppet in a second. In memory an answer takes no time, so two nodes that answer each other
would never stop."""


OWN = KEYS[ADVERSARY]


class Known:
    """A block that the adversary knows of."""

    def __init__(self, message: Message, frame: bytes, height: int) -> None:
        self.message = message
        self.frame = frame
        self.height = height
        """0 if its parent is not known."""


class Adversary:
    """What all puppets have in common."""

    def __init__(self, world: World, past: Past, targets: list[str]) -> None:
        """`targets` are the addresses of honest nodes."""
        self.world = world
        self.genesis = past.genesis
        self.targets = targets
        self.puppets: list[Puppet] = []
        self.is_over = False
        """Has the attack ended? Then all puppets are silent."""
        self.blocks: dict[str, Known] = {}
        """Public blocks and the adversary's own, by id."""
        self.best = self.genesis.id
        """The highest block that honest nodes have accepted."""
        self.own: list[str] = []
        """The blocks that the adversary has made."""
        self.transactions: dict[str, bytes] = {}
        self.withheld: set[str] = set()
        """The ids of its own blocks and transactions that it sends to nobody."""
        self.branch = self.genesis.id
        """The tip of the secret branch."""
        self.invented: list[str] = []
        """Ids that nobody has."""
        self._seen: set[bytes] = set()
        self._wins: list[tuple[int, str]] = []
        self._drawn = 0
        for message in past.blocks:
            self.best = self.branch = self.know_block(message, encode_frame(message))

    # --- what it knows --------------------------------------------------------------------------

    def slot(self) -> int:
        """The current slot."""
        return self.genesis.slot_at(self.world.start_ms + round(self.world.now * 1000))

    def wins(self) -> list[tuple[int, str]]:
        """The slots that the adversary has won, up to the next slot, with their draws."""
        while self._drawn < self.slot() + 1:
            self._drawn += 1
            won = draw(self.genesis, ADVERSARY, self._drawn)
            if won is not None:
                self._wins.append((self._drawn, won[1]))
        return self._wins

    def hear(self, frame: bytes, kind: str) -> bool:
        """Learn from a frame that a puppet received. Is it a new block or transaction?"""
        if kind not in ("block", "transaction") or frame in self._seen:
            return False
        self._seen.add(frame)
        message = decode_frame(frame)
        if kind == "block":
            # What an honest node floods is valid, even a block of our own that comes back.
            self.best = max(self.best, self.know_block(message, frame), key=self.height)
        else:
            self.transactions[self.transaction_id(message)] = frame
        return True

    def know_block(self, message: Message, frame: bytes) -> str:
        """Remember a block, and return its id."""
        block_id = make_id(block_bytes(self.genesis.id, message))
        if block_id not in self.blocks:
            self.blocks[block_id] = Known(message, frame, self.height(message["parent"], -1) + 1)
        return block_id

    def height(self, block_id: str, unknown: int = 0) -> int:
        """The height of a block; `unknown` for a block that is not known."""
        if block_id == self.genesis.id:
            return 0
        return self.blocks[block_id].height if block_id in self.blocks else unknown

    def parent_for(self, slot: int) -> str:
        """The highest block of the best chain that is older than a slot."""
        chain = [one for one in self.chain() if self.blocks[one].message["slot"] < slot]
        return chain[-1] if chain else self.genesis.id

    def chain(self) -> list[str]:
        """The ids of the best chain, oldest first."""
        ids, block_id = [], self.best
        while block_id in self.blocks:
            ids.append(block_id)
            block_id = self.blocks[block_id].message["parent"]
        return ids[::-1]

    def transaction_id(self, message: Message) -> str:
        """The id of a transaction."""
        return make_id(self.transaction_bytes(message))

    def transaction_bytes(self, message: Message) -> bytes:
        """The canonical bytes of a transaction (contract §1)."""
        return canon(["transaction", self.genesis.id, *(message[one] for one in ("nonce", "from", "to", "amount"))])

    # --- what it makes --------------------------------------------------------------------------

    def make_block(self, slot: int, drawn: str, parent: str, ids: list[str], is_secret: bool = False) -> bytes:
        """Sign a block, valid or not, and return its frame."""
        message = sign_block(self.genesis, ADVERSARY, slot, drawn, parent, ids)
        block_id = make_id(block_bytes(self.genesis.id, message))
        if is_secret:
            self.withheld.add(block_id)
        self.own.append(self.know_block(message, encode_frame(message)))
        return self.blocks[block_id].frame

    def make_transaction(self, choose: random.Random, amount: int, sender: HashKey = OWN, receiver: HashKey = OWN,
                         is_secret: bool = False) -> str:
        """Sign a transaction between two accounts, and return its id."""
        message: Message = {"type": "transaction", "nonce": f"{choose.getrandbits(128):032x}",
                            "from": sender.account, "to": receiver.account, "amount": amount}
        signature = sender.sign(self.transaction_bytes(message))
        transaction_id = self.transaction_id(message)
        self.transactions[transaction_id] = encode_frame({**message, "signature": signature})
        if is_secret:
            self.withheld.add(transaction_id)
        return transaction_id

    def make_payments(self, choose: random.Random, is_secret: bool = False) -> list[str]:
        """Transactions for a block: none, one, or two, where the second spends what the first brings."""
        count = choose.choice([0, 1, 2])
        new = HashKey(f"account {choose.getrandbits(64)}")
        return [self.make_transaction(choose, 20 - 10 * number, *pair, is_secret=is_secret)
                for number, pair in enumerate([(OWN, new), (new, OWN)][:count])]

    def invent_id(self, choose: random.Random) -> str:
        """An id that nobody has, new or made up before."""
        if not self.invented or choose.random() < 0.5:
            self.invented.append(f"{choose.getrandbits(256):064x}")
        return choose.choice(self.invented)

    def frame_of(self, wanted: str) -> bytes | None:
        """The block or transaction with this id."""
        return self.blocks[wanted].frame if wanted in self.blocks else self.transactions.get(wanted)

    # --- how it sends ---------------------------------------------------------------------------

    def say(self, links: Iterable[Connection], *frames: bytes) -> None:
        """Send frames on some connections, while the attack lasts."""
        if not self.is_over:
            for link in links:
                for frame in frames:
                    link.send(frame)

    def links(self) -> list[Connection]:
        """The connections of all puppets."""
        return [link for puppet in self.puppets for link in puppet.links]


class Puppet(ChatNode):
    """One address of the adversary, and its connections. Its manner decides how it answers."""

    def __init__(self, network: Network, address: str, adversary: Adversary) -> None:
        super().__init__(network, address)
        self.adversary = adversary
        self.manner = "open"
        self.claimed = address
        """The address at which it says that it listens."""
        self._second = 0
        self._answers = 0

    def start(self, peer: str | None) -> None:
        """Call an honest node."""
        if peer is not None:
            self.network.connect(peer)

    def on_open(self, connection: Connection) -> None:
        """Say hello, with the address that this puppet claims."""
        self.links[connection] = None
        self.connections.add(connection)
        self.adversary.say([connection], encode_frame(
            {"type": "hello", "version": 1, "stage": 5, "network": self.adversary.genesis.id, "listen": self.claimed}))
        if self.manner == "greeter":
            own = [one for one in self.adversary.own if one not in self.adversary.withheld]
            self.adversary.say([connection], *(self.adversary.blocks[one].frame for one in own))

    def on_close(self, connection: Connection) -> None:
        """A connection has ended."""
        self.links.pop(connection, None)
        self.connections.discard(connection)

    def on_dial_failed(self, address: str, reason: str) -> None:
        """A call has failed, which does not matter."""

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """Learn from a frame, and answer it."""
        if self.adversary.is_over:
            return
        kind = frame[13:frame.index(b'"', 13)].decode()  # honest nodes write the type first
        is_new = self.adversary.hear(frame, kind)
        if is_new and self._may_answer():
            self.relay(connection, kind, frame)
        elif kind in ANSWERED and self._may_answer():
            self.answer(connection, getattr(self, f"answer_{kind}")(json.loads(frame[4:])))

    def _may_answer(self) -> bool:
        second = int(self.network.now())
        if second != self._second:
            self._second, self._answers = second, 0
        self._answers += 1
        return self._answers <= ANSWERS_A_SECOND

    def answer(self, connection: Connection, frames: list[bytes]) -> None:
        """Send an answer, now or later."""
        if self.manner == "late":
            self.network.after(self.network.random.uniform(2, 20), lambda: self.adversary.say([connection], *frames))
        else:
            self.adversary.say([connection], *frames)

    def relay(self, source: Connection, kind: str, frame: bytes) -> None:
        """A new block or transaction has come: pass it on, or announce it first."""
        others = [link for link in self.links if link is not source]
        if self.manner == "relay":
            wait = self.network.random.choice([0.0, 0.0, 3.0])
            self.network.after(wait, lambda: self.adversary.say(others, frame))
        elif self.manner == "herald" and kind == "block":
            self.adversary.say(self.adversary.links(), *self.herald(self.adversary.best))

    def herald(self, block_id: str) -> list[bytes]:
        """Announce a block in both ways: by an inventory and by a tip."""
        return [encode_frame({"type": "inventory", "bucket": block_id[:2], "ids": [block_id]}),
                encode_frame({"type": "tip", "id": block_id, "height": self.adversary.height(block_id)})]

    # --- answers --------------------------------------------------------------------------------

    def answer_ping(self, message: Message) -> list[bytes]:
        """A pong, which says that all that was asked before has been answered."""
        return [] if self.manner == "mute" else [encode_frame({"type": "pong", "nonce": message["nonce"]})]

    def answer_want(self, message: Message) -> list[bytes]:
        """What was asked for, if it is not withheld."""
        if self.manner in ("pong", "mute", "herald"):
            return []
        given = [one for one in message["ids"] if self.manner == "late" or one not in self.adversary.withheld]
        return [frame for one in given if (frame := self.adversary.frame_of(one)) is not None]

    def answer_get_chain(self, message: Message) -> list[bytes]:
        """The best chain after the first id that is on it, or something in its place."""
        if self.manner in ("pong", "mute", "herald"):
            return []
        chain = self.adversary.chain()
        start = next((chain.index(one) + 1 for one in message["locator"] if one in chain), 0)
        frames = [self.adversary.blocks[block_id].frame for block_id in chain]
        if self.manner == "old":
            return frames[:5]
        frames = frames[start:]
        return frames[:2] if self.manner == "prefix" else frames[::-1] if self.manner == "reversed" else frames

    def answer_get_peers(self, message: Message) -> list[bytes]:
        """All puppets, and some addresses at which nobody listens."""
        nobody = [f"nobody-{number}:1" for number in range(5)]
        addresses = [puppet.address for puppet in self.adversary.puppets] + nobody + [self.address]
        return [encode_frame({"type": "peers", "addresses": list(dict.fromkeys(addresses))})]

    def answer_tip(self, message: Message) -> list[bytes]:
        """Claim to know one more block."""
        if self.manner != "mirror":
            return []
        return [encode_frame({"type": "tip", "id": make_id(message["id"].encode()), "height": message["height"] + 1})]
