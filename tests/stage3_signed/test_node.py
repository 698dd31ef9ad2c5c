"""The node of stage 3 in memory: only the owner of an account can spend from it, whatever others send."""

import base64
import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

import stage3_signed.node
from common.encoding import encode_base64
from common.rsa import verify
from lab.simulation import World
from stage3_signed.node import SignedNode, SignedSetup
from tests.common.keys_by_hand import account_of, der_of, odd_number
from tests.fixtures import kept_key, note_signed
from tests.memory import Event
from tests.random_life import check_lives, random_life, take_steps
from tests.sizes import and_long
from tests.stage2_ledger.scenes import (PolitePeer, add_linked_peer, balances, calls_of, errors, ledger_of,
                                        transaction_id)
from tests.stage3_signed.scenes import (FORGERIES, NODE_KEY, OTHER, OWNER, Forgery, canonical_bytes, founded_world,
                                        sign_with, signed, unsigned)

PING = {"type": "ping", "nonce": "end"}
PONG = {"type": "pong", "nonce": "end"}
SOME_FORGERIES = ["amount changed", "signed by another key", "s + n", "garbage", "from a name", "to a name"]


def fingerprint(account: str) -> str:
    """The fingerprint, made from contract §4 and not by the code under test."""
    return hashlib.sha256(base64.b64decode(account)).hexdigest()[:16]


def invalid_copy(message: Event) -> Event:
    """The same transaction with an invalid signature."""
    return {**message, "signature": OTHER.sign(b"something else")}


# --- what is signed ---------------------------------------------------------------------------------

@pytest.mark.parametrize("amount", [0, 5, 2**53 - 1])
def test_what_is_signed_are_the_canonical_bytes(amount: int, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = founded_world()[1]
    signed_bytes = note_signed(monkeypatch)
    message = alice.signed_message(OWNER, OTHER.account, amount)
    assert signed_bytes == [canonical_bytes(alice.network_name, message)]
    assert message["signature"] == OWNER.sign(canonical_bytes(alice.network_name, message))


# --- what is accepted -------------------------------------------------------------------------------

def test_a_transaction_signed_by_its_owner_is_applied_and_forwarded_once() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice), add_linked_peer(world, alice)
    message = signed(alice.network_name, amount=5)
    one.send(message, message)
    world.settle()
    two.send(message)
    world.settle()
    assert one.news() == [] and two.news() == [message]
    assert ledger_of(world, alice) == {OWNER.account: -5, OTHER.account: 5}
    assert list(alice.transactions) == [transaction_id(alice.network_name, message)]


@pytest.mark.parametrize("amount", [0, 2**53 - 1])
@pytest.mark.parametrize("receiver", [OTHER.account, OWNER.account, NODE_KEY.account,
                                      encode_base64(der_of(odd_number(4096)))],
                         ids=["other", "itself", "the node", "4,096 bits"])
def test_extreme_amounts_and_receivers_are_accepted(amount: int, receiver: str) -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    peer.send(signed(alice.network_name, receiver=receiver, amount=amount))
    world.settle()
    assert len(alice.transactions) == 1 and errors(world, alice) == []
    assert sum(ledger_of(world, alice).values()) == 0


def test_a_key_of_three_thousand_bits_is_an_account_too() -> None:
    account, sign = account_of(*(int(kept_key(number).key.p) for number in (1, 2, 3)))
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    peer.send(sign_with(sign, alice.network_name, unsigned(sender=account, amount=3)))
    world.settle()
    assert ledger_of(world, alice) == {account: -3, OTHER.account: 3}


def test_overdrafts_are_allowed() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    alice.on_line(f"/send {OTHER.account} 1000000")
    peer.send(signed(alice.network_name, OTHER, receiver=OWNER.account, amount=2_000_000))
    world.settle()
    assert ledger_of(world, alice) == {NODE_KEY.account: -1_000_000, OTHER.account: -1_000_000,
                                       OWNER.account: 2_000_000}
    assert errors(world, alice) == []


def test_equal_contents_are_two_transactions() -> None:
    world, alice = founded_world()
    alice.on_line(f"/send {OTHER.account} 1")
    alice.on_line(f"/send {OTHER.account} 1")
    assert len(alice.transactions) == 2 and ledger_of(world, alice)[OTHER.account] == 2


# --- what is refused --------------------------------------------------------------------------------

