"""A network in trouble for as long as you like: `python -m lab.soak --minutes 30`, or `make soak MINUTES=30`.

While transactions are made, nodes are killed or suspended, connections are cut, stalled and delayed, and the network is
partitioned (trial.py). The seed, which is printed, decides all of this. Every few minutes the network heals; then every
node must have every acknowledged transaction and the same ledger. One line a minute reports progress (`lost` is what
the checks so far have found); the last line is the verdict. Ctrl-C ends all nodes, and prints the verdict so far.

The exit status is 1 if something was lost or differs, or if a node ended by itself or does not answer.
"""

import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common.advice import describe_error
from common.console import Options, count, integer_from, read_path, thousandths_from
from common.wallets import WalletError
from lab.blackbox.node_process import NodeError
from lab.nodes.processes import ROOT
from lab.soak.trial import Settings, Trial
from lab.nodes.workload import KeyRing
from stage5_pos.__main__ import STAKE_HOLDERS

ROUND_SECONDS = 240.0
"""The length of a round of trouble. After it the network heals, and is checked."""

MINUTE = 60.0


def make_options() -> Options:
    """The options of the soak."""
    options = Options(prog="python -m lab.soak", description="Give a network trouble, and see what it loses.")
    options.add_argument("--minutes", type=thousandths_from(1, 10**9, "minutes"), default=30_000, metavar="N",
                         help="minutes of trouble (default: 30)")
    options.add_argument("--stage", type=integer_from(2, 5), default=5, metavar="N", help="2 to 5 (default: 5)")
    options.add_argument("--nodes", type=integer_from(3, 100), default=10, metavar="N",
                         help="nodes in the network (default: %(default)s)")
    options.add_argument("--rate", type=integer_from(1, 1_000), default=20, metavar="N",
                         help="transactions a second (default: %(default)s)")
    options.add_argument("--keys", type=read_path, default=ROOT / "run" / "bench-keys", metavar="DIR",
                         help="keys to sign with, made there if missing (default: run/bench-keys)")
    options.add_argument("--seed", type=integer_from(0, 2**32 - 1), metavar="N",
                         help="seed of the trouble (default: random, printed)")
    return options


class Soak:
    """Rounds of trouble, each followed by a check, and a line of progress every minute."""

    def __init__(self, settings: Settings, keys: KeyRing, folder: Path) -> None:
        """Start the network; NodeError if that fails."""
        self.complaints: list[str] = []
        """What was lost or differs."""
        self.checks = 0
        self.is_interrupted = False
        self.started = self._last_line = time.monotonic()
        self.trial = Trial(settings, keys, folder, self._tick)

    def _tick(self) -> None:
        """Print a line if a minute has passed."""
        if time.monotonic() >= self._last_line + MINUTE:
            self._last_line += MINUTE
            minute = round((self._last_line - self.started) / MINUTE)
            print(f"minute {minute}: {self.trial.describe()}", flush=True)

    def run(self, seconds: float) -> None:
        """Give the network trouble for `seconds`, in rounds, or until a round shows that something is wrong."""
        self.started = self._last_line = time.monotonic()
        left = seconds
        while left > 0 and not self.complaints:
            self.trial.trouble(min(left, ROUND_SECONDS))
            left -= ROUND_SECONDS
            self.complaints += self.trial.settle()
            self.checks += 1

    def end(self) -> None:
        """End all nodes. An exit status other than 0 is a complaint, except after Ctrl-C: a node may be starting."""
        statuses = self.trial.close()
        if not self.is_interrupted:
            self.complaints += [f"a node ended with status {status}" for status in statuses if status != 0]

    def verdict(self) -> str:
        """The last line."""
        minutes = (time.monotonic() - self.started) / MINUTE
        outcome = "nothing lost, all equal" if self.checks else "nothing checked"
        outcome = "SOMETHING IS WRONG" if self.complaints else outcome
        interrupted = "interrupted; " if self.is_interrupted else ""
        return (f"{interrupted}{outcome}: {minutes:.1f} minutes, {count(self.checks, 'check')},"
                f" {len(self.trial.acknowledged())} transactions acknowledged, {len(self.trial.lost)} lost,"
                f" longest rollback {self.trial.longest_rollback}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak; 0 if nothing was lost and all was equal, 1 if not, 130 if it was interrupted."""
    options = make_options().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C does, so that the nodes are ended
    seed = secrets.randbits(32) if options.seed is None else options.seed
    settings = Settings(options.stage, options.nodes, options.rate, seed)
    print(f"stage {options.stage}, {options.nodes} nodes, {options.rate} transactions a second, seed {seed}",
          flush=True)
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="soak-"))
        keys = KeyRing(options.keys, folder, STAKE_HOLDERS, lambda text: print(text, file=sys.stderr))
        status = run(settings, keys, folder, options.minutes / 1000 * MINUTE)
    except (OSError, WalletError, NodeError) as error:
        print(f"python -m lab.soak: {describe_error(error)}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    if folder is not None and status == 1:
        print(f"the nodes' data is in {folder}", file=sys.stderr)
    elif folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    return status


def run(settings: Settings, keys: KeyRing, folder: Path, seconds: float) -> int:
    """Run one network, print the verdict, and return the exit status."""
    soak = Soak(settings, keys, folder)
    try:
        soak.run(seconds)
    except KeyboardInterrupt:
        soak.is_interrupted = True
    except NodeError as error:
        soak.complaints.append(str(error))
    finally:
        soak.end()
    for complaint in soak.complaints:
        print(f"  {complaint}")
    print(soak.verdict(), flush=True)
    return 1 if soak.complaints else 130 if soak.is_interrupted else 0
