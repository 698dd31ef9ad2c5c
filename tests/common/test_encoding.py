"""JSON in, canonical bytes and ids out (contract §1)."""

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.encoding import (
    ID,
    MAX_INTEGER,
    NOT_AN_INTEGER,
    canon,
    decode_base64,
    decode_frame,
    encode_base64,
    encode_frame,
    fingerprint,
    is_integer,
    is_text,
    make_id,
)
from common.framing import FrameError, make_frame

TEXTS = st.text()
"""Texts without lone surrogates, which UTF-8 cannot hold."""
INTEGERS = st.integers(0, MAX_INTEGER)


def decode(body: str | bytes) -> dict[str, Any]:
    """Read a body as the content of a frame."""
    return decode_frame(make_frame(body.encode() if isinstance(body, str) else body))


def value_of(literal: str) -> Any:
    """The value of a JSON literal."""
    return decode(f'{{"type":"t","value":{literal}}}')["value"]


# --- JSON ---------------------------------------------------------------------------------------

JSON_VALUES = st.recursive(st.none() | st.booleans() | INTEGERS | TEXTS,
                           lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
                           max_leaves=20)


@given(st.dictionaries(TEXTS, JSON_VALUES, max_size=5), TEXTS)
def test_an_encoded_message_is_decoded_again(members: dict[str, Any], name: str) -> None:
    message = {**members, "type": name}
    assert decode_frame(encode_frame(message)) == message


@given(st.dictionaries(TEXTS, JSON_VALUES, max_size=5))
def test_other_ways_to_write_json_are_read_as_well(members: dict[str, Any]) -> None:
    message = {**members, "type": "t"}
    assert decode(json.dumps(message, ensure_ascii=True, indent=3, sort_keys=True)) == message


@given(st.binary(min_size=1, max_size=60))
def test_arbitrary_bytes_raise_nothing_but_frame_errors(body: bytes) -> None:
    try:
        assert isinstance(decode(body)["type"], str)
    except FrameError:
        pass


@given(st.text(alphabet='{}[]",:\\u0123 tfn-.eE', max_size=60))
def test_arbitrary_json_like_text_raises_nothing_but_frame_errors(members: str) -> None:
    try:
        assert isinstance(decode('{"type":"t",' + members + "}")["type"], str)
    except FrameError:
        pass


@pytest.mark.parametrize("body", [
    b"\xff", b'{"type":"\xc3"}', b'{"type":"\xed\xa0\x80"}', b'{"type":"\xc0\x80"}', b'{"type":"\xf4\x90\x80\x80"}',
    '{"type":"t"}'.encode("utf-16"), b'\xef\xbb\xbf{"type":"t"}',
], ids=["byte", "cut off", "surrogate", "overlong", "beyond", "UTF-16", "byte order mark"])
def test_anything_but_utf_8_without_a_mark_is_no_frame(body: bytes) -> None:
    with pytest.raises(FrameError):
        decode(body)


@pytest.mark.parametrize("body", [
    " ", "{", "nonsense", '{"type":"t"}x', '{"type":"t"}{"type":"t"}', '{"type":"t",}', "{'type':'t'}",
    '{"type":"a\nb"}', '{"type":"a\x00b"}', '{"type":"t","a":01}', '{"type":"t","a":+1}', '{"type":"t","a":.5}',
    '{"type":"t","a":1.}', '{"type":"t","a":0x10}', '{"type":"t","a":1_000}', '{"type":"t","a":\u0663}',
    '{"type":"t","a":NaN}', '{"type":"t","a":Infinity}', '{"type":"t","a":[-Infinity]}',
    '{"type":"t","a":"\\x41"}', '{"type":"t","a":"\\u12"}', '{"type":"t"} // why', '{"type":"t",a:1}',
    "[]", '["type"]', "null", "1", '"type"', "{}", '{"Type":"t"}', '{"type":1}', '{"type":null}', '{"type":["t"]}',
])
def test_anything_but_a_json_object_with_a_type_is_no_frame(body: str) -> None:
    with pytest.raises(FrameError):
        decode(body)


@pytest.mark.parametrize("body", [
    '{"type":"t","type":"t"}', '{"type":"t","a":1,"b":2,"a":1}', '{"type":"t","a":{"b":1,"b":1}}',
    '{"type":"t","a":[[{"b":{"c":1,"c":2}}]]}', '{"type":"t","a":1,"\\u0061":1}', '{"type":"t","":1,"":1}',
])
def test_a_member_twice_at_any_depth_is_no_frame(body: str) -> None:
    with pytest.raises(FrameError, match="twice"):
        decode(body)


@pytest.mark.parametrize("nested", ["[" * 100_000, '{"a":' * 100_000, '[{"a":' * 100_000,
                                    "[" * 100_000 + "]" * 100_000])
@pytest.mark.parametrize("before", ["", '{"type":"t","a":'])
def test_deep_nesting_is_a_frame_error(before: str, nested: str) -> None:
    with pytest.raises(FrameError):
        decode(before + nested + ("}" if before else ""))


@pytest.mark.parametrize("literal", [
    "-0", "-1", "-9007199254740991", "1.0", "0.0", "1e3", "1E3", "1e0", "0e5", "10e-1", "1e999", "-1.5e-7",
    "9" * 17, "9" * 100_000, "1" + "0" * 100_000, "-" + "9" * 100_000, "0." + "1" * 100_000,
])
def test_numbers_that_are_no_integers_of_the_contract(literal: str) -> None:
    assert value_of(literal) is NOT_AN_INTEGER
    assert not is_integer(value_of(literal))


