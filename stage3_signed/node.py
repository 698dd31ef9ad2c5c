"""Stage 3: only the owner of an account can spend from it.

Unlike stage 2:
- an account is an RSA public key; people see its fingerprint, and need to type only its first digits;
- a transaction carries the signature of its sender over its canonical bytes, network included;
- it is checked once, before anything else happens to it: what is not signed is neither kept nor forwarded;
- a node has a key of its own, and sends from its own account, which `/account` shows.
"""

from sys import intern
from typing import TYPE_CHECKING, Any

from common.console import shown_account
from common.encoding import INTEGER, NONCE, STRING, Message, Shape, fingerprint, is_matching
from common.ledger import Transaction
from common.limits import HELLO_SECONDS
from common.rsa import InvalidAccount, PrivateKey, check_account, verify
from common.interface import Command, CommandError, Invalid, Lines, Network
from stage2_ledger.keeping import LedgerSetup
from stage2_ledger.node import LedgerNode

if TYPE_CHECKING:  # SQLite is loaded only by a node that keeps a journal
    from common.journal import Journal

is_fingerprint_prefix = is_matching("[0-9a-f]{4,16}")


class SignedSetup(LedgerSetup):
    """What a node of stage 3 is given when it is made."""

    def __init__(self, *, key: PrivateKey, join_seconds: float = HELLO_SECONDS,
                 journal: "Journal | None" = None) -> None:
        super().__init__(join_seconds=join_seconds, journal=journal)
        self.key = key
        """The key of its account."""


class SignedNode(LedgerNode):
    """A node that keeps a ledger of signed transactions."""

    STAGE = 3

    SHAPES: dict[str, Shape] = {
        **LedgerNode.SHAPES,
        "transaction": {"nonce": NONCE, "from": STRING, "to": STRING, "amount": INTEGER, "signature": STRING},
    }

    COMMANDS: dict[str, Command] = {
        **LedgerNode.COMMANDS,
        "send": Command("/send TO AMOUNT", "transfer AMOUNT from this node's account"),
        "account": Command("/account", "show this node's account, its fingerprint and its balance"),
    }

    EVENTS: dict[str, Lines] = {
        **LedgerNode.EVENTS,
        "listening": lambda m: [*LedgerNode.EVENTS["listening"](m),
                                f"this node's account is {shown_account(m['account'])}"],
        "account": lambda m: [f"account {m['fingerprint']} has {m['balance']}; its key, to hand to others:",
                              m["account"]],
    }

    def __init__(self, network: Network, address: str, setup: SignedSetup) -> None:
        super().__init__(network, address, setup)
        self.key: PrivateKey = setup.key
        """The key of this node's account."""

    def describe(self) -> dict[str, Any]:
        """The members of the event `listening`: this node's account is one more."""
        return {**super().describe(), "account": self.key.account}

    # --- transactions ---------------------------------------------------------------------------

    def check_transaction(self, message: Message, canonical: bytes) -> None:
        """Invalid unless both accounts are keys and the sender's owner has signed (contract §1, §3)."""
        if self.keeper.is_replaying:
            return  # it was checked before it was written, and the journal has checksums
        try:
            check_account(message["to"])
            verify(message["from"], canonical, message["signature"])
        except ValueError as error:
            raise Invalid(f"transaction: {error}") from None

    def keep_transaction(self, transaction: Transaction, frame: bytes) -> None:
        """Keep a transaction; `intern` keeps the 400 characters of each account only once."""
        transaction = transaction._replace(sender=intern(transaction.sender), receiver=intern(transaction.receiver))
        super().keep_transaction(transaction, frame)

    # --- the user -------------------------------------------------------------------------------

    def command_send(self, arguments: list[str]) -> None:
        """`/send TO AMOUNT`: make a transaction from this node's account."""
        self.send_from(self.key, arguments)

    def send_from(self, key: PrivateKey, arguments: list[str]) -> None:
        """Make and sign a transaction from the account of `key`."""
        self.COMMANDS["send"].expect(arguments, 2)
        receiver, amount = arguments
        self.send_transaction(self.signed_message(key, self._find_account(receiver), self.read_amount(amount)))

    def signed_message(self, key: PrivateKey, receiver: str, amount: int) -> Message:
        """A transaction from the account of `key`, as it goes over the wire. A hook."""
        message = self.transaction_message(key.account, receiver, amount)
        return {**message, "signature": key.sign(self.transaction_bytes(message))}

    def _find_account(self, text: str) -> str:
        """The account that the user means: the key itself, or the fingerprint's first digits (contract §4)."""
        if is_fingerprint_prefix(text):
            found = [account for account in self.known_accounts() if fingerprint(account).startswith(text)]
            if len(found) != 1:
                raise CommandError(f"{len(found)} known accounts begin with {text}, expected one; type other digits, "
                                   "or the whole key, which /account shows at the receiver's node", "ACCOUNT")
            return found[0]
        try:
            check_account(text)
        except InvalidAccount as error:
            raise CommandError(f"expected an account, or 4 to 16 digits of a fingerprint: {error}",
                               "ACCOUNT") from None
        return text

    def known_accounts(self) -> set[str]:
        """The accounts that the user can mean by a fingerprint: this node's own, and all in its ledger."""
        return super().known_accounts() | {self.key.account}

    def command_account(self, arguments: list[str]) -> None:
        """`/account`: show this node's account."""
        self.COMMANDS["account"].expect(arguments)
        account = self.key.account
        self.report("account", account=account, fingerprint=fingerprint(account),
                    balance=self.balances().get(account, 0))
