"""Properties of every transaction, ring and set of ids, not only of examples that somebody thought of."""

import hashlib
import json
import random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.encoding import FormatError, check_shape, decode_frame
from common.framing import make_frame
from common.ledger import Ledger, Transaction
from lab.simulation import World
from stage2_ledger.membership import Membership
from stage2_ledger.node import LedgerNode
from stage2_ledger.id_tree import IdTree
from tests.memory import Event
from tests.stage2_ledger.scenes import (add_linked_peer, balances, errors, founded_world, ledger_of, summary_of, sums_of,
                                        transaction, transaction_id)

NETWORK = "0" * 32
names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)
amounts = st.integers(0, 2**53 - 1)
nonces = st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}")
messages = st.builds(lambda nonce, sender, receiver, amount: transaction(sender, receiver, amount, nonce=nonce),
                     nonces, names, names, amounts)

ids = st.integers(0, 2**64).map(lambda number: hashlib.sha256(str(number).encode()).hexdigest())
"""Hashes, as in reality. With numbers picked by hand, two buckets might have the same sum."""
close_ids = st.builds(lambda bucket, rest: f"{bucket:02x}{rest:062x}", st.integers(0, 3), st.integers(0, 20))
"""Ids, many of which share a bucket."""


def node_in(network: str) -> LedgerNode:
    """A node of that network."""
    node = founded_world()[1]
    node.network_name = network
    return node


# --- canonical bytes --------------------------------------------------------------------------------

# Parts that look like JSON: they expose code that joins the members instead of writing an array.
tricky = st.text('",\\10a[]', min_size=1, max_size=6)
tricky_messages = st.builds(lambda sender, receiver, amount: transaction(sender, receiver, amount, nonce="0" * 32),
                            tricky, tricky, st.integers(0, 12))


@given(st.one_of(messages, tricky_messages), st.one_of(messages, tricky_messages))
def test_different_transactions_never_share_an_id(one: Event, two: Event) -> None:
    node = node_in(NETWORK)
    same = all(one[name] == two[name] for name in ("nonce", "from", "to", "amount"))
    assert (node.transaction_id(one) == node.transaction_id(two)) == same


@given(tricky, tricky, tricky, st.integers(0, 12))
def test_where_a_name_ends_and_the_next_begins_is_part_of_the_id(a: str, b: str, c: str, amount: int) -> None:
    node = node_in(NETWORK)
    one, two = transaction(a + b, c, amount, nonce="0" * 32), transaction(a, b + c, amount, nonce="0" * 32)
    assert node.transaction_id(one) != node.transaction_id(two)


@given(messages)
def test_canonical_bytes_read_back_are_the_transaction(message: Event) -> None:
    node = node_in(NETWORK)
    assert json.loads(node.transaction_bytes(message)) == [
        "transaction", NETWORK, message["nonce"], message["from"], message["to"], message["amount"]]
    assert node.transaction_id(message) == transaction_id(NETWORK, message)


@given(messages, st.sampled_from(["nonce", "from", "to", "amount", "network"]), st.data())
def test_every_member_counts(message: Event, member: str, data: st.DataObject) -> None:
    if member == "network":
        assert node_in(NETWORK).transaction_id(message) != node_in("1" * 32).transaction_id(message)
        return
    values: dict[str, st.SearchStrategy[Any]] = {"nonce": nonces, "from": names, "to": names, "amount": amounts}
    other = data.draw(values[member].filter(lambda value: value != message[member]))
    assert node_in(NETWORK).transaction_id(message) != node_in(NETWORK).transaction_id({**message, member: other})


# --- form -------------------------------------------------------------------------------------------

json_values = st.one_of(st.none(), st.booleans(), st.integers(-2**60, 2**60),
                        st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=70), names, nonces,
                        st.lists(st.integers(), max_size=2),
                        st.dictionaries(st.text(max_size=3), st.integers(), max_size=2))


@settings(max_examples=300)
@given(st.sampled_from(["nonce", "from", "to", "amount", "more"]), json_values)
def test_only_what_the_contract_allows_has_the_form_of_a_transaction(member: str, value: Any) -> None:
    message = {**transaction(), member: value}
    allowed = {
        "nonce": isinstance(value, str) and len(value) == 32 and set(value) <= set("0123456789abcdef"),
        "amount": type(value) is int and 0 <= value < 2**53, "more": False,
        **dict.fromkeys(("from", "to"), isinstance(value, str) and 1 <= len(value) <= 64
                        and all("\x21" <= character <= "\x7e" for character in value))}[member]
    decoded = decode_frame(make_frame(json.dumps(message).encode()))
    if allowed:
        check_shape(decoded, LedgerNode.SHAPES["transaction"])
    else:
        with pytest.raises(FormatError):
            check_shape(decoded, LedgerNode.SHAPES["transaction"])


# --- the ledger -------------------------------------------------------------------------------------

transfers = st.lists(st.builds(lambda sender, receiver, amount: Transaction("", sender, receiver, amount),
                               st.sampled_from("abc"), st.sampled_from("abc"), amounts), max_size=12)


@given(transfers, st.randoms(use_true_random=False))
def test_every_order_makes_the_same_ledger_and_no_money_appears(some: list[Transaction], order: random.Random) -> None:
    ledger, other, shuffled = Ledger(), Ledger(), some[:]
    order.shuffle(shuffled)
    for one, two in zip(some, shuffled, strict=True):
        ledger.apply(one)
        other.apply(two)
    assert ledger.balances == other.balances
    assert sum(ledger.balances.values()) == 0
    assert ledger.balances == balances([{"from": one.sender, "to": one.receiver, "amount": one.amount} for one in some])


