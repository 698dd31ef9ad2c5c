"""What is known of one node of the playground, from what it reports; and what the log says about that."""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from common.console import FOR_PEOPLE, count, escape_control
from common.encoding import fingerprint
from lab.branches import Piece
from lab.processes import Event

SHOWN_DIGITS = 8
"""Of an id or a digest, in the table: enough to tell two apart at a glance."""

WHO_COLUMNS = 7
"""Of a line of the log, for the nodes that it is about."""

OnAnswer = Callable[[Event | None], None]
"""Is given the event that answers a question, or None if the node ends before."""

ANSWERS = ("peers", "ledger", "account", "status", "blocks", "tree", "help")
"""Events that answer the command of the same name, and come for no other reason."""


class Line(NamedTuple):
    """A line of the log."""

    kind: str
    """command, answer, news, chat, block, fork, rollback, fault, alarm: how it is shown."""
    who: str
    """The nodes that it is about, as in `1-3,7`; empty if it is about none."""
    text: str
    pieces: tuple[Piece, ...] = ()
    """The same text in colours, where it has some."""

    def __str__(self) -> str:
        return f"{self.who:<{WHO_COLUMNS}} {self.text}" if self.who else self.text


class NodeView:
    """What is known of one node."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.address = self.account = self.network = ""
        self._asked: dict[str, deque[OnAnswer]] = {}
        self.forget()

    def forget(self) -> None:
        """The node is gone: what it would know, and what it was asked, is void."""
        self.is_up = False
        """Does it take commands?"""
        self.connections = self.height = self.pool = self.said = 0
        self.tip = self.digest = ""
        self.last = ""
        """Its last event, in a few words."""
        self.ledger: dict[str, int] = {}
        self.neighbours: Counter[str] = Counter()
        """How many connections it has to whom."""
        self._chat_sum = 0
        void, self._asked = self._asked, {}
        for on_answer in [one for asked in void.values() for one in asked]:
            on_answer(None)

    def expect(self, event: str, on_answer: OnAnswer) -> None:
        """The node was asked something that it answers with such an event."""
        self._asked.setdefault(event, deque()).append(on_answer)

    def is_waiting(self) -> bool:
        """Is some question not answered yet?"""
        return any(self._asked.values())

    def note(self, event: Event) -> None:
        """Learn from what the node has reported."""
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
        self.connections = event["connections"]

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
        # A sum, since the order does not count.
        self.said += 1
        self._chat_sum += int(_digest(event["text"]), 16)
        self.digest = f"{self._chat_sum % 16**SHOWN_DIGITS:0{SHOWN_DIGITS}x}"

    @property
    def balance(self) -> int:
        """What this node's account has, as the node sees it."""
        return self.ledger.get(self.account, 0)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:SHOWN_DIGITS]


def agreeing(views: Sequence[NodeView]) -> list[list[int]]:
    """The groups of nodes that have the same: tip and ledger (stage 5), ledger (2 to 4), chat messages (1)."""
    groups: dict[str, list[int]] = {}
    for view in views:
        if view.is_up:
            groups.setdefault(view.tip + view.digest, []).append(view.number)
    return list(groups.values())


# --- words --------------------------------------------------------------------------------------

def shown_nodes(numbers: Iterable[int]) -> str:
    """`1-3,7` for 1, 2, 3 and 7."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, ends)) for ends in ranges)


class Names:
    """Accounts and addresses in people's words: by the number of the node that they belong to."""

    def __init__(self) -> None:
        self._short: dict[str, str] = {}
        self._long: dict[str, str] = {}

    def add(self, view: NodeView) -> None:
        """Name the account and the address of a node."""
        if view.account.startswith("node-"):
            self._short[view.account] = str(view.number)
        elif view.account:
            self._short[view.account] = str(view.number)
            self._long[fingerprint(view.account)] = f"node {view.number}"
        self._long[view.address] = f"node {view.number}"

    def call(self, account: str, name: str) -> None:
        """Name an account that is no node's."""
        self._short[account] = self._long[fingerprint(account)] = name

    def of(self, account: str) -> str:
        """An account in a few characters: the node's number, or the beginning of the fingerprint."""
        return self._short.get(account) or (fingerprint(account)[:SHOWN_DIGITS] if len(account) > 64 else account)

    def replace(self, text: str) -> str:
        """A text of a node, with the names of nodes."""
        for long, name in self._long.items():
            text = text.replace(long, name)
        return text


