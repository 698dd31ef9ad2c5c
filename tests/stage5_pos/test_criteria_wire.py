"""What a node of the blockchain is graded by on the wire: which blocks it accepts, and which chain is the best."""

import time
from collections.abc import Callable, Iterator

import pytest

from lab.blackbox.keys import Key, is_signed, load_key
from lab.blackbox.messages import (
    canon,
    draw,
    draw_bytes,
    id_of,
    stake_block,
    stake_genesis,
    threshold_of,
    ticket,
    transaction,
    values_of,
    wins,
)
from lab.blackbox.peer import Event
from lab.grade.actors import GradedNode
from lab.grade.asking import expect_refusal, expect_request, follow, ledger
from lab.grade.scene import Scene, address_of
from lab.grade.settings import KEYS
from lab.grade.shortcomings import check, check_equal

criterion = pytest.mark.criterion
HOLDERS = [load_key(KEYS / f"key-{number}.pem") for number in (1, 2, 3)]
X, Y = (load_key(KEYS / f"key-{number}.pem") for number in (4, 5))
MILLION = 1_000_000
SLOTS_AGO = 1_000


class Play:
    """A node that follows, in a network whose three stake holders the criterion plays; slot 1,000 begins now."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        start_ms = int(time.time() * 1000) - SLOTS_AGO * 1_000
        self.genesis = stake_genesis(start_ms, [key.account for key in HOLDERS])
        self.root = id_of(self.genesis, "", 5)
        self.node, self.peer = follow(scene, self.genesis)

    def winners(self, after: int = 0) -> Iterator[tuple[int, Key]]:
        """The slots after `after`, each with a holder that wins it: one pair for each win."""
        for slot in range(after + 1, SLOTS_AGO):
            yield from ((slot, key) for key in HOLDERS if wins(self.genesis, key, slot))

    def block(self, parent: Event | None = None, *transactions: Event, after: int = 0, **changes: object) -> Event:
        """A block on that parent, or on the genesis: in the first slot that somebody wins."""
        slot, key = next(self.winners(max(after, parent["slot"] if parent else 0)))
        return self.made(slot, key, parent, *transactions, **changes)

    def made(self, slot: int, key: Key, parent: Event | None, *transactions: Event, **changes: object) -> Event:
        """The block of this creator in this slot."""
        above = self.id(parent) if parent else self.root
        return stake_block(self.genesis, key, slot, above, [self.id(one) for one in transactions], **changes)

    def id(self, message: Event) -> str:
        """The id of a message."""
        return id_of(message, self.root, 5)

    def pay(self, amount: int, sender: Key = HOLDERS[0], receiver: Key = X) -> Event:
        """A transaction."""
        return transaction(self.root, sender, receiver.account, amount)

    def send(self, *messages: Event) -> None:
        """Say something, and wait until it has been handled."""
        self.peer.send(*messages)
        self.peer.barrier()

    def has(self, account: Key, balance: int) -> None:
        """The account has that much."""
        check_equal(ledger(self.node).get(account.account, 0), balance, "the balance")

    def best(self) -> list[str]:
        """The ids of the best chain."""
        return [str(one["id"]) for one in self.node.ask("/blocks", "blocks")["blocks"]]

    def tree(self) -> set[str]:
        """The ids of all blocks in the tree."""
        return {str(one["id"]) for one in self.node.ask("/tree", "tree")["blocks"]}


# --- genesis and lottery ----------------------------------------------------------------------------

@criterion("The genesis comes right after the hello", points=4, clause="§3 stage 5")
def test_genesis(scene: Scene) -> None:
    """A node sends the genesis right after the handshake. Ten accounts have a million each. The network's name is the id
    of the genesis."""
    node = scene.found_network("--slot", "2", "--rate", "0.25")
    peer = scene.call(node)
    hello = peer.hello()
    genesis = peer.receive()
    check(genesis is not None and genesis["type"] == "genesis", "the message `genesis` after `hello`", genesis)
    assert genesis is not None
    check_equal(id_of(genesis, "", 5), hello["network"], "the network")
    check_equal((genesis["slot_ms"], genesis["block_permille"]), (2_000, 250), "the length of a slot, and the rate")
    expected = [load_key(KEYS / f"key-{number}.pem").account for number in range(1, 11)]
    check_equal((genesis["accounts"], genesis["balances"]), (expected, [MILLION] * 10), "accounts and balances")


@criterion("The thresholds are those of the lottery", points=3, clause="§3 stage 5",
           hint="2^256 · (1 − (1 − f)^s), computed with enough digits.")
def test_thresholds(scene: Scene) -> None:
    """The threshold of an account with share s of the stake is 2^256 · (1 − (1 − f)^s). It may be off by up to 2^216."""
    peer = scene.call(scene.found_network("--rate", "0.25"))
    peer.hello()
    thresholds = peer.expect("genesis")["thresholds"]
    right = threshold_of(1, 10, 250)
    check(len(thresholds) == 10 and all(abs(int(one, 16) - right) <= 2**216 for one in thresholds),
          f"ten times {right:064x}, more or less", thresholds)


@criterion("A block has won its slot, and is signed", points=5, clause="§3 stage 5")
def test_lottery(scene: Scene) -> None:
    """The draw is the creator's signature over the seed and the slot; its value is below the threshold; the block is
    signed by its creator."""
    node = scene.found_network("--slot", "0.05", "--rate", "0.1")
    peer = scene.call(node)
    peer.hello()
    genesis = peer.expect("genesis")
    for _ in range(3):  # An unchecked ticket wins once in ten times.
        has_won(node, genesis, peer.expect("block"))


def has_won(node: GradedNode, genesis: Event, block: Event) -> None:
    """Check the draw, the signature and the ticket of a block."""
    creator, drawn, slot = str(block["creator"]), str(block["draw"]), int(block["slot"])
    check(creator in genesis["accounts"], "a creator of the genesis", creator)
    check(is_signed(creator, draw_bytes(genesis, slot), drawn), "a draw that verifies", "it does not")
    check(is_signed(creator, canon(values_of(block, node.network, 5)), str(block["signature"])),
          "a signature that verifies", "it does not")
    threshold = int(genesis["thresholds"][genesis["accounts"].index(creator)], 16)
    check(ticket(genesis, slot, creator, drawn) < threshold, "a value below the threshold", "it is not")


# --- blocks -----------------------------------------------------------------------------------------

@criterion("A valid block enters the tree and is forwarded", points=5, clause="§3 stage 5")
def test_block(scene: Scene) -> None:
    """A valid block enters the tree, and then it is flooded."""
    play = Play(scene)
    watcher = scene.link(play.node, network=play.root)
    block = play.block()
    play.peer.send(block)
    check_equal(dict(watcher.expect("block")), block, "the block that was forwarded")
    check_equal(play.best(), [play.id(block)], "the best chain")


@criterion("A block moves money and pays its creator", points=5, clause="§3 stage 5")
def test_execution(scene: Scene) -> None:
    """A transaction takes `amount` and gives amount − 1; the block then gives its creator 10 plus the number of its
    transactions."""
    play = Play(scene)
    slot, creator = next(play.winners())
    payer = next(key for key in HOLDERS if key != creator)
    one, two = play.pay(100, payer), play.pay(50, payer)
    play.send(one, two, play.made(slot, creator, None, one, two))
    play.has(X, 148)
    play.has(payer, MILLION - 150)
    play.has(creator, MILLION + 12)


@criterion("A block whose parent is missing waits for it", points=4, clause="§3 stage 5")
def test_orphan(scene: Scene) -> None:
    """If its parent is missing, a block waits, and the parent is fetched with `want`."""
    play = Play(scene)
    parent = play.block()
    child = play.block(parent)
    play.peer.send(child)
    expect_request(play.peer, "want", "ids", play.id(parent))
    check_equal(play.best(), [], "the best chain while the parent is missing")
    play.send(parent)
    check_equal(play.best(), [play.id(parent), play.id(child)], "the best chain")


@criterion("A block whose transactions are missing waits for them", points=4, clause="§3 stage 5",
           hint="A transaction that was not seen yet does not make a block invalid.")
def test_lacking_transaction(scene: Scene) -> None:
    """If its transactions are missing, a block waits, and they are fetched with `want`."""
    play = Play(scene)
    paid = play.pay(100)
    block = play.block(None, paid)
    play.peer.send(block)
    expect_request(play.peer, "want", "ids", play.id(paid))
    check_equal(play.best(), [], "the best chain while a transaction is missing")
    play.send(paid)
    check_equal(play.best(), [play.id(block)], "the best chain")
    play.has(X, 99)


@criterion("The longest chain is the best", points=6, clause="§3 stage 5")
def test_longest(scene: Scene) -> None:
    """The best chain has the most blocks, whichever came first and whatever its slots."""
    play = Play(scene)
    late = play.block(after=100)
    play.send(late)
    first = play.block()
    second = play.block(first)
    play.send(first, second)
    check_equal(play.best(), [play.id(first), play.id(second)], "the best chain")
    check_equal(play.tree(), {play.id(one) for one in (late, first, second)}, "the tree")


@criterion("When another branch becomes the best, its ledger takes over", points=6, clause="§3 stage 5",
           hint="Undo the blocks down to the fork, rewards too, and carry out those of the other branch.")
def test_rollback(scene: Scene) -> None:
    """The ledger is that of the best chain. Transactions of the abandoned branch return to the pool."""
    play = Play(scene)
    paid = play.pay(100)
    short = play.block(None, paid, after=100)
    play.send(paid, short)
    play.has(X, 99)
    first = play.block()
    second = play.block(first)
    play.send(first, second)
    play.has(X, 0)
    check_equal(sum(ledger(play.node).values()), 3 * MILLION + 20, "the sum of all balances")
    check_equal(play.node.ask("/status", "status")["pool"], 1, "the number of transactions in the pool")
    play.send(play.block(second, paid))
    play.has(X, 99)


@criterion("Of equal chains the smaller ticket wins", points=4, clause="§3 stage 5",
           hint="Compare values as numbers; which one came first does not count.")
def test_tie(scene: Scene) -> None:
    """Of equal chains the best is the one whose tip has the smaller lottery value, in whatever order they come."""
    play = Play(scene)
    blocks = [play.block(after=number * 10) for number in range(4)]

    def value(block: Event) -> int:
        return ticket(play.genesis, block["slot"], block["creator"], block["draw"])

    blocks.sort(key=value)
    play.send(*(blocks[number] for number in (2, 0, 3, 1)))
    check_equal(play.best(), [play.id(blocks[0])], "the best chain")


@criterion("get_chain is answered", points=3, clause="§3 stage 5")
def test_get_chain(scene: Scene) -> None:
    """The answer is the blocks of the best chain after the first of the locator's ids that is on it, in order."""
    play = Play(scene)
    first = play.block()
    second = play.block(first)
    third = play.block(second)
    play.send(first, second, third)
    other = scene.link(play.node, network=play.root)
    other.barrier()
    other.send({"type": "get_chain", "locator": ["0" * 64, play.id(first), play.root]})
    came = [dict(one) for one in other.barrier() if one["type"] == "block"]
    check_equal(came, [second, third], "the blocks that came")


