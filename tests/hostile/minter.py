"""Blocks of stage 5 for the network of a real node, made with the keys of its genesis, which the tests have."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, Self

from common.encoding import canon, make_id
from stage5_pos import lottery
from tests.fixtures import kept_key
from tests.processes import Event, NodeProcess, RawPeer


class Ticket(NamedTuple):
    """A slot that a stake holder has won."""

    slot: int
    key: int
    draw: str


class Minter:
    """Makes blocks for a real node's network, with the keys of its genesis."""

    def __init__(self, node: NodeProcess) -> None:
        with RawPeer(node.address, 5, node.network) as peer:
            peer.hello()
            self._begin(node.network, peer.expect("genesis"))

    @classmethod
    def of(cls, genesis: Event, network: str) -> Self:
        """A minter for a network whose genesis is known, without asking a node."""
        minter = cls.__new__(cls)
        minter._begin(network, genesis)
        return minter

    def _begin(self, network: str, genesis: Event) -> None:
        self.network, self.seed = network, genesis["seed"]
        self.thresholds = dict(zip(genesis["accounts"], (int(one, 16) for one in genesis["thresholds"]), strict=True))

    def tickets(self, key: int = 1, first_slot: int = 1) -> Iterator[Ticket]:
        """The slots that the owner of a kept key wins, and the draws."""
        account = kept_key(key).account
        slot = first_slot
        while True:
            draw = lottery.make_draw(kept_key(key), self.seed, slot)
            if lottery.ticket_value(self.seed, slot, account, draw) < self.thresholds[account]:
                yield Ticket(slot, key, draw)
            slot += 1

    def block(self, ticket: Ticket, parent: str, ids: list[str] | None = None) -> Event:
        """A signed block in a slot that was won."""
        key = kept_key(ticket.key)
        message = {"type": "block", "slot": ticket.slot, "parent": parent, "creator": key.account,
                   "draw": ticket.draw, "transactions": ids or []}
        return {**message, "signature": key.sign(self.canonical(message))}

    def canonical(self, block: Event) -> bytes:
        """The canonical bytes of a block (contract §1)."""
        members = ("slot", "parent", "creator", "draw", "transactions")
        return canon(["block", self.network, *(block[member] for member in members)])

    def id_of(self, block: Event) -> str:
        """The id of a block."""
        return make_id(self.canonical(block))

    def chain(self, length: int, key: int = 1) -> list[Event]:
        """A chain of blocks without transactions, from the genesis on."""
        blocks: list[Event] = []
        for ticket in islice(self.tickets(key), length):
            blocks.append(self.block(ticket, self.id_of(blocks[-1]) if blocks else self.network))
        return blocks
