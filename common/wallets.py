"""Files that keep private keys: PKCS#8 in PEM, encrypted with a passphrase or not (contract §4)."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from Crypto import IncorrectPassphraseError, KdfLimitError
from Crypto.IO import PEM, PKCS8
from Crypto.PublicKey import RSA
from Crypto.Util.asn1 import DerObjectId, DerSequence

from common.advice import describe_file_error
from common.key_formats import ENCRYPTED, PLAIN, SCHEMES, by_openssl, describe_other, find_block
from common.new_files import make_folder, read_file, write_new
from common.rsa import EXPONENT, MAX_BITS, MIN_BITS, PrivateKey, make_key, verify

RSA_OID = "1.2.840.113549.1.1.1"
"""The object identifier of RSA keys (RFC 8017 appendix A.1)."""

_PROTECTION = "PBKDF2WithHMAC-SHA512AndAES256-CBC"
_ROUNDS = 220_000
"""OWASP's number for HMAC-SHA512. scrypt would resist better, but takes 128 MiB at its recommended cost."""
_MAX_FILE = 65_536
"""Bytes read of a file; a key of 4,096 bits takes 3,500."""
_PBES2 = "1.2.840.113549.1.5.13"
"""The object identifier of the scheme that names its cipher apart (RFC 8018 appendix A.4)."""


class WalletError(Exception):
    """A file of keys cannot be used. The message is one line for the user."""


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
        make_folder(folder)
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
        raise WalletError(f"{path}: {describe_file_error(error)}") from None


def _passphrase_bytes(path: Path, passphrase: str) -> bytes:
    """The passphrase in UTF-8; the library would take Latin-1. WalletError if it is empty."""
    if not passphrase:
        raise WalletError(f"{path}: an empty passphrase would protect nothing; choose another one")
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
        raise WalletError(f"{path}: the file is damaged; put a copy of it back") from None
    return container


def _unwrap(path: Path, container: bytes, secret: bytes | None) -> PrivateKey:
    """The key in a PKCS#8 container. A passphrase is called wrong only where the encryption is known."""
    try:
        oid, encoded = PKCS8.unwrap(container, secret)[:2]
    except IncorrectPassphraseError:
        raise WalletError(f"{path}: wrong passphrase") from None
    except KdfLimitError:
        raise WalletError(f"{path}: its passphrase takes more time or memory to check than is allowed here;"
                          f" {by_openssl(path, ENCRYPTED)}") from None
    except (ValueError, TypeError, IndexError):
        raise WalletError(f"{path}: {_name_fault(path, container, secret)}") from None
    try:
        key = _decode_key(encoded) if oid == RSA_OID else None
        if key is not None and MIN_BITS <= key.size_in_bits() <= MAX_BITS and key.e == EXPONENT:
            return _try_out(PrivateKey(key))
    except (ValueError, TypeError, IndexError, ZeroDivisionError):
        raise WalletError(f"{path}: the key in it is damaged; put a copy of it back") from None
    raise WalletError(f"{path}: the key in it is not an RSA key of {MIN_BITS} to {MAX_BITS} bits"
                      f" with exponent {EXPONENT}")


def _decode_key(encoded: bytes) -> RSA.RsaKey:
    """The RSAPrivateKey of two primes (RFC 8017 appendix A.1.2). Whether its numbers go together is not asked."""
    version, *numbers = DerSequence().decode(encoded, nr_elements=9, only_ints_expected=True)[:6]
    if version != 0:
        raise ValueError("not a key of two primes")
    return RSA.construct(numbers, consistency_check=False)


def _try_out(key: PrivateKey) -> PrivateKey:
    """The key, if it signs as it should; ValueError if not.

    Numbers that do not go together, or a factor that is not prime, give a wrong signature. Asking the library
    whether both factors are prime takes ten times as long, and a founder of stage 5 loads ten keys.
    """
    verify(key.account, b"", key.sign(b""))
    return key


def _name_fault(path: Path, container: bytes, secret: bytes | None) -> str:
    """Why a container does not open, whatever the passphrase."""
    try:
        if secret is not None:
            scheme = _name_scheme(container)
            return f"it is encrypted by {scheme}, which is not read here; {by_openssl(path, ENCRYPTED)}"
    except (ValueError, TypeError, IndexError):
        pass
    return "the file is damaged; put a copy of it back"


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
