"""What a node of the blockchain is graded by: blocks from a lottery, money with fees, forks that heal."""

import pytest

from lab.blackbox.keys import load_key
from lab.blackbox.peer import Event
from lab.grade.actors import GradedNode
from lab.grade.asking import expect_exit, ledger
from lab.grade.scene import Scene
from lab.grade.settings import KEYS
from lab.grade.shortcomings import check, check_equal

criterion = pytest.mark.criterion
QUICK = ["--slot", "0.1", "--rate", "0.9"]
STRANGER = load_key(KEYS / "key-11.pem").account
TOTAL = 10_000_000


def status(node: GradedNode) -> Event:
    """What /status says."""
    return node.ask("/status", "status")


def balance(node: GradedNode, account: str) -> int:
    """What an account has on the node's best chain."""
    return ledger(node).get(account, 0)


def wait_for_balance(scene: Scene, node: GradedNode, account: str, expected: int) -> None:
    """Wait until the account has this balance at the node."""
    scene.eventually(lambda: balance(node, account) == expected, f"the balance at {node.label} to be {expected}",
                     lambda: balance(node, account))


def wait_for_height(node: GradedNode, height: int) -> None:
    """Wait until the node reports a block of this height."""
    node.wait_for("block", height=height)


# --- blocks -----------------------------------------------------------------------------------------

@criterion("A lone founder makes blocks", points=5, clause="§3 stage 5", cli=True)
def test_lone_founder(scene: Scene) -> None:
    """A founder plays all ten genesis accounts, and makes one block after the other."""
    wait_for_height(scene.found_network(*QUICK), 3)


@criterion("Slots and heights go up along the chain", points=4, clause="§3 stage 5", cli=True)
def test_slots_and_heights(scene: Scene) -> None:
    """A block's slot is later than its parent's, and its height one more. /blocks lists the best chain, oldest first."""
    node = scene.found_network(*QUICK)
    wait_for_height(node, 5)
    blocks = node.ask("/blocks", "blocks")["blocks"]
    check_equal([one["height"] for one in blocks], list(range(1, len(blocks) + 1)), "the heights")
    check_equal([one["parent"] for one in blocks[1:]], [one["id"] for one in blocks[:-1]], "the parents")
    slots = [one["slot"] for one in blocks]
    check_equal(slots, sorted(set(slots)), "the slots")


@criterion("The creator of a block is paid", points=5, clause="§3 stage 5", cli=True)
def test_reward(scene: Scene) -> None:
    """A block gives its creator 10 plus the number of its transactions, so the sum of all balances grows by 10 a block."""
    founder = scene.found_network(*QUICK)
    wait_for_height(founder, 3)
    node = scene.join(founder)
    scene.eventually(lambda: status(node)["height"] >= 3, "three blocks", lambda: status(node))
    founder.kill()
    node.wait_for("peer", state="down")
    check_equal(sum(ledger(node).values()), TOTAL + 10 * status(node)["height"], "the sum of all balances")


@criterion("Blocks come at the rate that was asked for", points=3, clause="§3 stage 5", cli=True)
def test_rate(scene: Scene) -> None:
    """With a rate of 0.2 about a fifth of the slots have a block."""
    node = scene.found_network("--slot", "0.05", "--rate", "0.2")
    scene.eventually(lambda: status(node)["slot"] >= 80, "80 slots to pass", lambda: status(node))
    now = status(node)
    # On a machine that is busy a node may miss slots. More than 36 of 80 come about once in ten million times.
    check(0 < now["height"] / now["slot"] <= 0.45, "about a fifth of the slots to have a block",
          f"{now['height']} of {now['slot']} slots have one")


@criterion("A node that plays no account makes no block", points=2, clause="§4", cli=True)
def test_plays_nothing(scene: Scene) -> None:
    """`--forge none` makes a node that follows, and makes no block."""
    node = scene.found_network("--forge", "none", *QUICK)
    scene.eventually(lambda: status(node)["slot"] >= 10, "ten slots to pass", lambda: status(node))
    check_equal(status(node)["height"], 0, "the height")


# --- money ------------------------------------------------------------------------------------------

@criterion("A transfer costs 1", points=6, clause="§3 stage 5", cli=True, hint="The receiver gets amount - 1.")
def test_fee(scene: Scene) -> None:
    """A transaction takes `amount` from its sender and gives amount − 1 to its receiver."""
    founder = scene.found_network(*QUICK)
    node = scene.join(founder)
    founder.type(f"/send {node.listening['account']} 1000 --from 3")
    for one in (founder, node):
        wait_for_balance(scene, one, node.listening["account"], 999)


