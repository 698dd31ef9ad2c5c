"""Every bound on what a node holds or does for others in one place, each with its reason.

What has no bound, anybody can fill: a peer's queue, a set of ids, a list of
addresses. The numbers that the contract names are marked with their section.
"""

MEBIBYTE = 2**20

# --- one connection -----------------------------------------------------------------------------

MAX_INBOUND = 128
"""Connections that others opened (contract §2). Each costs two threads."""

JOIN_AGAIN_SECONDS = 0.5
"""Between two tries to join (contract §4): ten nodes in a chain, started at once, need fewer than 5 s, and thirty
callers of one node do not fill it."""

USELESS_SECONDS = 60.0
"""In a full house, a caller that has brought nothing new for so many seconds gives way to another one (contract §2)."""

MAX_OUTBOX = 64 * MEBIBYTE
"""Bytes that may wait for one peer to read them (contract §2); then it is too slow and is closed."""

RECEIVE_BYTES = 64 * 1024
"""What one `recv` takes: some fifty signed transactions, so a batch is handled within milliseconds."""

WRITE_BYTES = 128 * 1024
"""What is written in one piece: how fast a peer reads is seen when one is written."""

SYSTEM_BYTES = 256 * 1024
"""What the system may hold of one connection to be written (Linux takes twice that). Of its own accord it takes
megabytes, and then a peer that reads slowly looks for seconds like one that reads nothing."""

BATCHES_AHEAD = 2
"""Batches that one connection may have in the inbox: one at work and one that is next. Then its reader
waits, so a flood fills its sender's TCP window and not our memory, and everyone gets a turn."""

TURN_SECONDS = 0.01
"""How long the node works for one connection while others wait. Sixty bytes can ask for megabytes."""

LONG_TURN_SECONDS = 0.05
"""If one message of a connection took longer, the connection waits until no other one does. Parsing 4 MiB of brackets
takes half a second, and is no offence."""

TIDY_SECONDS = 15.0
"""Seconds after such a message, or after a large outbox, until memory is tidied. That takes a quarter of a second for a
node that keeps a million transactions. Python keeps up to eighty freed lists for reuse: after a million small ones each
of them may be in another mebibyte, which is not free until then."""

LAST_SECONDS = 1.0
"""Such a connection waits at most so many seconds for its turn, even if others always have something to do."""

OWN_SHARE = 6.0
"""For each second of processor time that strangers get while both wait, the connections that this node has opened get
this many. Strangers also have turns while the others wait for an answer, and they slow down the work for the others.
With this share, all that strangers cost a newcomer stays below what its own connections cost."""

MAX_DEBT, MAX_CREDIT = 1.0, 0.1
"""Seconds by which strangers may be above their share, and below it. While they are above it, the others go first. One
message may take half a second, and nobody starves for longer."""

PACE_SECONDS = 1.0
"""Bytes that moved so many seconds ago count a third. So a line that has stopped is below one of 100 KiB/s after two
seconds."""

LARGE_BYTES = MEBIBYTE
"""Bytes that one connection may hold before the node counts what all hold together. It counts again at each further
mebibyte, and the reader waits for that."""

MAX_RECEIVED = 48 * MEBIBYTE
"""Bytes that all connections together may have read and the node has not handled. Without this bound 128 unfinished
frames would take 512 MiB. A dozen neighbours may send the largest block at once. While each has less than a mebibyte,
nothing is counted."""

MAX_OUTBOXES = 96 * MEBIBYTE
"""Bytes that may wait for all peers together to read them; then the one that makes least progress is closed."""

ACCEPTS_AHEAD = 4
"""New connections that wait in the inbox: somebody who keeps connecting gets no more turns than others."""

MAX_OPENINGS, OPENINGS_PER_SECOND = 32, 40.0
"""Connections that others may open at once, and after that in each second. Each costs some milliseconds, even if it
ends with an error, and whoever is shut out can come back at once."""

TURN_AWAY_SECONDS = 0.2
"""Time for somebody who is turned away to read why."""

LINES_AHEAD = 100
"""Lines of standard input that wait for the node; the reader waits beyond."""

MAX_LINE = MEBIBYTE
"""Bytes of a line of standard input that are kept. A longer line is refused."""

TELL_AGAIN_SECONDS = 600.0
"""Seconds until the user is told again that the system has run out of something, such as threads."""

HELLO_SECONDS = 5.0
"""Seconds for a peer to say hello, and for a network to answer a node that joins (contract §2, §4)."""

PING_AFTER = 20.0
"""Seconds of silence after which a connection is pinged (contract §2)."""

