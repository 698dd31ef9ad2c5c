"""The same attacks on real nodes of every stage: `python -m lab.attacks`, or `make attacks`.

Each cell of the table is one attack on one stage. It has a small network of its own, of real processes on loopback;
several cells run at the same time. What happens is measured: the stage holds, or it is broken, with the evidence. An
outcome is marked if docs/security.md does not promise it, or if it could not be measured; the exit status is then 1.

- `make attacks SEED=7` repeats the random choices of an earlier run. It cannot repeat how processes take turns.
- `make attacks ARGS="--only 'double spend' --stage 4"` runs only these cells. `ARGS=--list` lists all attacks.
- `make attacks HTML=out.html` writes a page as well.
"""

import argparse
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from common.advice import describe_error
from common.console import Options, count, integer_from, read_path
from common.wallets import WalletError
from lab.attacks import on_money as attack_money
from lab.attacks import on_network as attack_network
from lab.attacks import on_order as attack_order
from lab.attacks import by_strangers as attack_strangers
from lab.attacks.attack import Attack, Finding, Outcome
from lab.attacks.scene import ACCOUNTS, Crew, Scene, Unmeasured
from lab.attacks.html import attacks_page
from lab.attacks.terminal import draw, draw_list
from lab.blackbox.peer import NoAnswer
from lab.blackbox.node_process import NodeError
from lab.nodes.processes import ROOT
from lab.attacks.promises import STAGES, PromiseError, Promises, read_promises
from lab.surroundings import USUAL_COLUMNS, columns, has_colours, takes_escapes
from lab.nodes.workload import KeyRing

ATTACKS: list[Attack] = [*attack_money.ATTACKS, *attack_network.ATTACKS, *attack_order.ATTACKS, *attack_network.COSTLY,
                         *attack_strangers.ATTACKS]

JOBS = 3 * (os.cpu_count() or 2)
"""The number of cells that run at the same time. They wait more than they compute."""

TICK_SECONDS = 0.2


class Cell(NamedTuple):
    """An attack on a stage."""

    attack: Attack
    stage: int


Findings = dict[str, dict[int, Finding]]
"""Attack -> stage -> finding."""


def make_options() -> Options:
    """The options of the command."""
    options = Options(prog="python -m lab.attacks", description="Attack real nodes of every stage, and see what holds.",
                      allow_abbrev=False)
    options.add_argument("--seed", type=integer_from(0, 2**32 - 1), metavar="N",
                         help="seed of the random choices (default: random, printed)")
    options.add_argument("--only", action="append", metavar="WORDS",
                         help="only the attacks with these words in their name; may be given more than once")
    options.add_argument("--stage", action="append", type=integer_from(1, 5), metavar="N",
                         help="only this stage; may be given more than once")
    options.add_argument("--html", type=read_path, metavar="FILE", help="write an HTML page as well")
    options.add_argument("--list", action="store_true", help="list the attacks without running them")
    options.add_argument("--jobs", type=integer_from(1, 100), default=JOBS, metavar="N",
                         help="cells measured at the same time (default: %(default)s)")
    options.add_argument("--keys", type=read_path, default=ROOT / "run" / "bench-keys", metavar="DIR",
                         help="keys to sign with, made there if missing (default: run/bench-keys)")
    return options


def check_writable(parser: Options, path: Path) -> None:
    """End the program now if the page could not be written later."""
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        parser.exit(2, f"{parser.prog}: cannot write {path}: expected a file in a writable folder\n")


def select(parser: Options, options: argparse.Namespace) -> tuple[list[Attack], list[int]]:
    """The attacks and stages that the options name. The parser ends the program if there are none."""
    attacks = [attack for attack in ATTACKS
               if options.only is None or any(words in attack.name for words in options.only)]
    for words in options.only or ():
        if not any(words in attack.name for attack in ATTACKS):
            parser.error(f"no attack has {words!r} in its name; --list lists them")
    return attacks, sorted(set(options.stage or STAGES))


# --- running ------------------------------------------------------------------------------------

class Run:
    """One run over some cells."""

    def __init__(self, keys: KeyRing, folder: Path, seed: int) -> None:
        self._keys, self._folder, self.seed = keys, folder, seed
        self.crew = Crew()

    def measure(self, cell: Cell) -> Finding:
        """Carry out one attack on one stage. If anything goes wrong, the finding is unknown, with the reason."""
        if cell.stage in cell.attack.reasons:
            return Finding(Outcome.NOT_APPLICABLE, cell.attack.reasons[cell.stage])
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            seed = f"{self.seed} {cell.attack.name} {cell.stage}"
            with Scene(cell.stage, self.crew, self._keys, folder, seed) as scene:
                return cell.attack.carry_out(scene)
        except (Unmeasured, NodeError, NoAnswer) as error:
            return Finding(Outcome.UNKNOWN, str(error))
        except Exception as error:  # a defect in one attack must not end the others
            return Finding(Outcome.UNKNOWN, f"{type(error).__name__}: {error}")

    def measure_all(self, cells: Sequence[Cell], jobs: int) -> Iterator[tuple[Cell, Finding]]:
        """Carry out all cells, `jobs` at a time, and yield the findings as they come. An interrupt ends them all."""
        # The cells of the later stages take longest, so they come first.
        ordered = sorted(cells, key=lambda cell: -cell.stage)
        with ThreadPoolExecutor(jobs) as pool:
            futures = {pool.submit(self.measure, cell): cell for cell in ordered}
            try:
                yield from self._as_they_come(futures)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.crew.end()
                raise

    def _as_they_come(self, futures: dict[Future[Finding], Cell]) -> Iterator[tuple[Cell, Finding]]:
        left = set(futures)
        while left:
            done, left = wait(left, TICK_SECONDS, FIRST_COMPLETED)
            for future in done:
                yield futures[future], future.result()