# --- the ring ---------------------------------------------------------------------------------------

addresses = st.builds("{}:{}".format, st.sampled_from(["a", "b", "a-b", "a.b", "10.0.0.9", "10.0.0.10", "B"]),
                      st.integers(1, 65_535))


@given(st.sets(addresses, min_size=1, max_size=30), st.integers(0, 100))
def test_the_ring_is_what_the_contract_says(others: set[str], seed: int) -> None:
    own = sorted(others)[seed % len(others)]
    members = Membership(own, random.Random(seed))
    for address in others:
        members.add(address)
    order = sorted(others, key=lambda address: (address.split(":")[0], int(address.split(":")[1])))
    turned = order[order.index(own) + 1:] + order[:order.index(own)]
    assert members.sorted() == order
    assert members.successors() == turned[:10]
    assert members.wanted()[:10] == turned[:10]
    assert len(members.wanted()) == len(set(members.wanted())) == min(12, len(others) - 1)
    assert set(members.wanted()) <= others - {own}


# --- reconciliation ---------------------------------------------------------------------------------

prefixes = st.text("0123456789abcdef", max_size=63)
id_sets = st.sets(st.one_of(ids, close_ids), max_size=40)


def buckets_of(some: set[str]) -> IdTree:
    """Buckets with these ids."""
    buckets = IdTree()
    for one in some:
        buckets.add(one)
    return buckets


@given(id_sets)
def test_a_summary_is_the_xor_of_each_bucket(some: set[str]) -> None:
    assert buckets_of(some).summary() == summary_of(sorted(some))
    for bucket in {one[:2] for one in some}:
        assert sorted(buckets_of(some).ids(bucket)) == sorted(one for one in some if one[:2] == bucket)


@given(st.sets(ids, max_size=40), st.sets(ids, max_size=10), st.sets(ids, max_size=10))
def test_the_buckets_that_differ_are_those_in_which_somebody_lacks_something(
        both: set[str], mine: set[str], theirs: set[str]) -> None:
    mine, theirs = mine - both, theirs - both - mine
    own, other = buckets_of(both | mine), buckets_of(both | theirs)
    expected = sorted({one[:2] for one in mine | theirs})
    assert own.differing(other.summary()) == other.differing(own.summary()) == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["alice", "bob", "both"]), max_size=52), st.integers(0, 2**32), st.booleans())
def test_two_nodes_with_any_two_sets_end_with_the_union(holders: list[str], seed: int, is_fresh: bool) -> None:
    """On a new connection, or by the regular comparison on an old one."""
    world = World(seed)
    alice = world.add(LedgerNode)
    bob = world.add(LedgerNode, alice.address)
    world.run(1.0)
    if is_fresh:
        world.partition({alice.address})
        world.settle()
    with patch.object(LedgerNode, "flood"):
        everything = [transaction("a", "b", 2**number) for number in range(len(holders))]
        for message, holder in zip(everything, holders, strict=True):
            for node, name in ((alice, "alice"), (bob, "bob")):
                if holder in (name, "both"):
                    node.on_transaction(None, message, make_frame(json.dumps(message).encode()))
    world.heal()
    world.run(13.0)
    expected = {transaction_id(alice.network_name, message) for message in everything}
    assert alice.transactions.keys() == bob.transactions.keys() == expected
    assert ledger_of(world, alice) == ledger_of(world, bob) == balances(everything)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(
    st.fixed_dictionaries({"type": st.just("summary"), "answer": st.booleans(),
                           "buckets": st.dictionaries(ids.map(lambda one: one[:2]), ids, max_size=5)}),
    st.fixed_dictionaries({"type": st.just("inventory"), "bucket": ids.map(lambda one: one[:2]),
                           "ids": st.lists(ids, max_size=5, unique=True)}),
    st.builds(lambda some, *prefixes: {"type": "sums", "answer": False, "salt": "1" * 64,
                                       "sums": sums_of(some, "1" * 64, *prefixes)},
              st.lists(ids, max_size=5, unique=True), st.just(""), prefixes),
    st.fixed_dictionaries({"type": st.just("get_sums"), "salt": ids, "prefixes": st.lists(prefixes, unique=True, max_size=9)}),
    st.fixed_dictionaries({"type": st.just("get_ids"), "prefixes": st.lists(prefixes, unique=True, max_size=9)}),
    st.fixed_dictionaries({"type": st.just("ids"), "ids": st.lists(ids, max_size=5, unique=True)}),
    st.fixed_dictionaries({"type": st.just("want"), "ids": st.lists(ids, max_size=5, unique=True)}),
    st.fixed_dictionaries({"type": st.just("pong"), "nonce": st.sampled_from(["", "want", "x"])}),
    st.just({"type": "get_peers"}), messages), max_size=30))
def test_any_sequence_of_good_messages_is_accepted_and_changes_only_what_it_may(sequence: list[Event]) -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    peer.send(*sequence, {"type": "ping", "nonce": "end"})
    world.settle()
    assert errors(world, alice) == [] and peer.messages("pong") == [{"type": "pong", "nonce": "end"}]
    sent = {transaction_id(alice.network_name, one): one for one in sequence if one["type"] == "transaction"}
    assert alice.transactions.keys() == sent.keys()
    assert ledger_of(world, alice) == balances(list(sent.values()))
