"""What a node of the sequenced ledger is graded by on the wire: the peer is often the sequencer itself."""

from collections.abc import Callable

import pytest

from lab.blackbox.keys import is_signed, load_key
from lab.blackbox.messages import (
    canon,
    id_of,
    sequencer_block,
    sequencer_genesis,
    signed,
    transaction,
    values_of,
)
from lab.blackbox.peer import Event
from lab.grade.actors import GradedNode, GradedPeer
from lab.grade.asking import expect_refusal, expect_request, follow, ledger, wait_for_ledger
from lab.grade.scene import Scene, address_of
from lab.grade.settings import KEYS
from lab.grade.shortcomings import check, check_equal

criterion = pytest.mark.criterion
ALICE, BOB, CAROL, SEQUENCER = (load_key(KEYS / f"key-{number}.pem") for number in (1, 2, 3, 4))


class Play:
    """A node that follows a sequencer which the criterion plays: Alice has 100, Bob 50, Carol nothing."""

    def __init__(self, scene: Scene, interval_ms: int = 10_000) -> None:
        self.scene = scene
        self.genesis = sequencer_genesis(SEQUENCER, {ALICE.account: 100, BOB.account: 50}, interval_ms)
        self.network = id_of(self.genesis, "", 4)
        self.node, self.peer = follow(scene, self.genesis)

    def block(self, number: int, *transactions: Event) -> Event:
        """A block of the sequencer."""
        return sequencer_block(self.network, SEQUENCER, number, [id_of(one, self.network) for one in transactions])

    def pay(self, amount: int = 20) -> Event:
        """A transaction from Bob to Carol."""
        return transaction(self.network, BOB, CAROL.account, amount)

    def send(self, *messages: Event) -> None:
        """Say something, and wait until it has been handled."""
        self.peer.send(*messages)
        self.peer.barrier()

    def has(self, bob: int, carol: int) -> None:
        """Wait until the ledger says that Bob and Carol have this, and Alice still has her 100."""
        wait_for_ledger(self.scene, [self.node], {ALICE.account: 100, BOB.account: bob, CAROL.account: carol})

    def numbers(self) -> list[int]:
        """The numbers of the blocks that have taken effect."""
        return [one["number"] for one in self.node.ask("/blocks", "blocks")["blocks"]]


# --- the genesis ------------------------------------------------------------------------------------

@criterion("The genesis comes right after the hello", points=5, clause="§3 stage 4",
           hint="The network's name is the id of the genesis.")
def test_genesis(scene: Scene) -> None:
    """A node sends the genesis right after the handshake. The network's name is its id. The founder has 1,000,000."""
    node = scene.found_network("--interval", "7")
    genesis = scene.call(node)
    hello = genesis.hello()
    message = genesis.receive()
    check(message is not None and message["type"] == "genesis", "the message `genesis` after `hello`", message)
    assert message is not None
    check_equal(id_of(message, "", 4), hello["network"], "the network")
    check_equal((message["accounts"], message["balances"]), ([node.listening["account"]], [1_000_000]),
                "accounts and balances")
    check_equal(message["interval_ms"], 7_000, "the interval in milliseconds")


@criterion("A joining node takes the genesis", points=4, clause="§3 stage 4")
def test_takes_genesis(scene: Scene) -> None:
    """A joining node takes the genesis if its id is the network of the hello: the balances are those of the genesis."""
    Play(scene).has(50, 0)


@criterion("A joining node refuses a genesis of another network", points=3, clause="§3 stage 4", hardening=True)
def test_wrong_genesis(scene: Scene) -> None:
    """A joining node takes the genesis only if its id is the network of the hello, and otherwise ends the
    connection with HANDSHAKE."""
    genesis = sequencer_genesis(SEQUENCER, {ALICE.account: 100})
    listener = scene.listen()
    node = scene.start(address_of(listener), "--wait", "0")
    peer = scene.accept(listener, id_of(genesis, "", 4))
    peer.send(peer.hello_message(), {**genesis, "nonce": "1" * 32})
    peer.expect_closed("HANDSHAKE")
    node.wait_for("founded")


# --- blocks of the sequencer ------------------------------------------------------------------------

@criterion("The sequencer signs its blocks", points=5, clause="§3 stage 4")
def test_signed_block(scene: Scene) -> None:
    """A block has its number, the ids of its transactions in order, and the sequencer's signature; the first is 0."""
    node = scene.found_network("--interval", "0.1")
    peer = scene.call(node)
    peer.hello()
    genesis = peer.expect("genesis")
    sent = node.ask(f"/send {BOB.account} 5", "sent")["id"]
    block = peer.expect("block")
    check_equal((block["number"], block["transactions"]), (0, [sent]), "number and transactions")
    check(is_signed(str(genesis["sequencer"]), canon(values_of(block, node.network, 4)), str(block["signature"])),
          "a signature of the sequencer", "it does not verify")


