"""Between a node and the world: the verbs of a network, a connection and its states, and the errors."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

from common.limits import HELLO_SECONDS


class HandshakeError(Exception):
    """The two nodes do not belong together: the reason goes to the peer, with the code HANDSHAKE, and the
    connection ends (contract §2)."""


class Invalid(Exception):
    """A message is well-formed but not valid; the reason says which rule it breaks (contract §2)."""


class CommandError(Exception):
    """A line that was typed cannot be carried out; `code` is one of the error codes of contract §4."""

    def __init__(self, reason: str, code: str = "COMMAND") -> None:
        super().__init__(reason)
        self.code = code


class JournalError(Exception):
    """The journal cannot be used or written. The message is one line for the user."""


class Command(NamedTuple):
    """One command of the prompt, as `/help` shows it."""

    usage: str
    meaning: str

    def expect(self, arguments: list[str], count: int = 0) -> None:
        """CommandError, with the usage, unless there are `count` arguments."""
        if len(arguments) != count:
            raise CommandError(f"expected {self.usage}")


Members = dict[str, Any]
"""What an event says, by name (contract §4)."""

Lines = Callable[[Members], list[str]]
"""Makes the lines for people from an event's members."""


class State(Enum):
    """How far a connection is, as the node sees it (contract §2).

        GREETING ── both have said hello ──> LINKED
            │                                  │
            └──────────── either end closes ───┴──> LEAVING ── all is written, or the time is up ──> ENDED
    """

    GREETING = auto()
    LINKED = auto()
    LEAVING = auto()
    ENDED = auto()


_OPEN = (State.LINKED, State.GREETING)


class Setup:
    """What a node is given when it is made. A stage that needs more extends the class of the stage before.

    (A dataclass would say the same, and its import would take a tenth of the time that a node takes to start.)
    """

    def __init__(self, *, join_seconds: float = HELLO_SECONDS) -> None:
        self.join_seconds = join_seconds
        """How long the node calls its peer to join, before it founds a network: `--wait`."""

    @property
    def remembers_network(self) -> bool:
        """Does the node go on with a network that it was in before it was started? In stage 1 it does not."""
        return False

    @property
    def other_options(self) -> str:
        """The options besides `--peer` that must change if the node is to join another network."""
        return ""


class Connection(ABC):
    """One TCP connection as the node sees it; the network adds how to `send` and `close`."""

    def __init__(self, dialled: str | None, remote: str, now: float) -> None:
        self.dialled = dialled
        """The address that this node called; None if the other side called."""
        self.proven = dialled
        """The address at which this node has reached the peer by a call of its own. None while only the peer's hello
        names one: a hello may name anybody's address."""
        self.remote = remote
        """The IP address and port of the other end of the socket. People are shown it. It also tells whether two calls
        have reached the same place."""
        self.address: str | None = None
        """The address that the peer listens on, as its hello says; None before."""
        self.said_network: str | None = None
        """The network in this node's own hello on this connection; None if this node was still joining then."""
        self.claimed_address: str | None = None
        """The address in the peer's hello, even if that hello was refused. The user is shown the peer by this address,
        since `remote` has another port at each call."""
        self.opened = self.heard = now
        """When it was opened, and when its last whole frame came, in seconds of `Network.now`."""
        self.useful_at = now
        """When it last brought something that was new and valid, in seconds of `Network.now`; at first when it was
        opened. A presence (stage 2) does not count: anybody can make any number of them, and no user sees them."""
        self.invalid = 0
        """How many invalid messages it has brought."""
        self.state = State.GREETING
        self.was_refused = False
        """Has this node ended the connection for good: because of what the peer did, since it has another link to that
        node, or since the time to join is over? Then it does not call that address again, unless it is `--peer`'s."""
        self.was_reported = False
        """Has the user been told that it brings invalid messages?"""

    @property
    def is_open(self) -> bool:
        """Can messages come and go?"""
        return self.state in _OPEN

    @property
    def is_own(self) -> bool:
        """Has this node called the other end, by this connection or by one that was closed in favour of it? All others
        are strangers: anybody can call."""
        return self.proven is not None

    @abstractmethod
    def send(self, frame: bytes) -> None:
        """Send `frame` after all that was sent before; never blocks."""

    @abstractmethod
    def close(self) -> None:
        """Close after writing what was sent; `on_close` follows. Frames that still arrive are dropped."""


class Network(Protocol):
    """The verbs that a node uses: `common.network` has them for a node that runs, `lab.simulation` in memory. (The
    network of nodes, which `network_name` names, is something else.)"""

    random: random.Random

    def now(self) -> float:
        """The time in seconds on a clock that never goes back, for measuring how long something takes."""

    def unix_ms(self) -> int:
        """Milliseconds since 1970, for times that nodes have to agree on."""

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` once, that much later."""

    def connect(self, address: str) -> None:
        """Try to connect; `on_open` or `on_dial_failed` follows."""

    def report(self, event: str, members: Members, lines: Lines) -> None:
        """Tell what happened (contract §4): people by `lines`, programs by name and members."""

    def read_lines(self) -> None:
        """Begin to read standard input; `on_line` follows for each line."""

    def stop(self, status: int = 0) -> None:
        """End this node cleanly, with this exit status."""
