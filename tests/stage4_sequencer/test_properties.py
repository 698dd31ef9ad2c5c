"""Properties of stage 4: the order of arrival does not matter, `Waiting` agrees with a naive model, the genesis."""

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from common.encoding import FormatError, check_shape, decode_frame, encode_frame
from stage4_sequencer.genesis import SHAPE, Genesis, read_genesis
from stage4_sequencer.waiting import Waiting
from tests.fixtures import kept_key
from tests.memory import Event
from tests.stage2_ledger.scenes import errors, ledger_of
from tests.stage4_sequencer.scenes import (
    GENESIS,
    TOY_KEYS,
    TOY_SEQUENCER,
    block_id,
    blocks_of,
    chain_of,
    execute_naively,
    followed_world,
    genesis_id,
    signed_block,
    signed_transaction,
    starting_balances,
    states_of,
    status_of,
    tell,
    toy_signatures,
)

ACCOUNTS = [kept_key(number).account for number in range(1, 13)]
MAX_INTEGER = 2**53 - 1

# --- execution --------------------------------------------------------------------------------------

transfers = st.tuples(st.sampled_from(TOY_KEYS[:4]), st.sampled_from(TOY_KEYS[:4]), st.integers(0, 120))
batches_of_transfers = st.lists(st.lists(transfers, max_size=4), max_size=5)


@given(batches_of_transfers, st.randoms(use_true_random=False))
@settings(max_examples=120, deadline=None)
def test_whatever_the_order_of_arrival_the_order_of_execution_is_that_of_the_blocks(
        batches: list[list[Any]], choose: Any) -> None:
    with toy_signatures():
        transactions = [[signed_transaction(*transfer) for transfer in batch] for batch in batches]
        chain = chain_of(transactions, TOY_SEQUENCER)
        world, node, peer = followed_world()
        messages = [*itertools.chain(*transactions), *chain] * 2
        choose.shuffle(messages)
        for message in messages:
            tell(world, peer, message)
            assert all(balance >= 0 for balance in node.balances().values())
            assert sum(node.balances().values()) == 150
        ledger = execute_naively(starting_balances(), itertools.chain(*transactions))
        assert {account: ledger_of(world, node).get(account, 0) for account in ledger} == ledger
        assert blocks_of(world, node) == [block_id(block) for block in chain]
        assert status_of(world, node) == (len(chain), 0) and errors(world, node) == []


