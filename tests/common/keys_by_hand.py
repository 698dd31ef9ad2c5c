"""Keys and signatures made in other ways than in common/rsa.py, to compare it with them."""

import hashlib
import math
import random
from collections.abc import Callable
from functools import reduce

from Crypto.Util.asn1 import DerBitString, DerNull, DerObjectId, DerSequence

from common.encoding import encode_base64
from common.rsa import InvalidAccount, InvalidSignature, verify
from tests.fixtures import kept_key

KEY = kept_key(1)
ACCOUNT = KEY.account
MODULUS, PRIVATE_EXPONENT = int(KEY.key.n), int(KEY.key.d)
MESSAGE = b'["transaction","network"]'
SIGNATURE = KEY.sign(MESSAGE)

RSA_OID = "1.2.840.113549.1.1.1"
SHA_256_WITH_NULL = bytes.fromhex("3031300d060960864801650304020105000420")
"""The bytes before the hash (RFC 8017 §9.2, note 1)."""


def odd_number(bits: int) -> int:
    """A number of exactly `bits` bits that passes for a modulus. It is seeded, so it is always the same."""
    return random.Random(bits).getrandbits(bits) | 1 | 1 << (bits - 1)


def der_of(modulus: int, exponent: int = 65_537, oid: str = RSA_OID, parameters: bytes | None = DerNull().encode(),
           after_key: bytes = b"") -> bytes:
    """SubjectPublicKeyInfo, made by the library's ASN.1, which common/rsa.py does not use."""
    algorithm = DerSequence([DerObjectId(oid)] + ([] if parameters is None else [parameters]))
    key = DerSequence([modulus, exponent]).encode() + after_key
    return bytes(DerSequence([algorithm, DerBitString(key)]).encode())


def padded_hash(message: bytes, size: int = 256) -> bytes:
    """EMSA-PKCS1-v1_5, RFC 8017 §9.2."""
    digest_info = SHA_256_WITH_NULL + hashlib.sha256(message).digest()
    return b"\0\1" + b"\xff" * (size - 3 - len(digest_info)) + b"\0" + digest_info


def account_of(*primes: int) -> tuple[str, Callable[[bytes], str]]:
    """An account whose modulus is the product of these primes, and its function to sign: plain numbers, no library."""
    modulus = math.prod(primes)
    exponent = pow(65_537, -1, reduce(math.lcm, (prime - 1 for prime in primes)))
    size = (modulus.bit_length() + 7) // 8

    def sign(message: bytes) -> str:
        number = pow(int.from_bytes(padded_hash(message, size), "big"), exponent, modulus)
        return encode_base64(number.to_bytes(size, "big"))

    return encode_base64(der_of(modulus)), sign


def signature_of(number: int, size: int = 256) -> str:
    """A number as the text of a signature."""
    return encode_base64(number.to_bytes(size, "big"))


def is_accepted(account: str, message: bytes, signature: str) -> bool:
    """Does `verify` accept it? Any exception that is not declared fails the test."""
    try:
        verify(account, message, signature)
    except (InvalidAccount, InvalidSignature):
        return False
    return True
