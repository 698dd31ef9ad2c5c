"""How often a node compares with its neighbours, and when with all of them (contract §3, stage 2)."""

from collections.abc import Callable

from common.interface import Connection, Network
from stage1_chat.neighbours import Neighbours
from stage2_ledger.limits import GOSSIP_SECONDS


class Gossip:
    """Compares with one random neighbour now and then, or with all of them when something was not passed on."""

    def __init__(self, network: Network, neighbours: Neighbours, compare: Callable[[Connection], None]) -> None:
        """`compare` compares with one neighbour."""
        self._network = network
        self._neighbours = neighbours
        self._compare = compare
        self._owes_news = False
        """Has something new come that was not flooded, because many ids were being fetched from its source?"""

    def begin(self) -> None:
        """From now on, compare every 5 s."""
        self._network.after(GOSSIP_SECONDS, self._go_round)

    def _go_round(self) -> None:
        self.begin()
        links = list(self._neighbours.links)
        # Why one, and at random? With twelve links, comparing with all would cost twelve times as much. And if each
        # node always asked the same neighbour, groups could form that never hear of each other.
        one = [self._network.random.choice(links)] if links else []
        for connection in links if self._owes_news else one:
            self._compare(connection)
        self._owes_news = False

    def postpone(self, frame: bytes, source: Connection) -> None:
        """Something new has come that is not flooded: all neighbours find it when this node next compares. As with a
        flood, its source has just been useful, and the frame goes into `seen_frames`."""
        source.useful_at = self._network.now()
        self._neighbours.seen_frames.add(hash(frame))
        self._owes_news = True
