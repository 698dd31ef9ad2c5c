"""What a node of the signed ledger is graded by: accounts, signatures and wallets. See lab/grade/__init__.py."""

import os
import re
import stat

import pytest

from lab.blackbox.keys import fingerprint, is_signed, load_key
from lab.blackbox.messages import canon, id_of, values_of
from lab.grade.asking import expect_exit, keeps_ledger, ledger, wait_for_ledger, wait_for_links
from lab.grade.scene import Scene
from lab.grade.settings import KEYS
from lab.grade.shortcomings import check, check_equal

criterion = pytest.mark.criterion


# --- money on the command line ----------------------------------------------------------------------

@criterion("A node has an account", points=4, clause="§4", cli=True, later=True)
def test_account(scene: Scene) -> None:
    """`listening` has the account; `/account` shows it with its fingerprint and its balance."""
    node = scene.found_network()
    account = node.listening["account"]
    shown = node.ask("/account", "account")
    check_equal(shown["account"], account, "the account")
    check(isinstance(shown["balance"], int), "a balance", dict(shown))
    check(re.fullmatch("[0-9a-f]{16}", str(shown["fingerprint"])), "a fingerprint of 16 hex digits", dict(shown))


@criterion("Two nodes have two accounts", points=2, clause="§4", cli=True)
def test_two_accounts(scene: Scene) -> None:
    """Without a wallet each node makes a new account."""
    one, other = scene.start(wallet=0), scene.start(wallet=0)
    check(one.listening["account"] != other.listening["account"], "two accounts", "they are the same")


@criterion("Money goes from account to account", points=7, clause="§3 stage 3", cli=True)
def test_money(scene: Scene) -> None:
    """`/send TO AMOUNT` takes the amount from this node's account; all ledgers show it."""
    alice = scene.found_network()
    bob = scene.join(alice)
    one, two = alice.listening["account"], bob.listening["account"]
    alice.type(f"/send {two} 10")
    wait_for_ledger(scene, [alice, bob], {one: -10, two: 10})
    bob.type(f"/send {one} 3")
    wait_for_ledger(scene, [alice, bob], {one: -7, two: 7})
    check_equal(bob.ask("/account", "account")["balance"], 7, "the balance that /account shows")


@criterion("A late joiner has the whole ledger", points=5, clause="§3 stage 2", cli=True)
def test_late_ledger(scene: Scene) -> None:
    """Reconciliation brings what was made before a node joined, and the late joiner can verify the signatures."""
    alice = scene.found_network()
    bob = scene.join(alice)
    one, two = alice.listening["account"], bob.listening["account"]
    alice.type(f"/send {two} 10")
    wait_for_ledger(scene, [bob], {one: -10, two: 10})
    wait_for_ledger(scene, [scene.join(bob)], {one: -10, two: 10})


@criterion("Each transaction counts once, even with three nodes that know each other", points=4, clause="§3 stage 3",
           cli=True)
def test_counts_once(scene: Scene) -> None:
    """A transaction that comes again counts once."""
    alice = scene.found_network()
    bob = scene.join(alice)
    carol = scene.join(alice)
    one, two = alice.listening["account"], bob.listening["account"]
    wait_for_links(scene, [alice, bob, carol])  # so that each transaction comes to a node twice
    for _ in range(5):
        bob.type(f"/send {one} 1")
    keeps_ledger(scene, [alice, bob, carol], {one: 5, two: -5})
    check_equal(len(bob.told("transaction", state="applied")), 5, "the number of its own transactions that were applied")


@criterion("An account may be named by its fingerprint", points=3, clause="§4", cli=True)
def test_fingerprint(scene: Scene) -> None:
    """Where an account is asked for, a unique prefix of 4 to 16 digits of the fingerprint of a known one will do."""
    alice = scene.found_network()
    bob = scene.join(alice)
    one, two = alice.listening["account"], bob.listening["account"]
    alice.type(f"/send {two} 10")
    wait_for_ledger(scene, [bob], {one: -10, two: 10})
    bob.type(f"/send {alice.ask('/account', 'account')['fingerprint'][:8]} 3")
    wait_for_ledger(scene, [alice, bob], {one: -7, two: 7})


