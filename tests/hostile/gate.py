"""A gate between a newcomer and the peer that it dials: at first only what joining needs passes, later everything."""

import contextlib
import socket
import threading
from typing import Self

from tests.hostile.strangers import split

PASSES = (b'"type":"hello"', b'"type":"genesis"', b'"type":"peers"')
"""The messages of a peer that pass before the gate is open: they bring none of its history."""


class Gate:
    """Listens in place of a node, and passes on what one caller and that node say."""

    def __init__(self, node_address: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        """The address that the newcomer dials."""
        host, _, port = node_address.rpartition(":")
        self._node = (host, int(port))
        self._is_open = threading.Event()
        self._sockets = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def open(self) -> None:
        """Let everything pass: what the node has said so far, and what it says from now on."""
        self._is_open.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            caller, node = self._listener.accept()[0], socket.create_connection(self._node)
            self._sockets += [caller, node]
            self._threads.append(threading.Thread(target=self._carry, args=(caller, node)))
            self._threads[-1].start()
            self._let_in(node, caller)
            self._carry(node, caller)

    def _let_in(self, node: socket.socket, caller: socket.socket) -> None:
        rest, held = b"", b""
        node.settimeout(0.02)
        while not self._is_open.is_set():
            with contextlib.suppress(TimeoutError):
                bodies, rest = split(rest + node.recv(2**16))
                for body in bodies:
                    whole = len(body).to_bytes(4, "big") + body
                    if any(one in body for one in PASSES):
                        caller.sendall(whole)
                    else:
                        held += whole
        node.settimeout(None)
        caller.sendall(held + rest)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2**18):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()
