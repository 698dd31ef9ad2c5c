"""The node of stage 4 in memory: genesis, blocks, execution, catching up, and whole networks at random."""

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

from common.encoding import MAX_INTEGER, decode_base64, encode_base64, encode_frame
from common.journal import Journal
from common.ledger import Transaction
from lab.simulation import World
from stage4_sequencer.node import SequencedNode
from tests.memory import Event, add_stranger
from tests.stage2_ledger.scenes import PolitePeer, add_linked_peer, errors, ledger_of, transaction_id
from tests.stage4_sequencer.scenes import (
    ALICE,
    BOB,
    CAROL,
    GENESIS,
    NETWORK,
    SEQUENCER,
    TOY_KEYS,
    TOY_SEQUENCER,
    add_founder_peer,
    block_id,
    blocks_of,
    canonical,
    chain_of,
    execute_naively,
    followed_world,
    founded_world,
    genesis_id,
    id_of,
    ids_of,
    no_key,
    note_arrivals,
    signed_block,
    signed_transaction,
    starting_balances,
    states_of,
    status_of,
    tell,
    toy_signatures,
)

STAGE = 4
PING = {"type": "ping", "nonce": "end"}


def some_accounts(count: int) -> list[str]:
    """Different accounts that look like keys: nobody knows their factors, and no node asks."""
    key = decode_base64(BOB.account)
    return [encode_base64(key[:100] + number.to_bytes(2, "big") + key[102:]) for number in range(count)]


def add_node(world: World, peer: SequencedNode, key: Any = CAROL) -> SequencedNode:
    """A node that joins by `peer`."""
    return world.add(SequencedNode, peer.address, key, no_key)


def assert_took(world: World, node: SequencedNode, chain: list[Event], transactions: list[Event]) -> None:
    """Has `node` executed exactly these blocks, with these transactions in this order?"""
    assert blocks_of(world, node) == [block_id(block) for block in chain]
    assert ledger_of(world, node) == execute_naively(starting_balances(), transactions)


# --- founding and the genesis -----------------------------------------------------------------------

def test_a_founder_starts_with_a_million_in_a_network_named_by_its_genesis() -> None:
    world, founder = founded_world(interval_ms=1_234)
    assert [event["event"] for event in world.networks[founder.address].reported] == ["founded", "listening"]
    assert ledger_of(world, founder) == {ALICE.account: 1_000_000}
    stranger = add_linked_peer(world, founder, PolitePeer)
    assert world.ask(founder, "/status", "status") == {"peers": 1, "next": 0, "pending": 0}
    assert stranger.connection is not None
    [listening] = world.reported(founder, "listening")
    assert listening == {"address": founder.address, "stage": 4, "network": founder.network_name,
                         "account": ALICE.account}


@pytest.mark.parametrize("is_joined", [False, True], ids=["founder", "joined node"])
def test_the_genesis_comes_right_after_the_hello(is_joined: bool) -> None:
    world, node = founded_world(interval_ms=1_234)
    node.on_line("said before")
    if is_joined:
        node = add_node(world, node)
        world.run(1.0)
    stranger = add_stranger(world, node, STAGE)
    stranger.send(stranger.hello_message(None))
    world.settle()
    hello, genesis = stranger.received[:2]
    assert hello["type"] == "hello" and genesis["type"] == "genesis"
    assert genesis.keys() == GENESIS.keys()
    assert genesis_id(genesis) == hello["network"] == node.network_name
    assert (genesis["sequencer"], genesis["interval_ms"]) == (SEQUENCER.account, 1_234)
    assert (genesis["accounts"], genesis["balances"]) == ([ALICE.account], [1_000_000])
    assert stranger.messages("chat") and stranger.messages("height")


def test_two_founders_with_the_same_keys_have_different_networks() -> None:
    assert founded_world(seed=1)[1].network_name != founded_world(seed=2)[1].network_name


def test_a_joining_node_takes_the_genesis_whose_id_is_the_network_of_the_hello() -> None:
    world, node, peer = followed_world()
    assert world.reported(node, "joined") == [{"peer": peer.address}]
    assert world.reported(node, "founded") == []
    assert ledger_of(world, node) == {ALICE.account: 100, BOB.account: 50}


@pytest.mark.parametrize("genesis, network", [
    ({**GENESIS, "nonce": "1" * 32}, NETWORK),
    ({**GENESIS, "balances": [101, 50]}, NETWORK),
    (GENESIS, "ab" * 32), (GENESIS, "0" * 32)])
def test_a_joining_node_takes_no_other_genesis(genesis: Event, network: str) -> None:
    world = World(1)
    peer = add_founder_peer(world, genesis, network=network)
    node = world.add(SequencedNode, peer.address, ALICE, lambda: SEQUENCER)
    world.run(5.1)
    assert world.reported(node, "joined") == [] and len(world.reported(node, "founded")) == 1
    assert "NETWORK" in errors(world, node) and peer.is_closed
    assert node.network_name not in (NETWORK, network, genesis_id(genesis))
    assert ledger_of(world, node) == {ALICE.account: 1_000_000}


OUT_OF_RANGE: list[dict[str, Any]] = [
    {"interval_ms": 0}, {"interval_ms": 3_600_001}, {"interval_ms": -1}, {"interval_ms": 1.5}, {"interval_ms": True},
    {"interval_ms": "10000"}, {"nonce": "0" * 31}, {"nonce": "G" * 32}, {"sequencer": None}, {"sequencer": 1},
    {"accounts": [], "balances": []}, {"accounts": [ALICE.account], "balances": [1, 1]}, {"balances": [150]},
    {"accounts": [ALICE.account, ALICE.account]}, {"balances": [0, 0]}, {"balances": [MAX_INTEGER, 1]},
    {"balances": [-1, 2]}, {"balances": [True, 1]}, {"balances": ["1", 1]}, {"accounts": [ALICE.account, 1]},
    {"accounts": "ab"}, {"balances": None}, {"extra": 1},
    {"accounts": some_accounts(101), "balances": [1] * 101}]


@pytest.mark.parametrize("change", OUT_OF_RANGE, ids=lambda change: json.dumps(change)[:40])
def test_a_genesis_out_of_its_ranges_is_a_format_error(change: dict[str, Any]) -> None:
    """Also where its id is the network's, and where it comes to a node that has long joined."""
    world, linked, peer = followed_world()
    tell(world, peer, {**GENESIS, **change})
    assert errors(world, linked) == ["FORMAT"]
    assert peer.is_closed and [error["code"] for error in peer.messages("error")] == ["FORMAT"]
    liar = add_founder_peer(world, {**GENESIS, **change})
    joining = world.add(SequencedNode, liar.address, ALICE, lambda: SEQUENCER)
    world.run(1.0)
    assert errors(world, joining) == ["FORMAT", "NETWORK"] and world.reported(joining, "joined") == []
    assert [error["code"] for error in liar.messages("error")] == ["FORMAT"]


