"""Who is in the network, and to whom a node keeps connections (contract §3, stage 2).

All addresses lie on a ring in sorted order. A node connects to the ten that follow
its own, so that many must fail at once to part the network, and to two random ones,
so that a message needs a few hops and not a tenth of the ring.
"""

import random

from common.encoding import split_address
from common.limits import MAX_PEERS, RANDOM_LINKS, RING_LINKS


class Membership:
    """The list of peers of one node, its own address included."""

    def __init__(self, own: str, generator: random.Random) -> None:
        self.own = own
        self._generator = generator
        self._addresses = {own}
        self._picked: list[str] = []

    def __contains__(self, address: str) -> bool:
        return address in self._addresses

    def add(self, address: str) -> None:
        """Put `address` in the list, unless the list is full."""
        if len(self._addresses) < MAX_PEERS:
            self._addresses.add(address)

    def discard(self, address: str) -> None:
        """Take an address that does not answer out of the list; a node's own stays."""
        if address != self.own:
            self._addresses.discard(address)

    def sorted(self) -> list[str]:
        """All addresses, by host as text and then by port as a number."""
        return sorted(self._addresses, key=split_address)

    def successors(self) -> list[str]:
        """The ten addresses that follow this node's own, wrapping around; all others if there are fewer."""
        ring = self.sorted()
        start = ring.index(self.own) + 1
        return (ring[start:] + ring[:start - 1])[:RING_LINKS]

    def wanted(self) -> list[str]:
        """The addresses to be connected to: the successors, and two that were picked at random for good."""
        successors = self.successors()
        self._picked = [address for address in self._picked if address in self and address not in successors]
        others = sorted(self._addresses - {self.own, *successors, *self._picked})
        count = min(len(others), RANDOM_LINKS - len(self._picked))
        self._picked += self._generator.sample(others, count)
        return successors + self._picked
