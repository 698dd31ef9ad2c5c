"""The forms of members, and the shapes of messages (contract §1, §2)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.encoding import (
    ADDRESS,
    FLAG,
    ID,
    INTEGER,
    MAX_INTEGER,
    NONCE,
    NOT_AN_INTEGER,
    STRING,
    Field,
    FormatError,
    Shape,
    check_shape,
    ids_field,
    is_address,
    is_list_of,
    is_text,
    shorten,
    split_address,
)


@pytest.mark.parametrize("address", [
    "127.0.0.1:1", "localhost:65535", "A-z.0:8080", "-:1", ".:1", "a" * 255 + ":65535",
])
def test_these_are_addresses(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize("address", [
    "", ":", "host", "host:", ":80", "host:0", "host:00", "host:080", "host:65536", "host:99999", "host:100000",
    "host:-1", "host:+1", "host:1 ", " host:1", "host:1\n", "host\n:1", "ho st:1", "h_st:1", "höst:1", "[::1]:80", "::1:80",
    "a:b:80", "host:8\u0660", "host:1e1", "a" * 256 + ":1", "\ud800:1", None, 1, True, ["host:1"], {"host": 1},
])
def test_these_are_not_addresses(address: Any) -> None:
    assert not is_address(address)


def test_addresses_sort_by_host_as_text_then_by_port_as_number() -> None:
    addresses = ["b:9", "10.0.0.1:80", "b:10", "9.0.0.1:1", "B:70", "b:100"]
    assert sorted(addresses, key=split_address) == ["10.0.0.1:80", "9.0.0.1:1", "B:70", "b:9", "b:10", "b:100"]


@pytest.mark.parametrize(("field", "good", "bad"), [
    (NONCE, ["0" * 32, "0123456789abcdef" * 2], ["", "0" * 31, "0" * 33, "A" * 32, "g" * 32, "0" * 31 + "\n",
                                                 "0" * 32 + "\n", "\u0660" * 32, 0, None, ["0" * 32]]),
    (ID, ["0" * 64, "f" * 64], ["0" * 63, "0" * 65, "F" * 64, "0" * 32, "0" * 64 + "\n", 0, None]),
    (ADDRESS, ["host:1"], ["host", 1]),
    (INTEGER, [0, 1, MAX_INTEGER], [-1, MAX_INTEGER + 1, True, False, 1.0, "1", None, NOT_AN_INTEGER, [], {}]),
    (FLAG, [True, False], [0, 1, "true", None, NOT_AN_INTEGER]),
    (STRING, ["", "a", "\x00", "\U0001f600", "\u2028"], ["\ud800", "a\udfff", "\udc00\ud800", 1, None, True, ["a"]]),
    (ids_field(2), [[], ["0" * 64], ["0" * 64, "1" * 64]],
     [["0" * 64] * 2, ["0" * 64, "1" * 64, "2" * 64], ["0"], [0], [None], [["0" * 64]], [{}], "0" * 64, {}, None]),
])
def test_fields(field: Field, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not field.is_good(value)] == []
    assert [value for value in bad if field.is_good(value)] == []


def test_text_is_measured_in_code_points() -> None:
    assert is_text("\U0001f600" * 3, 3, 3) and is_text("e\u0301", 2, 2)
    assert not is_text("ab", 3, 9) and not is_text("abcd", 1, 3) and not is_text(3, 0, 9)


def test_lists_are_bounded_on_both_sides() -> None:
    is_good = is_list_of(STRING.is_good, 3, low=1)
    assert is_good(["a"]) and is_good(["a", "b", "c"])
    assert not is_good([]) and not is_good(["a", "b", "c", "d"]) and not is_good(("a",)) and not is_good("a")


# --- shapes -------------------------------------------------------------------------------------

SHAPE: Shape = {"nonce": NONCE, "amount": INTEGER}
GOOD = {"type": "t", "nonce": "0" * 32, "amount": 1}


def test_a_message_with_exactly_its_members_has_its_shape() -> None:
    for message, shape in ((GOOD, SHAPE), (dict(reversed(GOOD.items())), SHAPE), ({"type": "t"}, {})):
        assert check_shape(message, shape) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize("member", SHAPE)
def test_a_missing_member_is_named(member: str) -> None:
    with pytest.raises(FormatError, match=f"t: member {member} is missing"):
        check_shape({name: value for name, value in GOOD.items() if name != member}, SHAPE)


@pytest.mark.parametrize(("member", "value", "reason"), [
    ("nonce", "x", "expected 32 lower-case hex digits"), ("nonce", None, "expected 32"),
    ("amount", -1, "expected an integer from 0 to 9007199254740991"), ("amount", True, "expected an integer"),
])
def test_a_member_of_the_wrong_form_is_named(member: str, value: Any, reason: str) -> None:
    with pytest.raises(FormatError, match=f"t.{member}: {reason}"):
        check_shape({**GOOD, member: value}, SHAPE)


@pytest.mark.parametrize("extra", ["id", "", "Type", "nonce ", "x" * 1000, "\ud800", "\x1b[2J\n"])
def test_an_extra_member_is_refused_and_its_name_fits_into_an_error(extra: str) -> None:
    with pytest.raises(FormatError, match="t: unexpected member") as caught:
        check_shape({**GOOD, extra: 1}, SHAPE)
    assert len(str(caught.value).encode()) < 100, "the reason goes into an error message"


@given(st.text(alphabet=st.characters(codec=None), max_size=60))
def test_a_shortened_text_can_be_sent(text: str) -> None:
    shortened = shorten(text)
    shortened.encode()
    if len(text) <= 40 and is_text(text, 0, 40):
        assert shortened == text


def test_a_long_text_is_shortened() -> None:
    assert shorten("a" * 41) == "a" * 40 + "…"
    assert shorten("a" * 40) == "a" * 40
