"""Lost addresses are called again, at growing intervals (contract §2).

How many, and for how long, is bounded: anybody can name any address as its own, and a node
must not become a tool to knock on strangers' doors.
"""

import math
from collections.abc import Callable

from common.interface import Connection, Network
from stage1_chat.limits import FIRST_REDIAL, LAST_REDIAL, MAX_CALLED_BACK, MAX_REDIALS, REDIAL_FOR


class Redial:
    """A lost address that is called again."""

    def __init__(self, lost_at: float, has_only_called: bool, lasted: float) -> None:
        self.lost_at = lost_at
        self.lasted = lasted
        """For how many seconds there was a link to it."""
        self.has_only_called = has_only_called
        """Has this node never reached it? Then the address is what the peer said, and may be anybody's."""
        self.wait = FIRST_REDIAL
        """Seconds before the next call."""
        self.is_planned = False
        """Is a call planned? None is while one is on its way, or while its connection has not proven to be the one."""


class Redials:
    """All lost addresses of one node that are called again."""

    def __init__(self, network: Network, is_linked: Callable[[str], bool], is_for_ever: Callable[[str], bool]) -> None:
        """`is_linked` tells whether there is a link to an address, so that no call is needed. `is_for_ever` tells
        whether it is the address of `--peer`, which is called without end."""
        self._network = network
        self._is_linked = is_linked
        self._is_for_ever = is_for_ever
        self._redials: dict[str, Redial] = {}
        self._next_waits: dict[Connection, float] = {}
        """Links that had to be called again, and the seconds to wait should they be lost again soon."""

    def __contains__(self, address: str | None) -> bool:
        return address in self._redials

    def is_wanted(self, connection: Connection) -> bool:
        """Is this lost connection to be opened again? Not if the two are linked otherwise, or if this node ended it."""
        address = connection.proven or connection.address or ""
        has_been_linked = connection.address is not None or address in self._redials
        return has_been_linked and not connection.was_refused and not self._is_linked(address)

    def on_lost(self, connection: Connection) -> None:
        """Call the other end of a lost connection again, unless too many are called already."""
        address = connection.proven or connection.address or ""
        next_wait = self._next_waits.pop(connection, FIRST_REDIAL)
        lasted = self._network.now() - connection.opened
        has_only_called = connection.proven is None
        if address in self._redials or self._is_for_ever(address) or self._make_room(has_only_called, lasted):
            redial = self._redials.setdefault(address, Redial(self._network.now(), has_only_called, lasted))
            if lasted < LAST_REDIAL:
                # It did not last, and may not last next time.
                redial.wait = max(redial.wait, next_wait)
            self._plan(address, redial)

    def on_no_answer(self, address: str) -> None:
        """A call was in vain: try again after a longer wait, if it is an address that was lost."""
        if address in self._redials:
            self._plan(address, self._redials[address])

    def on_linked(self, connection: Connection) -> None:
        """The other end of this connection is no longer lost, if it has proven to be the one."""
        for address in (connection.address, connection.dialled):
            if address in self._redials and self._is_linked(address):
                redial = self._redials.pop(address)
                self._next_waits[connection] = redial.wait

    def was_lost(self, connection: Connection) -> bool:
        """Was the other end of this link lost before? Also if it only says that it is at a lost address."""
        return connection in self._next_waits or not {connection.address, connection.dialled}.isdisjoint(self._redials)

    def on_gone(self, connection: Connection) -> None:
        """A connection has ended, and this node does not open it again."""
        self._next_waits.pop(connection, None)
        redial = self._redials.get(connection.dialled or "")
        if redial is not None and not redial.is_planned:
            del self._redials[connection.dialled or ""]  # nobody would call it, and it would take up a place

    def call_now(self, address: str) -> None:
        """Call an address that was known before, now and then at growing intervals."""
        self._redials.setdefault(address, Redial(self._network.now(), has_only_called=False, lasted=math.inf))
        self._network.connect(address)

    def _make_room(self, has_only_called: bool, lasted: float) -> bool:
        """Is there room for one more? If not, the one whose link lasted shortest gives way to one that lasted more than
        twice as long. Whoever comes and goes under many names must not take the places of those that stayed. Nor must
        it have all its names called by staying a little longer with each."""
        rivals = [one for one, redial in self._redials.items() if redial.has_only_called or not has_only_called]
        if len(rivals) < (MAX_CALLED_BACK if has_only_called else MAX_REDIALS):
            return True
        shortest = min(rivals, key=lambda one: (self._is_for_ever(one), self._redials[one].lasted))
        if self._is_for_ever(shortest) or 2 * max(FIRST_REDIAL, self._redials[shortest].lasted) >= lasted:
            return False
        del self._redials[shortest]
        return True

    def _plan(self, address: str, redial: Redial) -> None:
        if not redial.is_planned:
            redial.is_planned = True
            self._network.after(redial.wait, lambda: self._call(address, redial))
            redial.wait = min(2 * redial.wait, LAST_REDIAL)

    def _call(self, address: str, redial: Redial) -> None:
        if self._redials.get(address) is not redial:
            return  # it has come back since
        redial.is_planned = False
        if not self._is_for_ever(address) and self._network.now() - redial.lost_at > REDIAL_FOR:
            del self._redials[address]
        elif not self._is_linked(address):
            self._network.connect(address)
        elif self._is_for_ever(address):
            self._plan(address, redial)  # the link may be known by another name, and this one may lead elsewhere later
        else:
            del self._redials[address]
