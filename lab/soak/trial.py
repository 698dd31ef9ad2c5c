"""A trial: a network works while things go wrong. Then all faults end, and it must have lost nothing.

    with Trial(Settings(stage=5, nodes=10, per_second=20, seed=7), keys, folder) as trial:
        trial.trouble(180)          # nodes are killed and suspended, the network is cut; transactions are made
        complaints = trial.settle() # all faults end; what was lost or differs, one line each

A transaction is acknowledged when its node has printed `sent`. From then on it must survive everything. At the end
each node is asked over the wire for the ids that it holds (`summary` and `inventory` of contract §3).
"""

import heapq
import itertools
import random
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from common.console import count
from common.encoding import decode_frame, encode_frame, split_address
from common.framing import Splitter
from lab.nodes.faults import Faults
from lab.nodes.member import Member
from lab.blackbox.node_process import NodeError
from lab.nodes.processes import NodeProcess, end_all
from lab.nodes.workload import PASSPHRASE, KeyRing
from stage1_chat.handshake import VERSION
from stage5_pos.__main__ import STAKE_HOLDERS
from stage5_pos.rules import FEE

FOUNDING = {4: ["--interval", "2"], 5: ["--slot", "0.5", "--rate", "0.25"]}
"""The founder's options: in stages 4 and 5 a block every two seconds."""

SETTLE_SECONDS = 180.0
"""Time for all nodes to become equal after the trouble. Lost connections are opened again after at most 30 s."""

TICK_SECONDS = 0.05

CENSUS = "census"
"""The proxy's name for the peer that asks the nodes what they hold."""


@dataclass(frozen=True)
class Settings:
    """How large a trial is, and what goes wrong in it."""

    stage: int
    nodes: int
    per_second: float
    """Transactions a second."""
    seed: int = field(default_factory=lambda: secrets.randbits(32))
    kinds: tuple[str, ...] = ("kill", "sleep", "partition", "one_way", "stall", "delay", "disconnect")
    """What goes wrong: names of methods of `Trial`."""


