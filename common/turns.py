"""Whose turn it is with the node's thread: everyone is served. No socket and no thread here.

The life of a batch, which is what one `recv` has brought, cut into frames (`Batches`):

    reader thread                                        the node's thread
    recv
     └─> Batches.add
           takes a free place: a connection has two,
           and while it has none its reader waits, so
           that TCP slows down the peer
           └─> Turns.put ──────────────────────────────> Turns.do_next
                                                          └─> Batches._take_or_postpone_turn
                                                               was its last turn costly? Then its next one is postponed
                                                               (Turns.postpone); one of these is taken every second
                                                               └─> Batches._take_turn
                                                                    handles frames for 10 ms
                                                                    └─> Batches._end_turn
                                                                         is anything left? Then Turns.put once more,
                                                                         otherwise the place is free again

There are two lines. One is for connections that this node has opened, for its user and for its own threads; the other
is for strangers, who may be many. While both lines have something, strangers get a sixth as much processor time as the
others. The time of their reader and writer threads counts, too. This is deficit round robin (Shreedhar and Varghese,
1995), with seconds in place of bytes.
"""

import queue
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from common.interface import Connection
from common.limits import (BATCHES_AHEAD, LARGE_BYTES, LONG_TURN_SECONDS, MAX_CREDIT, MAX_DEBT, MAX_POSTPONED_SECONDS,
                           OWN_SHARE, TURN_SECONDS)
from common.outbox import Pace

Item = tuple[Callable[..., None], tuple[Any, ...], float]
"""What is to be called, with which arguments, and the seconds that another thread has spent on it."""


class Line:
    """What waits for its turn, and what is postponed until nothing else waits."""

    def __init__(self) -> None:
        self.waiting: deque[Item] = deque()
        self.postponed: deque[Item] = deque()
        self.postponed_since = 0.0
        """Since when nothing of `postponed` has been done, in seconds."""

    def is_overdue(self, now: float) -> bool:
        """Is something postponed, and has nothing of it been done for longer than `MAX_POSTPONED_SECONDS`?"""
        return bool(self.postponed) and now > self.postponed_since + MAX_POSTPONED_SECONDS

    def take(self, now: float) -> Item:
        """Take out the next item: a postponed one if it is overdue, or nothing else waits."""
        if self.waiting and not self.is_overdue(now):
            return self.waiting.popleft()
        self.postponed_since = now
        return self.postponed.popleft()


class Turns:
    """What waits for one thread. Any thread may `put`; the rest is for that thread alone."""

    def __init__(self, now: Callable[[], float], spent: Callable[[], float]) -> None:
        """`now` gives the time in seconds, `spent` the processor time that the thread has taken. Why not the time on a
        clock? It also runs while the thread waits for the interpreter lock, which strangers' readers may hold."""
        self._now = now
        self._spent = spent
        self._inbox: queue.SimpleQueue[tuple[bool, Item]] = queue.SimpleQueue()
        """What has come and is not in its line yet. It is the one place where threads meet."""
        self._own, self._strangers = Line(), Line()
        self._debt = 0.0
        """Processor seconds that strangers have had beyond their share. A line's time counts only while it keeps the
        other one waiting."""

    def put(self, is_own: bool, handler: Callable[..., None], *arguments: Any, spent: float = 0.0) -> None:
        """Have `handler` called in its turn. `spent`: the processor time that it has cost already, in seconds."""
        self._inbox.put((is_own, (handler, arguments, spent)))

    def postpone(self, is_own: bool, handler: Callable[..., None], *arguments: Any) -> None:
        """Have `handler` called when nothing else in its line waits; a stranger's waits for both lines. If other work
        never ends, one postponed handler of each line is called every `MAX_POSTPONED_SECONDS`."""
        line = self._own if is_own else self._strangers
        if not line.postponed:
            line.postponed_since = self._now()
        line.postponed.append((handler, arguments, 0.0))

    def forget(self, handler: Callable[..., None]) -> None:
        """Forget a postponed `handler`: there is nothing left to handle."""
        for line in (self._own, self._strangers):
            line.postponed = deque(item for item in line.postponed if item[0] != handler)

    @property
    def is_waiting(self) -> bool:
        """Does anything wait for its turn, apart from what is postponed?"""
        return bool(self._own.waiting or self._strangers.waiting) or not self._inbox.empty()

    @property
    def is_postponing(self) -> bool:
        """Is anything postponed?"""
        return bool(self._own.postponed or self._strangers.postponed)

    def wait(self, timeout: float | None) -> bool:
        """Wait until there is something to do, at most `timeout` seconds if that is given; True if there is."""
        if not (self.is_postponing or self.is_waiting):
            try:
                self._stand_in_line(self._inbox.get(timeout=timeout))
            except queue.Empty:
                return False
        return True

    def do_next(self) -> None:
        """Do what is next, and count the time that it takes. Something must be waiting."""
        while not self._inbox.empty():
            self._stand_in_line(self._inbox.get_nowait())
        now = self._now()
        line = self._choose(now)
        handler, arguments, spent_before = line.take(now)
        begun = self._spent() - spent_before
        try:
            handler(*arguments)
        finally:
            self.charge(line is self._own, self._spent() - begun)

    def charge(self, is_own: bool, seconds: float) -> None:
        """Count these seconds of processor time against one line, if the other line has something waiting: a line that
        keeps nobody waiting owes nothing."""
        if (self._strangers if is_own else self._own).waiting:
            self._debt = min(MAX_DEBT, max(-MAX_CREDIT, self._debt + (-seconds / OWN_SHARE if is_own else seconds)))

    def _stand_in_line(self, came: tuple[bool, Item]) -> None:
        (self._own if came[0] else self._strangers).waiting.append(came[1])

    def _choose(self, now: float) -> Line:
        own, strangers = self._own, self._strangers
        if not (own.waiting or own.postponed):
            return strangers
        is_due = strangers.is_overdue(now) or (strangers.waiting and self._debt < 0)
        return strangers if is_due else own


