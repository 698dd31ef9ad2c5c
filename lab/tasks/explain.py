"""Explains why a test has failed: where, what was sent, what came, what was expected.

The text is for somebody who has to find out what is wrong with their own code. So it names the function of the stage,
not the machinery around it.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from types import FrameType, TracebackType
from typing import NamedTuple

from lab.diagrams.diagram import Diagram, Message, summarize
from lab.diagrams.text import draw_text
from lab.simulation import Delivery, World

WIDTH = 100
ROWS_OF_DIAGRAM = 7
LONGEST = 100_000
"""The most characters of a value that are compared."""
LINES_SAID = 4
LINES_CAME = 2
"""How many lines of a message are shown, and how many of what a process or a connection said last."""

WHAT_CAME = re.compile(r" *node \d+ \(|\d+ messages came")
"""How the notes begin that lab/blackbox adds to an error: NodeProcess.describe and Peer.describe."""

TEST_FOLDER = re.compile(r"/[^\s'\"]*/pytest-\d+/[^/\s'\"]+/")
"""The beginning of a path in the folder that pytest has made for one test."""

SKELETON = "NotImplementedError"
"""What a function that is not written yet raises."""


class Place(NamedTuple):
    """A line of the code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function}"


class Compared(NamedTuple):
    """Two values that a test has compared."""

    operator: str
    came: object
    expected: object


class Told(NamedTuple):
    """The explanation, and the cause that other cases may share; empty if the cause is not known."""

    lines: list[str]
    cause: str


def explain(error: BaseException, own: str, compared: Compared | None, width: int = WIDTH) -> Told:
    """Explain why a test has failed. `own` is the folder that the student writes."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[-1]  # the one that `compared` belongs to: pytest saw it last
    frames = list(frames_of(error.__traceback__))
    unwritten = find_unwritten(error, frames, own)
    if unwritten is not None:
        return Told([unwritten], unwritten)
    world = find_world(frames)
    lines: list[str] = []
    cause = ""
    if not isinstance(error, AssertionError) and (place := last_place(frames, own)) is not None:
        cause = f"{name_of(error)} in {place}"
        lines += describe_exception(error, place, frames)
    else:
        lines += describe_assertion(error, frames, compared, width)
    lines += describe_example(error)
    lines += draw_last(world, is_exception=bool(cause), width=width)
    return Told([clip(line, width) for line in lines], cause)


# --- what is not written yet --------------------------------------------------------------------

def find_unwritten(error: BaseException, frames: list[tuple[FrameType, int]], own: str) -> str | None:
    """The line about a function that is not written, if that made the test fail: here, or in a node's process."""
    if isinstance(error, NotImplementedError) and frames and own in frames[-1][0].f_code.co_filename:
        return f"{place_of(*frames[-1])} is not written yet."
    return find_unwritten_in("\n".join([str(error), *getattr(error, "__notes__", [])]), own)


def find_unwritten_in(text: str, own: str) -> str | None:
    """The same from what a process has printed: the line with which a node ends, or a traceback."""
    if (said := re.search(rf"{own}/\w+\.py:\d+ \S+ is not written yet", text)) is not None:
        return f"{said[0]}."
    if SKELETON not in text:
        return None
    places = re.findall(rf'File "[^"]*?({own}/\w+\.py)", line (\d+), in (\S+?)(?:\\n|\s|$)', text)
    return f"{places[-1][0]}:{places[-1][1]} {places[-1][2]} is not written yet." if places else None


# --- exceptions ---------------------------------------------------------------------------------

def describe_exception(error: BaseException, place: Place, frames: list[tuple[FrameType, int]]) -> list[str]:
    """Describe an exception that came out of the student's code."""
    raised = place_of(*frames[-1])
    lines = [f"{name_of(error)}: {error}".rstrip(": ").splitlines()[0], f"  came out of {place}"]
    if raised != place:
        lines.append(f"  raised in {raised}")
    is_slip = isinstance(error, NameError)  # no message is the cause of that
    if not is_slip and any(frame.f_code.co_name in ("on_frame", "on_message") for frame, _ in frames):
        lines += ["  Raise Invalid (common/interface.py) for a message that is not valid, and nothing else. Any other",
                  "  exception is a defect of your node, and the sender is not blamed for it (contract §2, Bad input)."]
    return lines


def name_of(error: BaseException) -> str:
    """The name of an exception's class."""
    return type(error).__name__


