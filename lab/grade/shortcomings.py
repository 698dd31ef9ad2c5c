"""What a criterion raises, and how an exception becomes a verdict with a reason for the student."""

from dataclasses import dataclass
from typing import Any

from lab.blackbox.node_process import NodeError

PASSED, FAILED, INCONCLUSIVE, ERROR = "passed", "failed", "inconclusive", "error"
"""The verdicts. Inconclusive: what a criterion begins with could not be set up. Error: the grader's own fault."""

LONGEST_TEXT = 2_000


class Shortcoming(AssertionError):
    """The submission does not do what the criterion asks."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"expected {expected}; {actual}")
        self.expected, self.actual = expected, actual


class Inconclusive(AssertionError):
    """What this criterion begins with could not be set up, so it says nothing about its rule."""


def check(holds: object, expected: str, actual: object) -> None:
    """Shortcoming unless it holds. `expected` and `actual` are shown to the student."""
    if not holds:
        raise Shortcoming(expected, actual if isinstance(actual, str) else f"it was {actual!r}")


def check_equal(actual: Any, expected: Any, what: str) -> None:
    """Shortcoming unless both are equal. `what` names the value for the student, as in "the exit status"."""
    if actual != expected:
        raise Shortcoming(f"{what} to be {expected!r}", f"it was {actual!r}")


@dataclass
class Judgement:
    """A verdict, and its reason."""

    verdict: str
    expected: str = ""
    actual: str = ""


def judge(error: BaseException | None, rule: str) -> Judgement:
    """What an exception says about the submission. `rule` is what was expected if the exception does not say so.

    Any exception that is not listed here is a defect of the grader, and its verdict ERROR. If the submission
    breaks the contract, lab/blackbox and lab/grade/actors.py raise an AssertionError.
    """
    if error is None:
        return Judgement(PASSED)
    if isinstance(error, Inconclusive):
        return Judgement(INCONCLUSIVE, rule, shorten(str(error)))
    if isinstance(error, Shortcoming):
        return Judgement(FAILED, shorten(error.expected), shorten(error.actual))
    if isinstance(error, NodeError):
        return Judgement(FAILED, shorten(error.wanted) or rule, shorten(str(error)))
    if isinstance(error, AssertionError):
        return Judgement(FAILED, rule, shorten(str(error).partition("\nassert ")[0]))
    if isinstance(error, ConnectionError):
        return Judgement(FAILED, rule, "it does not accept the connection, or has ended it at once")
    if type(error).__name__ == "Failed" and "Timeout" in str(error):  # pytest-timeout
        return Judgement(FAILED, rule, "the criterion did not end in time")
    return Judgement(ERROR, rule, shorten(f"{type(error).__name__}: {error}"))


def shorten(text: str) -> str:
    """A text that fits on a page."""
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"
