"""The honest part of a network in memory: nodes of stage 5 with nine of ten stakes, and what happens to them.

Signatures are keyed hashes, not RSA: run this inside `hashes_instead_of_rsa` (keyed_hash.py).
"""

import itertools
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from common.encoding import Message, canon, encode_frame, make_id
from common.interface import Network
from lab.schedules.keyed_hash import HashKey
from lab.simulation import World
from stage4_sequencer.total_order import TotalOrderSetup
from stage5_pos import lottery
from stage5_pos.genesis import Genesis, make_genesis
from stage5_pos.node import StakeNode

HOLDERS = 10
KEYS = {number: HashKey(f"holder {number}") for number in range(1, HOLDERS + 1)}
"""The stake holders, equal in stake. The last one is the adversary."""

ADVERSARY = HOLDERS
MILLION = 1_000_000
START_MS = 1_700_000_000_000
SLOT_MS, PERMILLE = 1_000, 100

LUCK = 3
"""The adversary wins at least this many slots in the first minute of its attack. On average it would win 0.6, and could
do little."""

NEWCOMERS = 3
"""The most late joiners. Each of them gets the whole chain, which takes a long time to simulate."""

GETTING_READY = 3
"""Slots in which the honest nodes join each other, before the attack begins."""


class Past(NamedTuple):
    """What happened before an attack begins: a genesis, and the blocks that honest holders have made since."""

    genesis: Genesis
    age: int
    """The current slot."""
    blocks: list[Message]

    def won(self, seconds: int) -> list[int]:
        """The slots that the adversary has won: the second of the attack at which each of them begins."""
        return [second for second in range(GETTING_READY, seconds)
                if draw(self.genesis, ADVERSARY, self.age + second) is not None]


def draw(genesis: Genesis, number: int, slot: int) -> tuple[int, str] | None:
    """The lottery value and the draw of a holder in a slot, if the draw wins."""
    drawn = lottery.make_draw(KEYS[number], genesis.seed, slot)
    value = lottery.ticket_value(genesis.seed, slot, KEYS[number].account, drawn)
    return (value, drawn) if value < int(genesis.thresholds[number - 1], 16) else None


def block_bytes(network: str, message: Message) -> bytes:
    """The canonical bytes of a block (contract §1)."""
    return canon(["block", network, message["slot"], message["parent"], message["creator"], message["draw"],
                  message["transactions"]])


def sign_block(genesis: Genesis, number: int, slot: int, drawn: str, parent: str, ids: list[str]) -> Message:
    """A signed block of a holder, valid or not."""
    message = {"type": "block", "slot": slot, "parent": parent, "creator": KEYS[number].account, "draw": drawn,
               "transactions": ids}
    return {**message, "signature": KEYS[number].sign(block_bytes(genesis.id, message))}


@lru_cache(maxsize=4)
def make_past(seed: int, age: int) -> Past:
    """A past of `age` slots. In its lottery the adversary wins `LUCK` slots or more in the attack's first minute."""
    balances = [MILLION] * HOLDERS
    first = make_genesis("00" * 32, START_MS, SLOT_MS, PERMILLE, [key.account for key in KEYS.values()], balances)
    for number in itertools.count():
        genesis = replace(first, seed=make_id(canon(["lottery of a schedule", seed, number])))
        past = Past(genesis, age, [])
        if len(past.won(60)) >= LUCK:
            return past._replace(blocks=_make_blocks(genesis, age))
    raise AssertionError("the loop has no end")


def _make_blocks(genesis: Genesis, age: int) -> list[Message]:
    blocks: list[Message] = []
    parent = genesis.id
    for slot in range(1, age + 1):
        wins = [(*won, number) for number in range(1, HOLDERS) if (won := draw(genesis, number, slot)) is not None]
        if wins:
            _, drawn, number = min(wins)
            blocks.append(sign_block(genesis, number, slot, drawn, parent, []))
            parent = make_id(block_bytes(genesis.id, blocks[-1]))
    return blocks