@pytest.mark.parametrize("missing", sorted(GENESIS.keys() - {"type"}))
def test_a_genesis_that_lacks_a_member_is_a_format_error(missing: str) -> None:
    world, node, peer = followed_world()
    tell(world, peer, {name: value for name, value in GENESIS.items() if name != missing})
    assert errors(world, node) == ["FORMAT"] and peer.is_closed


@pytest.mark.parametrize("change", [
    {"interval_ms": 1}, {"interval_ms": 3_600_000}, {"balances": [0, 1]}, {"balances": [MAX_INTEGER, 0]},
    {"accounts": some_accounts(100), "balances": [1] * 100}, {"sequencer": ALICE.account}],
    ids=lambda change: json.dumps(change)[:40])
def test_a_genesis_at_the_edge_of_its_ranges_is_taken(change: dict[str, Any]) -> None:
    genesis = {**GENESIS, **change}
    world, node, peer = followed_world(key=CAROL, genesis=genesis)
    assert errors(world, node) == [] and not peer.is_closed
    assert ledger_of(world, node) == starting_balances(genesis)


NO_KEY = encode_base64(decode_base64(BOB.account)[:-1] + b"\x03")


@pytest.mark.parametrize("change", [{"sequencer": ""}, {"sequencer": NO_KEY}, {"sequencer": SEQUENCER.account + "\n"},
                                    {"accounts": [ALICE.account, "bob"]}, {"accounts": [NO_KEY, ALICE.account]}],
                         ids=["empty", "exponent 3", "line end", "a name", "first account"])
def test_a_genesis_with_a_bad_key_is_invalid_and_the_tenth_closes(change: dict[str, Any]) -> None:
    world, linked, peer = followed_world()
    tell(world, peer, *[{**GENESIS, **change}] * 9)
    assert errors(world, linked) == ["INVALID"] and not peer.is_closed
    tell(world, peer, {**GENESIS, **change})
    assert peer.is_closed and [error["code"] for error in peer.messages("error")] == ["INVALID"]
    liar = add_founder_peer(world, {**GENESIS, **change})
    joining = world.add(SequencedNode, liar.address, ALICE, lambda: SEQUENCER)
    world.run(5.1)
    assert errors(world, joining) == ["INVALID", "NETWORK"]
    assert len(world.reported(joining, "founded")) == 1 and liar.is_closed


def test_the_genesis_of_another_network_is_invalid_and_changes_nothing() -> None:
    world, node, peer = followed_world()
    tell(world, peer, *[{**GENESIS, "sequencer": ALICE.account, "balances": [1, 1]}] * 9, *[GENESIS] * 20)
    assert errors(world, node) == ["INVALID"] and not peer.is_closed
    assert ledger_of(world, node) == starting_balances()
    tell(world, peer, signed_block(0, [], ALICE))
    assert peer.is_closed and status_of(world, node) == (0, 0), "the sequencer's key is not replaced by a message"


@pytest.mark.parametrize("says_hello", [False, True])
def test_no_genesis_within_five_seconds_is_nobody(says_hello: bool) -> None:
    world = World(1)
    peer = world.add(PolitePeer, None, STAGE)
    peer.says_on_open = [peer.hello_message(NETWORK)] if says_hello else []
    node = world.add(SequencedNode, peer.address, ALICE, lambda: SEQUENCER)
    world.run(4.9)
    assert node.network_name is None and not world.networks[node.address].is_reading
    world.run(0.2)
    assert errors(world, node)[-1] == "NETWORK" and len(world.reported(node, "founded")) == 1
    assert peer.is_closed
    world.run(60.0)
    assert len(peer.messages("hello")) == 1, "it is not called again"


@pytest.mark.parametrize("message", [PING, {"type": "height", "number": 3}, {"type": "get_peers"}, signed_block(0, [])])
def test_before_the_genesis_comes_nothing_else(message: Event) -> None:
    world = World(1)
    peer = world.add(PolitePeer, None, STAGE)
    peer.says_on_open = [peer.hello_message(NETWORK), message, GENESIS]
    node = world.add(SequencedNode, peer.address, ALICE, lambda: SEQUENCER)
    world.run(1.0)
    assert [error["code"] for error in peer.messages("error")] == ["HANDSHAKE"]
    assert errors(world, node) == ["HANDSHAKE", "NETWORK"] and node.network_name != NETWORK


@pytest.mark.parametrize("change", [{}, {"interval_ms": 0}, {"sequencer": "nobody"}])
def test_a_genesis_before_the_hello_is_a_handshake_error(change: dict[str, Any]) -> None:
    world = World(1)
    peer = world.add(PolitePeer, None, STAGE)
    peer.says_on_open = [{**GENESIS, **change}, peer.hello_message(NETWORK)]
    node = world.add(SequencedNode, peer.address, ALICE, lambda: SEQUENCER)
    world.run(1.0)
    assert [error["code"] for error in peer.messages("error")] == ["HANDSHAKE"]
    assert node.network_name != NETWORK


def test_while_joining_the_genesis_is_taken_from_the_peer_called_only() -> None:
    world = World(1)
    silent = world.add(PolitePeer, None, STAGE)
    node = world.add(SequencedNode, silent.address, ALICE, lambda: SEQUENCER)
    caller = add_stranger(world, node, STAGE)
    tell(world, caller, caller.hello_message(NETWORK), GENESIS)
    assert [error["code"] for error in caller.messages("error")] == ["HANDSHAKE"] and caller.is_closed
    assert node.network_name is None
    tell(world, silent, silent.hello_message(NETWORK), GENESIS)
    assert node.network_name == NETWORK


def test_network_joins_the_one_that_is_wanted() -> None:
    world, founder = founded_world()
    node = world.add(SequencedNode, founder.address, BOB, no_key, 10_000, founder.network_name)
    world.run(1.0)
    assert len(world.reported(node, "joined")) == 1 and errors(world, node) == []
    assert ledger_of(world, node) == ledger_of(world, founder)


@pytest.mark.parametrize("what", ["another network", "nobody there", "silence", "none", "another genesis"])
def test_network_joins_and_founds_nothing_else(what: str) -> None:
    world, founder = founded_world()
    silent = world.add(PolitePeer, None, STAGE)
    liar = add_founder_peer(world, {**GENESIS, "nonce": "1" * 32}, network=NETWORK)
    peer = {"another network": founder.address, "nobody there": "nobody:1", "silence": silent.address,
            "none": None, "another genesis": liar.address}[what]
    node = world.add(SequencedNode, peer, BOB, no_key, 10_000, NETWORK)
    world.run(5.1)
    assert not world.networks[node.address].is_running
    assert errors(world, node)[-1] == "NETWORK"
    assert world.reported(node, "founded") == world.reported(node, "joined") == []
    assert world.reported(node, "listening") == []


