"""Every lost neighbour is called again, for an hour (contract §2).

Unlike stage 1, where it is `--peer` alone:
- the number of addresses and the time are bounded: anybody can name any address as its own, and nobody must be able to
  make a node call strangers;
- peers that were known before a crash are called as if they had been lost.
"""

import math
from collections.abc import Callable

from common.interface import Connection, Network
from stage1_chat.limits import FIRST_REDIAL
from stage1_chat.redial import Redial, Redials
from stage2_ledger.limits import MAX_UNPROVEN_REDIALS, MAX_REDIALS, REDIAL_FOR


class LostPeers(Redials):
    """All lost addresses of one node that are called again: that of `--peer` forever, the others for an hour."""

    def __init__(self, network: Network, is_linked: Callable[[str], bool], is_permanent: Callable[[str], bool]) -> None:
        """`is_permanent` tells whether an address is that of `--peer`."""
        super().__init__(network, is_linked)
        self._is_permanent = is_permanent

    def is_wanted(self, connection: Connection) -> bool:
        """Must this lost connection be opened again? Not if there is another link to that peer, or if this node has
        refused it."""
        address = connection.proven or connection.address or ""
        has_been_linked = connection.address is not None or address in self._redials
        return has_been_linked and not connection.was_refused and not self._is_linked(address)

    def was_lost(self, connection: Connection) -> bool:
        """Was the other end of this link lost before, or does it claim a lost address as its own?"""
        return connection in self._next_waits or not {connection.address, connection.dialled}.isdisjoint(self._redials)

    def on_lost(self, connection: Connection) -> None:
        """Call the other end of a lost connection again, unless too many are called already. For that of `--peer` there
        is always room."""
        address = connection.proven or connection.address or ""
        lasted = self._network.now() - connection.opened
        is_in = address in self._redials or self._is_permanent(address)
        if is_in or self._make_room(connection.proven is None, lasted):
            super().on_lost(connection)
        else:
            self.on_gone(connection)

    def call_now(self, address: str) -> None:
        """Call an address that was known before a crash: at once, and if it does not answer, at growing intervals."""
        self._redials.setdefault(address, Redial(self._network.now(), math.inf, is_unproven=False))
        self._network.connect(address)

    def _make_room(self, is_unproven: bool, lasted: float) -> bool:
        """Is there room for one more? If not, the address whose link was the shortest is given up for one whose link
        lasted more than twice as long. Why the link's length? A peer that comes and goes under many names must not take
        the places of peers that stayed. Why twice? Otherwise it could stay a little longer with each new name."""
        rivals = [one for one, redial in self._redials.items() if redial.is_unproven or not is_unproven]
        if len(rivals) < (MAX_UNPROVEN_REDIALS if is_unproven else MAX_REDIALS):
            return True
        shortest = min(rivals, key=lambda one: (self._is_permanent(one), self._redials[one].lasted))
        if self._is_permanent(shortest) or 2 * max(FIRST_REDIAL, self._redials[shortest].lasted) >= lasted:
            return False
        del self._redials[shortest]
        return True

    def _call(self, address: str, redial: Redial) -> None:
        is_over = self._is_linked(address) or self._network.now() - redial.lost_at > REDIAL_FOR
        if is_over and not self._is_permanent(address) and self._redials.get(address) is redial:
            del self._redials[address]
        else:
            super()._call(address, redial)
