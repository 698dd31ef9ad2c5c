"""The benchmark on a small scale: its figures are right, and it notices what is wrong.

These tests do not check how fast the stages are: that depends on what else the machine does.
"""

import contextlib
import dataclasses
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.rsa import load_key
from lab.bench import measurements
from lab.bench.measurements import LedgerMeasurement, Row, Settings
from lab.blackbox.node_process import NodeError
from lab.nodes.processes import running_network
from lab.nodes.signing import Order, SigningError, sign_all
from tests.conftest import KEYS
from tests.processes import ROOT, eventually

SETTINGS = Settings(nodes=3, messages=300, transactions=60, timeout=30.0, block_seconds=0.2,
                    random=random.Random(1), on_progress=lambda text: None)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with the eleven keys that the benchmark would make."""
    for number in range(1, 12):
        shutil.copy(KEYS / f"key-{number}.pem", tmp_path)
    return tmp_path


class Bench:
    """The benchmark as a process, and whatever it starts."""

    def __init__(self, *options: str) -> None:
        self._mark = f"BENCH_TEST={secrets.token_hex(16)}"
        name, value = self._mark.split("=")
        # A session of its own, so that the test can send Ctrl-C to all its processes, as a terminal does.
        self.process = subprocess.Popen([sys.executable, "-m", "lab.bench", *options], cwd=ROOT, text=True,
                                        env={**os.environ, name: value}, start_new_session=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(self) -> tuple[int, str, str]:
        """Its exit status, standard output and standard error, once it has ended."""
        output, errors = self.process.communicate(timeout=100)
        return self.process.returncode, output, errors

    def started(self) -> list[str]:
        """All processes with its environment, itself included: for each, how much it has written to a file on standard
        output, and its command line."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # ended meanwhile, or not ours to look at
                if self._mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_text().replace("\0", " ")
                    found.append(f"{(folder / 'fd' / '1').stat().st_size} {command}")
        return found

    def has_nodes(self) -> bool:
        """Are its two nodes running?"""
        return sum("-m stage" in line for line in self.started()) == 2

    def has_signed(self) -> bool:
        """Have its two signers written something?"""
        return sum("-m lab.nodes.signing" in line and not line.startswith("0 ") for line in self.started()) == 2

    def all_have_ended(self) -> bool:
        """Is nothing left of it?"""
        return not self.started()


@pytest.fixture
def bench() -> Iterator[Any]:
    """Start a benchmark: `bench(*options)` returns a `Bench`. It is ended, and must leave nothing behind."""
    benches: list[Bench] = []

    def start(*options: str) -> Bench:
        benches.append(Bench(*options))
        return benches[-1]

    yield start
    for one in benches:
        one.process.kill()
        one.process.communicate()
        eventually(one.all_have_ended, state=one.started)


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system has no /proc")


# --- the whole --------------------------------------------------------------------------------------

def test_all_stages_are_measured(bench: Any, keys: Path) -> None:
    benchmark = bench("--json", "--nodes", "3", "--messages", "300", "--transactions", "60", "--block-seconds", "0.2",
                      "--keys", str(keys), "--seed", "7")
    status, output, errors = benchmark.finish()
    assert (status, errors) == (0, ""), errors
    assert benchmark.started() == []
    report = json.loads(output)
    assert report.keys() == {"nodes", "cores", "seed", "block_seconds", "python", "pycryptodome", "verification_seconds", "rows"}
    assert (report["nodes"], report["seed"]) == (3, 7)
    assert 1e-6 < report["verification_seconds"] < 1.0
    assert [row["stage"] for row in report["rows"]] == [1, 3, 4, 5]
    for row in report["rows"]:
        check_row(row, report["cores"])


def check_row(row: dict[str, Any], cores: int) -> None:
    """The figures of a row follow from each other, and nothing was lost."""
    assert row["faults"] == []
    assert row["number"] == (300 if row["stage"] == 1 else 60)
    assert row["per_second"] == pytest.approx(row["number"] / row["seconds"])
    if row["stage"] == 1:
        assert row["ceiling"] is row["ratio"] is row["verification_seconds"] is None
    else:
        assert row["ceiling"] == pytest.approx(cores / (3 * row["verification_seconds"]))
        assert row["ratio"] == pytest.approx(row["per_second"] / row["ceiling"])
        assert row["ratio_meanwhile"] == pytest.approx(
            row["per_second"] / cores * 3 * row["verification_seconds_meanwhile"])
        assert 0.01 < row["seconds"] < 60
    if row["stage"] >= 4:
        assert row["blocks"]["number"] * row["blocks"]["mean_transactions"] == pytest.approx(60)
        assert not row["is_met"], "blocks as small as these must not reach the mark"
    if row["cores"] is not None:
        # Do not check the sum: in a run of a tenth of a second the system's clock ticks are too coarse.
        assert all(share >= 0.0 for share in row["cores"].values())


