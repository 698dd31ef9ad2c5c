"""A message about an error of the system says what was tried, with which path or address, and what to do."""

import argparse
import errno
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from common import advice, new_files
from common.advice import describe_call_error, describe_error, describe_file_error, describe_listening_error
from common.console import CannotStart
from common.interface import JournalError
from common.journal import Journal
from common.rsa import load_key, load_or_make_key, load_or_make_keys
from common.wallets import WalletError
from lab.attacks import attacks
from lab.soak import soak
from lab.live.launcher import Settings
from lab.live.live import Conductor, print_line
from stage1_chat.__main__ import ChatClient
from tests.processes import DEADLINE, unused_address
from tests.stage1_chat.test_network import Here, KeepingConsole

TABLES = {describe_file_error: advice._FILES, describe_listening_error: advice._LISTENING,
          describe_call_error: advice._CALLING}


def failing(number: int) -> Callable[..., NoReturn]:
    """A function that fails with this error of the system."""
    def fail(*_arguments: object, **_options: object) -> NoReturn:
        raise OSError(number, os.strerror(number))
    return fail


@pytest.mark.parametrize("describe", [*TABLES, describe_error])
def test_after_the_words_of_the_system_comes_what_to_do(describe: Callable[[OSError], str]) -> None:
    for number in errno.errorcode:
        words, _, what_to_do = describe(OSError(number, os.strerror(number))).partition("; ")
        assert words == os.strerror(number) and len(what_to_do.split()) >= 4, f"{number}: {words}; {what_to_do}"


def test_an_error_without_a_number_has_advice_as_well() -> None:
    for describe in TABLES:
        assert describe(OSError("odd")).startswith("odd; ")
        assert describe(OSError()).startswith("OSError; ")


def test_an_error_of_our_own_already_says_what_to_do() -> None:
    assert describe_error(WalletError("key: wrong passphrase")) == "key: wrong passphrase"
    assert describe_error(FileNotFoundError(errno.ENOENT, "No such file or directory", "here")).startswith(
        "here: No such file or directory; check the path")


# --- files and folders --------------------------------------------------------------------------

def told(action: Callable[[], object], path: Path) -> str:
    """The one line that tells the user about `path`."""
    with pytest.raises((WalletError, JournalError)) as caught:
        action()
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    return line.removeprefix(f"{path}: ")


