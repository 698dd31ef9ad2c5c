"""Balances, and how a transaction changes them."""

from typing import NamedTuple


class Transaction(NamedTuple):
    """A transfer of `amount` units between two accounts; the id is that of its canonical bytes."""

    id: str
    sender: str
    receiver: str
    amount: int


class Ledger:
    """The balance of every account that has been named so far, in whole units.

    `apply` is the rule of stages 2 and 3: it only adds, and a sum is the same in every
    order. Stage 4 refuses overdrafts: it asks `is_covered` first, so all nodes must ask in the
    same order. Stage 5 has rules of its own (`why_invalid` in stage5_pos/rules.py).
    """

    def __init__(self, balances: dict[str, int] | None = None) -> None:
        self.balances = dict(balances or {})

    def balance(self, account: str) -> int:
        """What `account` has; 0 if nobody has named it yet."""
        return self.balances.get(account, 0)

    def is_covered(self, transaction: Transaction) -> bool:
        """Does the sender have the amount?"""
        return self.balance(transaction.sender) >= transaction.amount

    def apply(self, transaction: Transaction) -> None:
        """Move the amount from the sender to the receiver, whether the sender has it or not."""
        # Why is the balance not checked? Two additions give the same result in any order, so nodes that receive the
        # transactions in different orders still agree. The answer to "is there enough?" would depend on the order.
        self.add(transaction.sender, -transaction.amount)
        self.add(transaction.receiver, transaction.amount)

    def add(self, account: str, amount: int) -> None:
        """Add `amount`, which may be negative, to a balance."""
        self.balances[account] = self.balance(account) + amount
