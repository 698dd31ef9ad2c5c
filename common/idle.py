"""Neighbours that say nothing, and callers that bring nothing new (contract §2)."""

from collections.abc import Callable, Collection

from common.encoding import encode_frame
from common.interface import Connection, Network
from common.limits import CLOSE_AFTER, PING_AFTER, USELESS_SECONDS


class Idle:
    """Closes links whose other end is gone without a word, and makes room when all places for callers are taken."""

    def __init__(self, network: Network, connections: Collection[Connection], links: Collection[Connection],
                 refuse: Callable[[Connection, str, str], None]) -> None:
        """`refuse` ends a connection, with a code and a reason for its peer."""
        self._network = network
        self._connections = connections
        self._links = links
        self._refuse = refuse

    def watch(self) -> None:
        """From now on, ping links that have long been silent, and close those that do not answer (contract §2)."""
        self._network.after(PING_AFTER / 4, self._check_silence)

    def _check_silence(self) -> None:
        self.watch()
        for connection in list(self._links):
            silence = self._network.now() - connection.heard
            if silence >= CLOSE_AFTER:
                connection.close()
            elif silence >= PING_AFTER:
                connection.send(encode_frame({"type": "ping", "nonce": ""}))

    def make_room(self) -> bool:
        """Close the connection of the caller that has been useless for longest, if that is at least a minute; False if
        there is none."""
        useless = self._most_useless()
        if useless is not None:
            self._refuse(useless, "BUSY", f"brought nothing new for {USELESS_SECONDS:.0f} seconds, and another caller"
                                          " needs the place")
        return useless is not None

    def _most_useless(self) -> Connection | None:
        """The caller that has been useless for longest, if that is at least a minute; None if there is none.

        Connections that this node has opened stay, whatever they bring. Bitcoin Core does the same, by more measures of
        usefulness (AttemptToEvictConnection in its net.cpp).
        """
        callers = [one for one in self._connections if one.dialled is None and one.is_open]
        useless = min(callers, key=lambda one: one.useful_at, default=None)
        if useless is None or self._network.now() - useless.useful_at < USELESS_SECONDS:
            return None
        return useless
