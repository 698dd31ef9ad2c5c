"""What the tests of stage 3 share: signed transactions, and all ways to forge one."""

import base64
import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from Crypto.Hash import SHA1, SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15, pss

from common.encoding import canon, encode_base64
from common.rsa import PrivateKey
from lab.simulation import World
from stage3_signed.node import SignedNode, SignedSetup
from tests.common.keys_by_hand import account_of, der_of, odd_number, padded_hash, signature_of
from tests.fixtures import kept_key
from tests.memory import Event

OWNER, OTHER, NODE_KEY = kept_key(1), kept_key(2), kept_key(3)
"""The owner of the money, somebody else, and the account of the node under test."""

MODULUS, PRIME, OTHER_PRIME = (int(number) for number in (OWNER.key.n, OWNER.key.p, OWNER.key.q))


def founded_world(seed: int = 1, longest_delay: float = 0.0) -> tuple[World, SignedNode]:
    """A world with one node, which has founded a network. Its name follows from the seed."""
    world = World(seed, longest_delay=longest_delay)
    return world, world.add(SignedNode, None, SignedSetup(key=NODE_KEY))


def canonical_bytes(network: str | None, message: Event) -> bytes:
    """The bytes that are signed (contract §1)."""
    return canon(["transaction", network, *(message[name] for name in ("nonce", "from", "to", "amount"))])


def unsigned(sender: str = OWNER.account, receiver: str = OTHER.account, amount: int = 1) -> Event:
    """A transaction that is new to everyone, without a signature."""
    return {"type": "transaction", "nonce": secrets.token_hex(16), "from": sender, "to": receiver, "amount": amount}


def signed(network: str | None, key: PrivateKey = OWNER, **members: Any) -> Event:
    """A transaction from the account of `key`; members of `unsigned` may be given."""
    return sign_with(key.sign, network, unsigned(**{"sender": key.account, **members}))


def sign_with(sign: Callable[[bytes], str], network: str | None, message: Event) -> Event:
    """Add a signature to a transaction."""
    return {**message, "signature": sign(canonical_bytes(network, message))}


def number_of(message: Event) -> int:
    """Its signature as a number."""
    return int.from_bytes(base64.b64decode(message["signature"]), "big")


# --- forgeries: each takes the network's name, and returns a transaction that nobody may accept ------

Forgery = Callable[[str | None], Event]


def changed(**changes: Any) -> Forgery:
    """A genuine transaction, changed after it was signed."""
    return lambda network: {**signed(network), **changes}


def resigned(change: Callable[[Event], str]) -> Forgery:
    """A genuine transaction, with another signature."""
    def forge(network: str | None) -> Event:
        genuine = signed(network)
        return {**genuine, "signature": change(genuine)}
    return forge


def signed_by(sign: Callable[[bytes], str]) -> Forgery:
    """Signed with another function than the owner's."""
    return lambda network: sign_with(sign, network, unsigned())


def sent_from(account: str, sign: Callable[[bytes], str] = OWNER.sign) -> Forgery:
    """Sent from a text that is no account, with a signature over exactly that text."""
    return lambda network: sign_with(sign, network, unsigned(sender=account))


def sent_to(account: str) -> Forgery:
    """Properly signed, but sent to a text that is no account."""
    return lambda network: signed(network, receiver=account)


def genuine_where(network: str | None, is_good: Callable[[int], bool]) -> Event:
    """A genuine transaction whose signature, as a number, passes `is_good`. It is found by trial."""
    while not is_good(number_of(genuine := signed(network))):
        pass
    return genuine


def s_plus_n(network: str | None) -> Event:
    """The same signature modulo n, if s + n has the same length."""
    genuine = genuine_where(network, lambda number: number + MODULUS < 2**2048)
    return {**genuine, "signature": signature_of(number_of(genuine) + MODULUS)}


@lru_cache
def short_signature(network: str | None) -> Event:
    """A genuine transaction whose signature begins with a zero byte, without that byte."""
    genuine = genuine_where(network, lambda number: number < 2**2040)
    return {**genuine, "signature": signature_of(number_of(genuine), 255)}


def other_spare_bits(text: str) -> str:
    """The same bytes in a second base64 text: the unused bits of the last digit are not 0."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = len(text.rstrip("=")) - 1
    second = text[:last] + digits[digits.index(text[last]) + 1] + text[last + 1:]
    assert base64.b64decode(second) == base64.b64decode(text) and second != text
    return second


def exponent_of(public: int) -> int:
    """The owner's private exponent for another public exponent."""
    return pow(public, -1, (PRIME - 1) * (OTHER_PRIME - 1))