class Trial:
    """A network, the faults that it suffers, and what it loses."""

    def __init__(self, settings: Settings, keys: KeyRing, folder: Path,
                 on_tick: Callable[[], None] = lambda: None) -> None:
        """Start the nodes, with their data in `folder`. `on_tick` is called several times a second. NodeError if a
        node does not start."""
        self.settings, self._keys, self._folder, self._on_tick = settings, keys, folder, on_tick
        self.faults = Faults(settings.seed)
        self._random = random.Random(settings.seed)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        """When to do what, by the monotonic clock."""
        self._numbers = itertools.count()
        self._paid_until = time.monotonic()
        self.lost: set[str] = set()
        """Acknowledged transactions that some node did not hold when no fault was left."""
        self.longest_rollback = self.forks = self.kills = self.sleeps = 0
        self._census = self.faults.add(CENSUS)
        self.members: list[Member] = []
        try:
            for number in range(settings.nodes):
                self.members.append(self._make_member(number))
                self._network = self.members[0].running.network
            self._wait_until_joined()
        except BaseException:
            self.close()
            raise

    def _wait_until_joined(self) -> None:
        """Wait until all nodes are up. NodeError if one reached nobody and has founded a network (contract §4)."""
        for member in self.members:
            if member.running.network != self._network:
                raise NodeError(f"node {member.place.name} has founded a network of its own; nobody answered in time")

    def _make_member(self, number: int) -> Member:
        stage, place = self.settings.stage, self.faults.add(str(number))
        peer = self.members[0].place.address if number else "none"
        options = ["--peer", peer, *place.options, "--data", str(self._folder / str(number))]
        options += ["--wallet", str(self._keys.wallet(0))] if stage >= 3 else []
        if stage == 5:
            stakes = ",".join(map(str, self._stakes(number)))
            options += ["--keys", str(self._keys.folder), "--forge", stakes or "none"]
        options += [] if number else FOUNDING.get(stage, [])
        return Member(place, lambda: NodeProcess(stage, *options, environment={"WALLET_PASSPHRASE": PASSPHRASE}))

    def _stakes(self, number: int) -> list[int]:
        """Stage 5: the genesis accounts with which a node makes blocks. The nodes take them in turn."""
        return list(range(1, STAKE_HOLDERS + 1))[number::self.settings.nodes]

    def close(self) -> list[int]:
        """End all nodes, asleep or not, then the proxy. Return the exit statuses, which should be 0."""
        for member in self.members:
            member.wake()
        statuses = end_all([member.process for member in self.members if member.process is not None])
        self.faults.close()
        return statuses

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- work -----------------------------------------------------------------------------------

    def _pay(self) -> None:
        """Type the transactions that are due by now, at nodes picked at random."""
        while self._paid_until < time.monotonic():
            self._paid_until += 1 / self.settings.per_second
            number = self._random.randrange(len(self.members))
            if self.members[number].is_up and (line := self._payment(number)):
                self.members[number].running.type(line)

    def _payment(self, number: int) -> str | None:
        """A command that sends the sink one coin. None if this node has no account with money."""
        if self.settings.stage == 2:
            return f"/send payer-{number} {self.sink} 1"
        if self.settings.stage < 5:
            return f"/send {self.sink} 1"
        stakes = self._stakes(number)
        return f"/send {self.sink} {1 + FEE} --from {stakes[0]}" if stakes else None

    @property
    def sink(self) -> str:
        """The account that all coins go to."""
        return "sink" if self.settings.stage == 2 else self._keys.sink

    def acknowledged(self) -> set[str]:
        """The ids of all transactions that were acknowledged so far."""
        return set().union(*(member.acknowledged() for member in self.members))

    # --- trouble --------------------------------------------------------------------------------

    def trouble(self, seconds: float) -> None:
        """Let things go wrong for `seconds`. NodeError if a node ends by itself, or does not answer."""
        end = time.monotonic() + seconds
        self._paid_until = time.monotonic()
        for stream in (self._process_trouble, self._network_trouble):
            self._after(0.0, stream)
        while time.monotonic() < end:
            while self._agenda and self._agenda[0][0] <= time.monotonic():
                heapq.heappop(self._agenda)[2]()
            self._pay()
            self._on_tick()
            time.sleep(TICK_SECONDS)
        self._agenda.clear()

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (time.monotonic() + seconds, next(self._numbers), action))

    def _process_trouble(self) -> None:
        """Kill a node, or let one sleep, if at least two thirds of the nodes stay up."""
        self._after(self._random.uniform(1, 5), self._process_trouble)
        kinds = [kind for kind in ("kill", "sleep") if kind in self.settings.kinds]
        up = [member for member in self.members if member.is_up]
        if kinds and 3 * (len(self.members) - len(up) + 1) <= len(self.members):
            getattr(self, self._random.choice(kinds))(self._random.choice(up))

    def _network_trouble(self) -> None:
        """One fault after the other, each for a while, with quiet between them."""
        kinds = [kind for kind in self.settings.kinds if kind not in ("kill", "sleep")]
        if kinds:
            seconds = getattr(self, self._random.choice(kinds))()
            self._after(seconds, self.faults.heal)
            self._after(seconds + self._random.uniform(1, 15), self._network_trouble)

    def kill(self, member: Member) -> None:
        """`kill -9` a node, and start it again a few seconds later."""
        member.kill()
        self.kills += 1
        self._after(self._random.uniform(1, 10), member.restart)

    def sleep(self, member: Member) -> None:
        """SIGSTOP, and SIGCONT up to half a minute later."""
        member.sleep()
        self.sleeps += 1
        self._after(self._random.uniform(1, 30), member.wake)

    def partition(self, one_way: bool = False) -> float:
        """Partition the nodes into two groups. Return the seconds that the fault lasts, as the next methods do."""
        names = self._random.sample(self._names(), len(self.members))
        place = self._random.randint(1, len(names) - 1)
        self.faults.partition([names[:place], names[place:]], one_way)
        return self._random.uniform(3, 30)

    def one_way(self) -> float:
        """The same, but what one group sends still reaches the other."""
        return self.partition(one_way=True)

    def stall(self) -> float:
        """Stall a node's connections with some others, in a third of the cases until they notice (60 s of silence)."""
        one, *others = self._random.sample(self._names(), self._random.randint(2, len(self.members)))
        for other in others:
            self.faults.stall(one, other)
        return self._random.uniform(5, 90)

    def delay(self) -> float:
        """Delay all that goes to and from a node."""
        self.faults.delay(self._random.choice(self._names()), self._random.uniform(0.05, 0.5))
        return self._random.uniform(5, 30)

    def disconnect(self) -> float:
        """End a node's connections, which may come back at once."""
        self.faults.disconnect(self._random.choice(self._names()))
        return 0.0

    def _names(self) -> list[str]:
        return [member.place.name for member in self.members]

    # --- quiet ----------------------------------------------------------------------------------

    def settle(self, timeout: float = SETTLE_SECONDS) -> list[str]:
        """End all trouble, and wait until all nodes agree. Return what was lost or differs, one line each."""
        self.faults.heal()
        for member in self.members:
            member.wake()
            member.restart()
        deadline, acknowledged = time.monotonic() + timeout, self.acknowledged()
        while not (is_equal := self._agree(len(acknowledged))) and time.monotonic() < deadline:
            self._on_tick()
            time.sleep(1.0)
        complaints = list(self._complaints(acknowledged))
        return complaints if is_equal else [f"not equal after {timeout:g} seconds: {self._differences()}", *complaints]

    def _agree(self, coins: int) -> bool:
        """Do all nodes have the same ledger, at least `coins` in the sink, and nothing left to execute?"""
        if not all(member.is_up for member in self.members):
            return False
        first, *others = [member.running.ask("/ledger", "ledger")["accounts"] for member in self.members]
        arrived = first.get(self.sink, 0)
        return (arrived >= coins and all(other == first for other in others)
                and arrived == len(self._ask_for_ids(self.members[0])))

    def _differences(self) -> str:
        """The nodes' ledgers, for whoever looks for the cause."""
        ledgers = [member.running.ask("/ledger", "ledger")["accounts"] for member in self.members]
        kinds = [ledgers.index(ledger) for ledger in ledgers]
        return f"coins {[ledger.get(self.sink, 0) for ledger in ledgers]}, each node's ledger is that of node {kinds}"

    def _complaints(self, acknowledged: set[str]) -> Iterator[str]:
        for member in self.members:
            if missing := acknowledged - self._ask_for_ids(member):
                self.lost |= missing
                yield f"node {member.place.name} lacks {len(missing)} of {len(acknowledged)} acknowledged transactions"
            if b'"event": "equivocation"' in member.running.output:
                yield f"node {member.place.name} has seen two signed blocks for the same number or slot"

    def _ask_for_ids(self, member: Member) -> set[str]:
        """The ids of all transactions that a node holds; empty if the node is in another network.

        Our summary has no buckets, so it differs in every bucket that the node has. The answer comes in pieces. After
        each piece but the last comes a ping, and our pong brings the next piece.
        """
        questions: list[dict[str, Any]] = [
            {"type": "hello", "version": VERSION, "stage": self.settings.stage, "network": self._network,
             "listen": self._census.address},
            {"type": "summary", "answer": False, "buckets": {}}, {"type": "ping", "nonce": CENSUS}]
        with socket.create_connection(split_address(member.place.address), timeout=SETTLE_SECONDS) as connection:
            connection.sendall(b"".join(encode_frame(question) for question in questions))
            ids: set[str] = set()
            awaited = 1
            for message in _messages(connection):
                if message["type"] == "inventory":
                    ids |= set(message["ids"])
                elif message["type"] == "ping":
                    awaited += 1
                    connection.sendall(encode_frame({"type": "pong", "nonce": message["nonce"]})
                                       + encode_frame({"type": "ping", "nonce": CENSUS}))
                elif message == {"type": "pong", "nonce": CENSUS}:
                    awaited -= 1
                    if not awaited:
                        return ids
        return set()

    # --- how it goes ----------------------------------------------------------------------------

    def describe(self) -> str:
        """The progress, in one line."""
        up = [member for member in self.members if member.is_up]
        if self.settings.stage == 5:
            for status in [member.running.ask("/status", "status") for member in up]:
                self.forks = max(self.forks, status["blocks"] - status["height"])
                self.longest_rollback = max(self.longest_rollback, status["longest_rollback"])
        largest = max((member.resident_mib for member in up), default=0)
        return (f"{len(up)} of {len(self.members)} nodes up, {len(self.acknowledged())} transactions acknowledged,"
                f" {len(self.lost)} lost, {count(self.forks, 'block')} off the best chain, longest rollback"
                f" {self.longest_rollback}, largest node {largest} MiB")


def _messages(connection: socket.socket) -> Iterator[dict[str, Any]]:
    splitter = Splitter()
    while data := connection.recv(65_536):
        yield from map(decode_frame, splitter.feed(data)[0])