# --- the sequencer ----------------------------------------------------------------------------------

def test_no_transactions_no_block_and_no_number_used_up() -> None:
    world, founder = founded_world()
    peer = add_linked_peer(world, founder)
    world.run(35.0)
    assert peer.news("block") == [] and status_of(world, founder) == (0, 0)
    founder.on_line(f"/send {BOB.account} 1")
    world.run(10.0)
    assert [block["number"] for block in peer.news("block")] == [0]


def test_once_an_interval_comes_a_block_numbered_from_0_and_signed() -> None:
    world, founder = founded_world()
    peer = add_linked_peer(world, founder)
    for number in range(3):
        world.run(1.0)
        founder.on_line(f"/send {BOB.account} {number + 1}")
        sent = world.reported(founder, "sent")[-1]["id"]
        world.run(8.9)
        assert peer.news("block") == [], "not before the interval is over"
        world.run(0.1)
        assert peer.news("block") == [signed_block(number, [sent], SEQUENCER, founder.network_name)]
        assert status_of(world, founder) == (number + 1, 0)


def test_the_order_is_that_of_arrival_at_the_sequencer_its_own_among_them() -> None:
    with toy_signatures():
        world, founder = founded_world(key=TOY_KEYS[0], sequencer=TOY_SEQUENCER)
        peers = [add_linked_peer(world, founder) for _ in range(3)]
        arrivals = note_arrivals(founder)
        choose = random.Random(1)
        for _ in range(60):
            if choose.random() < 0.3:
                founder.on_line(f"/send {TOY_KEYS[1].account} 1")
            else:
                tell(world, choose.choice(peers), signed_transaction(TOY_KEYS[1], TOY_KEYS[2], 0, founder.network_name))
        world.run(10.1)
        [block] = peers[0].news("block")
        assert len(arrivals) == 60 and block["transactions"] == arrivals
        assert {event["id"] for event in world.reported(founder, "sent")} < set(arrivals)
        assert states_of(world, founder, world.reported(founder, "sent")[0]["id"]) == ["pending", "applied"]


def test_what_is_not_valid_by_itself_is_never_ordered() -> None:
    world, founder = founded_world()
    peer, network = add_linked_peer(world, founder), founder.network_name
    forged = {**signed_transaction(BOB, CAROL, 0, network), "amount": 1}
    foreign = signed_transaction(BOB, CAROL, 0)
    good = signed_transaction(BOB, CAROL, 0, network)
    tell(world, peer, forged, foreign, good, forged, good)
    world.run(10.1)
    assert [block["transactions"] for block in peer.news("block")] == [[transaction_id(network, good)]]


def test_balances_do_not_count_for_being_in_the_pool_or_in_a_block() -> None:
    world, founder = founded_world()
    peer, other = add_linked_peer(world, founder), add_linked_peer(world, founder)
    overdraft = signed_transaction(BOB, CAROL, 1_000, founder.network_name)
    tell(world, peer, overdraft)
    assert other.news("transaction") == [overdraft]
    world.run(10.1)
    [block] = other.news("block")
    assert block["transactions"] == [transaction_id(founder.network_name, overdraft)]


def test_a_block_holds_50_000_transactions_and_the_rest_waits_for_the_next() -> None:
    world, founder = founded_world()
    peer = add_linked_peer(world, founder)
    ids = [f"{number:064x}" for number in range(50_001)]
    for one in ids:  # past the signature, which is not what this is about
        transaction = Transaction(one, ALICE.account, BOB.account, 1)
        founder.keep_transaction(transaction, b"")
        founder.on_new_transaction(transaction)
    world.run(10.1)
    [first] = peer.news("block")
    assert first["transactions"] == ids[:50_000] and status_of(world, founder) == (1, 1)
    world.run(10.0)
    [second] = peer.news("block")
    assert second["transactions"] == ids[50_000:] and status_of(world, founder) == (2, 0)
    assert ledger_of(world, founder)[BOB.account] == 50_001


def test_what_an_unfinished_block_has_ordered_is_not_ordered_again() -> None:
    """As after a crash that took the end of the journal: the sequencer gets its own blocks from others."""
    world, founder = founded_world()
    peer, network = add_linked_peer(world, founder), founder.network_name
    lacking, known, new = (signed_transaction(ALICE, BOB, amount, network) for amount in (1, 2, 4))
    ids = [transaction_id(network, one) for one in (lacking, known, new)]
    tell(world, peer, known, *[signed_block(number, ids[number:number + 1], SEQUENCER, network) for number in (0, 1)])
    world.run(10.1)
    assert status_of(world, founder) == (2, 1) and peer.news("block") == []
    tell(world, peer, new)
    world.run(10.0)
    assert [block["transactions"] for block in peer.news("block")] == [ids[2:]]
    tell(world, peer, lacking)
    assert ledger_of(world, founder)[BOB.account] == 7 and status_of(world, founder) == (3, 0)


# --- which block is accepted ------------------------------------------------------------------------

def bad_blocks() -> dict[str, Event]:
    """Number 0 in ways that do not hold, all well-formed."""
    ids = ["a" * 64, "b" * 64]
    good = signed_block(0, ids)
    return {
        "another signer": signed_block(0, ids, ALICE),
        "another number": {**signed_block(1, ids), "number": 0},
        "another order": {**good, "transactions": ids[::-1]},
        "one id less": {**good, "transactions": ids[:1]},
        "another network": signed_block(0, ids, network="0" * 64),
        "no signature": {**good, "signature": ""},
        "signature in a second encoding": {**good, "signature": good["signature"] + "\n"},
    }


@pytest.mark.parametrize("what", bad_blocks())
def test_a_block_that_the_sequencer_has_not_signed_is_invalid_and_not_forwarded(what: str) -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    tell(world, other, *[bad_blocks()[what]] * 9)
    assert status_of(world, node) == (0, 0) and errors(world, node) == ["INVALID"] and not other.is_closed
    tell(world, other, bad_blocks()[what])
    assert other.is_closed and [error["code"] for error in other.messages("error")] == ["INVALID"]
    assert peer.news("block", "want") == []
    tell(world, peer, signed_block(0, []))
    assert status_of(world, node) == (1, 0), "a forged copy does not shut the genuine one out"