class HonestNodes:
    """Some honest nodes, all in one network, and what happens to them without any adversary."""

    def __init__(self, world: World, past: Past, count: int, is_line: bool, make: type[StakeNode] = StakeNode) -> None:
        """Start `count` nodes, which share the nine stakes. In a line, each reaches only the nodes next to it."""
        self.world = world
        self.past = past
        self.make = make
        self.count = count
        self.nodes: dict[str, StakeNode] = {}
        """The running nodes, by address."""
        self.stakes: dict[str, list[int]] = {}
        """Address -> the numbers of the holders whose stakes that node plays."""
        self.peers: dict[str, set[str]] = {}
        """Address -> the honest addresses that it can reach. An address that is not in here reaches all."""
        self.entrances: dict[str, str] = {}
        """Newcomer -> the address that it joined by."""
        world.is_partitioned = self.is_partitioned
        for number in range(count):
            self.add([holder for holder in range(1, HOLDERS) if holder % count == number], is_tied=is_line)

    def is_partitioned(self, one: str, other: str) -> bool:
        """Can these two not reach each other? Everybody reaches the adversary."""
        return (one in self.stakes and other in self.stakes
                and (other not in self.peers.get(one, {other}) or one not in self.peers.get(other, {one})))

    def add(self, stakes: list[int], is_tied: bool) -> None:
        """Start one more node, which joins the newest one. A tied node reaches only that node and the one after it."""
        peer = next(reversed(self.nodes), None)
        address = f"node-{len(self.world.networks) + 1}:1"
        self.stakes[address] = stakes
        if is_tied:
            self.peers[address] = {peer} if peer is not None else set()
            if peer in self.peers:
                self.peers[peer].add(address)
        self.start(address, peer)
        self.world.run(0.2)

    def start(self, address: str, peer: str | None) -> None:
        """Start the node at an address. Without a peer it founds the network, and knows the past."""
        keys = {number: KEYS[number] for number in self.stakes[address]}
        genesis = self.past.genesis

        def make_node(network: Network, address: str) -> StakeNode:
            own = next(iter(keys.values()), HashKey(address))
            setup = TotalOrderSetup(key=own, only_network=None if peer is None else genesis.id)
            return self.make(network, address, setup, dict(keys), lambda: (genesis, dict(keys)))

        node = self.nodes[address] = self.world.add(make_node, peer, address=address)
        if peer is None:
            for message in self.past.blocks:
                node.on_block(None, message, encode_frame(message))

    def joined(self) -> list[StakeNode]:
        """The nodes that belong to the network by now."""
        return [node for node in self.nodes.values() if node.network_name is not None]

    def pick(self, who: int) -> StakeNode:
        """One of the joined nodes. `who` may be any number."""
        nodes = self.joined()
        return nodes[who % len(nodes)]

    # --- what happens to them -------------------------------------------------------------------

    def pay(self, who: int, number: int) -> None:
        """A node sends money to a stake holder."""
        node = self.pick(who)
        node.on_line(f"/send {KEYS[1 + number % HOLDERS].account} {1 + number % 1_000}")

    def cut(self, who: int, number: int) -> None:
        """A connection between two honest nodes is cut; they may open it again."""
        ends = [end for end in self.world.open_connections()
                if end.dialled in self.stakes and end in end.owner.links and end.owner.address in self.stakes]
        if ends:
            self.world.cut(ends[(who * 31 + number) % len(ends)])

    def join(self, who: int, number: int) -> None:
        """A newcomer joins an honest node. All other nodes that it reaches are the adversary's."""
        if len(self.stakes) >= self.count + NEWCOMERS:
            return
        peer = self.pick(who).address
        address = f"node-{len(self.world.networks) + 1}:1"
        self.stakes[address], self.peers[address], self.entrances[address] = [], {peer}, peer
        if peer in self.peers:
            self.peers[peer].add(address)
        self.start(address, peer)

    def restart(self, who: int, number: int) -> None:
        """A node loses all its data, and joins again a few seconds later."""
        node = self.pick(who)
        if len(self.joined()) == len(self.nodes) >= len(self.stakes):
            self.world.kill(node)
            del self.nodes[node.address]
            self.world.after(1 + number % 8, lambda: self.start(node.address, self._way_back(node.address)))

    def _way_back(self, address: str) -> str:
        """The address by which a node joins again. For a newcomer it is the same as before, if possible. The newcomer
        might reach another one, too, but if that one knows nobody else, the two stay apart without any adversary."""
        reached = [node.address for node in self.joined() if not self.is_partitioned(address, node.address)]
        entrance = self.entrances.get(address)
        return entrance if entrance in reached else reached[0]