@criterion("A node that follows executes the sequencer's blocks", points=5, clause="§3 stage 4")
def test_follows(scene: Scene) -> None:
    """A transaction takes effect when its block does, and not before."""
    play = Play(scene)
    paid = play.pay()
    play.send(paid)
    play.has(50, 0)
    play.send(play.block(0, paid))
    play.has(30, 20)


@criterion("A block is forwarded", points=3, clause="§3 stage 4")
def test_forwards_block(scene: Scene) -> None:
    """A node floods the block when it accepts it."""
    play = Play(scene)
    watcher = scene.link(play.node)
    block = play.block(0)
    play.peer.send(block)
    check_equal(dict(watcher.expect("block")), block, "the block that was forwarded")


@criterion("A transaction is forwarded before it is ordered", points=3, clause="§3 stage 4")
def test_forwards_transaction(scene: Scene) -> None:
    """A transaction is in the pool and flooded if it is valid by itself; balances do not count for that."""
    play = Play(scene)
    watcher = scene.link(play.node)
    message = transaction(play.network, CAROL, BOB.account, 1_000_000)
    play.peer.send(message)
    check_equal(dict(watcher.expect("transaction")), message, "the transaction that was forwarded")


@criterion("A block that comes early is kept until its turn", points=4, clause="§3 stage 4",
           hint="The order in which blocks arrive is not the order of their numbers.")
def test_early(scene: Scene) -> None:
    """A block that comes early is kept until its turn."""
    play = Play(scene)
    paid = play.pay()
    play.send(paid, play.block(1, paid))
    play.has(50, 0)
    play.send(play.block(0))
    play.has(30, 20)
    check_equal(play.numbers(), [0, 1], "the numbers of the blocks")


@criterion("A transaction that a block lacks is asked for", points=4, clause="§3 stage 4",
           hint="Let the block wait. Do not execute it without the missing transaction.")
def test_lacking(scene: Scene) -> None:
    """Transactions that a block lacks are asked for with `want`. The block takes effect once all of them are known."""
    play = Play(scene)
    lacking = play.pay()
    play.peer.send(play.block(0, lacking), play.block(1))
    expect_request(play.peer, "want", "ids", id_of(lacking, play.network))
    play.has(50, 0)
    check_equal(play.numbers(), [], "the numbers of the blocks that have taken effect")
    play.send(lacking)
    play.has(30, 20)
    check_equal(play.numbers(), [0, 1], "the numbers of the blocks")


@criterion("An overdraft is ignored for good", points=5, clause="§3 stage 4",
           hint="It is judged when its block takes effect, in the block's order, and never again.")
def test_overdraft(scene: Scene) -> None:
    """A transaction that would make its sender's balance negative is ignored for good, even if the money comes later.
    The others of its block take effect."""
    play = Play(scene)
    overdraft, paid = transaction(play.network, CAROL, ALICE.account, 20), play.pay(20)
    play.send(overdraft, paid, play.block(0, overdraft, paid), play.block(1))
    play.has(30, 20)
    scene.stays(lambda: ledger(play.node).get(CAROL.account) == 20, "Carol to keep the 20 that she got",
                lambda: ledger(play.node))


@criterion("Within a block the order counts", points=3, clause="§3 stage 4")
def test_order_in_block(scene: Scene) -> None:
    """Transactions take effect in the block's order, whatever the order in which they came."""
    play = Play(scene)
    paid, back = play.pay(20), transaction(play.network, CAROL, BOB.account, 15)
    play.send(back, paid, play.block(0, paid, back))
    play.has(45, 5)


@criterion("get_blocks is answered", points=3, clause="§3 stage 4")
def test_get_blocks(scene: Scene) -> None:
    """`get_blocks` is answered with the blocks from that number on, in order."""
    play = Play(scene)
    blocks = [play.block(number) for number in range(3)]
    play.send(*blocks)
    other = scene.link(play.node)
    other.barrier()
    other.send({"type": "get_blocks", "from": 1})
    came = [dict(one) for one in other.barrier() if one["type"] == "block"]
    check_equal(came, blocks[1:], "the blocks that came")


@criterion("A node that is behind keeps asking until it has caught up", points=3, clause="§3 stage 4")
def test_catches_up(scene: Scene) -> None:
    """`height` tells which block a node awaits. The node that is behind asks with `get_blocks`. When an answer is
    handled it asks again, until it has caught up."""
    play = Play(scene)
    play.peer.send({"type": "height", "number": 3})
    check_equal(play.peer.expect("get_blocks")["from"], 0, "the number from which blocks are asked for")
    play.peer.send(play.block(0), play.block(1))
    play.peer.barrier()
    for ping in [one for one in play.peer.received if one["type"] == "ping"]:
        play.peer.send({"type": "pong", "nonce": ping["nonce"]})
    play.peer.expect("get_blocks", **{"from": 2})
    play.send(play.block(2))
    check_equal(play.numbers(), [0, 1, 2], "the numbers of the blocks")


