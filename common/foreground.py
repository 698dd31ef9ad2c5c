"""Job control: a process in the background leaves the terminal to the job in front of it.

A shell starts a job with `&` in a process group that is not the terminal's foreground group. The system stops such
a process when it reads from the terminal (SIGTTIN) or changes its settings (SIGTTOU). A node must go on instead, since
others wait for it. It checks before each use: a job can go to the background and come back (Ctrl-Z, `bg`, `fg`).
"""

import os
import signal
import time

LOOK_SECONDS = 0.1
"""Seconds between two checks whether this process is in the foreground."""


def is_in_background() -> bool:
    """Does the terminal on standard input belong to another job? Without such a terminal, no."""
    try:
        return os.tcgetpgrp(0) != os.getpgrp()
    except OSError:  # no terminal, one that is not this session's, or one that is gone
        return False


def wait_for_foreground() -> None:
    """Wait until this process may use the terminal on standard input."""
    while is_in_background():
        time.sleep(LOOK_SECONDS)


def read_in_foreground(count: int) -> bytes:
    """`os.read` from standard input; wait while it is a terminal of another job. OSError if it is gone."""
    while True:
        wait_for_foreground()
        try:
            return os.read(0, count)
        except OSError:
            if not is_in_background():
                raise
            # The job went to the background in the middle of the read.


def run_on_in_background() -> None:
    """Keep the terminal from stopping this process in the background: a read fails instead. For the main thread."""
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # a job may go to the background just after the check
