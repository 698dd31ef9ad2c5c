"""Nodes of stage 5 in memory that make a chain: the very classes that run on sockets, with a clock that the experiment
sets.

Ten stakes are equal. Each honest node plays one of them; the attacker, if there is one, plays several. A slot is a
tenth of a second of the world's time. In each, all nodes draw first; then what they have made travels to the others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from common.encoding import canon, make_id
from common.interface import Network
from lab.schedules.keyed_hash import HashKey, hashes_instead_of_rsa, swapped
from lab.simulation import World
from stage4_sequencer.total_order import TotalOrderSetup
from stage5_pos.genesis import TICKETS, Genesis, make_genesis
from stage5_pos.node import StakeNode
from stage5_pos.tree import Block

HOLDERS = 10
MILLION = 1_000_000
START_MS = 1_700_000_000_000
SLOT_MS, SLOT_SECONDS = 100, 0.1
PERMILLE = 100
"""A slot has a block with chance F = 0.1, as in a network that `make stage5` founds."""

F = PERMILLE / 1000

FORMING_SECONDS = 2.0
"""How long the nodes take to join each other, before slot 0 begins."""

WITHIN_SLOT = 0.1
"""How long a frame travels in addition to the delay, as a share of a slot. It arrives within a slot, and so does an
answer to it."""

HASHED = ("A keyed hash takes the place of RSA, so that a run takes seconds; anybody could forge it, but no node of the"
          " experiment does.")
"""What each page of these experiments says."""


def chance_of(share: float) -> float:
    """The chance that a share of the stake wins a slot: 1 − (1 − F)^share."""
    return float(1 - (1 - F) ** share)


def share_of_blocks(share: float) -> float:
    """The share of the blocks that a share of the stake makes, if no block is lost. Below one half it is a little more
    than the share of the stake: a slot counts once even if several stakes win it, and the larger side loses more by
    that."""
    return chance_of(share) / (chance_of(share) + chance_of(1 - share))


def make_keys(seed: int) -> list[HashKey]:
    """The keys of the ten holders."""
    return [HashKey(f"holder {seed} {number}") for number in range(HOLDERS)]


def make_lottery(seed: int) -> Genesis:
    """The genesis of a network whose lottery follows from the seed. Slot 0 begins when the nodes have joined."""
    start_ms = START_MS + round(1000 * FORMING_SECONDS)
    return make_genesis(make_id(canon(["lottery of an experiment", seed])), start_ms, SLOT_MS, PERMILLE,
                        [key.account for key in make_keys(seed)], [MILLION] * HOLDERS)


class Chain:
    """A network of ten stakes in memory."""

    def __init__(self, seed: int, delay: int = 0, bad_stakes: int = 0, attacker: type[StakeNode] = StakeNode) -> None:
        """Each block reaches everybody `delay` slots after the slot in which it is made: others can build on it
        from `delay + 1` slots later on. The attacker plays the last `bad_stakes` of the ten."""
        self.world = World(seed, START_MS)
        self.delay = delay
        self.keys = make_keys(seed)
        self.genesis = make_lottery(seed)
        self.honest: list[StakeNode] = []
        self.attacker: StakeNode | None = None
        for number in range(HOLDERS - bad_stakes):
            self.honest.append(self._add(StakeNode, [number]))
        if bad_stakes:
            self.attacker = self._add(attacker, list(range(HOLDERS - bad_stakes, HOLDERS)))
        self.world.run(FORMING_SECONDS - self.world.now)
        self.world.flight_seconds = (delay + WITHIN_SLOT) * SLOT_SECONDS

    def _add(self, kind: type[StakeNode], numbers: list[int]) -> StakeNode:
        stakes = {number: self.keys[number] for number in numbers}
        is_first = not self.world.networks

        def make_node(network: Network, address: str) -> StakeNode:
            setup = TotalOrderSetup(key=self.keys[numbers[0]], only_network=None if is_first else self.genesis.id)
            return kind(network, address, setup, dict(stakes), lambda: (self.genesis, dict(stakes)))

        node = self.world.add(make_node, None if is_first else self.nodes[0].address)
        self.world.run(FORMING_SECONDS / 20)
        return node

    @property
    def nodes(self) -> list[StakeNode]:
        """All of them."""
        return [*self.honest, self.attacker] if self.attacker is not None else self.honest

    def run(self, slots: int) -> None:
        """Let time pass until the middle of slot number `slots`. The first slot is number 1."""
        self.world.run(FORMING_SECONDS + (slots + 0.5) * SLOT_SECONDS - self.world.now)

    def settle(self) -> None:
        """Stop all draws, and let what is on its way arrive."""
        for node in self.nodes:
            node.maker.skip_slots_until(2**40)
        self.world.run((self.delay + 2) * SLOT_SECONDS)

    @property
    def longest_rollback(self) -> int:
        """The longest one that an honest node saw."""
        return max(node.chain.longest_rollback for node in self.honest)

    @property
    def best(self) -> list[Block]:
        """The best chain at the first node, without the genesis."""
        return self.honest[0].tree.chain[1:] if self.honest else self.nodes[0].tree.chain[1:]

    def bad_blocks(self) -> int:
        """Blocks of the best chain that the attacker has made."""
        assert self.attacker is not None
        bad = {key.account for key in self.attacker.stakes.values()}
        return sum(block.creator in bad for block in self.best)


# --- who wins a tie ------------------------------------------------------------------------------

TIES = {"won": -TICKETS, "lost": TICKETS, "contract": 0}
"""Who wins a tie between two chains of the same length: the attacker, the others, or the smaller draw, as the contract
says. The number is added to the attacker's lottery values when they are compared."""


@contextmanager
def rules_of(seed: int, bad_stakes: int = 0, ties: str = "contract") -> Iterator[None]:
    """Inside this context, signatures are keyed hashes, and ties end as `ties` says: the contract's rule is overridden
    in the experiment only. These rules hold for the whole process, so it must run nothing else meanwhile."""
    bad = {key.account for key in make_keys(seed)[HOLDERS - bad_stakes:]}

    class TieBlock(Block):
        """A block whose rank says who wins ties."""

        @property
        def rank(self) -> tuple[int, int, str]:
            """As in stage 5, except for the values of the attacker's draws."""
            height, value, block_id = super().rank
            return height, value + (TIES[ties] if self.creator in bad else 0), block_id

    others: dict[str, tuple[Any, Any]] = {} if ties == "contract" else {"Block": (Block, TieBlock)}
    with hashes_instead_of_rsa(), swapped(others):
        yield
