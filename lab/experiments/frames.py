"""How long the frames are that nodes of each stage send each other: taken from two nodes in memory.

Their keys are RSA keys, so signatures and accounts are as long as on sockets.
"""

import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from common.encoding import encode_frame
from common.interface import Network
from common.rsa import PrivateKey
from lab.simulation import World
from stage1_chat.node import ChatNode
from stage2_ledger.node import LedgerNode
from stage3_signed.node import SignedNode, SignedSetup
from stage4_sequencer.node import SequencedNode
from stage4_sequencer.total_order import TotalOrderSetup
from stage5_pos.genesis import make_genesis
from stage5_pos.node import StakeNode

FIRST, SECOND = "203.0.113.100:5000", "203.0.113.101:5000"
TEXT = "hello, how are you?"
QUIET_SECONDS = 300
"""How long two nodes that have nothing to say are watched."""
FOREVER_MS = 3_600_000
"""A slot of stage 5 while nodes must be quiet."""


class Sizes(NamedTuple):
    """Bytes of what nodes of one stage send."""

    message: int
    """A chat message in stage 1, a transaction later."""
    presence: int
    """The presence of a node that has joined; from stage 2 on."""
    address: int
    """What an entry adds to a list of peers."""
    upkeep: float
    """What comes in each second while nothing happens: comparisons with a neighbour every five seconds."""
    block: int
    """A block without transactions."""
    block_id: int
    """What a transaction adds to it."""


class Pair:
    """Two nodes of a stage, and what they have sent each other."""

    def __init__(self, stage: int, keys: Sequence[PrivateKey], slot_ms: int = 1_000) -> None:
        """In stage 5 the first node makes a block in nearly every slot."""
        self.world = World(1)
        self.world.delivered = deque()  # keeps all deliveries, not only the latest
        make_node = _maker(stage, keys, self.world.start_ms, slot_ms)
        self.first = self.world.add(make_node, address=FIRST)
        self.world.run(0.1)
        self.second = self.world.add(make_node, FIRST, address=SECOND)
        self.world.run(2)

    def say(self, line: str, times: int, seconds: float) -> None:
        """Type a line at the first node, `times` times, and let time pass."""
        for _ in range(times):
            self.first.on_line(line)
        self.world.run(seconds)

    def frames(self, kind: str = "") -> list[tuple[dict[str, Any], int]]:
        """The messages of a type that came so far, or all, each with the length of its frame."""
        frames = [one.frame for one in self.world.delivered if one.frame is not None]
        found = [(json.loads(frame[4:]), len(frame)) for frame in frames]
        return [(message, size) for message, size in found if kind in ("", message["type"])]


def _maker(stage: int, keys: Sequence[PrivateKey], start_ms: int, slot_ms: int) -> Callable[[Network, str], ChatNode]:
    def make_node(network: Network, address: str) -> ChatNode:
        if stage <= 2:
            return (ChatNode if stage == 1 else LedgerNode)(network, address)
        key = keys[0 if address == FIRST else 1]
        if stage == 3:
            return SignedNode(network, address, SignedSetup(key=key))
        if stage == 4:
            return SequencedNode(network, address, TotalOrderSetup(key=key), lambda: keys[2])
        genesis = make_genesis("0" * 64, start_ms, slot_ms, 999, [keys[0].account], [1_000_000])
        stakes = {1: keys[0]} if address == FIRST else {}
        return StakeNode(network, address, TotalOrderSetup(key=key), stakes, lambda: (genesis, stakes))

    return make_node


def measure_sizes(stage: int, keys: Sequence[PrivateKey]) -> Sizes:
    """The sizes of a stage, with three keys of 2,048 bits."""
    pair = Pair(stage, keys)
    if stage == 1:
        pair.say(TEXT, 1, 1)
        return Sizes(pair.frames("chat")[-1][1], 0, 0, 0, 0, 0)
    line = "/send alice bob 100" if stage == 2 else f"/send {keys[1].account} 100"
    for times in (1, 3):
        pair.say(line, times, 12)
    listed = {len(message["addresses"]): size for message, size in pair.frames("peers")}
    # A first entry has no comma, so an empty list counts as a byte shorter.
    address = _slope({0: len(encode_frame({"type": "peers", "addresses": []})) - 1, **listed})
    return Sizes(pair.frames("transaction")[-1][1], pair.frames("presence")[-1][1], address, _upkeep(stage, keys),
                 *_block_sizes(pair))


def _block_sizes(pair: Pair) -> tuple[int, int]:
    """The size of a block without transactions, and what each transaction adds."""
    blocks = {len(message["transactions"]): size for message, size in pair.frames("block") if message["transactions"]}
    each = _slope(blocks) if blocks else 0
    return min(blocks.values(), default=0) - each, each


def _slope(sizes: dict[int, int]) -> int:
    """How much one more entry adds, judging by the shortest and the longest list. (The number of a slot may have a
    digit more.)
    """
    fewest, most = min(sizes), max(sizes)
    return (sizes[most] - sizes[fewest]) // (most - fewest)


def _upkeep(stage: int, keys: Sequence[PrivateKey]) -> float:
    """Bytes that come to a node in each second, while nobody says anything and no block is made."""
    pair = Pair(stage, keys, FOREVER_MS)
    pair.say("/send alice bob 100" if stage == 2 else f"/send {keys[1].account} 100", 1, 20)
    before = sum(size for _, size in pair.frames())
    pair.world.run(QUIET_SECONDS)
    return (sum(size for _, size in pair.frames()) - before) / 2 / QUIET_SECONDS
