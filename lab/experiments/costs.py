"""What a network costs each of its nodes, stage by stage, from ten nodes to a million: the tables of docs/scale.md.

`python -m lab.experiments.costs` prints them. The bytes are those of real frames (frames.py). The links and the bounds
are those of the contract.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from common.framing import MAX_BODY
from common.rsa import load_or_make_keys
from lab.experiments.frames import Sizes, measure_sizes
from lab.experiments.percolation import ring_and_random_hops
from lab.experiments.sockets import KEYS
from stage2_ledger.limits import MAX_PEERS, RANDOM_LINKS, RING_LINKS
from stage4_sequencer.genesis import MAX_ACCOUNTS
from stage4_sequencer.limits import MAX_BLOCK_IDS

STAGES = range(1, 6)
NODES = [10, 10_000, 1_000_000]

# --- what is assumed ------------------------------------------------------------------------------

HOUR, DAY, YEAR = 3_600, 86_400, 365 * 86_400

PER_USER = 1 / HOUR
"""Messages that the user of each node sends per second: one an hour."""

REJOINS = 1 / DAY
"""How often a node joins again, per second: it is switched off once a day."""

HOP_SECONDS = 0.1
"""From a node to its neighbour, anywhere on the internet."""

LINE = 12_500_000
"""Bytes a second in each direction: a line of 100 Mbit/s."""

DISK = 10**12

NEW_SECONDS, COPY_SECONDS, VERIFY_SECONDS = 16e-6, 2.3e-6, 90e-6
"""The time of a processor for handling a new message, for reading one copy of it and writing another one, and for
verifying one signature, as measured in docs/measurements.md."""

BLOCK_SECONDS = 10.0
"""From block to block: the sequencer's interval, and the mean of the lottery, with the founder's usual options."""

VERIFIED_IN_A_BLOCK = {4: 1, 5: 2}
"""Signatures of a block: the sequencer's; the creator's and its draw."""


class Cost(NamedTuple):
    """The load of one node, per second unless it says otherwise."""

    links: float
    messages: float
    """That come in, all copies."""
    bytes: float
    """That come in; about as many go out."""
    processor: float
    """The share of one core."""
    seconds: float
    """Seconds from when a message was sent until it counts at a majority of nodes."""
    history: float
    """Bytes that are kept from one year."""
    newcomer: float
    """Seconds that a node needs to get and check a year's history."""
    list: float
    """Bytes of the list of peers."""
    block_ids: float
    """Transactions in a block."""


def cost(stage: int, nodes: float, sizes: Sizes) -> Cost:
    """The costs of each node, in a network of `nodes` nodes."""
    rate = nodes * PER_USER
    joins = nodes * REJOINS if stage > 1 else 0.0
    blocks = min(rate, 1 / BLOCK_SECONDS) if stage == 4 else 1 / BLOCK_SECONDS if stage == 5 else 0.0
    per_second = rate * (sizes.message + (sizes.block_id if blocks else 0)) + blocks * sizes.block
    copies = copies_of(stage, nodes)
    new = rate + joins + blocks
    verified = (rate if stage > 2 else 0.0) + VERIFIED_IN_A_BLOCK.get(stage, 0) * blocks
    history = YEAR * per_second if stage > 1 else 0.0
    processor = new * (NEW_SECONDS + copies * COPY_SECONDS) + verified * VERIFY_SECONDS
    return Cost(links_of(stage, nodes), copies * new, copies * (per_second + joins * sizes.presence) + sizes.upkeep,
                processor, seconds_until_it_counts(stage, nodes), history,
                max(history / LINE, YEAR * verified * VERIFY_SECONDS) if stage > 1 else 0.0,
                min(nodes, MAX_PEERS) * sizes.address, rate / blocks if blocks else 0.0)


def links_of(stage: int, nodes: float) -> float:
    """The links of a node, on average. In stage 1 each node but the first has called one; later each has called
    twelve."""
    return 2 * (nodes - 1) / nodes if stage == 1 else min(nodes - 1, 2 * (RING_LINKS + RANDOM_LINKS))


def copies_of(stage: int, nodes: float) -> float:
    """How often a flooded message comes to a node, on average. Each node sends it on all its links but the one that it
    came on; the first one sends it on all."""
    return links_of(stage, nodes) - 1 + 1 / nodes


def seconds_until_it_counts(stage: int, nodes: float) -> float:
    """Seconds: in stages 1 to 3, until a message has come to most nodes; in later stages, a block must be made and
    spread, too. In a tree
    where each node has called one of those before it, two nodes are 2 ln n hops apart on average (Dobrow, "On the
    distribution of distances in recursive trees", 1996)."""
    hops = 2 * math.log(nodes) if stage == 1 else max(1.0, ring_and_random_hops(nodes))
    wait = {4: BLOCK_SECONDS / 2, 5: BLOCK_SECONDS}.get(stage)
    return hops * HOP_SECONDS if wait is None else 2 * hops * HOP_SECONDS + wait


# --- where it stops -------------------------------------------------------------------------------

class Limit(NamedTuple):
    """A bound that a growing network passes at some size."""

    name: str
    is_over: Callable[[Cost, float, Sizes], bool]
    """Is it passed, given the costs, the number of nodes and the sizes?"""
    stages: Iterable[int]


