"""What people are told of each event, in the words of the stage that introduces it."""

from typing import Any

import pytest

from lab.adversaries.bad_neighbour import NODES

KEY = "A" * 400
SHOWN = "0000000000000000"
"""The shown digits of an id of zeros."""
BLOCK = {"id": "0" * 64, "creator": "the sequencer", "transactions": 1, "number": 3}
STAKE_BLOCK = {"id": "0" * 64, "creator": "node-1", "transactions": 2, "slot": 9, "height": 4, "parent": "1" * 64}
TWINS: dict[str, Any] = {"creator": "node-1", "ids": ["0" * 64, "1" * 64]}

CASES: list[tuple[int, str, dict[str, Any], list[str]]] = [
    (1, "listening", {"address": "a:1", "stage": 1, "network": "n"}, ["listening on a:1"]),
    (1, "founded", {}, ["founded a network"]),
    (1, "joined", {"peer": "b:2"}, ["joined the network of b:2"]),
    (1, "help", {"commands": [{"command": "/quit", "meaning": "end"}]}, [f"{'/quit':<28}  end"]),
    (1, "peer", {"address": "b:2", "state": "up"}, ["peer b:2 is up"]),
    (1, "chat", {"text": "hello"}, ["hello"]),
    (1, "peers", {"addresses": ["a:1", "b:2"], "connections": 1}, ["a:1", "b:2", "2 nodes known, 1 connection up"]),
    (1, "error", {"code": "COMMAND", "reason": "gone"}, ["error COMMAND: gone"]),
    (2, "founded", {}, ["founded a network"]),
    (2, "founded", {"resumed": True}, ["resumed its network"]),
    (2, "sent", {"id": "0" * 64}, [f"sent {SHOWN}"]),
    (2, "transaction", {"id": "0" * 64, "state": "applied"}, [f"transaction {SHOWN} applied"]),
    (2, "ledger", {"accounts": {"bob": 5, "alice": -5}}, ["alice                     -5", "bob                        5"]),
    (2, "ledger", {"accounts": {}}, ["no transactions yet"]),
    (3, "listening", {"address": "a:1", "account": "bob"}, ["listening on a:1", "this node's account is bob"]),
    (3, "account", {"account": KEY, "fingerprint": "f" * 16, "balance": 7},
     [f"account {'f' * 16} has 7; its key, to hand to others:", KEY]),
    (4, "transaction", {"id": "0" * 64, "state": "refused", "reason": "no funds"}, [f"transaction {SHOWN} refused: no funds"]),
    (4, "transaction", {"id": "0" * 64, "state": "executed"}, [f"transaction {SHOWN} executed"]),
    (4, "status", {"peers": 2, "longest_rollback": 1, "tip": "0" * 64}, [f"peers 2, longest rollback 1, tip {SHOWN}"]),
    (4, "block", BLOCK, [f"block {SHOWN}  number 3, 1 transaction, by the sequencer"]),
    (4, "blocks", {"blocks": [BLOCK]}, [f"block {SHOWN}  number 3, 1 transaction, by the sequencer"]),
    (4, "blocks", {"blocks": []}, ["no blocks yet"]),
    (4, "equivocation", {**TWINS, "number": 3},
     [f"equivocation: node-1 has signed two blocks for number 3: {SHOWN} and {'1' * 16}"]),
    (5, "block", STAKE_BLOCK, [f"block {SHOWN}  slot 9, height 4, 2 transactions, by node-1"]),
    (5, "blocks", {"blocks": [STAKE_BLOCK]}, [f"block {SHOWN}  slot 9, height 4, 2 transactions, by node-1"]),
    (5, "blocks", {"blocks": []}, ["no blocks yet"]),
    (5, "equivocation", {**TWINS, "slot": 9}, [f"equivocation: node-1 has signed two blocks for slot 9: {SHOWN} and {'1' * 16}"]),
    (5, "rollback", {"depth": 1, "from": "0" * 64, "to": "1" * 64}, [f"rollback of 1 block, from {SHOWN} to {'1' * 16}"]),
]


@pytest.mark.parametrize(("stage", "event", "members", "lines"), CASES)
def test_people_are_told(stage: int, event: str, members: dict[str, Any], lines: list[str]) -> None:
    assert NODES[stage].EVENTS[event](members) == lines


def test_each_stage_inherits_the_events_of_the_one_before_and_every_event_has_a_case() -> None:
    told: set[str] = set()
    for stage, node in NODES.items():
        assert told <= node.EVENTS.keys()
        new = {event for number, event, _, _ in CASES if number == stage}
        told |= new
        assert node.EVENTS.keys() == told, f"stage {stage}"
