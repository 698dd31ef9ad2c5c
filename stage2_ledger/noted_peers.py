"""The addresses that a node calls first when it comes back after a crash, kept in its journal.

The list of peers alone is not enough: anybody can put ten thousand addresses into it, and one a second is called. So
the node also notes which peers it has reached, and which have called it.
"""

import json
from collections.abc import Callable, Iterable

from common.interface import Network
from stage1_chat.neighbours import Neighbours
from stage2_ledger.keeping import Keeper
from stage2_ledger.limits import GOSSIP_SECONDS, MAX_NOTED_CALLERS, MAX_NOTED_REACHED, NOTED_BYTES_PER_SECOND


class NotedPeers:
    """Three lists of addresses in the journal. A list that is missing, as in older journals, counts as empty."""

    def __init__(self, network: Network, neighbours: Neighbours, keeper: Keeper,
                 all_peers: Callable[[], list[str]]) -> None:
        """`all_peers` gives the list of peers."""
        self._network = network
        self._neighbours = neighbours
        self._keeper = keeper
        self._lists = {"peers": all_peers, "reached": self._reached, "callers": self._callers}
        self._from: dict[str, float] = {}
        """When a list may be written down again, in seconds of `Network.now`."""

    def note(self) -> None:
        """Keep the lists that have changed. The longer a list is, the less often it is written."""
        now = self._network.now()
        for name, make in self._lists.items():
            if self._keeper.has_journal and now >= self._from.get(name, 0.0):
                text = json.dumps(make())
                if text != self._keeper.read_note(name):
                    self._keeper.note(name, text)
                    self._from[name] = now + GOSSIP_SECONDS + len(text) / NOTED_BYTES_PER_SECOND

    def read(self, name: str) -> list[str]:
        """The list of this name: "peers", "reached" or "callers"."""
        addresses: list[str] = json.loads(self._keeper.read_note(name) or "[]")
        return addresses

    def _reached(self) -> list[str]:
        own = (str(link.proven) for link in self._neighbours.links if link.is_own)
        return self._before_earlier(own, "reached", MAX_NOTED_REACHED)

    def _callers(self) -> list[str]:
        strangers = (str(link.address) for link in self._neighbours.links if not link.is_own)
        return self._before_earlier(strangers, "callers", MAX_NOTED_CALLERS)

    def _before_earlier(self, linked: Iterable[str], name: str, most: int) -> list[str]:
        """The linked addresses, the oldest link first, and then those noted earlier.

        Why the oldest first? Peers that come and go under many names must not take the places of peers that stay. Why
        the earlier ones? The others may have crashed just before this node, or may not be back yet.
        """
        return list(dict.fromkeys([*linked, *self.read(name)]))[:most]
