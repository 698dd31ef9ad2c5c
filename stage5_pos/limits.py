"""The bounds of stage 5, on the tree and on what waits to enter it, each with its reason."""

from common.limits import MEBIBYTE

MAX_WAITING_BYTES = 16 * MEBIBYTE
"""Bytes of the frames of blocks that wait: four of the largest, some 100 MiB of memory with all the ids that they lack.
One block may always wait."""

MAX_WAITING_SECONDS = 600.0
"""How long a block may wait in stage 5 (contract §3)."""

MAX_TWINS = 2
"""Blocks by one creator in one slot that enter the tree and are forwarded unasked (contract §3, stage 5): the second is
the evidence. A third enters only where somebody else's block builds on it."""

MAX_ASIDE = 64 * MEBIBYTE
"""Bytes of transactions for which the pool has no room, and which are kept only for blocks that wait. It is what
the largest block needs with keys of the usual size. One block may always wait. For what blocks of the tree need, see
`MAX_SOLO_BYTES`."""

ENTERED_AT_ONCE, COST_OF_A_BLOCK = 4_000, 50
"""How much enters the tree in one turn, which takes some milliseconds. A block counts as the number of its
transactions plus `COST_OF_A_BLOCK`."""

MAX_SOLO_BYTES = 16 * MEBIBYTE
"""Bytes, for each creator, of its blocks that are off the best chain and that nobody else has built on. If there are
more, the lowest of them leave the tree: they are the least likely ever to matter."""

MAX_LOCATOR = 100
"""Ids in the locator of `get_chain` (contract §3, stage 5)."""