@criterion("A transaction is pending, and then applied", points=3, clause="§4", cli=True)
def test_states(scene: Scene) -> None:
    """The state of a transaction is `pending` until it is on the best chain, and then `applied`."""
    founder = scene.found_network(*QUICK)
    sent = founder.ask(f"/send {STRANGER} 1000 --from 1", "sent")["id"]
    founder.wait_for("transaction", id=sent, state="applied")
    wait_for_balance(scene, founder, STRANGER, 999)
    states = [event["state"] for event in founder.told("transaction", id=sent)]
    check_equal(states, ["pending", "applied"], "the states of the transaction")


@criterion("An account that was paid can pay, but no more than it has", points=4, clause="§4", cli=True)
def test_pays_on(scene: Scene) -> None:
    """A new account starts at 0. A `/send` of more than the account has, less what is pending, is refused: FUNDS."""
    founder = scene.found_network(*QUICK)
    node = scene.join(founder)
    own, back = node.listening["account"], founder.listening["account"]
    check_equal(node.ask(f"/send {back} 1", "error")["code"], "FUNDS", "the code of the error")
    founder.type(f"/send {own} 1000 --from 3")
    wait_for_balance(scene, node, own, 999)
    # Both are typed at once, so that hardly ever a block comes in between.
    error = node.ask(f"/send {back} 500\n/send {back} 600", "error")
    check_equal(error["code"], "FUNDS", "the code of the second error")
    wait_for_balance(scene, founder, back, 499)
    wait_for_balance(scene, node, own, 499)


@criterion("Amount 0 is refused", points=2, clause="§3 stage 5", cli=True)
def test_nothing(scene: Scene) -> None:
    """A transaction is valid only if its amount is 1 or more."""
    founder = scene.found_network(*QUICK)
    founder.ask(f"/send {STRANGER} 0 --from 1", "error")
    check_equal(len(founder.told("sent")), 0, "the number of transactions that were made")


@criterion("Many transactions each count once", points=3, clause="§3 stage 5", cli=True)
def test_many(scene: Scene) -> None:
    """Each transaction is in one block of the chain, however many of them wait."""
    founder = scene.found_network(*QUICK)
    founder.type("\n".join(f"/send {STRANGER} 11 --from {number}" for number in (1, 2, 3) for _ in range(10)))
    wait_for_balance(scene, founder, STRANGER, 300)
    height = status(founder)["height"]
    wait_for_height(founder, height + 2)
    check_equal(balance(founder, STRANGER), 300, "the balance some blocks later")


# --- a network --------------------------------------------------------------------------------------

@criterion("A late joiner has the chain and the ledger", points=5, clause="§3 stage 5", cli=True)
def test_late_joiner(scene: Scene) -> None:
    """A node that joins late catches up with the best chain."""
    founder = scene.found_network(*QUICK)
    founder.type(f"/send {STRANGER} 1000 --from 3")
    wait_for_balance(scene, founder, STRANGER, 999)
    wait_for_height(founder, 4)
    known = founder.ask("/blocks", "blocks")["blocks"][:4]
    node = scene.join(founder)
    scene.eventually(lambda: balance(node, STRANGER) == 999, "the money to be there", lambda: balance(node, STRANGER))
    check_equal(node.ask("/blocks", "blocks")["blocks"][:4], known, "the first blocks")


@criterion("Block makers whose blocks cross agree in the end", points=6, clause="§3 stage 5", cli=True)
def test_forks_heal(scene: Scene) -> None:
    """When several nodes make blocks, there are forks, and all nodes come to one best chain and one ledger."""
    first = scene.found_network(*QUICK, "--forge", "1,2,3")
    makers = [first, scene.join(first, "--forge", "4,5,6"), scene.join(first, "--forge", "7,8,9,10")]
    watchers = [scene.join(first), scene.join(first)]
    for number, maker in zip((1, 4, 7), makers, strict=True):
        maker.type(f"/send {STRANGER} 100 --from {number}")
    for watcher in watchers:
        wait_for_balance(scene, watcher, STRANGER, 297)
    scene.eventually(lambda: any(one.all_of("rollback") for one in watchers), "a fork, and the event `rollback`",
                     lambda: [status(one) for one in watchers])
    for maker in makers:
        maker.type("/quit")
        maker.wait_exit()
    one, other = watchers
    scene.eventually(lambda: status(one)["tip"] == status(other)["tip"], "one tip at both",
                     lambda: [status(one), status(other)])
    check_equal(ledger(one), ledger(other), "the ledgers")
    check_equal(sum(ledger(one).values()), TOTAL + 10 * status(one)["height"], "the sum of all balances")


