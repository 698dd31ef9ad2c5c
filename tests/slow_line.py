"""A world in memory in which a node is on a slow line: so many bytes a second, over all its connections together."""

from lab.simulation import MemoryConnection, World


class SlowWorld(World):
    """A world in which some nodes receive slowly."""

    def __init__(self, seed: int = 1, longest_delay: float = 0.0) -> None:
        super().__init__(seed, longest_delay=longest_delay)
        self.rates: dict[str, float] = {}
        """Bytes a second that a node can receive, by its address."""
        self.received: dict[str, int] = {}
        """Bytes that each of them has received so far."""
        self._free_at: dict[str, float] = {}

    def step(self) -> bool:
        """Deliver one frame on a connection picked at random, of those whose line is free."""
        busy = [end for end in self.connections if end.arriving and self._is_free(end)]
        if not busy:
            return False
        end = self.random.choice(busy)
        address = end.owner.address
        if address in self.rates:
            self._carry(address, len(end.arriving[0] or b""))
        if self.networks[address].is_running:
            end.deliver()
        else:
            end.arriving.clear()
        return True

    def _is_free(self, end: MemoryConnection) -> bool:
        return self._free_at.get(end.owner.address, 0.0) <= self.now

    def _carry(self, address: str, size: int) -> None:
        """A frame is there; the next one comes when the line has carried that many bytes."""
        self.received[address] = self.received.get(address, 0) + size
        self._free_at[address] = self.now + size / self.rates[address]
        self.after(size / self.rates[address], lambda: None)  # the time at which something can go on
