"""What people are told of the events that blocks bring."""

from common.console import count, shown_account, shown_id
from common.interface import Lines, Members

EVENTS: dict[str, Lines] = {
    "transaction": lambda m: [f"transaction {shown_id(m['id'])} {m['state']}"
                              + (f": {m['reason']}" if "reason" in m else "")],
    "status": lambda m: [", ".join(f"{name.replace('_', ' ')} {shown_id(str(value))}" for name, value in m.items())],
    "block": lambda m: [block_line(m)],
    "blocks": lambda m: list(map(block_line, m["blocks"])) or ["no blocks yet"],
    "equivocation": lambda m: [f"equivocation: {shown_account(m['creator'])} has signed two blocks for {place_of(m)}:"
                               f" {' and '.join(map(shown_id, m['ids']))}"],
}


def block_line(block: Members) -> str:
    """What people are told of a block."""
    return (f"block {shown_id(block['id'])}  {place_of(block)}, {count(block['transactions'], 'transaction')},"
            f" by {shown_account(block['creator'])}")


def place_of(members: Members) -> str:
    """Where a block is, as far as the members of an event say it: stage 4 has numbers, stage 5 slots and heights."""
    return ", ".join(f"{name} {members[name]}" for name in ("number", "slot", "height") if name in members)
