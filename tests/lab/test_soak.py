"""`make soak` (lab/soak/soak.py, trial.py): it runs, it ends, and it notices lost transactions and different ledgers."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.soak.soak import main
from lab.soak.trial import Settings, Trial
from lab.nodes.workload import KeyRing
from tests.network.conftest import copy_keys
from tests.processes import DEADLINE, ROOT, eventually, nodes_of


def test_a_short_soak_of_everything_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = nodes_of(os.getpid())
    assert main(["--minutes", "0.08", "--nodes", "3", "--keys", str(copy_keys(tmp_path / "keys"))]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("stage 5, 3 nodes, 20 transactions a second, seed ")
    assert last.startswith("nothing lost, all equal: ") and ", 1 check, " in last and " 0 lost, " in last
    assert nodes_of(os.getpid()) == before


def test_an_acknowledged_transaction_that_no_node_has_is_lost(keys: KeyRing, tmp_path: Path) -> None:
    with Trial(Settings(stage=2, nodes=3, per_second=20), keys, tmp_path / "data") as trial:
        trial.members[1].acknowledged_before.add("0" * 64)
        complaints = trial.settle(timeout=1)
    assert complaints[0].startswith("not equal after 1 seconds: coins [0, 0, 0]")
    assert complaints[1:] == [f"node {number} lacks 1 of 1 acknowledged transactions" for number in range(3)]
    assert trial.lost == {"0" * 64}


def test_a_node_that_has_lost_its_data_is_noticed(keys: KeyRing, tmp_path: Path) -> None:
    with Trial(Settings(stage=2, nodes=3, per_second=20, kinds=()), keys, tmp_path / "data") as trial:
        trial.trouble(2)
        trial.faults.partition([["0", "1"], ["2"]])
        trial.members[2].kill()
        shutil.rmtree(tmp_path / "data" / "2")
        trial.members[2].restart()
        eventually(lambda: trial.members[2].is_up)  # it reaches nobody, and founds a network
        complaints = trial.settle(timeout=1)
    assert complaints[0].startswith("not equal after 1 seconds: ")
    lacking = [complaint for complaint in complaints if "acknowledged" in complaint]
    assert [complaint.split()[1] for complaint in lacking] == ["2"], complaints


def test_ctrl_c_ends_all_nodes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lab.soak", "--stage", "2", "--nodes", "3", "--seed", "1",
               "--keys", str(copy_keys(tmp_path / "keys"))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as soak:
        eventually(lambda: len(nodes_of(soak.pid)) == 3, state=soak.poll)
        nodes = nodes_of(soak.pid)
        soak.send_signal(signal.SIGINT)
        output = soak.communicate(timeout=DEADLINE)[0]
    assert soak.returncode == 130
    eventually(lambda: not any(Path(f"/proc/{node}").exists() for node in nodes), state=lambda: nodes)
    assert "Traceback" not in output
