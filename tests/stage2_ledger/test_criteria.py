"""What a node of the replicated ledger is graded by: money and peers on the command line. See lab/grade/__init__.py."""

import pytest

from lab.grade.asking import by_port, keeps_ledger, ledger, peers_of, wait_for_ledger, wait_for_links, wait_for_peers
from lab.grade.scene import Scene
from lab.grade.shortcomings import check, check_equal

criterion = pytest.mark.criterion


# --- money ------------------------------------------------------------------------------------------

@criterion("/send moves money in the ledger of the node itself", points=6, clause="§3 stage 2", cli=True)
def test_send(scene: Scene) -> None:
    """A transaction takes the amount from its sender and gives it to its receiver. An account that was never named
    has 0."""
    node = scene.found_network()
    node.type("/send alice bob 5")
    sent = node.wait_for("sent")["id"]
    node.wait_for("transaction", id=sent, state="applied")
    check_equal(ledger(node), {"alice": -5, "bob": 5}, "the ledger")


@criterion("A transaction reaches the ledgers of all nodes", points=7, clause="§3 stage 2", cli=True)
def test_ledgers_are_equal(scene: Scene) -> None:
    """A transaction is flooded, and every node applies it once."""
    alice = scene.found_network()
    bob = scene.join(alice)
    carol = scene.join(bob)
    nodes = [alice, bob, carol]
    for number, node in enumerate(nodes):
        node.type(f"/send pool user-{number} {10 * number + 1}")
    wait_for_ledger(scene, nodes, {"pool": -33, "user-0": 1, "user-1": 11, "user-2": 21})


@criterion("A node's own transaction counts once", points=4, clause="§3 stage 2", cli=True,
           hint="It may come back from others to the node that has made it.")
def test_own_counts_once(scene: Scene) -> None:
    """A transaction that comes a second time changes nothing, even at the node that has made it."""
    alice = scene.found_network()
    bob = scene.join(alice)
    carol = scene.join(alice)
    wait_for_links(scene, [alice, bob, carol])  # so that each transaction comes to a node twice
    for _ in range(5):
        bob.type("/send a b 1")
    keeps_ledger(scene, [alice, bob, carol], {"a": -5, "b": 5})
    check_equal(len(bob.told("transaction", state="applied")), 5, "the number of its own transactions that were applied")


@criterion("The same transfer twice is two transactions", points=3, clause="§1", cli=True)
def test_same_transfer_twice(scene: Scene) -> None:
    """A nonce makes equal contents distinct."""
    alice = scene.found_network()
    bob = scene.join(alice)
    alice.type("/send a b 3\n/send a b 3")
    bob.type("/send a b 3")
    wait_for_ledger(scene, [alice, bob], {"a": -9, "b": 9})
    check_equal(len({sent["id"] for sent in alice.told("sent")}), 2, "the number of ids")


@criterion("A balance may be negative", points=3, clause="§3 stage 2", cli=True,
           hint="Without an order of transactions, refusing an overdraft would make ledgers differ forever.")
def test_overdraft(scene: Scene) -> None:
    """Balances may be negative, and amount 0 is allowed."""
    alice = scene.found_network()
    bob = scene.join(alice)
    bob.type("/send nobody somebody 1000000\n/send nobody somebody 0")
    wait_for_ledger(scene, [alice, bob], {"nobody": -1_000_000, "somebody": 1_000_000})
    check_equal(len(bob.told("sent")), 2, "the number of transactions that were made")


@criterion("A payment to oneself changes nothing", points=2, clause="§3 stage 2", cli=True,
           hint="Change the ledger itself, not copies of the two balances.")
def test_to_itself(scene: Scene) -> None:
    """A transaction from an account to itself changes no balance."""
    node = scene.found_network()
    node.type("/send bank alice 10\n/send alice alice 4")
    scene.eventually(lambda: len(node.all_of("transaction", state="applied")) == 2, "both to be applied",
                     lambda: node.all_of("transaction"))
    check_equal(ledger(node), {"bank": -10, "alice": 10}, "the ledger")


@criterion("A late joiner has the whole ledger", points=6, clause="§3 stage 2", cli=True,
           hint="Transactions that were made before a node joined come by reconciliation.")
def test_late_ledger(scene: Scene) -> None:
    """Reconciliation brings what was made before a node joined."""
    alice = scene.found_network()
    bob = scene.join(alice)
    alice.type("/send a b 1")
    bob.type("/send b c 2")
    expected = {"a": -1, "b": -1, "c": 2}
    wait_for_ledger(scene, [alice, bob], expected)
    wait_for_ledger(scene, [scene.join(bob)], expected)


