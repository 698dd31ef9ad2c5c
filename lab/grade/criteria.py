"""What the marker of a criterion says, and how the points of a stage are shared out.

    @pytest.mark.criterion("A line reaches everybody once", points=5, clause="§4", hint="Keep the ids.", cli=True)
    def test_a_line_reaches_everybody_once(scene: Scene) -> None:
        '''What anyone types is printed at every node, once.'''

| member | meaning |
|---|---|
| title | its name in tables; `{row}` is the value of the parameter `row`, or its `name` if it has one |
| points | its weight among the criteria of its stage, and of a later stage if `later` is set |
| clause | the paragraph of docs/contract.md |
| hint | one sentence for a student whose node fails |
| hardening | it is counted separately from the basics |
| cli | it needs the command line only, so that nodes with a wire format of their own can be graded |
| later | later stages must still meet it |
| slow | it takes a minute or more, and runs only with SLOW=1, or if ONLY names it |

The docstring is the rule. `make test` runs the basics with the most points on our own nodes, `make test-long` the rest.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FULL = 100
"""The points of all basics of a stage together; its hardening has as many."""
ALL = "all"
"""In place of a key: all criteria of a stage and of the earlier ones, even those that it need not meet."""
OWN_SHARE = 70
"""How many of the points are for a stage's own criteria; the rest is for criteria of earlier stages."""


@dataclass(frozen=True)
class Criterion:
    """One criterion. The members are those of the marker, see above."""

    key: str
    """Its name in options and files, such as `2.own-transaction-counts-once`."""
    title: str
    stage: int
    """The stage that it belongs to. Later stages may have to meet it, too."""
    points: int
    clause: str
    rule: str
    hint: str = ""
    hardening: bool = False
    cli: bool = False
    later: bool = False
    slow: bool = False


def make_criterion(name: str, stage: int, rule: str, marker: Any, parameters: dict[str, Any]) -> Criterion:
    """The criterion of a test: its function's name with the id of its parameters, and its marker."""
    (title,) = marker.args
    shown = {one: getattr(value, "name", value) for one, value in parameters.items()}
    key = f"{stage}." + re.sub(r"[^0-9A-Za-z.]+", "-", name.removeprefix("test_").replace("[", ".").removesuffix("]"))
    return Criterion(key, title.format(**shown), stage, rule=" ".join(rule.split()), **marker.kwargs)


def is_asked(criterion: Criterion, stage: int, only: str = "", only_this_stage: bool = False, cli_only: bool = False,
             slow: bool = False) -> bool:
    """Must a submission of `stage` be checked for this criterion?"""
    if only:
        return (only == ALL or criterion.key in only.split(",")) and criterion.stage <= stage
    return (criterion.stage == stage or (criterion.stage < stage and criterion.later and not only_this_stage)) and (
        criterion.cli or not cli_only) and (slow or not criterion.slow)


def share_out(criteria: Sequence[Criterion], stage: int) -> dict[str, int]:
    """The points of each criterion, by key: whole numbers, FULL for the basics and FULL for the hardening.

    Criteria of earlier stages get what OWN_SHARE leaves. Rounding is by the largest remainder.
    """
    points: dict[str, int] = {}
    for hardening in (False, True):
        kind = [one for one in criteria if one.hardening == hardening]
        own = [one for one in kind if one.stage == stage]
        earlier = [one for one in kind if one.stage != stage]
        for_own = FULL if not earlier else OWN_SHARE if own else 0
        points |= _apportion(own, for_own) | _apportion(earlier, FULL - for_own)
    return points


def _apportion(criteria: Sequence[Criterion], total: int) -> dict[str, int]:
    weights = sum(one.points for one in criteria)
    exact = {one.key: total * one.points / weights for one in criteria}
    points = {key: int(share) for key, share in exact.items()}
    by_remainder = sorted(exact, key=lambda key: (points[key] - exact[key], key))
    for key in by_remainder[:total - sum(points.values())] if criteria else []:
        points[key] += 1
    return points
