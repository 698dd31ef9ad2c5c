"""A network that fails on purpose: a proxy in front of every node, on the connections between real nodes.

    with Faults(seed=7) as faults:
        alice, bob = faults.add("alice"), faults.add("bob")
        ...                                         # start a node with `alice.options`, one with `bob.options`
        faults.partition([["alice"], ["bob"]])      # open connections end, new ones are closed at once
        faults.heal()

The nodes are not changed, and do not notice. Because of `--announce` the others call the proxy's address instead
of the node's own. When a node calls, `listen` in its hello tells the proxy which node it is. A caller that is not
one of its nodes (a stranger) is let through.

    node a ──> the listener of b ──> thread: who calls? ──> node b        one thread carries bytes from a to b,
                                                                          another one from b to a

A fault lasts until `heal`. The seed decides what is drawn at random: how long a delayed piece takes, and which
nodes a test picks with `faults.random`. It does not decide how threads take turns.
"""

import contextlib
import json
import random
import secrets
import socket
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import combinations, product
from typing import NamedTuple, Self

HOST = "127.0.0.1"

RECEIVE_BYTES = 64 * 1024

MAX_HELLO = 4 * 1024
"""The most bytes of a first frame. A hello has a few hundred bytes; a caller that sends more is a stranger."""

PORT_ELSEWHERE = 5000
"""The port of a node on another machine. A free port cannot be reserved there."""

END_SECONDS = 5.0
"""Seconds that `close` waits for each thread."""


class Place(NamedTuple):
    """Where a node is: behind the proxy."""

    name: str
    address: str
    """The proxy's address, which the others call."""
    port: int
    """The node's own port, which only the proxy calls."""
    host: str = HOST
    """The host of that port."""

    @property
    def options(self) -> list[str]:
        """The options with which the node must be started, even after a crash."""
        return ["--host", self.host, "--port", str(self.port), "--announce", self.address]


