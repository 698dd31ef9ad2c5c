"""The network on sockets, in this process: what leaves a node when its disk is full, and when it ends."""

import contextlib
import gc
import json
import platform
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from common.buffered import BufferedConnection
from common.console import Console
from common.encoding import encode_frame
from common.interface import Connection
from common.interface import JournalError
from common.limits import LARGE_BYTES
from common.network import ThreadedNetwork
from stage1_chat.limits import RECEIVE_BYTES
from stage1_chat.node import ChatNode
from stage1_chat.openings import Openings
from tests.processes import DEADLINE, ROOT, Event, RawPeer, chat_message, eventually, frame


class KeepingConsole(Console):
    """A console at which nobody types. It keeps what is printed."""

    def __init__(self) -> None:
        super().__init__(is_json=True, is_daemon=True)
        self.printed = b""

    def lines(self, words: Callable[[], list[str]]) -> Iterator[str]:
        """No line of standard input, which is that of the tests."""
        return iter(())

    def write(self, data: bytes) -> None:
        """Keep what is printed."""
        self.printed += data

    def told(self, event: str) -> list[Event]:
        """The events of one kind."""
        return [told for told in map(json.loads, self.printed.splitlines()) if told["event"] == event]


class FullNode(ChatNode):
    """A node that has something to commit, and no room for it once `is_full` is set."""

    is_full = False

    def commit(self) -> None:
        """Fail once the test says so."""
        if self.is_full:
            raise JournalError("make room on the disk")


class Here:
    """A node on sockets in this process. Its handlers run in the thread that calls `network.run`."""

    def __init__(self) -> None:
        self._threads_before = set(threading.enumerate())
        self.console = KeepingConsole()
        self.openings = Openings("127.0.0.1", 0)
        self.network = ThreadedNetwork(self.console, self.openings)
        self.node = FullNode(self.network, f"127.0.0.1:{self.openings.listening_port}")
        self.network.start(self.node, None)
        self.thread = threading.Thread(target=self.network.run)

    def run_with_peer(self) -> tuple[RawPeer, Connection]:
        """Run the node in another thread, and link a peer to it. Return the peer, and the node's end of the
        connection."""
        self.thread.start()
        peer = RawPeer(self.node.address, network=self.node.network_name)
        peer.join()
        return peer, next(iter(self.node.links))

    @contextlib.contextmanager
    def call_peer(self) -> Iterator[RawPeer]:
        """Let the node call a peer, and link the two."""
        with socket.create_server(("127.0.0.1", 0)) as door:
            address = "{}:{}".format(*door.getsockname())
            self.network.put(self.network.connect, address)
            with RawPeer(door.accept()[0], network=self.node.network_name, listen=address) as called:
                called.join()
                yield called

    def keep_busy(self) -> threading.Event:
        """Keep the node from handling anything until the returned event is set."""
        is_over = threading.Event()

        def wait() -> None:
            is_over.wait(DEADLINE)

        self.network.put(wait)
        return is_over

    def end(self) -> None:
        """End it, even if it has never run. The thread that waits in `accept` must end, too."""
        self.network.put(self.network.stop)
        if self.thread.ident is None:
            self.network.run()
        else:
            self.thread.join()
        eventually(lambda: not {one for one in threading.enumerate() if one.name == "accept"} - self._threads_before,
                   state=threading.enumerate)


@pytest.fixture
def here() -> Iterator[Here]:
    """A node in this process that has founded a network and does not run yet."""
    here = Here()
    yield here
    here.end()


# --- no room --------------------------------------------------------------------------------------

@pytest.mark.parametrize("who", ["a handler", "the network when the user has quit"])
def test_a_full_disk_is_reported_once_and_decides_the_status_whoever_finds_out(who: str, here: Here) -> None:
    here.node.is_full = True

    def say_and_commit() -> None:
        here.node.on_line("never kept")
        here.node.commit() if who == "a handler" else here.node.on_line("/quit")

    here.network.put(say_and_commit)
    here.network.run()
    assert [error["code"] for error in here.console.told("error")] == ["STORAGE"]
    assert here.network.status == 1 and here.console.told("chat") == []


@pytest.mark.parametrize("line", ["never kept", "/quit"])
def test_once_a_timer_has_found_the_disk_full_nothing_more_is_handled(line: str, here: Here) -> None:
    here.node.is_full = True
    here.network.after(0.0, here.node.commit)
    here.network.put(here.node.on_line, line)
    here.network.run()
    assert here.network.status == 1 and here.console.told("chat") == []
    assert [error["code"] for error in here.console.told("error")] == ["STORAGE"]


def test_messages_to_a_connection_that_was_closed_wait_for_the_commit_too(here: Here) -> None:
    peer, connection = here.run_with_peer()

    def say_and_close() -> None:
        here.node.on_line("never kept")
        connection.close()
        here.node.is_full = True

    here.network.put(say_and_close)
    with peer:
        assert [message["type"] for message in peer.expect_closed()] == ["hello", "pong"]


# --- the end --------------------------------------------------------------------------------------

