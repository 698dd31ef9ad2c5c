"""Who is in the network, and the connections along the ring (contract §3, stage 2)."""

from collections.abc import Callable, Iterable
from typing import ClassVar

from common.bounded import Allowance, Recent
from common.encoding import (ADDRESS, NONCE, Field, FormatError, Message, Shape, canon, encode_frame, is_address,
                             is_list_of, make_id, make_nonce)
from common.interface import Connection, Network
from common.parts import Part
from common.limits import HELLO_SECONDS
from stage1_chat.neighbours import Neighbours
from stage2_ledger.keeping import Keeper
from stage2_ledger.limits import SIMULTANEOUS_SECONDS, DIALS_PER_SECOND, GOSSIP_SECONDS, MAX_DIALS, MAX_PEERS
from stage2_ledger.membership import Membership
from stage2_ledger.noted_peers import NotedPeers
from stage2_ledger.redial import LostPeers

LINK_PING = "link"
"""The nonce of the ping on each link that this node opens. An answer says that the other side has kept the link."""


class Ring(Part):
    """Knows who is in the network, and keeps up connections to some of them."""

    SHAPES: ClassVar[dict[str, Shape]] = {
        "get_peers": {},
        "peers": {"addresses": Field(is_list_of(is_address, MAX_PEERS), f"at most {MAX_PEERS} addresses, none twice")},
        "presence": {"nonce": NONCE, "address": ADDRESS},
    }

    def __init__(self, network: Network, address: str, neighbours: Neighbours, redials: LostPeers, keeper: Keeper,
                 seen_ids: Recent, network_name: Callable[[], str | None]) -> None:
        """`address` is this node's own. `keeper` keeps peers' addresses for the time after a crash. `seen_ids` are the
        ids of what was flooded. `network_name` gives the name of this node's network, None while it joins."""
        self._network = network
        self._address = address
        self._neighbours = neighbours
        self._redials = redials
        self._seen_ids = seen_ids
        self._network_name = network_name
        self.members = Membership(address, network.random)
        self._noted = NotedPeers(network, neighbours, keeper, lambda: self.members.sorted())
        self.presence = b""
        """The frame by which this node tells everyone its address. It goes on every link that this node opens.
        Empty until this node has the list of peers."""
        self._dialling: set[str] = set()
        """Addresses that are being called for a new connection."""
        self._dials = Allowance(MAX_DIALS, DIALS_PER_SECOND)
        self._dials_later = False
        """Is another round of calls planned, since there were too many to make at once?"""
        self._asked_for_peers: set[Connection] = set()
        self._introduced: set[Connection] = set()
        """Links whose peer has put a new address into the list."""
        self._unanswered: set[Connection] = set()
        """Links that this node has opened, and whose peer has not answered its first ping yet."""

    # --- who is there ---------------------------------------------------------------------------

    def ask_for_peers(self, connection: Connection) -> None:
        """Ask a neighbour for its list; `on_peers` follows."""
        self._asked_for_peers.add(connection)
        connection.send(encode_frame({"type": "get_peers"}))

    def on_get_peers(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Somebody who joins asks for the list of peers."""
        connection.send(encode_frame({"type": "peers", "addresses": self.members.sorted()}))

    def on_peers(self, connection: Connection, message: Message, frame: bytes) -> None:
        """The list that was asked for: take a place on the ring, and let everyone know."""
        if connection not in self._asked_for_peers:
            raise FormatError("peers: nobody asked for them")
        self._asked_for_peers.discard(connection)
        for address in message["addresses"]:
            self.members.add(address)
        self.keep_up_links()
        presence = {"type": "presence", "nonce": make_nonce(self._network.random), "address": self._address}
        self.presence = encode_frame(presence)
        self.on_presence(None, presence, self.presence)

    def on_presence(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """Somebody is in the network: remember the address and pass it on."""
        presence_id = make_id(canon(["presence", self._network_name(), message["nonce"], message["address"]]))
        if presence_id not in self._seen_ids:
            self._seen_ids.add(presence_id)
            self.members.add(message["address"])
            self._neighbours.pass_on(frame, connection)

    def begin(self) -> None:
        """From now on, note every 5 s which peers to call after a crash."""
        self._network.after(GOSSIP_SECONDS, self._note_again)

    def _note_again(self) -> None:
        self.begin()
        self._noted.note()

    def go_back(self) -> None:
        """Call the peer of `--peer`, those that this node had reached before a crash, those that had called it, and
        those that it had only heard of."""
        for address in self._noted.read("peers"):
            self.members.add(address)
        first = [] if self._neighbours.peer is None else [self._neighbours.peer]
        first += self._noted.read("reached") + self._noted.read("callers")
        for address in dict.fromkeys(first + self.members.wanted()):
            self._dialling.add(address)
            self._redials.call_now(address)

    # --- connections ----------------------------------------------------------------------------

    def keep_up_links(self) -> None:
        """Call those of the wanted addresses that are not linked."""
        self._call(self.members.wanted())

    def _call(self, addresses: Iterable[str]) -> None:
        """Call those of these addresses that are not linked. If there are too many at once, the wanted ones are called
        later."""
        for address in addresses:
            if address not in self._dialling and not self._neighbours.is_linked(address):
                if self._has_just_called(address):
                    if address not in self._redials:  # lost addresses are called again soon anyway
                        self._keep_up_links_later()
                    continue
                if not self._dials.take(self._network.now()):
                    self._keep_up_links_later()
                    break
                self._dialling.add(address)
                self._network.connect(address)

    def _has_just_called(self, address: str) -> bool:
        """Is there a link to a peer that claims to listen there, opened by either side within the last second? If the
        peer has called, and this node called back now to check the claim, that would count as two simultaneous calls.
        The link by which the peer is joining might be closed."""
        too_new = self._network.now() - SIMULTANEOUS_SECONDS
        return any(link.address == address and link.opened > too_new for link in self._neighbours.links)

    def _keep_up_links_later(self) -> None:
        """Go on calling when it is allowed again."""
        def go_on() -> None:
            self._dials_later = False
            self.keep_up_links()

        if not self._dials_later:
            self._dials_later = True
            self._network.after(1 / DIALS_PER_SECOND, go_on)

    def ends_second_call(self, connection: Connection) -> bool:
        """End this call if it has reached a node that was called before, by another address; True if it was ended. If
        the node announces the address of this second call, that address is its own, and the first link now counts as
        proven for it. The address called first is only an alias, which may lead elsewhere later."""
        if connection.dialled is None:
            return False
        first = next((one for one in self._neighbours.connections
                      if one.dialled is not None and one.remote == connection.remote), None)
        if first is None:
            return False
        if connection.dialled == first.address:
            first.proven = connection.dialled
            self.members.add_reached(connection.dialled)
        self._on_alias(connection, first)
        return True

    def _on_alias(self, connection: Connection, first: Connection) -> None:
        """A call has reached a node that has been called before: end it. If that node announces another name, do not
        call it by this one again."""
        if connection.dialled == self._neighbours.peer and first.address is not None:
            self._neighbours.peer_listens = first.address
        if connection.dialled != first.address:
            self.members.cross_out(str(connection.dialled))
        connection.was_refused = True
        connection.close()

    def greet(self, connection: Connection) -> None:
        """There is a new neighbour: put it into the list. If this node has called it, tell it this node's presence."""
        self._dialling.discard(connection.dialled or "")
        self._list_peer(connection, str(connection.address))
        if connection.dialled is not None and not self._is_at_its_address(connection):
            self._call([str(connection.address)])  # does that name lead there, too?
        if connection.dialled is not None:
            if self.presence:
                connection.send(self.presence)  # the peer that it joined by may have ended before it passed it on
            self._unanswered.add(connection)
            connection.send(encode_frame({"type": "ping", "nonce": LINK_PING}))
        self._noted.note()
        if self._redials.was_lost(connection):
            # The network may have been split. Each half has then discarded addresses of the other: merge the lists.
            self.ask_for_peers(connection)
        self._drop_double_link(connection)

    def _drop_double_link(self, connection: Connection) -> None:
        """Two nodes that call each other have two links, and one of them is closed. If this node has reached the
        address by a call of its own, that link stays: anybody can claim to listen where a neighbour does."""
        links = [link for link in self._neighbours.links if link.address == connection.address]
        own = [link for link in links if link.dialled == link.address]
        own += [link for link in links if link not in own and self._is_at_its_address(link)]
        for link in links if own else []:
            if link is not own[0] and link.dialled is not None:
                self._on_alias(link, own[0])
            elif link is not own[0] and self._closes_call(link, own[0]):
                link.close()

    def _closes_call(self, inbound: Connection, own: Connection) -> bool:
        """Must this node close the call that it received, and keep its own? If the two calls were simultaneous, the
        node with the smaller address must. Otherwise the later call is closed, by the node that received it."""
        is_simultaneous = abs(inbound.opened - own.opened) < SIMULTANEOUS_SECONDS
        is_for_this = self._address < str(inbound.address) if is_simultaneous else own.opened < inbound.opened
        return own.dialled is not None and is_for_this

    def _is_at_its_address(self, link: Connection) -> bool:
        """Is it proven that this peer listens at the address that it announces? The node of `--peer` is believed."""
        return link.proven is not None and link.proven in (link.address, self._neighbours.peer)

    def _is_named(self, address: str) -> bool:
        """Does a neighbour announce this address, whether it is proven or not?"""
        return any(link.address == address for link in self._neighbours.links)

    def _list_peer(self, connection: Connection, address: str) -> None:
        """Put a new neighbour into the list, under the address that it announces."""
        if connection.dialled not in (None, address):
            self.members.cross_out(str(connection.dialled))
        if self._is_at_its_address(connection):
            self.members.add_reached(address)
        elif address not in self.members:
            self._introduced.add(connection)
            self.members.add(address)

    def on_lost(self, connection: Connection) -> None:
        """A neighbour is gone. Its address leaves the list, and another node is called in its place.

        Why is the address sometimes called instead? A peer that this node has never reached may claim any address. If
        the address was in the list before that peer came, it may be somebody else's. And if this node's own call has
        ended while a caller claims the address, only one more call can tell whether that call was closed as a double.
        """
        self._asked_for_peers.discard(connection)
        address = str(connection.address)
        self._update_proofs(connection)
        if not self._neighbours.is_linked(address):
            is_over = self._is_at_its_address(connection) and (connection.was_refused or not self._is_named(address))
            if connection in self._introduced or is_over or not self.members.is_reachable(address):
                self.members.discard(address)
            else:
                self._call([address])
            self.keep_up_links()
        self._introduced.discard(connection)
        self._unanswered.discard(connection)

    def on_pong(self, connection: Connection, nonce: str) -> None:
        """The other side has kept this link: it did not close it as a double when it got the hello."""
        self._unanswered.discard(connection)

    def _update_proofs(self, connection: Connection) -> None:
        """Update which inbound links count as proven, from a call that has just ended.

        If this node's call was closed right after the handshake, the other side had two links to this node. So the
        one that the other side opened is genuine: the closed call has proven its address. If instead a proven inbound
        link has ended, other inbound links that claim its address lose their proof.

        Why must the ping be unanswered? A call that was kept may be cut in its first seconds, while a stranger claims
        the address. If the other side closes a double only after it has answered, the address is called once more.
        """
        lasted = self._network.now() - connection.opened
        was_double = (connection in self._unanswered and not connection.was_refused and lasted < HELLO_SECONDS
                      and self._is_at_its_address(connection))
        if was_double or (connection.dialled is None and connection.proven is not None):
            for link in self._neighbours.links:
                if link.dialled is None and link.address == connection.address:
                    link.proven = connection.dialled

    def on_no_answer(self, address: str) -> None:
        """Take an address that does not answer off the list of peers, and call another one in its place. It stays in
        the list while a neighbour announces it: some nodes can call, but cannot be called."""
        self._dialling.discard(address)
        if not self._neighbours.is_linked(address):
            (self.members.set_aside if self._is_named(address) else self.members.discard)(address)
            if self._network_name() is not None:
                self.keep_up_links()
