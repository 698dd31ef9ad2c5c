"""A peer that says only what it is told: what the attackers of raw_peers.py are built on.

    with Intruder(target) as intruder:
        intruder.send(make_transaction(target, sender, receiver, 100, key))
        assert intruder.barrier()               # the node has handled it
"""

import contextlib
import secrets
import socket
import time
from collections import deque
from typing import Any, NamedTuple, Self

from common.encoding import Message, canon, decode_frame, encode_frame, make_id, split_address
from common.framing import Splitter
from common.rsa import PrivateKey
from stage1_chat.handshake import VERSION

ANSWER_SECONDS = 30.0
"""Time for an answer. Who needs longer does not answer."""

HOST = "127.0.0.1"

RECEIVE_BYTES = 64 * 1024


class Target(NamedTuple):
    """The node that is attacked."""

    address: str
    stage: int
    network: str


class NoAnswer(Exception):
    """The node has not answered in time; the message is one line."""


class Intruder:
    """A peer that says hello, and then only what it is told. What comes is read when somebody waits for something."""

    def __init__(self, target: Target, receive_buffer: int = 0, listen: str = "") -> None:
        """Connect to the node. `receive_buffer`: bytes that the system keeps unread, if not as many as usual; `listen`:
        where it says that it listens, if not at an address of its own."""
        self.target = target
        # Bound and not listening: nobody else gets the address of its hello, and who calls it is refused at once.
        self._reserved = socket.socket()
        self._reserved.bind((HOST, 0))
        self.listen = listen or f"{HOST}:{self._reserved.getsockname()[1]}"
        self.received: list[Message] = []
        """The messages that have been read so far."""
        self.is_closed = False
        """Has the node ended the connection, as far as is known here?"""
        self._splitter = Splitter()
        self._unread: deque[Message] = deque()
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(ANSWER_SECONDS)
        self._socket.connect(split_address(target.address))
        self.send({"type": "hello", "version": VERSION, "stage": target.stage, "network": target.network,
                   "listen": self.listen})

    def send_bytes(self, data: bytes) -> bool:
        """Send bytes as they are; False if the node has ended the connection, and they did not all go."""
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def send(self, *messages: Message) -> None:
        """Send messages in one piece."""
        self.send_bytes(b"".join(map(encode_frame, messages)))

    def _receive(self, deadline: float) -> Message | None:
        """The next message; None at the end of the connection; NoAnswer if none comes in time."""
        while not self._unread and not self.is_closed:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self._socket.recv(RECEIVE_BYTES)
            except TimeoutError:
                raise NoAnswer(f"{self.target.address} has not answered in time") from None
            except OSError:
                data = b""
            self.is_closed = not data
            self._unread += map(decode_frame, self._splitter.feed(data)[0])
        if not self._unread:
            return None
        self.received.append(self._unread.popleft())
        return self.received[-1]

    def find(self, kind: str, timeout: float = ANSWER_SECONDS, **members: Any) -> Message | None:
        """The next message of this type with these members; None if the node ends the connection before."""
        deadline = time.monotonic() + timeout
        while (message := self._receive(deadline)) is not None:
            if {"type": kind, **members}.items() <= message.items():
                return message
        return None

    def barrier(self, timeout: float = ANSWER_SECONDS) -> bool:
        """Wait until the node has handled all that was sent; False if it has ended the connection instead."""
        nonce = secrets.token_hex(16)
        self.send({"type": "ping", "nonce": nonce})
        return self.find("pong", timeout, nonce=nonce) is not None

    def has(self, transaction_id: str) -> bool:
        """Has the node this transaction, or in stage 5 this block? It is asked by `want`."""
        before = len(self.received)
        self.send({"type": "want", "ids": [transaction_id]})
        self.barrier()
        return any(message["type"] in ("transaction", "block") for message in self.received[before:])

    def close(self) -> None:
        """End the connection, also for a thread that is sending on it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._reserved.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- transactions ---------------------------------------------------------------------------------

def transaction_bytes(target: Target, message: Message) -> bytes:
    """The canonical bytes of a transaction (contract §1)."""
    return canon(["transaction", target.network, *(message[member] for member in ("nonce", "from", "to", "amount"))])


def transaction_id(target: Target, message: Message) -> str:
    """The id of a transaction."""
    return make_id(transaction_bytes(target, message))


def make_transaction(target: Target, sender: str, receiver: str, amount: int, key: PrivateKey | None) -> Message:
    """A transaction that is new to everyone, signed by `key`, whoever that is; in stage 2 nobody signs."""
    message: Message = {"type": "transaction", "nonce": secrets.token_hex(16), "from": sender, "to": receiver,
                        "amount": amount}
    if key is not None:
        message["signature"] = key.sign(transaction_bytes(target, message))
    return message
