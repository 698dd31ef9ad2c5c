"""What a node of the sequenced ledger is graded by: one order for all, and money that cannot be spent twice."""

import pytest

from lab.blackbox.keys import load_key
from lab.grade.actors import GradedNode
from lab.grade.asking import expect_exit, ledger, wait_for_ledger
from lab.grade.scene import Scene
from lab.grade.settings import KEYS
from lab.grade.shortcomings import check, check_equal

criterion = pytest.mark.criterion
QUICK = ["--interval", "0.1"]
STRANGER = load_key(KEYS / "key-1.pem").account
MILLION = 1_000_000


def blocks(node: GradedNode) -> list[tuple[int, str, int]]:
    """Number, id and transactions of each block that /blocks lists."""
    return [(one["number"], one["id"], one["transactions"]) for one in node.ask("/blocks", "blocks")["blocks"]]


# --- money ------------------------------------------------------------------------------------------

@criterion("The founder has a million", points=4, clause="§3 stage 4", cli=True)
def test_founder_has_a_million(scene: Scene) -> None:
    """The founder's own account starts with 1,000,000, and nobody else has anything."""
    node = scene.found_network(*QUICK)
    wait_for_ledger(scene, [node], {node.listening["account"]: MILLION})
    bob = scene.join(node)
    wait_for_ledger(scene, [bob], {node.listening["account"]: MILLION})


@criterion("Money moves when a block orders it", points=6, clause="§3 stage 4", cli=True)
def test_money(scene: Scene) -> None:
    """A transaction waits for a block: it is `pending`, and `applied` when its block takes effect, at all nodes."""
    alice = scene.found_network(*QUICK)
    bob = scene.join(alice)
    one, two = alice.listening["account"], bob.listening["account"]
    sent = alice.ask(f"/send {two} 1000", "sent")["id"]
    alice.wait_for("transaction", id=sent, state="applied")
    wait_for_ledger(scene, [alice, bob], {one: MILLION - 1_000, two: 1_000})
    states = [event["state"] for event in alice.told("transaction", id=sent)]
    check_equal(states, ["pending", "applied"], "the states of the transaction")


@criterion("An account that was paid can pay", points=4, clause="§3 stage 4", cli=True)
def test_pays_on(scene: Scene) -> None:
    """A transaction of any node is ordered by the sequencer."""
    alice = scene.found_network(*QUICK)
    bob = scene.join(alice)
    carol = scene.join(bob)
    one, two, three = (node.listening["account"] for node in (alice, bob, carol))
    alice.type(f"/send {two} 1000")
    wait_for_ledger(scene, [bob], {one: MILLION - 1_000, two: 1_000})
    bob.type(f"/send {three} 400")
    wait_for_ledger(scene, [alice, bob, carol], {one: MILLION - 1_000, two: 600, three: 400})


@criterion("An account cannot spend more than it has", points=5, clause="§4", cli=True,
           hint="What was sent and is not ordered yet counts as spent.")
def test_funds(scene: Scene) -> None:
    """A `/send` of more than the account has, less what it has pending, is refused at once: FUNDS."""
    node = scene.found_network("--interval", "3600")
    check_equal(node.ask(f"/send {STRANGER} {MILLION + 1}", "error")["code"], "FUNDS", "the code of the error")
    node.ask(f"/send {STRANGER} {MILLION - 10}", "sent")
    check_equal(node.ask(f"/send {STRANGER} 11", "error")["code"], "FUNDS", "the code of the second error")
    check_equal(len(node.told("sent")), 1, "the number of transactions that were made")


@criterion("No money is made or lost", points=3, clause="§3 stage 4", cli=True)
def test_sum(scene: Scene) -> None:
    """The sum of all balances stays that of the genesis, after many transactions of three nodes."""
    alice = scene.found_network(*QUICK)
    nodes = [alice, scene.join(alice), scene.join(alice)]
    accounts = [node.listening["account"] for node in nodes]
    for account in accounts[1:]:
        alice.type(f"/send {account} 1000")
    wait_for_ledger(scene, nodes, {accounts[0]: MILLION - 2_000, accounts[1]: 1_000, accounts[2]: 1_000})
    for place, node in enumerate(nodes):
        node.type("\n".join(f"/send {accounts[(place + 1) % 3]} {number + 1}" for number in range(20)))
    for node in nodes:
        scene.eventually(lambda node=node: len(node.all_of("transaction", state="applied")) >= 20,  # type: ignore[misc]
                         "all its transactions to be applied", lambda node=node: node.all_of("transaction")[-3:])  # type: ignore[misc]
    wait_for_ledger(scene, nodes, {accounts[0]: MILLION - 2_000, accounts[1]: 1_000, accounts[2]: 1_000})