CLOSE_AFTER = 60.0
"""Seconds of silence after which a connection is closed (contract §2)."""

MAX_INVALID = 10
"""Invalid messages that one connection may bring; this one closes it (contract §2)."""

HAND_OVER_SECONDS = 0.005
"""How long a busy node goes on with its inbox before the writers get what it has sent."""

FLUSH_SECONDS = 2.0
"""How long a closing connection may take to write what waits, and to read the other's farewell."""

AT_ONCE_SECONDS = 1.0
"""Two nodes have called each other at once if at most this lies between the two openings. Each of them may have seen
the two openings in another order."""

FIRST_REDIAL, LAST_REDIAL = 1.0, 30.0
"""Seconds before a lost connection is opened again: 1, 2, 4 … and then every 30 (contract §2)."""

REDIAL_FOR = 3600.0
"""Seconds for which a lost peer is called, unless it is the one of `--peer` (contract §2)."""

# --- what is remembered -------------------------------------------------------------------------

MAX_HISTORY = 1_000
"""Chat messages kept for late joiners (contract §3 asks for at least 1,000)."""

KEPT_AS_IT_CAME = 4_096
"""Bytes of a frame that is kept as it came. A longer one is written anew: JSON has room for 4 MiB of blanks."""

MAX_SEEN = 50_000
"""Ids or frames in one generation of a `Recent`; an entry is forgotten after one to two generations."""

MAX_TOLD = 1_000
"""Lines about peers that are not told the user again, in one generation: anybody can call under any name."""

MAX_PEERS = 10_000
"""Addresses in the list of peers (contract §3, stage 2)."""

MAX_ALIASES = 1_000
"""Other names of peers and of this node itself, in one generation: each costs a call to find out, and anybody can make
names up."""

NOTED_BYTES_PER_SECOND = 1_024
"""How fast the list of peers may be written to the journal. It is written as a whole, may have 2.6 MB, and any hello
can change it. A list of some dozen is written every 5 s while it changes, the longest one every 45 minutes."""

# --- what is asked for and answered -------------------------------------------------------------

RING_LINKS = 10
"""Connections to the addresses that follow a node's own in the sorted list (contract §3, stage 2)."""

RANDOM_LINKS = 2
"""Connections besides those of the ring. They bring a message to everyone in a few hops (contract §3, stage 2)."""

GOSSIP_SECONDS = 5.0
"""How often a node compares what it has with one neighbour (contract §3)."""

MAX_INVENTORY = 62_600
"""Ids in one `inventory`: as many as a frame has room for. A longer bucket takes several."""

MAX_TOLD = 3_900
"""Ids in one answer, 256 KiB. Whoever asks for more gets them in pieces, each when it has read the one before."""

MAX_COMPARED, MAX_LISTED = 64, 1_000
"""Prefixes in one question for their sums, and for their ids: an answer takes some milliseconds."""

MAX_DIFFERING = 4_096
"""Prefixes of one neighbour that differ and wait to be looked at: a mebibyte at most. Going down one level leaves 960
of them waiting, and a million ids are five levels deep: only whoever makes up sums gets there."""

LISTED_AT_ONCE = 4
"""If a part has at most so many ids, the ids are asked for and not their sums: sixteen sums are about as long."""

MAX_WANT = 1_000
"""Ids in one `want` (contract §3, stage 2)."""

MAX_FLOODED = 100
"""Things that are fetched from one neighbour and still flooded. If more were, all neighbours would be sent what most of
them have: a newcomer with a hundred links would send a hundred times what it fetches."""

MAX_WANTS_OPEN = 4
"""Wants that are unanswered on one connection (contract §3, stage 2)."""

WANT_AGAIN = 5.0
"""Seconds after which an id that did not come is asked for again (contract §3, stage 2)."""

SLOW_THINGS_PER_SECOND = 10
"""Whoever brings fewer of the things that were asked of it does not keep others from being asked: fifteen kilobytes a
second of signed transactions."""

MAX_TRIES = 20
"""How often an id is asked for that nobody brings (contract §3, stage 2). What a block needs begins anew then."""

MAX_FORSAKEN_WANT = 200
"""Ids that are asked for each second of somebody who has not named them: nobody is left who has, and perhaps nobody
has them."""

MAX_NAMED = 4_000
"""Ids that one connection has named and that have not come, beyond which it is not asked to name more: as many as may
be asked of it at a time. What it names unasked counts in `MAX_MISSING`."""

