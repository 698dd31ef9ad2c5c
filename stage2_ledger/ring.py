"""Who is in the network, and the connections along the ring (contract §3, stage 2)."""

import json
from collections.abc import Iterable

from common.encoding import (ADDRESS, NONCE, Field, FormatError, Message, Shape, canon, encode_frame, is_address,
                             is_list_of, make_id)
from common.interface import Connection, Network
from common.journal import Journal
from common.limits import (AT_ONCE_SECONDS, DIALS_PER_SECOND, GOSSIP_SECONDS, HELLO_SECONDS, MAX_DIALS, MAX_PEERS,
                           NOTED_BYTES_PER_SECOND, Allowance)
from stage2_ledger.keeping import KeepingNode
from stage2_ledger.membership import Membership


class RingNode(KeepingNode):
    """A node that knows who else is there, and keeps connections to some of them."""

    SHAPES: dict[str, Shape] = {
        **KeepingNode.SHAPES,
        "get_peers": {},
        "peers": {"addresses": Field(is_list_of(is_address, MAX_PEERS), f"at most {MAX_PEERS} addresses, none twice")},
        "presence": {"nonce": NONCE, "address": ADDRESS},
    }

    def __init__(self, network: Network, address: str, journal: Journal | None = None) -> None:
        super().__init__(network, address, journal)
        self.members = Membership(address, network.random)
        self.dialling: set[str] = set()
        """Addresses that are being called for a new connection."""
        self.dials = Allowance(MAX_DIALS, DIALS_PER_SECOND)
        self.dials_later = False
        """Is another round of calls planned, since there were too many to make at once?"""
        self.asked_for_peers: set[Connection] = set()
        self.presence = b""
        """What this node has flooded of itself: it goes first on every link that it opens."""
        self.note_peers_from = 0.0
        """When the list of peers may be written down again, in seconds of `Network.now`."""
        self.introduced: set[Connection] = set()
        """Links by which an address came into the list that was not in it before."""

    # --- joining --------------------------------------------------------------------------------

    def take_network(self, connection: Connection, name: str) -> None:
        """Having joined by one peer, ask it who else is there."""
        super().take_network(connection, name)
        self.ask_for_peers(connection)

    def ask_for_peers(self, connection: Connection) -> None:
        """Ask a neighbour for its list; `on_peers` follows."""
        self.asked_for_peers.add(connection)
        connection.send(encode_frame({"type": "get_peers"}))

    def on_get_peers(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Somebody who joins asks for the list of peers."""
        connection.send(encode_frame({"type": "peers", "addresses": self.peers()}))

    def on_peers(self, connection: Connection, message: Message, frame: bytes) -> None:
        """The list that was asked for: take a place on the ring, and let everyone know."""
        if connection not in self.asked_for_peers:
            raise FormatError("peers: nobody asked for them")
        self.asked_for_peers.discard(connection)
        for address in message["addresses"]:
            self.members.add(address)
        self.keep_up_links()
        presence = {"type": "presence", "nonce": self.make_nonce(), "address": self.address}
        self.presence = encode_frame(presence)
        self.on_presence(None, presence, self.presence)

    def on_presence(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """Somebody is in the network: remember the address and pass it on."""
        presence_id = make_id(canon(["presence", self.network_name, message["nonce"], message["address"]]))
        if presence_id not in self.seen_ids:
            self.seen_ids.add(presence_id)
            self.members.add(message["address"])
            self.pass_on(frame, connection)

    def peers(self) -> list[str]:
        """The list of peers in its order, this node's own address included."""
        return self.members.sorted()

    # --- connections ----------------------------------------------------------------------------

    def keep_up_links(self) -> None:
        """Call those of the wanted addresses that are not linked."""
        self.call(self.members.wanted())

    def call(self, addresses: Iterable[str]) -> None:
        """Call those of these addresses that are not linked. If they are too many at once, the wanted ones are called
        later."""
        for address in addresses:
            if address not in self.dialling and not self.is_linked(address):
                if self.has_just_called(address):
                    if address not in self.redials:  # those are called again soon in any case
                        self.keep_up_links_later()
                    continue
                if not self.dials.take(self.network.now()):
                    self.keep_up_links_later()
                    break
                self.dialling.add(address)
                self.network.connect(address)

    def has_just_called(self, address: str) -> bool:
        """Has somebody who claims to listen there called within the last second? If this node called back now, to check
        the claim, both would have called at once, and the link by which the other is joining might be closed."""
        too_new = self.network.now() - AT_ONCE_SECONDS
        return any(link.address == address and link.opened > too_new for link in self.links)

    def keep_up_links_later(self) -> None:
        """Go on calling when it is allowed again."""
        def go_on() -> None:
            self.dials_later = False
            self.keep_up_links()

        if not self.dials_later:
            self.dials_later = True
            self.network.after(1 / DIALS_PER_SECOND, go_on)

    def on_open(self, connection: Connection) -> None:
        """A second call to one place is given up before a word is said: that node has two names. If the second call was
        by the name that the node gives itself, the first was by the other one, which may lead elsewhere tomorrow."""
        before = [one for one in self.connections if one.dialled is not None and one.remote == connection.remote]
        if connection.dialled is None or not before:
            super().on_open(connection)
            return
        if connection.dialled == before[0].address:
            before[0].proven = connection.dialled
            self.members.add_reached(connection.dialled)
        self.on_alias(connection, before[0])

    def on_alias(self, connection: Connection, first: Connection) -> None:
        """A call has reached a node that has been called before: end it. If the node gives itself another name, do not
        call it by this one again."""
        if connection.dialled == self.peer and first.address is not None:
            self.peer_listens = first.address
        if connection.dialled != first.address:
            self.members.cross_out(str(connection.dialled))
        connection.was_refused = True
        connection.close()

    def on_own_address(self, connection: Connection) -> None:
        """Another name of this node itself is not in the list either."""
        super().on_own_address(connection)
        self.members.cross_out(str(connection.dialled))

    def link(self, connection: Connection) -> None:
        """There is a new neighbour."""
        has_come_back = connection.address in self.redials or connection.dialled in self.redials
        super().link(connection)
        self.dialling.discard(connection.dialled or "")
        self.list_peer(connection, str(connection.address))
        if connection.dialled is not None and not self.is_at_its_address(connection):
            self.call([str(connection.address)])  # does that name lead there, too?
        if connection.dialled is not None and self.presence:
            connection.send(self.presence)  # the one by which it joined may be gone before it has passed it on
        self.note_peers()
        if has_come_back:
            # While the network was cut, each side has crossed out addresses of the other: merge the lists.
            self.ask_for_peers(connection)
        self.drop_double_link(connection)

    def drop_double_link(self, connection: Connection) -> None:
        """Two nodes that call each other have two links, and one of them ends. If this node has called and reached the
        very address, that call stays, and it is the only one: anybody can claim to listen where a neighbour does."""
        links = [link for link in self.links if link.address == connection.address]
        own = [link for link in links if link.dialled == link.address]
        own += [link for link in links if link not in own and self.is_at_its_address(link)]
        for link in links if own else []:
            if link is not own[0] and link.dialled is not None:
                self.on_alias(link, own[0])
            elif link is not own[0] and self.closes_call(link, own[0]):
                link.close()

    def closes_call(self, inbound: Connection, own: Connection) -> bool:
        """Must this node close the call that it has got, in favour of its own? If both called at once, the one with the
        smaller address must. Otherwise the one that was called later must."""
        is_at_once = abs(inbound.opened - own.opened) < AT_ONCE_SECONDS
        is_for_this = self.address < str(inbound.address) if is_at_once else own.opened < inbound.opened
        return own.dialled is not None and is_for_this

    def is_at_its_address(self, link: Connection) -> bool:
        """Is it proven that this peer is where it says that it listens? That of `--peer` is believed."""
        return link.proven is not None and link.proven in (link.address, self.peer)

    def list_peer(self, connection: Connection, address: str) -> None:
        """Put a new neighbour into the list, under the name that it gives itself."""
        if connection.dialled not in (None, address):
            self.members.cross_out(str(connection.dialled))
        if self.is_at_its_address(connection):
            self.members.add_reached(address)
        elif address not in self.members:
            self.introduced.add(connection)
            self.members.add(address)

    def unlink(self, connection: Connection) -> None:
        """A neighbour is gone. It leaves the list while it does not answer, and somebody else takes its place.

        Whoever has only called may have named anybody. It takes no address off the list that was there before: that
        address is called.
        """
        super().unlink(connection)
        self.asked_for_peers.discard(connection)
        address = str(connection.address)
        self.judge_by_closed_call(connection)
        if not self.is_linked(address):
            if (connection in self.introduced or self.is_at_its_address(connection)
                    or not self.members.is_reachable(address)):
                self.members.discard(address)
            else:
                self.call([address])
            self.keep_up_links()
        self.introduced.discard(connection)

    def judge_by_closed_call(self, connection: Connection) -> None:
        """A call that is closed as soon as it got through was a double link for the other side. So the other side has
        called this node too, by the link that names the same address: that link is proven by the closed call. When
        the proven link ends, other links that name the address are unproven again."""
        lasted = self.network.now() - connection.opened
        was_double = (connection.dialled is not None and not connection.was_refused and lasted < HELLO_SECONDS
                      and self.is_at_its_address(connection))
        if was_double or (connection.dialled is None and connection.proven is not None):
            for link in self.links:
                if link.dialled is None and link.address == connection.address:
                    link.proven = connection.dialled

    def on_dial_failed(self, address: str, reason: str) -> None:
        """An address that does not answer is not in the list of peers."""
        super().on_dial_failed(address, reason)
        self.on_no_answer(address)

    def on_close(self, connection: Connection) -> None:
        """A connection that ends before its handshake did not answer either."""
        super().on_close(connection)
        if connection.dialled is not None and connection.address is None:
            self.on_no_answer(connection.dialled)

    def on_no_answer(self, address: str) -> None:
        """Call somebody else in the place of an address that did not answer. The address stays in the list while a
        linked caller names it: not everybody who calls can be called."""
        self.dialling.discard(address)
        if not self.is_linked(address):
            is_named = any(link.address == address for link in self.links)
            (self.members.set_aside if is_named else self.members.discard)(address)
            if self.network_name is not None:
                self.keep_up_links()

    def is_redialled(self, connection: Connection) -> bool:
        """From stage 2 on both sides call again, unless they are linked otherwise or this node has refused."""
        address = connection.proven or connection.address or ""
        has_been_linked = connection.address is not None or address in self.redials
        is_wanted = has_been_linked and not connection.was_refused and not self.is_linked(address)
        return super().is_redialled(connection) or is_wanted

    # --- after a crash --------------------------------------------------------------------------

    def resume(self) -> None:
        """Go on with the network in the journal, and go back to the peers known before."""
        assert self.journal is not None, "only who remembers a network resumes"
        peers = json.loads(self.journal.read_note("peers") or "[]")
        super().resume()
        self.call_known_peers(peers)

    def note_peers(self) -> None:
        """Keep the list of peers, so that this node finds them again after a crash. The longer the list is, the less
        often it is written."""
        now = self.network.now()
        if self.journal is not None and now >= self.note_peers_from:
            peers = json.dumps(self.peers())
            if peers != self.journal.read_note("peers"):
                self.note("peers", peers)
                self.note_peers_from = now + GOSSIP_SECONDS + len(peers) / NOTED_BYTES_PER_SECOND

    def call_known_peers(self, addresses: list[str]) -> None:
        """Call the peers known before, and the one of `--peer`."""
        for address in addresses:
            self.members.add(address)
        first = [] if self.peer is None else [self.peer]
        if not all(map(is_address, first)):
            self.report_error("NETWORK", f"{self.peer}: expected HOST:PORT")
            first = []
        for address in dict.fromkeys(first + self.members.wanted()):
            self.dialling.add(address)
            self.redials.call_now(address)