def test_paths_that_are_not_what_is_expected(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert "check the path" in told(lambda: load_key(tmp_path / "none"), tmp_path / "none")
    assert "check the path" in told(lambda: load_or_make_key(tmp_path / "no" / "key"), tmp_path / "no" / "key")
    assert "expected a file, not a folder" in told(lambda: load_key(tmp_path), tmp_path)
    assert "expected a folder, and a file has this name" in told(lambda: load_or_make_keys(file, 1), file)
    assert "expected a folder, and a file has this name" in told(lambda: Journal(file), file)
    assert "a part of this path is a file" in told(lambda: Journal(file / "data"), file / "data")
    assert "a part of this path is a file" in told(lambda: load_key(file / "key"), file / "key")
    assert "name a shorter path" in told(lambda: load_key(tmp_path / ("x" * 300)), tmp_path / ("x" * 300))


@pytest.mark.parametrize(("number", "what_to_do"), [
    (errno.EACCES, "change the permissions"), (errno.EPERM, "change the permissions"),
    (errno.EROFS, "another one"), (errno.ENOSPC, "make room"), (errno.EDQUOT, "make room"),
    (errno.EMFILE, "ulimit"), (errno.EIO, "check this disk"),
])
def test_a_file_that_cannot_be_read_or_written(
        number: int, what_to_do: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is injected, since the root user may do everything."""
    monkeypatch.setattr(new_files, "open", failing(number), raising=False)
    assert what_to_do in told(lambda: load_key(tmp_path / "key"), tmp_path / "key")
    monkeypatch.setattr(os, "open", failing(number))
    assert what_to_do in told(lambda: Journal(tmp_path), tmp_path / "journal.sqlite")


def test_a_file_that_a_node_cannot_read_is_not_reported_as_a_port_where_it_cannot_listen(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def make_node(*_arguments: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", "keys/key-1.pem")

    client = ChatClient()
    monkeypatch.setattr(client, "make_node", make_node)
    monkeypatch.setattr(client, "listen", lambda *_: SimpleNamespace(sockets=SimpleNamespace(listening_port=1)))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["stage1_chat", "--peer", "none"])
    assert client.main() == 1
    assert capsys.readouterr().err.startswith(
        "python -m stage1_chat: keys/key-1.pem: Permission denied; this user is not allowed to do that: change")


# --- listening and calling ----------------------------------------------------------------------

def why_not_listening(host: str = "127.0.0.1", port: int = 0) -> str:
    """The message to a user whose node cannot listen there."""
    with pytest.raises(CannotStart) as caught:
        ChatClient().listen(argparse.Namespace(host=host, port=port), KeepingConsole())
    line = str(caught.value)
    assert line.startswith(f"cannot listen on {host}:{port}: ") and "while attempting" not in line
    return line


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "another program uses this port" in why_not_listening(port=taken.getsockname()[1])


def test_an_address_of_another_machine() -> None:
    assert "name an IPv4 address of this machine by --host" in why_not_listening("192.0.2.1")


@pytest.mark.parametrize("host", ["::1", "a..b", "x" * 64])
def test_a_host_that_is_no_ipv4_address(host: str) -> None:
    assert "name an IPv4 address of this machine by --host" in why_not_listening(host)


def test_a_port_below_1024_and_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_server", failing(errno.EACCES))
    assert "name one from 1024 on" in why_not_listening(port=80)

    def find_none(*_arguments: object, **_options: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_server", find_none)
    assert "name an IPv4 address of this machine by --host" in why_not_listening("no.such.host")


@pytest.fixture
def here() -> Iterator[Here]:
    """A node in this process. It ends with the test."""
    here = Here()
    yield here
    here.end()


def reason_of_failure(here: Here, address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the node call an address. Return the reason of its failure."""
    reasons: list[str] = []

    def on_dial_failed(_address: str, reason: str) -> None:
        reasons.append(reason)
        here.network.stop()

    monkeypatch.setattr(here.node, "on_dial_failed", on_dial_failed)
    here.network.connect(address)
    here.network.run()
    assert reasons[0].startswith("cannot connect: ")
    return reasons[0]


def test_nobody_listens_there(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no node listens there" in reason_of_failure(here, unused_address(), monkeypatch)


def test_a_host_name_that_cannot_exist(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = reason_of_failure(here, "a..b:9", monkeypatch)
    assert "codec" not in reason and "check its spelling" in reason


@pytest.mark.parametrize(("error", "what_to_do"), [
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "check its spelling"),
    (OSError(errno.EHOSTUNREACH, "No route to host"), "there is no route to it"),
    (OSError(errno.ENETUNREACH, "Network is unreachable"), "there is no route to it"),
    (TimeoutError("timed out"), "firewall"),
    (OSError(errno.EPERM, "Operation not permitted"), "firewall"),
    (OSError(errno.ECONNRESET, "Connection reset by peer"), "check the address"),
])
def test_a_call_that_fails(
        error: OSError, what_to_do: str, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> NoReturn:
        raise error

    monkeypatch.setattr(socket, "create_connection", fail)
    assert what_to_do in reason_of_failure(here, "127.0.0.1:9", monkeypatch)


# --- the tools of lab/ --------------------------------------------------------------------------

@pytest.mark.parametrize("main", [partial(attacks.main, ["--only", "duplicate delivery", "--stage", "1"]),
                                  partial(soak.main, [])], ids=["attacks", "soak"])
def test_a_tool_that_has_no_room_for_its_files_says_so_in_a_line(
        main: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(tempfile, "mkdtemp", failing(errno.ENOSPC))
    assert main() == 1
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and "No space left on device; make room" in complaint


def test_a_network_in_one_terminal_that_has_no_room_says_so_in_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "mkdtemp", failing(errno.ENOSPC))
    conductor = Conductor(Settings(1, 2, 1, ()), tmp_path, print_line, lambda: 80)
    conductor.start()
    assert conductor.wait(DEADLINE) and conductor.status == 1
    assert "No space left on device; make room" in conductor.error and "\n" not in conductor.error
