"""What people are told of the events of stage 2."""

from common.console import SHOWN_NAME, shown_account, shown_id
from common.interface import Lines

EVENTS: dict[str, Lines] = {
    "founded": lambda m: ["resumed its network" if m.get("resumed") else "founded a network"],
    "sent": lambda m: [f"sent {shown_id(m['id'])}"],
    "transaction": lambda m: [f"transaction {shown_id(m['id'])} {m['state']}"],
    "ledger": lambda m: [f"{name:<{SHOWN_NAME}}  {balance:>10}" for name, balance in sorted(
        (shown_account(account), balance) for account, balance in m["accounts"].items())] or ["no transactions yet"],
}
