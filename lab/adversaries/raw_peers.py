"""Attackers that are not nodes: a socket, and frames that no node would send.

    with Spender(target) as spender:
        spender.spend(own_account, own_key, receiver, 100)
        spender.barrier()                    # the node has handled it

Attackers that break one rule of a node and keep the others are in bad_neighbour.py and dishonest_nodes.py.
"""

import contextlib
import itertools
import random
import secrets
import threading
import time
from collections.abc import Iterator, Sequence

from common.encoding import Message, canon, encode_frame, make_id
from common.framing import MAX_BODY, make_frame
from common.rsa import PrivateKey
from lab.adversaries.intruder import Intruder, Target, make_transaction, transaction_id
from lab.blackbox.peer import RECEIVE_BYTES, NoAnswer
from stage1_chat.node import MAX_TEXT
from stage5_pos import lottery


# --- transactions ---------------------------------------------------------------------------------

class NegativePayer(Intruder):
    """Sends a negative amount, so that money flows the other way. Every stage stops it: an amount is 0 or more."""

    def take(self, own: str, key: PrivateKey | None, victim: str, amount: int) -> None:
        """Send the victim a negative amount, properly signed."""
        self.send(make_transaction(self.target, own, victim, -amount, key))


class Spender(Intruder):
    """Spends from its own account as much and as often as it likes, whether the account has the money or not.

    Stages 2 and 3 cannot refuse that: nodes hear transactions in different orders, so each would refuse a different
    one, and their ledgers would differ. Stage 4 stops it: all execute in one order, so all refuse the same
    transactions.
    """

    def spend(self, own: str, key: PrivateKey | None, receiver: str, amount: int) -> str:
        """Send a proper transaction, and return its id."""
        message = make_transaction(self.target, own, receiver, amount, key)
        self.send(message)
        return transaction_id(self.target, message)


# --- blocks ---------------------------------------------------------------------------------------

class BlockForger(Intruder):
    """Sends a block in the name of somebody who may make it, but signed with another key.

    Stages 4 and 5 stop it: the sequencer, or the creator, must have signed.
    """

    def forge_next(self, key: PrivateKey, ids: list[str]) -> str:
        """Stage 4: order these transactions in the sequencer's place. Return the id of the block."""
        height = self.find("height")
        assert height is not None
        message: Message = {"type": "block", "number": height["number"], "transactions": ids}
        canonical = canon(["block", self.target.network, message["number"], ids])
        self.send({**message, "signature": key.sign(canonical)})
        return make_id(canonical)

    def forge_copy(self, key: PrivateKey, known: str) -> str:
        """Stage 5: copy a block of the chain, with its winning draw, but without its transactions. If it has none, put
        the transaction `known` in. Return the new id."""
        self.send({"type": "get_chain", "locator": [self.target.network]})
        genuine = self.find("block")
        assert genuine is not None
        forged = {**genuine, "transactions": [] if genuine["transactions"] else [known]}
        canonical = block_bytes(self.target, forged)
        self.send({**forged, "signature": key.sign(canonical)})
        return make_id(canonical)


