"""How fast the stages are: `python -m lab.bench`, or `make bench`.

Some nodes run as processes on this machine, over loopback. The benchmark measures what they get done together:

- stage 1: chat messages a second, typed at all nodes and printed by all;
- stage 3: signed transactions a second, applied by all;
- stages 4 and 5: transactions a second that are ordered in blocks and executed by all.

The transactions are signed beforehand and sent by a peer at each node. For stages 3 to 5 the speed is also divided by
a ceiling. For ten nodes and c cores the ceiling is c / (10 · V): each node must verify each signature, and V is the
time of one verification by pycryptodome in one thread. So the ratio tells what share of the machine's power goes into
the work that cannot be avoided. Each stage has a mark: the speed or the ratio that it should reach.

The exit status is 1 if something was lost or any ledger is wrong; a missed mark does not change it.
"""

import argparse
import json
import random
import secrets
import signal
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from statistics import median
from typing import Any

from common.advice import describe_error
from common.console import Options, integer_from, read_path, thousandths_from
from common.wallets import WalletError
from lab.bench.machine import VerificationTimer, count_cores, find_ceiling
from lab.bench.measurements import MARKS, NAMES, LedgerMeasurement, Row, Settings, find_median, measure_chat
from lab.nodes.processes import ROOT
from lab.nodes.signing import SigningError
from lab.nodes.workload import KeyRing
from stage5_pos.__main__ import STAKE_HOLDERS

FULL_BLOCK = 2_500
"""The time between two blocks of stages 4 and 5 is the time for this many transactions at the
ceiling. At the mark (0.4 of the ceiling) a block then has a thousand. On a slow machine blocks come less often."""

BUSY = 0.1
"""If other programs used more than this share of the cores, the measured speeds are too low."""


def make_options() -> Options:
    """The options of the benchmark."""
    options = Options(prog="python -m lab.bench", description="Measure how fast a network on this machine is.")
    options.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options.add_argument("--stages", type=read_stages, default=list(MARKS), metavar="1,3,…",
                         help="which of stages 1, 3, 4 and 5 to measure (default: all four)")
    options.add_argument("--nodes", type=integer_from(2, 20), default=10, metavar="N",
                         help="nodes in the network (default: %(default)s)")
    options.add_argument("--messages", type=integer_from(1, 10**6), default=20_000, metavar="N",
                         help="chat messages in stage 1 (default: %(default)s)")
    options.add_argument("--transactions", type=integer_from(1, 10**6), default=20_000, metavar="N",
                         help="transactions in each of the other stages (default: %(default)s)")
    options.add_argument("--block-seconds", type=thousandths_from(4, 3_600_000, "seconds"), metavar="SECONDS",
                         help="mean time between two blocks"
                              f" (default: as long as {FULL_BLOCK} transactions take at the ceiling)")
    options.add_argument("--data", action="store_true", help="stages 3 to 5: the nodes keep what they accept on disk")
    options.add_argument("--timeout", type=thousandths_from(1, 3_600_000, "seconds"), default=180_000,
                         metavar="SECONDS", help="the longest that one stage may take (default: 180)")
    options.add_argument("--keys", type=read_path, default=ROOT / "run" / "bench-keys", metavar="DIR",
                         help="keys to sign with, made there if missing (default: run/bench-keys)")
    options.add_argument("--seed", type=integer_from(0, 2**32 - 1), metavar="N",
                         help="seed of the messages and transactions (default: random, printed)")
    return options


