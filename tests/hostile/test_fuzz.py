"""A million frames in all, each nearly right, to nodes of all stages: they live, serve others, and keep their ledger.

The seed is printed. FUZZ_SEED=number repeats a sequence.
"""

import os
import random
from typing import Any

import pytest

from tests.conftest import Launch
from tests.hostile.fuzzing import Fuzzer, record_conversation
from tests.hostile.villain import Healthy, Villain, quick_and_long
from tests.processes import STAGES, NodeProcess, eventually

OPTIONS = {4: ["--interval", "0.3"], 5: ["--slot", "0.001", "--rate", "0.999", "--forge", "none"]}
"""With these options stage 4 soon has a block, and stage 5 has only the blocks that the test makes."""

AT_ONCE = 4
"""The number of frames sent together. If one ends the connection, those after it are lost."""


def choose_seed() -> int:
    """The seed of FUZZ_SEED, or a new one each time; in CI always the same."""
    return int(os.environ.get("FUZZ_SEED", 1 if "CI" in os.environ else random.randrange(10**9)))


@quick_and_long("count", 600, 200_000)
@pytest.mark.parametrize("stage", STAGES)
def test_frames_that_are_nearly_right(stage: int, count: int, start_node: Launch) -> None:
    seed = choose_seed()
    node = start_node(stage, "none", *OPTIONS.get(stage, []))
    conversation = record_conversation(node)
    print(f"FUZZ_SEED={seed}, {len(conversation)} messages of {len({one['type'] for one in conversation})} types")
    fuzzer = Fuzzer(conversation, seed)
    other = start_node(stage, node.address)
    before = state_of(node)
    with Healthy(node), Villain(node) as villain:
        for _ in range(count // AT_ONCE):
            villain.insist(fuzzer.frames(AT_ONCE))
            settle(villain)
        print(villain.connections, "connections")
        check_state(node, other, before)
    assert villain.connections > 10, "much of it is bad input"


def settle(villain: Villain) -> None:
    """Wait until the node has handled everything. If a length was changed, the node waits for bytes that never come."""
    try:
        villain.barrier(timeout=0.2)
    except AssertionError:
        villain.connect()


def state_of(node: NodeProcess) -> dict[str, Any]:
    """The state that nobody may change without a signature."""
    questions = {2: ["ledger"], 3: ["ledger"], 4: ["ledger", "blocks"], 5: ["ledger", "tree"]}.get(node.stage, [])
    return {question: node.ask(f"/{question}", question) for question in questions}


def check_state(node: NodeProcess, other: NodeProcess, before: dict[str, Any]) -> None:
    """From stage 3 on nothing has changed. In stage 2 many changed transactions are valid: money moves, but a
    neighbour has the same ledger."""
    if node.stage >= 3:
        assert state_of(node) == before
    elif node.stage == 2:
        assert sum(state_of(node)["ledger"]["accounts"].values()) == 0
    eventually(lambda: state_of(other) == state_of(node), state=lambda: (state_of(other), state_of(node)))
    assert all(1 <= len(chat["text"]) <= 4_096 for chat in node.all_of("chat"))
