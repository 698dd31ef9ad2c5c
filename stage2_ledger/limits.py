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
"""How fast each list of addresses may be written to the journal. It is written as a whole, the list of peers may take
2.6 MB, and any hello can change it. While it changes, a list of a few dozen is written every 5 to 10 s, the longest one
every 43 minutes."""

MAX_NOTED_REACHED = 32
"""Addresses in the journal that this node has reached. They are called at once when it comes back. It opens twelve
links; the other places are for earlier peers, in case those of the last moment do not come back."""

MAX_NOTED_CALLERS = 16
"""Addresses in the journal that only callers have claimed. A founder has no others. They are called at once when the
node comes back, and may be anybody's. They do not count among the `MAX_UNPROVEN_REDIALS`."""

MAX_DIALS, DIALS_PER_SECOND = 24, 1.0
"""Calls to addresses that this node has only heard of: the first number at once, then the second number in each second.
The first is enough to open all links twice. Bounded, since anybody can name addresses, and nobody must be able to make
this node call strangers."""

SIMULTANEOUS_SECONDS = 1.0
"""Two nodes have called each other simultaneously if the two calls were opened less than this many seconds apart. Then
one node may have seen them in one order, and the other node in the other."""

REDIAL_FOR = 3600.0
"""Seconds for which a lost peer is called, unless it is the one of `--peer` (contract §2)."""

MAX_REDIALS = 256
"""Lost addresses that are called again."""

MAX_UNPROVEN_REDIALS = 16
"""How many of the `MAX_REDIALS` addresses may be unproven. This node has never reached an unproven address: only a peer
that has called claims it, and anybody can claim any address."""

# --- comparing ------------------------------------------------------------------------------------

GOSSIP_SECONDS = 5.0
"""How often a node compares what it has with one neighbour (contract §3)."""

MAX_INVENTORY = 62_600
"""Ids in one `inventory`: as many as a frame has room for. A longer bucket takes several."""

MAX_TOLD_IDS = 3_900
"""Ids in one answer, which makes it 256 KiB. More ids come in several answers, each after the one before was read."""

SLOW_ANSWER_SECONDS, MAX_IDS_IF_SLOW = 2.5, 1_000
"""If ids take longer than so many seconds to come, only so many are asked for next time. At 20 kB/s they come in 3.4 s,
well before the neighbour counts as stalled (`WANT_AGAIN`)."""

MAX_COMPARED, MAX_LISTED = 64, 1_000
"""Prefixes in one question for their sums, and for their ids: an answer takes some milliseconds."""

MAX_DIFFERING = 4_096
"""Prefixes of one neighbour that differ and wait to be asked about: a mebibyte at most. One step down the tree leaves
960 of them waiting, and a tree of a million ids has five levels, so only made-up sums reach the bound."""

LISTED_AT_ONCE = 4
"""If a part has no more ids than this, the ids are asked for and not their sums: sixteen sums are about as long."""

# --- fetching -------------------------------------------------------------------------------------

MAX_WANT = 1_000
"""Ids in one `want` (contract §3, stage 2)."""

MAX_WANTS_OPEN = 4
"""Wants that are unanswered on one connection (contract §3, stage 2)."""

SLOW_MESSAGES_PER_SECOND = 10
"""While a neighbour brings at least this many of the messages it was asked for, nobody else is asked for them. It is
fifteen kilobytes a second of signed transactions."""

MAX_TRIES = 20
"""How often a node asks for an id that nobody brings (contract §3, stage 2). If a block needs it, the count then begins
again."""

MAX_NAMED = 4_000
"""If a connection has named this many missing ids, it is not asked to name more. Four wants hold as many. What it
names without being asked is bounded by `MAX_MISSING`."""
