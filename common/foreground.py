"""Job control: a process in the background leaves the terminal to the foreground job.

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
    """Does the terminal on standard input belong to another job? False if standard input is not a terminal of ours."""
    try:
        return os.tcgetpgrp(0) != os.getpgrp()
    except OSError:  # no terminal, one that is not this session's, or one that is gone
        return False


def wait_for_foreground() -> None:
    """Wait until this process may use the terminal on standard input."""
    while is_in_background():
        time.sleep(LOOK_SECONDS)


def read_in_foreground(count: int) -> bytes:
    """`os.read` from standard input; wait while the terminal belongs to another job. OSError if it is gone."""
    while True:
        wait_for_foreground()
        try:
            return os.read(0, count)
        except OSError:
            if not is_in_background():
                raise
            # The job went to the background in the middle of the read.


def keep_running_in_background() -> None:
    """Do not let the terminal stop this process in the background: a read fails instead. Call it in the main thread."""
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # a job may go to the background just after the check
