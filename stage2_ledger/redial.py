"""Every lost neighbour is called again, for an hour (contract §2).

Unlike stage 1, where it is `--peer` alone:
- how many, and for how long, is bounded: anybody can name any address as its own, and a node must not become a tool to
  knock on strangers' doors;
- what was known before a crash is called as if it had been lost.
"""

import math
from collections.abc import Callable

from common.interface import Connection, Network
from stage1_chat.limits import FIRST_REDIAL
from stage1_chat.redial import Redial, Redials
from stage2_ledger.limits import MAX_CALLED_BACK, MAX_REDIALS, REDIAL_FOR


class LostPeers(Redials):
    """All lost addresses of one node that are called again: that of `--peer` without end, the others for a while."""

    def __init__(self, network: Network, is_linked: Callable[[str], bool], is_for_ever: Callable[[str], bool]) -> None:
        """`is_for_ever` tells whether an address is that of `--peer`."""
        super().__init__(network, is_linked)
        self._is_for_ever = is_for_ever

    def is_wanted(self, connection: Connection) -> bool:
        """Must this lost connection be opened again? Not if the two have another link, or if this node ended it."""
        address = connection.proven or connection.address or ""
        has_been_linked = connection.address is not None or address in self._redials
        return has_been_linked and not connection.was_refused and not self._is_linked(address)

    def was_lost(self, connection: Connection) -> bool:
        """Was the other end of this link lost before, or does it at least say that it is at a lost address?"""
        return connection in self._next_waits or not {connection.address, connection.dialled}.isdisjoint(self._redials)

    def on_lost(self, connection: Connection) -> None:
        """Call the other end of a lost connection again, unless too many are called already."""
        address = connection.proven or connection.address or ""
        lasted = self._network.now() - connection.opened
        is_in = address in self._redials or self._is_for_ever(address)
        if is_in or self._make_room(connection.proven is None, lasted):
            super().on_lost(connection)
        else:
            self.on_gone(connection)

    def call_now(self, address: str) -> None:
        """Call an address that was known before, now and then at growing intervals."""
        self._redials.setdefault(address, Redial(self._network.now(), math.inf, has_only_called=False))
        self._network.connect(address)

    def _make_room(self, has_only_called: bool, lasted: float) -> bool:
        """Is there room for one more? If not, the one whose link lasted shortest gives way to one that lasted more than
        twice as long. A peer that comes and goes under many names must not take the places of those that stayed.
        Nor must it have all its names called by staying a little longer with each."""
        rivals = [one for one, redial in self._redials.items() if redial.has_only_called or not has_only_called]
        if len(rivals) < (MAX_CALLED_BACK if has_only_called else MAX_REDIALS):
            return True
        shortest = min(rivals, key=lambda one: (self._is_for_ever(one), self._redials[one].lasted))
        if self._is_for_ever(shortest) or 2 * max(FIRST_REDIAL, self._redials[shortest].lasted) >= lasted:
            return False
        del self._redials[shortest]
        return True

    def _call(self, address: str, redial: Redial) -> None:
        is_over = self._is_linked(address) or self._network.now() - redial.lost_at > REDIAL_FOR
        if is_over and not self._is_for_ever(address) and self._redials.get(address) is redial:
            del self._redials[address]
        else:
            super()._call(address, redial)