def read_stages(text: str) -> list[int]:
    """Read numbers of stages."""
    if not set(text.split(",")) <= set(map(str, MARKS)):
        stages = ", ".join(map(str, MARKS))
        raise argparse.ArgumentTypeError(f"expected some of {stages}, with commas between them, not {text!r}")
    return sorted(set(map(int, text.split(","))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, and print the result. The exit status is 1 if something was lost or is wrong."""
    options = make_options().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C does, so that the nodes are ended
    options.seed = secrets.randbits(32) if options.seed is None else options.seed
    try:
        rows = measure(options)
    except KeyboardInterrupt:
        return complain("interrupted", 130)
    except (OSError, WalletError, SigningError) as error:
        return complain(describe_error(error), 1)
    print(json.dumps(describe(options, rows), indent=2) if options.json else draw(options, rows))
    return 1 if any(row.faults for row in rows) else 0


def complain(reason: str, status: int) -> int:
    """Say in one line why there are no figures. Return the exit status."""
    print(f"python -m lab.bench: {reason}", file=sys.stderr)
    return status


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure the stages, one after the other."""
    def on_progress(text: str) -> None:
        if not options.json:
            print(text, file=sys.stderr)

    with tempfile.TemporaryDirectory() as wallets:
        key_ring = KeyRing(options.keys, Path(wallets), STAKE_HOLDERS, on_progress)
        if options.block_seconds is None:
            verification = median(VerificationTimer(key_ring.keys[0].key).measure())
            options.block_seconds = round(1000 * FULL_BLOCK / find_ceiling(options.nodes, verification))
        settings = Settings(options.nodes, options.messages, options.transactions, options.timeout / 1000,
                            options.block_seconds / 1000, random.Random(options.seed), on_progress, options.data)
        return [measure_chat(settings) if stage == 1 else LedgerMeasurement(stage, settings, key_ring).run()
                for stage in options.stages]


# --- what came out ------------------------------------------------------------------------------

def describe(options: argparse.Namespace, rows: Sequence[Row]) -> dict[str, Any]:
    """All figures, for programs. Times are in seconds."""
    verifications = [seconds for row in rows for seconds in row.verifications]
    return {"nodes": options.nodes, "cores": count_cores(), "seed": options.seed,
            "block_seconds": options.block_seconds / 1000,
            "python": python_version(), "pycryptodome": version("pycryptodome"),
            "verification_seconds": find_median(verifications),
            "rows": [row.members() for row in rows]}


TABLE = "{:<5}  {:<46}  {:>7}  {:>7}  {:>10}  {:>6}  {:>7}  {:>5}  {:>5}  {}"
HEADINGS = ("stage", "what", "number", "seconds", "per second", "V [µs]", "ceiling", "ratio", "mark", "met")


LEGEND = ("V: one RSA-2048 verification by pycryptodome in one thread; the median of short runs before and after,",
          "while the nodes were idle. Ceiling: cores / (nodes x V), as if nothing else took time. If the machine's",
          "speed changes during a run, V meanwhile differs from V, and the ratio computed with it says more.")


def draw(options: argparse.Namespace, rows: Sequence[Row]) -> str:
    """All figures, for people."""
    head = (f"{options.nodes} nodes on {count_cores()} cores, Python {python_version()},"
            f" pycryptodome {version('pycryptodome')}, a block in {options.block_seconds / 1000:.2g} s,"
            f" seed {options.seed}")
    return "\n".join([head, "", TABLE.format(*HEADINGS), *(line for row in rows for line in draw_row(row)), "",
                      *LEGEND])


def draw_row(row: Row) -> list[str]:
    """The lines of one stage."""
    line = TABLE.format(row.stage, NAMES[row.stage], row.number, shown(row.seconds, 2), shown(row.per_second),
                        micros(find_median(row.verifications)), shown(row.ceiling), shown(row.ratio, 2),
                        f"{MARKS[row.stage]:g}", "yes" if row.is_met else "no")
    notes = [*row.faults, *([draw_blocks(row.blocks)] if row.blocks else []), *([draw_cores(row)] if row.cores else [])]
    return [line.rstrip(), *(f"       {note}" for note in notes)]


def shown(number: float | None, digits: int = 0) -> str:
    """A number in a table; empty if there is none."""
    return "" if number is None else f"{number:.{digits}f}"


def micros(seconds: float | None) -> str:
    """Seconds as microseconds in a table; empty if there are none."""
    return "" if seconds is None else f"{seconds * 1e6:.0f}"


def draw_blocks(blocks: dict[str, float]) -> str:
    """How many blocks there were, and how large."""
    text = "blocks: {number}, with {mean_transactions:.0f} transactions on average, at most {largest}"
    if "rollbacks" in blocks:
        text += "; at a node at most {rollbacks} rollbacks, none deeper than {longest_rollback}"
    return text.format(**blocks)


def draw_cores(row: Row) -> str:
    """Who used the cores, with a warning if other programs were busy."""
    shares = row.cores or {}
    text = "cores: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    text += f"; a node needed {micros(row.node_seconds)} µs for each {'message' if row.stage == 1 else 'transaction'}"
    if row.verifications_meanwhile:
        text += f"; V meanwhile: {micros(find_median(row.verifications_meanwhile))} µs"
        text += f", ratio {shown(row.ratio_meanwhile, 2)}"
    return text + ("; OTHER PROGRAMS ARE BUSY, so the speed is too low" if shares.get("others", 0) > BUSY else "")
