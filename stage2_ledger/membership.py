"""Who is in the network, and to whom a node keeps connections (contract §3, stage 2).

All addresses lie on a ring in sorted order. A node connects to the ten that follow
its own, so that many must fail at once to split the network, and to two random ones,
so that a message needs a few hops and not a tenth of the ring.
"""

import random
from bisect import bisect_left
from itertools import islice

from common.bounded import Recent
from common.encoding import split_address
from stage2_ledger.limits import MAX_ALIASES, MAX_PEERS, RANDOM_LINKS, RING_LINKS


class Membership:
    """The list of peers of one node, its own address included."""

    def __init__(self, own: str, generator: random.Random) -> None:
        self.own = own
        self._generator = generator
        self._ring = [split_address(own)]
        """The addresses as (host, port), always sorted: a list of 10,000 must not be sorted at every change."""
        self._picked: list[str] = []
        self._aliases = Recent(MAX_ALIASES)
        """Other names of nodes in the list. While a name is remembered here, it does not come into the list again."""
        self._unreachable: set[str] = set()
        """Addresses that do not answer. They stay in the list, since a linked caller has named them as its own."""

    def __contains__(self, address: str) -> bool:
        place = self._place(address)
        return place < len(self._ring) and self._ring[place] == split_address(address)

    def add(self, address: str) -> None:
        """Put `address` in the list, unless the list is full, or it is known as another name of somebody."""
        if len(self._ring) < MAX_PEERS and address not in self and address not in self._aliases:
            self._ring.insert(self._place(address), split_address(address))

    def add_reached(self, address: str) -> None:
        """Put into the list an address that was called and has answered. If the list is full, another one gives way:
        nearly all of ten thousand were only heard of."""
        if len(self._ring) >= MAX_PEERS and address not in self:
            host, port = self._generator.choice(self._ring)
            self.discard(f"{host}:{port}")
        self._aliases.discard(address)
        self.add(address)
        self._unreachable.discard(address)

    def cross_out(self, address: str) -> None:
        """This address is only another name of a node in the list: take it out, and remember that."""
        self.discard(address)
        self._aliases.add(address)

    def discard(self, address: str) -> None:
        """Take an address that does not answer out of the list; a node's own stays."""
        self._unreachable.discard(address)
        if address in self and address != self.own:
            del self._ring[self._place(address)]

    def set_aside(self, address: str) -> None:
        """Leave an address that does not answer in the list, but call others in its place."""
        if address in self:
            self._unreachable.add(address)

    def is_reachable(self, address: str) -> bool:
        """Is this address in the list, and not known as one that does not answer?"""
        return address in self and address not in self._unreachable

    def sorted(self) -> list[str]:
        """All addresses, by host as text and then by port as a number."""
        return [f"{host}:{port}" for host, port in self._ring]

    def successors(self) -> list[str]:
        """The ten addresses that follow this node's own, wrapping around; all others if there are fewer."""
        start = self._place(self.own) + 1
        following = (self._ring[(start + step) % len(self._ring)] for step in range(len(self._ring) - 1))
        addresses = (f"{host}:{port}" for host, port in following)
        return list(islice(filter(self.is_reachable, addresses), RING_LINKS))

    def wanted(self) -> list[str]:
        """The addresses to be connected to: the successors, and two that were once picked at random."""
        successors = self.successors()
        self._picked = [address for address in self._picked if self.is_reachable(address) and address not in successors]
        taken = {self.own, *successors, *self._picked, *self._unreachable}
        # Why two random links? They are shortcuts: on the ring alone a message moves only ten places a hop.
        # A sample of this size has enough free addresses, if there are enough at all.
        sample = self._generator.sample(self._ring, min(len(self._ring), len(taken) + RANDOM_LINKS))
        free = [address for host, port in sample if (address := f"{host}:{port}") not in taken]
        self._picked += free[:RANDOM_LINKS - len(self._picked)]
        return successors + self._picked

    def _place(self, address: str) -> int:
        return bisect_left(self._ring, split_address(address))