@pytest.mark.parametrize("literal", ["true", "false", "null", '"1"', "[]", "{}", "[1]", "9007199254740992",
                                     "9999999999999999"])
def test_values_that_are_no_integers_of_the_contract(literal: str) -> None:
    assert not is_integer(value_of(literal))


@given(INTEGERS)
def test_integers_of_the_contract(number: int) -> None:
    assert value_of(str(number)) == number
    assert is_integer(value_of(str(number)))


def test_the_ends_of_the_range_of_integers() -> None:
    assert is_integer(value_of("0")) and is_integer(value_of("9007199254740991"))
    assert is_integer(5, low=5, high=5)
    assert not is_integer(4, low=5) and not is_integer(6, high=5)


def test_a_pair_of_escapes_is_one_character_and_a_lone_one_is_none() -> None:
    assert value_of('"\\ud83d\\ude00"') == "\U0001f600"
    assert not is_text(value_of('"\\ud83d"'), 0, 9)
    assert not is_text(value_of('"\\ude00\\ud83d"'), 0, 9)


# --- canonical bytes ----------------------------------------------------------------------------

SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def rfc_8785_string(text: str) -> str:
    """RFC 8785 §3.2.2.2, implemented a second time."""
    written = [SHORT_ESCAPES.get(character)
               or (f"\\u{ord(character):04x}" if ord(character) < 0x20 else character) for character in text]
    return '"' + "".join(written) + '"'


def rfc_8785(value: Any) -> str:
    """RFC 8785 for strings, integers and arrays, implemented a second time."""
    if isinstance(value, str):
        return rfc_8785_string(value)
    if isinstance(value, list):
        return "[" + ",".join(map(rfc_8785, value)) + "]"
    return str(value)


SCALARS = TEXTS | INTEGERS


@given(st.lists(SCALARS | st.lists(SCALARS, max_size=5), max_size=8))
def test_canonical_bytes_are_those_of_rfc_8785(values: list[Any]) -> None:
    assert canon(values) == rfc_8785(values).encode()


@pytest.mark.parametrize(("values", "expected"), [
    ([], b"[]"),
    (["chat", 0, ["a", 1], []], b'["chat",0,["a",1],[]]'),
    ([9007199254740991], b"[9007199254740991]"),
    (['"\\/'], b'["\\"\\\\/"]'),
    (["\b\t\n\f\r"], rb'["\b\t\n\f\r"]'),
    (["\x00\x01\x0b\x1f"], rb'["\u0000\u0001\u000b\u001f"]'),
    (["\x7f\x80\x9f"], b'["\x7f\xc2\x80\xc2\x9f"]'),
    (["\u2028\u2029"], b'["\xe2\x80\xa8\xe2\x80\xa9"]'),
    (["€ </script> &"], b'["\xe2\x82\xac </script> &"]'),
    (["\U0001f600"], b'["\xf0\x9f\x98\x80"]'),
    (["e\u0301", "\u00e9"], b'["e\xcc\x81","\xc3\xa9"]'),
    (["\ufeff\uffff"], b'["\xef\xbb\xbf\xef\xbf\xbf"]'),
], ids=["empty", "nested", "largest", "quotes", "short escapes", "controls", "DEL", "line separators", "no HTML",
        "beyond the BMP", "not normalised", "marks"])
def test_canonical_bytes_of_special_cases(values: list[Any], expected: bytes) -> None:
    assert canon(values) == expected


@given(st.lists(SCALARS, max_size=4), st.lists(SCALARS, max_size=4))
def test_different_contents_have_different_canonical_bytes(one: list[Any], other: list[Any]) -> None:
    assert (canon(one) == canon(other)) == (one == other)


def test_an_id_is_the_sha_256_in_hex() -> None:
    assert make_id(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert ID.is_good(make_id(b""))


# --- base64 -------------------------------------------------------------------------------------

@given(st.binary(max_size=80))
def test_base64_is_read_as_it_is_written(data: bytes) -> None:
    assert encode_base64(data) == base64.b64encode(data).decode()
    assert decode_base64(encode_base64(data)) == data


@given(st.text(max_size=30) | st.text(alphabet="AZaz09+/=\n -_", max_size=30))
def test_a_text_is_base64_only_if_it_is_the_one_that_is_written(text: str) -> None:
    try:
        data = decode_base64(text)
    except ValueError:
        return
    assert encode_base64(data) == text


@pytest.mark.parametrize("text", [
    "QQ", "QQ=", "QQ===", "QR==", "QQB=", "QQ==\n", "\nQQ==", "Q Q==", "QQ==QQ==", "=", "====", "-_-_", "QQ==QUFB", "ÄÖÜß",
    "\u0661\u0661\u0661\u0661", "\ud800AAA", "QUFB\x00",
])
def test_other_encodings_of_base64_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        decode_base64(text)


def test_only_one_of_sixteen_last_digits_is_base64() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    good = []
    for last in alphabet[:16]:
        try:
            good.append(decode_base64(f"A{last}=="))
        except ValueError:
            pass
    assert good == [b"\x00"]


def test_a_fingerprint_is_of_the_key_and_not_of_its_text() -> None:
    assert fingerprint(encode_base64(b"key")) == hashlib.sha256(b"key").hexdigest()[:16]
