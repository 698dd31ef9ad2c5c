"""Accounts (contract §1): one encoding for each, and no exception but InvalidAccount."""

import pytest
from Crypto.Hash import SHA256
from Crypto.PublicKey import ECC, RSA
from Crypto.Util.asn1 import DerSequence
from hypothesis import given
from hypothesis import strategies as st

from common.encoding import decode_base64, encode_base64, fingerprint
from common.rsa import InvalidAccount, check_account, make_key, verify
from tests.common.keys_by_hand import (
    ACCOUNT,
    KEY,
    MESSAGE,
    MODULUS,
    SIGNATURE,
    der_of,
    is_accepted,
    odd_number,
)

DER = decode_base64(ACCOUNT)


def is_account(account: str) -> bool:
    """Does `check_account` accept it? If not, `verify` must raise the same exception."""
    try:
        check_account(account)
    except InvalidAccount as error:
        with pytest.raises(InvalidAccount) as caught:
            verify(account, MESSAGE, SIGNATURE)
        assert str(caught.value) == str(error)
        assert len(str(error)) < 120 and "\n" not in str(error)
        return False
    return True


def test_an_account_is_what_other_libraries_export() -> None:
    assert DER == KEY.key.public_key().export_key(format="DER")
    assert is_account(ACCOUNT)
    assert fingerprint(ACCOUNT) == SHA256.new(DER).hexdigest()[:16]


def test_a_new_key_has_2048_bits_and_its_own_account() -> None:
    key = make_key()
    assert (key.key.size_in_bits(), key.key.e) == (2048, 65_537)
    assert is_accepted(key.account, MESSAGE, key.sign(MESSAGE))
    assert not is_accepted(key.account, MESSAGE, SIGNATURE)


@pytest.mark.parametrize("bits", [2048, 2049, 2054, 2055, 2056, 2057, 2063, 2064, 3072, 4088, 4095, 4096])
def test_accounts_of_all_sizes(bits: int) -> None:
    modulus = odd_number(bits)
    exported = RSA.construct((modulus, 65_537), consistency_check=False).export_key(format="DER")
    assert exported == der_of(modulus)
    assert is_account(encode_base64(exported))


def test_a_modulus_that_is_a_multiple_of_the_exponent_is_an_account_too() -> None:
    """The library refuses such a key, but the contract does not rule it out, so no node may refuse it."""
    modulus = odd_number(2_047) * 65_537
    assert is_account(encode_base64(der_of(modulus)))


@pytest.mark.parametrize("bits", [1, 64, 512, 1024, 2039, 2040, 2047, 4097, 4104, 8192, 16_384])
def test_keys_that_are_too_short_or_too_long_are_no_accounts(bits: int) -> None:
    assert not is_account(encode_base64(der_of(odd_number(bits))))


@pytest.mark.parametrize("exponent", [-65_537, -1, 0, 1, 2, 3, 17, 65_535, 65_536, 65_539, 2**24 + 1, 2**32 + 1,
                                      MODULUS - 1, MODULUS + 65_537])
def test_other_exponents_are_no_accounts(exponent: int) -> None:
    assert not is_account(encode_base64(der_of(MODULUS, exponent)))


@pytest.mark.parametrize("modulus", [0, 1, -1, -MODULUS, MODULUS - 1, MODULUS + 1, 2**2047, 2**4095, 2**4096 - 2,
                                     -(2**2047), -(2**4095)])
def test_moduli_that_are_negative_zero_or_even_are_no_accounts(modulus: int) -> None:
    assert not is_account(encode_base64(der_of(modulus)))


def with_length(header: str, content: bytes, length: bytes) -> bytes:
    """An element with its length in another encoding."""
    return bytes.fromhex(header) + length + content


NUMBER = b"\0" + MODULUS.to_bytes(256, "big")
EXPONENT = bytes.fromhex("0203010001")
assert DER[32:] == NUMBER + EXPONENT

