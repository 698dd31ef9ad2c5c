"""RSA keys: accounts, signatures, and the files that keep private keys (contract §1 and §4).

In common/ and in the stages, only this module and wallets.py import pycryptodome. One step is not left to it: comparing
the padded hash. The library's `verify` accepts two forms of it, with the NULL of RFC 8017 §9.2 and without. Then every
message would have two signatures, and every draw two tickets.
"""

import hashlib
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from Crypto.Hash import SHA256
from Crypto.Math.Numbers import Integer
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from Crypto.Util.asn1 import DerBitString, DerSequence

from common.encoding import decode_base64, encode_base64
from common.key_formats import ENCRYPTED, PLAIN
from common.wallets import WalletError, make_key_folder, read_key, write_key

MIN_BITS, MAX_BITS = 2048, 4096
"""Sizes of the modulus, in bits (contract §1)."""

EXPONENT = 65_537
"""The only public exponent (contract §1)."""


class InvalidAccount(ValueError):
    """The text is not an account: not an RSA key in the one encoding that contract §1 allows."""


class InvalidSignature(ValueError):
    """The signature is not that of this account over these bytes, or it is not in its one encoding."""


# --- accounts -----------------------------------------------------------------------------------

def _encode_key(modulus: int) -> bytes:
    """The DER SubjectPublicKeyInfo of a public key, in the one encoding that it has (RFC 3279 §2.3.1).

    The library's own check is off: it refuses a modulus that is a multiple of the exponent, which the contract allows.
    """
    return RSA.construct((modulus, EXPONENT), consistency_check=False).export_key("DER")


_MAX_ACCOUNT = len(encode_base64(_encode_key(2**MAX_BITS - 1)))


def _read_account(account: str) -> int:
    """The modulus of an account; InvalidAccount if the text is not an account."""
    if len(account) > _MAX_ACCOUNT:
        raise InvalidAccount(f"an account can have at most {_MAX_ACCOUNT} characters")
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
        raise InvalidAccount("an RSA modulus must be odd")
    return modulus


def _find_modulus(encoded: bytes) -> int:
    """The modulus in a SubjectPublicKeyInfo; 0 if the bytes are not one."""
    try:
        key = DerBitString().decode(DerSequence().decode(encoded)[1]).value
        return max(0, int(DerSequence().decode(key)[0]))
    except (ValueError, IndexError, TypeError):
        return 0


@lru_cache(maxsize=1_000)
def _modulus_of(account: str) -> Integer:
    """The modulus as the library's number, which keeps what it prepares at its first use.

    Cached, since reading a key costs about four times as much as verifying with it. The cache is bounded, since anybody
    can make keys. A text that is not a key raises InvalidAccount, which is not cached.
    """
    return Integer(_read_account(account))


@lru_cache(maxsize=1_000)
def check_account(account: str) -> None:
    """InvalidAccount unless `account` is an RSA public key as contract §1 writes it.

    It has a cache of its own. In the cache of `verify`, the keys of receivers, which verify nothing, would push out
    those of senders.
    """
    _read_account(account)


# --- signatures ---------------------------------------------------------------------------------

_DIGEST_INFO = bytes.fromhex("3031 300d 0609 608648016503040201 0500 0420")
"""What stands before the hash: that it is a SHA-256 (RFC 8017 §9.2, note 1)."""


def _pad_hash(canonical: bytes, size: int) -> bytes:
    """EMSA-PKCS1-v1_5 (RFC 8017 §9.2): the hash with its padding in front, `size` bytes in all."""
    hashed = _DIGEST_INFO + hashlib.sha256(canonical).digest()
    return b"\x00\x01" + b"\xff" * (size - len(hashed) - 3) + b"\x00" + hashed


