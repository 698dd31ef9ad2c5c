"""What a part of a node is tested with, where there is no node: connections and a fetcher that remember."""

from collections.abc import Iterable

from common.encoding import Message, decode_frame
from common.interface import Connection


class Remembering(Connection):
    """A connection of which the test looks at what was sent."""

    def __init__(self, name: str = "a peer", dialled: str | None = None) -> None:
        super().__init__(dialled, name, 0.0)
        self._sent: list[Message] = []

    def send(self, frame: bytes) -> None:
        """Keep what is sent."""
        self._sent.append(decode_frame(frame))

    def close(self) -> None:
        """No part closes connections."""
        raise AssertionError("closed by a part")

    def news(self) -> list[Message]:
        """What was sent since this was asked last."""
        news, self._sent = self._sent, []
        return news


class Asked:
    """In the place of a fetcher: remembers who was asked for what."""

    def __init__(self) -> None:
        self.needed: list[tuple[Connection, list[str]]] = []

    def need(self, ids: Iterable[str], connection: Connection) -> None:
        """Remember it, if it is anything."""
        if needed := list(ids):
            self.needed.append((connection, needed))

    def room(self, connection: Connection) -> int:
        """There is room for three."""
        return 3

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing was asked for."""
