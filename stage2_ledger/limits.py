"""The bounds of stage 2, on the ring and on what neighbours tell each other, each with its reason."""

# --- the ring -------------------------------------------------------------------------------------

RING_LINKS = 10
"""Connections to the addresses that follow a node's own in the sorted list (contract §3, stage 2)."""

RANDOM_LINKS = 2
"""Connections besides those of the ring. They bring a message to everyone in a few hops (contract §3, stage 2)."""

MAX_PEERS = 10_000
"""Addresses in the list of peers (contract §3, stage 2)."""

MAX_ALIASES = 1_000
"""Other names of peers and of this node itself, in one generation: each costs a call to find out, and anybody can make
names up."""

NOTED_BYTES_PER_SECOND = 1_024
"""How fast the list of peers may be written to the journal. It is written as a whole, may have 2.6 MB, and any hello
can change it. A list of some dozen is written every 5 s while it changes, the longest one every 45 minutes."""

MAX_DIALS, DIALS_PER_SECOND = 24, 1.0
"""Calls to addresses that were only heard of: enough for all links twice, and then slowly. Anybody can name
addresses, and a node must not become a tool to knock on strangers' doors."""

AT_ONCE_SECONDS = 1.0
"""Two nodes have called each other at once if the two calls were opened at most so many seconds apart. Then each node
may have seen the two in another order."""

REDIAL_FOR = 3600.0
"""Seconds for which a lost peer is called, unless it is the one of `--peer` (contract §2)."""

MAX_REDIALS = 256
"""Lost addresses that are called again."""

MAX_CALLED_BACK = 16
"""Of these, addresses of peers that have only ever called this node: they may have named any address as their own."""

# --- comparing ------------------------------------------------------------------------------------

GOSSIP_SECONDS = 5.0
"""How often a node compares what it has with one neighbour (contract §3)."""

MAX_INVENTORY = 62_600
"""Ids in one `inventory`: as many as a frame has room for. A longer bucket takes several."""

MAX_TOLD_IDS = 3_900
"""Ids in one answer, 256 KiB. More ids come in pieces, each when the one before was read."""

MAX_COMPARED, MAX_LISTED = 64, 1_000
"""Prefixes in one question for their sums, and for their ids: an answer takes some milliseconds."""

MAX_DIFFERING = 4_096
"""Prefixes of one neighbour that differ and wait to be looked at: a mebibyte at most. Going down one level leaves 960
of them waiting, and a million ids are five levels deep: only made-up sums get there."""

LISTED_AT_ONCE = 4
"""If a part has at most so many ids, the ids are asked for and not their sums: sixteen sums are about as long."""

# --- fetching -------------------------------------------------------------------------------------

MAX_WANT = 1_000
"""Ids in one `want` (contract §3, stage 2)."""

MAX_WANTS_OPEN = 4
"""Wants that are unanswered on one connection (contract §3, stage 2)."""

SLOW_THINGS_PER_SECOND = 10
"""A neighbour that brings fewer of the messages it was asked for no longer keeps others from being asked. It is fifteen
kilobytes a second of signed transactions."""

MAX_TRIES = 20
"""How often an id is asked for that nobody brings (contract §3, stage 2). For what a block needs, the count
then begins again."""

MAX_NAMED = 4_000
"""Missing ids that one connection has named: at so many, it is not asked to name more. As many may be asked of it at a
time. What it names unasked counts in `MAX_MISSING`."""