@criterion("A mixed network has one chain; the founder is {founder}", points=5, clause="§3 stage 5")
@pytest.mark.parametrize("founder", ["theirs", "ours"])
def test_mixed(scene: Scene, founder: str) -> None:
    """Nodes that different people have written accept each other's blocks, and agree."""
    first = scene.found_network(*QUICK, "--forge", "1,2,3,4,5", ours=founder == "ours")
    other = scene.join(first, "--forge", "6,7,8,9,10", ours=founder != "ours")
    other.type(f"/send {STRANGER} 100 --from 6")
    first.type(f"/send {STRANGER} 100 --from 1")
    watcher = scene.join(other, ours=founder == "ours")
    for node in (first, other, watcher):
        wait_for_balance(scene, node, STRANGER, 198)
    halves = [{load_key(KEYS / f"key-{number}.pem").account for number in numbers} for numbers in (range(1, 6), range(6, 11))]

    def creators() -> set[str]:
        return {block["creator"] for block in watcher.ask("/tree", "tree")["blocks"]}

    scene.eventually(lambda: all(half & creators() for half in halves), "blocks of both makers in one tree", creators)


@criterion("The tree lists all blocks", points=2, clause="§4", cli=True)
def test_tree(scene: Scene) -> None:
    """/tree lists all blocks of the tree, the best chain among them; /status counts them. The genesis is not listed."""
    founder = scene.found_network(*QUICK)
    wait_for_height(founder, 3)
    node = scene.join(founder)
    wait_for_height(node, 4)
    founder.kill()
    node.wait_for("peer", state="down")
    tree = [block["id"] for block in node.ask("/tree", "tree")["blocks"]]
    chain = [block["id"] for block in node.ask("/blocks", "blocks")["blocks"]]
    check(chain and set(chain) <= set(tree), "the best chain to be in the tree", [chain, tree])
    check_equal(status(node)["blocks"], len(tree), "the number of blocks in the status")


# --- hardening --------------------------------------------------------------------------------------

@criterion("A block maker still knows after kill -9 what it has told", points=4, clause="§4", cli=True, hardening=True)
def test_data(scene: Scene) -> None:
    """With `--data` a maker goes on with its chain, and signs no second block for a slot."""
    options = ["--data", str(scene.folder / "data")]
    node = scene.found_network(*QUICK, *options)
    node.type(f"/send {STRANGER} 1000 --from 1")
    wait_for_balance(scene, node, STRANGER, 999)
    told = node.all_of("block")[-1]["id"]
    node.kill()
    again = scene.start(None, *options, wallet=1)
    check_equal(again.wait_for("founded")["resumed"], True, "the member `resumed` of `founded`")
    again.wait_for("block")
    tree = again.ask("/tree", "tree")["blocks"]
    check(told in [block["id"] for block in tree], "the last block that it had told", [block["id"] for block in tree])
    slots = [(block["creator"], block["slot"]) for block in tree]
    check_equal(len(set(slots)), len(slots), "the number of different pairs of creator and slot")
    check_equal(balance(again, STRANGER), 999, "the balance")


@criterion("A wrong option gives one line and status 2: {options}", points=1, clause="§4", cli=True, hardening=True)
@pytest.mark.parametrize("options", ["--rate 1", "--slot 0", "--forge 11"])
def test_wrong_option(scene: Scene, options: str) -> None:
    """A wrong option gives one line on standard error, and status 2."""
    expect_exit(scene, 2, *options.split())


@criterion("Missing keys give one line and status 1", points=2, clause="§4", cli=True, hardening=True)
def test_no_keys(scene: Scene) -> None:
    """A missing key of an account that is to be played gives one line on standard error, and status 1."""
    folder = scene.folder / "empty"
    folder.mkdir()
    expect_exit(scene, 1, "--keys", str(folder), "--forge", "3", peer="127.0.0.1:1")
