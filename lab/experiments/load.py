"""Work for a network of real nodes: signed transactions, and with them a quarter more that nobody can execute."""

import contextlib
import json
import random
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from common.limits import MAX_INVALID, MEBIBYTE
from lab.blackbox.peer import Peer, frames_of
from lab.nodes.processes import NodeProcess
from lab.nodes.signing import Order, sign_all
from lab.nodes.workload import KeyRing
from stage5_pos.rules import FEE

EXTRA = 0.25
"""Transactions that nobody can execute, as a share of the others."""

END_SECONDS = 10.0
"""Time for a sending thread to end."""


class Load(NamedTuple):
    """What the nodes are sent."""

    shares: list[bytes]
    """Properly signed transactions, as frames: a share for each node, which passes them on."""
    forged: list[bytes]
    """Badly signed ones, for all nodes, since no node passes them on."""


def make_load(stage: int, kind: str, network: str, nodes: int, number: int, keys: KeyRing, seed: int) -> Load:
    """`number` transactions that pay 1 each to the sink of `keys`, and what comes with them: if `kind` is "uncovered",
    a quarter more from the last of the keys, which has nothing; if it is "forged", a quarter more with bad
    signatures."""
    choose = random.Random(seed)
    extra = 0 if kind == "valid" else round(EXTRA * number)
    rich = 1 if stage == 4 else len(keys.keys) - 1  # in stage 4 only the founder has money at the start

    def order(sender: int, count: int) -> Order:
        nonces = [f"{choose.getrandbits(128):032x}" for _ in range(count)]
        return Order(str(keys.file(sender)), network, keys.sink, 1 + FEE if stage == 5 else 1, nonces)

    orders = [order(node % rich, len(range(node, number, nodes))) for node in range(nodes)]
    if kind == "uncovered":
        orders += [order(len(keys.keys) - 1, len(range(node, extra, nodes))) for node in range(nodes)]
    signed = sign_all(orders)
    shares = [[one for frames in signed[node::nodes] for one in split_frames(frames)] for node in range(nodes)]
    for share in shares:
        choose.shuffle(share)
    return Load([b"".join(share) for share in shares],
                list(forge(shares[0][0], extra, choose)) if kind == "forged" else [])


def split_frames(data: bytes) -> Iterator[bytes]:
    """Split bytes into the frames that they consist of."""
    start = 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start:start + 4], "big")
        yield data[start:end]
        start = end


def forge(genuine: bytes, number: int, choose: random.Random) -> Iterator[bytes]:
    """`number` transactions, as frames, each with the signature of a genuine one."""
    message = json.loads(genuine[4:])
    for _ in range(number):
        yield frames_of({**message, "nonce": f"{choose.getrandbits(128):032x}"})


# --- peers that sign badly -------------------------------------------------------------------------

class Forger(threading.Thread):
    """Sends badly signed transactions to one node. The tenth ends the connection (contract §2), and it connects
    again."""

    def __init__(self, node: NodeProcess, frames: Sequence[bytes], listen: str) -> None:
        """It says that it listens on `listen`."""
        super().__init__(name=f"forges for {node.pid}", daemon=True)
        self._address, self._stage, self._network = node.address, node.stage, node.network
        self._frames, self._listen = frames, listen
        self._is_over = threading.Event()
        self.refused = 0
        """How many the node has read and refused."""

    def run(self) -> None:
        """Send them all, or as many as it can before `stop` is called."""
        buffer = bytearray(MEBIBYTE)
        for first in range(0, len(self._frames), MAX_INVALID):
            if self._is_over.is_set():
                return
            some = self._frames[first:first + MAX_INVALID]
            with contextlib.suppress(OSError), Peer(self._address, self._stage, self._network, self._listen) as peer:
                peer.send_bytes(frames_of(peer.hello_message()) + b"".join(some))
                peer.socket.shutdown(socket.SHUT_WR)  # so the node closes even if fewer than ten were left
                while peer.socket.recv_into(buffer):
                    if self._is_over.is_set():
                        return
                self.refused += len(some)

    def stop(self) -> None:
        """Make `run` return soon."""
        self._is_over.set()


@contextlib.contextmanager
def forgers(nodes: Sequence[NodeProcess], frames: Sequence[bytes], listen: str) -> Iterator[list[Forger]]:
    """A forger for each node, not started yet; none if there is nothing to send."""
    found = [Forger(node, frames, listen) for node in nodes] if frames else []
    try:
        yield found
    finally:
        for forger in found:
            forger.stop()
        for forger in found:
            if forger.is_alive():
                forger.join(END_SECONDS)
