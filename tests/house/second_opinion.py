"""A second opinion on docs/vectors.json, from the contract alone: nothing here imports the project.

    python tests/house/second_opinion.py docs/vectors.json

It prints what it finds wrong, one line each. It needs the package `cryptography`, and is as plain as it can be, so that
it can be followed in any language.
"""

import base64
import hashlib
import json
import struct
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

Vector = dict[str, Any]

ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
KEY_INFO = bytes.fromhex("300d06092a864886f70d0101010500")


def sha256(data: bytes) -> str:
    """The hash as hex digits."""
    return hashlib.sha256(data).hexdigest()


# --- canonical bytes --------------------------------------------------------------------------------

def canon(value: Any) -> bytes:
    """Strings, integers and arrays as RFC 8785 writes them, character by character."""
    if isinstance(value, list):
        return b"[" + b",".join(map(canon, value)) + b"]"
    if isinstance(value, int):
        return str(value).encode()
    return b'"' + b"".join(map(write_character, value)) + b'"'


def write_character(character: str) -> bytes:
    """One character of a string: only what JSON demands is escaped."""
    if ord(character) < 0x20 and character not in ESCAPES:
        return b"\\u%04x" % ord(character)
    return ESCAPES.get(character, character).encode()


def array_of(network: str | None, message: Vector) -> list[Any]:
    """The array whose hash is a message's id: the table of contract §1."""
    start, names = [message["type"], network], MEMBERS.get(message["type"], [])
    if message["type"] == "block":
        names = MEMBERS["block 5" if "slot" in message else "block 4"]
    if message["type"] == "genesis":
        start[1] = 4 if "sequencer" in message else 5
        names = MEMBERS[f"genesis {start[1]}"]
    return [*start, *(message[name] for name in names)]


MEMBERS: dict[str, list[str]] = {
    "chat": ["nonce", "text"], "presence": ["nonce", "address"], "transaction": ["nonce", "from", "to", "amount"],
    "block 4": ["number", "transactions"], "block 5": ["slot", "parent", "creator", "draw", "transactions"],
    "genesis 4": ["nonce", "sequencer", "interval_ms", "accounts", "balances"],
    "genesis 5": ["seed", "start_ms", "slot_ms", "block_permille", "accounts", "balances", "thresholds"],
}
"""What stands after the type and the network (of a genesis: the stage) in the canonical bytes."""


# --- keys and signatures ----------------------------------------------------------------------------

def tlv(tag: int, content: bytes) -> bytes:
    """One element of DER, whose length is written as short as it can be."""
    length = len(content)
    size = length.to_bytes(2, "big").lstrip(b"\0")
    return bytes([tag]) + (bytes([length]) if length < 128 else bytes([0x80 + len(size)]) + size) + content


