"""The bounds of stage 4, on blocks and on what waits for one, each with its reason. Stage 5 has most of them, too."""

from common.limits import MEBIBYTE

MAX_BLOCK_IDS = 50_000
"""Transactions in one block (contract §3, stages 4 and 5). Their ids take 3.2 of the 4 MiB that a frame may have."""

MAX_POOL = 128 * MEBIBYTE
"""Bytes of the frames of transactions that wait for a block: half a minute at full speed. When the pool is full, no
more are taken."""

MAX_UNCOVERED = 16 * MEBIBYTE
"""If the pool holds this many bytes, a transaction that its sender cannot pay is refused: it costs the sender nothing,
so anybody could fill the pool with such transactions."""

MAX_WAITING = 1_000
"""Blocks that wait for an earlier one or for transactions (contract §3, stages 4 and 5)."""

MAX_WAITING_IDS = 60_000
"""Transactions that the early blocks of stage 4 may name together: the largest block, and a fifth more. A missing
transaction takes 700 bytes of memory."""

MAX_ANSWER_BLOCKS = 500
"""Blocks in one answer to `get_blocks` or `get_chain` (contract §3)."""

MAX_ANSWER_BYTES = 4 * MEBIBYTE
"""Bytes in an answer to `get_blocks` or `get_chain` (contract §3): as many as the largest block may have. What eight
newcomers may ask for at a time, blocks and transactions, is well within `MAX_OUTBOXES`."""

SLOW_BYTES_PER_SECOND = 16 * 1024
"""While new blocks come more slowly than this, in stage 4, other neighbours are asked for the same blocks as well."""

ROUND_TRIP = 1.0
"""Seconds that an answer may take, in addition to the time for its bytes, before its neighbour counts as slow."""

OLD_QUESTION_SECONDS = 60.0
"""Seconds after which a neighbour that has not answered a question for blocks may be asked again."""

MAX_DIGESTS = 64
"""Digests in one `order`, and numbers in one `get_order` (contract §3, stage 4): doubling steps over 2^53 blocks need
54. With 64 at a time, the first difference in a million blocks is found in four questions."""

MAX_EVIDENCE = 10
"""Pairs of blocks kept as evidence, of up to 6.4 MiB each. In stage 5 they are against ten creators, one pair each.
Against the sequencer of stage 4 one pair would be proof enough."""