@criterion("height is sent after the handshake", points=2, clause="§3 stage 4")
def test_height(scene: Scene) -> None:
    """`height` tells which block a node awaits. It is sent after the handshake."""
    play = Play(scene)
    play.send(play.block(0), play.block(1))
    check_equal(scene.link(play.node, network=play.network).find_all("height")[0]["number"], 2, "the number of `height`")


# --- hardening --------------------------------------------------------------------------------------

class Wrong:
    """A block that nobody may accept as number 1, after block 0 with one transaction."""

    def __init__(self, name: str, make: Callable[[Play, Event], Event]) -> None:
        self.name, self.make = name, make

    def __repr__(self) -> str:
        return self.name


WRONG = [
    Wrong("signed by somebody else", lambda play, _: sequencer_block(play.network, ALICE, 1)),
    Wrong("signed for another number", lambda play, _: {**play.block(2), "number": 1}),
    Wrong("signed for another network", lambda play, _: sequencer_block("f" * 64, SEQUENCER, 1)),
    Wrong("with a transaction that was ordered before", lambda play, paid: play.block(1, paid)),
]


@criterion("Not accepted: a block {row}", points=2, clause="§3 stage 4", hardening=True)
@pytest.mark.parametrize("row", WRONG, ids=repr)
def test_wrong_block(scene: Scene, row: Wrong) -> None:
    """A node accepts a block only if the signature is the sequencer's, the number is the next one, and no id is in an
    earlier block. After a wrong block, the genuine one is still accepted."""
    play = Play(scene)
    watcher = scene.link(play.node)
    paid, second = play.pay(20), play.pay(5)
    play.send(paid, second, play.block(0, paid))
    wrong = row.make(play, paid)
    play.send(wrong)
    check(wrong not in [dict(one) for one in watcher.barrier()], "a wrong block not to be forwarded", "it was forwarded")
    check_equal(play.numbers(), [0], "the numbers of the blocks")
    play.send(play.block(1, second))
    play.has(25, 25)


@criterion("A block that comes again changes nothing", points=3, clause="§3 stage 4", hardening=True)
def test_repeated_block(scene: Scene) -> None:
    """A repeat is neither applied nor forwarded."""
    play = Play(scene)
    paid = play.pay(20)
    block = play.block(0, paid)
    play.send(paid, block)
    watcher = scene.link(play.node)
    watcher.barrier()
    play.send(block, block)
    check("block" not in [one["type"] for one in watcher.barrier()], "a repeat not to be forwarded", "it was forwarded")
    play.has(30, 20)


@criterion("An id twice in one block is refused", points=2, clause="§2", hardening=True)
def test_id_twice(scene: Scene) -> None:
    """An id twice in one list ends the connection with FORMAT."""
    play = Play(scene)
    paid = play.pay(20)
    twice = [id_of(paid, play.network)] * 2
    block = signed({"type": "block", "number": 0, "transactions": twice}, play.network, SEQUENCER, 4)
    other: GradedPeer = scene.link(play.node, network=play.network)
    other.send(block)
    other.expect_closed("FORMAT")
    check_equal(play.numbers(), [], "the numbers of the blocks")


@criterion("A sequencer that cheats is reported", points=3, clause="§3 stage 4", hardening=True)
def test_equivocation(scene: Scene) -> None:
    """Two different signed blocks with one number are proof that the sequencer cheats: `equivocation`. The first stands."""
    play = Play(scene)
    paid = play.pay(20)
    first, second = play.block(0), play.block(0, paid)
    play.send(paid, first, second)
    event = play.node.wait_for("equivocation", number=0)
    check_equal(sorted(event["ids"]), sorted(id_of(one, play.network, 4) for one in (first, second)), "the ids")
    play.has(50, 0)


@criterion("A node that is not the sequencer makes no blocks", points=2, clause="§3 stage 4", hardening=True)
def test_only_the_sequencer(scene: Scene) -> None:
    """Only the node that has founded the network has the sequencer's key. Another node orders nothing."""
    play = Play(scene, interval_ms=100)
    watcher = scene.link(play.node)
    play.send(play.pay())
    scene.stays(lambda: status(play.node)["pending"] == 1, "one pending transaction", lambda: status(play.node))
    check("block" not in [one["type"] for one in watcher.barrier()], "no block", "there was one")


def status(node: GradedNode) -> Event:
    """What /status says."""
    return node.ask("/status", "status")


@criterion("A block that lacks members is refused", points=1, clause="§2", hardening=True)
def test_half_block(scene: Scene) -> None:
    """A missing member ends the connection with FORMAT."""
    expect_refusal(scene, scene.found_network(), "FORMAT", {"type": "block", "transactions": []})


@criterion("Unknown ids and numbers are skipped", points=1, clause="§3 stage 4", hardening=True)
def test_unknown(scene: Scene) -> None:
    """Unknown ids are skipped, and there may be no block with the number asked for. The connection stays open."""
    play = Play(scene)
    play.send({"type": "want", "ids": ["0" * 64]}, {"type": "get_blocks", "from": 1_000})
    check_equal(ledger(play.node), {ALICE.account: 100, BOB.account: 50}, "the ledger")