def test_the_time_to_write_begins_when_there_is_something_to_write(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    peer, connection = here.run_with_peer()
    now = time.monotonic

    def refuse_and_take_long() -> None:
        for _ in range(8):  # more than the system buffers at once
            connection.send(encode_frame({"type": "pong", "nonce": "x" * 2**21}))
        here.node.refusals.refuse(connection, "FORMAT", "")
        monkeypatch.setattr(time, "monotonic", lambda: now() + 3)

    here.network.put(refuse_and_take_long)
    with peer:
        peer.expect_closed("FORMAT")


def test_a_timer_that_stops_the_node_ends_it_at_once(here: Here) -> None:
    here.network.after(0.0, here.network.stop)
    begun = time.monotonic()
    here.network.run()
    assert time.monotonic() - begun < 3, "the next timer is due after 5 seconds"


def test_after_the_timer_that_stops_the_node_no_other_one_runs(here: Here) -> None:
    late: list[str] = []
    here.network.after(0.0, here.network.stop)
    here.network.after(0.0, lambda: late.append("after the end"))
    here.network.run()
    assert late == []


# --- everyone gets a turn -------------------------------------------------------------------------

def test_a_timer_that_takes_longer_than_its_interval_does_not_starve_the_others(here: Here) -> None:
    def take_long() -> None:
        here.network.after(0.0, take_long)
        time.sleep(0.001)

    here.network.after(0.0, take_long)
    here.thread.start()
    here.network.put(here.network.stop)
    here.thread.join(10)
    is_over = not here.thread.is_alive()
    here.network.stop()
    assert is_over


def test_data_for_connections_that_the_node_has_closed_counts_with_the_rest(
        here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.fairness.MAX_OUTBOXES", 32 * 2**20)
    monkeypatch.setattr("common.buffered.FLUSH_SECONDS", DEADLINE)  # the first must be there when the second leaves
    peer, _ = here.run_with_peer()
    other = RawPeer(here.node.address, network=here.node.network_name)
    other.join()

    def say_much_and_end(to: Connection) -> None:
        for _ in range(12):
            to.send(encode_frame({"type": "pong", "nonce": "x" * 2**21}))
        to.close()

    with peer, other:
        for one in list(here.node.links):
            here.network.put(say_much_and_end, one)
            here.network.put(time.sleep, 0.1)
        eventually(lambda: [error["code"] for error in here.console.told("error")] == ["BUSY"],
                   state=lambda: here.console.printed)


def test_a_connection_that_has_ended_is_freed_without_the_garbage_collector(here: Here) -> None:
    peer, connection = here.run_with_peer()
    ended = weakref.ref(connection)
    del connection
    gc.disable()
    try:
        peer.close()
        # It is freed once the last timer that refers to it has run, the one that checks for a hello.
        eventually(lambda: ended() is None, state=lambda: gc.get_referrers(ended()))
    finally:
        gc.enable()


def test_a_connection_that_this_node_has_opened_is_not_kept_waiting_by_many_strangers(here: Here) -> None:
    """Thirty strangers ask as fast as they can. The called peer asks once, and again when it has the answer."""
    here.thread.start()
    with here.call_peer() as called, contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(RawPeer(here.node.address, network=here.node.network_name)) for _ in range(30)]
        for one in strangers:
            one.join()
        is_over = threading.Event()
        here.node.on_ping = slowed(here.node.on_ping)  # type: ignore[method-assign]
        pings = encode_frame({"type": "ping", "nonce": ""}) * 100
        askers = [threading.Thread(target=ask_on, args=(one.socket, pings, is_over)) for one in strangers]
        for asker in askers:
            asker.start()
        begun = time.monotonic()
        for _ in range(5):
            called.barrier()
        took = time.monotonic() - begun
        is_over.set()
        for asker in askers:
            asker.join()
    assert took < 5 * 0.2, f"{took:.2f} s for five answers: thirty strangers with a turn of 10 ms each take 0.3"


def slowed(handle: Callable[..., None]) -> Callable[..., None]:
    """The same handler, but 5 ms slower."""
    def handle_slowly(*arguments: Any) -> None:
        time.sleep(0.005)
        handle(*arguments)
    return handle_slowly


def ask_on(sock: socket.socket, question: bytes, is_over: threading.Event) -> None:
    """Send the same again and again, and never read an answer."""
    sock.settimeout(0.1)
    while not is_over.is_set():
        with contextlib.suppress(TimeoutError):
            sock.send(question)


# --- which connections give way -------------------------------------------------------------------

UNFINISHED = (2**22).to_bytes(4, "big") + b" " * 900_000
"""The beginning of a frame that never ends: too small to be counted by itself."""


@pytest.mark.parametrize("who", ["a neighbour that sends a large message", "a called peer that sends nothing more"])
def test_when_too_much_is_unhandled_connections_without_progress_are_closed(
        who: str, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.fairness.MAX_RECEIVED", 6 * 2**20)
    here.thread.start()
    large = frame(json.dumps({"type": "ping", "nonce": "large"}).encode().ljust(3 * 2**20))
    with here.call_peer() as called, contextlib.ExitStack() as stack:
        if who == "a called peer that sends nothing more":
            called.send_bytes(UNFINISHED)
            time.sleep(0.5)
        for _ in range(5):
            one = stack.enter_context(RawPeer(here.node.address, network=here.node.network_name))
            one.join()
            one.send_bytes(UNFINISHED)
        time.sleep(2.0)  # in which they make no progress
        honest = stack.enter_context(RawPeer(here.node.address, network=here.node.network_name))
        honest.join()
        honest.send_bytes(large)
        honest.expect("pong", nonce="large")
        assert [error["code"] for error in here.console.told("error")] in (["BUSY"], ["BUSY"] * 2)
        assert any(link.dialled for link in here.node.links)


def test_when_too_much_waits_to_be_written_a_slow_reader_stays_and_one_that_reads_nothing_is_closed(
        here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.fairness.MAX_OUTBOXES", 32 * 2**20)
    here.thread.start()
    answer = encode_frame({"type": "pong", "nonce": "x" * 2**20})
    with contextlib.ExitStack() as stack:
        slow, deaf = (stack.enter_context(RawPeer(here.node.address, network=here.node.network_name,
                                                  receive_buffer=65_536)) for _ in range(2))
        for one in (slow, deaf):
            one.join()
        for link in list(here.node.links):
            for _ in range(12):
                here.network.put(link.send, answer)
        for _ in range(25):
            time.sleep(0.1)
            slow.socket.recv(300_000)
        for link in [link for link in here.node.links if link.address == slow.listen]:
            for _ in range(18):
                here.network.put(link.send, answer)
        eventually(lambda: here.console.told("error") != [], state=lambda: here.console.printed)
        assert [peer["address"] for peer in here.console.told("peer") if peer["state"] == "down"] == [deaf.listen]


@pytest.mark.parametrize("are_useful", [False, True])
def test_when_all_connections_are_taken_a_peer_that_brings_nothing_makes_room(
        are_useful: bool, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage1_chat.openings.MAX_INBOUND", 6)
    monkeypatch.setattr("common.idle.USELESS_SECONDS", 1.0)
    here.thread.start()
    with here.call_peer() as called, contextlib.ExitStack() as stack:
        callers = [stack.enter_context(RawPeer(here.node.address, network=here.node.network_name)) for _ in range(6)]
        for one in callers:
            one.join()
        with RawPeer(here.node.address, network=here.node.network_name) as early:
            early.expect_closed("BUSY")
        time.sleep(1.1)
        for one in callers if are_useful else callers[1:]:
            one.send(chat_message("news"))
            one.barrier()
        with RawPeer(here.node.address, network=here.node.network_name) as late:
            if are_useful:
                late.expect_closed("BUSY")
            else:
                late.join()
                callers[0].expect_closed("BUSY")
        for one in [called, *(callers if are_useful else callers[1:])]:
            one.barrier()


# --- memory -----------------------------------------------------------------------------------------

def test_while_the_node_is_busy_a_reader_reads_one_mebibyte_and_waits(here: Here) -> None:
    peer, connection = here.run_with_peer()
    assert isinstance(connection, BufferedConnection)
    is_over = here.keep_busy()
    unfinished = (2**22).to_bytes(4, "big") + b" " * (2**22 - 1)
    with peer:
        sender = threading.Thread(target=peer.socket.sendall, args=(unfinished,))
        sender.start()
        eventually(lambda: connection.unhandled >= LARGE_BYTES, state=lambda: connection.unhandled)
        time.sleep(0.3)  # in which it could read all
        held = connection.unhandled
        is_over.set()
        sender.join()
        eventually(lambda: connection.unhandled == len(unfinished), state=lambda: connection.unhandled)
    assert held <= LARGE_BYTES + RECEIVE_BYTES


def test_what_a_costly_connection_has_brought_goes_when_it_is_closed(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its turns come last, and its memory would wait as long."""
    monkeypatch.setattr("common.turns.LONG_TURN_SECONDS", 0.0)
    peer, connection = here.run_with_peer()
    assert isinstance(connection, BufferedConnection)
    left: list[bool] = []

    def close_and_look() -> None:
        connection.close()
        left.append(connection.batches.is_empty and not here.network.fairness.turns.is_postponing)

    with peer:
        is_over = here.keep_busy()
        peer.send(chat_message("never heard"))
        eventually(lambda: here.network.fairness.turns.is_waiting, state=lambda: connection.unhandled)
        here.network.put(close_and_look)
        is_over.set()
        peer.expect_closed()
    assert left == [True] and here.console.told("chat") == []


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library gives memory back in its own way")
def test_tidying_returns_free_memory_between_kept_objects_to_the_system() -> None:
    script = """
import resource
from common.memory import tidy_memory
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
held = [b"x" * number for number in range(60_000, 61_000)]
kept = held[::100]
del held
before = resident()
tidy_memory()
print(before - resident() > 50_000_000)
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True).stdout == "True\n"
