"""Runs the tests of a handout from a pristine copy against what a student has written: `make test-handout`.

Only the files of the stage are taken from the student's folder. Tests, the table of tasks and all that was given come
from this project, so changing them gains nothing. The student's code runs with your rights, like any program.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common.advice import describe_file_error
from common.console import Options, read_path
from lab.compare.stagecode import FOLDERS, read_stage
from lab.handout.handout import collect, read_changes_in, write
from lab.tasks.table import TableError


def make_options() -> Options:
    """The options of the command."""
    options = Options(prog="python -m lab.handout.pristine", allow_abbrev=False,
                      description="Run the tests of a handout against a student's folder.")
    options.add_argument("--stage", type=read_stage, required=True, metavar="N", help="the stage, 1 to 5")
    options.add_argument("--of", type=read_path, required=True, metavar="FOLDER", help="the student's folder")
    options.add_argument("--with", type=read_path, metavar="FILE", dest="changes",
                         help="the file with other points that `make handout WITH=` was given, if any")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tasks; the status is 0 if all are done, 1 if not, 2 if the options are wrong."""
    parser = make_options()
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="handout-") as folder:
        try:
            write(collect(options.stage, changes=read_changes_in(options.changes)), Path(folder))
            take_stage(options.of, FOLDERS[options.stage], Path(folder))
        except OSError as error:
            parser.exit(2, f"{parser.prog}: {options.of}: {describe_file_error(error)}\n")
        except (argparse.ArgumentTypeError, TableError) as error:
            parser.exit(2, f"{parser.prog}: {error}\n")
        sys.stdout.flush()
        return subprocess.run([sys.executable, "-m", "lab.tasks", FOLDERS[options.stage]], cwd=folder,
                              check=False).returncode


def take_stage(source: Path, own: str, target: Path) -> None:
    """Put the student's files of the stage in the place of the handout's; ArgumentTypeError if there are none."""
    files = sorted((source / own).rglob("*.py"))
    if not files:
        raise argparse.ArgumentTypeError(f"{source / own} has no Python files; expected a student's folder")
    shutil.rmtree(target / own)
    for path in files:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


if __name__ == "__main__":
    raise SystemExit(main())
