"""Fixtures for the tests with real nodes. Everything that a test starts is gone when the test is over."""

import gc
import itertools
import os
import shutil
import sqlite3
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from Crypto.PublicKey import RSA

from lab.grade.plugin import SETTINGS, put_off, scene_fixture
from tests.processes import ROOT, NodeProcess, RawPeer
from tests.screen import Start, Terminal
from tests.watchdog import Watchdog

__all__ = ["scene_fixture"]

PASSPHRASE = "correct horse"
"""The passphrase of the wallets that the tests make."""

KEYS = ROOT / "tests" / "keys"
"""RSA keys made once and kept: it takes half a second to make one."""

Launch = Callable[..., NodeProcess]
Call = Callable[..., RawPeer]


# pytest shows what a failed assertion compared. By default it does so only in files of tests; here also in shared ones.
pytest.register_assert_rewrite("tests.memory", "tests.random_life",
                               *(f"tests.{path.parent.name}.scenes" for path in ROOT.glob("tests/*/scenes.py")))

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # If a shell started the tests in the background, they ignore Ctrl-C, and so would the nodes that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: the time of an example depends on how busy the machine is, not on whether the code is right.
settings.register_profile("house", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.load_profile("house")

# As in a node (common/memory.py). Collected tests stay until the end, so the garbage collector need not scan them:
# without this it would do so again and again.
gc.set_threshold(50_000, 20, 100)

watchdog = Watchdog()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The criteria of grading also run on our own nodes: those with the most points in `make test`, the rest with
    `make test-long`."""
    if SETTINGS not in config.stash:
        put_off(items)


def pytest_collection_finish() -> None:
    """All test files are imported, and all tests are known."""
    gc.freeze()


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> None:
    """A test begins, and pytest-timeout sets its timer. The watchdog ends what that timer cannot end."""
    watchdog.watch(item.nodeid, settings.timeout)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """A test is over when everything that it made is gone."""
    try:
        return (yield)
    finally:
        watchdog.rest()


def pytest_unconfigure() -> None:
    """All tests are over."""
    watchdog.end()


def pytest_enter_pdb() -> None:
    """There is no time limit while somebody debugs a test."""
    watchdog.rest()


@pytest.fixture(autouse=True)
def databases(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[sqlite3.Connection]]:
    """The databases that the test opens. Those that it leaves open are closed in the end: a node that crashes in a test
    does not close its own, and no process ends, which would close them."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remember(*arguments: Any, **how: Any) -> sqlite3.Connection:
        if threading.current_thread() is not threading.main_thread():
            how["check_same_thread"] = False  # it may be closed here
        opened.append(connect(*arguments, **how))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", remember)
    yield opened
    for one in opened:
        one.close()


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Start a stage's client: `launch(stage, *options, env=None, as_json=True, through=())` returns a `NodeProcess`."""
    nodes: list[NodeProcess] = []

    def start(stage: int, *options: str, env: dict[str, str] | None = None, as_json: bool = True,
              through: Sequence[str] = ()) -> NodeProcess:
        nodes.append(NodeProcess(stage, *options, env={"WALLET_PASSPHRASE": PASSPHRASE, **(env or {})},
                                 as_json=as_json, through=through))
        return nodes[-1]

    yield start
    for node in nodes:
        node.process.kill()
    for node in nodes:
        node.kill()
        print(node.describe())  # pytest shows this only if the test has failed
    for node in nodes:
        assert isinstance(node.events, list)  # fails unless all output is JSON, even if no test has read it
    complaints = [line for node in nodes if node.errors and not node.may_complain for line in (*node.errors, node.name)]
    assert not complaints, "\n".join(["written to standard error:", *complaints])


@pytest.fixture
def terminal() -> Iterator[Start]:
    """Start a node in a terminal: `terminal(*options)`."""
    open_now: list[Terminal] = []

    def start(*options: str, stage: int = 1, term: str = "xterm", command: Sequence[str] = ()) -> Terminal:
        open_now.append(Terminal(*options, stage=stage, term=term, command=command))
        return open_now[-1]

    yield start
    for one in open_now:
        one.close()
        print("\n".join(["--- the screen at the end:", *one.lines]))


@pytest.fixture
def start_node(launch: Launch, wallets: list[Path], genesis_keys: Path) -> Launch:
    """Start a node of any stage with the keys it needs: `start_node(stage, peer="none", *options)`.

    The wallets are used in turn, so the first two nodes of a test have different accounts.
    """
    wallet = itertools.cycle(wallets)
    needed: dict[int, Callable[[], list[str]]] = {
        1: list,
        2: list,
        3: lambda: ["--wallet", str(next(wallet))],
        4: lambda: ["--wallet", str(next(wallet))],
        5: lambda: ["--wallet", str(next(wallet)), "--keys", str(genesis_keys)],
    }
    """Stage -> the options with which its client starts at once (contract §4)."""

    def start(stage: int, peer: str = "none", *options: str, **how: object) -> NodeProcess:
        return launch(stage, "--peer", peer, *needed[stage](), *options, **how)

    return start


@pytest.fixture
def call() -> Iterator[Call]:
    """Connect a `RawPeer` to a node: `call(node, **changes)` speaks the node's stage and names its network."""
    peers: list[RawPeer] = []

    def connect(node: NodeProcess, **changes: object) -> RawPeer:
        options = {"stage": node.stage, "network": node.network, **changes}
        peers.append(RawPeer(node.address, **options))  # type: ignore[arg-type]
        return peers[-1]

    yield connect
    for peer in peers:
        peer.close()


@pytest.fixture(scope="session")
def wallets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two wallet files, of the accounts of key-11 and key-12, so that no test waits while a key is made."""
    folder = tmp_path_factory.mktemp("wallets")
    return [make_wallet(KEYS / f"key-{number}.pem", folder / f"wallet-{number}.pem") for number in (11, 12)]


def make_wallet(key: Path, wallet: Path) -> Path:
    """Put a key into a wallet file (contract §4: encrypted PKCS#8 in PEM) that opens quickly."""
    wallet.touch(mode=0o600)
    wallet.write_bytes(RSA.import_key(key.read_bytes()).export_key(
        passphrase=PASSPHRASE, pkcs=8, protection="PBKDF2WithHMAC-SHA512AndAES256-CBC",
        prot_params={"iteration_count": 1_000}))
    return wallet


@pytest.fixture
def genesis_keys(tmp_path: Path) -> Path:
    """A folder with the ten genesis keys of stage 5, for `--keys`."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    for number in range(1, 11):
        copy = folder / f"key-{number}.pem"
        copy.touch(mode=0o600)
        shutil.copyfile(KEYS / copy.name, copy)
    return folder
