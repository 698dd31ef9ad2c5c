"""The node's thread, and what it exchanges with all others; sockets are in stage1_chat/.

    accept thread ────┐
    dial threads ─────┤                                              ┌──> writer thread ──> socket
    reader threads ───┼──> one inbox ──> the node's thread ──> outboxes
    standard input ───┤    (queue)       (and its timers)            └──> printer thread ──> standard output
    signals ──────────┘

One thread owns the node: it takes one item after the other from the inbox and
calls the node's method for it. Nobody else touches the node, so no stage needs
a lock. common/turns.py decides whose turn it is, and common/fairness.py how much
all connections together may hold.

What handlers send is collected and handed to the writers when nothing more waits in the inbox, or after some
milliseconds: so a hundred messages wake each writer once. Before that the node commits, so nothing leaves it that a
crash could make untrue.
"""

import random
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

from common.buffered import BufferedConnection, Listener
from common.console import Console
from common.fairness import Fairness
from common.idle import Idle
from common.interface import Connection, JournalError, Lines, Members, Setup
from common.limits import FLUSH_SECONDS, HAND_OVER_SECONDS, MAX_OUTBOX
from common.outbox import Outbox
from common.shortages import Shortages
from common.signals import Signals
from common.threads import start_thread, start_writer
from common.timers import Timers
from common.typed import Reader, Typed


class Sockets(Protocol):
    """How connections come about: by the callers of this node, or by its own calls."""

    listening_port: int

    def start(self, network: "ThreadedNetwork") -> None:
        """Begin to accept; OSError if that fails."""

    def call(self, address: str) -> None:
        """Call a node; `on_open` or `on_dial_failed` of this node follows."""

    def close(self) -> None:
        """Take no more callers."""

    def find_own_address(self, peer: str | None) -> str:
        """The address by which other machines reach this one."""


class Node(Listener, Reader, Protocol):
    """What the node is told, in its thread."""

    idle: Idle

    @property
    def setup(self) -> Setup:
        """What the node was given when it was made."""

    @property
    def connections(self) -> Collection[Connection]:
        """All that are open."""

    def start(self, peer: str | None) -> None:
        """Join the network that `peer` is in, or found one."""

    def on_open(self, connection: Connection) -> None:
        """A connection has been opened, by either side."""

    def on_dial_failed(self, address: str, reason: str) -> None:
        """Nobody could be reached at `address`."""

    def commit(self) -> None:
        """Make what has happened outlast a crash."""

    def on_end(self) -> None:
        """The node ends, after `stop`: close what it has open."""