@pytest.mark.parametrize("change", [
    {"number": -1}, {"number": MAX_INTEGER + 1}, {"number": 0.0}, {"number": False}, {"number": None},
    {"transactions": ["a" * 64] * 2}, {"transactions": ["A" * 64]}, {"transactions": ["a" * 63]},
    {"transactions": "a" * 64}, {"signature": None}, {"signature": 1}, {"extra": 0},
    {"transactions": [f"{number:064x}" for number in range(50_001)]}],
    ids=lambda change: json.dumps(change)[:40])
def test_a_block_of_the_wrong_form_is_a_format_error(change: dict[str, Any]) -> None:
    world, node, peer = followed_world()
    tell(world, peer, {**signed_block(0, []), **change})
    assert errors(world, node) == ["FORMAT"] and peer.is_closed
    assert status_of(world, node) == (0, 0)


@pytest.mark.parametrize("message", [{"type": "get_blocks"}, {"type": "get_blocks", "from": -1}, {"type": "height"},
                                     {"type": "height", "number": "1"}, {"type": "height", "number": 1, "extra": 1}])
def test_questions_of_the_wrong_form_are_format_errors(message: Event) -> None:
    world, node, peer = followed_world()
    tell(world, peer, message)
    assert errors(world, node) == ["FORMAT"] and peer.is_closed


def test_an_id_in_an_earlier_block_makes_a_block_invalid() -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    paid, more = signed_transaction(ALICE, BOB, 30), signed_transaction(ALICE, BOB, 3)
    again = signed_block(1, ids_of([more, paid]))
    tell(world, peer, paid, more, signed_block(0, ids_of([paid])), again)
    assert status_of(world, node) == (1, 1) and errors(world, node) == ["INVALID"]
    good = signed_block(1, ids_of([more]))
    tell(world, peer, good)
    assert_took(world, node, [signed_block(0, ids_of([paid])), good], [paid, more])
    assert again not in other.news("block")


def test_an_early_block_with_an_id_of_an_earlier_one_is_not_accepted_either() -> None:
    world, node, peer = followed_world()
    innocent = add_linked_peer(world, node)
    paid = signed_transaction(ALICE, BOB, 30)
    first = signed_block(0, ids_of([paid]))
    tell(world, peer, paid, signed_block(1, ids_of([paid])))
    tell(world, innocent, *[signed_block(0, [], ALICE)] * 9, first)
    assert_took(world, node, [first], [paid])
    assert not innocent.is_closed, "its nine are not ten by what somebody else has sent"
    assert errors(world, node) == ["INVALID", "INVALID"]


def test_a_replayed_block_is_executed_once_and_never_counts() -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    paid = signed_transaction(ALICE, BOB, 30)
    chain = chain_of([[paid], []])
    tell(world, peer, paid, *chain)
    for block in chain * 15:
        other.send(block)
        peer.send_body(json.dumps(dict(reversed(block.items())), indent=1).encode())
    world.settle()
    assert errors(world, node) == [] and not other.is_closed and not peer.is_closed
    assert_took(world, node, chain, [paid])
    assert [block["number"] for block in other.news("block")] == [0, 1], "forwarded once"
    assert [block["number"] for block in world.reported(node, "block")] == [0, 1]


@pytest.mark.parametrize("is_early", [False, True], ids=["accepted", "early"])
def test_a_badly_signed_copy_of_a_known_block_counts_every_time(is_early: bool) -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    block = signed_block(int(is_early), [])
    forged = {**block, "signature": signed_block(7, [])["signature"]}
    tell(world, other, block, *[block, forged] * 9)
    assert not other.is_closed and errors(world, node) == ["INVALID"]
    tell(world, other, forged)
    assert other.is_closed and world.reported(node, "equivocation") == []
    assert forged not in peer.news("block")


def test_a_block_is_forwarded_once_accepted_as_the_bytes_that_came() -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    frames: list[bytes] = []
    other.on_frame = lambda connection, frame: frames.append(frame)
    block = signed_block(0, [])
    body = json.dumps(dict(reversed(block.items())), indent=2).encode()
    peer.send_body(body)
    world.settle()
    assert [frame[4:] for frame in frames if b"block" in frame] == [body]
    assert peer.news("block") == [], "not to where it came from"


# --- early blocks -----------------------------------------------------------------------------------

def test_early_blocks_wait_for_their_turn() -> None:
    choose = random.Random(4)
    batches = [[signed_transaction(ALICE, BOB, 30)], [], [signed_transaction(BOB, CAROL, 75)],
               [signed_transaction(CAROL, ALICE, 70)]]
    chain = chain_of(batches)
    for seed in range(30):
        world, node, peer = followed_world(seed)
        messages = [*itertools.chain(*batches), *chain]
        choose.shuffle(messages)
        for position, message in enumerate(messages):
            tell(world, peer, message)
            came = [block for block in messages[:position + 1] if block["type"] == "block"]
            in_turn = next(number for number in range(5) if number == 4 or chain[number] not in came)
            assert status_of(world, node)[0] == in_turn, f"seed {seed}"
        assert_took(world, node, chain, list(itertools.chain(*batches)))
        assert errors(world, node) == []


@toy_signatures()
def test_a_thousand_early_blocks_are_kept_and_no_more() -> None:
    world, node, peer = followed_world()
    chain = chain_of([[] for _ in range(1_003)], TOY_SEQUENCER)
    silent = add_linked_peer(world, node)
    tell(world, silent, *chain[1:])
    assert status_of(world, node) == (0, 0) and errors(world, node) == []
    world.kill(silent)
    world.settle()
    tell(world, peer, chain[0])
    assert status_of(world, node) == (1_001, 0)
    tell(world, peer, *chain)
    assert status_of(world, node) == (1_003, 0)


