"""How a node joins a network when it starts: it calls `--peer` until it has joined (contract §4).

It joins by one connection at a time. If that ends, it calls again while there is time, since the peer may be about to
start. When the time is up, or the peer is a node of another kind, it founds a network of its own.
"""

from collections.abc import Callable

from common.interface import Connection, Network
from common.limits import HELLO_SECONDS
from stage1_chat.limits import JOIN_AGAIN_SECONDS
from stage1_chat.neighbours import Neighbours


class Joining:
    """The calls of one node to the peer by which it joins."""

    def __init__(self, network: Network, neighbours: Neighbours, seconds: float, is_over: Callable[[], bool],
                 found_network: Callable[[], None], report_error: Callable[[str, str], None]) -> None:
        """The peer is called for `seconds`, or until `is_over` says that this node belongs to a network."""
        self._network = network
        self._neighbours = neighbours
        self._seconds = seconds
        self._is_over = is_over
        self._found_network = found_network
        self._report_error = report_error
        self._until = 0.0
        """The end of that time, in seconds of `Network.now`."""
        self._failure = ""
        """Why the last try has failed."""
        self._connection: Connection | None = None
        """The connection that this node joins by, from its opening until it is linked."""

    def start(self, peer: str) -> None:
        """Call the peer for the first time. When the time is over (after 5 s at least), give up. The reason is that of
        the last failure, or "no answer within 5 seconds"."""
        limit = max(self._seconds, HELLO_SECONDS)  # a call always gets the time for a hello, even if --wait is shorter
        self._until = self._network.now() + self._seconds
        self._network.after(limit, lambda: self.give_up(self._failure or f"no answer within {limit:g} seconds"))
        self._network.connect(peer)

    def is_by(self, connection: Connection) -> bool:
        """Is this the connection that the node joins by?"""
        return connection is self._connection

    def is_to(self, address: str) -> bool:
        """Is this node still joining, and is this the address that it joins by?"""
        return not self._is_over() and address == self._neighbours.peer

    def on_open(self, connection: Connection) -> None:
        """If this is the connection that was called for, join by it."""
        if self._connection is None and connection.dialled is not None and self.is_to(connection.dialled):
            self._connection, self._failure = connection, ""

    def on_linked(self, connection: Connection) -> None:
        """The handshake is done."""
        if self.is_by(connection):
            self._connection = None

    def on_not_ready(self, connection: Connection, reason: str) -> None:
        """The other end is there, and cannot let this node join yet: keep the reason. The connection ends next, and
        `on_closed` calls again."""
        if self.is_by(connection):
            self._failure = reason

    def on_closed(self) -> None:
        """The connection that the node joined by has ended: this call has failed, for the reason that was kept, or
        since "the connection was closed before the node had joined"."""
        self.on_failed(self._failure or "the connection was closed before the node had joined")

    def on_failed(self, reason: str) -> None:
        """A call has failed. Call again while there is time: the peer may be about to start (contract §4)."""
        self._connection, self._failure = None, reason
        if self._network.now() < self._until:
            self._network.after(JOIN_AGAIN_SECONDS, self._call_again)
        else:
            self.give_up(reason)

    def on_refused(self, connection: Connection, reason: str) -> None:
        """A connection has ended for a reason that would end another call, too."""
        if self.is_by(connection):
            self.give_up(reason)

    def give_up(self, reason: str) -> None:
        """There is nobody to join, or nobody of this kind: stop calling this peer, and found a network. Then tell the
        user why, in the last line that is printed at the start: NETWORK, "PEER: REASON; this is a network of its own;
        nobody else is in it" (contract §4)."""
        if not self._is_over():
            if self._connection is not None:
                self._connection.was_refused = True
                self._connection.close()
            peer, self._neighbours.peer, self._connection = self._neighbours.peer, None, None
            self._found_network()
            outcome = "; this is a network of its own; nobody else is in it" if self._is_over() else ""
            self._report_error("NETWORK", f"{peer}: {reason}{outcome}")

    def _call_again(self) -> None:
        if not self._is_over() and self._neighbours.peer is not None:
            self._network.connect(self._neighbours.peer)
