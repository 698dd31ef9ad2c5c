"""What a node of stage 5 lacks, in memory: postponed blocks, and catching up."""

import pytest

from common.encoding import Message
from stage4_sequencer.catching_up import BLOCKS_PING
from stage4_sequencer.limits import MAX_WAITING
from tests.memory import add_linked_stranger
from tests.stage5_pos.builder import MILLION, add_node, block, block_id, next_slot, transaction, transaction_id
from tests.stage5_pos.scenes import GENESIS, X, asked_by, balances, chain, scene, tell

# --- waiting ------------------------------------------------------------------------------------

def test_an_unknown_parent_is_fetched_and_then_the_branch_enters() -> None:
    world, node, peer = scene()
    blocks = chain(5)
    for message in reversed(blocks):
        tell(world, peer, message)
    assert [message["ids"] for message in peer.messages("want")] == [[block_id(one)] for one in blocks[3::-1]]
    assert node.tree.best.id == block_id(blocks[-1])


def test_missing_transactions_are_fetched_and_the_block_enters_when_they_come() -> None:
    world, node, peer = scene()
    paid = [transaction(1, X, 10, nonce) for nonce in range(3)]
    made = block(1, GENESIS, [transaction_id(message) for message in paid])
    tell(world, peer, paid[1], made)
    assert peer.messages("want")[-1]["ids"] == [transaction_id(paid[0]), transaction_id(paid[2])]
    assert len(node.tree) == 0
    world.run(seconds=6)
    assert len(peer.messages("want")) == 2, "asked again after 5 seconds"
    tell(world, peer, paid[0])
    assert len(node.tree) == 0
    tell(world, peer, paid[2])
    assert node.tree.best.id == block_id(made) and balances(node)[X] == 27


def test_a_block_on_an_invalid_one_is_refused_at_once_and_nothing_is_fetched_for_it() -> None:
    world, node, peer = scene()
    too_much = transaction(1, X, MILLION + 1)
    bad = block(1, GENESIS, [transaction_id(too_much)])
    child = block(2, block_id(bad), [f"{number:064x}" for number in range(1_000)])
    tell(world, peer, too_much, bad, child)
    assert block_id(child) in node.waiting_blocks.invalid and not node.waiting_blocks.blocks
    assert peer.messages("want") == [] and len(node.fetcher) == 0


def test_a_postponed_block_that_was_asked_for_is_not_asked_for_again() -> None:
    world, node, peer = scene()
    parent = block(1, GENESIS, [transaction_id(transaction(1, X, 10))])
    tell(world, peer, block(2, block_id(parent)))
    tell(world, peer, parent)
    assert len(node.waiting_blocks.blocks) == 2
    world.run(seconds=12)
    asked = [one for message in peer.messages("want") for one in message["ids"]]
    assert asked == [block_id(parent), *parent["transactions"] * 3], "every five seconds for what it lacks"


def test_blocks_that_have_come_are_not_asked_for_even_if_a_peer_lists_them_as_transactions() -> None:
    world, node, peer = scene()
    blocks = chain(3)
    tell(world, peer, *blocks)
    tell(world, peer, *({"type": "inventory", "bucket": block_id(one)[:2], "ids": [block_id(one)]} for one in blocks))
    assert peer.messages("want") == [] and len(node.fetcher) == 0


def test_only_so_many_blocks_are_postponed_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_WAITING == 1_000
    monkeypatch.setattr("stage5_pos.postponed.MAX_WAITING", 50)
    world, node, peer = scene()
    orphans = chain(53)[1:]
    tell(world, peer, *orphans)
    assert list(node.waiting_blocks.blocks) == [block_id(message) for message in orphans[2:]]