@criterion("An unknown account is not paid: {receiver}", points=1, clause="§4", cli=True)
@pytest.mark.parametrize("receiver", ["0000000000000000", "alice"])
def test_unknown_account(scene: Scene, receiver: str) -> None:
    """A command that cannot be carried out gives `error`, here ACCOUNT, and changes nothing."""
    node = scene.found_network()
    check_equal(node.ask(f"/send {receiver} 1", "error")["code"], "ACCOUNT", "the code of the error")
    check_equal(ledger(node), {}, "the ledger")


@criterion("An overdraft is allowed", points=2, clause="§3 stage 3", cli=True)
def test_overdraft(scene: Scene) -> None:
    """Overdrafts are still allowed: without an order, refusing them would make ledgers differ forever."""
    alice = scene.found_network()
    bob = scene.join(alice)
    alice.type(f"/send {bob.listening['account']} 1000000")
    wait_for_ledger(scene, [bob], {alice.listening["account"]: -1_000_000, bob.listening["account"]: 1_000_000})


@criterion("A node that comes back gets what it has missed", points=3, clause="§3 stage 2", cli=True)
def test_comes_back(scene: Scene) -> None:
    """A node that was away and joins again gets what was made meanwhile."""
    alice = scene.found_network()
    bob = scene.join(alice)
    one, two = alice.listening["account"], bob.listening["account"]
    bob.kill()
    alice.wait_for("peer", address=bob.address, state="down")
    alice.type(f"/send {two} 10")
    again = scene.join(alice, "--port", bob.address.rpartition(":")[2])
    wait_for_ledger(scene, [again], {one: -10, two: 10})


@criterion("Money moves between nodes of different implementations", points=6, clause="§3 stage 3")
def test_mixed_money(scene: Scene) -> None:
    """Each node verifies the signatures that the other one has made."""
    node = scene.found_network()
    ours = scene.join(node, ours=True)
    theirs, mine = node.listening["account"], ours.listening["account"]
    node.type(f"/send {mine} 10")
    wait_for_ledger(scene, [node, ours], {theirs: -10, mine: 10})
    ours.type(f"/send {theirs} 4")
    late = scene.join(ours)
    wait_for_ledger(scene, [node, ours, late], {theirs: -6, mine: 6})


# --- what is sent -----------------------------------------------------------------------------------

@criterion("What it sends is signed", points=5, clause="§3 stage 3",
           hint="RSASSA-PKCS1-v1_5 with SHA-256 over the canonical bytes, in base64.")
def test_is_signed(scene: Scene) -> None:
    """A transaction has a signature that verifies under `from`, over its canonical bytes; its id is their hash."""
    node = scene.found_network()
    peer = scene.link(node)
    receiver = load_key(KEYS / "key-1.pem").account
    node.type(f"/send {receiver} 5")
    message = peer.expect("transaction")
    check_equal((message["from"], message["to"], message["amount"]), (node.listening["account"], receiver, 5),
                "from, to and amount")
    signed_bytes = canon(values_of(message, node.network, 3))
    check(is_signed(str(message["from"]), signed_bytes, str(message["signature"])), "a signature that verifies",
          f"{message['signature']} does not verify over {signed_bytes!r}")
    check_equal(node.wait_for("sent")["id"], id_of(message, node.network), "the id")


@criterion("The fingerprint is computed as the contract says", points=2, clause="§4")
def test_fingerprint_of_the_contract(scene: Scene) -> None:
    """The fingerprint is the first 16 hex digits of the SHA-256 of the DER key."""
    node = scene.found_network()
    shown = node.ask("/account", "account")
    check_equal(shown["fingerprint"], fingerprint(str(shown["account"])), "the fingerprint")


# --- wallets ----------------------------------------------------------------------------------------

