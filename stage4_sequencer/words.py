"""What people are told of the events that blocks bring."""

from common.console import count, shown_account, shown_id
from common.interface import Lines, Members

EVENTS: dict[str, Lines] = {
    "transaction": lambda m: [f"transaction {shown_id(m['id'])} {m['state']}"
                              + (f": {m['reason']}" if "reason" in m else "")],
    "status": lambda m: [", ".join(f"{name.replace('_', ' ')} {shown_id(str(value))}" for name, value in m.items())],
}


def block_line(block: Members, place: str) -> str:
    """What people are told of a block that is at this place."""
    return (f"block {shown_id(block['id'])}  {place}, {count(block['transactions'], 'transaction')},"
            f" by {shown_account(block['creator'])}")


def equivocation_line(members: Members, of_what: str) -> str:
    """What people are told of somebody who has signed two blocks `of_what`, as in "of slot 9"."""
    return (f"equivocation: {shown_account(members['creator'])} has signed two blocks {of_what}:"
            f" {' and '.join(map(shown_id, members['ids']))}")
