"""What an experiment is: a question, points to measure, one run of a point, and a picture of all rows."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure

Value = int | float | str
Point = dict[str, Value]
"""The parameters of a point."""

Row = dict[str, Value]
"""What one run has measured. In the table of all rows it also has the point's parameters, and the number of the run."""


class Experiment(ABC):
    """One question, and how it is measured. It has no state, so it can be handed to any process."""

    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    QUESTION: ClassVar[str]
    METHOD: ClassVar[str]
    """How it is measured, and what is simplified, in a few sentences."""
    MEASURED: ClassVar[dict[str, str]]
    """The measured columns that the report's table shows, and what each is, with its unit."""
    IS_ALONE: ClassVar[bool] = False
    """Does each run need the machine to itself? Real nodes do."""

    @abstractmethod
    def points(self, is_quick: bool) -> list[Point]:
        """The points, all with the same names of parameters; the quick form has fewer and smaller ones."""

    @abstractmethod
    def runs(self, is_quick: bool) -> int:
        """How many runs each point gets, each with a seed of its own."""

    def runs_of(self, point: Point, is_quick: bool) -> int:
        """How many runs this point gets. A hook: a point with real nodes gets fewer."""
        return self.runs(is_quick)

    def is_alone(self, point: Point) -> bool:
        """Do the runs of this point need the machine to themselves? A hook."""
        return self.IS_ALONE

    @abstractmethod
    def run(self, point: Point, seed: int) -> list[Row]:
        """One run of one point. The same seed gives the same rows, except on real nodes."""

    @abstractmethod
    def draw(self, figure: Figure, rows: Sequence[Row]) -> None:
        """Draw the picture."""

    @abstractmethod
    def findings(self, rows: Sequence[Row]) -> list[str]:
        """What the numbers say next to theory, a sentence each."""


def seed_of(seed: int, name: str, point: Point, number: int) -> int:
    """The seed of one run. It depends on nothing else, so any process may do the runs, in any order."""
    text = json.dumps([seed, name, point, number], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def where(rows: Iterable[Row], **values: Value) -> list[Row]:
    """The rows that have these values."""
    return [row for row in rows if all(row.get(name) == value for name, value in values.items())]


def column(rows: Iterable[Row], name: str) -> list[float]:
    """The numbers of a column."""
    return [float(row[name]) for row in rows]


def groups(rows: Iterable[Row], *names: str) -> Iterator[tuple[tuple[Value, ...], list[Row]]]:
    """Groups of rows that agree in these columns, in the order of the first row of each."""
    found: dict[tuple[Value, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    yield from found.items()


def spread(numbers: Sequence[float]) -> tuple[float, float, float]:
    """The 5th percentile, the median and the 95th percentile."""
    low, middle, high = np.percentile(numbers, [5, 50, 95])
    return float(low), float(middle), float(high)