@criterion("Everybody has the same blocks", points=6, clause="§3 stage 4", cli=True)
def test_same_blocks(scene: Scene) -> None:
    """There is one order: all nodes list the same blocks, from number 0 on, with each transaction in one of them."""
    alice = scene.found_network(*QUICK)
    bob, carol = scene.join(alice), scene.join(alice)
    nodes = [alice, bob, carol]
    two = bob.listening["account"]
    for number in range(3):
        alice.type(f"/send {two} {number + 1}")
        scene.eventually(lambda number=number: ledger(carol).get(two) == sum(range(number + 2)),  # type: ignore[misc]
                         "the money to arrive", lambda: ledger(carol))
    expected = blocks(alice)
    for node in nodes:
        scene.eventually(lambda node=node: blocks(node) == expected, f"the blocks {expected}",  # type: ignore[misc]
                         lambda node=node: blocks(node))  # type: ignore[misc]
    check_equal([number for number, _, _ in expected], list(range(len(expected))), "the numbers of the blocks")
    check_equal(sum(count for _, _, count in expected), 3, "the number of transactions in blocks")


@criterion("No transactions, no block", points=3, clause="§3 stage 4", cli=True)
def test_no_empty_block(scene: Scene) -> None:
    """The sequencer makes a block only if there are transactions."""
    node = scene.found_network("--interval", "0.002")  # so that some intervals pass before /blocks is typed
    node.ask(f"/send {STRANGER} 1", "transaction", state="applied")
    node.ask(f"/send {STRANGER} 1", "sent")
    scene.eventually(lambda: ledger(node).get(STRANGER) == 2, "the money to arrive", lambda: ledger(node))
    check_equal([count for _, _, count in blocks(node)], [1, 1], "the number of transactions in each block")


@criterion("The sequencer waits for its interval", points=3, clause="§3 stage 4", cli=True)
def test_interval(scene: Scene) -> None:
    """Every interval the sequencer makes a block of what it has seen; before that, transactions wait."""
    node = scene.found_network("--interval", "3600")
    for _ in range(3):
        node.ask(f"/send {STRANGER} 1", "transaction", state="pending")
    scene.stays(lambda: not blocks(node), "no block", lambda: blocks(node))
    check_equal(node.ask("/status", "status")["pending"], 3, "the number of pending transactions")
    check_equal(ledger(node), {node.listening["account"]: MILLION}, "the ledger")
    check_equal(len(node.all_of("transaction", state="applied")), 0, "the number of transactions said to be applied")


@criterion("One block has all waiting transactions, in order of arrival", points=3, clause="§3 stage 4", cli=True)
def test_one_block(scene: Scene) -> None:
    """The sequencer takes the valid transactions that it has seen, in the order in which it received them."""
    node = scene.found_network("--interval", "1.5")
    node.type("\n".join(f"/send {STRANGER} {number + 1}" for number in range(5)))
    scene.eventually(lambda: len(node.all_of("transaction", state="applied")) == 5, "all five to be applied",
                     lambda: node.all_of("transaction"))
    sent = [event["id"] for event in node.all_of("sent")]
    check_equal([event["id"] for event in node.all_of("transaction", state="applied")], sent, "the order")
    made = len(blocks(node))
    check(made <= 2, "one block, or two if the interval ended in between", f"there are {made}")


@criterion("A late joiner has all blocks and the ledger", points=5, clause="§3 stage 4", cli=True)
def test_late_joiner(scene: Scene) -> None:
    """A node that joins late gets the blocks that there are, and executes them."""
    alice = scene.found_network(*QUICK)
    one = alice.listening["account"]
    for number in range(3):
        alice.ask(f"/send {STRANGER} {number + 1}", "sent")
        scene.eventually(lambda number=number: ledger(alice).get(STRANGER) == sum(range(number + 2)),  # type: ignore[misc]
                         "the money to arrive", lambda: ledger(alice))
    late = scene.join(alice)
    wait_for_ledger(scene, [late], {one: MILLION - 6, STRANGER: 6})
    check_equal(blocks(late), blocks(alice), "the blocks of the late joiner")


@criterion("Without the sequencer, money waits", points=4, clause="§3 stage 4", cli=True)
def test_sequencer_dies(scene: Scene) -> None:
    """When the sequencer is gone, nothing is ordered any more; what was made stays `pending`, and chat goes on."""
    alice = scene.found_network(*QUICK)
    bob = scene.join(alice)
    carol = scene.join(bob)
    two = bob.listening["account"]
    alice.type(f"/send {two} 1000")
    wait_for_ledger(scene, [bob, carol], {alice.listening["account"]: MILLION - 1_000, two: 1_000})
    before = blocks(bob)
    alice.kill()
    bob.wait_for("peer", address=alice.address, state="down")
    bob.ask(f"/send {carol.listening['account']} 1", "transaction", state="pending")
    bob.type("anybody there?")
    carol.wait_for("chat", text="anybody there?")
    for node in (bob, carol):
        scene.stays(lambda node=node: blocks(node) == before,  # type: ignore[misc]
                    f"the blocks of {node.label} to stay the same", lambda node=node: blocks(node))  # type: ignore[misc]
    check_equal(ledger(carol)[two], 1_000, "the balance")


