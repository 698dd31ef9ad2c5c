"""Memory settings of Python and the C library, for a node that keeps many small messages while large ones come and go.

The C library is glibc (malloc(3), mallopt(3), malloc_trim(3)); with another one these calls do nothing.
"""

import contextlib
import ctypes
import gc

from common.limits import LARGE_BYTES

M_MMAP_THRESHOLD = -3
"""The parameter of mallopt(3) for the size, in bytes, from which a freed block goes back to the system at once."""


def tune_memory() -> None:
    """Set up the garbage collector and the C library, once, at the start.

    Otherwise Python often scans much of what is kept while messages of many members are parsed, and the C library
    keeps the memory of large messages for itself, in an arena for each thread.
    """
    gc.set_threshold(50_000, 20, 100)
    _call_library("mallopt", M_MMAP_THRESHOLD, LARGE_BYTES // 4)


def tidy_memory() -> None:
    """Free objects that refer to each other, and give free memory back to the system. Called some time after something
    large was handled.

    By itself, the C library gives back only what is free at the very end of its heap. One small message that is kept
    there holds back the free megabytes before it.
    """
    gc.collect()
    _call_library("malloc_trim", 0)


def _call_library(function: str, *arguments: int) -> None:
    with contextlib.suppress(AttributeError, OSError):
        getattr(ctypes.CDLL(None), function)(*arguments)