@criterion("A node that hears of a higher tip asks for its chain", points=4, clause="§3 stage 5")
def test_tip(scene: Scene) -> None:
    """A node that does not know the tip, and whose own chain is not higher, asks with `get_chain`. The genesis is the
    last id of the locator."""
    play = Play(scene)
    first = play.block()
    second = play.block(first)
    play.peer.send({"type": "tip", "id": play.id(second), "height": 2})
    check_equal(play.peer.expect("get_chain")["locator"][-1], play.root, "the end of the locator")
    play.send(first, second)
    check_equal(play.best(), [play.id(first), play.id(second)], "the best chain")


# --- blocks that are wrong --------------------------------------------------------------------------

class Wrong:
    """A block on `parent` that no node may accept, made in a play. `make` is also given a transaction in the parent."""

    def __init__(self, name: str, make: Callable[[Play, Event, Event], Event]) -> None:
        self.name, self.make = name, make

    def __repr__(self) -> str:
        return self.name


def loser(play: Play, parent: Event, _: Event) -> Event:
    """A block in a slot that its creator has not won."""
    slot, key = next((slot, key) for slot in range(parent["slot"] + 1, SLOTS_AGO) for key in HOLDERS
                     if not wins(play.genesis, key, slot))
    return play.made(slot, key, parent)