@criterion("A wallet is made, and found again", points=4, clause="§4", cli=True)
def test_wallet(scene: Scene) -> None:
    """`--wallet FILE` has this account's private key, and is made if missing."""
    options = ["--wallet", str(scene.folder / "wallet.pem")]
    node = scene.found_network(*options, wallet=0)
    account = node.listening["account"]
    node.type("/quit")
    check_equal(node.wait_exit(), 0, "the exit status")
    check_equal(scene.found_network(*options, wallet=0).listening["account"], account, "the account of the second start")


@criterion("A wallet is encrypted PKCS#8", points=2, clause="§4", cli=True)
def test_wallet_format(scene: Scene) -> None:
    """A wallet is encrypted PKCS#8 PEM."""
    wallet = scene.folder / "wallet.pem"
    check(scene.found_network("--wallet", str(wallet), wallet=0).listening["account"], "an account", "there is none")
    first = scene.look_at(wallet)[0].partition(b"\n")[0].strip()
    check_equal(first, b"-----BEGIN ENCRYPTED PRIVATE KEY-----", "the first line of the wallet")


@criterion("A wallet that another program has made is opened", points=3, clause="§4", cli=True)
def test_foreign_wallet(scene: Scene) -> None:
    """A wallet is encrypted PKCS#8 PEM, so a node can open one that another program has made."""
    wallet = scene.wallet(1)
    node = scene.found_network("--wallet", str(wallet), wallet=0)
    check_equal(node.listening["account"], load_key(KEYS / "key-11.pem").account, "the account")


@criterion("A wallet is for its owner alone", points=3, clause="§4", cli=True, hardening=True)
def test_wallet_mode(scene: Scene) -> None:
    """Nobody else may read a private key: the file has mode 0600."""
    wallet = scene.folder / "wallet.pem"
    check(scene.found_network("--wallet", str(wallet), wallet=0).listening["account"], "an account", "there is none")
    check_equal(oct(scene.look_at(wallet)[1]), "0o600", "the mode of the wallet")


@criterion("A wrong passphrase gives one line and status 1", points=3, clause="§4", cli=True, hardening=True)
def test_wrong_passphrase(scene: Scene) -> None:
    """A wrong passphrase gives one line on standard error, and status 1. The wallet stays as it is."""
    wallet = scene.wallet(1)
    content = wallet.read_bytes()
    expect_exit(scene, 1, "--wallet", str(wallet), wallet=0, environment={"WALLET_PASSPHRASE": "wrong"})
    check_equal(wallet.read_bytes(), content, "the wallet")


@criterion("A file that is not a wallet is not overwritten", points=3, clause="§4", cli=True, hardening=True)
def test_no_wallet(scene: Scene) -> None:
    """An unreadable wallet gives one line on standard error, and status 1. The file stays as it is."""
    precious = scene.put("precious.txt", b"garbage")
    expect_exit(scene, 1, "--wallet", str(precious), wallet=0)
    check_equal(scene.look_at(precious)[0], b"garbage", "the file")


@criterion("The account is kept in --data after kill -9", points=3, clause="§4", cli=True, hardening=True)
def test_data(scene: Scene) -> None:
    """`--data` keeps the ledger and, if there is no wallet, the account."""
    options = ["--data", str(scene.folder / "data")]
    node = scene.found_network(*options, wallet=0)
    account = node.listening["account"]
    receiver = load_key(KEYS / "key-1.pem").account
    node.ask(f"/send {receiver} 7", "transaction", state="applied")
    node.kill()
    again = scene.start(None, *options, wallet=0)
    check_equal(again.listening["account"], account, "the account")
    wait_for_ledger(scene, [again], {account: -7, receiver: 7})
    for where, _, names in os.walk(scene.folder / "data"):
        for name in names:
            mode = stat.S_IMODE(os.lstat(os.path.join(where, name)).st_mode)
            check(not name.endswith(".pem") or mode == 0o600, f"{name} to have mode 0600", oct(mode))
