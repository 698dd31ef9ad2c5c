"""What a space-time diagram shows. It is drawn as text (text.py) and as SVG (svg.py).

    diagram = Diagram(["alice", "bob"], [Message(0.1, "alice", "bob", "chat", "hi")], [Event(0.2, "bob", "prints hi")])
    print(*draw_text(diagram, width=80), sep="\\n")

Nodes are columns, and time runs down. It is Lamport's diagram (Time, Clocks, and the Ordering of Events, 1978), turned
so that it fits a terminal.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple


class Message(NamedTuple):
    """One message from a node to another."""

    at: float
    """When it was sent, in seconds. A diagram may show arrival times instead, if it does so for all messages."""
    sender: str
    receiver: str
    kind: str
    """Its type, such as `chat`."""
    text: str = ""
    """What it says, in short."""
    is_marked: bool = False
    """Should the reader look at it first?"""

    @property
    def label(self) -> str:
        """Its type, and what it says."""
        return f"{self.kind} {self.text}".strip()


class Event(NamedTuple):
    """Something that happened at one node."""

    at: float
    node: str
    text: str
    is_marked: bool = False


class Diagram(NamedTuple):
    """What is drawn."""

    nodes: Sequence[str]
    """Their names, from left to right. Nodes that only `messages` or `events` name come after them."""
    messages: Sequence[Message] = ()
    events: Sequence[Event] = ()

    def columns(self) -> list[str]:
        """All nodes, from left to right."""
        named = [*self.nodes, *(name for one in self.messages for name in (one.sender, one.receiver)),
                 *(one.node for one in self.events)]
        return list(dict.fromkeys(named))

    def rows(self) -> list[Message | Event]:
        """What happens, in order of time. At equal times the order is that of the lists, messages first."""
        return sorted([*self.messages, *self.events], key=lambda row: row.at)


# --- what a message says ------------------------------------------------------------------------

SHOWN_VALUE = 12
"""The most characters of a member's value that are shown whole."""


def summarize(body: str) -> tuple[str, str]:
    """The type of a message or an event, and its other members in short. If `body` is not JSON with a type: no type,
    and the beginning of `body`."""
    try:
        members: dict[str, Any] = json.loads(body)
        kind = str(members.pop("type" if "type" in members else "event"))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return "", body[:80]
    return kind, " ".join(f"{name} {shorten(value)}" for name, value in members.items())


def shorten(value: object) -> str:
    """The value of a member, so short that several fit into a line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_VALUE else f"{text[:SHOWN_VALUE - 4]}…"