class Progress:
    """A line of progress on standard error, if that is a terminal on which it can be erased again."""

    def __init__(self, cells: int) -> None:
        self._cells = cells
        self._done = 0
        self._is_shown = takes_escapes(sys.stderr)
        self._show("")

    def tick(self, cell: Cell) -> None:
        """A cell is done."""
        self._done += 1
        self._show(f": {cell.attack.name}, stage {cell.stage}")

    def _show(self, last: str) -> None:
        if self._is_shown:
            width = columns(sys.stderr, USUAL_COLUMNS) - 1
            print(f"\r\x1b[K{f'{self._done} of {self._cells} cells measured{last}'[:width]}", end="",
                  file=sys.stderr, flush=True)

    def end(self) -> None:
        """Erase the line."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def run_cells(run: Run, attacks: Sequence[Attack], stages: Sequence[int], jobs: int) -> Findings:
    """Measure all cells of these attacks and stages, in the order of the table.

    A cell that could not be measured is tried once more at the end, when the machine is less busy: a node that gets
    no answer within five seconds founds its own network.
    """
    cells = [Cell(attack, stage) for attack in attacks for stage in stages]
    progress = Progress(len(cells))
    found: dict[Cell, Finding] = {}
    try:
        for cell, finding in run.measure_all(cells, jobs):
            found[cell] = finding
            progress.tick(cell)
        found.update(run.measure_all([cell for cell in cells if found[cell].outcome == Outcome.UNKNOWN], jobs=1))
    finally:
        progress.end()
    return {attack.name: {stage: found[Cell(attack, stage)] for stage in stages} for attack in attacks}


# --- what came out --------------------------------------------------------------------------------

def compare_with(promises: Promises, findings: Findings) -> list[str]:
    """The outcomes that were not promised or could not be measured, one line each."""
    complaints = []
    for name, stages in findings.items():
        for stage, finding in stages.items():
            promised = promises.get(name, {}).get(stage)
            if promised is None:
                complaints.append(f"{name}, stage {stage}: docs/security.md promises nothing")
            elif finding.outcome != promised:
                complaints.append(f"{name}, stage {stage}: {finding.outcome}, but docs/security.md promises"
                                  f" {promised}: {finding.evidence}")
    return complaints


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the attacks. 0 if all came out as promised, 1 if not, 2 for wrong options, 130 after an interrupt."""
    parser = make_options()
    options = parser.parse_args(arguments)
    attacks, stages = select(parser, options)
    if options.html is not None:
        check_writable(parser, options.html)
    try:
        promises = read_promises()
    except (OSError, PromiseError) as error:
        print(f"{parser.prog}: {describe_error(error)}", file=sys.stderr)
        return 1
    if options.list:
        print(draw_list(attacks, promises))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C does, so that the nodes are ended
    seed = secrets.randbits(32) if options.seed is None else options.seed
    try:
        with tempfile.TemporaryDirectory(prefix="attacks-", ignore_cleanup_errors=True) as folder:
            return attack_all(attacks, stages, promises, seed, Path(folder), options)
    except (OSError, WalletError) as error:
        print(f"{parser.prog}: {describe_error(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; all nodes have ended", file=sys.stderr)
        return 130


def attack_all(attacks: Sequence[Attack], stages: Sequence[int], promises: Promises, seed: int, folder: Path,
               options: argparse.Namespace) -> int:
    """Measure, print, and write the page. Return the exit status."""
    print(f"seed {seed}", flush=True)
    keys = KeyRing(options.keys, folder, ACCOUNTS, lambda text: print(text, file=sys.stderr))
    started = time.monotonic()
    findings = run_cells(Run(keys, folder, seed), attacks, stages, options.jobs)
    complaints = compare_with(promises, findings)
    cells = count(sum(map(len, findings.values())), "cell")
    summary = (f"{cells} in {time.monotonic() - started:.0f} seconds, seed {seed}:"
               f" {f'{len(complaints)} NOT AS PROMISED' if complaints else 'all as docs/security.md promises'}")
    print(draw(findings, promises, has_colours(sys.stdout)))
    print("\n  ".join([summary, *complaints]))
    if options.html is not None:
        options.html.write_text(attacks_page(attacks, findings, promises, summary), "utf-8")
        print(f"{options.html} written")
    return 1 if complaints else 0