@needs_proc
@pytest.mark.parametrize("is_at_work, options, number", [
    (Bench.has_nodes, ["--stages", "1", "--messages", "1000000"], signal.SIGTERM),
    (Bench.has_nodes, ["--stages", "1", "--messages", "1000000"], signal.SIGKILL),
    (Bench.has_signed, ["--stages", "3", "--transactions", "300000"], signal.SIGINT),
])
def test_nothing_is_left_when_it_is_interrupted(bench: Any, keys: Path, is_at_work: Callable[[Bench], bool],
                                                options: list[str], number: signal.Signals) -> None:
    benchmark = bench("--json", "--nodes", "2", "--keys", str(keys), *options)
    eventually(lambda: is_at_work(benchmark), state=benchmark.started)
    if number == signal.SIGINT:
        os.killpg(benchmark.process.pid, number)
    else:
        benchmark.process.send_signal(number)
    status, _, errors = benchmark.finish()
    eventually(benchmark.all_have_ended, state=benchmark.started)
    if number != signal.SIGKILL:
        assert (status, errors) == (130, "python -m lab.bench: interrupted\n")


@pytest.mark.parametrize("options, status, complaint", [
    (["--stages", "1,2"], 2, "expected some of 1, 3, 4, 5, with commas between them, not '1,2'"),
    (["--nodes", "1"], 2, "expected an integer from 2 to 20, not '1'"),
    (["--keys", "/dev/null/keys"], 1, "/dev/null/keys: Not a directory"),
])
def test_a_wrong_option_gets_one_line(bench: Any, options: list[str], status: int, complaint: str) -> None:
    ended, output, errors = bench("--json", *options).finish()
    assert (ended, output, errors.count("\n")) == (status, "", 1)
    assert complaint in errors


def test_a_key_that_cannot_be_read_gets_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    order = Order(str(tmp_path / "none.pem"), "0" * 32, "receiver", 1, ["0" * 32])
    with pytest.raises(SigningError, match="^a process that signs transactions ended with status 1$"):
        sign_all([order])
    complaint = f"python -m lab.nodes.signing: {order.key_file}: No such file or directory; check the path"
    assert capfd.readouterr().err.startswith(complaint)


# --- what is wrong is noticed -----------------------------------------------------------------------

def test_a_stage_that_fails_is_a_row_with_a_fault_and_status_1(bench: Any, keys: Path) -> None:
    status, output, errors = bench("--json", "--stages", "1", "--nodes", "2", "--messages", "1000000",
                                   "--timeout", "0.001", "--keys", str(keys)).finish()
    [row] = json.loads(output)["rows"]
    assert (status, errors) == (1, "")
    assert row["seconds"] is row["per_second"] is None and not row["is_met"]
    assert len(row["faults"]) == 1 and "1000000 times" in row["faults"][0]


@pytest.mark.parametrize("printed, fault", [
    ("m 0\nm 1\nm 2\n", ""),
    ("m 0\nm 2\n", "1 messages lost, 0 printed again"),
    ("m 0\nm 1\nm 1\nm 2\n", "0 messages lost, 1 printed again"),
    ("m 0\nm 1\nm 1\n", "1 messages lost, 1 printed again"),
])
def test_messages_that_are_lost_or_come_twice_are_noticed(printed: str, fault: str) -> None:
    assert measurements.find_chat_fault(printed.encode(), "m", 3) == fault


class ScriptedNode:
    """Answers as a node of stage 5 whose ledger and blocks are given."""

    def __init__(self, ledger: dict[str, int], blocks: list[dict[str, Any]]) -> None:
        self._answers: dict[str, dict[str, Any]] = {
            "ledger": {"accounts": ledger}, "blocks": {"blocks": blocks},
            "status": {"rollbacks": 2, "longest_rollback": 1}}

    def ask(self, command: str, event: str) -> dict[str, Any]:
        """The answer to a command."""
        return self._answers[event]


def scripted_measurement(monkeypatch: pytest.MonkeyPatch) -> tuple[LedgerMeasurement, dict[str, int], list[Any]]:
    """A measurement of stage 5 at its end, the right ledger, and the blocks from which it follows."""
    monkeypatch.setattr(measurements, "SETTLE_SECONDS", 0.0)
    *senders, sink = [load_key(KEYS / f"key-{number}.pem") for number in range(1, 12)]
    key_ring: Any = SimpleNamespace(keys=senders, sink=sink.account)
    blocks = [{"creator": senders[9].account, "transactions": 40}, {"creator": senders[0].account, "transactions": 20}]
    # 20 transactions of 2 from each of the first three keys. Creators get 10, and 1 for each transaction.
    ledger = {key.account: 1_000_000 for key in senders} | {sink.account: 60}
    for number, change in ((0, -40 + 10 + 20), (1, -40), (2, -40), (9, 10 + 40)):
        ledger[senders[number].account] += change
    return LedgerMeasurement(5, SETTINGS, key_ring), ledger, blocks


