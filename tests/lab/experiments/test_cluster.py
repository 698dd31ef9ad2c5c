"""The same sweep on this machine's cores and on a Dask cluster: the same rows. When something is wrong, one line says
what.

The cluster runs in this process, so it starts at once and ends with it. Tasks and rows are pickled nevertheless.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from distributed import Client, LocalCluster

from lab.experiments import cluster
from lab.experiments.cluster import ClusterError, open_cluster
from lab.experiments.engine import open_engine
from lab.experiments.experiments import main
from lab.experiments.forks import Forks
from lab.experiments.sweep import Finished, Task, sweep
from tests.lab.experiments.inline import Inline
from tests.processes import ROOT, unused_address


TASKS = [Task({"how": "memory", "delay": delay, "slots": 100}, run) for run in (0, 1) for delay in (0, 2)]
"""A small sweep of forks."""


@contextmanager
def running_cluster(workers: int = 2, is_apart: bool = False) -> Iterator[str]:
    """Run a cluster on loopback, with two threads in each worker, and yield its address. If `is_apart`, workers are
    processes. Dask has a server for HTTP even without its dashboard: like the others, it gets a free port."""
    with (TemporaryDirectory() as folder,
          LocalCluster(n_workers=workers, threads_per_worker=2, processes=is_apart, host="127.0.0.1", protocol="tcp",  # type: ignore[no-untyped-call]
                       dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False}, local_directory=folder) as local):
        yield local.scheduler_address


def tasks_left(address: str) -> int:
    """How many tasks the scheduler still knows."""
    with Client(address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        return int(client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))


@pytest.mark.parametrize("is_apart", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_cluster_gives_the_same_rows_to_the_digit(is_apart: bool, tmp_path: Path) -> None:
    there, here = (Finished(tmp_path / name, {}) for name in ("there", "here"))
    with running_cluster(is_apart=is_apart) as address, open_engine(cluster=address) as executor:
        sweep(Forks(), TASKS, 3, executor, there, lambda: None)
    sweep(Forks(), TASKS, 3, Inline(), here, lambda: None)
    assert there.table(TASKS) == here.table(TASKS) and len(here.rows) == 4


def test_what_is_left_to_do_is_cancelled_when_a_sweep_is_interrupted(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    finished = Finished(tmp_path / "finished.jsonl", {})
    with running_cluster(workers=1) as address:
        with pytest.raises(KeyboardInterrupt), open_cluster(address) as executor:
            sweep(Forks(), TASKS, 1, executor, finished, interrupt)
        assert tasks_left(address) == 0
    assert len(finished.rows) == 1, "what was finished is on disk"


def test_runs_that_need_a_machine_for_themselves_stay_here() -> None:
    with open_engine(is_alone=True, cluster="tcp://nobody.invalid:1") as executor:
        assert executor.submit(pow, 2, 5).result() == 32


# --- what is wrong --------------------------------------------------------------------------------

def test_a_worker_with_other_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_code", iter(["that of this machine", "that of the worker"]).__next__)
    with (running_cluster(workers=1) as address, pytest.raises(ClusterError, match="has different code from this machine"),
          open_cluster(address) as executor):
        executor.submit(pow, 2, 5).result()


def test_the_code_is_another_one_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ROOT", tmp_path)
    file = tmp_path / "stage1_chat" / "node.py"
    file.parent.mkdir()
    found = set()
    for text in ("a = 1", "a = 2"):
        file.write_text(text)
        found.add(cluster.find_code.__wrapped__())
    file.rename(file.with_name("nodes.py"))
    assert len({*found, cluster.find_code.__wrapped__()}) == 3


def complaint(capsys: pytest.CaptureFixture[str], tmp_path: Path, address: str) -> str:
    """The one line with which the command fails, below its progress bar."""
    assert main(["forks", "--quick", "--engine", address, "--to", str(tmp_path)]) == 1
    said: str = capsys.readouterr().err.splitlines()[-1]
    return said.removeprefix("python -m lab.experiments: ")


def test_if_no_scheduler_answers_one_line_says_so(
        capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.3)
    address = f"tcp://{unused_address()}"
    assert complaint(capsys, tmp_path, address) == f"no Dask scheduler answers at {address}"
    assert complaint(capsys, tmp_path, "forks") == "forks is not an address like tcp://scheduler:8786"
    with running_cluster(workers=0) as address:
        assert complaint(capsys, tmp_path, address) == f"the Dask scheduler at {address} has no workers"


def test_without_dask_one_line_says_how_to_get_it(
        capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "pip install 'dask[distributed]'" in complaint(capsys, tmp_path, "tcp://127.0.0.1:1")


@pytest.mark.parametrize("is_cause", [False, True])
def test_if_the_cluster_lacks_the_code_one_line_says_so(is_cause: bool) -> None:
    """A worker raises ModuleNotFoundError. At the scheduler, that error is the cause of a RuntimeError."""
    lacking, other = ModuleNotFoundError("No module named 'lab'", name="lab"), RuntimeError("Error during deserialization")
    other.__cause__ = lacking
    with (running_cluster(workers=1) as address, pytest.raises(ClusterError, match="cannot load the module lab; start"),
          open_cluster(address)):
        raise other if is_cause else lacking


@pytest.mark.long
def test_dask_is_not_needed_without_a_cluster() -> None:
    program = "import sys; sys.modules['distributed'] = None; from lab.experiments.experiments import main; main(['--help'])"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "--engine ADDRESS" in run.stdout, run.stderr
