"""Grades mutants: does each lose points in the criteria that name its fault?

What was found out is kept in a file, so a run that was interrupted goes on. Survivors are judged again, and so is a
mutant if it, our stages, or the criteria have changed.
"""

import functools
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from lab.grade.runner import grade, list_criteria
from lab.grade.shortcomings import FAILED, INCONCLUSIVE
from tests.mutants import ROOT, STAGES, Mutant, mutants_of

FACTOR = 0.6
"""TIMEOUT_FACTOR, below 1: most mutants fail because something never comes, and the grader waits for it."""
AGAIN = 4
"""How many times more patience a criterion gets when it is asked again."""

NOT_MET: dict[str, str] = {}
"""The criteria that no mutant fails, each with the reason."""


@dataclass
class Judged:
    """What the grader says of a mutant."""

    verdicts: dict[str, str] = field(default_factory=dict)
    """Key of a criterion -> its verdict."""
    actual: dict[str, str] = field(default_factory=dict)
    """Key of a criterion -> what the grader found, if the verdict is not `passed`."""
    seconds: float = 0.0

    def survived(self, wrong: Mutant) -> list[str]:
        """The criteria that name its fault and did not notice it."""
        return [key for key in wrong.fails if self.verdicts.get(key) != FAILED]


def command_of(wrong: Mutant) -> list[str]:
    """What starts its node."""
    return [sys.executable, "-m", "tests.mutants.client", str(wrong.stage), wrong.name]


def judge(wrong: Mutant, folder: Path, seed: int = 1, whole: bool = False) -> Judged:
    """Ask the criteria that name its fault, or with `whole` all of its stage. If one is inconclusive, the machine may
    have been busy: that one is asked once more, with more patience."""
    judged = Judged()
    keys = wrong.fails
    for factor in (FACTOR, AGAIN * FACTOR):
        only = "" if whole and factor == FACTOR else ",".join(keys)
        result = grade(command_of(wrong), wrong.stage, folder, seed=seed, only=only, factor=factor, directory=ROOT,
                       slow=True, workers=2)
        judged.verdicts |= {one.criterion.key: one.verdict for one in result.outcomes}
        judged.actual |= {one.criterion.key: one.actual for one in result.outcomes}
        judged.seconds += result.seconds
        keys = tuple(key for key in keys if judged.verdicts.get(key) == INCONCLUSIVE)
        if not keys:
            break
    return judged


def judge_all(chosen: Sequence[Mutant], folder: Path, whole: bool, side_by_side: int,
              tell: Callable[[Mutant, Judged], None]) -> dict[str, Judged]:
    """Judge those that the file of results in `folder` does not know yet."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "results.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    found: dict[str, Judged] = {}
    with ThreadPoolExecutor(side_by_side) as threads:
        running = {}
        for wrong in chosen:
            entry = known.get(f"{wrong} {fingerprint(wrong)}", {"whole": False})
            judged = Judged(**{name: value for name, value in entry.items() if name != "whole"})
            if not judged.survived(wrong) and (entry["whole"] or not whole):
                found[str(wrong)] = judged
            else:
                running[threads.submit(judge, wrong, folder / str(wrong), whole=whole)] = wrong
        try:
            for done in as_completed(running):
                wrong, judged = running[done], done.result()
                found[str(wrong)] = judged
                tell(wrong, judged)
                known[f"{wrong} {fingerprint(wrong)}"] = {"whole": whole, **vars(judged)}
                kept.write_text(json.dumps(known, indent=1))
                if not judged.survived(wrong):
                    shutil.rmtree(folder / str(wrong))  # only the conversations of survivors are of interest
        finally:
            threads.shutdown(cancel_futures=True)
    return {str(wrong): found[str(wrong)] for wrong in chosen}


def fingerprint(wrong: Mutant) -> str:
    """What a result depends on, as some hex digits."""
    text = repr((wrong.fails, wrong.changes)) + state_of(wrong.stage)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def state_of(stage: int) -> str:
    """A hash of common/, of the stages up to this one, of their criteria, and of the grader."""
    patterns = ["common/*.py", "lab/grade/*.py", "lab/blackbox/*.py",
                *(f"stage{number}_*/*.py" for number in range(1, stage + 1)),
                *(f"tests/stage{number}_*/test_criteria*.py" for number in range(1, stage + 1))]
    hashed = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in ROOT.glob(pattern)):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


def all_criteria(folder: Path) -> dict[str, str]:
    """The key of every criterion of every stage -> its title."""
    return {one.key: one.title for one in list_criteria(max(STAGES), folder)}


def without_mutant(keys: Iterable[str]) -> list[str]:
    """The criteria among these that no mutant fails, and that NOT_MET does not excuse."""
    met = {key for stage in STAGES for wrong in mutants_of(stage) for key in wrong.fails}
    return [key for key in keys if key not in met and key not in NOT_MET]
