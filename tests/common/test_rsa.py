"""Signatures (contract §1): one for each message and key, in one encoding, and only the declared exceptions."""

import base64
import math

import pytest
from Crypto.Hash import SHA256
from Crypto.Signature import pkcs1_15
from hypothesis import given, settings
from hypothesis import strategies as st

from common.encoding import decode_base64, encode_base64
from tests.common.keys_by_hand import (
    ACCOUNT,
    KEY,
    MESSAGE,
    MODULUS,
    PRIVATE_EXPONENT,
    SHA_256_WITH_NULL,
    SIGNATURE,
    account_of,
    der_of,
    is_accepted,
    odd_number,
    padded_hash,
    signature_of,
)
from tests.fixtures import kept_key


@given(st.binary(max_size=200))
@settings(max_examples=30)
def test_a_signature_is_what_other_libraries_make(message: bytes) -> None:
    assert decode_base64(KEY.sign(message)) == pkcs1_15.new(KEY.key).sign(SHA256.new(message))
    assert is_accepted(ACCOUNT, message, KEY.sign(message))


def test_a_signature_is_what_the_rfc_says() -> None:
    assert signature_of(pow(int.from_bytes(padded_hash(MESSAGE), "big"), PRIVATE_EXPONENT, MODULUS)) == SIGNATURE


def test_signing_is_deterministic_and_depends_on_message_and_key() -> None:
    assert KEY.sign(MESSAGE) == KEY.sign(MESSAGE) == SIGNATURE
    assert KEY.sign(MESSAGE + b" ") != SIGNATURE
    assert kept_key(2).sign(MESSAGE) != SIGNATURE


@pytest.mark.parametrize("message", [b"", MESSAGE[:-1], MESSAGE + b" ", MESSAGE.upper(), SHA256.new(MESSAGE).digest()])
def test_a_signature_holds_for_no_other_message(message: bytes) -> None:
    assert is_accepted(ACCOUNT, MESSAGE, SIGNATURE)
    assert not is_accepted(ACCOUNT, message, SIGNATURE)


def test_a_signature_holds_for_no_other_key() -> None:
    assert not is_accepted(kept_key(2).account, MESSAGE, SIGNATURE)


def test_s_plus_n_is_refused() -> None:
    """If s + n is no longer than n, a test of the length alone would accept it."""
    found = 0
    for counter in range(40):
        message = b"%d" % counter
        number = int.from_bytes(decode_base64(KEY.sign(message)), "big") + MODULUS
        if number < 2**2048:
            found += 1
            assert pow(number, 65_537, MODULUS) == int.from_bytes(padded_hash(message), "big")
            assert not is_accepted(ACCOUNT, message, signature_of(number))
    assert found > 0


OTHER_NUMBERS = {
    "0": 0, "1": 1, "n - 1": MODULUS - 1, "n": MODULUS, "n + 1": MODULUS + 1, "the largest": 2**2048 - 1,
    "the padded hash": int.from_bytes(padded_hash(MESSAGE), "big"),
    "n - s": MODULUS - int.from_bytes(decode_base64(SIGNATURE), "big"),
}


@pytest.mark.parametrize("number", OTHER_NUMBERS.values(), ids=OTHER_NUMBERS)
def test_other_numbers_are_refused(number: int) -> None:
    assert not is_accepted(ACCOUNT, MESSAGE, signature_of(number))


SIGNED = decode_base64(SIGNATURE)
OTHER_SIGNATURES = {
    "leading zero": encode_base64(b"\0" + SIGNED), "trailing zero": encode_base64(SIGNED + b"\0"),
    "first byte missing": encode_base64(SIGNED[1:]), "last byte missing": encode_base64(SIGNED[:-1]),
    "twice": encode_base64(SIGNED * 2), "no padding": SIGNATURE.rstrip("="), "more padding": SIGNATURE + "=",
    "line break": SIGNATURE + "\n", "line breaks": base64.encodebytes(SIGNED).decode(), "space": " " + SIGNATURE[1:],
    "URL alphabet": base64.urlsafe_b64encode(SIGNED).decode().replace("=", "", 1), "hex": SIGNED.hex(), "empty": "",
    "non-ASCII": "ä" * len(SIGNATURE), "lone surrogates": "\ud800" * len(SIGNATURE), "zero bytes": "\0" * len(SIGNATURE),
    "huge": "A" * 4_000_000, "only padding": "=" * len(SIGNATURE),
}


@pytest.mark.parametrize("signature", OTHER_SIGNATURES.values(), ids=OTHER_SIGNATURES)
def test_other_encodings_of_a_signature_are_refused(signature: str) -> None:
    assert not is_accepted(ACCOUNT, MESSAGE, signature)


def test_padding_bits_do_not_make_a_second_signature() -> None:
    """Four bits of the last digit are unused, so a lenient decoder takes sixteen texts for one signature."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    texts = [SIGNATURE[:-3] + digit + "==" for digit in alphabet]
    assert sum(base64.b64decode(text) == SIGNED for text in texts) == 16
    assert [text for text in texts if is_accepted(ACCOUNT, MESSAGE, text)] == [SIGNATURE]


def signed_padding(padded: bytes) -> str:
    """What the key's owner gets by signing these 256 bytes. The owner would profit from a second draw."""
    assert len(padded) == 256
    return signature_of(pow(int.from_bytes(padded, "big"), PRIVATE_EXPONENT, MODULUS))


