"""What the benchmark measures: how much of the same work all nodes of a network get done in a second.

A measurement ends when the last node has everything. Then it checks that nothing was lost, nothing came twice, and
all ledgers are right: a fast node that is wrong is not fast.
"""

import random
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import mean, median
from pathlib import Path
from typing import Any

from lab.bench.machine import CoreWatch, VerificationTimer, count_cores, find_ceiling
from lab.blackbox.node_process import NodeError
from lab.blackbox.peer import Event
from lab.nodes.processes import POLL_SECONDS, NodeProcess, running_network
from lab.nodes.signing import Order, sign_all
from lab.nodes.workload import PASSPHRASE, Injector, KeyRing, injectors
from stage4_sequencer.genesis import FOUNDERS_BALANCE
from stage5_pos.__main__ import FOUNDING_BALANCE, STAKE_HOLDERS
from stage5_pos.rules import FEE, REWARD

MARKS = {1: 5_000.0, 3: 0.5, 4: 0.4, 5: 0.4}
"""What each stage should reach: in stage 1 messages a second, in later stages a share of the ceiling."""

NAMES = {1: "chat messages that reached all nodes", 3: "signed transactions, applied at all nodes",
         4: "ordered by a sequencer, executed at all nodes", 5: "ordered by a blockchain, executed at all nodes"}

MEAN_BLOCK = 1_000
"""Blocks must have this many transactions on average. With fewer, the mark is not met."""

BLOCK_RATE = 0.25
"""Probability that a slot of stage 5 has a block. If it is larger, more slots have two blocks, which are forks."""

SETTLE_SECONDS = 30.0
"""Time for ten ledgers to become equal once everything has been executed."""


@dataclass
class Settings:
    """How large the benchmark is."""

    nodes: int
    messages: int
    transactions: int
    timeout: float
    """Seconds that a stage may take from the first byte on."""
    block_seconds: float
    """Mean time between two blocks."""
    random: random.Random
    on_progress: Callable[[str], None]
    keeps_data: bool = False
    """Do the nodes of stages 3 to 5 keep a journal?"""


@dataclass
class Row:
    """The result of one stage."""

    stage: int
    number: int
    """Messages or transactions."""
    nodes: int
    seconds: float | None = None
    """From the first byte until the last node had everything; None if that never came."""
    verifications: list[float] = field(default_factory=list)
    """Seconds for one verification, in short runs before and after, while the nodes had nothing to do."""
    verifications_meanwhile: list[float] = field(default_factory=list)
    """The same while the nodes were at work. If it differs, the speed of the machine changed."""
    cores: dict[str, float] | None = None
    """The use of the cores meanwhile, as shares of their time."""
    blocks: dict[str, float] = field(default_factory=dict)
    """Stages 4 and 5: how many blocks there were, and how large."""
    faults: list[str] = field(default_factory=list)
    """What was lost or is wrong; empty if all is well."""

    @property
    def per_second(self) -> float | None:
        """Messages or transactions a second."""
        return None if self.seconds is None else self.number / self.seconds

    @property
    def ceiling(self) -> float | None:
        """Transactions a second if the cores did nothing but verify; None if that was not measured."""
        return find_ceiling(self.nodes, median(self.verifications)) if self.verifications else None

    @property
    def ratio(self) -> float | None:
        """Transactions a second, divided by the ceiling."""
        return self.per_second / self.ceiling if self.per_second and self.ceiling else None

    @property
    def ratio_meanwhile(self) -> float | None:
        """The same, with the V that was measured while the nodes were at work."""
        if self.per_second is None or not self.verifications_meanwhile:
            return None
        return self.per_second / find_ceiling(self.nodes, median(self.verifications_meanwhile))

    @property
    def node_seconds(self) -> float | None:
        """Seconds of a core that one node used for one message or transaction. Other programs hardly change this
        figure, unlike those above."""
        if self.cores is None or self.seconds is None:
            return None
        return self.cores["nodes"] * count_cores() * self.seconds / (self.number * self.nodes)

    @property
    def is_met(self) -> bool:
        """Is the mark reached, was nothing lost, and are the blocks large enough?"""
        reached = self.per_second if self.stage == 1 else self.ratio
        mean_block = self.blocks.get("mean_transactions", MEAN_BLOCK)
        return not self.faults and (reached or 0.0) >= MARKS[self.stage] and mean_block >= MEAN_BLOCK

    def members(self) -> dict[str, Any]:
        """The row for programs."""
        return {"stage": self.stage, "name": NAMES[self.stage], "number": self.number, "seconds": self.seconds,
                "per_second": self.per_second, "ceiling": self.ceiling, "ratio": self.ratio,
                "mark": MARKS[self.stage], "is_met": self.is_met,
                "verification_seconds": find_median(self.verifications),
                "verification_seconds_meanwhile": find_median(self.verifications_meanwhile),
                "ratio_meanwhile": self.ratio_meanwhile, "node_seconds": self.node_seconds,
                "blocks": self.blocks, "cores": self.cores, "faults": self.faults}