@criterion("/status tells the next block's number, and how much is pending", points=2, clause="§4", cli=True)
def test_status(scene: Scene) -> None:
    """`status` has the numbers of connections and of pending transactions, and the number of the next block."""
    alice = scene.found_network(*QUICK)
    bob = scene.join(alice)
    alice.ask(f"/send {STRANGER} 1", "transaction", state="applied")
    for node in (alice, bob):
        scene.eventually(lambda node=node: dict(node.ask("/status", "status")) ==  # type: ignore[misc]
                         {"event": "status", "peers": 1, "next": 1, "pending": 0},
                         "1 peer, next 1, pending 0", lambda node=node: node.ask("/status", "status"))  # type: ignore[misc]


@criterion("A mixed network has one order; the sequencer is {sequencer}", points=5, clause="§3 stage 4")
@pytest.mark.parametrize("sequencer", ["theirs", "ours"])
def test_mixed(scene: Scene, sequencer: str) -> None:
    """Nodes that different people have written follow one sequencer, whichever of them it is."""
    founder = scene.found_network(*QUICK, ours=sequencer == "ours")
    other = scene.join(founder, ours=sequencer != "ours")
    one, two = founder.listening["account"], other.listening["account"]
    founder.type(f"/send {two} 1000")
    wait_for_ledger(scene, [founder, other], {one: MILLION - 1_000, two: 1_000})
    other.type(f"/send {one} 300")
    late = scene.join(other, ours=sequencer == "ours")
    wait_for_ledger(scene, [founder, other, late], {one: MILLION - 700, two: 700})
    check_equal(blocks(late), blocks(founder), "the blocks")


# --- hardening --------------------------------------------------------------------------------------

@criterion("--network joins no other network (the peer: {peer})", points=2, clause="§4", cli=True, hardening=True)
@pytest.mark.parametrize("peer", ["of another network", "none"])
def test_network(scene: Scene, peer: str) -> None:
    """With `--network ID`, a node that reaches nobody of that network says `error` NETWORK, founds nothing, and ends
    with status 1."""
    founder = scene.found_network()
    node = scene.start("none" if peer == "none" else founder.address, "--wait", "0", "--network", "0" * 64)
    check_equal(node.wait_exit(), 1, "the exit status")
    kinds = [event["event"] for event in node.events]
    check("error" in kinds and not {"founded", "joined", "listening"} & set(kinds), "an error, and nothing founded", kinds)


@criterion("A wrong option gives one line and status 2: {options}", points=1, clause="§4", cli=True, hardening=True)
@pytest.mark.parametrize("options", ["--interval 0", "--interval abc", "--network abc"])
def test_wrong_option(scene: Scene, options: str) -> None:
    """A wrong option gives one line on standard error, and status 2. An interval is 0.001 to 3,600 seconds."""
    expect_exit(scene, 2, *options.split())


@criterion("The sequencer goes on from --data after kill -9", points=4, clause="§4", cli=True, hardening=True)
def test_data(scene: Scene) -> None:
    """With `--data` the sequencer goes on with its network: same blocks, same ledger, and the next number."""
    options = [*QUICK, "--data", str(scene.folder / "data")]
    node = scene.found_network(*options)
    account = node.listening["account"]
    node.ask(f"/send {STRANGER} 7", "transaction", state="applied")
    before = blocks(node)
    node.kill()
    again = scene.start(None, *options, wallet=1)
    check_equal(again.wait_for("founded")["resumed"], True, "the member `resumed` of `founded`")
    wait_for_ledger(scene, [again], {account: MILLION - 7, STRANGER: 7})
    again.ask(f"/send {STRANGER} 1", "transaction", state="applied")
    check_equal(blocks(again)[:1], before, "the block that it had made")
    check_equal([number for number, _, _ in blocks(again)], [0, 1], "the numbers")


@criterion("An account can pay itself, and can pay all that it has", points=2, clause="§3 stage 4", cli=True,
           hardening=True)
def test_all_of_it(scene: Scene) -> None:
    """A transaction that would make its sender's balance negative is ignored, but not one that leaves 0."""
    node = scene.found_network(*QUICK)
    account = node.listening["account"]
    node.ask(f"/send {account} {MILLION}", "transaction", state="applied")
    wait_for_ledger(scene, [node], {account: MILLION})
    node.type(f"/send {STRANGER} {MILLION}")
    wait_for_ledger(scene, [node], {STRANGER: MILLION})
