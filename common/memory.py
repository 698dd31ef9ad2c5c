"""What a node tells Python and the C library about its memory: it keeps many small messages, large ones come and go.

The C library is glibc (malloc(3), mallopt(3), malloc_trim(3)); with another one these calls do nothing.
"""

import contextlib
import ctypes
import gc

from common.limits import LARGE_BYTES

M_MMAP_THRESHOLD = -3
"""Of mallopt(3): blocks of so many bytes go back to the system when they are freed."""


def tune_memory() -> None:
    """Set both up, once, at the start.

    Otherwise Python scans everything that is kept whenever a message of some hundred members is parsed, and the C
    library keeps the memory of large messages for itself, in an arena for each thread.
    """
    gc.set_threshold(50_000, 20, 100)
    _call_library("mallopt", M_MMAP_THRESHOLD, LARGE_BYTES // 4)


def tidy_memory() -> None:
    """After something large: free what refers to itself, and give free memory back to the system.

    Without being asked, the C library gives back only what is free at the very end of its heap. One small message
    that is kept there holds back the free megabytes before it.
    """
    gc.collect()
    _call_library("malloc_trim", 0)


def _call_library(function: str, *arguments: int) -> None:
    with contextlib.suppress(AttributeError, OSError):
        getattr(ctypes.CDLL(None), function)(*arguments)
