"""The message `vote`, with which docs/architecture.md shows where a new message goes, does what the page says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from common.encoding import ID, STRING, Message, Shape
from common.interface import Connection, Network
from common.journal import Journal
from common.parts import Part
from lab.simulation import World
from stage4_sequencer.total_order import TotalOrderSetup
from stage5_pos.genesis import Genesis
from stage5_pos.node import StakeNode
from tests.fixtures import kept_key
from tests.memory import Stranger, add_linked_stranger
from tests.processes import ROOT
from tests.stage5_pos.builder import genesis, new_world

VOTE = {"type": "vote", "block": "ab" * 32, "voter": "somebody"}
NEEDED = (Callable, Any, ClassVar, ID, STRING, Message, Shape, Connection, Part, Genesis, StakeNode)
"""What the lines of the page use."""


def node_of_the_page() -> type[StakeNode]:
    """The class of the node in the example."""
    text = (ROOT / "docs" / "architecture.md").read_text().partition("**A new message**")[2]
    found = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    names = dict(globals())
    exec(found[1], names)
    made: type[StakeNode] = names["VotingNode"]
    return made


def scene(folder: Path) -> tuple[World, Any, list[Stranger]]:
    """A node of the example with a journal in `folder`, and two peers."""
    world, node_class = new_world(), node_of_the_page()

    def make_node(network: Network, address: str) -> StakeNode:
        return node_class(network, address, TotalOrderSetup(key=kept_key(11), journal=Journal(folder)), {},
                          lambda: (genesis(), {}))

    node = world.add(make_node)
    return world, node, [add_linked_stranger(world, node, 5) for _ in range(2)]


def test_the_message_is_handled_passed_on_once_and_known_after_a_restart(tmp_path: Path) -> None:
    world, node, (alice, bob) = scene(tmp_path)
    alice.send(VOTE, {**VOTE, "unknown": "members are ignored, so these are other bytes"})
    world.settle()
    assert node.votes.votes == {(VOTE["block"], VOTE["voter"])}
    assert [one for one in bob.received if one["type"] == "vote"] == [VOTE]
    node.commit()
    node.on_end()
    _, again, _ = scene(tmp_path)
    assert again.votes.votes == node.votes.votes


@pytest.mark.parametrize("changes", [{"block": "ab"}, {"voter": 1}])
def test_its_shape_is_checked(tmp_path: Path, changes: dict[str, Any]) -> None:
    world, node, (alice, _) = scene(tmp_path)
    alice.send({**VOTE, **changes})
    world.settle()
    assert alice.is_closed and not node.votes.votes
