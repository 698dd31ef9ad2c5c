"""What people are told of the events of stage 5. The tree is drawn (drawing.py)."""

from common.console import count, shown_id
from common.interface import Lines, Members
from stage4_sequencer.words import block_line, equivocation_line

EVENTS: dict[str, Lines] = {
    "block": lambda m: [block_line(m, place_of(m))],
    "blocks": lambda m: [block_line(block, place_of(block)) for block in m["blocks"]] or ["no blocks yet"],
    "equivocation": lambda m: [equivocation_line(m, f"of slot {m['slot']}")],
    "rollback": lambda m: [f"rollback of {count(m['depth'], 'block')}, from {shown_id(m['from'])}"
                           f" to {shown_id(m['to'])}"],
}


def place_of(block: Members) -> str:
    """Where a block is."""
    return f"slot {block['slot']}, height {block['height']}"
