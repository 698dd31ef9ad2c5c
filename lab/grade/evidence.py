"""What was said in a criterion: read back from its folder, as lines of text, and as a space-time diagram."""

import json
from collections.abc import Sequence

from lab.diagrams.diagram import Diagram, Event, Message, summarize
from lab.grade.actors import Note
from lab.grade.result import Outcome, Result


def read_conversation(result: Result, outcome: Outcome) -> list[Note]:
    """The notes of a criterion, oldest first; none if it was never run."""
    path = result.settings.folder / outcome.folder / "conversation.jsonl"
    if not outcome.folder or not path.exists():
        return []
    return [Note(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def spoken(note: Note) -> str:
    """A note as a line of text."""
    return f"{note.at:7.3f} s  {note.source} -> {note.target}  {note.kind}: {note.text}"


def diagram_of(notes: Sequence[Note]) -> Diagram:
    """The notes as a diagram. What the grader types to a node, or reads from it, is an event of that node."""
    rows = [row for note in notes for row in _rows(note)]
    messages = [row for row in rows if isinstance(row, Message)]
    return Diagram((), messages, [row for row in rows if isinstance(row, Event)])


def _rows(note: Note) -> list[Message | Event]:
    """The rows of a note: one for each message that was sent in one piece."""
    if note.kind in ("message", "output"):
        said = list(map(summarize, note.text.splitlines()))
    else:
        said = [(note.kind, "" if note.kind == "started" else note.text)]
    if "grader" not in (note.source, note.target):
        return [Message(note.at, note.source, note.target, kind, text) for kind, text in said]
    node = note.target if note.source == "grader" else note.source
    return [Event(note.at, node, f"{kind} {text}".strip(), is_marked=note.kind in ("ended", "signal"))
            for kind, text in said]
