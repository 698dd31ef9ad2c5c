"""RSA keys: accounts, signatures, and the files that keep private keys (contract §1 and §4).

The only module that imports pycryptodome. Two things it does itself:

- It reads and writes public keys. The library's `import_key` also takes PEM, certificates, private
  keys and second encodings; an account has one form only. It also costs more than verifying.
- It compares the padded hash. The library's `verify` takes two forms of it, with the NULL of
  RFC 8017 §9.2 and without, so every message would have two signatures and every draw two tickets.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from Crypto import IncorrectPassphraseError, KdfLimitError
from Crypto.Hash import SHA256
from Crypto.IO import PEM, PKCS8
from Crypto.Math.Numbers import Integer
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from Crypto.Util.asn1 import DerObjectId, DerSequence

from common.encoding import decode_base64, encode_base64
from common.key_formats import ENCRYPTED, PLAIN, SCHEMES, by_openssl, describe_other, find_block
from common.new_files import read_file, write_new

MIN_BITS, MAX_BITS = 2048, 4096
"""Sizes of the modulus, in bits (contract §1)."""

EXPONENT = 65_537
"""The only public exponent (contract §1)."""

RSA_OID = "1.2.840.113549.1.1.1"
"""The object identifier of RSA keys (RFC 8017 appendix A.1)."""


class InvalidAccount(ValueError):
    """The text is not an account: no RSA key of contract §1 in its one encoding."""


class InvalidSignature(ValueError):
    """The signature does not hold, or is not in its one encoding."""


class WalletError(Exception):
    """A file of keys cannot be used. The message is one line for the user."""


# --- accounts -----------------------------------------------------------------------------------

def _element(tag: int, content: bytes) -> bytes:
    """One element of DER. Its length takes two bytes, as that of all parts of a key of these sizes does."""
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


_INTEGER, _BIT_STRING, _SEQUENCE = 0x02, 0x03, 0x30
_ALGORITHM = bytes.fromhex("300d 0609 2a864886f70d010101 0500")
"""SEQUENCE of RSA's object identifier and NULL (RFC 8017 appendix A.1, RFC 3279 §2.3.1)."""
_EXPONENT = bytes.fromhex("0203 010001")
_BEFORE_MODULUS = 32
"""Bytes in front of the modulus: the same in all keys of these sizes."""


