"""Who can be called from where, and what the user is told when the answer is nobody (contract §4)."""

from collections.abc import Callable, Collection

from common.interface import Connection

HOW_TO_ANNOUNCE = ("--host 0.0.0.0 and, if that is not enough, --announce HOST:PORT"
                   " (with make: HOST=0.0.0.0, ANNOUNCE=HOST:PORT)")
"""What a node is started with, so that other machines can call it."""


def is_loopback(address: str) -> bool:
    """Does this address lead every machine to itself?"""
    host = host_of(address)
    return host == "localhost" or host.startswith("127.")


def host_of(address: str) -> str:
    """The host of an address, or of a connection's `remote`."""
    return address.rpartition(":")[0]


def own_address_words(address: str) -> str:
    """Why a hello that names this node's own address is refused."""
    return (f"this node has reached itself, or one that announces the same address, {address}; if that node is on"
            f" another machine, start each with {HOW_TO_ANNOUNCE}")


class Reach:
    """Looks at the addresses at both ends of a new link."""

    def __init__(self, address: str, links: Collection[Connection],
                 tell_once: Callable[[str, str, tuple[str, ...]], None]) -> None:
        """`address` is what this node announces; `tell_once` gets a code, a line for the user, and what it is about."""
        self._address = address
        self._links = links
        self._tell_once = tell_once

    def look_at(self, connection: Connection) -> None:
        """Tell the user, once, if this link shows that an announced address is of no use: this node announces a
        loopback address, and the peer is on another machine; or callers on two machines announce the same address."""
        if is_loopback(self._address) and not is_loopback(connection.dialled or connection.remote):
            self._tell_once("NETWORK", f"no other machine can call this node at {self._address}; to be called from"
                                       f" there, start it with {HOW_TO_ANNOUNCE}", ("own address",))
        hosts = {host_of(link.remote) for link in self._links
                 if link.dialled is None and link.address == connection.address}
        if len(hosts) > 1:
            self._tell_once("NETWORK", f"the nodes on {' and '.join(sorted(hosts))} announce the same address,"
                                       f" {connection.address}, so others can call one of them at most; start each with"
                                       f" {HOW_TO_ANNOUNCE}", ("same address", str(connection.address)))
