"""What nodes need for a measurement: keys for their accounts, and a peer that sends work as fast as they take it."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from common.advice import describe_call_error
from common.limits import MEBIBYTE
from common.rsa import PrivateKey, load_or_make_keys
from lab.blackbox.node_process import NodeError
from lab.blackbox.peer import Peer, frames_of
from lab.nodes.processes import NodeProcess

PASSPHRASE = "these keys protect nothing"
"""The passphrase of the wallets made here."""

WALLET_ROUNDS = 1_000
"""Rounds of the key derivation. These wallets must open quickly; the wallets of users have 220,000."""


# --- keys ---------------------------------------------------------------------------------------

class KeyRing:
    """Keys in one folder, kept for later runs, and wallets with the same keys in another.

    The last key is that of the sink, the account that receives all transactions.
    """

    def __init__(self, folder: Path, wallets: Path, accounts: int, on_progress: Callable[[str], None]) -> None:
        """Read the keys, and make the missing ones, which `on_progress` reports. WalletError if that fails."""
        self.folder = folder.resolve()
        *self.keys, sink = load_or_make_keys(folder, accounts + 1, on_progress=on_progress)
        self.sink = sink.account
        self._wallets = [_make_wallet(wallets / f"wallet-{number}.pem", key) for number, key in enumerate(self.keys)]

    def file(self, number: int) -> Path:
        """The file of a key; `number` counts from 0."""
        return self.folder / f"key-{number + 1}.pem"

    def wallet(self, number: int) -> Path:
        """A wallet with that key."""
        return self._wallets[number]


def _make_wallet(path: Path, key: PrivateKey) -> Path:
    path.write_bytes(key.key.export_key(pkcs=8, passphrase=PASSPHRASE, protection="PBKDF2WithHMAC-SHA512AndAES256-CBC",
                                        prot_params={"iteration_count": WALLET_ROUNDS}))
    return path


# --- a peer that only sends ---------------------------------------------------------------------

class Injector(Peer):
    """A peer of one node: it says hello, sends what it is given, and discards what comes."""

    def __init__(self, node: NodeProcess, stage: int, listen: str) -> None:
        """Connect, and say that this peer listens on `listen`. NodeError if the node cannot be reached."""
        self._node = node
        try:
            super().__init__(node.address, stage, node.network, listen)
        except OSError as error:
            raise NodeError(f"{node.name} cannot be reached: {describe_call_error(error)}") from None
        self.socket.settimeout(None)
        self.send_bytes(frames_of(self.hello_message()))
        threading.Thread(target=self._discard, name=f"discards from {node.pid}", daemon=True).start()

    def _discard(self) -> None:
        buffer = bytearray(MEBIBYTE)
        with contextlib.suppress(OSError):
            while self.socket.recv_into(buffer):
                pass

    def start(self, frames: bytes) -> None:
        """Begin to send `frames`, as fast as the node takes them."""
        threading.Thread(target=self.send_bytes, args=(frames,), name=f"sends to {self._node.pid}", daemon=True).start()

    def close(self) -> None:
        """End the connection, even if some frames have not been sent yet."""
        self.cut()
        super().close()


@contextlib.contextmanager
def injectors(nodes: Sequence[NodeProcess], stage: int) -> Iterator[list[Injector]]:
    """Open one injector to every node. NodeError if a node cannot be reached."""
    # All injectors claim one address, where nobody answers. Each node has a link to it, so no node calls it.
    with socket.socket() as reserved, contextlib.ExitStack() as stack:
        reserved.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{reserved.getsockname()[1]}"
        opened = []
        for node in nodes:
            opened.append(Injector(node, stage, listen))
            stack.callback(opened[-1].close)
        yield opened
