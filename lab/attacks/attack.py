"""An attack, which is a row of the table of `make attacks`, and its outcome in each stage."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from lab.attacks.scene import Scene


class Outcome(StrEnum):
    """The word in a cell of the table."""

    HOLDS = "holds"
    BROKEN = "broken"
    NOT_APPLICABLE = "not applicable"
    UNKNOWN = "unknown"


class Finding(NamedTuple):
    """The outcome, and what was measured."""

    outcome: Outcome
    evidence: str


def holds_if(condition: bool, evidence: str) -> Finding:
    """HOLDS if the condition is true, otherwise BROKEN, with the same evidence."""
    return Finding(Outcome.HOLDS if condition else Outcome.BROKEN, evidence)


NO_MONEY = "there is no money in a chat room"
NO_ORDER = "nobody sets an order"
NO_BLOCKS = "there are no blocks"
NO_STAKE = "there is no stake: blocks are the sequencer's"


@dataclass(frozen=True, eq=False)
class Attack:
    """One row of the table."""

    name: str
    carry_out: Callable[[Scene], Finding]
    """Carries the attack out in a scene, and returns the finding. Its docstring is the text on the page."""
    reasons: dict[int, str] = field(default_factory=dict)
    """Stage -> why there is nothing to attack there."""

    @property
    def story(self) -> str:
        """What is done, which stage stops it, and why."""
        return inspect.getdoc(self.carry_out) or ""