SECOND_ENCODINGS = {
    "a byte after it": DER + b"\0",
    "an element after it": DER + b"\x05\x00",
    "the key twice": DER + DER,
    "a byte after the inner key": der_of(MODULUS, after_key=b"\0"),
    "an element after the inner key": der_of(MODULUS, after_key=b"\x05\x00"),
    "no leading zero": der_of(MODULUS).replace(b"\x02\x82\x01\x01\0", b"\x02\x82\x01\x00"),
    "two leading zeros": DER.replace(b"\x02\x82\x01\x01\0", b"\x02\x82\x01\x02\0\0"),
    "exponent with a zero": DER.replace(EXPONENT, bytes.fromhex("020400010001")),
    "exponent in long form": DER[:-5] + bytes.fromhex("028103010001"),
    "length of three bytes": b"\x30\x83\x00" + DER[2:],
    "length of eight bytes": b"\x30\x88" + bytes(6) + DER[2:],
    "no length": b"\x30\x80" + DER[4:] + b"\0\0",
    "length too short": with_length("30", DER[4:], b"\x82\x01\x21"),
    "length too long": with_length("30", DER[4:], b"\x82\x01\x23"),
    "unused bits": DER.replace(b"\x03\x82\x01\x0f\0", b"\x03\x82\x01\x0f\1"),
    "another tag": b"\x31" + DER[1:],
    "no parameters": der_of(MODULUS, parameters=None),
    "empty parameters": der_of(MODULUS, parameters=b""),
    "other parameters": der_of(MODULUS, parameters=b"\x30\x00"),
    "NULL of one byte": DER.replace(b"\x05\x00\x03", b"\x05\x01\x03"),
    "RSASSA-PSS": der_of(MODULUS, oid="1.2.840.113549.1.1.10", parameters=None),
    "RSASSA-PSS with NULL": der_of(MODULUS, oid="1.2.840.113549.1.1.10"),
    "rsaEncryption's neighbour": der_of(MODULUS, oid="1.2.840.113549.1.1.2"),
    "PKCS#1 public": bytes(DerSequence([MODULUS, 65_537]).encode()),
    "PKCS#1 private": bytes(KEY.key.export_key(format="DER", pkcs=1)),
    "PKCS#8": bytes(KEY.key.export_key(format="DER", pkcs=8)),
    "PEM": bytes(KEY.key.public_key().export_key(format="PEM")),
    "OpenSSH": bytes(KEY.key.public_key().export_key(format="OpenSSH")),
    "elliptic curve": bytes(ECC.construct(curve="p256", d=5).public_key().export_key(format="DER")),
    "the number alone": NUMBER,
    "nothing": b"",
    "zeros": bytes(294),
    "ones": b"\xff" * 294,
    "sequences": b"\x30\x80" * 147,
}


@pytest.mark.parametrize("encoded", SECOND_ENCODINGS.values(), ids=SECOND_ENCODINGS)
def test_a_key_in_another_encoding_is_no_account(encoded: bytes) -> None:
    assert encoded != DER
    assert not is_account(encode_base64(encoded))


PEM = KEY.key.public_key().export_key(format="PEM").decode()
SECOND_TEXTS = {
    "empty": "", "space": " ", "PEM": PEM, "line breaks": "\n".join(PEM.split("\n")[1:-1]),
    "space before": " " + ACCOUNT, "line break after": ACCOUNT + "\n",
    "more padding": ACCOUNT + "====", "URL alphabet": ACCOUNT.replace("/", "_").replace("+", "-"),
    "OpenSSH": KEY.key.public_key().export_key(format="OpenSSH").decode(), "hex": DER.hex(),
    "non-ASCII": "ä" * 392, "full width": ACCOUNT.replace("A", "Ａ", 1), "lone surrogate": "\ud800" + ACCOUNT[1:],
    "zero byte": ACCOUNT[:-1] + "\0", "a name": "alice", "huge": "A" * 4_000_000, "huge non-ASCII": "ä" * 4_000_000,
}


@pytest.mark.parametrize("account", SECOND_TEXTS.values(), ids=SECOND_TEXTS)
def test_a_key_in_another_text_is_no_account(account: str) -> None:
    assert account != ACCOUNT
    assert not is_account(account)


def test_padding_bits_do_not_make_a_second_account() -> None:
    account = encode_base64(der_of(odd_number(2056)))
    assert account.endswith("=") and is_account(account)
    bits = account.rstrip("=")[-1]
    others = [account.replace(bits + "=", chr(ord(bits) + step) + "=") for step in (1, 2, 3)]
    assert not any(map(is_account, [*others, account.rstrip("="), account + "="]))


def flipped(position: int, bit: int) -> str:
    """The account with one bit of its DER changed."""
    changed = bytearray(DER)
    changed[position] ^= 1 << bit
    return encode_base64(bytes(changed))


def test_no_single_bit_around_the_number_may_change() -> None:
    """The number fills bytes 32 to 288. Its sign, and the bits that make it long and odd, must not change either."""
    accepted = {(position, bit) for position in range(len(DER)) for bit in range(8) if is_account(flipped(position, bit))}
    other_keys = {(position, bit) for position in range(32, 289) for bit in range(8)}
    assert accepted == other_keys - {(32, 7), (33, 7), (288, 0)}


@given(st.integers(0, len(DER)), st.integers(0, len(DER)), st.binary(max_size=20))
def test_spliced_keys_are_the_same_key_or_none(start: int, length: int, inserted: bytes) -> None:
    spliced = DER[:start] + inserted + DER[start + length:]
    accepted = is_account(encode_base64(spliced))
    modulus = int.from_bytes(spliced[32:-5], "big")
    assert accepted == (spliced == der_of(modulus) and modulus % 2 == 1 and 2048 <= modulus.bit_length() <= 4096)


@given(st.text(max_size=50) | st.binary(max_size=600).map(encode_base64))
def test_arbitrary_texts_are_no_accounts(text: str) -> None:
    assert not is_account(text)