@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forgery_is_refused_not_forwarded_and_counted(forge: Forgery) -> None:
    world, alice = founded_world()
    bad, good = add_linked_peer(world, alice), add_linked_peer(world, alice)
    forgery = forge(alice.network_name)
    bad.send(*[forgery] * 9, PING)
    world.settle()
    assert bad.news() == [PONG] and good.news() == []
    assert not bad.is_closed and errors(world, alice) == ["INVALID"], "at most one line about it"
    bad.send(forgery, signed(alice.network_name))
    world.settle()
    assert [(message["type"], message["code"]) for message in bad.news()] == [("error", "INVALID")]
    assert bad.is_closed
    assert alice.transactions == {} and ledger_of(world, alice) == {}
    genuine = signed(alice.network_name)
    bad_ids = [transaction_id(alice.network_name, forgery)]
    good.send({"type": "want", "ids": bad_ids}, genuine, PING)
    world.settle()
    assert good.news() == [PONG]
    assert ledger_of(world, alice) == balances([genuine])


def test_the_forgeries_are_what_they_are_called() -> None:
    """Made in the same way, genuine ones are accepted. And "s + n" is a genuine signature plus the modulus."""
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    peer.send(*(signed(alice.network_name) for _ in range(3)),
              sign_with(OWNER.sign, alice.network_name, unsigned(sender=OWNER.account)))
    world.settle()
    assert len(alice.transactions) == 4
    forgery = FORGERIES["s + n"](alice.network_name)
    number = int.from_bytes(base64.b64decode(forgery["signature"]), "big")
    back = encode_base64((number - int(OWNER.key.n)).to_bytes(256, "big"))
    verify(OWNER.account, canonical_bytes(alice.network_name, forgery), back)


def test_a_peer_that_sent_ten_invalid_ones_is_not_called_again_and_others_are_not_blamed() -> None:
    world, alice = founded_world()
    nine, ten = add_linked_peer(world, alice), add_linked_peer(world, alice)
    calls = calls_of(world, alice)
    for number in range(19):
        (nine if number % 2 else ten).send(FORGERIES["amount changed"](alice.network_name))
    world.run(1.0)
    assert not nine.is_closed and ten.is_closed, "one has sent ten, the other nine"
    world.run(15.0)
    assert [address for _, address in calls] == [nine.address], "it has one link less, and calls the other peer back"


@pytest.mark.parametrize("name", SOME_FORGERIES)
def test_a_forgery_that_the_node_itself_asked_for_is_refused_too(name: str) -> None:
    world, alice = founded_world()
    liar, honest = add_linked_peer(world, alice), add_linked_peer(world, alice)
    genuine = signed(alice.network_name)
    wanted = transaction_id(alice.network_name, genuine)
    liar.send({"type": "inventory", "bucket": wanted[:2], "ids": [wanted]}, invalid_copy(genuine),
              FORGERIES[name](alice.network_name))
    world.settle()
    assert [message["ids"] for message in liar.news("want")] == [[wanted]]
    assert alice.transactions == {} and honest.news() == []
    asked = []
    for _ in range(12):
        world.run(5.0)
        asked += [peer for peer in (liar, honest) for _ in peer.news("want")]
    assert honest in asked, "the forged copy was not mistaken for the genuine one"
    honest.send(genuine)
    world.settle()
    assert list(alice.transactions) == [wanted] and len(liar.news("transaction")) == 1


# --- copies -----------------------------------------------------------------------------------------

def test_a_forged_copy_does_not_keep_out_the_genuine_one() -> None:
    world, alice = founded_world()
    bad, good, watcher = (add_linked_peer(world, alice) for _ in range(3))
    genuine = signed(alice.network_name)
    bad.send(invalid_copy(genuine), invalid_copy(genuine))
    good.send(genuine)
    world.settle()
    assert watcher.news() == [genuine] and ledger_of(world, alice) == balances([genuine])


def test_a_badly_signed_copy_of_a_known_one_counts_every_time_and_a_repeat_never() -> None:
    world, alice = founded_world()
    bad, good = add_linked_peer(world, alice), add_linked_peer(world, alice)
    genuine = signed(alice.network_name)
    good.send(genuine)
    world.settle()
    bad.news()
    for _ in range(9):
        bad.send(invalid_copy(genuine))
    bad.send(*[genuine] * 20)
    for indent in range(20):
        bad.send_body(json.dumps(genuine, indent=indent).encode())
    bad.send(PING)
    world.settle()
    assert bad.news() == [PONG] and not bad.is_closed
    bad.send(invalid_copy(genuine))
    world.settle()
    assert [message["code"] for message in bad.news("error")] == ["INVALID"] and bad.is_closed
    assert good.news() == [] and ledger_of(world, alice) == balances([genuine])