HASH = SHA256.new(MESSAGE).digest()
DIGEST_INFO = SHA_256_WITH_NULL + HASH
WITHOUT_NULL = bytes.fromhex("302f300b0609608648016503040201" "0420") + HASH
OTHER_PADDINGS = {
    "without NULL": b"\0\1" + b"\xff" * (253 - len(WITHOUT_NULL)) + b"\0" + WITHOUT_NULL,
    "block type 2": b"\0\2" + b"\xff" * (253 - len(DIGEST_INFO)) + b"\0" + DIGEST_INFO,
    "block type 0": b"\0\0" + b"\xff" * (253 - len(DIGEST_INFO)) + b"\0" + DIGEST_INFO,
    "first byte 1": b"\1\1" + b"\xff" * (253 - len(DIGEST_INFO)) + b"\0" + DIGEST_INFO,
    "one byte of padding not ff": b"\0\1" + b"\xff" * 200 + b"\xfe\xff" + b"\0" + DIGEST_INFO,
    "no zero": b"\0\1" + b"\xff" * (254 - len(DIGEST_INFO)) + DIGEST_INFO,
    "short padding, then garbage": b"\0\1" + b"\xff" * 8 + b"\0" + DIGEST_INFO + b"\x42" * (245 - len(DIGEST_INFO)),
    "NULL with content": b"\0\1" + b"\xff" * 199 + b"\0" + bytes.fromhex("3034301006096086480165030402010503010203" "0420")
                         + HASH,
    "the hash alone": b"\0\1" + b"\xff" * 221 + b"\0" + HASH,
    "SHA-1's identifier": b"\0\1" + b"\xff" * 206 + b"\0" + bytes.fromhex("302d300906052b0e03021a05000420") + HASH,
    "no padding at all": bytes(224) + HASH,
}


def test_the_padding_of_the_rfc_is_accepted() -> None:
    assert signed_padding(padded_hash(MESSAGE)) == SIGNATURE
    assert is_accepted(ACCOUNT, MESSAGE, SIGNATURE)


@pytest.mark.parametrize("padded", OTHER_PADDINGS.values(), ids=OTHER_PADDINGS)
def test_other_paddings_are_refused(padded: bytes) -> None:
    assert not is_accepted(ACCOUNT, MESSAGE, signed_padding(padded))


def test_the_library_alone_would_accept_two_signatures_of_one_message() -> None:
    """This is why common/rsa.py compares by itself. If this test fails one day, it no longer needs to."""
    second = signed_padding(OTHER_PADDINGS["without NULL"])
    pkcs1_15.new(KEY.key).verify(SHA256.new(MESSAGE), decode_base64(second))
    assert second != SIGNATURE and not is_accepted(ACCOUNT, MESSAGE, second)


P, Q = int(KEY.key.p), int(KEY.key.q)
MORE_PRIMES = [int(prime) for number in (2, 3) for prime in (kept_key(number).key.p, kept_key(number).key.q)]
LARGER = {"3 p q": (3, P, Q), "7 p q": (7, P, Q), "257 p q": (257, P, Q), "four primes": (P, Q, *MORE_PRIMES[:2])}


@pytest.mark.parametrize("primes", LARGER.values(), ids=LARGER)
def test_keys_of_other_lengths_verify(primes: tuple[int, ...]) -> None:
    """Lengths of 2,049, 2,051 and 2,056 bits, and the longest."""
    account, sign = account_of(*primes)
    size = (math.prod(primes).bit_length() + 7) // 8
    assert size > 256
    assert is_accepted(account, MESSAGE, sign(MESSAGE))
    assert not is_accepted(account, MESSAGE + b" ", sign(MESSAGE))
    number = int.from_bytes(decode_base64(sign(MESSAGE)), "big") + math.prod(primes)
    if number < 256**size:
        assert not is_accepted(account, MESSAGE, signature_of(number, size))


@pytest.mark.parametrize("primes", [(P,), (P, Q, *MORE_PRIMES[:2], 3)], ids=["one prime, 1024 bits", "4097 bits"])
def test_keys_of_a_wrong_length_do_not_verify(primes: tuple[int, ...]) -> None:
    account, sign = account_of(*primes)
    assert math.prod(primes).bit_length() not in range(2048, 4097)
    assert not is_accepted(account, MESSAGE, sign(MESSAGE))


@given(st.text(max_size=400) | st.binary(min_size=256, max_size=256).map(encode_base64),
       st.sampled_from([ACCOUNT, encode_base64(der_of(odd_number(4095))), ""]))
def test_arbitrary_signatures_are_refused(signature: str, account: str) -> None:
    assert not is_accepted(account, MESSAGE, signature)


def test_a_flood_of_accounts_changes_no_verdict() -> None:
    """Good accounts push others out of the cache, bad ones do not enter it."""
    for number in range(1_500):
        assert not is_accepted(encode_base64(der_of(odd_number(2048) + 2 * number)), MESSAGE, SIGNATURE)
        assert not is_accepted(encode_base64(der_of(odd_number(2048) + 2 * number + 1)), MESSAGE, SIGNATURE)
    assert is_accepted(ACCOUNT, MESSAGE, SIGNATURE)
