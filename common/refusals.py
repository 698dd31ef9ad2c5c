"""Bad input: how a node ends the connection that brought it, and what it tells its user (contract §2, §4)."""

from collections.abc import Callable
from typing import ClassVar, Protocol

from common.bounded import Recent
from common.encoding import Field, Message, Shape, encode_frame, is_text
from common.interface import Connection
from common.parts import Part
from common.limits import HELLO_SECONDS, MAX_INVALID, MAX_TOLD_LINES

MAX_REASON = 4_096
"""Characters of an `error`'s reason."""


class Joining(Protocol):
    """How the node joins its network, as `Refusals` sees it."""

    def is_by(self, connection: Connection) -> bool:
        """Is this the connection that the node joins by?"""

    def on_not_ready(self, connection: Connection, reason: str) -> None:
        """The other end is there, and cannot let this node join yet."""

    def on_refused(self, connection: Connection, reason: str) -> None:
        """A connection has ended for a reason that would end another call, too."""


class Refusals(Part):
    """Ends connections for what their peers did, and hears why peers end them."""

    SHAPES: ClassVar[dict[str, Shape]] = {
        "error": {"code": Field(lambda value: is_text(value, 1, 32), "a code"),
                  "reason": Field(lambda value: is_text(value, 0, MAX_REASON), "a reason")},
    }

    def __init__(self, joining: Joining, report_error: Callable[[str, str], None]) -> None:
        """`report_error` tells the user in one line, with a code, what went wrong."""
        self._joining = joining
        self._report_error = report_error
        self._told = Recent(MAX_TOLD_LINES)
        """Hashes of what the user was told about an address, and need not hear again at each call."""

    def refuse(self, connection: Connection, code: str, reason: str) -> None:
        """Tell the user and the peer what it did wrong, and end its connection."""
        if connection.is_open:
            self.tell_of(connection, code, f"{connection.remote}: {reason}", reason)
            self.send_away(connection, code, reason)

    def send_away(self, connection: Connection, code: str, reason: str) -> None:
        """End a connection for what the peer did. A node that was joining by it gives
        up: another call would end the same way."""
        self.close_with_error(connection, code, reason)
        self._joining.on_refused(connection, "the connection was closed before the node had joined")

    def hang_up(self, connection: Connection, reason: str) -> None:
        """End a connection between two nodes that are both joining. The caller calls again, so no user is told."""
        self._joining.on_not_ready(connection, reason)
        self.close_with_error(connection, "HANDSHAKE", reason)

    def check_hello(self, connection: Connection) -> None:
        """End a connection that has not said hello in time. A node that joins by it
        sends no error: the peer may be starting, and would read the error later and show it to its user."""
        reason = f"no hello within {HELLO_SECONDS:.0f} seconds"
        if connection.is_open and connection.address is None and self._joining.is_by(connection):
            self._joining.on_not_ready(connection, reason)
            connection.close()
        elif connection.is_open and connection.address is None:
            self.refuse(connection, "HANDSHAKE", reason)

    def close_with_error(self, connection: Connection, code: str, reason: str) -> None:
        """Tell the peer why its connection ends, and end it."""
        connection.was_refused = True
        connection.send(encode_frame({"type": "error", "code": code, "reason": reason}))
        connection.close()

    def on_another_network(self, connection: Connection, is_lost: bool, other_options: str) -> None:
        """The peer is in another network. If `is_lost`, it was in this one before, and may have founded another. Only
        if it is `--peer`, this node goes on calling it. `other_options` must change, too, if the user wants to follow
        it."""
        self.tell_of(connection, "HANDSHAKE", another_network_words(connection, is_lost, other_options))
        self.send_away(connection, "HANDSHAKE", "another network")

    def count_invalid(self, connection: Connection, reason: str) -> None:
        """Ignore an invalid message; the tenth ends the connection. The user gets one line about it, not ten."""
        connection.invalid += 1
        self.report_invalid(connection, reason)
        if connection.invalid >= MAX_INVALID:
            self.send_away(connection, "INVALID", reason)

    def report_invalid(self, connection: Connection, reason: str) -> None:
        """Tell the user that a peer has sent something invalid: one line for each connection."""
        if not connection.was_reported:
            connection.was_reported = True
            self._report_error("INVALID", f"{connection.remote}: {reason}")

    def tell_of(self, connection: Connection, code: str, line: str, reason: str | None = None) -> None:
        """Tell the user what is wrong with a peer: once for each address and reason, since both ends call again for as
        long as they run. `reason` is the line without the peer's port, where that changes with each call."""
        address = connection.dialled or connection.claimed_address or connection.remote
        self.tell_once(code, line, (address, code, line if reason is None else reason))

    def tell_once(self, code: str, line: str, about: tuple[str, ...]) -> None:
        """Tell the user what is wrong, unless that was done before: `about` says what counts as the same."""
        key = hash(about)
        if key not in self._told:
            self._told.add(key)
            self._report_error(code, line)

    def on_error(self, connection: Connection, message: Message, frame: bytes) -> None:
        """The peer says why it ends the connection. If this node joins by it and the peer is only busy, the user is not
        told: the node calls again."""
        reason = f"{connection.remote} says: {message['reason']}"
        if self._joining.is_by(connection) and message["code"] == "BUSY":
            self._joining.on_not_ready(connection, reason)
            connection.close()
            return
        self.tell_of(connection, message["code"], reason, message["reason"])
        connection.close()
        self._joining.on_refused(connection, "the peer has refused this node")


def another_network_words(connection: Connection, is_lost: bool, other_options: str) -> str:
    """What the user is told of a peer in another network; `is_lost`: it was in this one. If the peer calls, it is the
    peer's user who has to do something."""
    if is_lost:
        return (f"{connection.dialled} is in another network by now; to follow it, start this node again with"
                f" {other_options}--peer {connection.dialled}")
    if connection.dialled is None:
        return (f"{connection.claimed_address} calls from another network; to have it join this one, start that node"
                " again (with another folder, if it has --data)")
    return f"{connection.remote} belongs to another network, not to this node's"
