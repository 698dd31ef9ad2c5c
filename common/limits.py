"""Bounds on what a node holds or does for others, whatever its stage, each with its reason.

Anybody can fill what has no bound: a peer's queue, a set of ids, a list of
addresses. The numbers that the contract names are marked with their section.
Each stage has a limits.py of its own; docs/bounds.md lists them all.
"""

MEBIBYTE = 2**20

# --- connections ----------------------------------------------------------------------------------

MAX_INBOUND = 128
"""Connections that others opened (contract §2). Each costs two threads."""

HELLO_SECONDS = 5.0
"""Seconds for a peer to say hello, and for a network to answer a node that joins (contract §2, §4)."""

MAX_OPENINGS, OPENINGS_PER_SECOND = 32, 40.0
"""Connections that others may open: the first number at once, then the second number in each second. Each costs some
milliseconds, even if it ends with an error, and a caller that is turned away can call again at once."""

FLUSH_SECONDS = 2.0
"""Seconds that a closing connection may take to write what waits, and to read until the peer has closed, too."""

PING_AFTER = 20.0
"""Seconds of silence after which a connection is pinged (contract §2)."""

CLOSE_AFTER = 60.0
"""Seconds of silence after which a connection is closed (contract §2)."""

USELESS_SECONDS = 60.0
"""When all `MAX_INBOUND` places are taken, a caller that has brought nothing new for this long makes room for another
one (contract §2)."""

MAX_INVALID = 10
"""Invalid messages that close a connection: it survives nine, and ends with the tenth (contract §2)."""

# --- whose turn it is -----------------------------------------------------------------------------

BATCHES_AHEAD = 2
"""Batches that one connection may have in the inbox: one that is being handled and the next. While it has two, its
reader waits, so a flood fills its sender's TCP window and not our memory, and everyone gets a turn."""

TURN_SECONDS = 0.01
"""Seconds after which a turn of a connection begins no further message. Sixty bytes can ask for megabytes."""

LONG_TURN_SECONDS = 0.05
"""If a turn of a connection took longer, in seconds, its next turn is postponed until nothing else waits in its line
(for a stranger: in both lines), or until it is its turn among the postponed ones (`MAX_POSTPONED_SECONDS`).
Parsing 4 MiB of brackets takes half a second, and breaks no rule."""

MAX_POSTPONED_SECONDS = 1.0
"""Seconds after which one of the postponed turns of a line is taken, even if other connections always have work."""

OWN_SHARE = 6.0
"""Seconds of processor time that connections opened by this node get for each second that strangers get, while both
have work. Why so many? Strangers take more than their share: they also get turns while the others wait for an
answer, and their reader threads slow down the others. With six, all strangers together cost a newcomer less time than
its own connections do."""

MAX_DEBT, MAX_CREDIT = 1.0, 0.1
"""Seconds that strangers may be above their share, and below it. While they are above it, the others go first. One
message may take half a second, so the first bound is above that. The bounds keep either side from waiting for long."""

PACE_SECONDS = 1.0
"""In a `Pace`, bytes that moved this many seconds ago count about a third (1/e). So two and a half seconds
after a fast transfer has stopped, its pace is below that of a steady 100 KiB/s."""

HAND_OVER_SECONDS = 0.005
"""How long a busy node goes on with its inbox before the writers get what it has sent."""

WRITE_BYTES = 128 * 1024
"""Bytes that are written in one piece. Each written piece is counted, and so shows how fast the peer reads."""

# --- memory ---------------------------------------------------------------------------------------

LARGE_BYTES = MEBIBYTE
"""Bytes that one connection may hold before the node counts what all hold together. It counts again at each further
mebibyte. The reader of that connection pauses until the node has counted. What waits to be written is counted as well
when it is more than this; no reader pauses for that."""

MAX_RECEIVED = 48 * MEBIBYTE
"""Bytes that all connections together may have read and not handled. Without this bound, 128 unfinished frames would
take 512 MiB. With it, a dozen neighbours can still send the largest block at the same time. While each connection holds
less than a mebibyte, nothing is counted."""

MAX_OUTBOX = 64 * MEBIBYTE
"""Bytes that may wait for one peer to read them (contract §2). With more, its connection is closed: it is too slow."""

MAX_OUTBOXES = 96 * MEBIBYTE
"""Bytes that may wait for all peers together; then connections are closed until it is less: strangers that
hold much first, and among equals those that make the least progress."""

TIDY_SECONDS = 15.0
"""Seconds from a costly message, or a large outbox, to the tidying of memory (`tidy_memory`). Tidying is not done at
once, since it takes a quarter of a second at a node that keeps a million transactions. It is needed, since
Python keeps up to eighty freed lists for reuse, and until the tidying each can keep a whole mebibyte in use."""

MAX_KEPT_UNCHANGED = 4_096
"""Bytes of the longest frame that is kept as it came. A longer one is written again, without the spaces that JSON
allows between members: there may be 4 MiB of them."""

MAX_SEEN = 50_000
"""Ids or frames in one generation of a `Recent`; an entry is forgotten after one to two generations."""

# --- the user -------------------------------------------------------------------------------------

MAX_LINE = MEBIBYTE
"""Bytes of a line of standard input that are kept. A longer line is refused."""

TELL_AGAIN_SECONDS = 600.0
"""Seconds until the user is told again that the system has run out of something, such as threads."""

LINES_AHEAD = 100
"""Lines of standard input that may wait for the node. If there are more, the reader of standard input waits."""

MAX_TOLD_LINES = 1_000
"""Lines about peers that a node remembers, in one generation, so that the user is told none twice. Bounded, since
anybody can call under any name."""