@criterion("Ledgers are equal after many transactions that cross", points=4, clause="§3 stage 2", cli=True)
def test_crossing(scene: Scene) -> None:
    """Three nodes make fifty transactions each at the same time: none is lost, and none is applied twice."""
    alice = scene.found_network()
    nodes = [alice, scene.join(alice), scene.join(alice)]
    for number, node in enumerate(nodes):
        node.type("\n".join(f"/send pool user-{number} 1" for _ in range(50)))
    wait_for_ledger(scene, nodes, {"pool": -150, "user-0": 50, "user-1": 50, "user-2": 50})


@criterion("What a node sent before it was lost still counts", points=3, clause="§3 stage 2", cli=True)
def test_after_kill(scene: Scene) -> None:
    """When a node is killed, what it sent is not taken back, the ledgers of the others stay equal, and money still
    moves."""
    alice = scene.found_network()
    bob, carol = scene.join(alice), scene.join(alice)
    bob.type("/send a b 1")
    wait_for_ledger(scene, [alice, bob, carol], {"a": -1, "b": 1})
    bob.kill()
    alice.wait_for("peer", address=bob.address, state="down")
    carol.type("/send a b 1")
    wait_for_ledger(scene, [alice, carol], {"a": -2, "b": 2})


@criterion("A node that comes back gets what it has missed", points=4, clause="§3 stage 2", cli=True)
def test_comes_back(scene: Scene) -> None:
    """A node that was away, and joins again, gets what was made meanwhile."""
    alice = scene.found_network()
    bob = scene.join(alice)
    bob.type("/send a b 1")
    wait_for_ledger(scene, [alice], {"a": -1, "b": 1})
    bob.kill()
    alice.wait_for("peer", address=bob.address, state="down")
    alice.type("/send b c 1")
    again = scene.join(alice, "--port", bob.address.rpartition(":")[2])
    wait_for_ledger(scene, [again], {"a": -1, "c": 1})


@criterion("A wrong /send gives one error and changes nothing: {command}", points=1, clause="§4", cli=True)
@pytest.mark.parametrize("command", ["/send a b", "/send a b -1", "/send a b x"])
def test_wrong_send(scene: Scene, command: str) -> None:
    """A command that cannot be carried out gives `error` and changes nothing."""
    node = scene.found_network()
    node.ask(command, "error")
    check_equal(len(node.told("error")), 1, "the number of errors")
    check_equal(ledger(node), {}, "the ledger")


@criterion("Lines are still chat", points=2, clause="§4", cli=True)
def test_chat(scene: Scene) -> None:
    """Every line that does not begin with `/` is a chat message, in all stages."""
    alice = scene.found_network()
    bob = scene.join(alice)
    alice.type("send alice bob 5")
    bob.wait_for("chat", text="send alice bob 5")
    check_equal(ledger(bob), {}, "the ledger")


# --- peers ------------------------------------------------------------------------------------------

@criterion("All nodes have the same list of peers", points=5, clause="§3 stage 2", cli=True, later=True,
           hint="Flood a presence after joining. Sort by host as text, then by port as a number.")
def test_lists_of_peers(scene: Scene) -> None:
    """The list of peers is sorted, has no address twice, and includes the node's own. So all nodes have the
    same list."""
    alice = scene.found_network()
    bob = scene.join(alice)
    carol = scene.join(bob)
    dave = scene.join(carol)
    wait_for_peers(scene, [alice, bob, carol, dave])


@criterion("Ports are sorted as numbers", points=2, clause="§3 stage 2", cli=True)
def test_order_of_ports(scene: Scene) -> None:
    """Addresses sort by host as text, then by port as a number: 9000 comes before 10000."""
    short, long = scene.unused_address(8_000, 9_999), scene.unused_address(10_000, 19_999)
    alice = scene.found_network("--port", long.rpartition(":")[2])
    bob = scene.join(alice, "--port", short.rpartition(":")[2])
    wait_for_peers(scene, [alice, bob])


@criterion("A node that has gone leaves the list", points=3, clause="§2", cli=True)
def test_gone_leaves_the_list(scene: Scene) -> None:
    """An address is not in the list of peers while it does not answer."""
    alice = scene.found_network()
    bob, carol = scene.join(alice), scene.join(alice)
    wait_for_peers(scene, [alice, bob, carol])
    bob.kill()
    wait_for_peers(scene, [alice, carol])