def test_a_repeat_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    verified: list[str] = []
    monkeypatch.setattr(stage3_signed.node, "verify", lambda *arguments: verified.append(arguments[0]))
    genuine = signed(alice.network_name)
    peer.send(genuine, genuine)
    peer.send_body(json.dumps(genuine, indent=2).encode())
    world.settle()
    assert len(verified) == 1


def test_a_transaction_of_one_network_is_invalid_in_another() -> None:
    (world, alice), (other_world, carol) = founded_world(1), founded_world(2)
    assert alice.network_name != carol.network_name
    peer, other_peer = add_linked_peer(world, alice), add_linked_peer(other_world, carol)
    alice.on_line(f"/send {OTHER.account} 5")
    world.settle()
    [message] = peer.news("transaction")
    other_peer.send(message)
    other_world.settle()
    assert errors(other_world, carol) == ["INVALID"] and ledger_of(other_world, carol) == {}


# --- form -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("changes", [
    {"signature": ...}, {"signature": 1}, {"signature": None}, {"signature": ["x"]}, {"signature": "\ud800"},
    {"from": 1}, {"to": None}, {"to": "\udfff"}, {"amount": -1}, {"amount": 2**53}, {"amount": 1.0}, {"amount": True},
    {"nonce": "g" * 32}, {"nonce": "A" * 32}, {"id": "0" * 64}], ids=str)
def test_a_wrong_form_is_format(changes: dict[str, Any]) -> None:
    world, alice = founded_world()
    bad, good = add_linked_peer(world, alice), add_linked_peer(world, alice)
    message = {**signed(alice.network_name), **changes}
    bad.send_body(json.dumps({name: value for name, value in message.items() if value is not ...}).encode())
    world.settle()
    assert [(one["type"], one["code"]) for one in bad.news()] == [("error", "FORMAT")] and bad.is_closed
    assert good.news() == [] and alice.transactions == {}


# --- what is typed ----------------------------------------------------------------------------------

def twin_accounts() -> tuple[str, str]:
    """Two accounts whose fingerprints begin with the same four digits."""
    found: dict[str, str] = {}
    base = odd_number(2048)
    for number in range(0, 10_000, 2):
        account = encode_base64(der_of(base ^ number))
        if (prefix := fingerprint(account)[:4]) in found:
            return found[prefix], account
        found[prefix] = account
    raise AssertionError("no two of 5,000 begin alike")


def world_with_accounts(*accounts: str) -> tuple[World, SignedNode, PolitePeer]:
    """A node that has heard of these accounts, and a peer."""
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    peer.send(*(signed(alice.network_name, receiver=account, amount=0) for account in accounts))
    world.settle()
    return world, alice, peer


@pytest.mark.parametrize("digits", range(4, 17))
@pytest.mark.parametrize("account", [OWNER.account, OTHER.account, NODE_KEY.account], ids=["sender", "receiver", "own"])
def test_a_unique_prefix_of_a_fingerprint_names_an_account(account: str, digits: int) -> None:
    world, alice, peer = world_with_accounts(OTHER.account)
    alice.on_line(f"/send {fingerprint(account)[:digits]} 3")
    world.settle()
    [message] = peer.news("transaction")
    assert (message["from"], message["to"], message["amount"]) == (NODE_KEY.account, account, 3)
    verify(NODE_KEY.account, canonical_bytes(alice.network_name, message), message["signature"])


def test_an_ambiguous_prefix_is_refused_and_a_longer_one_accepted() -> None:
    one, two = twin_accounts()
    world, alice, peer = world_with_accounts(one, two)
    common = next(digits for digits in range(17) if fingerprint(one)[:digits + 1] != fingerprint(two)[:digits + 1])
    for digits in range(4, common + 1):
        alice.on_line(f"/send {fingerprint(one)[:digits]} 3")
    assert errors(world, alice) == ["ACCOUNT"] * (common - 3) and common >= 4
    for account in (one, two):
        alice.on_line(f"/send {fingerprint(account)[:common + 1]} 3")
    world.settle()
    assert [message["to"] for message in peer.news("transaction")] == [one, two]