def test_no_block_waits_for_longer_than_ten_minutes() -> None:
    world, node, peer = scene()
    tell(world, peer, block(1, "1" * 64))
    world.run(seconds=300)
    later = add_linked_stranger(world, node, 5)  # the first one was closed, since it was silent for too long
    tell(world, later, block(2, GENESIS, ["2" * 64]))
    world.run(seconds=290)
    assert len(node.waiting_blocks.blocks) == 2
    world.run(seconds=15)
    assert list(node.waiting_blocks.blocks) == [block_id(block(2, GENESIS, ["2" * 64]))], "each has its own ten minutes"
    world.run(seconds=300)
    assert not node.waiting_blocks.blocks and len(node.fetcher) == 0


# --- catching up --------------------------------------------------------------------------------

def test_a_late_joiner_fetches_more_blocks_than_may_wait_and_their_transactions() -> None:
    world, node, peer = scene()
    blocks = chain(1_003)
    paid = [transaction(1, X, 10, nonce) for nonce in range(5)]
    last = next_slot(blocks[-1]["slot"])
    blocks.append(block(last, block_id(blocks[-1]), [transaction_id(message) for message in paid]))
    tell(world, peer, *paid, *blocks)
    assert node.tree.best.height == 1_004
    late = add_node(world, node.address)
    world.run(seconds=30)
    assert late.tree.best.id == node.tree.best.id and balances(late) == balances(node)
    assert not late.waiting_blocks.blocks


def test_a_node_that_catches_up_asks_for_no_more_than_may_wait_and_goes_on_later() -> None:
    world, node, peer = scene()
    blocks = chain(1_003)
    ids = [GENESIS, *map(block_id, blocks)]

    def answer(after: int) -> None:
        tell(world, peer, *blocks[after:after + 500], {"type": "pong", "nonce": BLOCKS_PING})

    tell(world, peer, {"type": "tip", "id": ids[-1], "height": 1_003})
    answer(1)  # the first block is missing, so the others wait
    answer(501)
    assert len(node.waiting_blocks.blocks) == 1_000 and len(peer.messages("get_chain")) == 2
    world.run(seconds=11)
    assert len(node.waiting_blocks.blocks) == 1_000 and len(peer.messages("get_chain")) == 2, "there is no room"
    tell(world, peer, blocks[0])
    assert node.tree.best.height == 1_001
    world.run(seconds=6)
    for asked in range(3, 7):
        if node.tree.best.height < 1_003:
            assert len(peer.messages("get_chain")) == asked
            answer(ids.index(peer.messages("get_chain")[-1]["locator"][0]))
    assert node.tree.best.height == 1_003 and not node.waiting_blocks.blocks


@pytest.mark.parametrize("known", [0, 500])
def test_a_fork_deeper_than_one_answer_is_followed_to_its_tip(known: int) -> None:
    world, node, peer = scene()
    other = add_node(world)
    other_peer = add_linked_stranger(world, other, 5)
    deep = chain(511, first_slot=480)
    tell(world, other_peer, *deep)
    tell(world, peer, *chain(510), *deep[:known])  # known, for example from before a connection was lost
    assert (node.tree.best.height, other.tree.best.height) == (510, 511)
    node.network.connect(other.address)
    world.run(seconds=30)
    assert node.tree.best.id == other.tree.best.id and node.chain.longest_rollback == 510
    assert sum(balances(node).values()) == 10 * MILLION + 10 * 511


def test_a_node_that_is_ahead_answers_a_tip_with_its_own_and_one_that_is_behind_asks() -> None:
    world, _node, peer = scene()
    blocks = chain(3)
    tell(world, peer, *blocks)
    peer.received.clear()
    tell(world, peer, {"type": "tip", "id": "0" * 64, "height": 2})
    assert peer.received == [{"type": "tip", "id": block_id(blocks[-1]), "height": 3}]
    peer.received.clear()
    tell(world, peer, {"type": "tip", "id": block_id(blocks[-1]), "height": 3})
    assert peer.received == []
    tell(world, peer, {"type": "tip", "id": "1" * 64, "height": 3})
    assert peer.received[0] == {"type": "get_chain", "locator": [*map(block_id, reversed(blocks)), GENESIS]}
    tell(world, peer, {"type": "pong", "nonce": peer.received[1]["nonce"]})
    assert len(peer.received) == 2, "an answer without blocks ends the asking"