LIMITS = [
    Limit(f"more accounts than a genesis takes ({MAX_ACCOUNTS}), if each node has a stake",
          lambda found, nodes, sizes: nodes > MAX_ACCOUNTS, [5]),
    Limit(f"more addresses than a list of peers takes ({MAX_PEERS:,})",
          lambda found, nodes, sizes: nodes > MAX_PEERS, STAGES[1:]),
    Limit("a year of history fills a disk of 1 TB", lambda found, nodes, sizes: found.history > DISK, STAGES[1:]),
    Limit("a newcomer needs more than a day for a year's history",
          lambda found, nodes, sizes: found.newcomer > DAY, STAGES[1:]),
    Limit("the list of all peers is longer than a frame (4 MiB)",
          lambda found, nodes, sizes: nodes * sizes.address > MAX_BODY, STAGES[1:]),
    Limit("a line of 100 Mbit/s is full", lambda found, nodes, sizes: found.bytes > LINE, STAGES),
    Limit("a core is busy with nothing else", lambda found, nodes, sizes: found.processor > 1, STAGES),
    Limit(f"a block is full ({MAX_BLOCK_IDS:,} transactions)",
          lambda found, nodes, sizes: found.block_ids > MAX_BLOCK_IDS, [4, 5]),
]


def first_over(limit: Limit, stage: int, sizes: Sizes) -> int:
    """The smallest number of nodes that passes the limit."""
    return bisect_left(range(10**10), True, lo=2,
                       key=lambda nodes: limit.is_over(cost(stage, nodes, sizes), nodes, sizes))


# --- the tables -----------------------------------------------------------------------------------

def table_of_frames(sizes: dict[int, Sizes]) -> Iterator[str]:
    """How long frames are, in lines of Markdown."""
    yield from _row("stage", "a message", "a presence", "an entry of a list of peers", "an empty block",
                    "a transaction in a block", "comparing, each second")
    yield "|---|" + "---:|" * 6
    for stage, one in sizes.items():
        yield from _row(str(stage), *(in_bytes(size) if size else "–" for size in (
            one.message, one.presence, one.address, one.block, one.block_id, one.upkeep)))


def table_of_costs(sizes: dict[int, Sizes]) -> Iterator[str]:
    """What each node bears."""
    yield from _row("stage", "nodes", "links", "messages in", "bytes in", "a core", "until it counts",
                    "kept from a year", "newcomer")
    yield "|---|" + "---:|" * 8
    for stage in STAGES:
        for nodes in NODES:
            found = cost(stage, nodes, sizes[stage])
            yield from _row(str(stage), f"{nodes:,}", f"{found.links:.0f}", f"{digits(found.messages)}/s",
                            f"{in_bytes(found.bytes)}/s", in_percent(found.processor), in_time(found.seconds),
                            in_bytes(found.history) if found.history else "–",
                            in_time(found.newcomer) if found.newcomer else "–")


def table_of_limits(sizes: dict[int, Sizes]) -> Iterator[str]:
    """From how many nodes on each limit is passed."""
    yield from _row("from how many nodes on", *(f"stage {stage}" for stage in STAGES))
    yield "|---|" + "---:|" * len(STAGES)
    for limit in LIMITS:
        yield from _row(limit.name, *(digits(first_over(limit, stage, sizes[stage])) if stage in limit.stages else "–"
                                      for stage in STAGES))


TABLES = {"frames": table_of_frames, "costs": table_of_costs, "limits": table_of_limits}


def make_tables(sizes: dict[int, Sizes]) -> dict[str, str]:
    """All tables, by name."""
    return {name: "\n".join(table(sizes)) for name, table in TABLES.items()}


def _row(*cells: str) -> Iterator[str]:
    yield f"| {' | '.join(cells)} |"


def digits(number: float) -> str:
    """A number, rounded to two significant digits."""
    if number <= 0:
        return "0"
    places = 1 - math.floor(math.log10(number))
    return f"{round(number, places):,.{max(0, places)}f}"


def in_percent(share: float) -> str:
    """A share in percent; one that is too small to matter is `< 0.01 %`."""
    return f"{digits(100 * share)} %" if share >= 0.0001 else "< 0.01 %"


def in_bytes(number: float) -> str:
    """A number of bytes, with a unit."""
    return _with_unit(number, [(1, "B"), (10**3, "kB"), (10**6, "MB"), (10**9, "GB"), (10**12, "TB")])


def in_time(seconds: float) -> str:
    """A time, with a unit."""
    return _with_unit(seconds, [(1, "s"), (60, "min"), (HOUR, "h"), (DAY, "days")])


def _with_unit(number: float, units: Sequence[tuple[int, str]]) -> str:
    size, unit = next((one for one in reversed(units) if number >= one[0]), units[0])
    return f"{digits(number / size)} {unit}"


def measure_all() -> dict[int, Sizes]:
    """The sizes of all stages. The keys are those of the benchmark, which are made once."""
    keys = load_or_make_keys(KEYS, 3)
    return {stage: measure_sizes(stage, keys) for stage in STAGES}


if __name__ == "__main__":
    print(*make_tables(measure_all()).values(), sep="\n\n")
