"""What messages look like: JSON in, declared shapes checked, canonical bytes and ids out (contract §1)."""

import base64
import binascii
import hashlib
import json
import random
import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from common.framing import FrameError, frame_body, make_frame
from common.limits import MAX_KEPT_UNCHANGED

MAX_INTEGER = 2**53 - 1
"""The largest integer on the wire: beyond it, other languages' JSON numbers lose digits."""

Message = dict[str, Any]
"""One JSON object from or for the wire, with a string member `type`."""


class FormatError(ValueError):
    """A message of a known type whose members are not of the form that the contract asks for."""


# --- JSON ---------------------------------------------------------------------------------------

class _NotAnInteger:
    """Stands for a JSON number with a sign, a fraction, an exponent, or more digits than 2^53 has."""


NOT_AN_INTEGER = _NotAnInteger()


def _parse_integer(digits: str) -> int | _NotAnInteger:
    # The length first: turning 10^5 digits into a number is quadratic work for nothing.
    return int(digits) if len(digits) <= 16 and digits[0] != "-" else NOT_AN_INTEGER


def _refuse_constant(name: str) -> NoReturn:
    raise FrameError(f"{name} is not JSON")


def _make_object(pairs: list[tuple[str, Any]]) -> Message:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise FrameError("a JSON object has a member twice")
    return members


_DECODER = json.JSONDecoder(
    object_pairs_hook=_make_object,
    parse_int=_parse_integer,
    parse_float=lambda digits: NOT_AN_INTEGER,
    parse_constant=_refuse_constant,
)


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


def decode_frame(frame: bytes) -> Message:
    """Read the JSON object that `frame` carries; FrameError if it carries none, or one without a string `type`."""
    try:
        message = _DECODER.decode(frame_body(frame).decode("utf-8"))
    except FrameError:
        raise
    except UnicodeDecodeError:
        raise FrameError("a frame must hold UTF-8") from None
    except (ValueError, RecursionError):
        raise FrameError("a frame must hold JSON (RFC 8259)") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise FrameError("a frame must hold a JSON object with a string member `type`")
    return message


def encode_frame(message: Message) -> bytes:
    """Write `message` as a frame."""
    return make_frame(_ENCODER.encode(message).encode())


def without_padding(frame: bytes, message: Message) -> bytes:
    """The frame to keep for `message`: as it came, or, if it is long, encoded again: most of it may be spaces."""
    return frame if len(frame) <= MAX_KEPT_UNCHANGED else encode_frame(message)


# --- canonical bytes and ids --------------------------------------------------------------------

def canon(values: list[Any]) -> bytes:
    """The one way to write an array of strings, integers and flat arrays of these (RFC 8785).

    Python's compact JSON is RFC 8785's as long as there are no floats and no objects, and
    messages have none where they are hashed or signed.
    """
    return _ENCODER.encode(values).encode()


def make_id(canonical: bytes) -> str:
    """The id of a message: the SHA-256 of its canonical bytes, as 64 hex digits (contract §1)."""
    return hashlib.sha256(canonical).hexdigest()


def decode_base64(text: str) -> bytes:
    """Read base64 (RFC 4648 §4); ValueError if `text` is not the one canonical encoding of its bytes.

    A decoder that ignores the unused bits at the end would accept sixteen texts for one signature. In stage 5 that
    would be sixteen lottery tickets for one draw. So a text that does not re-encode to itself is refused.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise ValueError("not the canonical form of this base64")
    return data


def encode_base64(data: bytes) -> str:
    """Write `data` as base64 with padding (RFC 4648 §4)."""
    return base64.b64encode(data).decode()


def fingerprint(account: str) -> str:
    """An account that is a key, as people see it: the first 16 hex digits of the SHA-256 of its DER (contract §4)."""
    return hashlib.sha256(decode_base64(account)).hexdigest()[:16]


# --- shapes -------------------------------------------------------------------------------------

class Field(NamedTuple):
    """What one member of a message may be: a test, and the same in words for the error."""

    is_good: Callable[[Any], bool]
    expected: str


Shape = dict[str, Field]
"""The members of one type of message, `type` itself left out. All must be there, and no others."""


def check_shape(message: Message, shape: Shape) -> None:
    """FormatError unless `message` has exactly the members of `shape`, each of its form."""
    name = message["type"]
    for member, field in shape.items():
        if member not in message:
            raise FormatError(f"{name}: member {member} is missing")
        if not field.is_good(message[member]):
            raise FormatError(f"{name}.{member}: expected {field.expected}")
    if len(message) != len(shape) + 1:
        extra = min(set(message) - set(shape) - {"type"})
        raise FormatError(f"{name}: unexpected member {shorten(extra)}")


def shorten(text: str, limit: int = 40) -> str:
    """Cut a text from a peer to `limit` characters. Lone surrogates become escapes, so that it can be sent back."""
    return text[:limit].encode(errors="backslashreplace").decode() + ("…" if len(text) > limit else "")


def is_integer(value: Any, low: int = 0, high: int = MAX_INTEGER) -> bool:
    """Is it an integer as §1 defines it, from `low` to `high`? (In Python, `True` is an `int`; here it is not.)"""
    return type(value) is int and low <= value <= high


def is_text(value: Any, low: int, high: int) -> bool:
    """Is it a string of `low` to `high` characters, without lone surrogates?"""
    if not isinstance(value, str) or not low <= len(value) <= high:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_matching(pattern: str) -> Callable[[Any], bool]:
    """Make the test that a value is a string which `pattern` matches from end to end."""
    fullmatch = re.compile(pattern).fullmatch
    return lambda value: isinstance(value, str) and fullmatch(value) is not None


is_id = is_matching("[0-9a-f]{64}")
_is_host_and_port = is_matching(r"[A-Za-z0-9.-]{1,255}:[1-9][0-9]{0,4}")


def is_address(value: Any) -> bool:
    """Is it an address, `HOST:PORT` as contract §1 writes it?"""
    return _is_host_and_port(value) and int(value.rpartition(":")[2]) <= 65_535


def split_address(address: str) -> tuple[str, int]:
    """Split an address into host and port. Addresses are sorted by this pair (contract §3, stage 2)."""
    host, _, port = address.rpartition(":")
    return host, int(port)


def is_list_of(is_good: Callable[[Any], bool], high: int, low: int = 0) -> Callable[[Any], bool]:
    """Make the test that a value is a list of `low` to `high` good strings, none of them twice."""
    def test(value: Any) -> bool:
        return (isinstance(value, list) and low <= len(value) <= high
                and all(map(is_good, value)) and len(set(value)) == len(value))
    return test


def make_nonce(generator: random.Random) -> str:
    """32 random hex digits. They give two messages with the same content different ids (contract §1)."""
    return f"{generator.getrandbits(128):032x}"


NONCE = Field(is_matching("[0-9a-f]{32}"), "32 lower-case hex digits")
ID = Field(is_id, "64 lower-case hex digits")
ADDRESS = Field(is_address, "an address HOST:PORT")
INTEGER = Field(is_integer, f"an integer from 0 to {MAX_INTEGER}")
FLAG = Field(lambda value: type(value) is bool, "true or false")
STRING = Field(lambda value: is_text(value, 0, MAX_INTEGER), "a string without lone surrogates")


def ids_field(most: int) -> Field:
    """A member that is a list of at most `most` ids, none of them twice."""
    return Field(is_list_of(is_id, most), f"at most {most} ids, none of them twice")
