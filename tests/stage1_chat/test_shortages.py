"""The system has no more threads or open files: the node says so once, in one line, and goes on (contract §2)."""

import errno
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from common.threads import start_thread
from tests.processes import DEADLINE, ROOT, RawPeer, eventually
from tests.stage1_chat.test_network import Here


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """A node in this process. Afterwards threads are available again, which it needs to end."""
    here = Here()
    yield here
    monkeypatch.undo()
    here.end()


def allow(monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    """Let the system start only `more` threads from now on."""
    start, left = threading.Thread.start, [None] * more

    def start_or_fail(thread: threading.Thread) -> None:
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_fail)


def test_a_thread_that_cannot_be_started_is_an_error_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, 0)
    with pytest.raises(OSError, match="no more threads") as caught:
        start_thread("one too many", lambda: None)
    assert caught.value.errno == errno.EAGAIN


@pytest.mark.parametrize("more", [0, 1])
def test_callers_without_a_thread_are_told_so_and_the_user_once(
        more: int, here: Here, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """With one thread left, the writer starts and the reader does not. Then the writer ends."""
    here.thread.start()
    for _ in range(3):
        allow(monkeypatch, more)
        with RawPeer(here.node.address) as caller:
            caller.expect("error", code="BUSY")
        monkeypatch.undo()
    eventually(lambda: len(here.console.told("error")) == 1)
    assert "no more threads" in here.console.told("error")[0]["reason"]
    eventually(lambda: not any(one.name.startswith("writer") for one in threading.enumerate()))
    assert here.node.connections == set() and "Traceback" not in capfd.readouterr().err
    with RawPeer(here.node.address, network=here.node.network_name) as caller:
        caller.join()
    assert len(here.console.told("error")) == 1


def test_callers_that_were_turned_away_are_closed_at_the_end(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage1_chat.openings.TURN_AWAY_SECONDS", DEADLINE)
    here.thread.start()
    allow(monkeypatch, 0)
    with RawPeer(here.node.address) as caller:
        caller.expect("error", code="BUSY")
        monkeypatch.undo()
        here.network.put(here.network.stop)
        here.thread.join()
    assert [sock.fileno() for sock in here.openings.unopened] == [-1]


def test_a_call_without_a_thread_counts_as_one_that_nobody_answered(
        here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[str] = []
    monkeypatch.setattr(here.node, "on_dial_failed", lambda address, reason: failed.append(address))
    allow(monkeypatch, 0)
    here.network.connect("127.0.0.1:9")
    assert failed == [], "the code that asked for the call has not returned yet"
    here.network.put(here.network.stop)
    here.network.run()
    assert failed == ["127.0.0.1:9"] and [told["code"] for told in here.console.told("error")] == ["BUSY"]


def test_a_shortage_of_open_files_is_reported_once(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = []

    def accept(listener: socket.socket) -> tuple[socket.socket, object]:
        refused.append(listener)
        raise OSError(errno.EMFILE, "Too many open files")

    accept_one = socket.socket.accept
    monkeypatch.setattr(socket.socket, "accept", accept)
    here.thread.start()
    with socket.create_connection(("127.0.0.1", here.openings.listening_port)):
        eventually(lambda: len(refused) >= 2)  # the first call may still have been accepted
        eventually(lambda: bool(here.console.told("error")))
        monkeypatch.setattr(socket.socket, "accept", accept_one)
    here.network.put(here.network.stop)
    here.thread.join()
    assert [told["code"] for told in here.console.told("error")] == ["BUSY"]
    assert "no more open files" in here.console.told("error")[0]["reason"]


RUN_WITHOUT_THREADS = """
import os, runpy, sys, threading
start, left = threading.Thread.start, [None]
def start_or_fail(thread):
    if not left:
        raise RuntimeError("can't start new thread")
    left.pop()
    start(thread)
threading.Thread.start = start_or_fail
sys.path[0] = os.getcwd()
sys.argv[1:] = ["--peer", "none"]
runpy.run_module("stage1_chat", run_name="__main__", alter_sys=True)
"""


def test_a_client_that_cannot_start_any_thread_says_so_in_a_line() -> None:
    ended = subprocess.run([sys.executable, "-c", RUN_WITHOUT_THREADS], cwd=ROOT, stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and ended.stderr.startswith("python -m stage1_chat: no more threads; end other programs")
