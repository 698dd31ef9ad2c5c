"""What the system may run out of, such as threads and open files, and how the user is told."""

import errno
import math
from collections.abc import Callable

from common.limits import TELL_AGAIN_SECONDS

SHORTAGES = {errno.EAGAIN: "threads", errno.EMFILE: "open files", errno.ENFILE: "open files",
             errno.ENOBUFS: "memory for sockets", errno.ENOMEM: "memory"}
"""What the system has run out of, by the number of the error that says so."""


class Shortages:
    """Tells the user what the system has run out of: once, and not for each connection that fails."""

    def __init__(self, now: Callable[[], float], report_error: Callable[[str, str], None]) -> None:
        """`now` gives the time in seconds."""
        self._now = now
        self._report_error = report_error
        self._told: dict[str, float] = {}
        """What the user was told, and when."""

    def on_error(self, error: OSError) -> None:
        """Tell the user if this error says that something has run out."""
        lacking = SHORTAGES.get(error.errno or 0)
        if lacking and self._now() >= self._told.get(lacking, -math.inf) + TELL_AGAIN_SECONDS:
            self._told[lacking] = self._now()
            self._report_error("BUSY", f"the system gives this process no more {lacking} (ulimit -a shows its"
                                       " limits): no new connections until some have ended")