class ThreadedNetwork:
    """The verbs of `common.interface.Network` for a node that runs, and the loop of the node's thread."""

    node: Node

    def __init__(self, console: Console, sockets: Sockets) -> None:
        """OSError if the system has no thread for the printer."""
        self.random: random.Random = random.SystemRandom()
        self.console = console
        self.printer = Outbox(self.now)
        """What is to be printed."""
        self._timers = Timers(self.now)
        self.fairness = Fairness(self.now, self.after)
        self.collecting: list[BufferedConnection] = []
        """Connections that have something to hand over to their writers."""
        self.shortages = Shortages(self.now, lambda code, reason: self.node.report_error(code, reason))
        self._is_running = True
        self._lacks_storage = False
        self.status = 0
        """The exit status that the node has asked for."""
        self.sockets = sockets
        self._printing = start_writer("printer", self.printer, console.write, lambda: None)

    def start(self, node: Node, peer: str | None) -> None:
        """Let the node join by `peer`, or found a network; OSError if there is no thread to accept."""
        self.node = node
        self.sockets.start(self)
        self.do(node.start, peer)
        self.hand_over()

    def run(self) -> None:
        """Be the node's thread, until `stop`."""
        while self._is_running:
            self._run_timers()
            if self._is_running:  # no timer has ended it
                self._handle_some()
        self._end()

    def put(self, handler: Callable[..., None], *arguments: Any) -> None:
        """Have the node's thread call `handler`: the way in for every other thread."""
        self.fairness.turns.put(True, handler, *arguments)

    def do(self, handler: Callable[..., None], *arguments: Any) -> None:
        """Call `handler`. The node survives any error in it except two: its storage has failed, or a function is not
        written yet."""
        try:
            handler(*arguments)
        except JournalError as error:
            self._end_for_lack_of_storage(error)
        except NotImplementedError:
            raise  # a student has not written this function yet, and nothing can go on without it
        except Exception:
            import traceback  # only here, since the import would slow down each start
            traceback.print_exc()  # a defect that one peer meets must not end the node for all the others

    def hand_over(self) -> None:
        """Commit what the handlers have done, then let the writers have what they have sent."""
        try:
            if not self._lacks_storage:
                self.node.commit()
        except JournalError as error:
            self._end_for_lack_of_storage(error)
        for connection in self.collecting:
            self.fairness.turns.charge(connection.is_own, connection.hand_over())
        self.collecting.clear()
        self.printer.hand_over()

    def _handle_some(self) -> None:
        """Wait for the next item, or for the next timer. Under load, handle some more before handing over: so each
        writer is woken once for all of them."""
        turns = self.fairness.turns
        if turns.wait(self._timers.seconds_to_next()):
            self.do(turns.do_next)
            deadline = self.now() + HAND_OVER_SECONDS
            while self._is_running and turns.is_waiting and self.now() < deadline:
                self.do(turns.do_next)
            self.hand_over()

    def _run_timers(self) -> None:
        due = self.now()  # what becomes due later waits until the inbox has had a turn: a slow timer must not starve it
        while self._is_running and (action := self._timers.pop_due(due)):
            self.do(action)
            self.hand_over()

    def _end_for_lack_of_storage(self, error: JournalError) -> None:
        """What could not be stored must not be told: drop what was sent since the last commit, and end the node."""
        for connection in self.collecting:
            connection.forget_collected()
        self.printer.forget_collected()
        self._lacks_storage = True
        self.node.report_error("STORAGE", str(error))
        self.stop(status=1)

    # --- the verbs ------------------------------------------------------------------------------

    def now(self) -> float:
        """The time in seconds, on a clock that never goes back."""
        return time.monotonic()

    def unix_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` once, that much later."""
        self._timers.after(seconds, action)

    def report(self, event: str, members: Members, lines: Lines) -> None:
        """Print an event. If nobody reads our output, lines are dropped: otherwise they would fill the memory."""
        if self.printer.waiting <= MAX_OUTBOX:
            self.printer.collect(self.console.render(event, members, lines))

    def stop(self, status: int = 0) -> None:
        """End the loop when the present handler is done."""
        self._is_running = False
        self.status = status

    def connect(self, address: str) -> None:
        """Try to connect; `on_open` or `on_dial_failed` of the node follows."""
        self.sockets.call(address)

    def read_lines(self) -> None:
        """Begin to read standard input."""
        typed = Typed(self.console, self.node, self.put, self.stop)
        try:
            start_thread("standard input", typed.read)
        except OSError as error:
            self.shortages.on_error(error)
            self.stop(status=1)

    # --- the end --------------------------------------------------------------------------------

    def stop_on_signals(self) -> None:
        """Let Ctrl-C and SIGTERM end the node cleanly. Called by the main thread; OSError if there is no thread for
        it."""
        signals = Signals()

        def await_end() -> None:
            signals.wait_for_end(self.console.on_continued)
            self.put(self.stop)

        start_thread("signals", await_end)

    def _end(self) -> None:
        """Take no more callers, and give each peer, and whoever reads the output, a while to read what is left."""
        self.sockets.close()
        self.node.on_end()
        deadline = self.now() + FLUSH_SECONDS
        connections = [one for one in self.node.connections if isinstance(one, BufferedConnection)]
        for connection in connections:
            connection.finish()
        self.printer.close()
        for connection in connections:
            connection.wire.wait_until_down(max(0.0, deadline - self.now()))
        self._printing.join(FLUSH_SECONDS)
