"""A peer in memory that says only what the test tells it: the `RawPeer` of a `World`.

There are also test doubles, to test a part of a node alone: a network, connections and a fetcher that note each call.
"""

import json
import random
from collections.abc import Callable, Iterable
from typing import Any

from common.encoding import encode_frame
from common.framing import make_frame
from lab.simulation import World
from common.interface import Connection, Lines, Members, Network, State
from stage1_chat.node import ChatNode

Event = dict[str, Any]


class FakeNetwork:
    """The verbs of `common.interface.Network`, for one part of a node alone. It notes each call."""

    def __init__(self) -> None:
        self.random = random.Random(1)
        self.time = 0.0
        self.called: list[str] = []
        self.reported: list[Event] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        """Seconds since the beginning."""
        return self.time

    def unix_ms(self) -> int:
        """Milliseconds since 1970."""
        return round(self.time * 1000)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Keep the timer for `pass_time`."""
        self.timers.append((self.time + seconds, action))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, from timer to timer."""
        end = self.time + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            first = min(due, key=lambda timer: timer[0])
            self.timers.remove(first)
            self.time = first[0]
            first[1]()
        self.time = end

    def connect(self, address: str) -> None:
        """Note the call. The test decides its result."""
        self.called.append(address)

    def report(self, event: str, members: Members, lines: Lines) -> None:
        """Note the event."""
        self.reported.append({"event": event, **members})

    def read_lines(self) -> None:
        """Do nothing: nobody types."""

    def stop(self, status: int = 0) -> None:
        """Fail: a part must not end a node."""
        raise AssertionError(f"the node has ended with status {status}")


class FakeConnection(Connection):
    """A connection to nobody. It keeps what is sent on it."""

    def __init__(self, dialled: str | None = None, remote: str = "a peer", now: float = 0.0) -> None:
        super().__init__(dialled, remote, now)
        self.sent: list[Event] = []
        self._seen = 0

    def send(self, frame: bytes) -> None:
        """Keep the frame, unless the connection is closed."""
        if self.is_open:
            self.sent.append(json.loads(frame[4:]))

    def close(self) -> None:
        """Close the connection; nobody is told."""
        self.state = State.ENDED

    def news(self) -> list[Event]:
        """The messages sent since the last call."""
        news, self._seen = self.sent[self._seen:], len(self.sent)
        return news


class LastingConnection(FakeConnection):
    """The same for parts that must not close it."""

    def close(self) -> None:
        """Fail: this part must not close connections."""
        raise AssertionError("closed by a part")


class FakeFetcher:
    """Stands in for a fetcher, and notes which connection should be asked for what."""

    def __init__(self) -> None:
        self.needed: list[tuple[Connection, list[str]]] = []

    def need(self, ids: Iterable[str], connection: Connection) -> None:
        """Note the ids, if there are any."""
        if needed := list(ids):
            self.needed.append((connection, needed))

    def room(self, connection: Connection) -> int:
        """Room for three ids."""
        return 3

    def forget(self, ids: Iterable[str]) -> None:
        """Do nothing: nothing was asked for."""


class Stranger(ChatNode):
    """Keeps what it receives, and answers nothing by itself."""

    def __init__(self, network: Network, address: str, stage: int = 1) -> None:
        super().__init__(network, address)
        self.stage = stage
        self.connection: Connection
        self.received: list[Event] = []
        self.received_at: list[float] = []
        self.is_closed = False
        self.says_on_open: list[Event] = []

    def start(self, peer: str | None) -> None:
        """Call `peer` if there is one."""
        if peer is not None:
            self.network.connect(peer)

    def on_open(self, connection: Connection) -> None:
        """Remember the connection, and say what the test has prepared. A second connection gets no answer."""
        if any(one.is_open for one in self.connections):
            connection.close()
            return
        self.connection, self.is_closed = connection, False
        self.connections.add(connection)
        self.send(*self.says_on_open)

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """Keep the message."""
        self.received.append(json.loads(frame[4:]))
        self.received_at.append(self.network.now())

    def on_close(self, connection: Connection) -> None:
        """Remember that the node has closed."""
        if connection in self.connections:
            self.connections.discard(connection)
            self.is_closed = True

    def send(self, *messages: Event) -> None:
        """Send messages. AssertionError if nobody has opened a connection yet: the node was to call."""
        assert hasattr(self, "connection"), f"no connection to {self.address}: the node has not called it"
        for message in messages:
            self.connection.send(encode_frame(message))

    def send_body(self, body: bytes) -> None:
        """Send a frame with this body."""
        self.connection.send(make_frame(body))

    def hello_message(self, network: str | None, **changes: Any) -> Event:
        """A hello with this peer's address and stage, and with these members changed."""
        return {"type": "hello", "version": 1, "stage": self.stage, "network": network, "listen": self.address,
                **changes}

    def messages(self, kind: str) -> list[Event]:
        """The received messages of one type."""
        return [message for message in self.received if message["type"] == kind]


def add_stranger(world: World, node: ChatNode, stage: int = 1) -> Stranger:
    """Let a stranger call `node`. The connection is open, and only the node has said hello."""
    stranger = world.add(Stranger, node.address, stage)
    world.run(seconds=0.1)
    return stranger


def add_linked_stranger(world: World, node: ChatNode, stage: int = 1) -> Stranger:
    """The same, with the handshake done."""
    stranger = add_stranger(world, node, stage)
    stranger.send(stranger.hello_message(node.network_name))
    world.settle()
    return stranger
