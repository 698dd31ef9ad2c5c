"""The genesis of stage 4 in memory: founding and joining a network."""

import json
from typing import Any

import pytest

from common.encoding import MAX_INTEGER, decode_base64, encode_base64
from lab.simulation import World
from stage4_sequencer.node import SequencedNode
from stage4_sequencer.total_order import TotalOrderSetup
from tests.memory import Event, add_stranger
from tests.stage2_ledger.scenes import PING, PolitePeer, add_linked_peer, errors, ledger_of
from tests.stage4_sequencer.scenes import (ALICE, BOB, CAROL, GENESIS, NETWORK, SEQUENCER, STAGE, add_founder_peer,
                                           add_node, followed_world, founded_world, genesis_id, no_key, signed_block,
                                           starting_balances, status_of, tell)


def some_accounts(count: int) -> list[str]:
    """Different accounts that look like keys. Nobody knows their factors, and no node checks them."""
    key = decode_base64(BOB.account)
    return [encode_base64(key[:100] + number.to_bytes(2, "big") + key[102:]) for number in range(count)]


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


def test_a_joining_node_accepts_the_genesis_whose_id_is_the_network_of_the_hello() -> None:
    world, node, peer = followed_world()
    assert world.reported(node, "joined") == [{"peer": peer.address}]
    assert world.reported(node, "founded") == []
    assert ledger_of(world, node) == {ALICE.account: 100, BOB.account: 50}


@pytest.mark.parametrize("genesis, network", [
    ({**GENESIS, "nonce": "1" * 32}, NETWORK),
    ({**GENESIS, "balances": [101, 50]}, NETWORK),
    (GENESIS, "ab" * 32), (GENESIS, "0" * 32)])
def test_a_joining_node_accepts_no_other_genesis(genesis: Event, network: str) -> None:
    world = World(1)
    peer = add_founder_peer(world, genesis, network=network)
    node = world.add(SequencedNode, peer.address, TotalOrderSetup(key=ALICE), lambda: SEQUENCER)
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
    """Even if its id is the network's, and even if the node that it comes to joined long ago."""
    world, linked, peer = followed_world()
    tell(world, peer, {**GENESIS, **change})
    assert errors(world, linked) == ["FORMAT"]
    assert peer.is_closed and [error["code"] for error in peer.messages("error")] == ["FORMAT"]
    liar = add_founder_peer(world, {**GENESIS, **change})
    joining = world.add(SequencedNode, liar.address, TotalOrderSetup(key=ALICE), lambda: SEQUENCER)
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
def test_a_genesis_at_the_edge_of_its_ranges_is_accepted(change: dict[str, Any]) -> None:
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
    joining = world.add(SequencedNode, liar.address, TotalOrderSetup(key=ALICE), lambda: SEQUENCER)
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
def test_a_peer_that_sends_no_genesis_within_five_seconds_counts_as_nobody(says_hello: bool) -> None:
    world = World(1)
    peer = world.add(PolitePeer, None, STAGE)
    peer.says_on_open = [peer.hello_message(NETWORK)] if says_hello else []
    node = world.add(SequencedNode, peer.address, TotalOrderSetup(key=ALICE), lambda: SEQUENCER)
    world.run(4.9)
    assert node.network_name is None and not world.networks[node.address].is_reading
    world.run(0.2)
    assert errors(world, node)[-1] == "NETWORK" and len(world.reported(node, "founded")) == 1
    assert peer.is_closed
    world.run(60.0)
    assert len(peer.messages("hello")) == 1, "it is not called again"


@pytest.mark.parametrize("message", [PING, {"type": "height", "number": 3}, {"type": "get_peers"}, signed_block(0, [])])
def test_nothing_else_may_come_before_the_genesis(message: Event) -> None:
    world = World(1)
    peer = world.add(PolitePeer, None, STAGE)
    peer.says_on_open = [peer.hello_message(NETWORK), message, GENESIS]
    node = world.add(SequencedNode, peer.address, TotalOrderSetup(key=ALICE), lambda: SEQUENCER)
    world.run(1.0)
    assert [error["code"] for error in peer.messages("error")] == ["HANDSHAKE"]
    assert errors(world, node) == ["HANDSHAKE", "NETWORK"] and node.network_name != NETWORK


@pytest.mark.parametrize("change", [{}, {"interval_ms": 0}, {"sequencer": "nobody"}])
def test_a_genesis_before_the_hello_is_a_handshake_error(change: dict[str, Any]) -> None:
    world = World(1)
    peer = world.add(PolitePeer, None, STAGE)
    peer.says_on_open = [{**GENESIS, **change}, peer.hello_message(NETWORK)]
    node = world.add(SequencedNode, peer.address, TotalOrderSetup(key=ALICE), lambda: SEQUENCER)
    world.run(1.0)
    assert [error["code"] for error in peer.messages("error")] == ["HANDSHAKE"]
    assert node.network_name != NETWORK


def test_while_joining_the_genesis_is_accepted_only_from_the_called_peer() -> None:
    world = World(1)
    silent = world.add(PolitePeer, None, STAGE)
    node = world.add(SequencedNode, silent.address, TotalOrderSetup(key=ALICE), lambda: SEQUENCER)
    caller = add_stranger(world, node, STAGE)
    tell(world, caller, caller.hello_message(NETWORK), GENESIS)
    assert [error["code"] for error in caller.messages("error")] == ["HANDSHAKE"] and caller.is_closed
    assert node.network_name is None
    tell(world, silent, silent.hello_message(NETWORK), GENESIS)
    assert node.network_name == NETWORK


def test_the_option_network_joins_the_wanted_network() -> None:
    world, founder = founded_world()
    node = world.add(SequencedNode, founder.address, TotalOrderSetup(key=BOB, only_network=founder.network_name), no_key)
    world.run(1.0)
    assert len(world.reported(node, "joined")) == 1 and errors(world, node) == []
    assert ledger_of(world, node) == ledger_of(world, founder)


@pytest.mark.parametrize("what", ["another network", "nobody there", "silence", "none", "another genesis"])
def test_the_option_network_joins_and_founds_nothing_else(what: str) -> None:
    world, founder = founded_world()
    silent = world.add(PolitePeer, None, STAGE)
    liar = add_founder_peer(world, {**GENESIS, "nonce": "1" * 32}, network=NETWORK)
    peer = {"another network": founder.address, "nobody there": "nobody:1", "silence": silent.address,
            "none": None, "another genesis": liar.address}[what]
    node = world.add(SequencedNode, peer, TotalOrderSetup(key=BOB, only_network=NETWORK), no_key)
    world.run(5.1)
    assert not world.networks[node.address].is_running
    assert errors(world, node)[-1] == "NETWORK"
    assert world.reported(node, "founded") == world.reported(node, "joined") == []
    assert world.reported(node, "listening") == []