def find_median(numbers: Sequence[float]) -> float | None:
    """The median; None if there are no numbers."""
    return median(numbers) if numbers else None


# --- stage 1 ------------------------------------------------------------------------------------

def measure_chat(settings: Settings) -> Row:
    """Type messages at all nodes, until every node has printed all of them."""
    row = Row(1, settings.messages, settings.nodes)
    marker = f"{settings.random.getrandbits(64):016x}"
    texts = [f"{marker} {number}" for number in range(settings.messages)]
    settings.on_progress(f"stage 1: {settings.messages} messages")
    try:
        with running_network(1, settings.nodes) as nodes:
            watch = CoreWatch(node.pid for node in nodes)
            start = time.monotonic()
            for number, node in enumerate(nodes):
                _type_in_background(node, texts[number::settings.nodes])
            ended = [node.wait_for_text(marker.encode(), settings.messages, settings.timeout) for node in nodes]
            row.seconds, row.cores = max(ended) - start, watch.shares()
        # The nodes have ended, so this is all that they have ever printed.
        row.faults += [f"node {number}: {fault}" for number, node in enumerate(nodes)
                       if (fault := find_chat_fault(node.output, marker, settings.messages))]
    except NodeError as error:
        row.faults.append(str(error))
    return row


def _type_in_background(node: NodeProcess, lines: list[str]) -> None:
    def type_all() -> None:
        with suppress(NodeError):  # the node has ended: whoever waits for its output notices that
            node.type("\n".join(lines))

    if lines:
        threading.Thread(target=type_all, name=f"types to {node.pid}", daemon=True).start()


def find_chat_fault(output: bytes, marker: str, messages: int) -> str:
    """What is wrong with the messages in a node's output; empty if each is there once."""
    printed = Counter(map(int, re.findall(marker.encode() + rb" ([0-9]+)", output)))
    lost, twice = messages - len(printed), sum(printed.values()) - len(printed)
    return f"{lost} messages lost, {twice} printed again" if lost or twice else ""


# --- stages 3 to 5 ------------------------------------------------------------------------------

