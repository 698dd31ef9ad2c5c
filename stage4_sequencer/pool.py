"""The pool: transactions that wait for a block, in order of arrival, and how much each sender spends in them."""

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from itertools import count

from common.ledger import Transaction
from common.limits import MAX_SEEN
from stage4_sequencer.limits import MAX_POOL, MAX_UNCOVERED


class Pool:
    """Transactions that have not taken effect."""

    def __init__(self, size_of: Callable[[str], int]) -> None:
        """`size_of` gives the bytes that a transaction takes, by its id."""
        self._size_of = size_of
        self._waiting: dict[str, Transaction] = {}
        self._is_in_order = True
        """Is `_waiting` in order of arrival? Not after `put_back`, until somebody asks for the order."""
        self._numbers = count()
        self._places: dict[str, int] = {}
        """Each transaction that was ever here, and was not let go -> its place in the order of arrival."""
        self._pending: dict[str, int] = {}
        """Account -> the sum that it sends by transactions that wait here."""
        self.size = 0
        """Bytes of all that waits here."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, transaction_id: str) -> bool:
        return transaction_id in self._waiting

    def __iter__(self) -> Iterator[str]:
        """The ids of what waits, in order of arrival."""
        return iter(self._in_order())

    def transactions(self) -> Collection[Transaction]:
        """What waits, in order of arrival."""
        return self._in_order().values()

    def pending(self, account: str) -> int:
        """The sum of what an account sends by transactions that wait here."""
        return self._pending.get(account, 0)

    def has_room(self, is_covered: bool) -> bool:
        """Is there room for one more? `is_covered`: its sender can pay it. There is less room for one that the sender
        cannot pay, since it costs nothing to make many."""
        return self.size < (MAX_POOL if is_covered else MAX_UNCOVERED)

    def unpaid(self, balances: Mapping[str, int], stays: Container[str]) -> list[Transaction]:
        """What must leave, the newest first, since there is too much here that its sender cannot pay: it could pay when
        that came, and has spent the money since. None of `stays`, and not so much that there is room again: otherwise
        it would come in again."""
        surplus, found = self.size - MAX_UNCOVERED, []
        if surplus <= 0:
            return []
        overdrawn = {sender: total - balances.get(sender, 0) for sender, total in self._pending.items()
                     if total > balances.get(sender, 0)}
        for transaction in reversed(self._in_order().values()) if overdrawn else ():
            size = self._size_of(transaction.id)
            if size <= surplus and overdrawn.get(transaction.sender, 0) > 0 and transaction.id not in stays:
                overdrawn[transaction.sender] -= transaction.amount
                surplus -= size
                found.append(transaction)
        return found

    def add(self, transaction: Transaction) -> None:
        """Add a transaction that has just arrived."""
        self._places[transaction.id] = next(self._numbers)
        self._put(transaction)

    def remove(self, transaction_id: str) -> bool:
        """Remove a transaction that has taken effect; True if it was here."""
        transaction = self._waiting.pop(transaction_id, None)
        if transaction is None:
            return False
        self.size -= self._size_of(transaction_id)
        left = self._pending.pop(transaction.sender, 0) - transaction.amount
        if left:
            self._pending[transaction.sender] = left
        return True

    def let_go(self, transaction_id: str) -> None:
        """Remove a transaction that may never come back, and forget its place."""
        self.remove(transaction_id)
        del self._places[transaction_id]

    def put_back(self, transactions: Iterable[Transaction]) -> None:
        """Transactions that had taken effect are undone: each goes back to its place."""
        for transaction in transactions:
            self._put(transaction)
        self._is_in_order = False

    def _in_order(self) -> dict[str, Transaction]:
        """What waits, sorted only when asked for: several rollbacks in a row must not each sort a full pool."""
        if not self._is_in_order:
            self._waiting = {waiting: self._waiting[waiting]
                             for waiting in sorted(self._waiting, key=self._places.__getitem__)}
            self._is_in_order = True
        return self._waiting

    def _put(self, transaction: Transaction) -> None:
        self._waiting[transaction.id] = transaction
        self.size += self._size_of(transaction.id)
        self._pending[transaction.sender] = self.pending(transaction.sender) + transaction.amount


class Refused:
    """Transactions for which the pool had no room. They are not asked for until that changes.

    At most `MAX_SEEN` are remembered. If there are more, those of the sender that was refused first are forgotten: they
    may come, and be refused, again.
    """

    def __init__(self) -> None:
        self._by_sender: dict[str, set[str]] = {}
        self._ids: set[str] = set()

    def __contains__(self, transaction_id: str) -> bool:
        return transaction_id in self._ids

    def add(self, transaction: Transaction) -> None:
        """Remember a transaction that was refused."""
        if len(self._ids) >= MAX_SEEN:
            self.on_paid(next(iter(self._by_sender)))
        self._ids.add(transaction.id)
        self._by_sender.setdefault(transaction.sender, set()).add(transaction.id)

    def on_paid(self, account: str) -> None:
        """An account has received something: forget its refused transactions, so that they can come again."""
        self._ids -= self._by_sender.pop(account, set())

    def clear(self) -> None:
        """There is room again, for all of them."""
        self._by_sender.clear()
        self._ids.clear()
