"""What a node of the replicated ledger is graded by on the wire: contract §3, stage 2."""

import json
import select
import socket

import pytest

from lab.blackbox.messages import id_of, plain_transaction
from lab.blackbox.peer import Event, frame, make_nonce
from lab.grade.actors import GradedPeer
from lab.grade.asking import by_port, expect_refusal, expect_request, ledger, peers_of, wait_for_ledger
from lab.grade.scene import Scene, address_of
from lab.grade.shortcomings import check, check_equal

criterion = pytest.mark.criterion
NETWORK = "e" * 32


# --- basics -----------------------------------------------------------------------------------------

@criterion("A transaction on the wire is applied and forwarded", points=5, clause="§3 stage 2")
def test_transaction(scene: Scene) -> None:
    """A transaction is flooded as it came, and applied when it arrives."""
    node = scene.found_network()
    sender, watcher = scene.link(node), scene.link(node)
    message = plain_transaction("alice", "bob", 4)
    sender.send(message)
    check_equal(dict(watcher.expect("transaction")), message, "the message that was forwarded")
    check_equal(ledger(node), {"alice": -4, "bob": 4}, "the ledger")


@criterion("A transaction that comes again counts once", points=4, clause="§1",
           hint="The id is the hash of the whole content: see the table of canonical bytes.")
def test_repeated_transaction(scene: Scene) -> None:
    """A transaction counts once, by whichever connection it comes again, even at the node that has made it. With another
    nonce it is another transaction."""
    node = scene.found_network()
    one, other = scene.link(node), scene.link(node)
    message = plain_transaction("alice", "bob", 4)
    one.send(message, message, {**message, "nonce": make_nonce()})
    one.barrier()
    other.send(message)
    other.barrier()
    check_equal(ledger(node), {"alice": -8, "bob": 8}, "the ledger")
    node.type("/send carol dave 5")
    one.send(one.expect("transaction", amount=5))
    one.barrier()
    check_equal(ledger(node), {"alice": -8, "bob": 8, "carol": -5, "dave": 5}, "the ledger with its own transaction")


@criterion("Another {member} makes another transaction", points=2, clause="§1",
           hint="A message carries no id: its id is the hash of its whole content.")
@pytest.mark.parametrize("member", ["nonce", "amount"])
def test_contents(scene: Scene, member: str) -> None:
    """Content decides identity: messages that differ in one member are different transactions."""
    node = scene.found_network()
    peer = scene.link(node)
    message = plain_transaction("alice", "bob", 4)
    peer.send(message, {**message, member: {"nonce": make_nonce(), "amount": 5}[member]})
    peer.barrier()
    total = {"nonce": 8, "amount": 9}[member]
    check_equal(ledger(node), {"alice": -total, "bob": total}, "the ledger")


@criterion("The id of a transaction is computed as the contract says", points=3, clause="§1",
           hint="SHA-256 of the canonical JSON array: no spaces, and the network in it.")
def test_id(scene: Scene) -> None:
    """The id is the SHA-256 of the canonical bytes, and `sent` tells it."""
    node = scene.found_network()
    peer = scene.link(node)
    node.type("/send alice bob 5")
    message = peer.expect("transaction", amount=5)
    check_equal(node.wait_for("sent")["id"], id_of(message, node.network), "the id")


@criterion("get_peers is answered", points=4, clause="§3 stage 2", later=True)
def test_get_peers(scene: Scene) -> None:
    """`get_peers` is answered by `peers`: sorted, none twice, the answering node's own address included."""
    node = scene.found_network()
    peers = [scene.link(node) for _ in range(2)]
    peers[0].send({"type": "get_peers"})
    addresses = peers[0].expect("peers")["addresses"]
    check(node.address in addresses, "the node's own address to be in the list", addresses)
    check_equal(addresses, by_port(sorted(set(addresses))), "the list")