def _encode_key(modulus: int) -> bytes:
    """The DER SubjectPublicKeyInfo of a key, in the one encoding that it has."""
    number = modulus.to_bytes(modulus.bit_length() // 8 + 1, "big")  # the sign bit in front is 0
    key = _element(_SEQUENCE, _element(_INTEGER, number) + _EXPONENT)
    return _element(_SEQUENCE, _ALGORITHM + _element(_BIT_STRING, b"\0" + key))


_MAX_ACCOUNT = len(encode_base64(_encode_key(2**MAX_BITS - 1)))


def _read_account(account: str) -> int:
    """The modulus of an account; InvalidAccount if the text is none.

    Nothing is parsed: the modulus is taken from where it is in every valid key, and a
    text that is wrong anywhere is not what this modulus encodes to.
    """
    if len(account) > _MAX_ACCOUNT:
        raise InvalidAccount(f"an account has at most {_MAX_ACCOUNT} characters")
    try:
        key = decode_base64(account)
    except ValueError as error:
        raise InvalidAccount(f"an account is a key in base64: {error}") from None
    modulus = int.from_bytes(key[_BEFORE_MODULUS:-len(_EXPONENT)], "big")
    if not MIN_BITS <= modulus.bit_length() <= MAX_BITS or _encode_key(modulus) != key:
        raise InvalidAccount(f"an account is the DER of an RSA key of {MIN_BITS} to {MAX_BITS} bits"
                             f" with exponent {EXPONENT}")
    if modulus % 2 == 0:
        raise InvalidAccount("an RSA modulus is odd")
    return modulus


@lru_cache(maxsize=1_000)
def _modulus_of(account: str) -> Integer:
    """The modulus as the library's number, which keeps what it prepares at its first use.

    Bounded, since anybody can make keys. What is no key raises, and takes no place; a key whose
    place was taken costs a third of a verification.
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


# --- files of keys ------------------------------------------------------------------------------

_PROTECTION = "PBKDF2WithHMAC-SHA512AndAES256-CBC"
_ROUNDS = 220_000
"""OWASP's number for HMAC-SHA512. scrypt would resist better, but takes 128 MiB at its recommended cost."""
_MAX_FILE = 65_536
"""Bytes read of a file; a key of 4,096 bits takes 3,500."""
_PBES2 = "1.2.840.113549.1.5.13"
"""The object identifier of the scheme that names its cipher apart (RFC 8018 appendix A.4)."""


def load_or_make_wallet(path: Path, passphrase: str) -> PrivateKey:
    """The key in the wallet file `path`, which is made with a new key if nothing is there.

    WalletError if it cannot be read or made, or the passphrase is wrong. A wallet is never
    written over: of two processes that make one at once, the second takes the first one's.
    """
    secret = _passphrase_bytes(path, passphrase)
    if os.path.lexists(path):
        return load_wallet(path, passphrase)
    key = make_key()
    wallet = key.key.export_key(pkcs=8, passphrase=secret, protection=_PROTECTION,
                                prot_params={"iteration_count": _ROUNDS})
    if _write_new(path, wallet):
        return key
    try:
        return load_wallet(path, passphrase)
    except WalletError as error:
        raise WalletError(f"{error}; another program has made this file at the same time") from None


def load_wallet(path: Path, passphrase: str) -> PrivateKey:
    """The key in the wallet file `path`: encrypted PKCS#8 in PEM. WalletError if that fails."""
    return _read_key(path, ENCRYPTED, _passphrase_bytes(path, passphrase))


def load_key(path: Path) -> PrivateKey:
    """The key in the file `path`: unencrypted PKCS#8 in PEM. WalletError if that fails."""
    return _read_key(path, PLAIN, None)


def load_or_make_keys(folder: Path, count: int, on_progress: Callable[[str], None] | None = None) -> list[PrivateKey]:
    """The keys in `folder`/key-1.pem … key-`count`.pem; those that are missing are made.

    `on_progress` is told, in words, of each key that is made. WalletError if that fails.
    """
    with _reported(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = []
    for number in range(1, count + 1):
        path = folder / f"key-{number}.pem"
        if on_progress is not None and not os.path.lexists(path):
            on_progress(f"making key {number} of {count}: {path}")
        keys.append(load_or_make_key(path))
        for other, key in enumerate(keys[:-1], start=1):
            if key.account == keys[-1].account:
                raise WalletError(f"{path}: the same key as key-{other}.pem, expected another one")
    return keys


def load_or_make_key(path: Path) -> PrivateKey:
    """The key in the file `path`: unencrypted PKCS#8 in PEM, made if nothing is there. WalletError if that fails."""
    if not os.path.lexists(path):
        _write_new(path, make_key().key.export_key(pkcs=8))
    return load_key(path)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Turns the system's errors about `path` into WalletErrors."""
    try:
        yield
    except OSError as error:
        raise WalletError(f"{path}: {error.strerror or error}") from None


def _passphrase_bytes(path: Path, passphrase: str) -> bytes:
    """The passphrase in UTF-8; the library would take Latin-1. WalletError if it is empty."""
    if not passphrase:
        raise WalletError(f"{path}: an empty passphrase would protect nothing")
    return passphrase.encode(errors="surrogateescape")  # an environment may hold what is no UTF-8


def _read_key(path: Path, expected: str, secret: bytes | None) -> PrivateKey:
    """The key in a PEM file, which must be of the kind `expected`."""
    with _reported(path):
        content = read_file(path, _MAX_FILE)
    block = find_block(content, expected)
    if block is not None and block.kind == expected:
        return _unwrap(path, _decode_pem(path, block.text), secret)
    if block is not None and block.kind == PLAIN:
        _unwrap(path, _decode_pem(path, block.text), None)  # nobody should convert what is no use afterwards
    raise WalletError(f"{path}: {describe_other(path, content, block, expected)}")


def _decode_pem(path: Path, text: str) -> bytes:
    """The bytes in a block of PEM, which are one whole DER sequence."""
    try:
        container = PEM.decode(text)[0]
        DerSequence().decode(container)
    except (ValueError, TypeError, IndexError):
        raise WalletError(f"{path}: the file is damaged") from None
    return container


def _unwrap(path: Path, container: bytes, secret: bytes | None) -> PrivateKey:
    """The key in a PKCS#8 container. A passphrase is called wrong only where the encryption is known."""
    try:
        oid, encoded = PKCS8.unwrap(container, secret)[:2]
        key = RSA.import_key(encoded) if oid == RSA_OID else None
    except IncorrectPassphraseError:
        raise WalletError(f"{path}: wrong passphrase") from None
    except KdfLimitError:
        raise WalletError(f"{path}: its passphrase takes more time or memory to check than is allowed here;"
                          f" {by_openssl(path, ENCRYPTED)}") from None
    except (ValueError, TypeError, IndexError):
        raise WalletError(f"{path}: {_name_fault(path, container, secret)}") from None
    if key is None or not MIN_BITS <= key.size_in_bits() <= MAX_BITS or key.e != EXPONENT:
        raise WalletError(f"{path}: the key in it is not an RSA key of {MIN_BITS} to {MAX_BITS} bits"
                          f" with exponent {EXPONENT}")
    return PrivateKey(key)


def _name_fault(path: Path, container: bytes, secret: bytes | None) -> str:
    """Why a container does not open, whatever the passphrase."""
    try:
        if secret is not None:
            scheme = _name_scheme(container)
            return f"it is encrypted by {scheme}, which is not read here; {by_openssl(path, ENCRYPTED)}"
    except (ValueError, TypeError, IndexError):
        pass
    return "the file is damaged"


def _name_scheme(container: bytes) -> str:
    """The name of how a container is encrypted: the cipher's, where that stands apart (RFC 8018 appendix A.4)."""
    algorithm = DerSequence().decode(DerSequence().decode(container)[0])
    oid = DerObjectId().decode(algorithm[0]).value
    if oid == _PBES2:
        cipher = DerSequence().decode(DerSequence().decode(algorithm[1])[1])
        oid = DerObjectId().decode(cipher[0]).value
    return SCHEMES.get(oid, "another scheme")


def _write_new(path: Path, content: bytes) -> bool:
    """Write a file of keys; False if `path` is there already. WalletError if it cannot be written."""
    with _reported(path):
        return write_new(path, content)
