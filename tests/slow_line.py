"""A world in memory with nodes on slow lines: each receives a limited number of bytes a second on all connections."""

from lab.simulation import MemoryConnection, World


class SlowWorld(World):
    """A world in which some nodes receive slowly."""

    def __init__(self, seed: int = 1, longest_delay: float = 0.0) -> None:
        super().__init__(seed, longest_delay=longest_delay)
        self.rates: dict[str, float] = {}
        """Address of a node -> the bytes a second that it can receive."""
        self.received: dict[str, int] = {}
        """Address of such a node -> the bytes that it has received so far."""
        self._free_at: dict[str, float] = {}

    def step(self) -> bool:
        """Deliver one frame on a random connection whose line is free."""
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
        """A frame has arrived. The next one comes when the line has carried `size` bytes."""
        self.received[address] = self.received.get(address, 0) + size
        self._free_at[address] = self.now + size / self.rates[address]
        self.after(size / self.rates[address], lambda: None)  # so that time passes until the line is free
