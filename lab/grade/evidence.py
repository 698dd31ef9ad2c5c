"""What was said in a criterion, read back from its folder."""

import json

from lab.grade.actors import Note
from lab.grade.result import Outcome, Result


def read_conversation(result: Result, outcome: Outcome) -> list[Note]:
    """The notes of a criterion, oldest first; none if it was not played."""
    path = result.settings.folder / outcome.folder / "conversation.jsonl"
    if not outcome.folder or not path.exists():
        return []
    return [Note(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def spoken(note: Note) -> str:
    """A note as a line of text."""
    return f"{note.at:7.3f} s  {note.source} -> {note.target}  {note.kind}: {note.text}"
