"""Connections of a node: handshake, dispatch of messages, bad input, silence, calling again (contract §2).

A node is a state machine. It is told what happens (`on_open`, `on_frame`,
`on_line`, …) by a network, one thing after the other, and answers through the
network's verbs. It knows no socket, no thread and no clock, so the client on
real sockets, a test in memory and a simulation run this same code.

The way of a message: `on_frame` (seen before? then that was all) -> `on_message`
(decoded, and of its declared shape) -> `on_chat` and its likes, one method for
each type.
"""

from typing import Any, TypeVar

from common.encoding import (ADDRESS, INTEGER, NONCE, Field, FormatError, Message, Shape, check_shape, decode_frame,
                             encode_frame, is_address, is_id, is_text, shorten)
from common.framing import FrameError
from common.limits import (CLOSE_AFTER, HELLO_SECONDS, JOIN_AGAIN_SECONDS, MAX_INVALID, MAX_TOLD, PING_AFTER,
                           USELESS_SECONDS, Recent)
from common.interface import Connection, Handler, HandshakeError, Invalid, Network, Part, State
from stage1_chat.redial import Redials

AnyPart = TypeVar("AnyPart", bound=Part)

VERSION = 1
"""Of the contract; a hello with another one is refused."""

MAX_REASON = 4_096
"""Characters of an `error`'s reason."""


HOW_TO_ANNOUNCE = ("--host 0.0.0.0 and, if that is not enough, --announce HOST:PORT"
                   " (with make: HOST=0.0.0.0, ANNOUNCE=HOST:PORT)")
"""What a node is started with, so that other machines can call it."""


def is_loopback(address: str) -> bool:
    """Does this address lead every machine to itself?"""
    host = host_of(address)
    return host == "localhost" or host.startswith("127.")


def host_of(address: str) -> str:
    """The machine in an address, or in what a connection says of where it comes from."""
    return address.rpartition(":")[0]


def _is_network(value: Any) -> bool:
    return value is None or is_id(value) or NONCE.is_good(value)