@criterion("A presence is forwarded and enters the list", points=4, clause="§3 stage 2")
def test_presence(scene: Scene) -> None:
    """A presence is flooded. The address enters the list of peers."""
    node = scene.found_network()
    sender, watcher = scene.link(node), scene.link(node)
    with scene.listen() as listener:
        message = {"type": "presence", "nonce": make_nonce(), "address": address_of(listener)}
        sender.send(message)
        check_equal(dict(watcher.expect("presence", nonce=message["nonce"])), message, "the message that was forwarded")
        scene.eventually(lambda: message["address"] in peers_of(node), f"{message['address']} among the peers",
                         lambda: peers_of(node))


@criterion("A node that joins asks for the list of peers, and announces itself", points=4, clause="§3 stage 2")
def test_joining(scene: Scene) -> None:
    """A node that joins asks one peer for its list, and floods a presence with its own address."""
    listener = scene.listen()
    node = scene.start(address_of(listener))
    peer = scene.accept(listener, NETWORK)
    hello = peer.hello()
    peer.expect("get_peers")
    peer.send({"type": "peers", "addresses": [address_of(listener)]})
    came = [one for one in peer.received if one["type"] == "presence"]  # it may come before the question
    presence = came[0] if came else peer.expect("presence")
    check_equal((presence["address"], node.address), (hello["listen"], hello["listen"]), "the address")


@criterion("It connects to the ten addresses after its own, with {row} before its own", points=4, clause="§3 stage 2",
           hint="Take the ten that come after its own address in the sorted list; at the end, go on at the beginning.")
@pytest.mark.parametrize("row", [6, 10], ids=["from-its-place", "around-the-end"])
def test_ten_that_follow(scene: Scene, row: int) -> None:
    """A node connects to the ten addresses that follow its own in the sorted list, wrapping around, and to two more
    picked at random."""
    listeners = {address_of(one): one for one in (scene.listen() for _ in range(16))}
    order = by_port(list(listeners))
    before, behind = (int(address.rpartition(":")[2]) for address in order[row - 1:row + 1])
    own = scene.unused_address(before + 1, behind - 1)
    node = scene.start(order[-1], "--port", own.rpartition(":")[2])
    peer = scene.accept(listeners[order[-1]], NETWORK)
    peer.hello()
    peer.expect("get_peers")
    peer.send({"type": "peers", "addresses": order})
    following = [*order[row:], *order[:row]][:10]
    for address in following:
        if address != order[-1]:
            scene.accept(listeners[address], NETWORK).hello()
    check(node.address, "a node that listens", "it does not")
    others = [listeners[address] for address in order[:-1] if address not in following]
    scene.stays(lambda: called_of(others) <= 2, "not more than two calls apart from the ten", lambda: called_of(others))


def called_of(listeners: list[socket.socket]) -> int:
    """How many of them have been called."""
    return len(select.select(listeners, [], [], 0)[0])


@criterion("want is answered with what was asked for", points=3, clause="§3 stage 2")
def test_want(scene: Scene) -> None:
    """A `want` is answered with the messages asked for, as they were flooded. Unknown ids are skipped."""
    node = scene.found_network()
    source, peer = scene.link(node), scene.link(node)
    known = plain_transaction("a", "b", 4)
    source.send(known)
    source.barrier()
    peer.barrier()
    peer.send({"type": "want", "ids": ["0" * 64, id_of(known, node.network)]})
    came = [dict(one) for one in peer.barrier() if one["type"] == "transaction"]
    check_equal(came, [known], "what came")


@criterion("It asks for ids that it lacks", points=3, clause="§3 stage 2")
def test_inventory(scene: Scene) -> None:
    """A node that is told ids asks for those that it lacks with `want`, and applies what comes."""
    node = scene.found_network()
    peer = scene.link(node)
    missing = plain_transaction("c", "d", 3)
    wanted = id_of(missing, node.network)
    peer.send({"type": "inventory", "bucket": wanted[:2], "ids": [wanted]})
    expect_request(peer, "want", "ids", wanted)
    peer.send(missing)
    peer.barrier()
    wait_for_ledger(scene, [node], {"c": -3, "d": 3})


