"""Experiments by name: `make experiment NAME=forks`; `make experiments` does all, one after the other.

Each leaves its table, its picture and its page in run/experiments/NAME/. If one is interrupted,
the same command continues it.
"""

import argparse
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from common.console import Options, integer_from, read_path
from lab.bench.machine import count_cores
from lab.experiments.cluster import ClusterError
from lab.experiments.engine import open_engine
from lab.experiments.experiment import Experiment, Row
from lab.experiments.picture import save_pictures
from lab.experiments.report import Circumstances, write_report
from lab.experiments.sweep import Finished, make_tasks, read_header, sweep, write_csv
from lab.experiments.table import EXPERIMENTS
from lab.nodes.processes import ROOT


def make_options() -> Options:
    """The options of the command."""
    options = Options(prog="python -m lab.experiments", description="Measure, and draw it next to theory.")
    options.add_argument("names", nargs="*", metavar="NAME", help=f"which to do: {', '.join(EXPERIMENTS)}")
    options.add_argument("--all", action="store_true", help="do all of them")
    options.add_argument("--quick", action="store_true", help="a small form of each, in seconds")
    options.add_argument("--seed", type=integer_from(0, 2**32 - 1), default=1, metavar="N",
                         help="seed of all runs (default: %(default)s)")
    options.add_argument("--again", action="store_true", help="measure again what is finished")
    options.add_argument("--draw", action="store_true", help="measure nothing: draw again what was measured before")
    options.add_argument("--engine", metavar="ADDRESS", help="let a Dask cluster do the runs: the address of its"
                         " scheduler, as in tcp://scheduler:8786 (default: all cores of this machine)")
    options.add_argument("--to", type=read_path, default=ROOT / "run" / "experiments", metavar="DIR",
                         help="where the folders are written (default: run/experiments)")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the experiments, and print where their pages are."""
    options = make_options().parse_args(arguments)
    there_are = f"there are {', '.join(EXPERIMENTS)}"
    unknown = [name for name in options.names if name not in EXPERIMENTS]
    if unknown:
        return complain(f"no experiment is called {unknown[0]!r}; {there_are}", 2)
    if not (options.names or options.all):
        return complain(f"which experiment? name it with NAME= (--all: all of them); {there_are}", 2)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the runs in other processes must be ended then too
    try:
        for name in EXPERIMENTS if options.all else options.names:
            print(f"{name}: {do_experiment(EXPERIMENTS[name], options) / 'report.html'}")
    except KeyboardInterrupt:
        return complain("interrupted; the same command goes on from here", 130)
    except ClusterError as error:
        return complain(str(error), 1)
    return 0


def complain(reason: str, status: int) -> int:
    """Say in one line what is wrong, and return the exit status."""
    print(f"python -m lab.experiments: {reason}", file=sys.stderr)
    return status


def do_experiment(experiment: Experiment, options: argparse.Namespace) -> Path:
    """Measure, draw, write the page, and return the folder. The quick form has its own."""
    size = "quick" if options.quick else "full"
    folder: Path = options.to / (experiment.NAME + ("-quick" if options.quick else ""))
    path = folder / "finished.jsonl"
    if options.again:
        path.unlink(missing_ok=True)
    found = {"seed": options.seed, "size": size, "commit": find_commit(), "machine": describe_machine()}
    if options.draw and (before := read_header(path)) is not None:
        found = before
    finished = Finished(path, found)
    if finished.moved_to is not None:
        print(f"{experiment.NAME}: the earlier rows are of another seed, size, commit or machine, so they do not count"
              f" here; they are kept in {finished.moved_to}", file=sys.stderr)
    rows = measure(experiment, options, finished)
    write_csv(folder / "data.csv", rows)
    save_pictures(folder, experiment.TITLE, lambda figure: experiment.draw(figure, rows))
    command = f"make experiment NAME={experiment.NAME} SEED={found['seed']}" + (" QUICK=1" if options.quick else "")
    command += f" ENGINE={options.engine}" if options.engine else ""
    write_report(folder, experiment, experiment.points(options.quick), rows, Circumstances(**found, command=command))
    return folder


def measure(experiment: Experiment, options: argparse.Namespace, finished: Finished) -> list[Row]:
    """Do the runs that are left, under a bar that says how long it takes. Return all rows."""
    tasks = make_tasks(experiment, options.quick)
    done = sum(task.key in finished.rows for task in tasks)
    if done == len(tasks) or options.draw:
        return finished.table(tasks)
    with make_bar() as bar:
        line = bar.add_task(experiment.NAME, total=len(tasks), completed=done)
        for is_alone in (False, True):
            those = [task for task in tasks if experiment.is_alone(task.point) == is_alone
                     and task.key not in finished.rows]
            if not those:
                continue
            with open_engine(is_alone, options.engine) as executor:
                sweep(experiment, those, options.seed, executor, finished, lambda: bar.advance(line))
    return finished.table(tasks)


def make_bar() -> Progress:
    """A bar on standard error: runs done, time passed, time left."""
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("runs,"),
                    TimeElapsedColumn(), TextColumn("passed,"), TimeRemainingColumn(), TextColumn("left"),
                    console=Console(stderr=True), speed_estimate_period=120)


def find_commit() -> str:
    """The commit that is checked out, and whether files differ from it."""
    try:
        commit, changes = (subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout
                           for words in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "-uno"]))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.strip() + (" and changes" if changes else "")


def describe_machine() -> str:
    """Processor, cores, system and Python, in a line."""
    return f"{find_processor()}, {count_cores()} cores, {platform.system()}, Python {platform.python_version()}"


def find_processor() -> str:
    """The processor's name, from /proc/cpuinfo if the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