MAX_MISSING = 100_000
"""Ids that are asked for at a time (contract §3, stage 2), counted once for each connection that has named them: some
40 MiB if nobody has them. When that many are, strangers give way first, and among them whoever has named most."""

MAX_DIALS, DIALS_PER_SECOND = 24, 1.0
"""Calls to addresses that were only heard of: enough for all links twice, and then slowly. Anybody can name
addresses, and a node must not become a tool to knock on strangers' doors."""

MAX_REDIALS = 256
"""Lost addresses that are called again."""

MAX_CALLED_BACK = 16
"""Those of them that only ever called this node, and may have named any address as their own."""

# --- blocks -------------------------------------------------------------------------------------

MAX_BLOCK_IDS = 50_000
"""Transactions in one block, which makes it 3.2 of a frame's 4 MiB (contract §3, stages 4 and 5)."""

MAX_POOL = 128 * MEBIBYTE
"""Transactions that wait for a block, as bytes of their frames: what comes at full speed in half a minute. Those
that come when it is full are not taken."""

MAX_UNCOVERED = 16 * MEBIBYTE
"""With so much in the pool, those whose sender cannot pay them are no longer taken: they cost their sender nothing."""

MAX_WAITING = 1_000
"""Blocks that wait for an earlier one or for transactions (contract §3, stages 4 and 5)."""

MAX_WAITING_IDS = 60_000
"""Transactions that the early blocks of stage 4 name: one of the largest blocks. A missing one takes 700 bytes."""

MAX_WAITING_BYTES = 16 * MEBIBYTE
"""Bytes of these blocks' frames: four of the largest, some 100 MiB of memory with all the ids that they lack. One block
may always wait."""

MAX_ANSWER_BLOCKS = 500
"""Blocks in one answer to `get_blocks` or `get_chain` (contract §3)."""

MAX_ANSWER_BYTES = 4 * MEBIBYTE
"""Bytes in one such answer (contract §3): as many as the largest block may have. What eight newcomers may ask for at a
time, blocks and transactions, is well within `MAX_OUTBOXES`."""

SLOW_BYTES_PER_SECOND = 16 * 1024
"""While fewer bytes of new blocks come in stage 4, others are asked for the same blocks as well."""

MAX_DIGESTS = 64
"""Digests in one `order`, and numbers in one `get_order` (contract §3, stage 4): doubling steps over 2^53 blocks need
54. With so many at a time the first difference in a million blocks is found in four questions."""

MAX_WAITING_SECONDS = 600.0
"""How long a block may wait in stage 5 (contract §3)."""

MAX_TWINS = 2
"""Blocks by one creator in one slot that enter the tree and are forwarded unasked (contract §3, stage 5): the second is
the evidence. A third enters only where somebody else's block builds on it."""

MAX_ASIDE = 64 * MEBIBYTE
"""Bytes of transactions for which the pool has no room, and which came in only for blocks that wait or do not count. It
is what the largest block needs with keys of the usual size. One block may always wait."""

ENTERED_AT_ONCE, COST_OF_A_BLOCK = 4_000, 50
"""How many transactions of blocks enter the tree in one turn, which takes some milliseconds; and as how many of them a
block itself counts."""

MAX_SOLO_BYTES = 16 * MEBIBYTE
"""Bytes of the blocks of one creator off the best chain, on which nobody else builds. Beyond, the lowest of them leave
the tree: they are the least likely ever to matter."""

MAX_LOCATOR = 100
"""Ids in the locator of `get_chain` (contract §3, stage 5)."""

MAX_EVIDENCE = 10
"""Pairs of blocks kept as evidence, of up to 6.4 MiB each. In stage 5 that is one against each of so many creators;
against the sequencer of stage 4 one would be proof enough."""


class Allowance:
    """Something that may be done `burst` times at once, and `per_second` times a second after that."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._counted_at = 0.0

    def take(self, now: float) -> bool:
        """May it be done once more, at this time in seconds?"""
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Recent:
    """A set that forgets its oldest entries, in two generations, so that it stays bounded."""

    def __init__(self, generation: int = MAX_SEEN) -> None:
        self._generation = generation
        self._young: set[str | int] = set()
        self._old: set[str | int] = set()

    def __contains__(self, entry: str | int) -> bool:
        return entry in self._young or entry in self._old

    def add(self, entry: str | int) -> None:
        """Remember `entry` while the next `generation` other ones come, or longer."""
        if len(self._young) >= self._generation:
            self._old, self._young = self._young, set()
        self._young.add(entry)

    def discard(self, entry: str | int) -> None:
        """Forget `entry` now."""
        self._young.discard(entry)
        self._old.discard(entry)
