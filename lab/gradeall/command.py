"""The command of `make grade-all`: a folder of submissions in, a folder of results out.

    make grade-all STAGE=1 SUBMISSIONS=folder                     all of them, into run/grade-all/stage-1
    make grade-all STAGE=1 SUBMISSIONS=folder                     again: only what is new or was not finished
    make grade-all STAGE=1 SUBMISSIONS=folder POINTS=points.toml  with the teacher's points

The exit status is 0 when all were graded, whatever came out, 2 if an option is wrong, 3 if the grader itself has
failed on one, and 130 when it was interrupted.
"""

import json
import os
import pwd
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from common.advice import describe_file_error
from common.console import Options, integer_from, read_path
from lab.grade.runner import WORKERS, list_criteria
from lab.grade.settings import ROOT
from lab.gradeall.guards import end_all_of, find_closed
from lab.gradeall.one import Job, needed_paths, save
from lab.gradeall.points import Points, PointsError, read_points
from lab.gradeall.submissions import digest, find_submissions
from lab.gradeall.table import Row, make_class_page, make_csv, read_row
from lab.surroundings import columns, takes_escapes

GRADER_HAS_FAILED, INTERRUPTED = 3, 130
FIRST_UID = 50_001
"""As root, the grader runs each submission as a user of its own. The numbers of these users begin here; no such user is
ever created."""
LONGEST_SECONDS = 1800.0
"""The longest that one submission may take, times TIMEOUT_FACTOR. Then it is ended, and the next one is graded."""
DONE = "done.json"
"""A file that is written when the results are complete. It says which submission and options they are for."""


