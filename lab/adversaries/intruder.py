"""A peer that says only what it is told: what the attackers of raw_peers.py are built on.

    with Intruder(target) as intruder:
        intruder.send(make_transaction(target, sender, receiver, 100, key))
        assert intruder.barrier()               # the node has handled it
"""

import secrets
from typing import NamedTuple

from common.encoding import Message, canon, make_id
from common.rsa import PrivateKey
from lab.blackbox.peer import DEADLINE, Peer, frames_of

HOST = "127.0.0.1"


class Target(NamedTuple):
    """The node that is attacked."""

    address: str
    stage: int
    network: str


class Intruder(Peer):
    """A peer that says hello, and then only what it is told. It does not raise an error if the node disconnects it."""

    def __init__(self, target: Target, receive_buffer: int = 0, listen: str = "") -> None:
        """Connect to the node. `receive_buffer`: the bytes that the system buffers for this peer; 0 for the default.
        `listen`: the address that the hello names; if empty, an address of this peer."""
        super().__init__(target.address, target.stage, target.network, listen, receive_buffer)
        self.target = target
        self.send(self.hello_message())

    def send(self, *messages: Message) -> None:
        """Send messages in one piece."""
        self.send_bytes(frames_of(*messages))

    def barrier(self, timeout: float = DEADLINE) -> bool:
        """Wait until the node has handled all that was sent. False if it ended the connection instead."""
        nonce = secrets.token_hex(16)
        self.send({"type": "ping", "nonce": nonce})
        return self.find("pong", timeout, nonce=nonce) is not None

    def has(self, transaction_id: str) -> bool:
        """Does the node have this transaction, or in stage 5 this block? It is asked by `want`."""
        before = len(self.received)
        self.send({"type": "want", "ids": [transaction_id]})
        self.barrier()
        return any(message["type"] in ("transaction", "block") for message in self.received[before:])

    def close(self) -> None:
        """End the connection, even while a thread is sending on it."""
        self.cut()
        super().close()


# --- transactions ---------------------------------------------------------------------------------

def transaction_bytes(target: Target, message: Message) -> bytes:
    """The canonical bytes of a transaction (contract §1)."""
    return canon(["transaction", target.network, *(message[member] for member in ("nonce", "from", "to", "amount"))])


def transaction_id(target: Target, message: Message) -> str:
    """The id of a transaction."""
    return make_id(transaction_bytes(target, message))


def make_transaction(target: Target, sender: str, receiver: str, amount: int, key: PrivateKey | None) -> Message:
    """A new transaction, signed with `key`, which need not be the sender's; unsigned without a key (stage 2)."""
    message: Message = {"type": "transaction", "nonce": secrets.token_hex(16), "from": sender, "to": receiver,
                        "amount": amount}
    if key is not None:
        message["signature"] = key.sign(transaction_bytes(target, message))
    return message