def test_ledgers_that_are_right_have_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    measurement, ledger, blocks = scripted_measurement(monkeypatch)
    nodes: Any = [ScriptedNode(dict(ledger), blocks) for _ in range(3)]
    measurement.check(nodes)
    assert measurement.row.faults == []
    assert measurement.row.blocks == {"number": 2, "mean_transactions": 30, "largest": 40,
                                      "rollbacks": 2, "longest_rollback": 1}


def test_one_ledger_that_differs_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    measurement, ledger, blocks = scripted_measurement(monkeypatch)
    sink = measurement.key_ring.sink
    nodes: Any = [ScriptedNode(ledger, blocks), ScriptedNode(ledger, blocks), ScriptedNode({**ledger, sink: 61}, blocks)]
    measurement.check(nodes)
    assert measurement.row.faults == ["node 2 has a different ledger from node 0"]


def test_ledgers_that_are_wrong_alike_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    measurement, ledger, blocks = scripted_measurement(monkeypatch)
    wrong = {**ledger, blocks[0]["creator"]: ledger[blocks[0]["creator"]] + 1}
    nodes: Any = [ScriptedNode(wrong, blocks) for _ in range(3)]
    measurement.check(nodes)
    assert measurement.row.faults == [f"node {number} does not have the ledger that follows from the transactions"
                                      for number in range(3)]


class SlowNode(ScriptedNode):
    """Before each question it executes 25 more transactions, and lets a second pass on the test's clock."""

    pid = os.getpid()
    name = "node"
    now = 100.0

    def ask(self, command: str, event: str) -> dict[str, Any]:
        """The answer to a command."""
        SlowNode.now += 1.0
        self._answers["ledger"]["accounts"]["sink"] += 25
        return super().ask(command, event)


@pytest.mark.parametrize("timeout", [30.0, 4.0])
def test_the_time_is_taken_until_the_last_node_has_everything(monkeypatch: pytest.MonkeyPatch, timeout: float) -> None:
    measurement, _, _ = scripted_measurement(monkeypatch)
    measurement.key_ring.sink = "sink"
    measurement.settings = dataclasses.replace(SETTINGS, timeout=timeout)
    monkeypatch.setattr(SlowNode, "now", 100.0)
    monkeypatch.setattr(measurements, "time", SimpleNamespace(monotonic=lambda: SlowNode.now, sleep=lambda _: None))
    nodes: Any = [SlowNode({"sink": 0}, []), SlowNode({"sink": 0}, [])]
    if timeout < 6.0:
        with pytest.raises(NodeError, match="^node has executed 50 of 60 transactions after 4 seconds$"):
            measurement.measure(nodes, [], [])
        assert measurement.row.seconds is None
    else:
        measurement.measure(nodes, [], [])
        assert measurement.row.seconds == 6.0  # three questions to each of two nodes, since 75 is the first count over 60


def test_a_mark_is_met_only_without_faults_and_with_large_blocks() -> None:
    row = Row(4, 10_000, 10, seconds=10.0, verifications=[1e-6])
    assert row.ratio is not None and row.ratio < 0.4 and not row.is_met
    row.verifications = [1.0]
    assert row.ratio > 0.4 and row.is_met
    row.blocks = {"mean_transactions": 999}
    assert not row.is_met
    row.blocks = {"mean_transactions": 1000}
    assert row.is_met
    row.faults.append("node 1 has a different ledger from node 0")
    assert not row.is_met


def test_a_node_that_dies_is_reported_and_the_others_are_ended() -> None:
    with pytest.raises(NodeError, match=r"(?m)^node \d+ \(stage1_chat .*\) ended with status -9, expected the event chat$"), \
            running_network(1, 3) as nodes:
        nodes[1].signal(signal.SIGKILL)
        nodes[1].wait_for("chat")
    assert [node.wait_end() for node in nodes] == [0, -9, 0]


def test_a_node_hears_what_is_typed_at_another() -> None:
    with running_network(2, 3) as nodes:
        nodes[0].type("hi\n/send a b 3")
        nodes[2].wait_for("chat", text="hi")
        assert nodes[0].ask("/ledger", "ledger")["accounts"] == {"a": -3, "b": 3}
        with pytest.raises(NodeError, match="has not reported the event chat in time"):
            nodes[2].wait_for("chat", timeout=0.0, since=len(nodes[2].events))
