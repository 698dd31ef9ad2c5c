"""A network in memory, with a clock that the test sets: the same nodes, without threads or sockets.

    world = World(seed=1)
    alice, bob = world.add(ChatNode), world.add(ChatNode, peer="node-1:1")
    world.run(seconds=10)
    alice.on_line("hi")
    world.settle()
    assert world.reported(bob, "chat") == [{"text": "hi"}]

A random generator with a known seed decides when each frame arrives, so that a
failure can be repeated. On one connection frames stay in order, as with TCP.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from common.interface import Connection, Lines, Members, State
from stage1_chat.node import ChatNode

Node = TypeVar("Node", bound=ChatNode)

MAX_STEPS = 2_000_000
"""The most steps in one `settle`: deliveries, and timers that are due. If there are more, nodes send each other
messages without end."""

LAST_DELIVERED = 400
"""The number of deliveries that a world remembers. They show what led to a failure."""


class MemoryConnection(Connection):
    """One end of a connection in memory."""

    def __init__(self, world: "World", owner: ChatNode, dialled: str | None, remote: str) -> None:
        super().__init__(dialled, remote, world.now)
        self.world = world
        self.owner = owner
        self.other: MemoryConnection
        self.arriving: deque[bytes | None] = deque()
        """Frames that wait to be delivered at this end; None is the end of the stream. A frame enters after the delay
        `flight_seconds` of the world (see `arrive`)."""
        self.is_busy = False
        """Is this end in the list `busy` of the world?"""

    def send(self, frame: bytes) -> None:
        """Put `frame` on its way to the other end."""
        if self.is_open:
            self.other.arrive(frame)

    def close(self) -> None:
        """Close this end; what it has sent still arrives. The node's `on_close` is called, as with real sockets."""
        if self.is_open:
            self.state = State.ENDED
            self.other.arrive(None)
            self.world.after(0, lambda: self.owner.on_close(self))

    def arrive(self, frame: bytes | None) -> None:
        """Queue a frame that the other end has sent, after the delay of the world."""
        if self.world.flight_seconds:
            self.world.after(self.world.flight_seconds, lambda: self._queue(frame))
        else:
            self._queue(frame)

    def _queue(self, frame: bytes | None) -> None:
        self.arriving.append(frame)
        if not self.is_busy:
            self.is_busy = True
            self.world.busy.append(self)

    def deliver(self) -> None:
        """Give the next frame to the node at this end."""
        frame = self.arriving.popleft()
        self.world.delivered.append(Delivery(self.world.now, self.other.owner.address, self.owner.address, frame))
        if frame is None:
            self.close()
        elif self.is_open:
            self.owner.on_frame(self, frame)


class Delivery(NamedTuple):
    """A frame that has reached a node: when, from which address, to which, and its bytes, or None at the end of the
    stream."""

    at: float
    sender: str
    receiver: str
    frame: bytes | None


