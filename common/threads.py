"""Threads of a node: how they are started, what a writer thread does, and what ends the process from any of them."""

import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress

from common.outbox import Outbox
from common.unwritten import complain_of_unwritten


def start_thread(name: str, target: Callable[[], None]) -> threading.Thread:
    """Start a thread that does not keep the process alive; OSError (EAGAIN) if the system has none left."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "no more threads") from None
    return thread


def start_writer(name: str, outbox: Outbox, write: Callable[[bytes], None],
                 on_written: Callable[[], None]) -> threading.Thread:
    """Start the thread that writes what waits in an outbox, by `write`, and calls `on_written` at the end. OSError if
    the system has no thread left."""
    # Only the thread knows `write` and `on_written`. Otherwise a connection and its outbox would refer to each other,
    # and stay in memory until the garbage collector finds them. Each such object could keep a mebibyte of the heap in
    # use.
    def run() -> None:
        with suppress(OSError):  # the other side is gone; the reader finds out too, and tells the node
            for piece in outbox.pieces():
                write(piece)
        on_written()
        outbox.end()

    return start_thread(name, run)


def end_at_unwritten() -> None:
    """End the node if any thread calls a function that a student has not written yet. By default, only that thread
    would end."""
    usual = threading.excepthook

    def end_or_show(it: threading.ExceptHookArgs) -> None:
        if isinstance(it.exc_value, NotImplementedError):
            os._exit(complain_of_unwritten(it.exc_value))
        usual(it)

    threading.excepthook = end_or_show
