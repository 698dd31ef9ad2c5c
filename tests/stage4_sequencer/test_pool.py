"""The pool by itself: the order of arrival, even for transactions that were put back, and the cost of that."""

import random
from statistics import median
from time import process_time

import pytest

from common.ledger import Transaction
from stage4_sequencer.pool import Pool


def filled(number: int) -> tuple[Pool, list[Transaction]]:
    """A pool with `number` transactions of 500 bytes."""
    pool = Pool(lambda transaction_id: 500)
    transactions = [Transaction(f"{one * 7919 % number:064x}", f"sender {one % 10}", "x", one) for one in range(number)]
    for transaction in transactions:
        pool.add(transaction)
    return pool, transactions


def test_of_what_senders_cannot_pay_any_longer_the_newest_leaves_and_no_more_than_must(
        monkeypatch: pytest.MonkeyPatch) -> None:
    pool, _ = filled(0)
    for number in range(10):
        pool.add(Transaction(f"{number}", f"sender {number % 2}", "x", 10))
    for room, balances, stays, expected in [(4_000, {"sender 0": 50, "sender 1": 50}, "", []),
                                            (4_000, {"sender 0": 20, "sender 1": 50}, "", ["8", "6"]),
                                            (4_000, {"sender 0": 20, "sender 1": 50}, "8", ["6", "4"]),
                                            (4_000, {"sender 0": 41}, "", ["9", "8"]),
                                            (4_499, {"sender 0": 20}, "", ["9"]),
                                            (4_501, {"sender 0": 20}, "", []),
                                            (5_000, {}, "", [])]:
        monkeypatch.setattr("stage4_sequencer.pool.MAX_UNCOVERED", room)
        assert [one.id for one in pool.unpaid(balances, stays)] == expected, (room, balances)


def test_transactions_that_are_put_back_return_to_their_place() -> None:
    pool, transactions = filled(50)
    generator = random.Random(1)
    gone: set[Transaction] = set()
    for step in range(200):
        for transaction in generator.sample(transactions, 5):
            assert pool.remove(transaction.id) == (transaction not in gone)
            gone.add(transaction)
        back = generator.sample(sorted(gone), generator.randrange(6))
        pool.put_back(back)
        gone -= set(back)
        new = Transaction(f"new {step}", "sender 0", "x", 1)
        transactions.append(new)
        pool.add(new)
        if step % 3 == 0:
            waiting = [transaction for transaction in transactions if transaction not in gone]
            assert list(pool.transactions()) == waiting and list(pool) == [transaction.id for transaction in waiting]
            assert pool.size == 500 * len(waiting) == 500 * len(pool)
            assert pool.pending("sender 0") == sum(one.amount for one in waiting if one.sender == "sender 0")


def put_back_again_and_again(number: int) -> float:
    """Median seconds for ten transactions to leave a pool of `number`, and to come back."""
    pool, transactions = filled(number)
    times = []
    for _ in range(9):
        begun = process_time()
        for transaction in transactions[:10]:
            pool.remove(transaction.id)
        pool.put_back(transactions[:10])
        times.append(process_time() - begun)
    return median(times)


def test_the_cost_of_putting_back_follows_from_what_comes_back_and_not_from_the_pool() -> None:
    few, many = put_back_again_and_again(1_000), put_back_again_and_again(130_000)
    assert many < max(2 * few, 0.001), f"{few:.5f} s with 1,000 that wait, {many:.5f} s with 130,000"