def test_the_next_question_begins_after_the_answer_and_not_after_a_newer_block_flooded_meanwhile() -> None:
    world, _node, peer = scene()
    blocks = chain(6)
    tell(world, peer, {"type": "tip", "id": block_id(blocks[4]), "height": 5})
    tell(world, peer, *blocks[:2], blocks[5], {"type": "pong", "nonce": BLOCKS_PING})
    assert peer.messages("get_chain")[1]["locator"] == [*map(block_id, blocks[1::-1]), GENESIS]


def test_a_node_asks_again_at_once_after_an_answer_whose_last_block_had_no_room(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage5_pos.postponed.MAX_WAITING", 2)
    world, node, peer = scene()
    paid = transaction(1, X, 10)
    blocks = [block(1, GENESIS, [transaction_id(paid)])]
    blocks += chain(3, block_id(blocks[0]), first_slot=2)
    tell(world, peer, {"type": "tip", "id": block_id(blocks[3]), "height": 4}, *blocks[:3])
    assert list(node.waiting_blocks.blocks) == [block_id(message) for message in blocks[:2]]
    tell(world, peer, paid, {"type": "pong", "nonce": BLOCKS_PING})
    assert len(peer.messages("get_chain")) == 2
    assert peer.messages("get_chain")[1]["locator"] == [*map(block_id, blocks[1::-1]), GENESIS]
    tell(world, peer, *blocks[2:], {"type": "pong", "nonce": BLOCKS_PING})
    assert node.tree.best.height == 4 and not asked_by(node)


@pytest.mark.parametrize("behind_ms, at_first", [(10_000, 2), (20_000, 0)], ids=["not for all", "for none"])
def test_a_node_whose_clock_is_slow_does_not_ask_without_pause_and_gets_the_chain_when_it_is_time(
        behind_ms: int, at_first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.simulation.MAX_STEPS", 2_000)
    world, node, peer = scene()
    tell(world, peer, *chain(3, first_slot=4_990))
    late = add_node(world, node.address)
    clock = world.networks[late.address]
    clock.unix_ms = lambda: world.start_ms + round(world.now * 1_000) - behind_ms  # type: ignore[method-assign]
    world.run(seconds=0.9)
    assert late.tree.best.height == at_first and not asked_by(late), "it asks again only when it hears of the chain again"
    world.run(seconds=behind_ms / 1_000)
    assert late.tree.best.id == node.tree.best.id


def test_one_postponed_block_does_not_keep_a_node_from_catching_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage5_pos.postponed.MAX_WAITING_BYTES", 5_000)
    world, node, peer = scene()
    paid = [transaction(1, X, 2, nonce) for nonce in range(40)]
    blocks: list[Message] = []
    for number in range(20):
        ids = [transaction_id(message) for message in paid[2 * number:2 * number + 2]]
        blocks.append(block(next_slot(100 + number), block_id(blocks[-1]) if blocks else GENESIS, ids))
    tell(world, peer, *paid, *blocks)
    late = add_node(world, node.address)
    tell(world, add_linked_stranger(world, late, 5), block(1, "1" * 64))
    world.run(seconds=12)
    assert late.tree.best.id == node.tree.best.id


def test_a_question_ends_with_its_connection() -> None:
    world, node, peer = scene()
    tell(world, peer, {"type": "tip", "id": "1" * 64, "height": 5})
    assert len(asked_by(node)) == 1
    peer.connection.close()
    world.settle()
    assert not asked_by(node)


def test_get_chain_is_answered_from_after_the_first_id_that_is_on_the_best_chain() -> None:
    world, _node, peer = scene()
    blocks = chain(4)
    tell(world, peer, *blocks, {"type": "get_chain", "locator": ["0" * 64, block_id(blocks[1]), GENESIS]})
    assert [block_id(message) for message in peer.messages("block")] == [block_id(one) for one in blocks[2:]]