class Batches:
    """What the reader of one connection has brought, and the node has not handled yet. The reader calls `add`, and the
    node's thread calls the rest, unless a docstring says otherwise."""

    def __init__(self, turns: Turns, now: Callable[[], float], on_frame: Callable[[Any, bytes], None],
                 on_large: Callable[[], None], on_costly: Callable[[], None]) -> None:
        """All three are called in the node's thread: `on_frame` with the connection and each frame, `on_large` when
        another mebibyte of this connection waits, and `on_costly` after a turn that took long.

        Why is the connection given to the other methods, and not kept here? If it and this object referred to each
        other, both would stay in memory until the garbage collector finds them.
        """
        self._turns = turns
        self._now = now
        self._on_frame = on_frame
        self._on_large = on_large
        self._on_costly = on_costly
        self._batches: deque[tuple[deque[bytes], Callable[[], None] | None]] = deque()
        """Frames, and what is to be done after them."""
        self._bytes_read = self._bytes_handled = 0
        self.pace = Pace()
        """How much was read lately, of frames that are not complete yet."""
        self._reader_spent = 0.0
        """The processor time of the reader that is counted already, in seconds."""
        self._is_costly = False
        """Did its last turn take very long?"""
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        """One item for each batch that may still be added: a semaphore, but some microseconds faster than Python's."""
        for _ in range(BATCHES_AHEAD):
            self._places.put(None)
        self._was_counted: queue.SimpleQueue[None] = queue.SimpleQueue()
        """A second semaphore, since a reader waits for two things: for a place, which bounds the batches of its own
        connection, and for this one, which bounds the bytes of all connections together."""

    @property
    def is_empty(self) -> bool:
        """Does nothing wait for its turn?"""
        return not self._batches

    @property
    def unhandled(self) -> int:
        """Bytes that were read and not handled yet, those of an unfinished frame included."""
        return self._bytes_read - self._bytes_handled

    def add(self, connection: Connection, size: int, frames: list[bytes],
            afterwards: Callable[[], None] | None) -> None:
        """Have the node handle what was read, `size` bytes, and then do `afterwards`. Waits while the node has two
        batches of this connection, and at each further mebibyte until the node has counted what all connections
        hold.
        Called by the reader."""
        before = self.unhandled
        self._bytes_read += size
        if not frames:  # the beginning of a large one
            self.pace.add(size, self._now())
        if frames or afterwards:
            self._places.get()
            self._batches.append((deque(frames), afterwards))
            spent = time.thread_time()
            self._turns.put(connection.is_own, self._take_or_postpone_turn, connection,
                            spent=spent - self._reader_spent)
            self._reader_spent = spent
        if self.unhandled // LARGE_BYTES > before // LARGE_BYTES:
            self._wait_until_counted(connection)

    def close(self) -> None:
        """Forget what waits. Wake the reader if it waits for a place or for the count, so that it can read to the
        end."""
        self._batches.clear()
        self._turns.forget(self._take_turn)
        self._places.put(None)
        self._was_counted.put(None)

    def _wait_until_counted(self, connection: Connection) -> None:
        """Have the node count what all connections hold, and wait for that. The node may be busy for a second, and
        meanwhile 128 readers would go on reading. Called by the reader."""
        self._turns.put(connection.is_own, self._count)
        self._was_counted.get()

    def _count(self) -> None:
        try:
            self._on_large()
        finally:
            self._was_counted.put(None)

    def _take_or_postpone_turn(self, connection: Connection) -> None:
        """Take the turn now; after a costly one, postpone it (`Line.take` says until when)."""
        if self._is_costly and connection.is_open:
            self._turns.postpone(connection.is_own, self._take_turn, connection)
        else:
            self._take_turn(connection)

    def _take_turn(self, connection: Connection) -> None:
        """Have the node handle one batch, or as much of it as one turn allows."""
        if not self._batches:
            return  # `close` came before the turn, and has freed the place
        frames, afterwards = self._batches.popleft()
        now = self._now
        begun = now()
        turn_ends = begun + TURN_SECONDS
        try:
            while frames and connection.is_open and now() < turn_ends:
                frame = frames.popleft()
                self._bytes_handled += len(frame)
                self._on_frame(connection, frame)
            if afterwards and not frames and connection.is_open:
                afterwards()
        finally:
            self._end_turn(connection, frames, afterwards, now() - begun)

    def _end_turn(self, connection: Connection, frames: deque[bytes], afterwards: Callable[[], None] | None,
                  seconds: float) -> None:
        """A turn that took so many seconds is over. What it has left of its batch waits for another one."""
        if frames and connection.is_open:
            self._batches.appendleft((frames, afterwards))
            self._turns.put(connection.is_own, self._take_or_postpone_turn, connection)
        else:
            self._places.put(None)
        self._is_costly = seconds > LONG_TURN_SECONDS
        if self._is_costly:
            self._on_costly()
