"""How a file keeps a private key: PKCS#8 in PEM, encrypted with a passphrase or not (contract §4). rsa.py
says which keys it may be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from Crypto import IncorrectPassphraseError, KdfLimitError
from Crypto.IO import PEM, PKCS8
from Crypto.PublicKey import RSA
from Crypto.Util.asn1 import DerObjectId, DerSequence

from common.advice import describe_file_error
from common.key_formats import ENCRYPTED, PLAIN, SCHEMES, by_openssl, describe_other, find_block
from common.new_files import make_folder, read_file, write_new

Key = TypeVar("Key")

RSA_OID = "1.2.840.113549.1.1.1"
"""The object identifier of RSA keys (RFC 8017 appendix A.1)."""

_MAX_FILE = 65_536
"""How many bytes of a file are read; a key of 4,096 bits takes 3,500."""
_PBES2 = "1.2.840.113549.1.5.13"
"""The object identifier of PBES2, which names its cipher in a field of its own (RFC 8018 appendix A.4)."""


class WalletError(Exception):
    """A file of keys cannot be used. The message is one line for the user."""


@contextmanager
def _as_wallet_errors(path: Path) -> Iterator[None]:
    """Turns the system's errors about `path` into WalletErrors."""
    try:
        yield
    except OSError as error:
        raise WalletError(f"{path}: {describe_file_error(error)}") from None


def read_key(path: Path, expected: str, secret: bytes | None, accept: Callable[[RSA.RsaKey | None], Key]) -> Key:
    """Read a PEM file, which must be of the kind `expected`; give what `accept` makes of its key. `accept` gets None
    for a key that is not RSA. It raises WalletError, without the path, if it does not take the key."""
    with _as_wallet_errors(path):
        content = read_file(path, _MAX_FILE)
    block = find_block(content, expected)
    if block is not None and block.kind == expected:
        return _unwrap(path, _decode_pem(path, block.text), secret, accept)
    if block is not None and block.kind == PLAIN:
        _unwrap(path, _decode_pem(path, block.text), None, accept)  # advise nobody to convert a key that is of no use
    raise WalletError(f"{path}: {describe_other(path, content, block, expected)}")


def _decode_pem(path: Path, text: str) -> bytes:
    """The bytes in a block of PEM, which are one whole DER sequence."""
    try:
        container = PEM.decode(text)[0]
        DerSequence().decode(container)
    except (ValueError, TypeError, IndexError):
        raise WalletError(f"{path}: the file is damaged; restore it from a backup") from None
    return container


def _unwrap(path: Path, container: bytes, secret: bytes | None, accept: Callable[[RSA.RsaKey | None], Key]) -> Key:
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
        return accept(_decode_key(encoded) if oid == RSA_OID else None)
    except WalletError as error:
        raise WalletError(f"{path}: {error}") from None
    except (ValueError, TypeError, IndexError, ZeroDivisionError):
        raise WalletError(f"{path}: the key in it is damaged; restore the file from a backup") from None


def _decode_key(encoded: bytes) -> RSA.RsaKey:
    """The RSAPrivateKey of two primes (RFC 8017 appendix A.1.2). Its numbers are not checked here."""
    version, *numbers = DerSequence().decode(encoded, nr_elements=9, only_ints_expected=True)[:6]
    if version != 0:
        raise ValueError("not a key of two primes")
    return RSA.construct(numbers, consistency_check=False)


def _name_fault(path: Path, container: bytes, secret: bytes | None) -> str:
    """Why a container does not open, whatever the passphrase."""
    try:
        if secret is not None:
            scheme = _name_scheme(container)
            return f"it is encrypted by {scheme}, which is not read here; {by_openssl(path, ENCRYPTED)}"
    except (ValueError, TypeError, IndexError):
        pass
    return "the file is damaged; restore it from a backup"


def _name_scheme(container: bytes) -> str:
    """How a container is encrypted, by name: with PBES2 the name of its cipher (RFC 8018 appendix A.4)."""
    algorithm = DerSequence().decode(DerSequence().decode(container)[0])
    oid = DerObjectId().decode(algorithm[0]).value
    if oid == _PBES2:
        cipher = DerSequence().decode(DerSequence().decode(algorithm[1])[1])
        oid = DerObjectId().decode(cipher[0]).value
    return SCHEMES.get(oid, "another scheme")


def write_key(path: Path, content: bytes) -> bool:
    """Write a file of keys; False if `path` is there already. WalletError if it cannot be written."""
    with _as_wallet_errors(path):
        return write_new(path, content)


def make_key_folder(folder: Path) -> None:
    """Make a folder of keys, which only its owner may look into. WalletError if it cannot be made."""
    with _as_wallet_errors(folder):
        make_folder(folder)
