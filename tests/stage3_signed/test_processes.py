"""Stage 3 as real processes: wallets on the command line, and forgeries on the wire."""

import fcntl
import os
import pty
import re
import select
import stat
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Call, Launch
from tests.processes import DEADLINE, ROOT, NodeProcess, eventually
from tests.stage3_signed.scenes import FORGERIES, OTHER, OWNER, signed


def run_to_its_end(*options: str, passphrase: str | None) -> subprocess.CompletedProcess[str]:
    """Run the client, which cannot start, without a terminal and with this passphrase in the environment, if any."""
    environment = {name: value for name, value in os.environ.items() if name != "WALLET_PASSPHRASE"}
    if passphrase is not None:
        environment["WALLET_PASSPHRASE"] = passphrase
    return subprocess.run([sys.executable, "-m", "stage3_signed", "--peer", "none", *options], cwd=ROOT, text=True,
                          env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)


def wait_for_ledger(nodes: list[NodeProcess], expected: dict[str, int]) -> None:
    """Wait until all of `nodes` show this ledger."""
    eventually(lambda: all(node.ask("/ledger", "ledger")["accounts"] == expected for node in nodes),
               state=lambda: [node.ask("/ledger", "ledger") for node in nodes])


# --- money ------------------------------------------------------------------------------------------

def test_forgeries_on_the_wire(start_node: Launch, call: Call) -> None:
    node = start_node(3)
    bad, good, watcher = call(node), call(node), call(node)
    for peer in (bad, good, watcher):
        peer.join()
    genuine = signed(node.network, amount=4)
    forged = {**genuine, "signature": OTHER.sign(b"something else")}
    bad.send(*[forged] * 9)
    bad.barrier()
    good.send(genuine)
    assert watcher.expect("transaction") == genuine
    bad.send(*[genuine] * 20, *[forged])
    bad.expect_closed("INVALID")
    assert len(node.told("error", code="INVALID")) == 1
    for name in ("s + n", "leading zero byte", "key too short", "other exponent", "from PEM", "another network"):
        good.send(FORGERIES[name](node.network))
    good.barrier()
    assert [message for message in watcher.barrier() if message["type"] == "transaction"] == []
    wait_for_ledger([node], {OWNER.account: -4, OTHER.account: 4})


# --- wallets ----------------------------------------------------------------------------------------

def test_a_wallet_is_made_for_its_owner_alone_and_found_again(launch: Launch, tmp_path: Path) -> None:
    wallet = tmp_path / "wallet.pem"
    first = launch(3, "--peer", "none", "--wallet", str(wallet))
    account = first.listening["account"]
    assert first.stop() == 0
    content = wallet.read_bytes()
    assert stat.S_IMODE(wallet.stat().st_mode) == 0o600
    assert content.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert os.listdir(tmp_path) == ["wallet.pem"]
    again = launch(3, "--peer", "none", "--wallet", str(wallet))
    assert again.listening["account"] == account
    other = launch(3, "--peer", "none", "--wallet", str(tmp_path / "other.pem"))
    assert other.listening["account"] != account
    assert wallet.read_bytes() == content


def test_nodes_that_are_given_one_new_wallet_at_once_have_one_account(launch: Launch, tmp_path: Path) -> None:
    nodes = [launch(3, "--peer", "none", "--wallet", str(tmp_path / "wallet.pem")) for _ in range(3)]
    assert len({node.listening["account"] for node in nodes}) == 1
    assert os.listdir(tmp_path) == ["wallet.pem"]


def test_people_are_told_of_a_wallet_that_is_made(launch: Launch, tmp_path: Path) -> None:
    wallet = tmp_path / "wallet.pem"
    for expected in ([f"{wallet} is a new wallet, with a new account"], []):
        node = launch(3, "--peer", "none", "--wallet", str(wallet), as_json=False)
        node.may_complain = bool(expected)
        node.wait_for_line("founded")
        node.type("/quit")
        assert node.wait_exit() == 0
        assert [line.strip() for line in node.errors] == expected


class Keyboard:
    """A node at a terminal, which asks for a passphrase."""

    def __init__(self, wallet: Path) -> None:
        self.keys, device = pty.openpty()
        self.seen = b""
        environment = {name: value for name, value in os.environ.items() if name != "WALLET_PASSPHRASE"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stage3_signed", "--peer", "none", "--wallet", str(wallet)], cwd=ROOT,
            env={**environment, "TERM": "xterm"}, stdin=device, stdout=device, stderr=device, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(device)

    def see(self, text: str) -> None:
        """Wait until the terminal shows a text, after what was seen last."""
        while text.encode() not in self.seen:
            ready, _, _ = select.select([self.keys], [], [], DEADLINE)
            assert ready, self.seen
            try:
                self.seen += os.read(self.keys, 4_096)
            except OSError:
                raise AssertionError(f"it has ended: {self.seen.decode()}") from None
        self.seen = self.seen.partition(text.encode())[2]

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self.keys, line.encode() + b"\n")


@pytest.fixture
def keyboard() -> Iterator[Callable[[Path], Keyboard]]:
    """Start a node at a terminal with a wallet: `keyboard(wallet)`."""
    started: list[Keyboard] = []

    def start(wallet: Path) -> Keyboard:
        started.append(Keyboard(wallet))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait(DEADLINE)
        os.close(one.keys)