def der_of(modulus: int) -> bytes:
    """The one SubjectPublicKeyInfo of a modulus. A zero byte keeps its first bit from being a sign."""
    number = tlv(2, modulus.to_bytes(modulus.bit_length() // 8 + 1, "big"))
    key = tlv(0x30, number + tlv(2, b"\1\0\1"))
    return tlv(0x30, KEY_INFO + tlv(3, b"\0" + key))


def unbase64(text: str) -> bytes:
    """The bytes, or AssertionError for a second encoding of them."""
    data = base64.b64decode(text, validate=True)
    assert base64.b64encode(data).decode() == text, "base64 in a second encoding"
    return data


def read_account(account: str) -> rsa.RSAPublicKey:
    """The key of an account. AssertionError or ValueError if it is not one."""
    key = serialization.load_der_public_key(unbase64(account))
    assert isinstance(key, rsa.RSAPublicKey), "no RSA key"
    number = key.public_numbers()
    assert number.n % 2 == 1 and 2048 <= number.n.bit_length() <= 4096 and number.e == 65_537, "no key of the contract"
    assert der_of(number.n) == unbase64(account), "a second encoding of the key"
    return key


def check_signature(account: str, data: bytes, signature: str) -> None:
    """AssertionError or ValueError unless this is the one signature of the account over the data."""
    numbers = read_account(account).public_numbers()
    size, raw = (numbers.n.bit_length() + 7) // 8, unbase64(signature)
    number = int.from_bytes(raw, "big")
    assert len(raw) == size and number < numbers.n, "not as long as the modulus, or not smaller"
    hashed = SHA256_INFO + hashlib.sha256(data).digest()
    padded = b"\0\1" + b"\xff" * (size - 3 - len(hashed)) + b"\0" + hashed
    assert pow(number, numbers.e, numbers.n).to_bytes(size, "big") == padded, "it does not hold"


def is_accepted(check: Callable[..., object], *arguments: Any) -> bool:
    """Does the check let it pass?"""
    try:
        check(*arguments)
    except (AssertionError, ValueError):
        return False
    return True


# --- one function for each part of the file; it yields what is wrong there --------------------------

def wrong_frames(rows: list[Vector]) -> Iterator[str]:
    """A frame has its length in front, and holds the message, each member once."""
    for row in rows:
        frame = bytes.fromhex(row["frame"])
        pairs = json.loads(frame[4:], object_pairs_hook=list)
        if struct.unpack(">I", frame[:4])[0] != len(frame) - 4 or sorted(pairs, key=repr) != sorted(
                map(tuple, row["message"].items()), key=repr):
            yield row["frame"]


def wrong_canonical(rows: list[Vector]) -> Iterator[str]:
    """The canonical bytes of each array, and their hash."""
    for row in rows:
        if canon(row["array"]).hex() != row["bytes"] or sha256(bytes.fromhex(row["bytes"])) != row["sha256"]:
            yield repr(row["array"])


def wrong_keys(rows: list[Vector]) -> Iterator[str]:
    """The account and the fingerprint of each private key."""
    for row in rows:
        key = serialization.load_pem_private_key(row["private_key"].encode(), None, unsafe_skip_rsa_key_validation=True)
        encoded = key.public_key().public_bytes(serialization.Encoding.DER,
                                                serialization.PublicFormat.SubjectPublicKeyInfo)
        if base64.b64encode(encoded).decode() != row["account"] or sha256(encoded)[:16] != row["fingerprint"] or (
                not is_accepted(read_account, row["account"])):
            yield row["account"]


def wrong_refused_accounts(rows: list[Vector]) -> Iterator[str]:
    """None of these may be an account."""
    yield from (row["reason"] for row in rows if is_accepted(read_account, row["account"]))


def wrong_signatures(rows: list[Vector]) -> Iterator[str]:
    """Each signature holds, by the numbers and by the library."""
    for row in rows:
        data = bytes.fromhex(row["bytes"])
        if not is_accepted(check_signature, row["account"], data, row["signature"]):
            yield row["signature"]
        else:
            read_account(row["account"]).verify(unbase64(row["signature"]), data, padding.PKCS1v15(), hashes.SHA256())


def wrong_refused_signatures(rows: list[Vector]) -> Iterator[str]:
    """None of these signatures may hold."""
    yield from (row["reason"] for row in rows
                if is_accepted(check_signature, row["account"], bytes.fromhex(row["bytes"]), row["signature"]))


def wrong_messages(rows: list[Vector]) -> Iterator[str]:
    """The canonical bytes, the id and, where there is one, the signature of each message. A genesis is of no network."""
    sequencers = {row["id"]: row["message"]["sequencer"] for row in rows if "sequencer" in row["message"]}
    for row in rows:
        message, data = row["message"], canon(array_of(row["network"], row["message"]))
        signer = message.get("from") or message.get("creator") or sequencers.get(row["network"], "")
        is_genesis = message["type"] == "genesis"
        if data.hex() != row["bytes"] or sha256(data) != row["id"] or is_genesis != (row["network"] is None) or (
                "signature" in message and not is_accepted(check_signature, signer, data, message["signature"])):
            yield row["id"]


def wrong_lottery(part: Vector) -> Iterator[str]:
    """Each threshold is 2^256 (1 - (1 - f)^s), rounded down; each draw is its account's signature, and its value a hash
    of it."""
    with localcontext(prec=120):
        for row in part["thresholds"]:
            share = Decimal(row["stake"]) / row["total"]
            if int(2**256 * (1 - (share * (1 - Decimal(row["block_permille"]) / 1000).ln()).exp())) != int(
                    row["threshold"], 16):
                yield row["threshold"]
    for row in part["draws"]:
        ticket = ["ticket", row["seed"], row["slot"], row["account"], row["draw"]]
        signed = canon(["lottery", row["seed"], row["slot"]])
        if not is_accepted(check_signature, row["account"], signed, row["draw"]) or (
                row["threshold"] not in [one["threshold"] for one in part["thresholds"]]) or (
                sha256(canon(ticket)) != row["value"] or (row["value"] < row["threshold"]) != row["wins"]):
            yield row["value"]


def wrong_comparison(row: Vector) -> Iterator[str]:
    """What is told of ten ids: counts and salted sums, and the XOR of each bucket."""
    for prefix, told in row["sums"]["sums"].items():
        parts = [[int(one, 16) for one in row["ids"] if one.startswith(prefix + digit)] for digit in "0123456789abcdef"]
        digests = [sum(part) * int(row["sums"]["salt"], 16) % 2**256 >> 224 for part in parts]
        if told != [list(map(len, parts)), "".join(f"{digest:08x}" for digest in digests)]:
            yield f"sums of {prefix!r}"
    xors: dict[str, int] = {}
    for one in row["ids"]:
        xors[one[:2]] = xors.get(one[:2], 0) ^ int(one, 16)
    if {bucket: f"{xor:064x}" for bucket, xor in xors.items()} != row["summary"]["buckets"]:
        yield "summary"


def wrong_orders(row: Vector) -> Iterator[str]:
    """The digest over the first n blocks, for each n that is told."""
    digests, last = {}, b""
    for number, block_id in enumerate(row["block_ids"], 1):
        last = hashlib.sha256(last + bytes.fromhex(block_id)).digest()
        digests[str(number)] = last.hex()
    if any(digests.get(number) != digest for number, digest in row["order"]["digests"].items()):
        yield "order"


CHECKS: dict[str, Callable[[Any], Iterator[str]]] = {
    "frames": wrong_frames, "canonical": wrong_canonical, "keys": wrong_keys,
    "refused_accounts": wrong_refused_accounts, "signatures": wrong_signatures,
    "refused_signatures": wrong_refused_signatures, "messages": wrong_messages, "lottery": wrong_lottery,
    "comparison": wrong_comparison, "orders": wrong_orders,
}
"""Part of the file -> what is wrong in it."""


def main() -> int:
    """Check the file that is named; the exit status is 1 if anything in it is wrong."""
    vectors = json.loads(Path(sys.argv[1]).read_text("ascii"))
    assert vectors.keys() - {"about"} == CHECKS.keys(), "not the parts that are known here"
    wrong = [f"{name}: {line}" for name, check in CHECKS.items() for line in check(vectors[name])]
    print(*wrong or [f"all {len(CHECKS)} parts are confirmed"], sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