class LedgerMeasurement:
    """Sends signed transactions to all nodes, until every node has executed all of them."""

    def __init__(self, stage: int, settings: Settings, key_ring: KeyRing) -> None:
        self.stage = stage
        self.settings = settings
        self.key_ring = key_ring
        # In stage 4 only the founder has money at the start. In stage 5 the fee is taken out of the amount sent.
        self.senders = key_ring.keys[:1] if stage == 4 else key_ring.keys
        self.amount = 1 + FEE if stage == 5 else 1
        self.timer = VerificationTimer(key_ring.keys[0].key)
        self.row = Row(stage, settings.transactions, settings.nodes)

    def run(self) -> Row:
        """Measure, and check what the nodes have at the end."""
        try:
            with tempfile.TemporaryDirectory() as data, running_network(
                    self.stage, self.settings.nodes, lambda number: self.node_options(number, Path(data)),
                    {"WALLET_PASSPHRASE": PASSPHRASE}) as nodes:
                self.settings.on_progress(f"stage {self.stage}: signing {self.row.number} transactions")
                loads = self.make_loads(nodes[0].network)
                with injectors(nodes, self.stage) as peers:
                    self.settings.on_progress(f"stage {self.stage}: sending them")
                    self.measure(nodes, peers, loads)
                self.check(nodes)
        except NodeError as error:
            self.row.faults.append(str(error))
        return self.row

    def node_options(self, number: int, data: Path) -> list[str]:
        """The options of one node. In stage 5 the genesis accounts are dealt out among all nodes."""
        options = ["--wallet", str(self.key_ring.wallet(number % STAKE_HOLDERS))]
        if self.settings.keeps_data:
            options += ["--data", str(data / str(number))]
        if self.stage == 4:
            options += ["--interval", f"{self.settings.block_seconds:.3f}"]
        if self.stage == 5:
            played = range(number + 1, STAKE_HOLDERS + 1, self.settings.nodes)
            options += ["--keys", str(self.key_ring.folder), "--forge", ",".join(map(str, played)) or "none",
                        "--slot", f"{self.settings.block_seconds * BLOCK_RATE:.3f}", "--rate", str(BLOCK_RATE)]
        return options

    def make_loads(self, network: str) -> list[bytes]:
        """The frames for each node: its share of the transactions, all from one account."""
        nonces = [f"{self.settings.random.getrandbits(128):032x}" for _ in range(self.row.number)]
        return sign_all([Order(str(self.key_ring.file(number % len(self.senders))), network, self.key_ring.sink,
                               self.amount, nonces[number::self.settings.nodes])
                         for number in range(self.settings.nodes)])

    # --- measuring ------------------------------------------------------------------------------

    def measure(self, nodes: Sequence[NodeProcess], peers: Sequence[Injector], loads: Sequence[bytes]) -> None:
        """Take the time from the first byte until the last node has executed everything."""
        self.row.verifications += self.timer.measure()
        watch = CoreWatch(node.pid for node in nodes)
        start = time.monotonic()
        for peer, load in zip(peers, loads, strict=True):
            peer.start(load)
        for node in nodes:
            self.wait_until_executed(node, start + self.settings.timeout)
        self.row.seconds, self.row.cores = time.monotonic() - start, watch.shares()
        self.row.verifications += self.timer.measure()

    def wait_until_executed(self, node: NodeProcess, deadline: float) -> None:
        """Wait until `node` has executed everything. NodeError if it has not by `deadline` (monotonic clock)."""
        while True:
            self.row.verifications_meanwhile.append(self.timer.measure_once())
            executed = _ask_ledger(node).get(self.key_ring.sink, 0)
            if executed >= self.row.number:
                return
            if time.monotonic() > deadline:
                raise NodeError(f"{node.name} has executed {executed} of {self.row.number} transactions"
                                f" after {self.settings.timeout:g} seconds")
            time.sleep(POLL_SECONDS)

    # --- checking -------------------------------------------------------------------------------

    def check(self, nodes: Sequence[NodeProcess]) -> None:
        """Compare all ledgers with each other, and with the one that follows from the transactions and the blocks."""
        ledgers, blocks = self.settle(nodes)
        expected = self.expected_ledger(blocks)
        for number, ledger in enumerate(ledgers):
            if ledger != ledgers[0]:
                self.row.faults.append(f"node {number} has a different ledger from node 0")
            elif ledger != expected:
                self.row.faults.append(f"node {number} does not have the ledger that follows from the transactions")
        if self.stage >= 4:
            self.row.blocks = _describe_blocks(blocks)
        if self.stage == 5:
            states = [node.ask("/status", "status") for node in nodes]
            self.row.blocks |= {"rollbacks": max(state["rollbacks"] for state in states),
                                "longest_rollback": max(state["longest_rollback"] for state in states)}

    def settle(self, nodes: Sequence[NodeProcess]) -> tuple[list[dict[str, int]], list[Event]]:
        """All ledgers, and the blocks of node 0's best chain, at a moment when all are equal, if there is one."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            # New blocks may come in between, with rewards, so the chain must be the same before and after.
            before = self.ask_blocks(nodes[0])
            ledgers = [_ask_ledger(node) for node in nodes]
            is_settled = all(ledger == ledgers[0] for ledger in ledgers) and before == self.ask_blocks(nodes[0])
            if is_settled or time.monotonic() > deadline:
                return ledgers, before
            time.sleep(POLL_SECONDS)

    def ask_blocks(self, node: NodeProcess) -> list[Event]:
        """The blocks of a node's best chain; none before stage 4."""
        return list(node.ask("/blocks", "blocks")["blocks"]) if self.stage >= 4 else []

    def expected_ledger(self, blocks: Sequence[Event]) -> dict[str, int]:
        """What every account must have, by the rules of contract §3."""
        expected: Counter[str] = Counter({self.key_ring.sink: self.row.number})
        if self.stage == 4:
            expected[self.senders[0].account] += FOUNDERS_BALANCE
        if self.stage == 5:
            expected.update({key.account: FOUNDING_BALANCE for key in self.key_ring.keys})
            for block in blocks:
                expected[block["creator"]] += REWARD + FEE * block["transactions"]
        for number in range(self.row.number):
            expected[self.senders[number % self.settings.nodes % len(self.senders)].account] -= self.amount
        return dict(expected)


def _ask_ledger(node: NodeProcess) -> dict[str, int]:
    return dict(node.ask("/ledger", "ledger")["accounts"])


def _describe_blocks(blocks: Sequence[Event]) -> dict[str, float]:
    """The number of blocks with transactions, and how large they are."""
    sizes = [block["transactions"] for block in blocks if block["transactions"]]
    return {"number": len(sizes), "mean_transactions": mean(sizes or [0]), "largest": max(sizes, default=0)}
