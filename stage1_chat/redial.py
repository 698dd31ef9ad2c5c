"""A lost connection to `--peer` is opened again, at growing intervals (contract §2)."""

from collections.abc import Callable

from common.interface import Connection, Network
from stage1_chat.limits import FIRST_REDIAL, LAST_REDIAL


class Redial:
    """A lost address that is called again."""

    def __init__(self, lost_at: float, lasted: float, is_unproven: bool) -> None:
        self.lost_at = lost_at
        """In seconds of `Network.now`."""
        self.lasted = lasted
        """For how many seconds there was a link to it."""
        self.is_unproven = is_unproven
        """Has this node never reached the peer at this address? Then the address is only what the peer, which has
        called, claims to listen at. It may be anybody's."""
        self.wait: float = FIRST_REDIAL
        """Seconds before the next call."""
        self.is_planned = False
        """Is a call planned? False while a call is under way, and while its connection is not linked yet."""


class Redials:
    """All lost addresses of one node that are called again."""

    def __init__(self, network: Network, is_linked: Callable[[str], bool]) -> None:
        """`is_linked` tells whether there is a link to an address, so that no call is needed."""
        self._network = network
        self._is_linked = is_linked
        self._redials: dict[str, Redial] = {}
        self._next_waits: dict[Connection, float] = {}
        """Links to addresses that had been lost, and the seconds to wait if they are lost again soon."""

    def __contains__(self, address: str | None) -> bool:
        return address in self._redials

    def on_lost(self, connection: Connection) -> None:
        """Call the other end of a lost connection again. `PeeringNode.on_close` asks for it, if `is_redialled`."""
        address = connection.proven or connection.address or ""
        next_wait = self._next_waits.pop(connection, FIRST_REDIAL)
        lasted = self._network.now() - connection.opened
        redial = self._redials.setdefault(address, Redial(self._network.now(), lasted, connection.proven is None))
        if lasted < LAST_REDIAL:
            # The link did not last, and the next one may not last either: go on from the longer wait.
            redial.wait = max(redial.wait, next_wait)
        self._plan(address, redial)

    def on_no_answer(self, address: str) -> None:
        """A call has failed: try again after a longer wait, if it is an address that was lost."""
        if address in self._redials:
            self._plan(address, self._redials[address])

    def on_linked(self, connection: Connection) -> None:
        """There is a new link: a lost address that it is proven to lead to is no longer lost."""
        for address in (connection.address, connection.dialled):
            if address in self._redials and self._is_linked(address):
                redial = self._redials.pop(address)
                self._next_waits[connection] = redial.wait

    def on_gone(self, connection: Connection) -> None:
        """A connection has ended, and this node does not open it again."""
        self._next_waits.pop(connection, None)
        redial = self._redials.get(connection.dialled or "")
        if redial is not None and not redial.is_planned:
            del self._redials[connection.dialled or ""]  # otherwise it would keep its place, but never be called

    def _plan(self, address: str, redial: Redial) -> None:
        if not redial.is_planned:
            redial.is_planned = True
            self._network.after(redial.wait, lambda: self._call(address, redial))
            redial.wait = min(2 * redial.wait, LAST_REDIAL)

    def _call(self, address: str, redial: Redial) -> None:
        if self._redials.get(address) is not redial:
            return  # it has come back since
        redial.is_planned = False
        if self._is_linked(address):
            self._plan(address, redial)  # the link may be under another name, and this one may lead elsewhere
        else:
            self._network.connect(address)
