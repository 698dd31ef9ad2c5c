"""A world in memory with nodes on slow lines: each receives a limited number of bytes a second on all connections."""

from lab.simulation import MemoryConnection, World


class SlowWorld(World):
    """A world in which some nodes receive slowly: one frame after the other, each when its last byte is there."""

    def __init__(self, seed: int = 1, longest_delay: float = 0.0) -> None:
        super().__init__(seed, longest_delay=longest_delay)
        self.rates: dict[str, float] = {}
        """Address of a node -> the bytes a second that it can receive."""
        self.received: dict[str, int] = {}
        """Address of such a node -> the bytes that it has received so far."""
        self._on_line: dict[str, tuple[MemoryConnection, float]] = {}
        """Address of such a node -> the connection whose next frame its line carries, and when all of that is there."""

    def step(self) -> bool:
        """Deliver one frame on a random connection for which one is there."""
        waiting = [end for end in self.connections if end.arriving]
        self._carry([end for end in waiting if end.owner.address in self.rates])
        there = [end for end in waiting if self._is_there(end)]
        if not there:
            return False
        end = self.random.choice(there)
        address = end.owner.address
        if address in self.rates:
            self.received[address] = self.received.get(address, 0) + len(end.arriving[0] or b"")
            del self._on_line[address]
        if self.networks[address].is_running:
            end.deliver()
        else:
            end.arriving.clear()
        return True

    def _carry(self, waiting: list[MemoryConnection]) -> None:
        """Let each line that is free carry the next frame of a random connection."""
        for address in dict.fromkeys(end.owner.address for end in waiting):
            ends = [end for end in waiting if end.owner.address == address]
            if address in self._on_line and self._on_line[address][0] in ends:
                continue
            end = self.random.choice(ends)
            seconds = len(end.arriving[0] or b"") / self.rates[address]
            self._on_line[address] = end, self.now + seconds
            self.after(seconds, lambda: None)  # so that time passes until the frame is there

    def _is_there(self, end: MemoryConnection) -> bool:
        if end.owner.address not in self.rates:
            return True
        carried, at = self._on_line[end.owner.address]
        return carried is end and at <= self.now
