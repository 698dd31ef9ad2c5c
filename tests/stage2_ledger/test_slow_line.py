"""A node that joins on a slow line, in memory: it gets everything exactly once."""

import pytest

from stage2_ledger.node import LedgerNode
from tests.sizes import and_long
from tests.slow_line import SlowWorld
from tests.stage2_ledger.scenes import add_linked_peer, ledger_of, transaction

BYTES_OF_AN_ID = 67
"""What an id takes in a list of ids, with quotes and comma. Each id must be sent once."""


@pytest.mark.parametrize("count, bytes_per_second", and_long([(300, 20_000), (8_000, 20_000)], [(30_000, 20_000)]))
def test_on_a_slow_line_everything_comes_once(count: int, bytes_per_second: int) -> None:
    """At 20 kB/s a thousand transactions of 106 bytes take five seconds; those of stage 3 take six at 200 KiB/s."""
    world = SlowWorld()
    node = world.add(LedgerNode)
    world.run(1.0)
    source = add_linked_peer(world, node)
    messages = [transaction() for _ in range(count)]
    source.send(*messages)
    world.settle()
    world.kill(source)
    late = world.add(LedgerNode, node.address)
    world.rates[late.address] = bytes_per_second
    needed = sum(len(frame) + BYTES_OF_AN_ID for frame in node.frames.values())
    world.run(1.2 * needed / bytes_per_second + 10.0)
    assert ledger_of(world, late) == ledger_of(world, node)
    assert world.received[late.address] <= 1.2 * needed + 20_000
    assert len(node.links) == len(late.links) == 1