@criterion("A summary is answered with what differs", points=3, clause="§3 stage 2")
def test_summary(scene: Scene) -> None:
    """The receiver of a `summary` answers, for each bucket that differs, with an `inventory` of its own ids there."""
    node = scene.found_network()
    source, peer = scene.link(node), scene.link(node)
    known = plain_transaction("a", "b", 4)
    known_id = id_of(known, node.network)
    source.send(known)
    source.barrier()
    peer.send({"type": "summary", "answer": False, "buckets": {}})
    message = peer.expect("inventory")
    check_equal((message["bucket"], message["ids"]), (known_id[:2], [known_id]), "the bucket and its ids")


# --- hardening --------------------------------------------------------------------------------------

@criterion("An amount in another form is refused: {amount}", points=1, clause="§1", hardening=True)
@pytest.mark.parametrize("amount", ["1.0", "-1", "true", "9007199254740992", '"1"'])
def test_amounts(scene: Scene, amount: str) -> None:
    """A JSON number with a sign, a fraction or an exponent is not an integer, and neither is `true`. Integers are
    0 … 2^53−1. Anything else ends the connection with FORMAT, and the ledger is as if it had never come."""
    node = scene.found_network()
    bad = scene.link(node)
    message = json.dumps({**plain_transaction("a", "b", 77), "nonce": "0" * 32}).replace("77", amount)
    bad.send_bytes(frame(message.encode()))
    bad.expect_closed("FORMAT")
    check_equal(ledger(node), {}, "the ledger")
    scene.link(node)


class Bad:
    """A row of the table of bad input."""

    def __init__(self, name: str, message: Event) -> None:
        self.name, self.message = name, message

    def __repr__(self) -> str:
        return self.name


@criterion("A bad message is refused: {row}", points=1, clause="§2", hardening=True)
@pytest.mark.parametrize("row", [
    Bad("peers not asked for", {"type": "peers", "addresses": []}),
    Bad("a bad address", {"type": "presence", "nonce": "0" * 32, "address": "nowhere"}),
    Bad("a bad account name", plain_transaction("a b", "c")),
    Bad("a transaction without amount", {"type": "transaction", "nonce": "0" * 32, "from": "a", "to": "b"}),
    Bad("an id twice", {"type": "want", "ids": ["0" * 64] * 2}),
    Bad("too many ids", {"type": "want", "ids": [f"{number:064x}" for number in range(1_001)]}),
], ids=repr)
def test_format(scene: Scene, row: Bad) -> None:
    """A message with a missing or wrong member ends the connection with FORMAT, and so does a `peers` that was not asked
    for. Other connections are served."""
    expect_refusal(scene, scene.found_network(), "FORMAT", row.message)


@criterion("No address is in the list twice, not even the node's own", points=2, clause="§3 stage 2", hardening=True)
def test_no_address_twice(scene: Scene) -> None:
    """No address is in the list of peers twice, however often it was announced."""
    node = scene.found_network()
    peer = scene.link(node)
    with scene.listen() as listener:
        for address in (address_of(listener), address_of(listener), node.address):
            peer.send({"type": "presence", "nonce": make_nonce(), "address": address})
        peer.barrier()
        addresses = peers_of(node)
        check_equal(sorted(addresses), sorted(set(addresses)), "the list")


def told(peer: GradedPeer) -> set[str]:
    """The types of the messages that have come so far."""
    return {one["type"] for one in peer.barrier()}


@criterion("A message of a later stage is unknown", points=1, clause="§3", hardening=True)
def test_later_stage(scene: Scene) -> None:
    """An unknown type is ignored, even one that only a later stage knows."""
    node = scene.found_network()
    peer, watcher = scene.link(node), scene.link(node)
    peer.send({"type": "genesis"}, {"type": "get_blocks", "from": "x"})
    peer.barrier()
    check(not told(watcher) & {"genesis", "get_blocks"}, "an unknown type not to be forwarded", "it was forwarded")
    check_equal(node.told("error"), [], "the errors")