def announce(event: Event, names: Names) -> tuple[str, str] | None:
    """What the log says about an event that was not asked for: kind and text. None if that is nothing."""
    word = WORDS.get(event["event"])
    if word is None:
        return None
    kind, text = word(event, names)
    return kind, escape_control(text)


def brief(event: Event, names: Names) -> str:
    """The same in a few words, for the table."""
    word = BRIEF.get(event["event"])
    return escape_control(word(event, names)) if word is not None else ""


def people_lines(event: Event, names: Names) -> list[str]:
    """An answer as people get it from the node."""
    members = {name: value for name, value in event.items() if name != "event"}
    return [escape_control(names.replace(line)) for line in FOR_PEOPLE[event["event"]](members)]


def _block(event: Event, names: Names) -> tuple[str, str]:
    place = f"number {event['number']}" if "number" in event else f"height {event['height']}"
    return "block", (f"block {event['id'][:SHOWN_DIGITS]}, {place}, {count(event['transactions'], 'transaction')},"
                     f" by {names.of(event['creator'])}")


def _transaction(event: Event, names: Names) -> tuple[str, str]:
    reason = f": {event['reason']}" if "reason" in event else ""
    return "answer", f"transaction {event['id'][:SHOWN_DIGITS]} {event['state']}{reason}"


def _rollback(event: Event, names: Names) -> tuple[str, str]:
    return "rollback", (f"ROLLBACK of {count(event['depth'], 'block')}: {event['from'][:SHOWN_DIGITS]} gives way to"
                        f" {event['to'][:SHOWN_DIGITS]}")


def _equivocation(event: Event, names: Names) -> tuple[str, str]:
    ids = " and ".join(one[:SHOWN_DIGITS] for one in event["ids"])
    return "alarm", f"EQUIVOCATION: {names.of(event['creator'])} has signed {ids} for one place"


USERS_ERRORS = ("COMMAND", "ACCOUNT", "FUNDS")
"""The codes of errors that answer what was typed."""

WORDS: dict[str, Callable[[Event, Names], tuple[str, str]]] = {
    "chat": lambda event, names: ("chat", event["text"]),
    "peer": lambda event, names: ("news", "connections up" if event["state"] == "up" else "connections lost"),
    "block": _block,
    "rollback": _rollback,
    "equivocation": _equivocation,
    "sent": lambda event, names: ("answer", f"sent {event['id'][:SHOWN_DIGITS]}"),
    "transaction": _transaction,
    "evil": lambda event, names: ("alarm", f"EVIL: {event['deed']}"),
    "error": lambda event, names: ("answer" if event["code"] in USERS_ERRORS else "alarm", f"error {event['code']}: {names.replace(event['reason'])}"),
}
"""How the log tells each event: kind and text."""

BRIEF: dict[str, Callable[[Event, Names], str]] = {
    "listening": lambda event, names: "listening",
    "chat": lambda event, names: f"chat: {event['text'][:40]}",
    "peer": lambda event, names: f"{names.replace(event['address'] or 'somebody')} {event['state']}",
    "block": lambda event, names: f"block {event.get('height', event.get('number'))} by {names.of(event['creator'])}",
    "rollback": lambda event, names: f"ROLLBACK of {event['depth']}",
    "equivocation": lambda event, names: "EQUIVOCATION",
    "sent": lambda event, names: f"sent {event['id'][:SHOWN_DIGITS]}",
    "transaction": lambda event, names: f"transaction {event['state']}",
    "evil": lambda event, names: f"EVIL: {event['deed']}",
    "error": lambda event, names: f"error {event['code']}",
}
"""The same for the table."""