def frames_of(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    """The frames of a traceback with their lines, outermost first."""
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def place_of(frame: FrameType, line: int) -> Place:
    """Where a frame is, with the path from the folder of the handout."""
    path = Path(frame.f_code.co_filename)
    return Place("/".join(path.parts[-2:]), line, frame.f_code.co_qualname)


def last_place(frames: list[tuple[FrameType, int]], folder: str) -> Place | None:
    """The innermost place in a folder of the handout; its tests are in a folder of the same name."""
    inside = [one for one in frames if Path(one[0].f_code.co_filename).parts[-2] == folder
              and "tests" not in Path(one[0].f_code.co_filename).parts[-3:]]
    return place_of(*inside[-1]) if inside else None


# --- comparisons --------------------------------------------------------------------------------

def describe_assertion(error: BaseException, frames: list[tuple[FrameType, int]], compared: Compared | None,
                       width: int) -> list[str]:
    """Describe what a test has found: the line of the test, what came, what was expected."""
    lines = [] if isinstance(error, AssertionError) else [f"{name_of(error)}: {error}".splitlines()[0]]
    if (place := last_test_line(frames)) is not None:
        lines.append(f"> {place}")
    text = str(error)
    if compared is not None and compared.operator == "==" and isinstance(error, AssertionError):
        said = text.splitlines()[0] if text and not text.startswith("assert ") else ""
        came, expected = repr(compared.came)[:LONGEST], repr(compared.expected)[:LONGEST]
        lines += [f"  {said}"] if said else []
        return lines + around_difference(came, expected, width)
    is_told = not isinstance(error, AssertionError)  # its first line, above
    shown = [line for line in text.splitlines()[is_told:] if line.strip()]
    if shown and shown[0].startswith("assert "):
        return [*lines, f"  {shown[0]}"]
    return lines + wrap(shown, width)[:LINES_SAID] + describe_last(error, width)


def describe_last(error: BaseException, width: int) -> list[str]:
    """What came last from the process or connection that a test has waited for: standard error, if there was any."""
    came = [line for note in getattr(error, "__notes__", []) if WHAT_CAME.match(note) for line in note.splitlines()[1:]]
    shown = [part for line in came[-LINES_CAME:] for part in wrap([line], width)[:2]]
    return ["What came last from the node:", *shown] if shown else []


def wrap(lines: Iterable[str], width: int) -> list[str]:
    """Lines of a message, indented and no longer than there is room for. Of a path in the test's folder, which differs
    from run to run, only the end is shown."""
    return [f"  {part}" for line in lines
            for part in textwrap.wrap(TEST_FOLDER.sub("…/", line.strip()), width - len("  "))]


def around_difference(came: str, expected: str, width: int) -> list[str]:
    """Two texts around their first difference, one under the other."""
    room = width - len("  expected  ")
    start = first_difference(came, expected)
    begin = 0 if start < room - 20 else start - room // 3
    shown = [("…" + text[begin + 1:] if begin else text) for text in (came, expected)]
    mark = [f"            {' ' * (start - begin)}^ the first difference"] if begin or start > 3 else []
    return [f"  {label:9} {clip(text, room)}" for label, text in zip(("came", "expected"), shown, strict=True)] + mark


def first_difference(one: str, other: str) -> int:
    """The index of the first character that differs."""
    return next((place for place, (left, right) in enumerate(zip(one, other, strict=False)) if left != right),
                min(len(one), len(other)))


def last_test_line(frames: list[tuple[FrameType, int]]) -> str | None:
    """The source line at which a test has failed: the innermost one in a file of tests."""
    for frame, line in reversed(frames):
        path = Path(frame.f_code.co_filename)
        if "tests" in path.parts and path.exists():
            lines = path.read_text("utf-8").splitlines()
            return lines[line - 1].strip()
    return None


def describe_example(error: BaseException) -> list[str]:
    """What made a property test fail, as small as possible: its values, or the note on a shortened random life."""
    short = [note for note in getattr(error, "__notes__", []) if "as short as it can be" in note]
    if short:
        return [f"  {short[0]}"]
    notes = [note for note in getattr(error, "__notes__", []) if note.startswith(("Falsifying ", "Failing "))]
    if not notes:
        return []
    words = [line.strip() for line in notes[0].splitlines()[1:-1] if line.strip()]
    return [f"  with {' '.join(words)}"]


def clip(text: str, width: int) -> str:
    """As much of a text as there is room for."""
    return text if len(text) <= width else text[:width - 1] + "…"


# --- what was sent ------------------------------------------------------------------------------

def find_world(frames: Iterable[tuple[FrameType, int]]) -> World | None:
    """The network in memory in which a test has failed, if it has one."""
    found = [value for frame, _ in frames for value in frame.f_locals.values() if isinstance(value, World)]
    return found[-1] if found else None


def draw_last(world: World | None, is_exception: bool, width: int) -> list[str]:
    """The last messages that reached a node before a test failed, as a diagram. The message that was being handled is
    marked, or else the last one that is not a ping or pong."""
    if world is None or not (diagram := diagram_of(world, is_exception)).messages:
        return []
    last = without_repeats(diagram.messages)[-ROWS_OF_DIAGRAM:]
    used = {name for one in last for name in (one.sender, one.receiver)}
    few = Diagram([name for name in diagram.nodes if name in used], last)
    is_whole = len(last) == len(without_repeats(diagram.messages))
    head = "What was sent:" if is_whole else "What was sent last (more of it is in failure.svg):"
    return [head, *draw_text(few, width)]


def without_repeats(messages: Sequence[Message]) -> list[Message]:
    """The messages, with equal ones in a row replaced by one that says how many they were."""
    shown = []
    for _, group in groupby(messages, key=lambda one: (one.sender, one.receiver, one.kind, one.text)):
        same = list(group)
        times = f"({len(same)} times) " if len(same) > 1 else ""
        shown.append(same[-1]._replace(text=times + same[-1].text, is_marked=any(one.is_marked for one in same)))
    return shown


def diagram_of(world: World, is_exception: bool) -> Diagram:
    """All that the world remembers, as a diagram."""
    known = [one for one in world.delivered if one.frame is not None]
    messages = [message_of(one) for one in known]
    candidates = [place for place, one in enumerate(messages) if is_exception or one.kind not in ("ping", "pong")]
    if candidates:
        messages[candidates[-1]] = messages[candidates[-1]]._replace(is_marked=True)
    return Diagram(list(world.networks), messages)


def message_of(delivery: Delivery) -> Message:
    """A delivery as a message of a diagram."""
    assert delivery.frame is not None
    kind, said = summarize(delivery.frame[4:].decode(errors="backslashreplace"))
    return Message(delivery.at, delivery.sender, delivery.receiver, kind or "?", said)