class MemoryNetwork:
    """The verbs of `common.interface.Network` for one node of a `World`."""

    def __init__(self, world: "World", address: str) -> None:
        self.world = world
        self.address = address
        self.random = random.Random(world.random.random())
        self.node: ChatNode
        self.is_running = True
        self.status = 0
        self.is_reading = False
        self.reported: list[dict[str, Any]] = []

    def now(self) -> float:
        """Seconds since the world began."""
        return self.world.now

    def unix_ms(self) -> int:
        """Milliseconds since 1970, of this world."""
        return self.world.start_ms + round(self.world.now * 1000)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` once after `seconds`, if the node still runs."""
        self.world.after(seconds, lambda: action() if self.is_running else None)

    def connect(self, address: str) -> None:
        """Reach the node at `address`, unless it is gone or a partition lies between the two."""
        self.after(self.world.delay(), lambda: self.world.open(self, address))

    def report(self, event: str, members: Members, lines: Lines) -> None:
        """Keep the event for `World.reported`."""
        self.reported.append({"event": event, **members})

    def read_lines(self) -> None:
        """Remember that the node takes lines now."""
        self.is_reading = True

    def stop(self, status: int = 0) -> None:
        """End the node: its connections close, its timers no longer run."""
        for connection in list(self.node.connections):
            connection.close()
        self.status = status
        self.is_running = False


class World:
    """Some nodes, what is on its way between them, and the time."""

    def __init__(self, seed: int, start_ms: int = 1_700_000_000_000, longest_delay: float = 0.05,
                 step_seconds: float = 0.0) -> None:
        """Opening a connection takes up to `longest_delay` seconds; each delivery takes `step_seconds`."""
        self.seed = seed
        self.random = random.Random(seed)
        self.now = 0.0
        self.start_ms = start_ms
        self.longest_delay = longest_delay
        self.step_seconds = step_seconds
        self.flight_seconds = 0.0
        """The delay of each frame that is sent from now on."""
        self.networks: dict[str, MemoryNetwork] = {}
        self.connections: list[MemoryConnection] = []
        self.busy: list[MemoryConnection] = []
        """The ends at which frames wait, in no order, and some that have been cut since they were added. Without this
        list, each step would search all ends; with a hundred neighbours that would take most of the time."""
        self.is_partitioned: Callable[[str, str], bool] = lambda one, other: False
        """Does a partition separate these two addresses? For new connections; `partition` also cuts the old ones."""
        self.delivered: deque[Delivery] = deque(maxlen=LAST_DELIVERED)
        """The latest deliveries, oldest first."""
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    # --- nodes and their connections ------------------------------------------------------------

    def add(self, make_node: Callable[..., Node], peer: str | None = None, *arguments: Any,
            address: str | None = None) -> Node:
        """Start a node, made by `make_node(network, address, *arguments)`. The addresses are node-1:1, node-2:1, …
        Give an `address` to start a node in the place of one that is gone."""
        address = address or f"node-{len(self.networks) + 1}:1"
        network = self.networks[address] = MemoryNetwork(self, address)
        node = network.node = make_node(network, address, *arguments)
        node.start(peer)
        return node

    def open(self, caller: MemoryNetwork, address: str) -> None:
        """Open a connection, or tell the caller that nobody is there."""
        called = self.networks.get(address)
        if called is None or not called.is_running or self.is_partitioned(caller.address, address):
            caller.node.on_dial_failed(address, "nobody listens there")
            return
        near = MemoryConnection(self, caller.node, address, called.address)
        far = MemoryConnection(self, called.node, None, f"from {caller.address}")
        near.other, far.other = far, near
        self.connections += [near, far]
        caller.node.on_open(near)
        called.node.on_open(far)

    def cut(self, connection: MemoryConnection) -> None:
        """Cut a connection: what is on its way in either direction is lost."""
        for end in (connection, connection.other):
            end.arriving.clear()
            if end.is_open:
                end.state = State.ENDED
                self.after(0, lambda end=end: end.owner.on_close(end))  # type: ignore[misc]

    def partition(self, side: set[str]) -> None:
        """Partition the network: cut all connections between `side` and the other addresses, and let none open."""
        self.is_partitioned = lambda one, other: (one in side) != (other in side)
        for connection in self.open_connections():
            if self.is_partitioned(connection.owner.address, connection.other.owner.address):
                self.cut(connection)

    def heal(self) -> None:
        """End a partition: new connections get through again."""
        self.is_partitioned = lambda one, other: False

    def kill(self, node: ChatNode) -> None:
        """End a node as a crash does: frames that it has sent are lost unless they were delivered."""
        self.networks[node.address].is_running = False
        for connection in self.open_connections():
            if connection.owner is node:
                self.cut(connection)

    def open_connections(self) -> list[MemoryConnection]:
        """The ends that are open."""
        self.connections = [end for end in self.connections if end.is_open or end.arriving]
        return [end for end in self.connections if end.is_open]

    # --- time -----------------------------------------------------------------------------------

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` after `seconds`."""
        heapq.heappush(self._timers, (self.now + seconds, next(self._numbers), action))

    def delay(self) -> float:
        """A random delay for opening a connection."""
        return self.random.random() * self.longest_delay

    def step(self) -> bool:
        """Deliver one frame on a random connection. False if none is on its way."""
        while self.busy:
            place = self.random.randrange(len(self.busy))
            end = self.busy[place]
            if end.arriving:
                self.now += self.step_seconds
                self._step_at(end)
                return True
            end.is_busy = False
            self.busy[place] = self.busy[-1]
            del self.busy[-1]
        return False

    def _step_at(self, end: MemoryConnection) -> None:
        if self.networks[end.owner.address].is_running:
            end.deliver()
        else:
            end.arriving.clear()

    def settle(self) -> None:
        """Deliver all that is on its way, and all that follows from it. No timer of a later time runs."""
        for _ in range(MAX_STEPS):
            if not self._run_due() and not self.step():
                return
        raise AssertionError(f"seed {self.seed}: nodes still talk after {MAX_STEPS} steps")

    def run(self, seconds: float) -> None:
        """Let time pass, from timer to timer. All that is on its way arrives before each timer runs."""
        end = self.now + seconds
        self.settle()
        while self._timers and self._timers[0][0] <= end:
            self.now = max(self.now, self._timers[0][0])
            self.settle()
        self.now = max(self.now, end)

    def _run_due(self) -> bool:
        if not self._timers or self._timers[0][0] > self.now:
            return False
        heapq.heappop(self._timers)[2]()
        return True

    # --- what tests ask -------------------------------------------------------------------------

    def reported(self, node: ChatNode, event: str) -> list[dict[str, Any]]:
        """The events of one kind that `node` has reported, without the member `event`."""
        return [{name: value for name, value in entry.items() if name != "event"}
                for entry in self.networks[node.address].reported if entry["event"] == event]

    def ask(self, node: ChatNode, command: str, event: str) -> dict[str, Any]:
        """Type a command, and return the event that answers it."""
        node.on_line(command)
        return self.reported(node, event)[-1]