BAD_LINES: dict[str, tuple[Callable[[str], str], str]] = {
    "unknown prefix": (lambda known: "/send 0000 1", "ACCOUNT"),
    "unknown fingerprint": (lambda known: "/send " + "0" * 16 + " 1", "ACCOUNT"),
    "three digits": (lambda known: f"/send {known[:3]} 1", "ACCOUNT"),
    "upper case": (lambda known: f"/send {known.upper()} 1", "ACCOUNT"),
    "not the beginning": (lambda known: f"/send {known[1:7]} 1", "ACCOUNT"),
    "too many digits": (lambda known: f"/send {known}0 1", "ACCOUNT"),
    "a name": (lambda known: "/send bob 1", "ACCOUNT"), "bad bytes": (lambda known: "/send \udcff 1", "ACCOUNT"),
    "a key cut off": (lambda known: f"/send {OTHER.account[:-4]} 1", "ACCOUNT"),
    "a key too short": (lambda known: f"/send {encode_base64(der_of(odd_number(2047)))} 1", "ACCOUNT"),
    "stage 2's form": (lambda known: f"/send {known} {known} 1", "COMMAND"),
    "no amount": (lambda known: f"/send {known}", "COMMAND"), "nothing": (lambda known: "/send", "COMMAND"),
    "amount -1": (lambda known: f"/send {known} -1", "COMMAND"),
    "amount 1.0": (lambda known: f"/send {known} 1.0", "COMMAND"),
    "amount 2^53": (lambda known: f"/send {known} {2**53}", "COMMAND"),
    "--from": (lambda known: f"/send {known} 1 --from 1", "COMMAND"),
    "account of": (lambda known: f"/account {known}", "COMMAND")}