class Link:
    """One connection through the proxy."""

    def __init__(self, callee: str, caller_socket: socket.socket) -> None:
        self.caller: str | None = None
        """The node that called. None for a stranger, and until the hello has come."""
        self.callee = callee
        self.has_ended = threading.Event()
        self._sockets = [caller_socket]

    @property
    def ends(self) -> set[str | None]:
        """The names of the two nodes that it connects."""
        return {self.caller, self.callee}

    def add_socket(self, callee_socket: socket.socket) -> None:
        """The callee has been reached."""
        self._sockets.append(callee_socket)
        if self.has_ended.is_set():
            self.end()

    def end(self) -> None:
        """Shut the connection down in both directions. This wakes the threads that wait for bytes."""
        self.has_ended.set()
        for one in self._sockets:
            _shut_down(one, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the sockets, which nobody uses any longer."""
        self.has_ended.set()
        for one in self._sockets:
            one.close()


class Faults:
    """The proxies of one network, and its current faults. Any thread may call any method."""

    def __init__(self, seed: int | None = None) -> None:
        """There is no fault at first. Print `seed`, so that a run can be repeated."""
        self.seed = secrets.randbits(32) if seed is None else seed
        self.random = random.Random(self.seed)
        self.places: dict[str, Place] = {}
        self._changed = threading.Condition()
        """Guards the attributes below, and wakes the threads whose bytes are held up."""
        self._cut: set[frozenset[str]] = set()
        self._held: set[tuple[str, str]] = set()
        """Pairs of sender and receiver: bytes in that direction wait."""
        self._delays: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        """Bytes a second that a node can receive; it can send as many."""
        self._free_at: dict[tuple[str, bool], float] = {}
        """(Name of a node, does it send?) -> the time until which that line is busy, in seconds of the clock."""
        self._carried: Counter[tuple[str | None, str | None]] = Counter()
        """Bytes that came, by sender and receiver."""
        self._links: set[Link] = set()
        self._is_closed = False
        self._sockets: list[socket.socket] = []
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        """A thread that has ended leaves this set, since nothing else refers to it."""

    def add(self, name: str, host: str = HOST, machine: str = HOST) -> Place:
        """A place for one more node. Earlier faults do not affect it. The proxy listens on `host`, the node on
        `machine`, which is the address of the machine that it runs on."""
        listener = socket.create_server((host, 0), backlog=128)
        port = self._reserve_port() if machine == HOST else PORT_ELSEWHERE
        place = Place(name, f"{host}:{listener.getsockname()[1]}", port, machine)
        self.places[name] = place
        self._sockets.append(listener)
        self._start(lambda: self._accept(listener, place))
        return place

    def _reserve_port(self) -> int:
        """Bind a port without listening: while the node is down, nobody else gets the port, and a call is refused."""
        reserved = socket.socket()
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((HOST, 0))
        port: int = reserved.getsockname()[1]
        if sys.platform == "linux":
            self._sockets.append(reserved)
        else:
            reserved.close()  # on other systems the node could not listen there otherwise
        return port

    # --- faults ---------------------------------------------------------------------------------

    def cut(self, one: str, other: str) -> None:
        """End the open connections between two nodes, and close new ones at once, before any hello."""
        self.partition([[one], [other]])

    def mend(self, one: str, other: str) -> None:
        """End the cut between two nodes, and no other fault."""
        with self._changed:
            self._cut.discard(frozenset((one, other)))

    def stall(self, one: str, other: str) -> None:
        """Keep connections between two nodes open, but carry nothing, not even an end: as if a cable were unplugged."""
        with self._changed:
            self._held |= {(one, other), (other, one)}

    def delay(self, name: str, seconds: float) -> None:
        """Delay each piece of bytes to and from a node by about `seconds` (half to one and a half times that).

        Order is kept: later pieces wait for earlier ones. 0 ends the delay.
        """
        with self._changed:
            self._delays[name] = seconds

    def throttle(self, name: str, bytes_per_second: float) -> None:
        """Let a node receive at most that many bytes a second on all connections, and send as many. 0 ends that."""
        with self._changed:
            self._rates[name] = bytes_per_second

    def count_bytes(self, sender: str, receiver: str) -> int:
        """How many bytes one node has sent to another so far, hellos included, over all their connections."""
        with self._changed:
            return self._carried[sender, receiver]

    def partition(self, groups: Sequence[Collection[str]], one_way: bool = False) -> None:
        """Cut all pairs of nodes from different groups. A node in no group still reaches everybody.

        One way: no connection ends. What an earlier group sends to a later one arrives, and what comes back waits.
        """
        pairs = [pair for earlier, later in combinations(groups, 2) for pair in product(earlier, later)]
        with self._changed:
            if one_way:
                self._held |= {(later, earlier) for earlier, later in pairs}
            else:
                self._cut |= set(map(frozenset, pairs))
                self._end_links(lambda link: link.ends in self._cut)

    def disconnect(self, name: str) -> None:
        """End a node's open connections, once. They may be opened again at once."""
        with self._changed:
            self._end_links(lambda link: name in link.ends)

    def heal(self) -> None:
        """End all faults. What was held up arrives."""
        with self._changed:
            self._cut.clear()
            self._held.clear()
            self._delays.clear()
            self._rates.clear()
            self._changed.notify_all()

    def count_links(self, one: str, other: str) -> int:
        """How many connections are open between two nodes, stalled ones included."""
        with self._changed:
            return sum(link.ends == {one, other} and not link.has_ended.is_set() for link in self._links)

    def describe(self) -> str:
        """The current faults, in one line."""
        with self._changed:
            return (f"seed {self.seed}; cut: {sorted(map(sorted, self._cut))}; held up: {sorted(self._held)};"
                    f" delays: {self._delays}; rates: {self._rates}; {len(self._links)} connections")

    def _end_links(self, is_affected: Callable[[Link], bool]) -> None:
        for link in filter(is_affected, self._links):
            link.end()
        self._changed.notify_all()

    # --- connections ----------------------------------------------------------------------------

    def _accept(self, listener: socket.socket, place: Place) -> None:
        while True:
            try:
                link_socket = listener.accept()[0]
            except OSError:
                return  # closed
            self._start(lambda link_socket=link_socket: self._serve(link_socket, place))  # type: ignore[misc]

    def _serve(self, caller_socket: socket.socket, place: Place) -> None:
        link = Link(place.name, caller_socket)
        with self._changed:
            self._links.add(link)
            if self._is_closed:
                link.end()
        try:
            first = _receive_first_frame(caller_socket)
            if first and self._is_admitted(link, first) and self._wait_while_held(link, link.caller, link.callee):
                self._join_ends(link, first, caller_socket, place)
        finally:
            with self._changed:
                self._links.discard(link)
            link.close()

    def _is_admitted(self, link: Link, first: bytes) -> bool:
        """Read from the first frame who is calling. May that node connect?"""
        address = _listen_address(first)
        with self._changed:
            link.caller = next((place.name for place in self.places.values() if place.address == address), None)
            return link.ends not in self._cut

    def _join_ends(self, link: Link, first: bytes, caller_socket: socket.socket, place: Place) -> None:
        """Call the node, and carry bytes both ways until both have ended."""
        try:
            callee_socket = socket.create_connection((place.host, place.port))
        except OSError:
            return  # the node is not there
        link.add_socket(callee_socket)
        for one in (caller_socket, callee_socket):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = self._start(lambda: self._carry(link, callee_socket, caller_socket, link.callee, link.caller))
        self._carry(link, caller_socket, callee_socket, link.caller, link.callee, first)
        back.join()

    def _carry(self, link: Link, source: socket.socket, target: socket.socket, sender: str | None,
               receiver: str | None, data: bytes = b"") -> None:
        """Carry bytes one way, and the end of the stream after them."""
        data = data or _receive(source)
        while data and self._wait_while_held(link, sender, receiver):
            link.has_ended.wait(self._draw_delay(sender, receiver) + self._take_line(sender, receiver, len(data)))
            try:
                target.sendall(data)
            except OSError:
                # The receiver is gone. While bytes in the other direction are held up, the sender must not learn of it.
                self._wait_while_held(link, receiver, sender)
                link.end()
            data = _receive(source)
        self._wait_while_held(link, sender, receiver)
        _shut_down(target, socket.SHUT_WR)

    def _wait_while_held(self, link: Link, sender: str | None, receiver: str | None) -> bool:
        """Wait until bytes may go from sender to receiver. False if the connection ends first."""
        with self._changed:
            self._changed.wait_for(lambda: link.has_ended.is_set() or (sender, receiver) not in self._held)
        return not link.has_ended.is_set()

    def _draw_delay(self, sender: str | None, receiver: str | None) -> float:
        """The delay of the next piece, in seconds."""
        with self._changed:
            mean = self._delays.get(sender or "", 0.0) + self._delays.get(receiver or "", 0.0)
            return mean * self.random.uniform(0.5, 1.5) if mean else 0.0

    def _take_line(self, sender: str | None, receiver: str | None, size: int) -> float:
        """Seconds until the lines of both nodes have carried `size` bytes, after what came before."""
        with self._changed:
            self._carried[sender, receiver] += size
            now = time.monotonic()
            for name, is_sending in ((sender or "", True), (receiver or "", False)):
                if self._rates.get(name):
                    begins = max(now, self._free_at.get((name, is_sending), 0.0))
                    self._free_at[name, is_sending] = begins + size / self._rates[name]
            return max(0.0, *(self._free_at.get(line, 0.0) - now
                              for line in ((sender or "", True), (receiver or "", False))))

    # --- threads and their end ------------------------------------------------------------------

    def _start(self, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target, name="proxy", daemon=True)
        thread.start()
        self._threads.add(thread)  # only after the start: `close` may wait for it at once
        return thread

    def close(self) -> None:
        """End all connections and all threads. End the nodes first: without the proxies they reach nobody."""
        with self._changed:
            self._is_closed = True
            self._end_links(lambda link: True)
        for one in self._sockets:
            _shut_down(one, socket.SHUT_RDWR)
            one.close()
        for thread in list(self._threads):
            thread.join(END_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shut_down(one: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(how)


def _receive(source: socket.socket) -> bytes:
    """The next bytes; none at the end of the stream, even if that was a reset."""
    try:
        return source.recv(RECEIVE_BYTES)
    except OSError:
        return b""


def _receive_first_frame(source: socket.socket) -> bytes:
    """The bytes up to the end of the first frame, or fewer if it is too long for a hello."""
    data = b""
    while len(data) < min(MAX_HELLO, 4 + int.from_bytes(data[:4], "big")) and (more := _receive(source)):
        data += more
    return data


def _listen_address(data: bytes) -> str | None:
    """The address in the hello at the start of `data`; None if there is no hello."""
    try:
        return str(json.loads(data[4:4 + int.from_bytes(data[:4], "big")])["listen"])
    except (ValueError, KeyError, TypeError):
        return None
