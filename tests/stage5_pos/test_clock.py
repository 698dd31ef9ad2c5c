"""Stage 5 in memory: what the user is told when this machine's clock, or another one's, is wrong."""

from lab.simulation import World
from stage5_pos.clock import TELL_CLOCK_SECONDS
from stage5_pos.node import StakeNode
from tests.memory import add_linked_stranger
from tests.stage5_pos.builder import add_node, block, new_world
from tests.stage5_pos.scenes import GENESIS, is_counted, scene, tell

FUTURE = 5_180
"""A slot that begins three minutes after the slot of `scene`."""


def told(world: World, node: StakeNode) -> list[str]:
    """The reasons of the errors that the node has printed."""
    return [error["reason"] for error in world.reported(node, "error")]


def test_blocks_from_the_future_are_reported_once_a_minute_and_once_for_each_connection() -> None:
    world, node, peer = scene()
    tell(world, peer, *(block(slot, GENESIS) for slot in range(FUTURE, FUTURE + 20)))
    assert len(told(world, node)) == 1 and not is_counted(world, node)
    assert "179.9 seconds ahead of this machine's clock" in told(world, node)[0] and peer.address in told(world, node)[0]
    assert "clock" in told(world, node)[0].partition(";")[2]
    other = add_linked_stranger(world, node, 5)
    tell(world, other, block(FUTURE + 30, GENESIS))
    assert len(told(world, node)) == 1, "a minute is not over"
    for stranger in (peer, other):
        stranger.send({"type": "pong", "nonce": ""})
    world.run(TELL_CLOCK_SECONDS / 2)
    for stranger in (peer, other):
        stranger.send({"type": "pong", "nonce": ""})
    world.run(TELL_CLOCK_SECONDS / 2)
    tell(world, peer, block(FUTURE + 70, GENESIS))
    assert len(told(world, node)) == 1, "that connection was already reported"
    tell(world, other, block(FUTURE + 70, GENESIS), block(FUTURE + 71, GENESIS))
    assert len(told(world, node)) == 2 and other.address in told(world, node)[1]


def test_forged_blocks_from_the_future_and_one_slot_of_clock_error_are_not_reported() -> None:
    world, node, peer = scene()
    for forged in ({"signature": "AAAA"}, {"draw": "AAAA"}, {"creator": "nobody"}):
        tell(world, peer, {**block(FUTURE, GENESIS), **forged})
        peer = add_linked_stranger(world, node, 5)
    tell(world, peer, block(5_001, GENESIS))
    assert told(world, node) == []
    assert node.tree.best.height == 1


def test_a_network_that_begins_in_the_future_is_reported_at_once() -> None:
    world = new_world(slot=-180)
    founder = add_node(world, plays=(1,))
    joiner = add_node(world, founder.address)
    world.run(30.0)
    for node in (founder, joiner):
        assert len(told(world, node)) == 1 and "begins in 180.0 seconds by this machine's clock" in told(world, node)[0]


def test_a_clock_that_goes_back_is_reported_once_with_the_time_without_blocks() -> None:
    world = new_world()
    node = add_node(world, plays=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
    world.run(5.5)
    blocks = len(world.reported(node, "block"))
    assert blocks and told(world, node) == []
    world.start_ms -= 60_000
    world.run(50.0)
    assert len(told(world, node)) == 1 and len(world.reported(node, "block")) == blocks
    assert "this machine's clock has gone back: no block is made for 60.0 seconds" in told(world, node)[0]
    world.run(20.0)
    assert len(told(world, node)) == 1 and len(world.reported(node, "block")) > blocks
    world.start_ms -= 60_000
    world.run(10.0)
    assert len(told(world, node)) == 2, "it has gone back again"
