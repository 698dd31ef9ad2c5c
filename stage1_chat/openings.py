"""How connections come about: others call this node, or it calls them.

A thread waits in `accept`, and each call has a thread of its own, since looking up a name and waiting for an answer
take time. Everything else is done in the node's thread.
"""

import contextlib
import errno
import socket
import threading
from functools import partial

from common.advice import describe_call_error
from common.buffered import BufferedConnection
from common.encoding import encode_frame, is_address, split_address
from common.limits import HELLO_SECONDS, MAX_INBOUND
from common.network import ThreadedNetwork
from common.reach import is_loopback
from common.shortages import SHORTAGES
from common.threads import start_thread
from stage1_chat.connection import SocketWire
from stage1_chat.limits import ACCEPTS_AHEAD, SEND_BUFFER_BYTES, TURN_AWAY_SECONDS


class Openings:
    """The listening socket, and the calls that this node makes."""

    def __init__(self, host: str, port: int) -> None:
        """Listen on `host` and `port` (0: a free one); OSError if that fails."""
        self._network: ThreadedNetwork
        self._listener = socket.create_server((host, port), backlog=MAX_INBOUND)
        self.listening_port: int = self._listener.getsockname()[1]
        self._is_open = True
        self.unopened: set[socket.socket] = set()
        """Sockets that were accepted, and are opened a little later, or turned away."""

    def start(self, network: ThreadedNetwork) -> None:
        """Begin to accept; OSError if there is no thread for it."""
        self._network = network
        start_thread("accept", self._accept)

    def close(self) -> None:
        """Take no more callers. May be called again, and does nothing then."""
        self._is_open = False
        with contextlib.suppress(OSError):  # some systems say that a listening socket is not connected
            self._listener.shutdown(socket.SHUT_RDWR)  # `close` alone would not wake the thread that waits in `accept`
        for sock in (self._listener, *self.unopened):
            sock.close()

    def call(self, address: str) -> None:
        """Call a node; `on_open` or `on_dial_failed` of this node follows."""
        try:
            start_thread(f"dial {address}", lambda: self._dial(address))
        except OSError as error:
            # Later, and not within `call`: the handler that called is still running.
            self._network.after(0, partial(self._on_dial_failed, address, error))

    def _accept(self) -> None:
        # One place for each new caller that may wait in the inbox. While none is free, callers wait in the backlog.
        places = threading.Semaphore(ACCEPTS_AHEAD)

        def welcome(sock: socket.socket) -> None:
            try:
                self._welcome(sock)
            finally:
                places.release()

        while self._is_open:
            places.acquire()
            try:
                self._network.fairness.turns.put(False, welcome, self._listener.accept()[0])
            except OSError as error:
                # Out of file descriptors, or the caller has gone. Pause: the next call may fail at once, too.
                if error.errno in SHORTAGES:
                    self._network.put(self._network.shortages.on_error, error)
                places.release()
                threading.Event().wait(0.1)

    def _dial(self, address: str) -> None:
        try:
            sock = socket.create_connection(split_address(address), timeout=HELLO_SECONDS)
            sock.settimeout(None)
            if sock.getsockname() == sock.getpeername():
                # On loopback a call to a free port can get that very port as its own, and reach itself.
                sock.close()
                raise ConnectionRefusedError(errno.ECONNREFUSED, "it would reach this node itself")
        except (OSError, UnicodeError) as error:
            self._network.put(self._on_dial_failed, address, error)
        else:
            self._network.put(self._open, sock, address)

    def _on_dial_failed(self, address: str, error: OSError | UnicodeError) -> None:
        if isinstance(error, OSError):
            self._network.shortages.on_error(error)
        reason = f"cannot connect: {describe_call_error(error)}"
        if isinstance(error, ConnectionRefusedError) and not is_loopback(address):
            reason += "; other machines reach a node there if it was started with --host 0.0.0.0 (make: HOST=0.0.0.0)"
        self._network.node.on_dial_failed(address, reason)

    def _open(self, sock: socket.socket, dialled: str | None) -> None:
        try:
            # No Nagle's algorithm, which waits for more to send: the node hands over whole batches already.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            host, port = sock.getpeername()[:2]
            connection = BufferedConnection(dialled, f"{host}:{port}", self._network.node, self._network.fairness,
                                            self._network.collecting.append, SocketWire(sock))
        except OSError as error:
            self._network.shortages.on_error(error)
            if dialled is None and error.errno in SHORTAGES:
                self._turn_away(sock, f"this node gets no more {SHORTAGES[error.errno]} from its system")
            else:
                sock.close()  # the other end has gone already, or there are no threads for this node's own call
            if dialled is not None:
                self._network.node.on_dial_failed(dialled, "the connection was closed at once")
        else:
            self._network.node.on_open(connection)

    def _welcome(self, sock: socket.socket) -> None:
        inbound = sum(one.dialled is None and one.is_open for one in self._network.node.connections)
        if inbound + self._network.fairness.opening_later >= MAX_INBOUND and not self._network.node.idle.make_room():
            self._turn_away(sock, f"{MAX_INBOUND} connections are open, and there is no room for another one")
        elif self._network.fairness.may_open(lambda: self._welcome(sock)):
            self.unopened.discard(sock)
            self._open(sock, None)
        else:
            self.unopened.add(sock)

    def _turn_away(self, sock: socket.socket, reason: str) -> None:
        try:
            sock.setblocking(False)
            sock.send(encode_frame({"type": "error", "code": "BUSY", "reason": reason}))
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it did not wait for the answer
        # Not at once: to close a socket that holds unread bytes resets the connection, and the answer would be lost.
        self.unopened.add(sock)
        self._network.after(TURN_AWAY_SECONDS, lambda: self._close(sock))

    def _close(self, sock: socket.socket) -> None:
        self.unopened.discard(sock)
        sock.close()

    def find_own_address(self, peer: str | None) -> str:
        """The address by which other machines reach this one: the one on the route to `peer`, if that is the IP address
        of another machine; otherwise the one on the default route; 127.0.0.1 if there is no such route."""
        for address in (peer, "192.0.2.1:9"):  # RFC 5737: nobody's address
            if is_address(address) and not (found := _address_towards(str(address))).startswith("127."):
                return found
        return "127.0.0.1"


def _address_towards(address: str) -> str:
    """This machine's address on the route to `address`. A UDP connect sends nothing. Names are not looked up, since
    that takes time: 127.0.0.1 for a name."""
    host, port = split_address(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            socket.inet_aton(host)
            probe.connect((host, port))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
