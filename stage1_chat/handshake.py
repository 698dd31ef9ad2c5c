"""The first message in each direction: what a hello says, and what speaks against it (contract §2)."""

from typing import Any

from common.encoding import ADDRESS, INTEGER, NONCE, Field, Message, Shape, is_id
from common.interface import Connection, HandshakeError
from stage1_chat.reach import HOW_TO_ANNOUNCE

VERSION = 1
"""Of the contract; a hello with another one is refused."""


def _is_network(value: Any) -> bool:
    return value is None or is_id(value) or NONCE.is_good(value)


SHAPE: Shape = {"version": INTEGER, "stage": INTEGER, "listen": ADDRESS,
                "network": Field(_is_network, "null, or 32 or 64 lower-case hex digits")}


def make_hello(stage: int, network_name: str | None, address: str) -> Message:
    """The hello of a node of this stage that listens at `address`; `network_name` is None while it joins."""
    return {"type": "hello", "version": VERSION, "stage": stage, "network": network_name, "listen": address}


def check_kind(hello: Message, stage: int) -> None:
    """HandshakeError unless this is the hello of a node of the same kind."""
    if hello["version"] != VERSION:
        raise HandshakeError(f"version {hello['version']}, here it is {VERSION}")
    if hello["stage"] != stage:
        raise HandshakeError(f"stage {hello['stage']}, here it is {stage}")


def own_address_words(address: str) -> str:
    """What speaks against a hello that names this node's own address."""
    return (f"this node has reached itself, or one that announces the same address, {address}; if that is on another"
            f" machine, start each with {HOW_TO_ANNOUNCE}")


def another_network_words(connection: Connection, is_lost: bool, how_to_change: str) -> str:
    """What the user is told of a peer in another network; `is_lost`: it was in this one. If it calls, its own user has
    to do something."""
    if is_lost:
        return f"{connection.dialled} has another network by now; {how_to_change} to join it"
    if connection.dialled is None:
        return f"{connection.says_it_listens} calls from another network; start it again there to join this one"
    return f"{connection.remote} belongs to another network, expected this one"
