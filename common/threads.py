"""Threads of a node: how they are started, and what one does that writes."""

import errno
import threading
from collections.abc import Callable
from contextlib import suppress

from common.outbox import Outbox


def start_thread(name: str, target: Callable[[], None]) -> threading.Thread:
    """Start a thread that does not keep the process alive; OSError (EAGAIN) if the system has none left."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "no more threads") from None
    return thread


def start_writer(name: str, outbox: Outbox, write: Callable[[bytes], None],
                 on_end: Callable[[], None]) -> threading.Thread:
    """Start the thread that writes what waits in an outbox, by `write`; OSError if the system has none left."""
    # Only the thread knows `write` and `on_end`. Otherwise a connection and its outbox would refer to each other, and
    # stay in memory until the garbage collector finds them: one small thing in the middle of each free mebibyte.
    def run() -> None:
        with suppress(OSError):  # the other side is gone; the reader finds out too, and tells the node
            for piece in outbox.pieces():
                write(piece)
        on_end()
        outbox.end()

    return start_thread(name, run)