def outsider(play: Play, parent: Event, _: Event) -> Event:
    """A block of somebody who has no stake."""
    return stake_block(play.genesis, X, parent["slot"] + 1, play.id(parent))


def other_draw(play: Play, parent: Event, _: Event) -> Event:
    """A block with a draw for another slot, which would win in its own."""
    threshold = int(play.genesis["thresholds"][0], 16)
    slot, key, drawn = next(
        (slot, key, drawn) for slot, key in play.winners(parent["slot"])
        if ticket(play.genesis, slot, key.account, drawn := draw(play.genesis, key, slot + 1)) < threshold)
    return play.made(slot, key, parent, draw=drawn)


def earlier(play: Play, parent: Event, _: Event) -> Event:
    """A block whose slot is not after its parent's."""
    slot, key = next((slot, key) for slot, key in play.winners(0) if slot <= parent["slot"])
    return play.made(slot, key, parent)


def future(play: Play, parent: Event, _: Event) -> Event:
    """A block of a slot that begins in an hour."""
    slot, key = next((slot, key) for slot in range(SLOTS_AGO + 3_600, SLOTS_AGO + 3_700) for key in HOLDERS
                     if wins(play.genesis, key, slot))
    return play.made(slot, key, parent)


def overdraft(play: Play, parent: Event, _: Event) -> Event:
    """A block with a transaction that its sender cannot pay."""
    spent = play.pay(5, Y)
    play.send(spent)
    return play.block(parent, spent)


