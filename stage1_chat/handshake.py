"""The first message in each direction: what a hello says, and why one is refused (contract §2)."""

from typing import Any

from common.encoding import ADDRESS, INTEGER, NONCE, Field, Message, Shape, is_id
from common.interface import HandshakeError

VERSION = 1
"""The version of the contract; a hello with another one is refused."""


def _is_network(value: Any) -> bool:
    return value is None or is_id(value) or NONCE.is_good(value)


SHAPE: Shape = {"version": INTEGER, "stage": INTEGER, "listen": ADDRESS,
                "network": Field(_is_network, "null, or 32 or 64 lower-case hex digits")}


def make_hello(stage: int, network_name: str | None, address: str) -> Message:
    """The hello of a node of this stage that listens at `address`; `network_name` is None while it joins."""
    return {"type": "hello", "version": VERSION, "stage": stage, "network": network_name, "listen": address}


def check_kind(hello: Message, stage: int) -> None:
    """HandshakeError unless this is the hello of a node of the same kind: "version 2, but this node has version 1", or
    "stage 2, but this node is of stage 1"."""
    if hello["version"] != VERSION:
        raise HandshakeError(f"version {hello['version']}, but this node has version {VERSION}")
    if hello["stage"] != stage:
        raise HandshakeError(f"stage {hello['stage']}, but this node is of stage {stage}")
