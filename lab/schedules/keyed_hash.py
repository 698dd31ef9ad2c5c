"""A keyed hash in place of RSA, for simulations: a signature takes a microsecond, and anybody could forge it.

    with hashes_instead_of_rsa():
        key = HashKey("alice")
        verify(key.account, b"...", key.sign(b"..."))    # wherever a stage calls `verify`

All else about keys is as it was: there is one signature over some bytes, in one encoding, and another account's, or
one over other bytes, does not hold. So a simulation shows what nodes make of signatures, and not how RSA is computed.
"""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from common import rsa
from common.encoding import decode_base64, encode_base64
from common.rsa import InvalidAccount, InvalidSignature, PrivateKey

SIZE = 32
"""Bytes of an account and of a signature."""


class HashKey(PrivateKey):
    """What signs in the place of a private key: whoever knows the account can sign for it."""

    def __init__(self, name: str) -> None:
        """Keys of one name are the same key."""
        self.account = encode_base64(hashlib.sha256(name.encode()).digest())

    def sign(self, canonical: bytes) -> str:
        """The one signature over `canonical`, in base64."""
        return _sign(self.account, canonical)


def _sign(account: str, canonical: bytes) -> str:
    return encode_base64(hashlib.blake2b(canonical, key=account.encode(), digest_size=SIZE).digest())


def check_account(account: str) -> None:
    """InvalidAccount unless it is base64 of 32 bytes."""
    try:
        size = len(decode_base64(account))
    except ValueError as error:
        raise InvalidAccount(f"an account is a key in base64: {error}") from None
    if size != SIZE:
        raise InvalidAccount(f"an account of this simulation has {SIZE} bytes, not {size}")


def verify(account: str, canonical: bytes, signature: str) -> None:
    """InvalidAccount if `account` is none, InvalidSignature if it has not signed this."""
    check_account(account)
    if signature != _sign(account, canonical):
        raise InvalidSignature("the signature does not hold")


@contextmanager
def swapped(stand_ins: dict[str, tuple[Any, Any]]) -> Iterator[None]:
    """Until the end, put something else in the place of what modules know by a name: name -> the original, the other.

    A module that imports a function or a number has a name of its own for it, so each module's is swapped; which ones
    have one is looked up and not listed, since a list would miss the next one.
    """
    changed: list[tuple[dict[str, Any], str]] = []
    for module in list(sys.modules.values()):
        names = vars(module)
        for name in stand_ins.keys() & names.keys():
            if names[name] is stand_ins[name][0]:
                names[name] = stand_ins[name][1]
                changed.append((names, name))
    try:
        yield
    finally:
        for names, name in changed:
            names[name] = stand_ins[name][0]


@contextmanager
def hashes_instead_of_rsa() -> Iterator[None]:
    """Let all stages check accounts and signatures of this kind, and no others, until the end."""
    with swapped({"check_account": (rsa.check_account, check_account), "verify": (rsa.verify, verify)}):
        yield
