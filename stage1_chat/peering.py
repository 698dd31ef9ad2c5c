"""Connections of a node: opening, hello, dispatch of messages, silence, bad input (contract §2).

A node is a state machine. It is told what happens (`on_open`, `on_frame`,
`on_line`, …) by a network, one thing after the other, and answers through the
network's verbs. It knows no socket, no thread and no clock, so the client on
real sockets, a test in memory and a simulation run this same code.

The path of a message: `on_frame` (a copy? then it stops here; otherwise it is decoded)
-> `on_message` (its shape is checked) -> `on_chat`, `on_ping` …, a handler for each type.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from common.encoding import (Field, FormatError, Message, Shape, check_shape, decode_frame, encode_frame, is_address,
                             is_text, make_nonce, shorten)
from common.framing import FrameError
from common.idle import Idle
from common.interface import Connection, HandshakeError, Invalid, Lines, Network, Setup
from common.limits import HELLO_SECONDS
from common.parts import Parts
from common.reach import Reach, own_address_words
from common.refusals import Refusals
from stage1_chat import handshake
from stage1_chat.joining import Joining
from stage1_chat.neighbours import Neighbours
from stage1_chat.redial import Redials


class PeeringNode(ABC):
    """What a node of every stage does with its connections."""

    STAGE: int
    EVENTS: dict[str, Lines]  # what people are told of each event

    SHAPES: dict[str, Shape] = {
        "error": Refusals.SHAPES["error"],
        "hello": handshake.SHAPE,
        "ping": {"nonce": Field(lambda value: is_text(value, 0, 64), "at most 64 characters")},
        "pong": {"nonce": Field(lambda value: is_text(value, 0, 64), "at most 64 characters")},
    }
    """The messages of this stage: type -> members. `on_TYPE` of the node, or of the part that declares the type,
    handles the message. Types that are not in here are ignored."""

    def __init__(self, network: Network, address: str, setup: Setup) -> None:
        self.network = network
        self.address = address
        self.setup = setup
        self.parts = Parts()
        self.network_name: str | None = None
        """The network that this node belongs to; None while it joins."""
        self.neighbours = Neighbours()
        self.connections: set[Connection] = self.neighbours.connections
        self.links: dict[Connection, None] = self.neighbours.links
        self.joining = Joining(network, self.neighbours, setup.join_seconds,
                               lambda: self.network_name is not None, self.found_network, self.report_error)
        self.redials = Redials(network, self.neighbours.is_linked)
        self.refusals = self.parts.add(Refusals(self.joining, self.report_error))
        self.idle = Idle(network, self.connections, self.links, self.refusals.refuse)
        self.reach = Reach(address, self.links, self.refusals.tell_once)

    # --- its network ----------------------------------------------------------------------------

    def start(self, peer: str | None) -> None:
        """Join the network that `peer` is in, or found one if there is none. `neighbours.peer` keeps the address."""
        self.neighbours.peer = peer
        self.idle.watch()
        if self.setup.remembers_network:
            self.resume()
        elif peer is None:
            self.found_network()
        elif not is_address(peer):
            self.joining.give_up("expected HOST:PORT")
        else:
            self.joining.start(peer)

    def resume(self) -> None:
        """Go on with the network that this node remembers. A hook."""

    def commit(self) -> None:
        """Make what has happened outlast a crash. The network calls it after handlers, before anything that they
        reported or sent leaves the node. A hook; stage 1 has nothing to keep."""

    def on_end(self) -> None:
        """The node ends, after `stop`: nothing more is sent. A hook."""

    def found_network(self) -> None:
        """Found a network: choose its name, which is part of every id in it (contract §1). A hook."""
        self.network_name = make_nonce(self.network.random)
        self.report("founded")
        self.on_ready()

    def take_network(self, connection: Connection, name: str) -> None:
        """Join the network called `name`, by this connection to one of its nodes. A hook."""
        self.network_name = name
        self.link(connection)
        self.report("joined", peer=connection.dialled)
        self.on_ready()

    @abstractmethod
    def on_ready(self) -> None:
        """The node belongs to a network from now on. A hook."""

    # --- connections come and go ----------------------------------------------------------------

    def on_open(self, connection: Connection) -> None:
        """A connection has been opened: say hello, without waiting for the other end's (contract §2). A hook."""
        self.connections.add(connection)
        self.joining.on_open(connection)
        connection.said_network = self.network_name
        connection.send(encode_frame(handshake.make_hello(self.STAGE, connection.said_network, self.address)))
        self.network.after(HELLO_SECONDS, lambda: self.refusals.check_hello(connection))

    def on_dial_failed(self, address: str, reason: str) -> None:
        """Nobody could be reached at `address`."""
        if self.joining.is_to(address):
            self.joining.on_failed(reason)
        else:
            self.redials.on_no_answer(address)
        self.parts.on_no_answer(address)

    def on_close(self, connection: Connection) -> None:
        """A connection has ended, whoever ended it."""
        self.connections.discard(connection)
        if connection in self.links:
            self.unlink(connection)
        if self.joining.is_by(connection):
            self.joining.on_closed()
        elif self.is_redialled(connection):
            self.redials.on_lost(connection)
        else:
            self.redials.on_gone(connection)
        if connection.dialled is not None and connection.address is None:
            self.parts.on_no_answer(connection.dialled)

    def link(self, connection: Connection) -> None:
        """The handshake is done: this peer belongs to the network."""
        self.joining.on_linked(connection)
        self.neighbours.add_link(connection)
        self.redials.on_linked(connection)
        self.report("peer", address=connection.address, state="up")
        self.network.after(0, lambda: self.reach.look_at(connection))  # after the lines about joining
        for greet in self.greetings():
            greet(connection)

    def greetings(self) -> list[Callable[[Connection], None]]:
        """What a new neighbour is sent, and in which order. A hook: each stage adds to what the one before has."""
        return []

    def unlink(self, connection: Connection) -> None:
        """A linked peer is gone. A hook."""
        del self.links[connection]
        self.report("peer", address=connection.address, state="down")
        self.parts.on_lost(connection)

    def is_redialled(self, connection: Connection) -> bool:
        """Should this node open this lost connection again? A hook; in stage 1 only the one to `--peer`."""
        return self.neighbours.is_peer(connection.proven)

    # --- hello ----------------------------------------------------------------------------------

    def on_hello(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Handshake: the same version, stage and network, and not this node itself (contract §2). `refusals` ends the
        connection if "both nodes are still joining" (`hang_up`), or if the other one is in another network."""
        if connection.address is not None:
            raise FormatError("hello: a second one")
        connection.claimed_address = message["listen"]
        handshake.check_kind(message, self.STAGE)
        if message["listen"] == self.address:
            self.on_own_address(connection)
        elif message["network"] is None and connection.said_network is None:
            self.refusals.hang_up(connection, "both nodes are still joining")
        elif None not in (message["network"], self.network_name) and message["network"] != self.network_name:
            is_lost = connection.dialled in self.redials
            self.refusals.on_another_network(connection, is_lost, self.setup.other_options)
        else:
            self.check_network(connection, message["network"])
            connection.address = message["listen"]
            if self.network_name is None:
                self.take_network(connection, message["network"])
            else:
                self.link(connection)

    def check_network(self, connection: Connection, name: str | None) -> None:
        """HandshakeError if this node is still joining, but not by this connection. A hook: later stages check the
        name of the peer's network, too."""
        if self.network_name is None and not self.joining.is_by(connection):
            raise HandshakeError("this node is still joining")

    def on_own_address(self, connection: Connection) -> None:
        """The peer announces this node's own address, or is this node itself. Both ends notice. The one that was called
        tells its user; the one that has called does so only if it was joining by this call. A hook."""
        reason = own_address_words(self.address)
        if connection.dialled is None:
            raise HandshakeError(reason)
        self.refusals.close_with_error(connection, "HANDSHAKE", reason)
        self.joining.on_refused(connection, reason)

    # --- messages -------------------------------------------------------------------------------

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """A frame has come. Most are copies of what another neighbour has sent, and are dropped before decoding."""
        connection.heard = self.network.now()
        if self.is_copy(connection, frame):
            return
        try:
            self.on_message(connection, decode_frame(frame), frame)
        except FrameError as error:
            self.refusals.refuse(connection, "FRAME", str(error))
        except FormatError as error:
            self.refusals.refuse(connection, "FORMAT", str(error))
        except HandshakeError as error:
            self.refusals.refuse(connection, "HANDSHAKE", str(error))
        except Invalid as error:
            self.refusals.count_invalid(connection, str(error))

    def on_bad_bytes(self, connection: Connection, error: FrameError) -> None:
        """The bytes after the last frame cannot be the beginning of a frame."""
        self.refusals.refuse(connection, "FRAME", str(error))

    def is_copy(self, connection: Connection, frame: bytes) -> bool:
        """Were these very bytes flooded before, so that there is nothing to learn from them? A hook."""
        return connection in self.links and hash(frame) in self.neighbours.seen_frames

    def on_message(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Check that the message may come now and has its declared shape; then call the handler of its type."""
        name = message["type"]
        if connection not in self.links and not self.may_come_before_link(connection, name):
            raise HandshakeError(f"expected hello, not {shorten(name)}")
        if name in self.SHAPES:
            check_shape(message, self.SHAPES[name])
            self.parts.find_handler(name, self)(connection, message, frame)

    def may_come_before_link(self, connection: Connection, name: str) -> bool:
        """May a message of this type come before the handshake is done? A hook."""
        return name in ("hello", "error")

    def flood(self, frame: bytes, source: Connection | None) -> None:
        """Send a new and valid frame on every link but the one it came from, and note that its source was useful. A
        hook: the attackers of the lab override it."""
        if source is not None:
            source.useful_at = source.heard
        self.neighbours.pass_on(frame, source)

    def on_ping(self, connection: Connection, message: Message, frame: bytes) -> None:
        """A barrier: all that came before on this connection has been handled (contract §2)."""
        connection.send(encode_frame({"type": "pong", "nonce": message["nonce"]}))

    # --- words for the user ---------------------------------------------------------------------

    def report(self, event: str, **members: Any) -> None:
        """Tell the user what happened: an event of contract §4. A hook."""
        self.network.report(event, members, self.EVENTS[event])

    def report_error(self, code: str, reason: str) -> None:
        """Tell the user in one line what went wrong."""
        self.report("error", code=code, reason=reason)
