"""Grades one submission of a class, in a process of its own: `python -m lab.gradeall.one FILE`, see `Job`.

Its standard output has a line of JSON for each criterion: how many are done, of how many, and which.
"""

import json
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab.grade.criteria import is_asked
from lab.grade.formats import gradescope, write_all
from lab.grade.result import Outcome, Result, complete
from lab.grade.runner import grade, list_criteria, now
from lab.grade.settings import ROOT, Settings
from lab.grade.shortcomings import INCONCLUSIVE
from lab.gradeall.guards import ENVIRONMENT, Guard, cut_off, end_all_of, give_to, make_guard, open_way
from lab.gradeall.points import Points
from lab.gradeall.submissions import CannotGrade, Submission, prepare

BUILD_SECONDS = 300.0
"""The longest that a build may take, times TIMEOUT_FACTOR."""
TOLD_LINES = 12
"""How many of the last lines of a failed build's output the student is shown."""


@dataclass
class Job:
    """One submission to grade, and how."""

    name: str
    source: str
    folder: str
    """Where the results go."""
    stage: int
    seed: int
    uid: int = 0
    factor: float = 1.0
    workers: int = 4
    only: str = ""
    """Keys of criteria, with commas between them: all others are left out. If empty, none is left out."""
    only_this_stage: bool = False
    cli_only: bool = False
    slow: bool = False
    weights: dict[str, int] = field(default_factory=dict)
    leave_out: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    @property
    def points(self) -> Points:
        """The teacher's changes to the points."""
        return Points(self.weights, frozenset(self.leave_out), frozenset(self.hidden))


def main(job: Job) -> None:
    """Grade a submission, even one that cannot be built or started, and write its files."""
    if job.uid:
        open_way([*needed_paths(Path(job.folder)), Path(job.source)])
    missing = [] if cut_off() else ["This machine does not let the grader cut the submission off from the network, so"
                                    " it could reach other machines."]
    folder = Path(job.folder)
    work = folder / "work"
    try:
        submission = prepare(Path(job.source), work, job.stage)
        if job.uid:
            give_to(work, job.uid)
        guard, more = make_guard(work, job.uid)
        missing = [*more, *missing]
        build(submission, guard, folder / "build.txt", job.factor)
        result = play(job, submission, guard)
    except CannotGrade as reason:
        result = refuse(job, str(reason))
    finally:
        if job.uid:
            end_all_of(job.uid)
    result.name, result.remarks = job.name, [*missing, *result.remarks]
    write(job.points.apply(result), job.points)


def needed_paths(folder: Path) -> list[Path]:
    """The folders that the user of a submission must be able to reach."""
    return [folder, ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]


def build(submission: Submission, guard: Guard, log: Path, factor: float) -> None:
    """Build it, as the user that it will run as; CannotGrade if that fails."""
    if not submission.build:
        return
    with log.open("wb") as output:
        try:
            status = subprocess.run([*guard.through, *submission.build], cwd=guard.directory, stdout=output,
                                    stderr=output, env={**ENVIRONMENT, "HOME": guard.directory},
                                    stdin=subprocess.DEVNULL, timeout=BUILD_SECONDS * factor, check=False).returncode
            how = f"the build has ended with status {status}"
        except subprocess.TimeoutExpired:
            status, how = 1, f"the build has not ended in {BUILD_SECONDS * factor:g} seconds"
    if status:
        with log.open("rb") as output:
            output.seek(max(0, log.stat().st_size - 4000))
            said = output.read().decode(errors="replace").splitlines()[-TOLD_LINES:]
        raise CannotGrade("; it has said: ".join([f"it does not build: {how}", *(["\n".join(said)] if said else [])]))


def play(job: Job, submission: Submission, guard: Guard) -> Result:
    """Check all criteria."""
    def progress(done: int, total: int, last: Outcome) -> None:
        print(json.dumps([done, total, last.criterion.title]), flush=True)

    return grade(submission.start, job.stage, Path(job.folder), seed=job.seed, name=job.name,
                 only=job.only, only_this_stage=job.only_this_stage,
                 cli_only=job.cli_only or submission.cli_only, slow=job.slow, factor=job.factor,
                 directory=Path(guard.directory), through=guard.through, environment=ENVIRONMENT, workers=job.workers,
                 progress=progress)


def refuse(job: Job, reason: str) -> Result:
    """The result of a submission that cannot be started: every criterion is inconclusive."""
    again = f"make grade-all STAGE={job.stage} SUBMISSIONS={shlex.quote(str(Path(job.source).parent))} SEED={job.seed}"
    settings = Settings(job.stage, Path(job.folder), [job.source], Path(job.source), seed=job.seed, factor=job.factor,
                        again=again)
    criteria = [one for one in list_criteria(job.stage, Path(job.folder)) if is_asked(
        one, job.stage, job.only, job.only_this_stage, job.cli_only, job.slow)]
    outcomes = [Outcome(one, INCONCLUSIVE, one.rule, reason) for one in criteria]
    return Result(settings, complete(criteria, outcomes, job.stage), now(), 0.0)


def write(result: Result, points: Points) -> None:
    """Write the files of a submission. Hidden criteria are only in grade.json, results.json and teacher.html."""
    folder = result.settings.folder
    if points.hidden:
        write_all(result)
        (folder / "report.html").replace(folder / "teacher.html")
    write_all(points.for_students(result))
    (folder / "results.json").write_text(json.dumps(gradescope(result, points.hidden), indent=1) + "\n", "utf-8")
    result.save(folder / "grade.json")


def save(job: Job, path: Path) -> None:
    """Write a job for the process that carries it out."""
    path.write_text(json.dumps(asdict(job)))


if __name__ == "__main__":
    main(Job(**json.loads(Path(sys.argv[1]).read_text())))
