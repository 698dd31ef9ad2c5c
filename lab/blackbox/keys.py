"""RSA keys and signatures, computed with plain integers (contract §1). A scripted peer signs and verifies with them.

It takes nothing from common/, so a mistake there is not made here as well. It is slow, but fast enough for a test.
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

EXPONENT = 65_537
RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")
"""The AlgorithmIdentifier rsaEncryption with NULL parameters, in DER."""
SHA_256_WITH_NULL = bytes.fromhex("3031300d060960864801650304020105000420")
"""What precedes the hash in a signature (RFC 8017 §9.2, note 1)."""
SHA_256_WITHOUT_NULL = bytes.fromhex("302f300b0609608648016503040201" + "0420")


@dataclass(frozen=True)
class Key:
    """A private key."""

    modulus: int
    private_exponent: int
    prime: int
    other_prime: int
    exponent: int = EXPONENT

    @cached_property
    def account(self) -> str:
        """Base64 of the DER SubjectPublicKeyInfo: the account of stages 3 to 5."""
        return base64.b64encode(public_der(self.modulus, self.exponent)).decode()

    @property
    def size(self) -> int:
        """Bytes of a signature."""
        return (self.modulus.bit_length() + 7) // 8

    def sign(self, message: bytes) -> str:
        """RSASSA-PKCS1-v1_5 with SHA-256, in base64."""
        return to_base64(self.raise_number(padded(message, self.size)), self.size)

    def raise_number(self, number: int) -> int:
        """`number` to the power of the private exponent, by the Chinese remainder theorem."""
        one, other = (pow(number, self.private_exponent % (prime - 1), prime)
                      for prime in (self.prime, self.other_prime))
        return other + self.other_prime * ((one - other) * pow(self.other_prime, -1, self.prime) % self.prime)


@lru_cache
def load_key(path: Path) -> Key:
    """Read an unencrypted PKCS#8 PEM file."""
    lines = [line for line in path.read_text().splitlines() if "-----" not in line]
    _, _, octets = parts(parts(base64.b64decode("".join(lines)))[0])
    _, modulus, exponent, private_exponent, prime, other_prime, *_ = parts(parts(octets)[0])
    numbers = [int.from_bytes(one, "big") for one in (modulus, private_exponent, prime, other_prime, exponent)]
    return Key(*numbers)


def parts(der: bytes) -> list[bytes]:
    """Split bytes into DER elements, and return the contents of each. ValueError if the bytes are not DER."""
    found = []
    while der:
        if len(der) < 2:
            raise ValueError("not DER")
        length, start = der[1], 2
        if length & 0x80:
            start += length & 0x7f
            length = int.from_bytes(der[2:start], "big")
        if start + length > len(der):
            raise ValueError("not DER")
        found.append(der[start:start + length])
        der = der[start + length:]
    return found


def element(tag: int, content: bytes) -> bytes:
    """A DER element."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def integer(number: int) -> bytes:
    """A DER integer that is not negative."""
    return element(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def public_der(modulus: int, exponent: int) -> bytes:
    """SubjectPublicKeyInfo in DER."""
    key = element(0x30, integer(modulus) + integer(exponent))
    return element(0x30, RSA_ENCRYPTION + element(3, b"\0" + key))


def padded(message: bytes, size: int, info: bytes = SHA_256_WITH_NULL) -> int:
    """EMSA-PKCS1-v1_5 of a message (RFC 8017 §9.2), as a number."""
    end = info + hashlib.sha256(message).digest()
    return int.from_bytes(b"\0\1" + b"\xff" * (size - 3 - len(end)) + b"\0" + end, "big")


def to_base64(number: int, size: int) -> str:
    """A number as the text of a signature."""
    return base64.b64encode(number.to_bytes(size, "big")).decode()


def is_signed(account: str, message: bytes, signature: str) -> bool:
    """Has the account's owner signed these bytes with this signature?"""
    try:
        modulus, exponent = public_numbers(account)
        raw = base64.b64decode(signature, validate=True)
    except (ValueError, TypeError):
        return False
    size = (modulus.bit_length() + 7) // 8
    return (len(raw) == size and (number := int.from_bytes(raw, "big")) < modulus
            and pow(number, exponent, modulus) == padded(message, size))


def public_numbers(account: str) -> tuple[int, int]:
    """Modulus and exponent of an account; ValueError if the text is not an account."""
    der = base64.b64decode(account, validate=True)
    _, bits = parts(parts(der)[0])
    modulus, exponent = (int.from_bytes(one, "big") for one in parts(parts(bits[1:])[0]))
    if public_der(modulus, exponent) != der:
        raise ValueError("not the one encoding of this key")
    return modulus, exponent


def fingerprint(account: str) -> str:
    """The first 16 hex digits of the SHA-256 of the DER key (contract §4)."""
    return hashlib.sha256(base64.b64decode(account)).hexdigest()[:16]