BASIC = [
    Wrong("in a slot that was not won", loser),
    Wrong("of somebody without stake", outsider),
    Wrong("with a draw for another slot", other_draw),
    Wrong("signed by somebody else", lambda play, parent, _: {**play.block(parent), "signature": X.sign(b"block")}),
    Wrong("that spends what is not there", overdraft),
    Wrong("with a transaction of its parent", lambda play, parent, paid: play.block(parent, paid)),
]
HARD = [
    Wrong("not after its parent's slot", earlier),
    Wrong("from the future", future),
]


@criterion("Not accepted: a block {row}", points=2, clause="§3 stage 5")
@pytest.mark.parametrize("row", BASIC, ids=repr)
def test_wrong_block(scene: Scene, row: Wrong) -> None:
    """A block enters the tree only if its creator has won its slot and has signed it, and if each of its transactions is
    valid at its point. Others are not forwarded, and the next valid block is accepted."""
    takes_only_the_valid(scene, row)


@criterion("Not accepted: a block {row}", points=3, clause="§3 stage 5", hardening=True)
@pytest.mark.parametrize("row", HARD, ids=repr)
def test_wrong_slot(scene: Scene, row: Wrong) -> None:
    """A block's slot is later than its parent's, and not in the future: one slot of clock error is allowed."""
    takes_only_the_valid(scene, row)


