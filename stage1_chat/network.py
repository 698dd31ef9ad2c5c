"""The node's thread, and what it exchanges with all others; sockets are in openings.py and connection.py.

    accept thread ────┐
    dial threads ─────┤                                              ┌──> writer thread ──> socket
    reader threads ───┼──> one inbox ──> the node's thread ──> outboxes
    standard input ───┤    (queue)       (and its timers)            └──> printer thread ──> standard output
    signals ──────────┘

One thread owns the node: it takes one item after the other from the inbox and
calls the node's method for it. Nobody else touches the node, so no stage needs
a lock.

What the loop of that thread does, one item after the other, is common/loop.py. Whose turn it is, and what all
connections together may hold, is the business of common/fairness.py.
"""

from common.console import Console
from common.limits import FLUSH_SECONDS
from common.loop import Loop
from common.signals import Signals
from common.typed import Typed
from stage1_chat.connection import SocketConnection, start_thread, start_writer
from stage1_chat.node import ChatNode
from stage1_chat.openings import Openings


class SocketNetwork(Loop):
    """The verbs of `common.interface.Network` on TCP, and the node's thread."""

    node: ChatNode

    def __init__(self, host: str, port: int, console: Console) -> None:
        """Listen on `host` and `port` (0: a free one); OSError if that cannot be."""
        super().__init__(console)
        self._openings = Openings(host, port, self)
        self.listening_port = self._openings.listening_port
        self._printing = start_writer("printer", self.printer, console.write, lambda: None)

    def start(self, node: ChatNode, peer: str | None) -> None:
        """Let the node join by `peer`, or found a network."""
        self.node = node
        self._openings.start()
        self.do(node.start, peer)
        self.hand_over()

    def run(self) -> None:
        """Be the node's thread, until `stop`."""
        self.run_loop()
        self._end()

    def connect(self, address: str) -> None:
        """Try to connect; `on_open` or `on_dial_failed` of the node follows."""
        self._openings.call(address)

    def read_lines(self) -> None:
        """Begin to read standard input."""
        typed = Typed(self.console, self.node, self.put, self.stop)
        try:
            start_thread("standard input", typed.read)
        except OSError as error:
            self.shortages.on_error(error)
            self.stop(status=1)

    def stop_on_signals(self) -> None:
        """Let Ctrl-C and SIGTERM end the node in order. Called by the main thread; OSError if there is no thread for
        it."""
        signals = Signals()

        def await_end() -> None:
            signals.wait_for_end(self.console.on_continued)
            self.put(self.stop)

        start_thread("signals", await_end)

    def _end(self) -> None:
        """Take no more callers, and give each peer, and whoever reads the output, a while to read what is left."""
        self._openings.close()
        self.node.on_end()
        deadline = self.now() + FLUSH_SECONDS
        connections = [one for one in self.node.connections if isinstance(one, SocketConnection)]
        for connection in connections:
            connection.close()
            connection.hand_over()
        self.printer.close()
        for connection in connections:
            connection.wait_until_down(deadline)
        self._printing.join(FLUSH_SECONDS)