def make_options() -> Options:
    """The options of the command."""
    options = Options(prog="python -m lab.gradeall", description="Grade every submission in a folder.",
                      allow_abbrev=False)
    options.add_argument("--submissions", type=read_path, required=True, metavar="FOLDER",
                         help="a folder with a subfolder for each submission")
    options.add_argument("--stage", type=integer_from(1, 5), required=True, metavar="N", help="1 to 5")
    options.add_argument("--to", type=read_path, metavar="FOLDER",
                         help="where the results go (default: run/grade-all/stage-N)")
    options.add_argument("--points", type=read_path, metavar="FILE", help="the teacher's points.toml")
    options.add_argument("--seed", type=integer_from(0, 2**32), metavar="N", help="repeat the random choices of a run")
    options.add_argument("--only", default="", metavar="CRITERIA", help="check only these, with commas between them")
    options.add_argument("--only-this-stage", action="store_true", help="leave out the criteria of earlier stages")
    options.add_argument("--cli-only", action="store_true", help="only what needs no wire format")
    options.add_argument("--workers", type=integer_from(0, 64), default=WORKERS, metavar="N",
                         help=f"criteria at a time (default: {WORKERS})")
    options.add_argument("--slow", action="store_true", help="also check what takes a minute or more")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Grade a class."""
    parser = make_options()
    options = parser.parse_args(arguments)
    to = (options.to or Path("run") / "grade-all" / f"stage-{options.stage}").resolve()
    try:
        factor = float(os.environ.get("TIMEOUT_FACTOR", "") or 1)
        found = find_submissions(options.submissions.resolve())
        to.mkdir(parents=True, exist_ok=True)
        known = [one.key for one in list_criteria(options.stage, to / "criteria")] if options.points else []
        points = read_points(options.points, known) if options.points else Points()
    except PointsError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except ValueError:
        parser.exit(2, f"{parser.prog}: TIMEOUT_FACTOR must be a number\n")
    except OSError as error:
        parser.exit(2, f"{parser.prog}: {error.filename}: {describe_file_error(error)}\n")
    if closed := cannot_enter(to):
        parser.exit(2, f"{parser.prog}: you are root, so each submission runs as a user of its own, which cannot enter "
                       f"{closed}: chmod o+x {closed}, or choose another folder with --to\n")
    seed = read_seed(to, options.seed)
    jobs = [Job(path.name, str(path), str(to / path.name), options.stage, seed, uid, factor, options.workers,
                options.only, options.only_this_stage, options.cli_only, options.slow, points.weights,
                sorted(points.leave_out), sorted(points.hidden))
            for path, uid in zip(found, uids(len(found)), strict=True)]
    return grade_all(jobs, to)


def cannot_enter(to: Path) -> Path | None:
    """A folder that the users of submissions cannot enter, if it cannot be opened for them alone (`open_way`)."""
    closed = find_closed(needed_paths(to)) if os.getuid() == 0 else None
    can_mount = closed and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    return None if can_mount else closed


def uids(count: int) -> list[int]:
    """For root, user numbers that are not in use; for others zeros, which stand for the current user."""
    if os.getuid():
        return [0] * count
    taken = {user.pw_uid for user in pwd.getpwall()}
    return [uid for uid in range(FIRST_UID, FIRST_UID + count + len(taken)) if uid not in taken][:count]


def read_seed(to: Path, wanted: int | None) -> int:
    """The seed of all submissions. It is kept in a file, so that a run that continues another uses the same."""
    path = to / "seed"
    if wanted is None and path.exists():
        return int(path.read_text())
    seed = secrets.randbelow(100_000) if wanted is None else wanted
    path.write_text(f"{seed}\n")
    return seed


def grade_all(jobs: Sequence[Job], to: Path) -> int:
    """Grade one submission after the other. Results that are there already are only read."""
    console = Console(highlight=False, soft_wrap=True, width=columns(sys.stdout, 120), emoji=False, markup=False)
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("spent"),
                   TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console, transient=True,
                   speed_estimate_period=3600, disable=not takes_escapes(sys.stdout))
    rows: list[Row] = []
    try:
        with bar:
            old = [job for job in jobs if is_done(job)]
            rows += [read_row(job.name, Path(job.folder)) for job in old]
            if old:
                console.print(f"{len(old)} of {len(jobs)} are graded already")
            task = bar.add_task("", total=100 * (len(jobs) - len(old)))
            for job in (one for one in jobs if one not in old):
                start = bar.tasks[0].completed

                def show(done: int, total: int, title: str, job: Job = job, start: float = start) -> None:
                    bar.update(task, completed=start + 100 * done / total, description=f"{job.name}: {title}")

                finish(job, show)
                bar.update(task, completed=start + 100)
                rows.append(read_row(job.name, Path(job.folder)))
                console.print(told(rows[-1], len(rows), len(jobs)))
                write_class(rows, jobs, to)
    except KeyboardInterrupt:
        console.print(f"interrupted: {len(rows)} of {len(jobs)} are graded; the same command goes on from here")
        return INTERRUPTED
    write_class(rows, jobs, to)
    console.print(f"the class: {to / 'index.html'}, and grades.csv next to it; seed {jobs[0].seed if jobs else '-'}")
    return GRADER_HAS_FAILED if any(not row.outcomes or row.counts["error"] for row in rows) else 0


def told(row: Row, number: int, count: int) -> str:
    """The line that is printed for one submission."""
    counts = ", ".join(f"{times} {verdict}" for verdict, times in row.counts.items()) or row.remarks[0]
    return (f"{number:3} of {count}  {row.name}: basics {row.basics[0]} of {row.basics[1]}, hardening "
            f"{row.hardening[0]} of {row.hardening[1]}; {counts}, in {row.seconds:g} s")


def write_class(rows: Sequence[Row], jobs: Sequence[Job], to: Path) -> None:
    """Write what is known by now, in the order of the submissions."""
    order = [job.name for job in jobs]
    rows = sorted(rows, key=lambda row: order.index(row.name))
    (to / "grades.csv").write_text(make_csv(rows), "utf-8")
    (to / "index.html").write_text(make_class_page(rows, jobs[0].stage if jobs else 0, to), "utf-8")


# --- one submission -----------------------------------------------------------------------------

def fingerprint(job: Job) -> str:
    """Everything on which the results depend, as text."""
    how = {name: value for name, value in vars(job).items() if name not in ("uid", "workers", "folder")}
    return json.dumps([how, digest(Path(job.source))])


def is_done(job: Job) -> bool:
    """Has this submission been graded before, unchanged and with the same options?"""
    path = Path(job.folder) / DONE
    return path.exists() and path.read_text() == fingerprint(job)


def finish(job: Job, show: Callable[[int, int, str], None]) -> None:
    """Grade one submission, in a process of its own. Even if it kills that process, this returns."""
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DONE).unlink(missing_ok=True)
    (folder / "grade.json").unlink(missing_ok=True)
    save(job, folder / "job.json")
    with (folder / "grader.txt").open("wb") as log:
        grader = subprocess.Popen([sys.executable, "-m", "lab.gradeall.one", str(folder / "job.json")], cwd=ROOT,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        clock = threading.Timer(LONGEST_SECONDS * job.factor, grader.kill)
        clock.start()
        try:
            assert grader.stdout is not None
            for line in grader.stdout:
                show(*json.loads(line))
            if grader.wait() == 0:
                (folder / DONE).write_text(fingerprint(job))
        finally:
            clock.cancel()
            end(grader, job.uid)


def end(grader: subprocess.Popen[bytes], uid: int) -> None:
    """Interrupt a grader, so that it ends its nodes; kill it if that takes too long. Then end what is left of its
    submission."""
    if grader.poll() is None:
        grader.send_signal(signal.SIGINT)
        try:
            grader.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(grader.pid, signal.SIGKILL)
            grader.wait()
    assert grader.stdout is not None
    grader.stdout.close()
    if uid:
        end_all_of(uid)