def takes_only_the_valid(scene: Scene, row: Wrong) -> None:
    """The wrong block has no effect, and a valid one has."""
    play = Play(scene)
    watcher = scene.link(play.node, network=play.root)
    paid = play.pay(100)
    parent = play.block(None, paid, after=20)
    play.send(paid, parent)
    wrong = row.make(play, parent, paid)
    play.send(wrong)
    check(wrong not in [dict(one) for one in watcher.barrier()], "a wrong block not to be forwarded", "it was forwarded")
    check(play.id(wrong) not in play.tree(), "a wrong block not to enter the tree", "it is in the tree")
    right = play.block(parent)
    play.send(right)
    check_equal(play.best(), [play.id(parent), play.id(right)], "the best chain")


# --- hardening --------------------------------------------------------------------------------------

@criterion("Two blocks of one creator in one slot are reported", points=3, clause="§3 stage 5", hardening=True)
def test_twins(scene: Scene) -> None:
    """Of blocks by one creator in one slot the first two enter the tree; at the second the node
    reports `equivocation`."""
    play = Play(scene)
    slot, key = next(play.winners())
    paid = play.pay(100)
    one, other = play.made(slot, key, None), play.made(slot, key, None, paid)
    play.send(paid, one, other)
    event = play.node.wait_for("equivocation", slot=slot)
    check_equal(sorted(event["ids"]), sorted([play.id(one), play.id(other)]), "the ids")
    check_equal(play.tree(), {play.id(one), play.id(other)}, "the tree")


@criterion("What builds on an invalid block is invalid", points=3, clause="§3 stage 5", hardening=True)
def test_on_invalid(scene: Scene) -> None:
    """An invalid block is remembered as invalid, with all that builds on it, however long the branch."""
    play = Play(scene)
    spent = play.pay(5, Y)
    invalid = play.block(None, spent)
    child = play.block(invalid)
    grandchild = play.block(child)
    valid = play.block(after=100)
    play.send(spent, grandchild, child, invalid, valid)
    check_equal((play.best(), play.tree()), ([play.id(valid)], {play.id(valid)}), "best chain and tree")
    check_equal(play.node.ask("/status", "status")["waiting"], 0, "the number of blocks that wait")


@criterion("A genesis with wrong thresholds is refused", points=2, clause="§3 stage 5", hardening=True)
def test_wrong_thresholds(scene: Scene) -> None:
    """A threshold may be off by up to 2^216. A genesis where it is off by more is invalid."""
    genesis = stake_genesis(int(time.time() * 1000), [key.account for key in HOLDERS], permille=100)
    genesis["thresholds"][0] = f"{int(genesis['thresholds'][0], 16) + 2**240:064x}"
    listener = scene.listen()
    node = scene.start(address_of(listener), "--wait", "0")
    peer = scene.accept(listener, id_of(genesis, "", 5))
    peer.send(peer.hello_message(), genesis)
    node.wait_for("founded")


@criterion("A bad message is refused: {name}", points=1, clause="§2", hardening=True)
@pytest.mark.parametrize("name", ["slot 0", "a tip without height"])
def test_format(scene: Scene, name: str) -> None:
    """A message with a missing or wrong member ends the connection with FORMAT."""
    node = scene.found_network("--forge", "none")
    half: dict[str, Event] = {"slot 0": {"type": "block", "slot": 0, "parent": "0" * 64, "creator": X.account, "draw": "", "signature": "",
                       "transactions": []}, "a tip without height": {"type": "tip", "id": "0" * 64}}
    expect_refusal(scene, node, "FORMAT", half[name])


@criterion("Messages of stage 4 are unknown", points=1, clause="§3", hardening=True)
def test_stage_4_is_unknown(scene: Scene) -> None:
    """Stage 5 does not know `get_blocks` and `height`: they are ignored."""
    node = scene.found_network("--forge", "none")
    peer = scene.link(node)
    peer.send({"type": "height", "number": -1}, {"type": "get_blocks"})
    peer.barrier()
    check_equal(node.told("error"), [], "the errors")