def test_at_a_terminal_a_new_wallet_is_announced_and_its_passphrase_asked_for_twice(
        keyboard: Callable[[Path], Keyboard], tmp_path: Path) -> None:
    wallet = tmp_path / "my.pem"
    one = keyboard(wallet)
    for first, second in (("secret", "secert"), ("secret", "secret")):
        one.see(f"new passphrase for the new wallet {wallet}: ")
        one.type(first)
        one.see("the same passphrase again: ")
        assert not wallet.exists()
        one.type(second)
        if first != second:
            one.see("the two are not the same")
    one.see("listening on")
    again = keyboard(wallet)
    again.see(f"passphrase of {wallet}: ")
    again.type("secret")
    again.see("listening on")


def test_the_key_kept_with_data_stays_the_same_even_with_a_passphrase_later(launch: Launch, tmp_path: Path) -> None:
    def account_of(folder: str, *passphrases: str) -> list[str]:
        accounts = []
        for passphrase in passphrases:
            node = launch(3, "--peer", "none", "--data", str(tmp_path / folder), env={"WALLET_PASSPHRASE": passphrase})
            accounts.append(node.listening["account"])
            assert node.stop() == 0
        return accounts

    first, later = account_of("without", "", "correct horse")
    assert first == later
    first, later = account_of("with", "correct horse", "correct horse")
    assert first == later and (tmp_path / "with" / "wallet.pem").exists()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_wrong_passphrase_says_so_in_one_line(wallets: list[Path], as_json: bool) -> None:
    content = wallets[0].read_bytes()
    ended = run_to_its_end("--wallet", str(wallets[0]), *["--json"] * as_json, passphrase="wrong")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"[^\n]*wrong passphrase[^\n]*\n", ended.stderr)
    assert wallets[0].read_bytes() == content


@pytest.mark.parametrize("passphrase, expected", [(None, "WALLET_PASSPHRASE"), ("", "passphrase")])
@pytest.mark.parametrize("exists", [False, True])
def test_without_a_passphrase_no_wallet_is_made_or_opened(
        wallets: list[Path], tmp_path: Path, passphrase: str | None, expected: str, exists: bool) -> None:
    wallet = wallets[0] if exists else tmp_path / "new.pem"
    ended = run_to_its_end("--wallet", str(wallet), passphrase=passphrase)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1 and expected in ended.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", bytes(range(256))])
def test_a_file_that_is_not_a_wallet_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    wallet = tmp_path / "precious.txt"
    wallet.write_bytes(content)
    ended = run_to_its_end("--wallet", str(wallet), passphrase="secret")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1 and str(wallet) in ended.stderr
    assert wallet.read_bytes() == content and os.listdir(tmp_path) == ["precious.txt"]


@pytest.mark.parametrize("name", [".", "missing/wallet.pem", "file/wallet.pem", "loop", "dangling"])
def test_a_path_that_cannot_be_a_wallet_gives_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = sorted(os.listdir(tmp_path))
    ended = run_to_its_end("--wallet", str(tmp_path / name), passphrase="secret")
    assert (ended.returncode, ended.stdout) == (1, "") and ended.stderr.count("\n") == 1, ended.stderr
    assert str(tmp_path) in ended.stderr, f"the line says which path is meant: {ended.stderr}"
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_wallet_gives_one_line(wallets: list[Path], tmp_path: Path) -> None:
    wallet = tmp_path / "wallet.pem"
    wallet.write_bytes(wallets[0].read_bytes())
    wallet.chmod(0)
    ended = run_to_its_end("--wallet", str(wallet), passphrase="correct horse")
    assert (ended.returncode, ended.stdout) == (1, "") and ended.stderr.count("\n") == 1, ended.stderr


def test_people_are_warned_that_the_account_is_lost_with_the_process_and_programs_are_not(launch: Launch) -> None:
    node, program = launch(3, "--peer", "none", as_json=False), launch(3, "--peer", "none")
    node.may_complain = True
    account = node.wait_for_line("this node's account is ")
    assert re.fullmatch("this node's account is [0-9a-f]{16}", account)
    assert program.listening["account"]
    for one in (node, program):
        assert one.stop() == 0
    assert len(node.errors) == 1 and "--wallet" in node.errors[0]
    assert program.errors == []
    assert all("warning" not in line for line in node.lines)


def test_people_see_fingerprints_and_not_keys(launch: Launch, wallets: list[Path]) -> None:
    node = launch(3, "--peer", "none", "--wallet", str(wallets[0]), as_json=False)
    own = node.wait_for_line("this node's account is ").split()[-1]
    node.type(f"/send {OTHER.account} 5")
    node.wait_for_line("applied")
    node.type("/account")
    assert node.wait_for_line(f"account {own}").startswith(f"account {own} has -5;")
    node.type("/ledger")
    node.type("done")
    node.wait_for_line("done")
    assert [own, "-5"] in [line.split() for line in node.lines]
    long = [line for line in node.lines if len(line) >= 100]
    assert len(long) == 1 and len(long[0]) == 392, "only /account shows a key, its own"