@given(st.lists(st.integers(0, 130), max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_a_payment_that_is_not_refused_is_applied_if_nobody_else_spends(amounts: list[int], choose: Any) -> None:
    """FUNDS is right in both directions: payments that it lets through are covered, those that it refuses are not."""
    with toy_signatures():
        world, node, peer = followed_world(key=TOY_KEYS[0])
        left, number = 100, 0
        for amount in amounts:
            node.on_line(f"/send {ACCOUNTS[1]} {amount}")
            left -= amount if amount <= left else 0
            if choose.random() < 0.3:
                tell(world, peer, signed_block(number, list(node.pool), TOY_SEQUENCER))
                number += 1
        sent = [event["id"] for event in world.reported(node, "sent")]
        tell(world, peer, signed_block(number, list(node.pool), TOY_SEQUENCER))
        assert [states_of(world, node, one) for one in sent] == [["pending", "applied"]] * len(sent)
        assert world.ask(node, "/account", "account")["balance"] == left
        assert errors(world, node) == ["FUNDS"] * (len(amounts) - len(sent))


# --- waiting ----------------------------------------------------------------------------------------

few_ids = st.sampled_from("abcdef")
steps = st.lists(st.one_of(st.tuples(st.just("add"), st.sets(few_ids, min_size=1)),
                           st.tuples(st.just("arrives"), few_ids),
                           st.tuples(st.just("discard"), st.integers(0, 20))), max_size=30)


@given(steps)
@settings(max_examples=120, deadline=None)
def test_waiting_is_a_table_of_sets(steps: list[tuple[str, Any]]) -> None:
    waiting, naive = Waiting(), dict[str, set[str]]()
    for position, (action, what) in enumerate(steps):
        if action == "add":
            waiting.add(f"block {position}", what, now=0.0)
            naive[f"block {position}"] = set(what)
        elif action == "arrives":
            complete = [block for block, lacking in naive.items() if lacking == {what}]
            assert sorted(waiting.on_arrived(what)) == sorted(complete)
            naive = {block: lacking - {what} for block, lacking in naive.items() if block not in complete}
        elif naive:
            block = list(naive)[what % len(naive)]
            lacking = naive.pop(block)
            assert sorted(waiting.discard(block)) == sorted(lacking - set().union(*naive.values()))
        assert list(waiting) == list(naive)
        assert {block: waiting.lacking(block) for block in waiting} == naive
        for one in "abcdef":
            assert sorted(waiting.needed_by(one)) == sorted(block for block in naive if one in naive[block])
        assert "block -1" not in waiting and all(block in waiting for block in naive)


def test_the_end_of_an_unknown_wait_changes_nothing() -> None:
    waiting = Waiting()
    assert waiting.on_arrived("a") == [] and waiting.discard("block") == [] and waiting.needed_by("a") == ()
    assert list(waiting) == [] and "block" not in waiting


# --- the genesis ------------------------------------------------------------------------------------

geneses = st.integers(1, 4).flatmap(lambda count: st.fixed_dictionaries({
    "type": st.just("genesis"), "nonce": st.integers(0, 2**128 - 1).map("{:032x}".format),
    "sequencer": st.sampled_from(ACCOUNTS), "interval_ms": st.integers(1, 3_600_000),
    "accounts": st.lists(st.sampled_from(ACCOUNTS), min_size=count, max_size=count, unique=True),
    "balances": st.lists(st.integers(0, MAX_INTEGER // 12), min_size=count, max_size=count).filter(any)}))


def check(message: Event) -> Genesis:
    """Check a genesis as a node does: over the wire, then its shape, then its content."""
    message = decode_frame(encode_frame(message))
    check_shape(message, SHAPE)
    return read_genesis(message)


@given(geneses)
@settings(max_examples=40, deadline=None)
def test_a_genesis_in_range_is_read_as_it_was_sent_and_has_the_id_of_the_contract(message: Event) -> None:
    genesis = check(message)
    assert genesis.message() == message
    assert genesis.id == genesis_id(message)
    assert genesis.starting_balances() == starting_balances(message)


anything = st.one_of(st.none(), st.booleans(), st.integers(-2, 2**54), st.text(max_size=5),
                     st.lists(st.integers(-1, 3), max_size=3), st.lists(st.sampled_from(ACCOUNTS[:3]), max_size=3),
                     st.integers(3_599_999, 3_600_001))


@given(st.sampled_from(sorted(GENESIS.keys() - {"type", "sequencer"})), anything)
@settings(max_examples=120, deadline=None)
def test_a_genesis_with_something_else_in_a_member_is_a_format_error_unless_in_range(member: str, value: Any) -> None:
    message = {**GENESIS, member: value}
    if is_in_range(message):
        assert check(message).message() == message
    else:
        try:
            check(message)
        except FormatError:
            return
        except ValueError:
            assert member == "accounts", "only a key can be invalid"
            return
        raise AssertionError(f"taken: {member} = {value!r}")


def is_in_range(message: Event) -> bool:
    """The ranges of contract §3, stage 4, in one expression each."""
    accounts, balances, interval, nonce = (message[name] for name in ("accounts", "balances", "interval_ms", "nonce"))
    return (nonce == GENESIS["nonce"] and type(interval) is int and 1 <= interval <= 3_600_000
            and isinstance(accounts, list) and isinstance(balances, list) and len(accounts) == len(balances) > 0
            and set(accounts) <= set(ACCOUNTS) and len(set(accounts)) == len(accounts)
            and all(type(balance) is int and balance >= 0 for balance in balances)
            and 1 <= sum(balances) <= MAX_INTEGER)


@given(geneses, st.sampled_from(["nonce", "sequencer", "interval_ms", "accounts", "balances"]), geneses)
@settings(max_examples=40, deadline=None)
def test_every_member_of_a_genesis_is_part_of_its_id(one: Event, member: str, two: Event) -> None:
    changed = {**one, member: two[member]}
    is_same = changed == one
    genesis = Genesis(**{name: one[name] for name in SHAPE})
    other = Genesis(**{name: changed[name] for name in SHAPE})
    assert (genesis.id == other.id) == is_same