def _read_signature(signature: str, size: int) -> Integer:
    """A signature as a number. InvalidSignature unless it is `size` bytes in base64, in its one encoding."""
    if len(signature) != 4 * ((size + 2) // 3):
        raise InvalidSignature("a signature must be as long as the modulus of its key")
    try:
        data = decode_base64(signature)
    except ValueError as error:
        raise InvalidSignature(f"a signature must be a number in base64: {error}") from None
    if len(data) != size:
        raise InvalidSignature("a signature must be as long as the modulus of its key")
    return Integer.from_bytes(data)


_PUBLIC_EXPONENT = Integer(EXPONENT, public=True)
"""A number of the library, which computes faster if it knows that the exponent is no secret."""


def verify(account: str, canonical: bytes, signature: str) -> None:
    """Check the signature of `account` over `canonical`: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2.2).

    InvalidAccount if `account` is not a key, InvalidSignature if the signature does not hold.
    """
    modulus = _modulus_of(account)
    size = modulus.size_in_bytes()
    number = _read_signature(signature, size)
    if number >= modulus:  # otherwise s + n would be a second signature, if it fits into as many bytes
        raise InvalidSignature("a signature must be smaller than the modulus of its key")
    # Why compare the whole padded hash, and not look for the hash in it? A lenient parser of the padding accepts
    # signatures that were made without the key (Bleichenbacher, 2006).
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


# --- files of keys ------------------------------------------------------------------------------

_PROTECTION = "PBKDF2WithHMAC-SHA512AndAES256-CBC"
_ROUNDS = 220_000
"""OWASP's number for HMAC-SHA512. scrypt would resist better, but takes 128 MiB at its recommended cost."""


def load_or_make_wallet(path: Path, passphrase: str) -> PrivateKey:
    """The key in the wallet file `path`, which is made with a new key if nothing is there.

    WalletError if it cannot be read or made, or the passphrase is wrong. A wallet is never overwritten: if two
    processes make one at the same time, the second one takes the key of the first.
    """
    secret = _passphrase_bytes(path, passphrase)
    if os.path.lexists(path):
        return load_wallet(path, passphrase)
    key = make_key()
    wallet = key.key.export_key(pkcs=8, passphrase=secret, protection=_PROTECTION,
                                prot_params={"iteration_count": _ROUNDS})
    if write_key(path, wallet):
        return key
    try:
        return load_wallet(path, passphrase)
    except WalletError as error:
        raise WalletError(f"{error}; another program has made this file at the same time") from None


def load_wallet(path: Path, passphrase: str) -> PrivateKey:
    """The key in the wallet file `path`: encrypted PKCS#8 in PEM. WalletError if that fails."""
    return read_key(path, ENCRYPTED, _passphrase_bytes(path, passphrase), _accept)


def load_key(path: Path) -> PrivateKey:
    """The key in the file `path`: unencrypted PKCS#8 in PEM. WalletError if that fails."""
    return read_key(path, PLAIN, None, _accept)


def load_or_make_keys(folder: Path, count: int, on_progress: Callable[[str], None] | None = None) -> list[PrivateKey]:
    """The keys in `folder`/key-1.pem … key-`count`.pem; those that are missing are made.

    `on_progress` is told, in words, of each key that is made. WalletError if that fails.
    """
    make_key_folder(folder)
    keys = []
    for number in range(1, count + 1):
        path = folder / f"key-{number}.pem"
        if on_progress is not None and not os.path.lexists(path):
            on_progress(f"making key {number} of {count}: {path}")
        keys.append(load_or_make_key(path))
        for other, key in enumerate(keys[:-1], start=1):
            if key.account == keys[-1].account:
                raise WalletError(f"{path}: the same key as key-{other}.pem; remove one, and a new one is made")
    return keys


def load_or_make_key(path: Path) -> PrivateKey:
    """The key in the file `path`: unencrypted PKCS#8 in PEM, made if nothing is there. WalletError if that fails."""
    if not os.path.lexists(path):
        write_key(path, make_key().key.export_key(pkcs=8))
    return load_key(path)


def _passphrase_bytes(path: Path, passphrase: str) -> bytes:
    """The passphrase in UTF-8; the library would use Latin-1. WalletError if it is empty."""
    if not passphrase:
        raise WalletError(f"{path}: an empty passphrase would protect nothing; choose another one")
    return passphrase.encode(errors="surrogateescape")  # an environment may hold bytes that are not UTF-8


def _accept(key: RSA.RsaKey | None) -> PrivateKey:
    """A key that was read from a file; WalletError or ValueError if it cannot sign here.

    The key signs something as a test: if its numbers do not belong together, or a factor is not prime, the signature is
    wrong. The library's own test of both factors takes ten times as long, and a founder of stage 5 loads ten keys.
    """
    if key is None or not MIN_BITS <= key.size_in_bits() <= MAX_BITS or key.e != EXPONENT:
        raise WalletError(f"the key in it is not an RSA key of {MIN_BITS} to {MAX_BITS} bits with exponent {EXPONENT}")
    private = PrivateKey(key)
    verify(private.account, b"", private.sign(b""))
    return private
