"""The points that a teacher wants: `points.toml`.

    leave_out = ["1.busy"]                    # criteria that do not count, and are not shown
    hidden = ["1.not-back"]                   # criteria that count, but that students do not see
    [weights]
    "1.founds-and-listens" = 10               # other weights, 1 or more; the other criteria keep theirs
"""

import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lab.grade.result import Result, complete


class PointsError(ValueError):
    """A file that cannot be read, or that is not a file of points. The message is one line for the user."""


@dataclass(frozen=True)
class Points:
    """A teacher's changes to the points."""

    weights: dict[str, int] = field(default_factory=dict)
    leave_out: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()

    def apply(self, result: Result) -> Result:
        """The same run with these points, which add up to 100 again."""
        kept = [one for one in result.outcomes if one.criterion.key not in self.leave_out]
        for one in kept:
            weight = self.weights.get(one.criterion.key, one.criterion.points)
            one.criterion = replace(one.criterion, points=weight)
        return replace(result, outcomes=complete([one.criterion for one in kept], kept, result.settings.stage))

    def for_students(self, result: Result) -> Result:
        """The same run without the criteria that students do not see."""
        shown = [one for one in result.outcomes if one.criterion.key not in self.hidden]
        if len(shown) == len(result.outcomes):
            return result
        remark = f"Criteria that are not shown here, but count as well: {len(result.outcomes) - len(shown)}."
        return replace(result, outcomes=shown, remarks=[*result.remarks, remark])


def read_points(path: Path, known: Collection[str]) -> Points:
    """The points in a file; PointsError if it cannot be read, or names a criterion that is not one of `known`."""
    try:
        members = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise PointsError(f"{path}: {error}") from None
    return check_points(members, path, known)


def check_points(members: dict[str, Any], path: Path, known: Collection[str]) -> Points:
    """The points; PointsError if a member is not what it should be."""
    weights, leave_out, hidden = members.pop("weights", {}), members.pop("leave_out", []), members.pop("hidden", [])
    if members:
        raise PointsError(f"{path}: expected only weights, leave_out and hidden, but found {', '.join(members)}")
    if not isinstance(weights, dict) or not isinstance(leave_out, list) or not isinstance(hidden, list):
        raise PointsError(f"{path}: weights must be a table, leave_out and hidden must be lists")
    if not all(type(value) is int and value > 0 for value in weights.values()):
        raise PointsError(f"{path}: a weight must be 1, 2, 3 …; put a criterion that does not count into leave_out")
    for name in [*weights, *leave_out, *hidden]:
        if name not in known:
            raise PointsError(f"{path}: there is no criterion {name!r} in this stage;"
                              " criteria/criteria.json in the folder of the results has all names")
    return Points(weights, frozenset(leave_out), frozenset(hidden))