@pytest.mark.parametrize("make_line, code", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_command_that_cannot_be_carried_out_changes_nothing(make_line: Callable[[str], str], code: str) -> None:
    world, alice, peer = world_with_accounts(OTHER.account)
    known = fingerprint(OTHER.account)
    assert known.upper() != known and known[1:7] not in (fingerprint(one)[:6] for one in alice.known_accounts())
    before = ledger_of(world, alice).copy()
    alice.on_line(make_line(known))
    world.settle()
    assert errors(world, alice) == [code]
    assert peer.news() == [] and ledger_of(world, alice) == before and world.reported(alice, "sent") == []
    json.dumps(world.reported(alice, "error"), ensure_ascii=False).encode()  # can be printed


def test_an_account_is_known_only_by_a_valid_transaction() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    peer.send(invalid_copy(signed(alice.network_name)))
    world.settle()
    alice.on_line(f"/send {fingerprint(OTHER.account)} 1")
    assert errors(world, alice) == ["INVALID", "ACCOUNT"]
    alice.on_line(f"/send {OTHER.account} 1")
    alice.on_line(f"/send {fingerprint(OTHER.account)} 1")
    assert ledger_of(world, alice)[OTHER.account] == 2


def test_listening_and_account_name_the_account() -> None:
    world, alice = founded_world()
    [listening] = world.reported(alice, "listening")
    assert listening == {"address": alice.address, "stage": 3, "network": alice.network_name,
                         "account": NODE_KEY.account}
    own = {"account": NODE_KEY.account, "fingerprint": fingerprint(NODE_KEY.account)}
    assert world.ask(alice, "/account", "account") == {**own, "balance": 0}
    alice.on_line(f"/send {OTHER.account} 7")
    assert world.ask(alice, "/account", "account") == {**own, "balance": -7}
    [sent], [applied] = world.reported(alice, "sent"), world.reported(alice, "transaction")
    assert applied == {**sent, "state": "applied"} and sent["id"] in alice.transactions


def test_help_lists_the_commands_of_this_stage() -> None:
    world, alice = founded_world()
    commands = [entry["command"] for entry in world.ask(alice, "/help", "help")["commands"]]
    assert commands == ["/help", "/peers", "/quit", "/send TO AMOUNT", "/ledger", "/account"]


# --- random schedules -------------------------------------------------------------------------------

@pytest.fixture
def remembered_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache the answers of `verify`, so that hundreds of schedules need not compute them again."""
    verdicts: dict[tuple[str, bytes, str], ValueError | None] = {}

    def remember(*question: Any) -> None:
        if question not in verdicts:
            verdicts[question] = None
            try:
                verify(*question)
            except ValueError as error:
                verdicts[question] = error
        if (verdict := verdicts[question]) is not None:
            raise verdict

    monkeypatch.setattr(stage3_signed.node, "verify", remember)


def mixed_life(seed: int, genuine: list[Event], forged: list[Event]) -> None:
    """Nodes join and lose connections while genuine and forged transactions come from everywhere."""
    world, choose = World(1), random.Random(seed)
    nodes: list[SignedNode] = [world.add(SignedNode, None, SignedSetup(key=NODE_KEY))]
    world.random.seed(seed)  # only now, so that the network has the name for which the messages were signed
    for number in range(choose.randint(1, 3)):
        nodes.append(world.add(SignedNode, choose.choice(nodes).address, SignedSetup(key=kept_key(4 + number))))
        world.run(0.5)
    peers = [add_linked_peer(world, choose.choice(nodes)) for _ in range(4)]
    scripted = {peer.address for peer in peers}
    world.is_partitioned = lambda one, other: other in scripted  # the scripted peers would say no hello
    liars, faults, sent = peers[:2], [0, 0], []

    def lie() -> None:
        liar = choose.randrange(2)
        if not liars[liar].is_closed:
            liars[liar].send(choose.choice(forged))
            faults[liar] += 1

    def tell() -> None:
        sent.append(choose.choice(genuine))
        choose.choice(peers[2:]).send(sent[-1])

    def cut() -> None:
        ends = [end for end in world.open_connections()
                if isinstance(end.owner, SignedNode) and isinstance(end.other.owner, SignedNode)]
        for end in choose.sample(ends, min(1, len(ends))):
            world.cut(end)

    random_life(choose, choose.randint(10, 50), {
        0.35: lie, 0.65: tell, 0.7: cut, 1.0: lambda: take_steps(world, choose, 15)})
    world.run(14.0)
    ids = {transaction_id(nodes[0].network_name, message) for message in sent}
    for node in nodes:
        assert node.network_name == nodes[0].network_name
        assert node.transactions.keys() == ids, f"seed {seed}, {node.address}"
        assert ledger_of(world, node) == ledger_of(world, nodes[0]), f"seed {seed}, {node.address}"
    for peer in peers:
        assert all(message in genuine for message in peer.news("transaction")), f"seed {seed}, {peer.address}"
    assert [liar.is_closed for liar in liars] == [count >= 10 for count in faults], f"seed {seed}: {faults}"
    assert not any(peer.is_closed for peer in peers[2:]), f"seed {seed}: an honest one was blamed"


@pytest.mark.parametrize("first_seed", and_long(range(0, 300, 150), range(300, 1_500, 150)))
def test_genuine_transactions_arrive_everywhere_and_forged_ones_nowhere(
    first_seed: int, remembered_verdicts: None) -> None:
    network = founded_world()[1].network_name
    genuine = [signed(network, key, amount=number) for number, key in enumerate([OWNER, OTHER, NODE_KEY] * 4)]
    forged = [invalid_copy(message) for message in genuine] + [FORGERIES[name](network) for name in SOME_FORGERIES]
    check_lives(range(first_seed, first_seed + 150), lambda seed: mixed_life(seed, genuine, forged))


def test_ledgers_are_equal_after_random_payments_by_all_nodes() -> None:
    for seed in range(15):
        world, choose = World(seed), random.Random(seed)
        nodes = [world.add(SignedNode, None, SignedSetup(key=NODE_KEY))]
        nodes += [world.add(SignedNode, nodes[0].address, SignedSetup(key=kept_key(4 + number))) for number in range(3)]
        world.run(1.0)
        expected: dict[str, int] = {}
        for _ in range(15):
            sender, receiver = choose.choice(nodes), choose.choice(nodes)
            sender.on_line(f"/send {receiver.key.account} 2")
            expected[sender.key.account] = expected.get(sender.key.account, 0) - 2
            expected[receiver.key.account] = expected.get(receiver.key.account, 0) + 2
            if choose.random() < 0.3 and world.open_connections():
                world.cut(choose.choice(world.open_connections()))
            world.run(choose.random() * 0.1)
        world.run(20.0)
        for node in nodes:
            assert ledger_of(world, node) == expected, f"seed {seed}, {node.address}"
            assert errors(world, node) == [], f"seed {seed}, {node.address}"
