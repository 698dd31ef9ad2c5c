"""A node has parts: each is a subject of its own, with the messages that belong to it (docs/architecture.md)."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from common.encoding import Message, Shape, encode_frame
from common.interface import Connection

Handler = Callable[[Any, Message, bytes], None]
"""Handles messages of one type. It gets the connection (None: the node itself), the message, and its frame."""


class Part:
    """One subject of a node, with the messages that belong to it: the list of peers, the comparison of stores, …

    A node has parts. A part does not know the node: it is given the few verbs that it needs, and can be tested with
    those alone. Its method `on_TYPE` handles the messages of that type.
    """

    SHAPES: ClassVar[dict[str, Shape]] = {}
    """The messages that the part brings in: type -> members."""

    def on_lost(self, connection: Connection) -> None:
        """A neighbour is gone. A hook."""

    def on_no_answer(self, address: str) -> None:
        """A call got no answer: nobody was there, or the connection has ended before the handshake. A hook."""

    def on_pong(self, connection: Connection, nonce: str) -> None:
        """A neighbour has handled all that was sent before the ping with this nonce. A hook."""

    def ask(self, connection: Connection, question: Message, nonce: str) -> None:
        """Send a question, and a ping after it. `on_pong` with that nonce says that the answer has been handled."""
        connection.send(encode_frame(question))
        connection.send(encode_frame({"type": "ping", "nonce": nonce}))


AnyPart = TypeVar("AnyPart", bound=Part)


class Parts:
    """All parts of one node: which of them handles a message, and who must hear what happens to connections."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._owners: dict[str, object] = {"pong": self}
        """Who handles a type of message; the node handles those that are not here."""

    def add(self, part: AnyPart) -> AnyPart:
        """Let a part handle the messages that it brings in, and hear what happens to connections."""
        self._parts.append(part)
        self._owners |= dict.fromkeys(part.SHAPES, part)
        return part

    def find_handler(self, name: str, node: object) -> Handler:
        """The method that handles messages of this type: `on_TYPE` of the part that brings them in, or of the node."""
        handler: Handler = getattr(self._owners.get(name, node), f"on_{name}")
        return handler

    def on_lost(self, connection: Connection) -> None:
        """A neighbour is gone."""
        for part in reversed(self._parts):  # a part that builds on others was added later, and must hear first
            part.on_lost(connection)

    def on_no_answer(self, address: str) -> None:
        """A call got no answer."""
        for part in self._parts:
            part.on_no_answer(address)

    def on_pong(self, connection: Connection, message: Message, frame: bytes) -> None:
        """A neighbour has handled what was sent before a ping."""
        for part in self._parts:
            part.on_pong(connection, message["nonce"])
