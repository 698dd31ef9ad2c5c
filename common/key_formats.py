"""For a key file in another format than the one read here: says what it is, and which command converts it.

Keys come from many programs. The user should hear what the file is and what to type, not only that it is wrong.
"""

import base64
import binascii
import codecs
import re
import shlex
from pathlib import Path
from typing import NamedTuple

PLAIN, ENCRYPTED = "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"
"""What stands after BEGIN in the two formats that are read: PKCS#8, RFC 7468 §10 and §11."""

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----.*?(?:-----END \1-----|\Z)", re.DOTALL)

_NAMES = {
    "RSA PRIVATE KEY": "a key in PKCS#1",
    "EC PRIVATE KEY": "an elliptic-curve key",
    "DSA PRIVATE KEY": "a DSA key",
    "PUBLIC KEY": "a public key",
    "RSA PUBLIC KEY": "a public key",
    "SSH2 PUBLIC KEY": "a public key",
    "CERTIFICATE": "a certificate, which has a public key only",
    "PGP PRIVATE KEY BLOCK": "an OpenPGP key",
}
_CONVERTIBLE = {PLAIN, ENCRYPTED, "RSA PRIVATE KEY"}

_FORMAT = "RSA key in PEM (PKCS#8)"

_OPENSSH = "OPENSSH PRIVATE KEY"
_OPENSSH_MAGIC = b"openssh-key-v1\0"

SCHEMES = {
    "1.2.840.113549.1.12.1.1": "PBE-SHA1-RC4-128 (PBES1)",
    "1.2.840.113549.1.12.1.2": "PBE-SHA1-RC4-40 (PBES1)",
    "1.2.840.113549.1.12.1.3": "PBE-SHA1-3DES (PBES1)",
    "1.2.840.113549.1.12.1.4": "PBE-SHA1-2DES (PBES1)",
    "1.2.840.113549.1.12.1.5": "PBE-SHA1-RC2-128 (PBES1)",
    "1.2.840.113549.1.12.1.6": "PBE-SHA1-RC2-40 (PBES1)",
    "1.2.392.200011.61.1.1.1.2": "Camellia-128",
    "1.2.392.200011.61.1.1.1.3": "Camellia-192",
    "1.2.392.200011.61.1.1.1.4": "Camellia-256",
}
"""Names of encryptions that are common in key files and are not read here (RFC 7292 appendix C, RFC 3657)."""


class Block(NamedTuple):
    """One part of a PEM file: what stands after BEGIN, and the lines from there to END."""

    kind: str
    text: str


def find_block(content: bytes, expected: str) -> Block | None:
    """The part of a file that matters, wherever it begins: the first of the kind `expected`, or of a private key,
    or of anything. None if the file is not PEM.

    In front of it may be a byte order mark, which Windows writes, or "Bag Attributes", which openssl writes.
    """
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # PowerShell's `>` writes that
    text = content.decode("utf-16" if is_utf_16 else "ascii", errors="replace")
    blocks = [Block(match[1], match[0]) for match in _BLOCK.finditer(text)]
    for is_wanted in (lambda kind: kind == expected, lambda kind: kind.endswith(PLAIN), lambda kind: True):
        for block in blocks:
            if is_wanted(block.kind):
                return block
    return None


def describe_other(path: Path, content: bytes, block: Block | None, expected: str) -> str:
    """For a file without a block of the kind `expected`: what it is, and how to convert it if that is possible."""
    if block is None:
        return _describe_binary(path, content, expected)
    if block.kind == _OPENSSH:
        return _describe_openssh(path, block, expected)
    name = _NAMES.get(block.kind, f"{block.kind} in PEM")
    if block.kind in (PLAIN, ENCRYPTED):
        name = f"the key in it is {'not ' if block.kind == PLAIN else ''}encrypted"
    advice = f"; {by_openssl(path, expected)}" if block.kind in _CONVERTIBLE else ""
    return f"{name}, expected {_called(expected)}{advice}"


def by_openssl(path: Path, expected: str, *more: str) -> str:
    """The advice to convert a key by openssl."""
    protection = ["-nocrypt"] if expected == PLAIN else ["-v2", "aes-256-cbc"]
    return _advice("openssl", "pkcs8", "-topk8", *protection, *more, "-in", str(path), "-out", "NEW.pem")


def _called(expected: str) -> str:
    return f"an unencrypted {_FORMAT}" if expected == PLAIN else f"a wallet, an encrypted {_FORMAT}"


def _advice(*words: str) -> str:
    return f"to convert it: {shlex.join(words)}"


def _describe_binary(path: Path, content: bytes, expected: str) -> str:
    """For a file that is not PEM: what it is."""
    wanted = f"expected {_called(expected)}"
    if not content:
        advice = "; if a node was killed while it made the file, remove it" if path.is_file() else ""  # not /dev/null
        return f"the file is empty, {wanted}{advice}"
    if content.startswith(b"\x30\x82") and content[4:7] == b"\x02\x01\x03":  # the version, 3 (RFC 7292 §4)
        plain = ["-nodes"] if expected == PLAIN else []
        advice = _advice("openssl", "pkcs12", "-nocerts", *plain, "-in", str(path), "-out", "NEW.pem")
        return f"a file in PKCS#12, {wanted}; {advice}"
    if content.startswith(b"\x30\x82"):  # a DER SEQUENCE with two bytes of length, as any key has
        return f"a binary file (DER), {wanted}; if it is a key, {by_openssl(path, expected, '-inform', 'DER')}"
    if content.startswith(b"PuTTY-User-Key-File"):
        return f"a PuTTY key, {wanted}; PuTTYgen exports it in OpenSSH's format"
    if re.match(rb"(ssh|ecdsa)-[a-z0-9-]+ AAAA", content):
        return f"an OpenSSH public key, {wanted}"
    return f"not {_called(expected)}"


def _describe_openssh(path: Path, block: Block, expected: str) -> str:
    """For a file that ssh-keygen has made: what it is. Only RSA keys can be converted."""
    kind = _read_openssh_kind(block)
    if kind != "ssh-rsa":
        return f"an OpenSSH key of the kind {kind}, expected {_called(expected)}"
    plain = ["-N", ""] if expected == PLAIN else []
    copy = f"cp {shlex.quote(str(path))} NEW.pem && "
    command = shlex.join(["ssh-keygen", "-p", "-m", "PKCS8", *plain, "-f", "NEW.pem"])
    return f"a key in OpenSSH's format, expected {_called(expected)}; to convert it: {copy}{command}"


def _read_openssh_kind(block: Block) -> str:
    """The kind of key in a file of OpenSSH. It can be read without the passphrase (openssh-portable, PROTOCOL.key)."""
    try:
        content = base64.b64decode("".join(block.text.split("\n")[1:-1]))
    except binascii.Error:
        return "unknown"
    rest = content.removeprefix(_OPENSSH_MAGIC)
    for _ in ("cipher", "key derivation", "its options"):
        rest = rest[4 + int.from_bytes(rest[:4], "big"):]
    public_key = rest[4 + 4:]  # after the number of keys, and the length of the first one
    name = public_key[4:4 + int.from_bytes(public_key[:4], "big")].decode("ascii", errors="replace")
    return name if re.fullmatch("[a-z0-9@.-]{1,40}", name) else "unknown"
