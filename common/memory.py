"""What a node tells Python and the C library about its memory: it keeps many small messages, and a few large ones pass.

The C library is glibc (malloc(3), mallopt(3), malloc_trim(3)); with another one these calls do nothing.
"""

import contextlib
import ctypes
import gc

from common.limits import LARGE_BYTES

M_MMAP_THRESHOLD = -3
"""Of mallopt(3): blocks of so many bytes go back to the system when they are freed."""


def tune_memory() -> None:
    """Once, at the start.

    Otherwise Python scans all that is kept whenever a message of some hundred members is parsed, and the C
    library holds on to what large ones have left, in an arena for each thread.
    """
    gc.set_threshold(50_000, 20, 100)
    _call_library("mallopt", M_MMAP_THRESHOLD, LARGE_BYTES // 4)


def tidy_memory() -> None:
    """After something large: find what refers to itself, and give the system what is free.

    Of its own accord the C library gives back only what is free at the very end of its heap, and one small
    message that is kept there holds the megabytes before it.
    """
    gc.collect()
    _call_library("malloc_trim", 0)


def _call_library(function: str, *arguments: int) -> None:
    with contextlib.suppress(AttributeError, OSError):
        getattr(ctypes.CDLL(None), function)(*arguments)
