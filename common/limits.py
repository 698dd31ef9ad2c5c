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
"""Connections that others may open at once, and after that in each second. Each costs some milliseconds, even if it
ends with an error, and whoever is shut out can come back at once."""

FLUSH_SECONDS = 2.0
"""How long a closing connection may take to write what waits, and to read the other's farewell."""

PING_AFTER = 20.0
"""Seconds of silence after which a connection is pinged (contract §2)."""

CLOSE_AFTER = 60.0
"""Seconds of silence after which a connection is closed (contract §2)."""

USELESS_SECONDS = 60.0
"""In a full house, a caller that has brought nothing new for so many seconds gives way to another one (contract §2)."""

MAX_INVALID = 10
"""Invalid messages that one connection may bring; this one closes it (contract §2)."""

# --- whose turn it is -----------------------------------------------------------------------------

BATCHES_AHEAD = 2
"""Batches that one connection may have in the inbox: one at work and one that is next. Then its reader
waits, so a flood fills its sender's TCP window and not our memory, and everyone gets a turn."""

TURN_SECONDS = 0.01
"""How long the node works for one connection while others wait. Sixty bytes can ask for megabytes."""

LONG_TURN_SECONDS = 0.05
"""If one message of a connection took longer, the connection waits until no other one has work. Parsing 4 MiB of
brackets takes half a second, and breaks no rule."""

LAST_SECONDS = 1.0
"""A connection with such a message waits at most so many seconds for its turn, even if others always have something to
do."""

OWN_SHARE = 6.0
"""How many seconds of processor time go to the connections that this node has opened, for each second that goes to
strangers, while both have work. Strangers also have turns while the others wait for an answer, and they slow down the
others' work. With this share, all that strangers cost a newcomer stays below what its own connections cost."""

MAX_DEBT, MAX_CREDIT = 1.0, 0.1
"""Seconds by which strangers may be above their share, and below it. While they are above it, the others go first. One
message may take half a second, and nobody starves for longer."""

PACE_SECONDS = 1.0
"""Bytes that moved so many seconds ago count a third. So two seconds after a line has stopped, its pace is below that
of a line of 100 KiB/s."""

HAND_OVER_SECONDS = 0.005
"""How long a busy node goes on with its inbox before the writers get what it has sent."""

WRITE_BYTES = 128 * 1024
"""Bytes that are written in one piece. Each piece that is done shows how fast the peer reads."""

# --- memory ---------------------------------------------------------------------------------------

LARGE_BYTES = MEBIBYTE
"""Bytes that one connection may hold before the node counts what all hold together. It counts again at each further
mebibyte, and the reader waits for that."""

MAX_RECEIVED = 48 * MEBIBYTE
"""Bytes that all connections together may have read and the node has not handled. Without this bound 128 unfinished
frames would take 512 MiB. A dozen neighbours may send the largest block at once. While each has less than a mebibyte,
nothing is counted."""

MAX_OUTBOX = 64 * MEBIBYTE
"""Bytes that may wait for one peer to read them (contract §2); then it is too slow and is closed."""

MAX_OUTBOXES = 96 * MEBIBYTE
"""Bytes that may wait for all peers together to read them; then the one that makes least progress is closed."""

TIDY_SECONDS = 15.0
"""Seconds after a message that took long, or after a large outbox, until memory is tidied. That takes a quarter of a
second for a node that keeps a million transactions. Python keeps up to eighty freed lists for reuse: after a million
small ones each of them may be in another mebibyte, which is not free until then."""

KEPT_AS_IT_CAME = 4_096
"""Bytes of a frame that is kept as it came. A longer one is written again: JSON has room for 4 MiB of blanks."""

MAX_SEEN = 50_000
"""Ids or frames in one generation of a `Recent`; an entry is forgotten after one to two generations."""

# --- the user -------------------------------------------------------------------------------------

MAX_LINE = MEBIBYTE
"""Bytes of a line of standard input that are kept. A longer line is refused."""

TELL_AGAIN_SECONDS = 600.0
"""Seconds until the user is told again that the system has run out of something, such as threads."""

LINES_AHEAD = 100
"""Lines of standard input that may wait for the node. At more, the reader of standard input waits."""

MAX_TOLD_LINES = 1_000
"""Lines about peers that a node remembers, in one generation, to tell none twice: anybody can call under any name."""
