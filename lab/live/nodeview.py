"""What the playground knows of one node, from the node's reports."""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Sequence

from lab.blackbox.peer import Event
from lab.live.words import SHOWN_DIGITS

OnAnswer = Callable[[Event | None], None]
"""Called with the event that answers a question, or with None if the node ends first."""

ANSWERS = {"peers": 1, "help": 1, "ledger": 2, "account": 3, "status": 4, "blocks": 4, "tree": 5}
"""Event that only comes as the answer to the command of the same name -> the first stage that has it."""


class NodeView:
    """What the playground knows of one node."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.address = self.account = self.network = ""
        self._asked: dict[str, deque[OnAnswer]] = {}
        self.forget()

    def forget(self) -> None:
        """The node is gone: forget what it knew, and what it was asked."""
        self.is_up = False
        """Does it take commands?"""
        self.connections = self.known = self.height = self.pool = self.said = 0
        self.tip = self.digest = ""
        self.last = ""
        """Its last event, in a few words."""
        self.ledger: dict[str, int] = {}
        self.neighbours: Counter[str] = Counter()
        """Neighbour -> the number of connections to it."""
        self._chat_sum = 0
        unanswered, self._asked = self._asked, {}
        for on_answer in [one for asked in unanswered.values() for one in asked]:
            on_answer(None)

    def expect(self, event: str, on_answer: OnAnswer) -> None:
        """The node was asked something, and will answer with an event of this name."""
        self._asked.setdefault(event, deque()).append(on_answer)

    def is_waiting(self) -> bool:
        """Is a question still unanswered?"""
        return any(self._asked.values())

    def note(self, event: Event) -> None:
        """Learn from an event that the node has reported."""
        name = event["event"]
        learn = getattr(self, f"_on_{name}", None)
        if learn is not None:
            learn(event)
        if name in ANSWERS and self._asked.get(name):
            self._asked[name].popleft()(event)

    def _on_listening(self, event: Event) -> None:
        self.is_up = True
        self.address, self.network = event["address"], event["network"]
        self.account = event.get("account", f"node-{self.number}")

    def _on_peer(self, event: Event) -> None:
        if event["address"] is not None:
            self.neighbours[event["address"]] += 1 if event["state"] == "up" else -1

    def _on_peers(self, event: Event) -> None:
        self.connections, self.known = event["connections"], len(event["addresses"])

    def _on_status(self, event: Event) -> None:
        self.connections = event["peers"]
        self.height = event["height"] if "height" in event else event["next"]
        self.pool = event["pool"] if "pool" in event else event["pending"]
        self.tip = event.get("tip", "")

    def _on_ledger(self, event: Event) -> None:
        self.ledger = event["accounts"]
        balances = sorted((account, balance) for account, balance in self.ledger.items() if balance)
        self.digest = _digest(repr(balances))

    def _on_chat(self, event: Event) -> None:
        # A sum, since the order does not matter.
        self.said += 1
        self._chat_sum += int(_digest(event["text"]), 16)
        self.digest = f"{self._chat_sum % 16**SHOWN_DIGITS:0{SHOWN_DIGITS}x}"

    @property
    def balance(self) -> int:
        """The balance of this node's account, as the node sees it."""
        return self.ledger.get(self.account, 0)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:SHOWN_DIGITS]


def agreeing(views: Sequence[NodeView]) -> list[list[int]]:
    """The groups of nodes that agree: on tip and ledger (stage 5), ledger (2 to 4), or chat messages (1)."""
    groups: dict[str, list[int]] = {}
    for view in views:
        if view.is_up:
            groups.setdefault(view.tip + view.digest, []).append(view.number)
    return list(groups.values())
