"""Gives a node a wrong clock, without a change to the node.

Python imports a module of this name when it starts, if it finds one (docs: `site`). With this folder in
PYTHONPATH the wall clock of the process is `CLOCK_SHIFT_MS` milliseconds fast, or slow if that is negative.
The monotonic clock does not change, as on a machine whose date is wrong.
"""

import os
import time

_true_time_ns = time.time_ns
_SHIFT_NS = int(os.environ.get("CLOCK_SHIFT_MS", "0")) * 1_000_000

time.time_ns = lambda: _true_time_ns() + _SHIFT_NS
