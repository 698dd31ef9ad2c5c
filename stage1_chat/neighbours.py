"""The connections of a node, which peers they lead to, and what is flooded on them."""

from common.bounded import Recent
from common.interface import Connection, State


class Neighbours:
    """The connections of one node. Those whose handshake is done are its links; they lead to its neighbours."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.links: dict[Connection, None] = {}
        """Oldest first: a dict keeps the order, a set does not."""
        self.peer: str | None = None
        """The address of `--peer`."""
        self.peer_listens: str | None = None
        """The address that the node of `--peer` announces: the user may have typed another name for it."""
        self.seen_frames = Recent()
        """The hashes of the frames that were flooded: copies of these need not be looked at. Python's own hash has 64
        bits and a key that no peer knows (PEP 456), so nobody can make two frames with one hash. SHA-256 would take
        three times as long, and most frames are copies."""

    def add_link(self, connection: Connection) -> None:
        """The handshake is done: the connection is `State.LINKED` from now on. If it is the one to `--peer`, note where
        that node says that it listens."""
        self.links[connection] = None
        connection.state = State.LINKED
        if connection.dialled is not None and connection.dialled == self.peer:
            self.peer_listens = connection.address

    def is_peer(self, address: str | None) -> bool:
        """Is this the address of `--peer`, either as the user typed it or as that node announces it?"""
        return None not in (self.peer, address) and address in (self.peer, self.peer_listens)

    def is_linked(self, address: str) -> bool:
        """Is there a link that is proven to lead to `address`? What a hello says is no proof: anybody can say it."""
        names = {address, self.peer, self.peer_listens} - {None} if self.is_peer(address) else {address}
        return any(link.proven in names for link in self.links)

    def pass_on(self, frame: bytes, source: Connection | None) -> None:
        """Send a frame on every link but the one it came from."""
        self.seen_frames.add(hash(frame))
        for connection in self.links:
            if connection is not source:
                connection.send(frame)
