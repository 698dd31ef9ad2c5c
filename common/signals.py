"""Signals: Ctrl-C (SIGINT) and SIGTERM end a node cleanly. SIGCONT says that it was stopped (Ctrl-Z) and continues.

    before the node runs    KeyboardInterrupt -> run_client ends the process, with status 0
    from then on            a pipe -> the thread `signals` -> the inbox -> ThreadedNetwork.stop -> run -> _end

Python writes the number of a signal to the pipe at once. A handler alone is not enough: Python calls it before the
next step of the main thread, and that thread may be about to wait in the inbox for seconds.
"""

import os
import signal
from collections.abc import Callable


def interrupt_on_sigterm() -> None:
    """Let SIGTERM do what Ctrl-C does: raise KeyboardInterrupt, even while a question is open, or keys are made."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class Signals:
    """The signals that this process gets. From now on they raise no exceptions, and are read from a pipe."""

    def __init__(self) -> None:
        """Called by the main thread; OSError if the system has no pipe for it."""
        self._signals, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            signal.signal(number, lambda *_: None)  # it is in the pipe already; the default would end the process

    def wait_for_end(self, on_continued: Callable[[], None]) -> None:
        """Wait until a signal ends this node; `on_continued` is called when it was stopped and continues."""
        while (number := os.read(self._signals, 1)[0]) not in (signal.SIGINT, signal.SIGTERM):
            if number == signal.SIGCONT:
                on_continued()
