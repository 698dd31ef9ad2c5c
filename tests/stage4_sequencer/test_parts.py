"""The parts of a node of stage 4, without a node: what they send, and what they wait for."""

import gc
import weakref
from itertools import islice

from common.fetch_limits import WANT_AGAIN
from common.interface import Connection
from lab.simulation import MemoryNetwork, World
from stage4_sequencer.block import Block
from stage4_sequencer.catching_up import BLOCKS_PING, HeightSync
from stage4_sequencer.order import ORDER_PING, Comparison, Order
from stage4_sequencer.waiting import Waiting, WaitingBlocks
from tests.memory import FakeFetcher, LastingConnection


def order_of(*ids: str) -> Order:
    """The order of blocks with these ids."""
    order = Order()
    for one in ids:
        order.add(one)
    return order


# --- catching up --------------------------------------------------------------------------------

def test_a_node_that_is_behind_asks_again_after_each_answer() -> None:
    blocks: list[Block] = []
    sync, peer = HeightSync(blocks, Waiting(), lambda: 0.0, lambda connection: 1), LastingConnection()
    sync.on_height(peer, {"type": "height", "number": 2}, b"")
    assert peer.news() == [{"type": "get_blocks", "from": 0}, {"type": "ping", "nonce": BLOCKS_PING}]
    blocks.append(Block("a", 0, [], b""))
    sync.on_pong(peer, "want")
    assert peer.news() == []
    sync.on_pong(peer, BLOCKS_PING)
    assert peer.news()[0] == {"type": "get_blocks", "from": 1}
    blocks.append(Block("b", 1, [], b""))
    sync.on_pong(peer, BLOCKS_PING)
    assert peer.news() == []
    sync.on_height(peer, {"type": "height", "number": 1}, b"")
    assert peer.news() == [{"type": "height", "number": 2}], "now the neighbour is behind"


# --- two orders ---------------------------------------------------------------------------------

def test_two_different_orders_are_compared_until_the_first_block_that_differs_is_asked_for() -> None:
    same, other, third = ("0" * 64, "1" * 64, "2" * 64)
    comparison, peer = Comparison(order_of(same, other, same), lambda number: True), LastingConnection()
    theirs = order_of(same, third, same)
    comparison.tell(peer)
    assert peer.news()[0]["type"] == "order"
    comparison.on_order(peer, {"type": "order", "digests": theirs.digests([3])}, b"")
    asked, ping = peer.news()
    assert asked["type"] == "get_order" and ping == {"type": "ping", "nonce": ORDER_PING}
    comparison.on_order(peer, {"type": "order", "digests": theirs.digests(asked["numbers"])}, b"")
    assert peer.news() == [], "not before the pong"
    comparison.on_pong(peer, ORDER_PING)
    assert peer.news()[0] == {"type": "get_blocks", "from": 1}
    comparison.on_get_order(peer, {"type": "get_order", "numbers": [1, 9]}, b"")
    assert list(peer.news()[0]["digests"]) == ["1"]


# --- postponed blocks ---------------------------------------------------------------------------

def test_the_sender_of_a_block_is_asked_for_what_it_lacks_and_later_anybody() -> None:
    world, fetcher = World(1), FakeFetcher()
    complete: list[str] = []
    sender, other = LastingConnection(remote="the sender"), LastingConnection(remote="another")
    links: list[Connection] = [sender]
    waiting = WaitingBlocks(MemoryNetwork(world, "here"), links, fetcher, complete.extend)
    waiting.wait_for("block", ["a", "b", "c", "d"], sender)
    assert fetcher.needed == [(sender, ["a", "b", "c"])], "as much as there is room for"
    for arrived in ("a", "b", "d"):
        waiting.on_arrived(arrived)
    links[:] = [other]
    waiting.on_lost(sender)
    waiting.ask_again()
    assert len(fetcher.needed) == 1, "not yet"
    world.now = WANT_AGAIN
    waiting.ask_again()
    assert fetcher.needed[1:] == [(other, ["c"])]
    assert complete == [] and "block" in waiting and list(waiting.needed_by("c")) == ["block"]
    waiting.on_arrived("c")
    assert complete == ["block"] and "block" not in waiting


def test_the_sender_of_a_block_is_asked_next_from_where_the_last_question_ended() -> None:
    waiting, sender = Waiting(), LastingConnection()
    waiting.add("block", ["1", "2", "3", "4", "5"], 0.0)
    waiting.on_sent("block", sender)
    assert [list(islice(waiting.to_ask(sender), 2)) for _ in range(3)] == [["1", "2"], ["3", "4"], ["5"]]


def test_a_block_that_is_given_up_leaves_memory_at_once() -> None:
    """Not only when the garbage collector looks for cycles: a block may lack fifty thousand ids."""
    class Id(str):
        """A string that can be watched."""

    waiting, sender = Waiting(), LastingConnection()
    ids = [Id("one"), Id("two")]
    watched = weakref.ref(ids[1])
    gc.disable()
    try:
        waiting.add("block", ids, 0.0)
        waiting.on_sent("block", sender)
        assert list(islice(waiting.to_ask(sender), 1)) == ["one"]
        waiting.discard("block")
        ids.clear()
        assert watched() is None
    finally:
        gc.enable()