@criterion("The network outlives its founder", points=4, clause="§3 stage 2", cli=True, later=True,
           hint="Connect to the others on the list, not to the founder alone.")
def test_founder_dies(scene: Scene) -> None:
    """When the founder is killed, the others are still linked, and a new one can join through any of them."""
    founder = scene.found_network()
    bob, carol = scene.join(founder), scene.join(founder)
    scene.eventually(lambda: len(peers_of(carol)) == len(peers_of(bob)) == 3, "three addresses at both",
                     lambda: [peers_of(bob), peers_of(carol)])
    founder.kill()
    late = scene.join(carol)
    bob.type("without a founder")
    for node in (carol, late):
        node.wait_for("chat", text="without a founder")


@criterion("Money moves between nodes of different implementations", points=5, clause="§3 stage 2")
def test_mixed_money(scene: Scene) -> None:
    """Ledgers become equal in a network of nodes that different people have written, whichever of them joins late."""
    node = scene.found_network()
    ours = scene.join(node, ours=True)
    node.type("/send a b 1")
    ours.type("/send b c 1")
    late, late_ours = scene.join(ours), scene.join(node, ours=True)
    wait_for_ledger(scene, [node, ours, late, late_ours], {"a": -1, "c": 1})
    wait_for_peers(scene, [node, ours, late, late_ours])


# --- hardening --------------------------------------------------------------------------------------

@criterion("What the user was told is kept in --data after kill -9", points=4, clause="§4", cli=True, hardening=True)
def test_data(scene: Scene) -> None:
    """With `--data` a node goes on in its network after a crash, and says `founded` with `resumed`."""
    options = ["--data", str(scene.folder / "data")]
    node = scene.found_network(*options)
    node.ask("/send a b 7", "transaction", state="applied")
    node.kill()
    again = scene.start(None, *options)
    check_equal(again.wait_for("founded")["resumed"], True, "the member `resumed` of `founded`")
    check_equal(again.network, node.network, "the network")
    wait_for_ledger(scene, [again], {"a": -7, "b": 7})


@criterion("A bad account name is refused: {name}", points=1, clause="§3 stage 2", cli=True, hardening=True)
@pytest.mark.parametrize("name", ["a letter beyond ASCII", "65 characters"])
def test_names(scene: Scene, name: str) -> None:
    """Accounts are names of 1 to 64 characters U+0021 … U+007E."""
    node = scene.found_network()
    node.ask(f"/send {'x' * 65 if name.startswith('65') else 'é'} bob 1", "error")
    check_equal(ledger(node), {}, "the ledger")


@criterion("The largest amount is accepted, one more is refused", points=2, clause="§1", cli=True, hardening=True)
def test_largest_amount(scene: Scene) -> None:
    """Integers are 0 … 2^53−1."""
    node = scene.found_network()
    node.ask(f"/send a b {2**53}", "error")
    node.ask(f"/send a b {2**53 - 1}", "sent")
    wait_for_ledger(scene, [node], {"a": 1 - 2**53, "b": 2**53 - 1})


@criterion("1,500 transactions reach a late joiner", points=4, clause="§3 stage 2", cli=True, hardening=True)
def test_thousand(scene: Scene) -> None:
    """Reconciliation brings all transactions, however many."""
    alice = scene.found_network()
    alice.type("\n".join("/send pool many 1" for _ in range(1_500)))
    alice.wait_for_text(b'"sent"', 1_500, 4 * scene.patience)
    late = scene.join(alice)
    wait_for_ledger(scene, [late], {"pool": -1_500, "many": 1_500})


@criterion("Eight nodes that join at once become one network", points=4, clause="§3 stage 2", cli=True, hardening=True)
def test_eight_at_once(scene: Scene) -> None:
    """Nodes that join at the same time find each other, and their ledgers become equal."""
    founder = scene.found_network()
    nodes = [founder, *(scene.start(founder.address) for _ in range(7))]
    for number, node in enumerate(nodes):
        check(node.address, "a node that listens", node.label)
        node.type(f"/send pool user-{number} 1")
    wait_for_ledger(scene, nodes, {"pool": -8, **{f"user-{number}": 1 for number in range(8)}})
    expected = by_port([node.address for node in nodes])
    for node in nodes:
        scene.eventually(lambda node=node: peers_of(node) == expected,  # type: ignore[misc]
                         f"/peers to list {expected}", lambda node=node: peers_of(node))  # type: ignore[misc]