class Outsider(Intruder):
    """Makes a block for an account without stake. Stage 5 stops it: an account outside the genesis wins nothing."""

    def make_block(self, key: PrivateKey) -> str:
        """Draw for the current slot and sign a block, whether the draw wins or not. Return the id of the block."""
        genesis, tip = self.find("genesis"), self.find("tip")
        assert genesis is not None and tip is not None
        slot = (time.time_ns() // 1_000_000 - genesis["start_ms"]) // genesis["slot_ms"]
        message: Message = {"type": "block", "slot": slot, "parent": tip["id"], "creator": key.account,
                            "draw": lottery.make_draw(key, genesis["seed"], slot), "transactions": []}
        canonical = block_bytes(self.target, message)
        self.send({**message, "signature": key.sign(canonical)})
        return make_id(canonical)


class StakeOwner(Intruder):
    """Owns one stake, and sends only blocks of slots that it has won, each properly signed.

    Orphans cost it nothing. Stage 5 stops it: orphans give way to blocks that continue the chain, and do not delay what
    other nodes ask for.
    """

    def __init__(self, target: Target, key: PrivateKey) -> None:
        """Learn the genesis from the node."""
        super().__init__(target)
        self._key = key
        genesis = self.find("genesis")
        assert genesis is not None
        self._seed = genesis["seed"]
        self._threshold = int(genesis["thresholds"][genesis["accounts"].index(key.account)], 16)

    def send_chain(self, length: int) -> None:
        """Send a chain of `length` blocks, the first of them on the genesis."""
        parent = self.target.network
        for slot, draw in itertools.islice(self._tickets(), length):
            parent = self._send_block(slot, draw, parent)

    def send_orphans(self, slots: int, generator: random.Random) -> None:
        """Send two orphans for each of `slots` slots."""
        for slot, draw in itertools.islice(self._tickets(), slots):
            for _ in range(2):
                self._send_block(slot, draw, f"{generator.getrandbits(256):064x}")

    def _tickets(self) -> Iterator[tuple[int, str]]:
        """Each slot that this stake has won, from slot 1 on, with its draw."""
        for slot in itertools.count(1):
            draw = lottery.make_draw(self._key, self._seed, slot)
            if lottery.ticket_value(self._seed, slot, self._key.account, draw) < self._threshold:
                yield slot, draw

    def _send_block(self, slot: int, draw: str, parent: str) -> str:
        message: Message = {"type": "block", "slot": slot, "parent": parent, "creator": self._key.account,
                            "draw": draw, "transactions": []}
        canonical = block_bytes(self.target, message)
        self.send({**message, "signature": self._key.sign(canonical)})
        return make_id(canonical)


def block_bytes(target: Target, message: Message) -> bytes:
    """The canonical bytes of a block of stage 5 (contract §1)."""
    members = ("slot", "parent", "creator", "draw", "transactions")
    return canon(["block", target.network, *(message[member] for member in members)])


# --- what costs others time and memory ------------------------------------------------------------

class Garbage:
    """Sends as many meaningless bytes as the node takes, and comes back whenever it is thrown out.

    Every stage withstands it: bad input ends its connection before it changes anything, and every peer has its turn.
    """

    PORTION = 1024 * 1024
    """Roughly the bytes to send on one connection. The node ends it at the first bad frame, so more are not needed."""

    def __init__(self, target: Target, generator: random.Random) -> None:
        self.target, self._random = target, generator
        self.bytes_sent = self.connections = 0

    def flood(self, seconds: float) -> None:
        """Send for that long."""
        deadline = time.monotonic() + seconds
        for kind in itertools.cycle(self._kinds()):
            if time.monotonic() > deadline:
                return
            with Intruder(self.target) as intruder:
                self.connections += 1
                sent = 0
                while sent < self.PORTION and intruder.send_bytes(kind):
                    sent += len(kind)
                self.bytes_sent += sent

    def _kinds(self) -> Iterator[bytes]:
        """Noise; frames that are not JSON; JSON that is not a message; malformed messages; very deep nesting."""
        yield self._random.randbytes(RECEIVE_BYTES)
        yield b"".join(make_frame(self._random.randbytes(1_000)) for _ in range(64))
        yield make_frame(b'{"type":7}') * 1_000
        yield encode_frame({"type": "chat", "nonce": "not hex", "text": ""}) * 1_000
        yield make_frame(b"[" * (MAX_BODY // 8))
        yield encode_frame({"type": "nobody-knows-this", "filler": "x" * 1_000}) * 64


class Deaf(Intruder):
    """Reads nothing, while the node sends it the whole history of the chat.

    Every stage withstands it: messages for a slow peer wait in that peer's outbox, and if they become too many the
    connection ends.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target, receive_buffer=4_096)


def fill_history(target: Target, messages: int) -> int:
    """Send `messages` chat messages of the greatest length, which every late joiner is sent. Return their bytes."""
    frames = [encode_frame({"type": "chat", "nonce": secrets.token_hex(16), "text": "漢" * MAX_TEXT})
              for _ in range(messages)]
    with Intruder(target) as talker:
        for frame in frames:
            talker.send_bytes(frame)
        if not talker.barrier():
            raise NoAnswer(f"{target.address} has ended the connection of a peer that only chats")
    return sum(map(len, frames))


class Namer(Intruder):
    """Claims to have messages that a node lacks, but never sends them. It answers pings, so it seems to be alive.

    Every stage from the second on stops it: the node then asks another peer that listed the id, beginning with peers
    that it has called itself.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.was_asked = threading.Event()

    def name(self, ids: Sequence[str]) -> None:
        """List these ids. Then a thread answers all that the node asks, until the connection ends."""
        for bucket in sorted({one[:2] for one in ids}):
            self.send({"type": "inventory", "bucket": bucket, "ids": [one for one in ids if one[:2] == bucket]})
        threading.Thread(target=self._answer, name="namer", daemon=True).start()

    def _answer(self) -> None:
        with contextlib.suppress(NoAnswer, OSError):
            while (message := self.receive()) is not None:
                if message["type"] == "want":
                    self.was_asked.set()
                if message["type"] == "ping":
                    self.send({"type": "pong", "nonce": message["nonce"]})