def test_early_blocks_name_so_many_transactions_together_and_what_had_no_room_comes_again(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage4_sequencer.node.MAX_WAITING_IDS", 5)
    world, node, _ = followed_world()
    holder = add_linked_peer(world, node, ChainPeer)
    ids = [f"{number:064x}" for number in range(13)]
    chain = [signed_block(0, []), signed_block(1, ids[:6]), signed_block(2, ids[6:9]), signed_block(3, ids[9:11]),
             signed_block(4, ids[11:12])]
    tell(world, holder, chain[2], chain[4], chain[3])
    assert list(node.early) == [2, 4], "3 would be one too many"
    holder.chain = chain
    tell(world, holder, {"type": "height", "number": 5})
    assert status_of(world, node) == (5, 0) and not node.early
    tell(world, holder, signed_block(6, ids[:6]), signed_block(7, ids[12:]))
    assert list(node.early) == [6], "one may always wait"


def test_an_early_block_makes_the_node_ask_for_those_before_it() -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    chain = chain_of([[]] * 6)
    tell(world, peer, chain[0])
    other.news()
    tell(world, other, chain[3], chain[5], chain[2])
    questions = other.news("get_blocks", "block")
    assert questions[0] == {"type": "get_blocks", "from": 1} and peer.news("get_blocks") == []
    assert [one for one in questions if one["type"] == "block"] == [], "not forwarded before its turn"
    tell(world, other, chain[1], chain[4])
    assert status_of(world, node) == (6, 0)
    assert [block["number"] for block in peer.news("block")] == [1, 2, 3, 4, 5], "forwarded in order"


# --- catching up ------------------------------------------------------------------------------------

def heights(messages: list[Event]) -> list[int]:
    """The numbers of the `height` messages."""
    return [message["number"] for message in messages if message["type"] == "height"]


def test_height_is_told_after_the_handshake_and_every_five_seconds() -> None:
    world, node, peer = followed_world()
    tell(world, peer, *chain_of([[], [], []]))
    stranger = add_stranger(world, node, STAGE)
    tell(world, stranger, stranger.hello_message(NETWORK))
    assert heights(stranger.received) == [3]
    world.kill(stranger)
    world.settle()
    peer.news()
    told = []
    for _ in range(4):
        world.run(5.0)
        told.append(heights(peer.news()))
    assert told == [[3]] * 4


def test_of_two_neighbours_the_one_that_is_behind_asks() -> None:
    world, _, peer = followed_world()
    chain = chain_of([[]] * 4)
    tell(world, peer, *chain[:2])
    peer.news()
    tell(world, peer, {"type": "height", "number": 2})
    assert peer.news("height", "get_blocks") == [], "equal: nothing to say"
    tell(world, peer, {"type": "height", "number": 1})
    assert peer.news("height", "get_blocks") == [{"type": "height", "number": 2}], "ahead: so that the other asks"
    tell(world, peer, {"type": "get_blocks", "from": 1}, {"type": "get_blocks", "from": 0},
         {"type": "get_blocks", "from": 2}, {"type": "get_blocks", "from": MAX_INTEGER})
    assert peer.news("block") == [chain[1], *chain[:2]]
    tell(world, peer, {"type": "height", "number": 4})
    assert peer.news("height", "get_blocks")[0] == {"type": "get_blocks", "from": 2}, "behind: asks"


def test_blocks_are_told_of_and_handed_on_before_they_are_executed() -> None:
    """Or one transaction that nobody has would also keep the blocks behind it from spreading."""
    world, node, peer = followed_world()
    chain = chain_of([[signed_transaction(ALICE, BOB, 1)], []])
    tell(world, peer, *chain)
    stranger = add_stranger(world, node, STAGE)
    tell(world, stranger, stranger.hello_message(NETWORK), {"type": "get_blocks", "from": 0})
    assert blocks_of(world, node) == []
    assert heights(stranger.received) == [2] and stranger.messages("block") == chain


class ChainPeer(PolitePeer):
    """Answers `get_blocks` from a list, a few blocks at a time."""

    chain: list[Event] = []
    answer = 3

    def on_frame(self, connection: Any, frame: bytes) -> None:
        """Answer, and only then the ping behind the question."""
        message = json.loads(frame[4:])
        if message["type"] == "get_blocks":
            self.send(*self.chain[message["from"]:message["from"] + self.answer])
        super().on_frame(connection, frame)


def test_it_asks_on_as_soon_as_an_answer_is_handled_until_it_has_caught_up() -> None:
    world, node, _ = followed_world()
    chain_peer = add_linked_peer(world, node, ChainPeer)
    chain_peer.chain = chain_of([[]] * 10)
    tell(world, chain_peer, {"type": "height", "number": 10})
    assert status_of(world, node) == (10, 0)
    assert [message["from"] for message in chain_peer.news("get_blocks")] == [0, 3, 6, 9]


def test_an_answer_that_brings_nothing_ends_the_asking_until_the_next_height() -> None:
    world, node, _ = followed_world()
    liar = add_linked_peer(world, node, ChainPeer)
    for _ in range(2):
        tell(world, liar, {"type": "height", "number": 1_000})
        assert [message["from"] for message in liar.news("get_blocks")] == [0]


def test_one_question_at_a_time() -> None:
    world, _, peer = followed_world()
    peer.on_frame = lambda connection, frame: (  # type: ignore[method-assign]
        peer.received.append(json.loads(frame[4:])))  # leaves pings without an answer
    tell(world, peer, *[{"type": "height", "number": 7}] * 5, *chain_of([[]] * 7)[2:5])
    assert peer.news("get_blocks") == [{"type": "get_blocks", "from": 0}]
    tell(world, peer, *chain_of([[]] * 3), {"type": "pong", "nonce": "blocks"})
    assert peer.news("get_blocks") == [{"type": "get_blocks", "from": 5}]


@toy_signatures()
def test_an_answer_has_at_most_500_blocks() -> None:
    world, node, peer = followed_world()
    chain = chain_of([[]] * 503, TOY_SEQUENCER)
    tell(world, peer, *chain)
    other = add_linked_peer(world, node)
    for start, numbers in ((0, range(500)), (2, range(2, 502)), (3, range(3, 503)), (4, range(4, 503))):
        tell(world, other, {"type": "get_blocks", "from": start})
        assert [block["number"] for block in other.news("block")] == list(numbers)


def test_an_answer_ends_with_the_block_that_passes_16_mebibytes() -> None:
    world, node, peer = followed_world()
    frame = encode_frame({"type": "block", "padding": "x" * (3 * 2**20)})
    node.send_blocks(next(iter(node.links)), [frame] * 10)
    world.settle()
    assert len(peer.news("block")) == 6


@toy_signatures()
def test_a_late_joiner_catches_up_with_hundreds_of_blocks() -> None:
    world, founder = founded_world(interval_ms=100, key=TOY_KEYS[0], sequencer=TOY_SEQUENCER)
    for number in range(1_201):
        founder.on_line(f"/send {TOY_KEYS[number % 5].account} {number % 7}")
        world.run(0.1)
    assert status_of(world, founder) == (1_201, 0)
    questions: list[int] = []
    answer = founder.on_get_blocks

    def note_and_answer(connection: Any, message: Event, frame: bytes) -> None:
        questions.append(message["from"])
        answer(connection, message, frame)

    founder.on_get_blocks = note_and_answer  # type: ignore[method-assign]
    late = add_node(world, founder, TOY_KEYS[5])
    world.run(0.2)
    assert questions == [0, 500, 1_000], "at once, not one answer every five seconds"
    world.run(10.0)
    assert blocks_of(world, late) == blocks_of(world, founder) and status_of(world, late) == (1_201, 0)
    assert ledger_of(world, late) == ledger_of(world, founder)


def test_what_was_missed_while_cut_off_is_fetched_without_new_blocks() -> None:
    world, founder = founded_world(interval_ms=1_000)
    node = add_node(world, founder)
    world.run(1.0)
    world.part({node.address})
    for _ in range(5):
        founder.on_line(f"/send {CAROL.account} 10")
        world.run(1.0)
    assert status_of(world, node) == (0, 0)
    world.heal()
    world.run(40.0)
    assert blocks_of(world, node) == blocks_of(world, founder) != []
    assert ledger_of(world, node) == ledger_of(world, founder)


# --- execution --------------------------------------------------------------------------------------

def test_a_block_takes_effect_once_all_its_transactions_are_known_and_so_do_those_behind_it() -> None:
    world, node, peer = followed_world()
    one, two, three = (signed_transaction(ALICE, BOB, amount) for amount in (1, 2, 4))
    chain = chain_of([[one, two], [three]])
    tell(world, peer, three, one, *chain)
    assert status_of(world, node)[0] == 2, "accepted"
    assert_took(world, node, [], [])
    assert world.reported(node, "block") == []
    assert [message["ids"] for message in peer.news("want")] == [[id_of(two)]]
    tell(world, peer, two)
    assert_took(world, node, chain, [one, two, three])
    assert world.reported(node, "block") == [
        {"id": block_id(block), "number": number, "transactions": count, "creator": SEQUENCER.account}
        for number, (block, count) in enumerate(zip(chain, (2, 1), strict=True))]
    assert status_of(world, node) == (2, 0)


def test_what_a_block_lacks_is_asked_of_who_sent_it() -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    lacking = [signed_transaction(ALICE, BOB, 1) for _ in range(3)]
    tell(world, other, signed_block(0, ids_of(lacking)))
    assert [message["ids"] for message in other.news("want")] == [ids_of(lacking)]
    assert peer.news("want") == []


@pytest.mark.parametrize("how", ["cut", "silent"])
def test_what_a_block_lacks_is_asked_of_others_if_its_sender_does_not_answer(how: str) -> None:
    world, node, peer = followed_world()
    sender = add_linked_peer(world, node)
    lacking = signed_transaction(ALICE, BOB, 1)
    block = signed_block(0, [id_of(lacking)])
    tell(world, sender, block)
    if how == "cut":
        world.kill(sender)
    world.run(4.0)
    assert peer.news("want") == []
    world.run(60.0)
    wanted = peer.news("want")
    assert wanted and all(message["ids"] == [id_of(lacking)] for message in wanted)
    tell(world, peer, lacking)
    assert_took(world, node, [block], [lacking])


def test_what_a_block_needs_is_asked_for_until_it_comes() -> None:
    """Twenty times is the limit only for what no block needs."""
    world, _, peer = followed_world()
    needed, unneeded = signed_transaction(ALICE, BOB, 1), signed_transaction(ALICE, BOB, 2)
    tell(world, peer, {"type": "inventory", "bucket": id_of(unneeded)[:2], "ids": [id_of(unneeded)]},
         signed_block(0, [id_of(needed)]))
    asked = peer.news("want")
    for _ in range(30):  # the peer must be heard now and then
        world.run(6.0)
        tell(world, peer, PING)
        asked += peer.news("want")
    assert sum(id_of(unneeded) in message["ids"] for message in asked) == 20
    assert sum(id_of(needed) in message["ids"] for message in asked) > 25


@toy_signatures()
def test_a_block_may_lack_more_than_one_question_asks_for() -> None:
    world, founder = founded_world(key=TOY_KEYS[0], sequencer=TOY_SEQUENCER)
    peer = add_linked_peer(world, founder)
    count = 5_500
    peer.send(*[signed_transaction(TOY_KEYS[1], TOY_KEYS[2], 0, founder.network_name) for _ in range(count)])
    world.run(10.1)
    late = add_node(world, founder, TOY_KEYS[3])
    world.run(1.0)
    assert status_of(world, founder) == status_of(world, late) == (1, 0)
    assert world.reported(late, "block")[0]["transactions"] == count


def test_a_block_that_names_another_blocks_id_as_a_transaction_is_never_executed() -> None:
    world, node, peer = followed_world()
    paid = signed_transaction(ALICE, BOB, 1)
    first = signed_block(0, [])
    tell(world, peer, paid, first, signed_block(1, [id_of(paid), block_id(first)]), first, signed_block(2, []))
    assert_took(world, node, [first], [])
    assert status_of(world, node) == (3, 1)


def test_what_waits_in_the_pool_is_the_transaction_that_is_kept_with_its_accounts_only_once() -> None:
    world, node, peer = followed_world()
    paid = [signed_transaction(ALICE, CAROL, 1) for _ in range(2)]
    tell(world, peer, *paid)
    one, two = node.pool.transactions()
    assert one is node.transactions[id_of(paid[0])] and two is node.transactions[id_of(paid[1])]
    assert one.sender is two.sender and one.receiver is two.receiver


def test_overdrafts_are_ignored_for_good_in_the_order_of_the_block() -> None:
    world, node, peer = followed_world()
    too_much = signed_transaction(BOB, CAROL, 51)
    all_of_it = signed_transaction(BOB, CAROL, 50)
    nothing_left = signed_transaction(BOB, ALICE, 1)
    passed_on = signed_transaction(CAROL, ALICE, 50)
    funds = signed_transaction(ALICE, BOB, 150)
    to_itself = signed_transaction(ALICE, ALICE, 151)
    batches = [[too_much, all_of_it, nothing_left, passed_on], [to_itself, funds], []]
    chain = chain_of(batches)
    tell(world, peer, *itertools.chain(*batches), chain[0])
    assert ledger_of(world, node) == {ALICE.account: 150, BOB.account: 0, CAROL.account: 0}
    tell(world, peer, *chain[1:])
    assert ledger_of(world, node) == {ALICE.account: 0, BOB.account: 150, CAROL.account: 0}, "and not later either"
    assert blocks_of(world, node) == [block_id(block) for block in chain] and status_of(world, node) == (3, 0)


def test_money_that_comes_in_the_same_block_counts_only_for_what_stands_behind_it() -> None:
    world, node, peer = followed_world()
    before, paid, after = (signed_transaction(*who) for who in ((CAROL, BOB, 10), (ALICE, CAROL, 10), (CAROL, BOB, 10)))
    tell(world, peer, after, paid, before, signed_block(0, ids_of([before, paid, after])))
    assert ledger_of(world, node) == {ALICE.account: 90, BOB.account: 60, CAROL.account: 0}


def test_an_account_named_only_in_an_ignored_transaction_is_not_in_the_ledger() -> None:
    world, node, peer = followed_world()
    ignored, empty = signed_transaction(BOB, CAROL, 51), signed_transaction(CAROL, SEQUENCER, 0)
    tell(world, peer, ignored, signed_block(0, ids_of([ignored])))
    assert ledger_of(world, node) == starting_balances()
    tell(world, peer, empty, signed_block(1, ids_of([empty])))
    assert ledger_of(world, node) == {**starting_balances(), CAROL.account: 0, SEQUENCER.account: 0}


# --- two blocks with one number ---------------------------------------------------------------------

@pytest.mark.parametrize("is_early", [False, True], ids=["accepted", "early"])
def test_of_two_blocks_with_one_number_the_first_stands_and_both_are_evidence(is_early: bool) -> None:
    world, node, peer = followed_world()
    other, third = add_linked_peer(world, node), add_linked_peer(world, node)
    paid, more = signed_transaction(ALICE, BOB, 30), signed_transaction(ALICE, BOB, 3)
    number = 1 if is_early else 0
    zero = [signed_block(0, [])] * number
    first, second, noise = (signed_block(number, ids_of(ids)) for ids in ([paid], [more], [more, paid]))
    tell(world, peer, paid, more, first)
    peer.news(), other.news(), third.news()
    tell(world, other, second)
    tell(world, peer, second, first)
    tell(world, third, noise, second)
    assert world.reported(node, "equivocation") == [
        {"creator": SEQUENCER.account, "number": number, "ids": [block_id(first), block_id(second)]}]
    assert [json.loads(frame[4:]) for frame in node.evidence[number]] == [first, second]
    assert peer.news("block") == third.news("block") == [second] and other.news("block") == []
    tell(world, peer, *zero, signed_block(number + 1, ids_of([more])))
    assert_took(world, node, [*zero, first, signed_block(number + 1, ids_of([more]))], [paid, more])
    assert errors(world, node) == [], "neither side is to blame for the sequencer"


@pytest.mark.parametrize("is_early", [False, True])
def test_after_a_crash_the_first_of_two_blocks_still_stands_and_both_are_evidence(
        is_early: bool, tmp_path: Path) -> None:
    number = 1 if is_early else 0
    first, second = (signed_block(number, ids) for ids in (["a" * 64], ["b" * 64]))
    for blocks in ([first, second], [second, first]):
        world = World(1)
        peer = add_founder_peer(world)
        node = world.add(SequencedNode, peer.address, ALICE, no_key, 10_000, None, Journal(tmp_path))
        world.run(2.0)
        tell(world, peer, *blocks)
        assert [json.loads(frame[4:]) for frame in node.evidence[number]] == [first, second]
        node.commit()
        node.on_end()
    assert world.reported(node, "equivocation") == [], "it was told before"


def test_a_second_block_that_is_forged_is_no_evidence() -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    tell(world, peer, signed_block(0, []))
    other.news()
    for forged in (signed_block(0, ["a" * 64], ALICE), {**signed_block(1, ["a" * 64]), "number": 0},
                   signed_block(0, ["a" * 64], network="0" * 64)):
        tell(world, peer, forged)
    assert world.reported(node, "equivocation") == [] and other.news("block") == [] and node.evidence == {}
    tell(world, peer, signed_block(0, ["a" * 64]))
    assert len(world.reported(node, "equivocation")) == 1 and len(other.news("block")) == 1


def test_nodes_that_were_told_different_things_all_learn_of_it() -> None:
    for seed in range(50):
        world, one, peer = followed_world(seed, longest_delay=0.05)
        two = add_node(world, one)
        world.run(1.0)
        three = add_node(world, two, BOB)
        world.run(2.0)
        liar = world.add(PolitePeer, three.address, STAGE)
        world.run(0.1)
        liar.send(liar.hello_message(NETWORK))
        world.settle()
        first, second = signed_block(0, []), signed_block(0, ["a" * 64])
        peer.send(first)
        liar.send(second)
        world.settle()
        for node in (one, two, three):
            [event] = world.reported(node, "equivocation")
            assert sorted(event["ids"]) == sorted([block_id(first), block_id(second)]), f"seed {seed}"
        assert first in liar.messages("block") and second in peer.messages("block"), f"seed {seed}"


# --- the user ---------------------------------------------------------------------------------------

def test_what_becomes_of_a_transaction_is_told_where_it_was_made() -> None:
    world, node, peer = followed_world()
    node.on_line(f"/send {BOB.account} 60")
    node.on_line(f"/send {CAROL.account} 40")
    good, bad = (event["id"] for event in world.reported(node, "sent"))
    assert [event["event"] for event in world.networks[node.address].reported][-4:] == ["sent", "transaction"] * 2
    rival = signed_transaction(ALICE, CAROL, 30)  # the same account, at another node
    tell(world, peer, rival, signed_block(0, [good, id_of(rival), bad]))
    assert states_of(world, node, good) == ["pending", "applied"]
    assert states_of(world, node, bad) == ["pending", "rejected"]
    assert states_of(world, node, id_of(rival)) == []
    events = [event for event in world.reported(node, "transaction") if event["state"] == "rejected"]
    assert len(events) == 1 and events[0].keys() == {"id", "state", "reason"} and events[0]["reason"]
    assert ledger_of(world, node)[ALICE.account] == 10


def test_more_than_the_account_has_less_what_is_pending_is_refused_at_once() -> None:
    world, node, peer = followed_world()

    def send(amount: int) -> bool:
        refused = len(errors(world, node))
        peer.news()
        node.on_line(f"/send {BOB.account} {amount}")
        world.settle()
        was_sent = len(errors(world, node)) == refused
        assert len(peer.news("transaction")) == was_sent
        assert errors(world, node)[refused:] == ([] if was_sent else ["FUNDS"])
        return was_sent

    tell(world, peer, signed_transaction(BOB, ALICE, 50))
    assert not send(101) and send(60) and not send(41) and send(40) and not send(1) and send(0)
    assert status_of(world, node) == (0, 4)
    tell(world, peer, signed_block(0, list(node.pool)))
    assert world.ask(node, "/account", "account")["balance"] == 50
    assert not send(51) and send(50) and not send(1)


def test_what_was_pending_and_is_rejected_can_be_spent() -> None:
    world, node, peer = followed_world()
    node.on_line(f"/send {BOB.account} 80")
    rival = signed_transaction(ALICE, CAROL, 30)
    pending = world.reported(node, "sent")[0]["id"]
    tell(world, peer, rival, signed_block(0, [id_of(rival), pending]))
    node.on_line(f"/send {BOB.account} 70")
    assert errors(world, node) == [] and len(world.reported(node, "sent")) == 2


def test_status_and_blocks_say_what_was_accepted_and_executed() -> None:
    world, node, peer = followed_world()
    paid, lacking, pending = (signed_transaction(ALICE, BOB, amount) for amount in (1, 2, 3))
    chain = chain_of([[paid], [lacking]])
    tell(world, peer, paid, pending, *chain)
    assert world.ask(node, "/status", "status") == {"peers": 1, "next": 2, "pending": 1}
    assert world.ask(node, "/blocks", "blocks")["blocks"] == [
        {"id": block_id(chain[0]), "number": 0, "transactions": 1, "creator": SEQUENCER.account}]
    for command in ("/status now", "/blocks 1"):
        node.on_line(command)
    assert errors(world, node) == ["COMMAND", "COMMAND"]


# --- whole networks ---------------------------------------------------------------------------------

class Life:
    """A network of some nodes in which anything may happen, in an order that a seed decides."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.choose = random.Random(seed)
        self.world, self.founder = founded_world(seed, 0.05, 2_000, TOY_KEYS[0], TOY_SEQUENCER)
        self.nodes = [self.founder]
        self.arrivals = note_arrivals(self.founder)
        for _ in range(3):
            self.join()

    def join(self) -> None:
        """One node more; it has a second to join, or it would found a network of its own."""
        self.nodes.append(add_node(self.world, self.choose.choice(self.nodes), TOY_KEYS[len(self.nodes)]))
        self.world.run(1.0)

    def send(self) -> None:
        """A transaction: what the user of a node may type, or an overdraft from a node that asks nobody."""
        node = self.choose.choice(self.nodes)
        receiver = self.choose.choice(TOY_KEYS)
        if self.choose.random() < 0.3:
            amount = self.choose.randint(0, 2_000_000)
            message = signed_transaction(node.key, receiver, amount, node.network_name)
            node.on_transaction(None, message, encode_frame(message))
        else:
            share = self.choose.random() * max(0, node.available(node.key.account))
            node.on_line(f"/send {receiver.account} {int(share)}")

    def act(self) -> None:
        """Do one thing."""
        action = self.choose.random()
        if action < 0.5:
            self.send()
        elif action < 0.6 and len(self.nodes) < 6 and not self.is_parted():
            self.join()
        elif action < 0.68 and self.world.open_connections():
            self.world.cut(self.choose.choice(self.world.open_connections()))
        elif action < 0.73:
            side = self.choose.sample([node.address for node in self.nodes], len(self.nodes) // 2)
            self.world.part(set(side))
        elif action < 0.8:
            self.world.heal()
        elif action < 0.9:
            for _ in range(self.choose.randint(1, 30)):
                self.world.step()
        else:
            self.world.run(self.choose.random() * 4.0)

    def is_parted(self) -> bool:
        """Is there any wall?"""
        addresses = [node.address for node in self.nodes]
        return any(self.world.is_parted(one, other) for one in addresses for other in addresses)

    def check(self) -> None:
        """What must hold at every moment: nobody has executed anything else than the sequencer, or has debts."""
        order = [block.id for block in self.founder.blocks]
        for node in self.nodes:
            executed = [block.id for block in node.blocks[:node.executed]]
            assert executed == order[:len(executed)], f"seed {self.seed}, {node.address}"
            assert all(balance >= 0 for balance in node.balances().values()), f"seed {self.seed}, {node.address}"

    def expected_ledger(self) -> dict[str, int]:
        """The ledger after all that came to the sequencer, in that order, by the naive model."""
        messages = {transaction_id(self.founder.network_name, message): message for message in
                    (json.loads(frame[4:]) for frame in self.founder.frames.values())}
        return execute_naively({TOY_KEYS[0].account: 1_000_000}, [messages[one] for one in self.arrivals])


@pytest.mark.parametrize("first_seed", range(0, 100, 20))
@toy_signatures()
def test_all_nodes_execute_the_same_whatever_is_cut_parted_and_late(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 20):
        life = Life(seed)
        for _ in range(life.choose.randint(20, 50)):
            life.act()
            life.check()
        life.world.heal()
        life.world.run(75.0)
        order = [one for block in life.founder.blocks for one in block.transactions]
        assert order == life.arrivals, f"seed {seed}"
        for node in life.nodes:
            place = f"seed {seed}, {node.address}"
            assert blocks_of(life.world, node) == blocks_of(life.world, life.founder), place
            assert ledger_of(life.world, node) == life.expected_ledger(), place
            assert status_of(life.world, node) == (len(life.founder.blocks), 0), place
            for event in life.world.reported(node, "sent"):
                states = states_of(life.world, node, event["id"])
                assert len(states) == 2 and states[0] == "pending", place
            numbers = [block["number"] for block in life.world.reported(node, "block")]
            assert numbers == list(range(len(life.founder.blocks))), place
            assert set(errors(life.world, node)) <= {"FUNDS"}, place


@toy_signatures()
def test_without_the_sequencer_the_order_stops_and_the_nodes_go_on() -> None:
    for seed in range(5):
        life = Life(seed)
        for _ in range(10):
            life.send()
            life.world.run(0.5)
        life.world.run(5.0)
        one, two, three = others = life.nodes[1:]
        blocks, ledger = blocks_of(life.world, life.founder), ledger_of(life.world, life.founder)
        life.world.kill(life.founder)
        one.on_line("are you there?")
        message = signed_transaction(TOY_KEYS[0], TOY_KEYS[1], 7, one.network_name)
        two.on_transaction(None, message, encode_frame(message))
        late = add_node(life.world, three, TOY_KEYS[4])
        life.world.run(300.0)
        for node in (*others, late):
            place = f"seed {seed}, {node.address}"
            assert blocks_of(life.world, node) == blocks != [], place
            assert ledger_of(life.world, node) == ledger, place
            assert status_of(life.world, node) == (len(blocks), 1), place
            assert {"text": "are you there?"} in life.world.reported(node, "chat"), place


def test_a_follower_never_makes_blocks() -> None:
    world, founder = founded_world()
    node = add_node(world, founder)
    world.run(1.0)
    founder.on_line(f"/send {CAROL.account} 10")
    world.run(0.1)
    world.kill(founder)
    stranger = add_linked_peer(world, node)
    world.run(60.0)
    assert stranger.news("block") == [] and status_of(world, node) == (0, 1)


def test_the_signature_covers_network_number_and_ids_as_the_contract_writes_them() -> None:
    world, founder = founded_world()
    peer = add_linked_peer(world, founder)
    founder.on_line(f"/send {BOB.account} 10")
    world.run(10.1)
    [block] = peer.news("block")
    values = ["block", founder.network_name, 0, block["transactions"]]
    assert block["signature"] == SEQUENCER.sign(canonical(values))
    assert blocks_of(world, founder) == [block_id(block, founder.network_name)]
