"""How the playground words the reports of its nodes: in full for the log, in short for the table."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from common.console import MAX_NAME, count, escape_control
from common.encoding import fingerprint
from common.interface import Lines
from lab.live.branches import Piece
from lab.blackbox.peer import Event

SHOWN_DIGITS = 8
"""Digits of an id or a digest in the table: enough to tell two apart at a glance."""

USERS_ERRORS = ("COMMAND", "ACCOUNT", "FUNDS")
"""The codes of errors that answer a typed line."""

WHO_COLUMNS = 7
"""Columns of a line of the log, for the nodes that it is about."""


class Line(NamedTuple):
    """A line of the log."""

    kind: str
    """command, answer, news, chat, block, fork, rollback, fault, alarm or error. It decides how the line is shown."""
    who: str
    """The nodes that it is about, as in `1-3,7`; empty if there are none."""
    text: str
    pieces: tuple[Piece, ...] = ()
    """The same text in colours, if it has colours."""

    def __str__(self) -> str:
        return f"{self.who:<{WHO_COLUMNS}} {self.text}" if self.who else self.text


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
    """Replaces accounts and addresses with the numbers of their nodes, for people."""

    def __init__(self) -> None:
        self._short: dict[str, str] = {}
        self._long: dict[str, str] = {}

    def add(self, number: int, account: str, address: str) -> None:
        """Name the account and the address of a node."""
        self.call(account, str(number), f"node {number}")
        self._long[address] = f"node {number}"

    def call(self, account: str, short: str, long: str = "") -> None:
        """Name an account, with a shorter name for the table."""
        self._short[account] = short
        if is_key(account):
            self._long[fingerprint(account)] = long or short

    def of(self, account: str) -> str:
        """An account in a few characters: the node's number, or the start of the fingerprint."""
        return self._short.get(account) or (fingerprint(account)[:SHOWN_DIGITS] if is_key(account) else account)

    def replace(self, text: str) -> str:
        """A text of a node, with names instead of accounts and addresses."""
        for long, name in self._long.items():
            text = text.replace(long, name)
        return text


def is_key(account: str) -> bool:
    """Is this account a key, not one of the names of stage 2?"""
    return len(account) > MAX_NAME


def announce(event: Event, names: Names) -> tuple[str, str] | None:
    """What the log says about an event that was not asked for: kind and text. None if it says nothing."""
    word = WORDS.get(event["event"])
    if word is None:
        return None
    kind, text = word(event, names)
    return kind, escape_control(text)


def brief(event: Event, names: Names) -> str:
    """An event in a few words, for the table."""
    word = BRIEF.get(event["event"])
    return escape_control(word(event, names)) if word is not None else ""


def people_lines(event: Event, names: Names, events: Mapping[str, Lines]) -> list[str]:
    """An answer as a node prints it for people; `events` are the `EVENTS` of the node's stage."""
    members = {name: value for name, value in event.items() if name != "event"}
    return [escape_control(names.replace(line)) for line in events[event["event"]](members)]


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
    kind = "slot" if "slot" in event else "number"
    return "alarm", f"EQUIVOCATION: {names.of(event['creator'])} has signed {ids} for one {kind}"


def _error(event: Event, names: Names) -> tuple[str, str]:
    kind = "answer" if event["code"] in USERS_ERRORS else "alarm"
    return kind, f"error {event['code']}: {names.replace(event['reason'])}"


WORDS: dict[str, Callable[[Event, Names], tuple[str, str]]] = {
    "chat": lambda event, names: ("chat", event["text"]),
    "peer": lambda event, names: ("news", "connections up" if event["state"] == "up" else "connections lost"),
    "block": _block,
    "rollback": _rollback,
    "equivocation": _equivocation,
    "sent": lambda event, names: ("answer", f"sent {event['id'][:SHOWN_DIGITS]}"),
    "transaction": _transaction,
    "evil": lambda event, names: ("alarm", f"EVIL: {event['deed']}"),
    "error": _error,
}
"""The words of the log for each event: kind and text."""

BRIEF: dict[str, Callable[[Event, Names], str]] = {
    "listening": lambda event, names: "listening",
    "chat": lambda event, names: f"chat: {event['text'][:40]}",
    "peer": lambda event, names: f"{names.replace(event['address'] or 'somebody')} {event['state']}",
    "block": lambda event, names: f"block {event.get('height', event.get('number'))} by {names.of(event['creator'])}",
    "rollback": lambda event, names: f"ROLLBACK of {event['depth']}",
    "equivocation": lambda event, names: "EQUIVOCATION",
    "sent": lambda event, names: f"sent {event['id'][:SHOWN_DIGITS]}",
    "transaction": lambda event, names: f"{event['state']} {event['id'][:SHOWN_DIGITS]}",
    "evil": lambda event, names: f"EVIL: {event['deed']}",
    "error": lambda event, names: f"error {event['code']}",
}
"""The words of the table for each event."""

