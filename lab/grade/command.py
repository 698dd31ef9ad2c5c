"""The command of `make grade`: options in, a table and a folder out.

    make grade STAGE=3                                  ours
    make grade STAGE=3 NODE="./theirs --stage 3"        anybody's
    make grade STAGE=3 NODE=… SEED=7 ONLY=1.a-line…     one criterion again

The exit status is 0 if all criteria were checked, whatever their verdicts, 2 if an option is wrong, 3 if the grader
itself has failed in a criterion or no criterion was checked (as with an ONLY that names none), and 130 if it was
interrupted.
"""

import argparse
import contextlib
import os
import secrets
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.console import Options, integer_from, read_path
from lab.grade.formats import write_all
from lab.grade.runner import WORKERS, grade
from lab.grade.settings import read_command
from lab.grade.terminal import Bar, draw
from lab.surroundings import ending_signals, has_colours

GRADER_HAS_FAILED = 3
INTERRUPTED = 130


def make_options(name: str = "python -m lab.grade", description: str = "Grade a node of one stage.") -> Options:
    """The options of this command, and of other commands that grade."""
    options = Options(prog=name, description=description, allow_abbrev=False)
    options.add_argument("--stage", type=integer_from(1, 5), required=True, metavar="N", help="1 to 5")
    options.add_argument("--node", type=read_node, default="", metavar="COMMAND",
                         help="the command that starts the node (default: ours)")
    options.add_argument("--in", dest="directory", type=read_path, default=Path.cwd(), metavar="FOLDER",
                         help="the folder that the node is started in")
    options.add_argument("--to", type=read_path, metavar="FOLDER", help="where the results go (default: run/grade/…)")
    options.add_argument("--seed", type=integer_from(0, 2**32), metavar="N", help="repeat the random choices of a run")
    options.add_argument("--only", default="", metavar="CRITERION", help="check only this criterion")
    options.add_argument("--only-this-stage", action="store_true", help="leave out the criteria of earlier stages")
    options.add_argument("--cli-only", action="store_true", help="only what needs no wire format")
    options.add_argument("--timeout-factor", type=read_factor, metavar="F",
                         default=os.environ.get("TIMEOUT_FACTOR", ""),
                         help="multiply all time limits by F, for a slow machine (or set TIMEOUT_FACTOR)")
    options.add_argument("--workers", type=integer_from(0, 64), default=WORKERS, metavar="N",
                         help=f"criteria at a time (default: {WORKERS}); 0: all in one process")
    options.add_argument("--slow", action="store_true", help="also check what takes a minute or more")
    return options


def read_factor(text: str) -> float:
    """Read TIMEOUT_FACTOR, which is for slow machines; ArgumentTypeError unless it is a number above 0."""
    try:
        factor = float(text or 1)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 1_000:
        raise argparse.ArgumentTypeError(f"expected a factor for all time limits, such as 2, not {text!r}")
    return factor


def read_node(text: str) -> str:
    """Check that a shell could read a command; ArgumentTypeError if not."""
    try:
        shlex.split(text)
    except ValueError:
        raise argparse.ArgumentTypeError("expected a command such as 'java Node --stage 3', with each quotation mark"
                                         f" closed, not {text!r}") from None
    return text


@contextlib.contextmanager
def ending_in_order() -> Iterator[None]:
    """In this context a signal that ends this program raises KeyboardInterrupt. So what was started is ended, too."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in ending_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Grade one submission; the exit status is 130 if it was interrupted."""
    options = make_options().parse_args(arguments)
    try:
        with ending_in_order():
            return run(options)
    except KeyboardInterrupt:
        print("interrupted: nothing was graded, and all that was started has ended", file=sys.stderr)
        return INTERRUPTED


def run(options: argparse.Namespace) -> int:
    """Grade as the options say, and show what came out."""
    seed = secrets.randbelow(100_000) if options.seed is None else options.seed
    folder = options.to or Path("run") / "grade" / f"stage-{options.stage}-seed-{seed}"
    command = read_command(options.node, options.directory)
    with Bar(sys.stderr) as bar:
        result = grade(command, options.stage, folder, seed=seed, only=options.only, factor=options.timeout_factor,
                       only_this_stage=options.only_this_stage, cli_only=options.cli_only, slow=options.slow,
                       directory=options.directory, workers=options.workers, progress=bar.show)
    write_all(result)
    print(draw(result, has_colours(sys.stdout)), end="")
    return GRADER_HAS_FAILED if result.errors or not result.outcomes else 0
