"""The nodes and peers of one criterion: nodes of the submission, our nodes, scripted peers, all on loopback.

    def test_a_line_reaches_everybody_once(scene: Scene) -> None:
        alice = scene.found_network()
        bob = scene.join(alice)
        bob.type("hi")
        alice.wait_for("chat", text="hi")

`found_network`, `join`, `call` and `link` prepare a criterion: what fails there is Inconclusive. `start` only starts a
node.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import struct
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from lab.blackbox import peer
from lab.blackbox.node_process import STAGES, NodeError
from lab.grade.actors import Conversation, GradedNode, GradedPeer
from lab.grade.settings import KEYS, ROOT, Settings
from lab.grade.shortcomings import Inconclusive, Shortcoming
from lab.grade.sweep import MARK, alive, descendants, marked, sweep

PASSPHRASE = "correct horse"
"""The passphrase of the wallets in tests/keys."""
FIRST = "1.founds-and-listens"
"""The criterion that fails if a node does not start at all."""
WALLETS = (11, 12, 13, 14)
"""The numbers of the wallets in tests/keys."""
WATCH_SECONDS = 0.2
STAYS_SECONDS = 0.5
"""How long a state must not change. In the criteria of stage 4 that ask for it, that is the time of five blocks."""
IN_ORDER = (0, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)
"""The exit statuses of a node that the grader has ended, whether the node handles the signal or not."""
FILES = "GRADED_FILES"
"""The environment variable with the folder that a node may write to."""


class Scene:
    """One criterion's nodes and peers. All that was started is gone at its end, and what was said is in its folder."""

    def __init__(self, settings: Settings, key: str, folder: Path) -> None:
        self.settings, self.stage, self.key = settings, settings.stage, key
        self.evidence, self.folder = folder, folder / "files"  # nodes write to `folder`, only the grader to `evidence`
        self.factor, self.patience = settings.factor, settings.patience
        self.random = random.Random(f"{settings.seed} {key}")
        self.conversation = Conversation()
        self.nodes: list[GradedNode] = []
        self.violation = ""
        """Why the criterion was ended at once: too many processes, or too many bytes. Empty if it was not."""
        self._mark = f"{settings.token}-{os.getpid()}-{time.monotonic_ns()}"
        self._spared = descendants(os.getpid())
        self._open = contextlib.ExitStack()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._peers = 0

    # --- setting the scene ----------------------------------------------------------------------

    def start(self, peer: str | None = "none", *options: str, ours: bool = False, as_json: bool = True,
              wallet: int | None = None, environment: dict[str, str] | None = None) -> GradedNode:
        """Start a node of the submission, or with `ours` one of our own. With `peer` None it gets no `--peer`.

        To start quickly it gets keys that exist already: from stage 3 on a wallet (the next one, or number `wallet`,
        or none for 0), and in stage 5 the genesis keys.
        """
        settings, number = self.settings, len(self.nodes) + 1
        is_foreign = not ours and not settings.is_ours
        if is_foreign and settings.does_not_start:
            # The first criterion fails. For the others it is inconclusive.
            raise (NodeError if self.key == FIRST else Inconclusive)(settings.does_not_start)
        wallet = number if wallet is None else wallet
        has_wallet = self.stage >= 3 and 1 <= wallet <= len(WALLETS) and (settings.takes_wallets or not is_foreign)
        more = ["--wallet", str(self.wallet(wallet))] if has_wallet else []
        more += ["--keys", str(self.keys)] if self.stage == 5 and "--keys" not in options else []
        base = (settings.environment or {}) if is_foreign else {}
        surroundings = {**base, "WALLET_PASSPHRASE": PASSPHRASE, MARK: self._mark, FILES: str(self.folder),
                        **(environment or {})}
        node = GradedNode(
            f"{'ours' if ours else 'node'}-{number}", self.conversation, self.stage,
            *([] if peer is None else ["--peer", peer]), *more, *options, folder=self.evidence,
            directory=settings.directory if is_foreign else ROOT,
            command=settings.client if is_foreign else [sys.executable, "-m", STAGES[self.stage]],
            through=settings.through if is_foreign else [],
            environment=surroundings, inherits=not is_foreign or settings.environment is None, as_json=as_json,
            patience=self.patience, most_output=settings.most_output_mib << 20)
        self.nodes.append(node)
        return node

    def wallet(self, number: int) -> Path:
        """A copy of one of the four wallets in tests/keys; `number` is 1 to 4."""
        path = self.evidence / f"wallet-{number}.pem"
        path.touch(mode=0o600)
        shutil.copyfile(KEYS / f"wallet-{WALLETS[number - 1]}.pem", path)
        return path

    @property
    def keys(self) -> Path:
        """A folder with the ten genesis keys of stage 5."""
        folder = self.evidence / "keys"
        if not folder.exists():
            folder.mkdir(mode=0o700)
            for number in range(1, 11):
                copy = folder / f"key-{number}.pem"
                copy.touch(mode=0o600)
                shutil.copyfile(KEYS / copy.name, copy)
        return folder

    # The nodes may be at work in their folder. When the grader puts or reads something there, it follows no link, since
    # they may have planted it: the grader may be root.

    def put(self, name: str, content: bytes) -> Path:
        """Put a new file into the folder of the nodes."""
        path = self.folder / name
        with setting_up(f"a new file {name}"), path.open("xb") as file:
            file.write(content)
        return path

    def look_at(self, path: Path, most: int = 1 << 16) -> tuple[bytes, int]:
        """The content of a file that a node has written, at most `most` bytes, and its mode. It must be a file."""
        with contextlib.suppress(OSError), open(path, "rb", opener=_open_no_link) as file:
            about = os.fstat(file.fileno())
            if stat.S_ISREG(about.st_mode):
                return file.read(most), stat.S_IMODE(about.st_mode)
        raise Shortcoming(f"the file {path.name}", "it is not a file" if os.path.lexists(path) else "it is not there")

    def found_network(self, *options: str, **how: Any) -> GradedNode:
        """A node that has founded a network."""
        with setting_up("a node that founds a network"):
            node = self.start("none", *options, **how)
            assert node.address
        return node

    def join(self, other: GradedNode, *options: str, **how: Any) -> GradedNode:
        """A node that has joined `other`. Both have reported that."""
        with setting_up("a node that joins another"):
            node = self.start(other.address, *options, **how)
            node.wait_for("joined")
            other.wait_for("peer", address=node.address, state="up")
        return node

    def call(self, node: GradedNode, **changes: Any) -> GradedPeer:
        """A scripted peer that is connected to a node, and has said nothing yet; `changes` are arguments of `Peer`."""
        self._peers += 1
        options = {"stage": self.stage, "network": node.network, **changes}
        with setting_up("a connection to a node"):
            return self._open.enter_context(GradedPeer(f"peer-{self._peers}", self.conversation, node.address,
                                                       patience=self.patience, **options))

    def link(self, node: GradedNode, **changes: Any) -> GradedPeer:
        """A scripted peer that a node has let in."""
        one = self.call(node, **changes)
        with setting_up("the handshake with a node"):
            one.join()
        return one

    def listen(self) -> socket.socket:
        """A listening socket on loopback, for a peer that a node is to call (see `accept`)."""
        listener = self._open.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(self.patience)
        return listener

    def accept(self, listener: socket.socket, network: str | None) -> GradedPeer:
        """The peer that a node has called at this socket; Shortcoming if no node calls."""
        self._peers += 1
        return self._open.enter_context(GradedPeer(
            f"peer-{self._peers}", self.conversation, self._await_call(listener), self.stage, network, self.patience,
            listen=address_of(listener)))

    def turn_away(self, listener: socket.socket) -> None:
        """Accept one call, reset it, and listen no longer; Shortcoming if no node calls."""
        connection = self._await_call(listener)
        # A reset leaves nothing behind that would keep a node from listening at this address.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        listener.close()

    def _await_call(self, listener: socket.socket) -> socket.socket:
        try:
            return listener.accept()[0]
        except TimeoutError:
            raise Shortcoming("a call to the address of --peer", "nobody has called") from None

    def unused_address(self, first: int = 20_000, last: int = 32_000) -> str:
        """An address on loopback where nobody listens right now, with a port from this range. By default the range lies
        below the ports that systems choose for port 0."""
        ports = list(range(first, last + 1))
        random.shuffle(ports)  # not seeded: criteria that run at the same time must not get one port
        for port in ports:
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return f"127.0.0.1:{port}"
        raise Inconclusive(f"no port from {first} to {last} is free")

    def eventually(self, question: Callable[[], object], expected: str, state: Callable[[], object]) -> None:
        """Ask until the answer is yes; Shortcoming with `state()` when that takes too long."""
        deadline = time.monotonic() + self.patience
        while not question():
            if time.monotonic() > deadline:
                raise Shortcoming(expected, f"after {self.patience:g} seconds: {state()!r}")
            time.sleep(0.02)  # no event announces that the answer has changed

    def stays(self, question: Callable[[], object], expected: str, state: Callable[[], object]) -> None:
        """Ask again and again for a while; Shortcoming with `state()` at the first answer that is no. A node that
        does something by itself, such as making a block, has time for it."""
        deadline = time.monotonic() + STAYS_SECONDS * self.factor
        while time.monotonic() < deadline:
            if not question():
                raise Shortcoming(expected, f"it became {state()!r}")
            time.sleep(0.02)  # no event announces that nothing comes

    # --- its end --------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        peer.randomness = self.random
        self.folder.mkdir(parents=True, exist_ok=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.conversation.is_over = True
        peer.randomness = random.SystemRandom()
        self._over.set()
        self._watcher.join()
        self._sweep()
        self._open.close()
        for node in self.nodes:
            node.save_and_close()
        self.conversation.save(self.evidence / "conversation.jsonl")

    def crashes(self) -> list[str]:
        """Which nodes have ended by themselves with an error, and with which status."""
        return [f"{node.label} had ended with status {status}" for node in self.nodes
                if (status := node.process.poll()) is not None and status not in IN_ORDER]

    def left_behind(self) -> set[int]:
        """Processes of nodes that run, apart from the nodes themselves."""
        nodes = {one.pid for one in self.nodes}
        return alive(((descendants(os.getpid()) - self._spared) | marked(self._mark)) - nodes)

    def _sweep(self) -> None:
        sweep(self._mark, self._spared, [node.pid for node in self.nodes])

    def _watch(self) -> None:
        """While the criterion runs, end all its nodes if they have too many processes or files."""
        while not self._over.wait(WATCH_SECONDS):
            processes = len(descendants(os.getpid()) - self._spared)
            if processes > self.settings.most_processes:
                self.violation = f"it had {processes} processes at once; {self.settings.most_processes} are allowed"
            elif (mib := size_of(self.folder) >> 20) > self.settings.most_mib:
                self.violation = f"it has written {mib} MiB of files; {self.settings.most_mib} are allowed"
            if self.violation:
                self._sweep()
                return


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size
    return total


def address_of(listener: socket.socket) -> str:
    """The address of a listening socket on loopback."""
    return f"127.0.0.1:{listener.getsockname()[1]}"


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe without a writer would hold the grader up


@contextlib.contextmanager
def setting_up(what: str) -> Iterator[None]:
    """Whatever fails within this context makes the criterion inconclusive."""
    try:
        yield
    except Inconclusive:
        raise
    except (AssertionError, OSError) as error:
        raise Inconclusive(f"{what} was needed first: {error}") from None
