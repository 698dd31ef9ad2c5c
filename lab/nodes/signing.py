"""Signs transactions by the thousand, on all cores: a signature takes far longer than its verification.

A separate process signs each order: `python -m lab.nodes.signing`. It reads the order from standard input as JSON,
and writes the frames to standard output. So it has no copy of this program's memory, an interrupt ends it at once,
and it does not outlive the program that started it.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from common.encoding import canon, encode_frame
from common.rsa import PrivateKey
from common.rsa import load_key
from common.wallets import WalletError
from lab.nodes.processes import ROOT


class SigningError(Exception):
    """A signing process failed. The message is one line for the user."""


class Order(NamedTuple):
    """Some transactions to sign: all from one key, each of the same amount."""

    key_file: str
    network: str
    receiver: str
    amount: int
    nonces: list[str]


def sign_all(orders: Sequence[Order]) -> list[bytes]:
    """For each order, the frames of its transactions, joined. SigningError if that fails."""
    signers: list[subprocess.Popen[bytes]] = []
    files: list[IO[bytes]] = [tempfile.TemporaryFile() for _ in orders]
    try:
        for order, file in zip(orders, files, strict=True):
            command = [sys.executable, "-m", "lab.nodes.signing"]
            signers.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=file,
                                            start_new_session=True))
            _hand_over(order, signers[-1])
        for signer in signers:
            if signer.wait() != 0:
                raise SigningError(f"a process that signs transactions ended with status {signer.returncode}")
        return [_read_all(file) for file in files]
    finally:
        for signer in signers:
            signer.kill()
            signer.wait()
        for file in files:
            file.close()


def _hand_over(order: Order, signer: "subprocess.Popen[bytes]") -> None:
    assert signer.stdin is not None
    with signer.stdin as stdin:
        stdin.write(json.dumps(order._asdict()).encode())


def _read_all(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def sign_transaction(order: Order, key: PrivateKey, nonce: str) -> bytes:
    """One transaction of an order, as a frame (contract §1, §3 stage 3)."""
    canonical = canon(["transaction", order.network, nonce, key.account, order.receiver, order.amount])
    return encode_frame({"type": "transaction", "nonce": nonce, "from": key.account, "to": order.receiver,
                         "amount": order.amount, "signature": key.sign(canonical)})


def main() -> None:
    """Sign the order on standard input, until it is done or the process that gave it is gone."""
    parent = os.getppid()
    if text := sys.stdin.read():  # empty if the process that gives the order was interrupted just then
        order = Order(**json.loads(text))
        key = load_key(Path(order.key_file))
        for nonce in order.nonces:
            if os.getppid() != parent:
                return
            sys.stdout.buffer.write(sign_transaction(order, key, nonce))


if __name__ == "__main__":
    try:
        main()
    except WalletError as error:
        sys.exit(f"python -m lab.nodes.signing: {error}")
