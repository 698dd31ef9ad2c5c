"""What waits to be written, and how fast it goes. No socket and no thread is made here; two threads use it.

The node's thread collects, and hands over when its handlers are done. The writer thread takes `pieces` and writes them.
"""

import math
import queue
import time
from collections.abc import Callable, Iterator

from common.limits import LARGE_BYTES, PACE_SECONDS, WRITE_BYTES


class Pace:
    """How much has moved lately, in one direction of one connection. One thread adds, any may look."""

    def __init__(self) -> None:
        self._last = (0.0, 0.0)
        """How many bytes, and at what time in seconds. One tuple, so that no thread ever sees half of a change."""

    def add(self, count: int, now: float) -> None:
        """`count` bytes have moved. The sum never exceeds a mebibyte: a peer's system may take much in one piece, and
        that says little about how fast its connection is."""
        self._last = (min(LARGE_BYTES, self.at(now) + count), now)

    def at(self, now: float) -> float:
        """The bytes that have moved lately: those of a second ago count about a third, of two seconds ago a seventh."""
        moved, then = self._last
        return moved * math.exp((then - now) / PACE_SECONDS)


class Outbox:
    """What waits for one writer thread: it calls `pieces` and `end`, and the node's thread calls the rest.

    The two byte counters have one writer each, so that no lock is needed to know how much waits.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` gives the time in seconds."""
        self._now = now
        self._collected: list[bytes] = []
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._bytes_in = self._bytes_out = 0
        self.pace = Pace()
        """How much was written lately."""
        self.spent = 0.0
        """The processor time that the writer has taken, in seconds."""
        self.is_closed = False
        self.has_ended = False
        """Has the writer ended?"""

    @property
    def is_empty(self) -> bool:
        """Has nothing been collected since the last `hand_over`? Bytes that were handed over before may still wait."""
        return not self._collected

    @property
    def waiting(self) -> int:
        """Bytes that were collected and are not written yet."""
        return self._bytes_in - self._bytes_out

    def collect(self, data: bytes) -> None:
        """Keep `data` until `hand_over`."""
        self._collected.append(data)
        self._bytes_in += len(data)

    def forget_collected(self) -> None:
        """Discard what was collected since the last `hand_over`: it is never written."""
        self._bytes_in -= sum(map(len, self._collected))
        self._collected.clear()

    def hand_over(self) -> None:
        """Let the writer have all that was collected, in one piece."""
        if self._collected and not self.is_closed and not self.has_ended:
            self._queue.put(b"".join(self._collected))
        self._collected.clear()

    def close(self) -> None:
        """Let the writer write what waits, and end."""
        self.hand_over()
        if not self.is_closed:
            self.is_closed = True
            self._queue.put(None)

    def pieces(self) -> Iterator[bytes]:
        """The bytes to write, piece by piece, until the outbox is closed; waits while there is nothing. Asking for the
        next piece says that the one before has been written."""
        while (data := self._queue.get()) is not None:
            for start in range(0, len(data), WRITE_BYTES):
                piece = data[start:start + WRITE_BYTES]
                yield piece
                self._bytes_out += len(piece)
                if self.waiting > WRITE_BYTES:  # otherwise nobody looks at the pace
                    self.pace.add(len(piece), self._now())
            self.spent = time.thread_time()

    def end(self) -> None:
        """The writer has ended: drop what is still queued."""
        self.has_ended = True
        # It may be megabytes, and something may refer to this outbox for a while.
        self._queue = queue.SimpleQueue()
