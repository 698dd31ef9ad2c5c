"""A keyed hash in place of RSA, for simulations. A signature takes a microsecond, but anybody could forge one.

    with hashes_instead_of_rsa():
        key = HashKey("alice")
        verify(key.account, b"...", key.sign(b"..."))    # wherever a stage calls `verify`

Otherwise, keys behave as they do with RSA. Each account has exactly one signature over given bytes, in one encoding.
The signature of another account, or over other bytes, is refused. So a simulation shows how nodes use signatures, and
leaves out only the arithmetic of RSA.
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
    """Signs in place of a private key. Whoever knows the account can sign for it."""

    def __init__(self, name: str) -> None:
        """Keys with the same name are the same key."""
        self.account = encode_base64(hashlib.sha256(name.encode()).digest())

    def sign(self, canonical: bytes) -> str:
        """The one signature over `canonical`, in base64."""
        return _sign(self.account, canonical)


def _sign(account: str, canonical: bytes) -> str:
    return encode_base64(hashlib.blake2b(canonical, key=account.encode(), digest_size=SIZE).digest())


def check_account(account: str) -> None:
    """Raise InvalidAccount unless it is base64 of 32 bytes."""
    try:
        size = len(decode_base64(account))
    except ValueError as error:
        raise InvalidAccount(f"an account is a key in base64: {error}") from None
    if size != SIZE:
        raise InvalidAccount(f"an account of this simulation has {SIZE} bytes, not {size}")


def verify(account: str, canonical: bytes, signature: str) -> None:
    """Raise InvalidAccount if `account` is not an account, InvalidSignature if it did not sign `canonical`."""
    check_account(account)
    if signature != _sign(account, canonical):
        raise InvalidSignature("the signature does not hold")


@contextmanager
def swapped(stand_ins: dict[str, tuple[Any, Any]]) -> Iterator[None]:
    """Replace names in all modules until the context ends: name -> (original, replacement).

    A module that imports a function or a number has its own reference to it, so the name is replaced in each module.
    The modules are searched for, since a list of them would soon be out of date.
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
    """Until the context ends, all stages accept accounts and signatures of this kind, and no others."""
    with swapped({"check_account": (rsa.check_account, check_account), "verify": (rsa.verify, verify)}):
        yield
