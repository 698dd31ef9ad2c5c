"""The result of a run of the grader: the outcomes, the points, and how to do the same again."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from lab.grade.criteria import Criterion, share_out
from lab.grade.settings import Settings
from lab.grade.shortcomings import ERROR, INCONCLUSIVE, PASSED


@dataclass
class Outcome:
    """The verdict on one criterion."""

    criterion: Criterion
    verdict: str
    expected: str = ""
    actual: str = ""
    seconds: float = 0.0
    folder: str = ""
    """Where its conversation and the outputs of its nodes are, within the folder of the run."""
    points: int = 0
    """The most points that it can earn, once the points are shared out."""

    @property
    def score(self) -> int:
        """The points that it earns."""
        return self.points if self.verdict == PASSED else 0

    @classmethod
    def read(cls, text: str) -> Self:
        """An outcome from JSON."""
        members = json.loads(text)
        return cls(Criterion(**members.pop("criterion")), **members)


@dataclass
class Result:
    """One submission, graded."""

    settings: Settings
    outcomes: list[Outcome]
    """In the order of the table: the stage's own criteria first."""
    began: str
    """When, in UTC, in the format of RFC 3339."""
    seconds: float
    name: str = "submission"
    remarks: list[str] = field(default_factory=list)
    """What the reader must know before the points: which isolation is missing, what the grader could not do."""

    def score(self, hardening: bool = False) -> int:
        """The points of the basics, or of the hardening."""
        return sum(one.score for one in self.outcomes if one.criterion.hardening == hardening)

    def full(self, hardening: bool = False) -> int:
        """The most points that a submission can get: 100, or 0 if the run had no such criterion."""
        return sum(one.points for one in self.outcomes if one.criterion.hardening == hardening)

    @property
    def errors(self) -> list[Outcome]:
        """The criteria at which the grader itself has failed."""
        return [one for one in self.outcomes if one.verdict == ERROR]

    @property
    def reason(self) -> str:
        """Why nothing could be checked, if one reason holds for all criteria; empty otherwise."""
        reasons = {one.actual for one in self.outcomes}
        return reasons.pop() if len(reasons) == 1 and all(one.verdict == INCONCLUSIVE for one in self.outcomes) else ""

    @property
    def replay(self) -> str:
        """The command that grades it again in the same way."""
        return self.settings.replay()

    def save(self, path: Path) -> None:
        """Write all of it as JSON."""
        path.write_text(json.dumps({
            "name": self.name, "stage": self.settings.stage, "seed": self.settings.seed, "began": self.began,
            "seconds": self.seconds, "replay": self.replay, "remarks": self.remarks,
            "basics": [self.score(), self.full()], "hardening": [self.score(True), self.full(True)],
            "outcomes": [asdict(one) for one in self.outcomes]}, indent=1, ensure_ascii=False))


def kind_of(outcome: Outcome) -> str:
    """Basic or hardening."""
    return "hardening" if outcome.criterion.hardening else "basic"


def complete(criteria: Sequence[Criterion], outcomes: Iterable[Outcome], stage: int) -> list[Outcome]:
    """An outcome for each criterion, with its points. A criterion without an outcome is an error of the grader."""
    known = {one.criterion.key: one for one in outcomes}
    points = share_out(criteria, stage)
    unchecked = "the grader ended before this criterion was checked"
    all_of_them = [known.get(one.key) or Outcome(one, ERROR, one.rule, unchecked) for one in criteria]
    for one in all_of_them:
        one.points = points[one.criterion.key]
    return all_of_them
