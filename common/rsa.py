"""RSA keys: accounts and signatures (contract §1). Files that keep private keys are in wallets.py.

Only these two modules import pycryptodome. One thing is not left to it: to compare the padded hash. The
library's `verify` takes two forms of it, with the NULL of RFC 8017 §9.2 and without, so every message would have two
signatures and every draw two tickets.
"""

import hashlib
from functools import lru_cache

from Crypto.Hash import SHA256
from Crypto.Math.Numbers import Integer
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from Crypto.Util.asn1 import DerBitString, DerSequence

from common.encoding import decode_base64, encode_base64

MIN_BITS, MAX_BITS = 2048, 4096
"""Sizes of the modulus, in bits (contract §1)."""

EXPONENT = 65_537
"""The only public exponent (contract §1)."""


class InvalidAccount(ValueError):
    """The text is not an account: no RSA key of contract §1 in its one encoding."""


class InvalidSignature(ValueError):
    """The signature does not hold, or is not in its one encoding."""


# --- accounts -----------------------------------------------------------------------------------

def _encode_key(modulus: int) -> bytes:
    """The DER SubjectPublicKeyInfo of a public key, in the one encoding that it has (RFC 3279 §2.3.1).

    Nothing is checked: the library refuses multiples of the exponent, which the contract takes.
    """
    return RSA.construct((modulus, EXPONENT), consistency_check=False).export_key("DER")


_MAX_ACCOUNT = len(encode_base64(_encode_key(2**MAX_BITS - 1)))


def _read_account(account: str) -> int:
    """The modulus of an account; InvalidAccount if the text is none."""
    if len(account) > _MAX_ACCOUNT:
        raise InvalidAccount(f"an account has at most {_MAX_ACCOUNT} characters")
    try:
        encoded = decode_base64(account)
    except ValueError as error:
        raise InvalidAccount(f"an account is a key in base64: {error}") from None
    modulus = _find_modulus(encoded)
    # DER has several ways to write one key, and the library reads most of them: only what it writes itself is taken.
    if not MIN_BITS <= modulus.bit_length() <= MAX_BITS or _encode_key(modulus) != encoded:
        raise InvalidAccount(f"an account is the DER of an RSA key of {MIN_BITS} to {MAX_BITS} bits"
                             f" with exponent {EXPONENT}")
    if modulus % 2 == 0:
        raise InvalidAccount("an RSA modulus is odd")
    return modulus


def _find_modulus(encoded: bytes) -> int:
    """The modulus in a SubjectPublicKeyInfo; 0 if the bytes are none."""
    try:
        key = DerBitString().decode(DerSequence().decode(encoded)[1]).value
        return max(0, int(DerSequence().decode(key)[0]))
    except (ValueError, IndexError, TypeError):
        return 0


@lru_cache(maxsize=1_000)
def _modulus_of(account: str) -> Integer:
    """The modulus as the library's number, which keeps what it prepares at its first use.

    Bounded, since anybody can make keys. What is no key raises, and takes no place. Reading a key costs about four
    times as much as verifying with it, so whoever signs often is read once.
    """
    return Integer(_read_account(account))


@lru_cache(maxsize=1_000)
def check_account(account: str) -> None:
    """InvalidAccount unless `account` is an RSA public key as contract §1 writes it.

    With a memory of its own: receivers, who need not sign, take no sender's place in that of `verify`.
    """
    _read_account(account)


# --- signatures ---------------------------------------------------------------------------------

_DIGEST_INFO = bytes.fromhex("3031 300d 0609 608648016503040201 0500 0420")
"""What stands before the hash: that it is a SHA-256 (RFC 8017 §9.2, note 1)."""


def _pad_hash(canonical: bytes, size: int) -> bytes:
    """EMSA-PKCS1-v1_5 (RFC 8017 §9.2): the hash with what goes before it, `size` bytes in all."""
    hashed = _DIGEST_INFO + hashlib.sha256(canonical).digest()
    return b"\x00\x01" + b"\xff" * (size - len(hashed) - 3) + b"\x00" + hashed


def _read_signature(signature: str, size: int) -> Integer:
    """The number of `size` bytes that a signature is; InvalidSignature unless that is its one encoding."""
    if len(signature) != 4 * ((size + 2) // 3):
        raise InvalidSignature("a signature is as long as the modulus of its key")
    try:
        data = decode_base64(signature)
    except ValueError as error:
        raise InvalidSignature(f"a signature is a number in base64: {error}") from None
    if len(data) != size:
        raise InvalidSignature("a signature is as long as the modulus of its key")
    return Integer.from_bytes(data)


_PUBLIC_EXPONENT = Integer(EXPONENT, public=True)
"""As the library's number, which may take a shorter way where the exponent is no secret."""


def verify(account: str, canonical: bytes, signature: str) -> None:
    """Check the signature of `account` over `canonical`: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2.2).

    InvalidAccount if `account` is no key, InvalidSignature if the signature does not hold.
    """
    modulus = _modulus_of(account)
    size = modulus.size_in_bytes()
    number = _read_signature(signature, size)
    if number >= modulus:  # or s + n would be a second signature, where it is not longer
        raise InvalidSignature("a signature is smaller than the modulus of its key")
    # The library's numbers are up to five times as fast as Python's.
    if pow(number, _PUBLIC_EXPONENT, modulus).to_bytes(size) != _pad_hash(canonical, size):
        raise InvalidSignature("the signature does not hold")


class PrivateKey:
    """A key that can sign, and its account."""

    def __init__(self, key: RSA.RsaKey) -> None:
        self.key = key
        self.account = encode_base64(_encode_key(int(key.n)))
        self._signer = pkcs1_15.new(key)

    def sign(self, canonical: bytes) -> str:
        """The one signature over `canonical`, in base64 (contract §1)."""
        return encode_base64(self._signer.sign(SHA256.new(canonical)))


def make_key(bits: int = MIN_BITS) -> PrivateKey:
    """Make a new random key; it takes about half a second."""
    return PrivateKey(RSA.generate(bits, e=EXPONENT))