def signer_of(public: int) -> Callable[[bytes], str]:
    """Sign with the owner's modulus and another exponent, for a verifier that would accept any exponent."""
    private = exponent_of(public)
    return lambda canonical: signature_of(pow(int.from_bytes(padded_hash(canonical), "big"), private, MODULUS))


OTHER_EXPONENT = next(public for public in range(3, 100, 2)
                      if all((prime - 1) % factor for prime in (PRIME, OTHER_PRIME) for factor in range(2, public + 1)
                             if public % factor == 0))
TOO_SHORT, TOO_LONG = account_of(PRIME), account_of(*(int(kept_key(number).key.p) for number in range(1, 6)))
BARELY_SHORT = encode_base64(der_of(odd_number(2047)))
DER = base64.b64decode(OWNER.account)
RSA_KEY = RSA.RsaKey(**{name: getattr(OWNER.key, "_" + name) for name in ("n", "e", "d", "p", "q", "u")})
SECOND_ENCODINGS = {
    "PEM": RSA_KEY.public_key().export_key().decode(),
    "PEM's lines alone": "\n".join(RSA_KEY.public_key().export_key().decode().split("\n")[1:-1]),
    "no NULL": encode_base64(der_of(MODULUS, parameters=None)), "bytes after it": encode_base64(DER + b"\0"),
    "bytes inside": encode_base64(der_of(MODULUS, after_key=b"\0")),
    "base64url": OWNER.account.replace("+", "-").replace("/", "_"), "blank": " " + OWNER.account,
    "line break": OWNER.account[:64] + "\n" + OWNER.account[64:], "line end": OWNER.account + "\n",
    "padded": OWNER.account + "=" * 4, "hex": DER.hex(), "quoted": '"' + OWNER.account + '"'}

FORGERIES: dict[str, Forgery] = {
    "amount changed": changed(amount=2), "receiver changed": changed(to=NODE_KEY.account),
    "sender changed": changed(**{"from": OTHER.account}), "nonce changed": changed(nonce="0" * 32),
    "sender and receiver swapped": changed(**{"from": OTHER.account, "to": OWNER.account}),
    "another network": lambda network: signed("f" * 32), "no network": lambda network: signed(None),
    "signed by another key": signed_by(OTHER.sign),
    "s + n": s_plus_n, "leading zero byte": resigned(lambda one: signature_of(number_of(one), 257)),
    "leading zero cut off": short_signature, "n - s": resigned(lambda one: signature_of(MODULUS - number_of(one))),
    "zero": resigned(lambda one: signature_of(0)), "one": resigned(lambda one: signature_of(1)),
    "n - 1": resigned(lambda one: signature_of(MODULUS - 1)), "empty": resigned(lambda one: ""),
    "garbage": resigned(lambda one: "garbage"), "not ASCII": resigned(lambda one: "é" * 344),
    "long garbage": resigned(lambda one: "A" * 100_000),
    "no padding": resigned(lambda one: one["signature"].rstrip("=")),
    "spare bits": resigned(lambda one: other_spare_bits(one["signature"])),
    "line end": resigned(lambda one: one["signature"] + "\n"),
    "line break": resigned(lambda one: "\n" + one["signature"]),
    "hex": resigned(lambda one: f"{number_of(one):0512x}"),
    "raw hash": signed_by(lambda data: signature_of(pow(int.from_bytes(SHA256.new(data).digest(), "big"),
                                                        int(OWNER.key.d), MODULUS))),
    "SHA-1": signed_by(lambda data: encode_base64(pkcs1_15.new(RSA_KEY).sign(SHA1.new(data)))),
    "PSS": signed_by(lambda data: encode_base64(pss.new(RSA_KEY).sign(SHA256.new(data)))),
    "without its type": signed_by(lambda data: OWNER.sign(data.replace(b'"transaction",', b""))),
    "key too short": sent_from(*TOO_SHORT), "key too long": sent_from(*TOO_LONG),
    "other exponent": sent_from(encode_base64(der_of(MODULUS, OTHER_EXPONENT)), signer_of(OTHER_EXPONENT)),
    "exponent 1": sent_from(encode_base64(der_of(MODULUS, 1)), lambda data: signature_of(
        int.from_bytes(padded_hash(data), "big"))),
    "from a name": sent_from("alice"), "from nobody": sent_from(""), "from base64 of nothing": sent_from("AAAA"),
    "to a name": sent_to("bob"), "to nobody": sent_to(""), "to a key too short": sent_to(BARELY_SHORT),
    "to a key too long": sent_to(TOO_LONG[0]),
    "to another exponent": sent_to(encode_base64(der_of(MODULUS, 3))),
    **{f"from {name}": sent_from(text) for name, text in SECOND_ENCODINGS.items()},
    **{f"to {name}": sent_to(text) for name, text in SECOND_ENCODINGS.items()}}
