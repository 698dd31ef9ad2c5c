"""How nodes fetch and send the chain, without a node: `ChainSync` between a tree and connections that remember."""

from collections.abc import Callable
from typing import Any

from common.encoding import Message, encode_frame
from common.fetch_limits import MAX_FLOODED
from stage4_sequencer.catching_up import BLOCKS_PING
from stage4_sequencer.limits import MAX_ANSWER_BLOCKS
from stage5_pos.catching_up import ChainSync
from stage5_pos.tree import Block, Tree
from tests.memory import LastingConnection

PING = {"type": "ping", "nonce": BLOCKS_PING}


class Waits:
    """The postponed blocks: only those that the test names, all from one connection."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.waiting: set[str] = set()
        self.ready: set[str] = set()
        self.sent: list[str] = []

    def __contains__(self, block_id: str) -> bool:
        return block_id in self.waiting

    def is_here(self, block_id: str) -> bool:
        """Is it in the tree, or about to enter?"""
        return block_id in self.tree or block_id in self.ready

    def is_settled(self, block_id: str) -> bool:
        """No block is invalid here."""
        return self.is_here(block_id)

    def is_known(self, block_id: str) -> bool:
        """Is it here, or postponed?"""
        return self.is_here(block_id) or block_id in self.waiting

    def lacks_only_transactions(self, block_id: str) -> bool:
        """No postponed block lacks an ancestor."""
        return block_id in self.waiting

    def count_of(self, connection: Any) -> int:
        """How many are postponed."""
        return len(self.waiting)

    def on_block_sent(self, block_id: str, connection: Any) -> None:
        """Remember the block."""
        self.sent.append(block_id)


class Scene:
    """A tree with a chain of `height` blocks, and a neighbour."""

    def __init__(self, height: int = 0) -> None:
        self.tree = Tree("b0")
        self.waits = Waits(self.tree)
        self.timers: list[Callable[[], None]] = []
        self.sync = ChainSync(self.tree, self.waits, lambda seconds, action: self.timers.append(action))  # type: ignore[arg-type]
        self.peer = LastingConnection()
        for number in range(1, height + 1):
            self.grow(number)

    def grow(self, number: int) -> None:
        """The next block enters the tree."""
        frame = encode_frame({"type": "block", "number": number})
        self.tree.add(Block(f"b{number}", number, f"b{number - 1}", "somebody", 0, [], frame))

    def told(self, height: int) -> list[Message]:
        """What is sent when the neighbour announces a tip of this height."""
        self.sync.on_tip(self.peer, {"type": "tip", "id": f"b{height}", "height": height}, b"")
        return self.peer.news()

    def answered(self, first: int, last: int) -> list[Message]:
        """What is sent when the neighbour has sent these blocks and the pong."""
        for number in range(first, last + 1):
            self.sync.on_block_came(self.peer, f"b{number}", f"b{number - 1}")
            self.grow(number)
        self.sync.on_pong(self.peer, BLOCKS_PING)
        return self.peer.news()


def question(*locator: str) -> list[Message]:
    """The question with this locator, and the ping after it."""
    return [{"type": "get_chain", "locator": list(locator)}, PING]


def test_a_node_that_is_behind_asks_until_it_knows_the_tip() -> None:
    scene = Scene()
    assert scene.told(5) == question("b0")
    assert scene.sync.is_asking(scene.peer)
    assert scene.told(6) == [], "one question at a time"
    assert scene.answered(1, 3) == question("b3", "b2", "b1", "b0")
    assert scene.answered(4, 5) == [] and not scene.sync.is_asking(scene.peer)


def test_a_node_that_is_ahead_tells_its_own_tip_and_answers() -> None:
    scene = Scene(MAX_ANSWER_BLOCKS + 2)
    assert scene.told(1) == [{"type": "tip", "id": f"b{MAX_ANSWER_BLOCKS + 2}", "height": MAX_ANSWER_BLOCKS + 2}]
    scene.sync.on_get_chain(scene.peer, {"type": "get_chain", "locator": ["nowhere", "b1"]}, b"")
    assert [one["number"] for one in scene.peer.news()] == list(range(2, MAX_ANSWER_BLOCKS + 2))


def test_nobody_is_asked_for_a_tip_that_lacks_only_transactions() -> None:
    scene = Scene()
    scene.waits.waiting.add("b1")
    assert scene.told(1) == [] and scene.waits.sent == ["b1"]


def test_an_answer_that_brings_nothing_or_a_lost_neighbour_ends_it() -> None:
    scene = Scene()
    scene.told(5)
    assert scene.answered(1, 0) == [] and not scene.sync.is_asking(scene.peer)
    scene.told(5)
    scene.sync.on_lost(scene.peer)
    assert not scene.sync.is_asking(scene.peer)


def test_the_child_of_a_block_that_is_about_to_enter_belongs_to_the_answer() -> None:
    scene = Scene()
    scene.told(5)
    scene.waits.ready.add("b1")
    scene.sync.on_block_came(scene.peer, "b2", "b1")
    scene.waits.waiting.add("b2")
    scene.sync.on_pong(scene.peer, BLOCKS_PING)
    assert scene.peer.news() == question("b2", "b0")


def test_an_orphan_does_not_belong_to_the_answer() -> None:
    scene = Scene()
    scene.told(5)
    scene.sync.on_block_came(scene.peer, "b9", "b8")
    scene.waits.waiting.add("b9")
    scene.sync.on_pong(scene.peer, BLOCKS_PING)
    assert scene.peer.news() == [] and not scene.sync.is_asking(scene.peer)


def test_the_pong_of_another_question_ends_nothing() -> None:
    scene = Scene()
    scene.told(5)
    scene.sync.on_pong(scene.peer, "want")
    assert scene.sync.is_asking(scene.peer)


def test_without_room_it_waits_until_the_blocks_that_came_have_entered() -> None:
    scene = Scene()
    scene.told(5)
    scene.sync.on_block_came(scene.peer, "b1", "b0")
    scene.waits.waiting.add("b1")
    scene.sync.on_no_room(scene.peer)
    for _ in range(3):  # the second and the third pong answer nothing
        scene.sync.on_pong(scene.peer, BLOCKS_PING)
        assert scene.peer.news() == [] and len(scene.timers) == 1
    scene.waits.waiting.clear()
    scene.grow(1)
    scene.sync.on_no_longer_waiting(scene.peer)
    assert scene.peer.news() == question("b1", "b0")
    scene.timers.pop()()
    assert scene.peer.news() == [], "it has been asked by then"


def test_a_neighbour_that_sends_very_many_blocks_is_one_that_the_node_catches_up_with() -> None:
    scene = Scene()
    scene.told(2 * MAX_FLOODED)
    assert not scene.sync.is_catching_up_with(scene.peer)
    scene.answered(1, MAX_FLOODED + 1)
    assert scene.sync.is_catching_up_with(scene.peer) and not scene.sync.is_catching_up_with(LastingConnection())