class PeeringNode:
    """What a node of every stage does with its connections."""

    STAGE: int

    SHAPES: dict[str, Shape] = {
        "hello": {"version": INTEGER, "stage": INTEGER, "listen": ADDRESS,
                  "network": Field(_is_network, "null, or 32 or 64 lower-case hex digits")},
        "error": {"code": Field(lambda value: is_text(value, 1, 32), "a code"),
                  "reason": Field(lambda value: is_text(value, 0, MAX_REASON), "a reason")},
        "ping": {"nonce": Field(lambda value: is_text(value, 0, 64), "at most 64 characters")},
        "pong": {"nonce": Field(lambda value: is_text(value, 0, 64), "at most 64 characters")},
    }
    """The messages of this stage: type -> members. The method `on_TYPE` of the node, or of the part which brings it in,
    handles one; others are ignored."""

    def __init__(self, network: Network, address: str) -> None:
        self.network = network
        self.address = address
        self.parts: list[Part] = []
        self.owners: dict[str, Part] = {}
        """Which part handles a type of message; the node handles the others."""
        self.network_name: str | None = None
        """The network that this node belongs to; None while it joins."""
        self.peer: str | None = None
        """The address of `--peer`."""
        self.peer_listens: str | None = None
        """Where the node at that address says that it listens: the user may know it by another name."""
        self.join_seconds = HELLO_SECONDS
        """For so long this node calls that address to join, before it founds a network: `--wait`."""
        self.join_until = 0.0
        """The end of that time, in seconds of `Network.now`."""
        self.joining: Connection | None = None
        """The connection that this node joins by, from its opening until it is linked."""
        self.connections: set[Connection] = set()
        self.links: dict[Connection, None] = {}
        """The connections whose handshake is done, oldest first (a dict keeps the order, a set does not)."""
        self.redials = Redials(network, self.is_linked, self.is_peer)
        self.told = Recent(MAX_TOLD)
        """The hashes of what the user was told of some address, and need not be told again at each call."""
        self.seen_frames = Recent()
        """The hashes of the frames that were flooded: copies of these need not be looked at. Python's own hash has 64
        bits and a key that no peer knows (PEP 456), so nobody can make two frames with one hash. SHA-256 would take
        three times as long, and most frames are copies."""

    # --- joining and founding -------------------------------------------------------------------

    def start(self, peer: str | None) -> None:
        """Join the network that `peer` is in, or found one if there is none."""
        self.peer = peer
        self.network.after(PING_AFTER / 4, self.check_silence)
        if self.remembers_network:
            self.resume()
        elif peer is None:
            self.found()
        elif not is_address(peer):
            self.on_join_failed("expected HOST:PORT")
        else:
            limit = max(self.join_seconds, HELLO_SECONDS)  # a call has the time of a hello in any case
            self.join_until = self.network.now() + self.join_seconds
            self.network.after(limit, lambda: self.on_join_failed(
                self.join_failure or f"no answer within {limit:g} seconds"))
            self.network.connect(peer)

    @property
    def remembers_network(self) -> bool:
        """Does this node go on with a network that it was in before it was started? In stage 1 it does not."""
        return False

    def resume(self) -> None:
        """Go on with the network that this node remembers."""
        raise NotImplementedError

    def commit(self) -> None:
        """Make what has happened outlast a crash. The network calls it after handlers, before anything that they
        reported or sent leaves the node. Stage 1 has nothing to keep."""

    def on_end(self) -> None:
        """The node ends in order, and has nothing more to say."""

    def found(self) -> None:
        """Found a network: choose its name, which is part of every id in it (contract §1)."""
        self.network_name = self.make_nonce()
        self.report("founded")
        self.on_ready()

    def take_network(self, connection: Connection, name: str) -> None:
        """Belong to the network of the peer that was called to join."""
        self.network_name = name
        self.link(connection)
        self.report("joined", peer=connection.dialled)
        self.on_ready()

    def on_try_failed(self, reason: str) -> None:
        """A call to join was in vain. Call again while there is time: the peer may only be starting (contract §4)."""
        self.joining = None
        self.join_failure = reason
        if self.network.now() < self.join_until:
            self.network.after(JOIN_AGAIN_SECONDS, self.call_again_to_join)
        else:
            self.on_join_failed(reason)

    def call_again_to_join(self) -> None:
        """Call the peer once more, unless the time has run out."""
        if self.network_name is None and self.peer is not None:
            self.network.connect(self.peer)

    def on_join_failed(self, reason: str) -> None:
        """There is nobody to join, or nobody of this kind: found a network, and then say so, as the last line of all
        that is printed at the start (contract §4)."""
        if self.network_name is None:
            if self.joining is not None:
                self.joining.was_refused = True
                self.joining.close()
            peer, self.peer, self.joining = self.peer, None, None
            self.found()
            outcome = "; this is a network of its own; nobody else is in it" if self.network_name is not None else ""
            self.report_error("NETWORK", f"{peer}: {reason}{outcome}")

    def on_ready(self) -> None:
        """The node belongs to a network from now on."""
        raise NotImplementedError

    # --- connections come and go ----------------------------------------------------------------

    def on_open(self, connection: Connection) -> None:
        """A connection is there: both ends say hello at once (contract §2)."""
        self.connections.add(connection)
        if self.network_name is None and self.joining is None and connection.dialled == self.peer:
            self.joining, self.join_failure = connection, ""
        connection.said_network = self.network_name
        connection.send(encode_frame({"type": "hello", "version": VERSION, "stage": self.STAGE,
                                      "network": connection.said_network, "listen": self.address}))
        self.network.after(HELLO_SECONDS, lambda: self.check_hello(connection))

    def on_dial_failed(self, address: str, reason: str) -> None:
        """Nobody could be reached at `address`."""
        if self.network_name is None and address == self.peer:
            self.on_try_failed(reason)
        else:
            self.redials.on_no_answer(address)

    def on_close(self, connection: Connection) -> None:
        """A connection has ended, whoever ended it."""
        self.connections.discard(connection)
        if connection in self.links:
            self.unlink(connection)
        if connection is self.joining:
            self.on_try_failed(self.join_failure or "the connection was closed before the node had joined")
        elif self.is_redialled(connection):
            self.redials.on_lost(connection)
        else:
            self.redials.on_gone(connection)

    def link(self, connection: Connection) -> None:
        """The handshake is done: this peer belongs to the network."""
        if connection is self.joining:
            self.joining = None
        self.links[connection] = None
        connection.state = State.LINKED
        if connection.dialled is not None and connection.dialled == self.peer:
            self.peer_listens = connection.address
        self.redials.on_linked(connection)
        self.report("peer", address=connection.address, state="up")
        self.network.after(0, lambda: self.tell_of_addresses(connection))  # behind what a node says when it has joined

    def tell_of_addresses(self, connection: Connection) -> None:
        """Tell the user, once, if the nodes at the ends of this link cannot be called at what they announce: this node
        by a peer on another machine, or one of two callers that announce the same address from two machines."""
        if is_loopback(self.address) and not is_loopback(connection.dialled or connection.remote):
            self.tell_once("NETWORK", f"no other machine can call this node at {self.address}; to be called from"
                                      f" there, start it with {HOW_TO_ANNOUNCE}")
        hosts = {host_of(link.remote) for link in self.links
                 if link.dialled is None and link.address == connection.address}
        if len(hosts) > 1:
            self.tell_once("NETWORK", f"the nodes on {' and '.join(sorted(hosts))} announce the same address,"
                                      f" {connection.address}, so others can call one of them at most; start each with"
                                      f" {HOW_TO_ANNOUNCE}", ("same address", str(connection.address)))

    def unlink(self, connection: Connection) -> None:
        """A linked peer is gone."""
        del self.links[connection]
        self.report("peer", address=connection.address, state="down")
        for part in self.parts:
            part.on_lost(connection)

    def is_redialled(self, connection: Connection) -> bool:
        """Does this node open this lost connection again? In stage 1 only the one to `--peer`."""
        return self.is_peer(connection.proven)

    def is_peer(self, address: str | None) -> bool:
        """Is this the address of `--peer`, as the user or as that node itself names it?"""
        return None not in (self.peer, address) and address in (self.peer, self.peer_listens)

    def is_linked(self, address: str) -> bool:
        """Is there a link to the node at `address`? What the hello of a link says is no proof: anybody can say it."""
        names = {address, self.peer, self.peer_listens} - {None} if self.is_peer(address) else {address}
        return any(link.proven in names for link in self.links)

    def make_room(self) -> bool:
        """In a full house, give up the caller that was useless for longest, at least a minute; False if there is none.

        Connections that this node has opened stay, whatever they bring. Bitcoin Core does the same, by more measures of
        usefulness (AttemptToEvictConnection in its net.cpp).
        """
        callers = [one for one in self.connections if one.dialled is None and one.is_open]
        useless = min(callers, key=lambda one: one.useful_at, default=None)
        if useless is None or self.network.now() - useless.useful_at < USELESS_SECONDS:
            return False
        self.refuse(useless, "BUSY", f"brought nothing new for {USELESS_SECONDS:.0f} seconds, and others call")
        return True

    def check_hello(self, connection: Connection) -> None:
        """End a connection that has not said hello in time. A peer that is only starting, and will read later what has
        come meanwhile, need not tell its user of each that has called to join."""
        reason = f"no hello within {HELLO_SECONDS:.0f} seconds"
        if connection.is_open and connection.address is None and connection is self.joining:
            self.join_failure = reason
            connection.close()
        elif connection.is_open and connection.address is None:
            self.refuse(connection, "HANDSHAKE", reason)

    def check_silence(self) -> None:
        """Ping the connections that have been silent for long, close those that do not answer (contract §2)."""
        self.network.after(PING_AFTER / 4, self.check_silence)
        for connection in list(self.links):
            silence = self.network.now() - connection.heard
            if silence >= CLOSE_AFTER:
                connection.close()
            elif silence >= PING_AFTER:
                connection.send(encode_frame({"type": "ping", "nonce": ""}))

    # --- messages -------------------------------------------------------------------------------

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """A frame has come. Most are copies of what another neighbour has sent, and are dropped before decoding."""
        connection.heard = self.network.now()
        if self.is_copy(connection, frame):
            return
        try:
            self.on_message(connection, decode_frame(frame), frame)
        except FrameError as error:
            self.refuse(connection, "FRAME", str(error))
        except FormatError as error:
            self.refuse(connection, "FORMAT", str(error))
        except HandshakeError as error:
            self.refuse(connection, "HANDSHAKE", str(error))
        except Invalid as error:
            self.on_invalid(connection, str(error))

    def on_bad_bytes(self, connection: Connection, error: FrameError) -> None:
        """The bytes after the last frame cannot be the beginning of a frame."""
        self.refuse(connection, "FRAME", str(error))

    def is_copy(self, connection: Connection, frame: bytes) -> bool:
        """Were these very bytes flooded before, so that there is nothing to learn from them?"""
        return connection in self.links and hash(frame) in self.seen_frames

    def on_message(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Find the handler by the message's type, once the message has the shape that its stage declares."""
        name = message["type"]
        if connection not in self.links and not self.is_before_link(connection, name):
            raise HandshakeError(f"expected hello, not {shorten(name)}")
        if name in self.SHAPES:
            check_shape(message, self.SHAPES[name])
            self.handler(name)(connection, message, frame)

    def add_part(self, part: AnyPart) -> AnyPart:
        """Let a part handle the messages that it brings in, and hear of what happens to connections."""
        self.parts.append(part)
        self.owners |= dict.fromkeys(part.SHAPES, part)
        return part

    def handler(self, name: str) -> Handler:
        """The method that handles messages of this type: of the part that brings them in, or of the node."""
        handler: Handler = getattr(self.owners.get(name, self), f"on_{name}")
        return handler

    def is_before_link(self, connection: Connection, name: str) -> bool:
        """May a message of this type come before the handshake is done?"""
        return name in ("hello", "error")

    def on_hello(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Handshake: the same version, stage and network, and not this node itself (contract §2)."""
        if connection.address is not None:
            raise FormatError("hello: a second one")
        connection.says_it_listens = message["listen"]
        if message["version"] != VERSION:
            raise HandshakeError(f"version {message['version']}, here it is {VERSION}")
        if message["stage"] != self.STAGE:
            raise HandshakeError(f"stage {message['stage']}, here it is {self.STAGE}")
        if message["listen"] == self.address:
            self.on_own_address(connection)
            return
        if message["network"] is None and connection.said_network is None:
            self.hang_up(connection, "both nodes are still joining")
            return
        if self.is_another_network(message["network"]):
            self.on_another_network(connection)
            return
        self.check_network(connection, message["network"])
        connection.address = message["listen"]
        if self.network_name is None:
            self.take_network(connection, message["network"])
        else:
            self.link(connection)

    def on_own_address(self, connection: Connection) -> None:
        """The two ends are this very node, or the peer says so. The end that was called tells the user, not both."""
        reason = (f"this node has reached itself, or one that announces the same address, {self.address}; if that is on"
                  f" another machine, start each with {HOW_TO_ANNOUNCE}")
        if connection.dialled is None:
            raise HandshakeError(reason)
        self.close_with_error(connection, "HANDSHAKE", reason)
        if connection is self.joining:
            self.on_join_failed(reason)

    def is_another_network(self, name: str | None) -> bool:
        """Is this the name of a network, and not of the one that this node belongs to?"""
        return None not in (name, self.network_name) and name != self.network_name

    def on_another_network(self, connection: Connection) -> None:
        """The peer is in another network. If it was lost, it may have founded one: it is called on, since it may come
        back, but only the user can let this node follow."""
        reason = "another network"
        if connection.dialled in self.redials:
            self.tell_of(connection, "HANDSHAKE", f"{connection.dialled} has another network by now;"
                                                  f" {self.how_to_change_network()} to join it")
        elif connection.dialled is None:
            self.tell_of(connection, "HANDSHAKE", f"{connection.says_it_listens} calls from another network;"
                                                  " start it again there to join this one")
        else:
            self.tell_of(connection, "HANDSHAKE", f"{connection.remote} belongs to another network, expected this one")
        self.send_away(connection, "HANDSHAKE", reason)

    def how_to_change_network(self) -> str:
        """What the user does to have this node in another network."""
        return "start this node again"

    def check_network(self, connection: Connection, name: str | None) -> None:
        """HandshakeError unless the peer is of this network, or one of the two is joining by this connection."""
        if self.network_name is None:
            if connection is not self.joining:
                raise HandshakeError("this node is still joining")

    def on_error(self, connection: Connection, message: Message, frame: bytes) -> None:
        """The peer says why it ends the connection. One that is only busy is called again to join, without a word."""
        reason = f"{connection.remote} says: {message['reason']}"
        if connection is self.joining and message["code"] == "BUSY":
            self.join_failure = reason
            connection.close()
            return
        self.tell_of(connection, message["code"], reason, message["reason"])
        connection.close()
        if connection is self.joining:
            self.on_join_failed("the peer has refused this node")

    def on_ping(self, connection: Connection, message: Message, frame: bytes) -> None:
        """A barrier: all that came before on this connection has been handled (contract §2)."""
        connection.send(encode_frame({"type": "pong", "nonce": message["nonce"]}))

    def on_pong(self, connection: Connection, message: Message, frame: bytes) -> None:
        """The peer has handled what was sent before the ping."""
        for part in self.parts:
            part.on_pong(connection, message["nonce"])

    def flood(self, frame: bytes, source: Connection | None) -> None:
        """Send a new and valid frame on every link but the one it came from, which was useful: as the bytes that came,
        or, a block, as it is kept."""
        if source is not None:
            source.useful_at = source.heard
        self.pass_on(frame, source)

    def pass_on(self, frame: bytes, source: Connection | None) -> None:
        """Flood what is new and costs nothing to make."""
        self.seen_frames.add(hash(frame))
        for connection in self.links:
            if connection is not source:
                connection.send(frame)

    # --- bad input ------------------------------------------------------------------------------

    def refuse(self, connection: Connection, code: str, reason: str) -> None:
        """Tell a peer what it did wrong, and end its connection."""
        if connection.is_open:
            self.tell_of(connection, code, f"{connection.remote}: {reason}", reason)
            self.send_away(connection, code, reason)

    def send_away(self, connection: Connection, code: str, reason: str) -> None:
        """End a connection for what the peer did. If this node was to join by it, another call would end likewise."""
        self.close_with_error(connection, code, reason)
        if connection is self.joining:
            self.on_join_failed("the connection was closed before the node had joined")

    def hang_up(self, connection: Connection, reason: str) -> None:
        """End a connection between two nodes that both join. Whoever has called calls again, so no user is told."""
        if connection is self.joining:
            self.join_failure = reason
        self.close_with_error(connection, "HANDSHAKE", reason)

    def close_with_error(self, connection: Connection, code: str, reason: str) -> None:
        """Tell the peer why its connection ends, and end it."""
        connection.send(encode_frame({"type": "error", "code": code, "reason": reason}))
        connection.was_refused = True
        connection.close()

    def on_invalid(self, connection: Connection, reason: str) -> None:
        """An invalid message is ignored, and the tenth is enough. Its sender gets one line here, not ten."""
        connection.invalid += 1
        self.report_invalid(connection, reason)
        if connection.invalid >= MAX_INVALID:
            self.send_away(connection, "INVALID", reason)

    def report_invalid(self, connection: Connection, reason: str) -> None:
        """Tell the user that a peer has sent something invalid: one line for each connection."""
        if not connection.was_reported:
            connection.was_reported = True
            self.report_error("INVALID", f"{connection.remote}: {reason}")

    # --- words for the user ---------------------------------------------------------------------

    def report(self, event: str, **members: Any) -> None:
        """Tell the user what happened: an event of contract §4."""
        self.network.report(event, members)

    def report_error(self, code: str, reason: str) -> None:
        """Tell the user in one line what went wrong."""
        self.report("error", code=code, reason=reason)

    def tell_of(self, connection: Connection, code: str, line: str, reason: str | None = None) -> None:
        """Tell the user what is wrong with a peer: once for its address and for this reason (that without a port which
        changes), since both ends call again for as long as they run."""
        address = connection.dialled or connection.says_it_listens or connection.remote
        self.tell_once(code, line, (address, code, line if reason is None else reason))

    def tell_once(self, code: str, line: str, about: tuple[str, ...] = ()) -> None:
        """Tell the user what is wrong, unless it was told: the same line, or another one about the same."""
        key = hash(about or (code, line))
        if key not in self.told:
            self.told.add(key)
            self.report_error(code, line)

    def make_nonce(self) -> str:
        """32 random hex digits, which make equal contents distinct (contract §1)."""
        return f"{self.network.random.getrandbits(128):032x}"
