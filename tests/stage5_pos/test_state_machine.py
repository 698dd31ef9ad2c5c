"""Stage 5 in memory: blocks made by hand, delivered in every order, to nodes whose clock the test turns."""

import random
from typing import Any

import pytest

from common.encoding import Message, decode_base64, encode_base64, encode_frame
from common.limits import MAX_WAITING
from stage4_sequencer.total_order import BLOCKS_PING
from tests.fixtures import kept_key
from tests.memory import add_linked_stranger
from tests.sizes import and_long
from tests.stage5_pos.builder import (MILLION, add_node, block, block_id, draw, new_world, next_slot, transaction,
                                      transaction_id, value, winner, wins)
from tests.stage5_pos.scenes import GENESIS, X, Y, balances, chain, is_counted, scene, tell

# --- the same tree in every order ---------------------------------------------------------------

def random_tree(generator: random.Random) -> list[Message]:
    """Transactions and valid blocks with forks, equal heights, and twins of one creator in one slot."""
    messages: list[Message] = []
    tips: dict[str, tuple[int, int]] = {GENESIS: (0, 0)}
    used: dict[str, list[str]] = {GENESIS: []}
    pool = [transaction(generator.randrange(1, 11), generator.choice([X, Y]), generator.randrange(1, 1000), nonce)
            for nonce in range(8)]
    for _ in range(12):
        parent = generator.choice(sorted(tips))
        slot = next_slot(tips[parent][0] + generator.randrange(2))
        ids = [transaction_id(one) for one in pool if transaction_id(one) not in used[parent]]
        chosen = generator.sample(ids, min(len(ids), generator.randrange(3)))
        for twin in range(generator.choice([1, 1, 2])):
            made = block(slot, parent, chosen[twin:], winner(slot, generator.choice([0, 1])))
            messages.append(made)
            tips[block_id(made)] = (slot, tips[parent][1] + 1)
            used[block_id(made)] = used[parent] + chosen[twin:]
    return messages + pool


def expected_tip(messages: list[Message]) -> str:
    """The best tip, by the words of the contract: longest chain, then smaller lottery value, then smaller id."""
    blocks = {block_id(message): message for message in messages if message["type"] == "block"}

    def height(tip: str) -> int:
        return 0 if tip == GENESIS else 1 + height(blocks[tip]["parent"])

    numbers = {kept_key(number).account: number for number in range(1, 11)}
    return min(blocks, key=lambda tip: (-height(tip), value(numbers[blocks[tip]["creator"]], blocks[tip]["slot"]), tip))


@pytest.mark.parametrize("seed", range(40))
def test_a_tree_delivered_in_any_order_gives_every_node_the_same_tip_and_ledger(seed: int) -> None:
    generator = random.Random(seed)
    messages = random_tree(generator)
    ledgers = []
    for _ in range(3):
        world, node, peer = scene(seed)
        for _ in range(4):
            # Some blocks come again: of one creator and slot only two may wait, and a third is turned away.
            generator.shuffle(messages)
            for message in messages:
                peer.send(message)
                if generator.random() < 0.5:
                    world.settle()
            world.settle()
        assert node.tree.best.id == expected_tip(messages), f"seed {seed}"
        assert not node.put_off_blocks and not is_counted(world, node), f"seed {seed}"
        ledgers.append(balances(node))
        assert sum(ledgers[-1].values()) == 10 * MILLION + 10 * node.tree.best.height, f"seed {seed}"
        on_chain = {one for link in node.tree.chain for one in link.transactions}
        in_order = [one for one in node.transactions if one not in on_chain]
        assert list(node.pool) == in_order, f"seed {seed}: none is lost, and they wait in order of arrival"
    assert ledgers[0] == ledgers[1] == ledgers[2], f"seed {seed}"


# --- what is not valid --------------------------------------------------------------------------

def test_a_quarter_of_invalid_transactions_changes_nothing() -> None:
    world, node, peer = scene()
    good = [transaction(number % 10 + 1, X, 5, number) for number in range(30)]
    bad = [transaction(1, X, 0, 100), {**transaction(2, X, 9, 101), "amount": 8},
           transaction(3, X, 7, 102, signature=encode_base64(b"\1" * 256)),
           {**transaction(4, X, 9, 103), "from": kept_key(5).account},
           transaction(5, "AAAA", 9, 104)]
    for number, message in enumerate(good):
        tell(world, peer, message)
        if number % 6 == 0:
            tell(world, peer, bad[number // 6])
    overdraft = transaction(6, X, 2 * MILLION, 105)
    tell(world, peer, overdraft, block(1, GENESIS, [transaction_id(message) for message in good]))
    assert node.tree.best.height == 1 and balances(node)[X] == 30 * 4
    assert list(node.pool) == [transaction_id(overdraft)], "an overdraft is valid by itself, and waits"
    assert len(node.transactions) == 31


def test_a_negative_amount_is_format_and_ends_the_connection() -> None:
    world, node, peer = scene()
    tell(world, peer, {**transaction(1, X, 5), "amount": -1})
    assert peer.is_closed and world.reported(node, "error")[-1]["code"] == "FORMAT" and not node.transactions


def test_a_block_with_an_invalid_transaction_is_refused_with_all_that_builds_on_it() -> None:
    world, node, peer = scene()
    first, overdraft = transaction(1, X, 999_999, 1), transaction(1, X, 2, 2)
    bad = block(1, GENESIS, [transaction_id(first), transaction_id(overdraft)])
    child = block(2, block_id(bad))
    tell(world, peer, child, first, overdraft)
    before = balances(node)
    tell(world, peer, bad)
    assert len(node.tree) == 0 and balances(node) == before and not node.put_off_blocks
    assert len(world.reported(node, "error")) == 1
    for _ in range(12):
        tell(world, peer, bad, child, block(3, block_id(child)))
    assert not peer.is_closed, "repeats of a signed block that is remembered as invalid do not count"
    assert not node.put_off_blocks, "what builds on it need not wait for it"
    assert all(block_id(one) in node.invalid_blocks for one in (bad, child, block(3, block_id(child))))
    tell(world, peer, block(1, GENESIS, [transaction_id(first)]))
    assert node.tree.best.height == 1


def test_a_block_that_names_another_blocks_id_as_a_transaction_is_refused_with_all_that_builds_on_it() -> None:
    world, node, peer = scene()
    paid = transaction(2, X, 1_000)
    named = block(1, GENESIS)
    bad = block(2, GENESIS, [transaction_id(paid), block_id(named)])
    child = block(3, block_id(bad))
    tell(world, peer, paid, bad, child)
    assert len(node.put_off_blocks) == 2 and len(node.tree) == 0
    tell(world, peer, named)
    assert not node.put_off_blocks and all(block_id(one) in node.invalid_blocks for one in (bad, child))
    assert node.tree.best.id == block_id(named) and sum(balances(node).values()) == 10 * MILLION + 10
    assert X not in balances(node) and list(node.pool) == [transaction_id(paid)], "nothing of it counts"
    tell(world, peer, block(4, block_id(named), [transaction_id(paid)]))
    assert node.tree.best.height == 2 and balances(node)[X] == 999, "an honest block may have what it had executed"


def test_a_block_that_names_a_block_of_the_tree_as_a_transaction_is_refused_at_once() -> None:
    world, node, peer = scene()
    named = chain(3)
    for slot, wrong in ((10, GENESIS), (11, block_id(named[0])), (12, block_id(named[2]))):
        bad = block(slot, block_id(named[2]), [wrong])
        tell(world, peer, *named, bad, block(20, block_id(bad)))
        assert block_id(bad) in node.invalid_blocks and not node.put_off_blocks
    assert peer.messages("want") == [] and node.tree.best.height == 3


def bad_blocks() -> dict[str, Message]:
    """Blocks that fail before they could enter the tree, each for one reason."""
    loser = next(number for number in range(1, 11) if not wins(number, 1))
    good = block(1, GENESIS)
    number = winner(1)
    size = len(decode_base64(good["signature"]))
    last = good["draw"].rstrip("=")[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(last) + 1]
    return {
        "another's signature": block(1, GENESIS, signature=block(2, GENESIS)["signature"]),
        "no signature": block(1, GENESIS, signature=""),
        "signature of zeros": block(1, GENESIS, signature=encode_base64(bytes(size))),
        "creator without stake": block(1, GENESIS, number=11, draw=draw(11, 1)),
        "draw that has not won": block(1, GENESIS, number=loser),
        "draw of another slot": block(1, GENESIS, draw=draw(number, 2)),
        "draw of another account": block(1, GENESIS, draw=draw(winner(1, 1), 1)),
        "draw in a second encoding": block(1, GENESIS, draw=good["draw"].rstrip("=")[:-1] + other + "=="),
        "draw without padding": block(1, GENESIS, draw=good["draw"].rstrip("=")),
        "slot changed": {**good, "slot": 2},
        "parent changed": {**good, "parent": "0" * 64},
        "transactions changed": {**good, "transactions": ["0" * 64]},
    }


@pytest.mark.parametrize("name", bad_blocks())
def test_a_bad_block_is_ignored_counted_and_not_remembered(name: str) -> None:
    world, node, peer = scene()
    neighbour = add_linked_stranger(world, node, 5)
    for _ in range(9):
        tell(world, peer, bad_blocks()[name])
    assert len(node.tree) == 0 and not node.put_off_blocks and not peer.is_closed
    tell(world, peer, block(1, GENESIS))
    assert len(node.tree) == 1, "the genuine block is not shut out"
    tell(world, peer, bad_blocks()[name])
    assert peer.is_closed and peer.messages("error")[-1]["code"] == "INVALID"
    assert [block_id(message) for message in neighbour.messages("block")] == [block_id(block(1, GENESIS))]


def test_slot_0_is_format() -> None:
    world, node, peer = scene()
    tell(world, peer, {**block(1, GENESIS), "slot": 0})
    assert peer.is_closed and world.reported(node, "error")[-1]["code"] == "FORMAT"


def test_a_slot_must_be_after_the_parents() -> None:
    world, node, peer = scene()
    parent = block(5, GENESIS)
    for slot in (4, 5):
        tell(world, peer, parent, block(slot, block_id(parent), number=winner(slot)))
    assert len(node.tree) == 1 and is_counted(world, node)


def test_a_block_from_the_future_is_ignored_until_its_time_has_come() -> None:
    world, node, peer = scene()
    now = node.slot()
    near, far = block(now + 1, GENESIS), block(now + 2, GENESIS)
    for _ in range(12):
        tell(world, peer, far)
    assert len(node.tree) == 0 and not is_counted(world, node) and not peer.is_closed
    tell(world, peer, near)
    assert len(node.tree) == 1, "one slot of clock error is allowed"
    world.run(seconds=1)
    tell(world, peer, far)
    assert len(node.tree) == 2


# --- waiting ------------------------------------------------------------------------------------

def test_an_unknown_parent_is_fetched_and_the_branch_follows() -> None:
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


def test_what_builds_on_an_invalid_block_is_refused_at_once_and_nothing_is_fetched_for_it() -> None:
    world, node, peer = scene()
    too_much = transaction(1, X, MILLION + 1)
    bad = block(1, GENESIS, [transaction_id(too_much)])
    child = block(2, block_id(bad), [f"{number:064x}" for number in range(1_000)])
    tell(world, peer, too_much, bad, child)
    assert block_id(child) in node.invalid_blocks and not node.put_off_blocks
    assert peer.messages("want") == [] and len(node.fetcher) == 0


def test_a_block_that_was_asked_for_and_waits_is_not_asked_for_again() -> None:
    world, node, peer = scene()
    parent = block(1, GENESIS, [transaction_id(transaction(1, X, 10))])
    tell(world, peer, block(2, block_id(parent)))
    tell(world, peer, parent)
    assert len(node.put_off_blocks) == 2
    world.run(seconds=12)
    asked = [one for message in peer.messages("want") for one in message["ids"]]
    assert asked == [block_id(parent), *parent["transactions"] * 3], "every five seconds for what it lacks"


def test_blocks_that_have_come_are_not_asked_for_whoever_lists_them_among_transactions() -> None:
    world, node, peer = scene()
    blocks = chain(3)
    tell(world, peer, *blocks)
    tell(world, peer, *({"type": "inventory", "bucket": block_id(one)[:2], "ids": [block_id(one)]} for one in blocks))
    assert peer.messages("want") == [] and len(node.fetcher) == 0


def test_of_one_creator_in_one_slot_two_blocks_wait_and_no_more() -> None:
    world, node, peer = scene()
    twins = [block(1, f"{parent:064x}", number=winner(1)) for parent in range(5)]
    tell(world, peer, *twins)
    assert list(node.put_off_blocks) == [block_id(message) for message in twins[:2]]


def test_so_many_blocks_wait_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_WAITING == 1_000
    monkeypatch.setattr("stage5_pos.put_off.MAX_WAITING", 50)
    world, node, peer = scene()
    orphans = chain(53)[1:]
    tell(world, peer, *orphans)
    assert list(node.put_off_blocks) == [block_id(message) for message in orphans[2:]]


def test_no_block_waits_for_longer_than_ten_minutes() -> None:
    world, node, peer = scene()
    tell(world, peer, block(1, "1" * 64))
    world.run(seconds=300)
    later = add_linked_stranger(world, node, 5)  # the first was silent for too long to be kept
    tell(world, later, block(2, GENESIS, ["2" * 64]))
    world.run(seconds=290)
    assert len(node.put_off_blocks) == 2
    world.run(seconds=15)
    assert list(node.put_off_blocks) == [block_id(block(2, GENESIS, ["2" * 64]))], "each has its own ten minutes"
    world.run(seconds=300)
    assert not node.put_off_blocks and len(node.fetcher) == 0


# --- forwarding and evidence --------------------------------------------------------------------

def test_two_blocks_of_a_slot_are_forwarded_more_are_served_and_it_is_reported_once() -> None:
    world, node, peer = scene()
    neighbour = add_linked_stranger(world, node, 5)
    paid = [transaction(1, X, 10, nonce) for nonce in range(4)]
    twins = [block(1, GENESIS, [transaction_id(message)], number=winner(1)) for message in paid]
    tell(world, peer, *paid, *twins)
    assert [block_id(message) for message in neighbour.messages("block")] == [block_id(one) for one in twins[:2]]
    assert world.reported(node, "equivocation") == [
        {"creator": twins[0]["creator"], "slot": 1, "ids": [block_id(one) for one in twins[:2]]}]
    assert len(node.tree) == 4 and node.tree.best.id == min(map(block_id, twins))
    tell(world, neighbour, {"type": "want", "ids": [block_id(twins[3])]})
    assert neighbour.messages("block")[-1] == twins[3]


# --- rollback -----------------------------------------------------------------------------------

def test_a_rollback_undoes_the_branch_and_its_transactions_wait_again_in_order_of_arrival() -> None:
    world, node, peer = scene()
    node.stakes = {1: kept_key(1)}
    node.on_line(f"/send {X} 100 --from 1")
    made_here = world.reported(node, "sent")[0]["id"]
    others = [transaction(2, Y, 50, nonce) for nonce in range(3)]
    tell(world, peer, *others)
    by_value = sorted((value(number, slot), number, slot) for slot in (1, 2) for number in range(1, 11)
                      if wins(number, slot))
    (_, best, first), (_, worst, second) = by_value[0], next(row for row in reversed(by_value)
                                                             if row[2] != by_value[0][2])
    short = block(first, GENESIS, [transaction_id(others[2]), made_here], best)
    tell(world, peer, short)
    assert balances(node)[X] == 99 and list(node.pool) == [transaction_id(one) for one in others[:2]]
    long = [block(second, GENESIS, [transaction_id(others[1])], worst)]
    long.append(block(3, block_id(long[0])))
    tell(world, peer, *long)
    assert X not in balances(node) and balances(node)[Y] == 49
    assert list(node.pool) == [made_here, transaction_id(others[0]), transaction_id(others[2])]
    assert world.reported(node, "rollback") == [{"depth": 1, "from": block_id(short), "to": block_id(long[-1])}]
    tell(world, peer, block(4, block_id(long[-1]), list(node.pool)))
    assert [event["state"] for event in world.reported(node, "transaction")] == ["pending", "applied", "pending", "applied"]
    assert not node.pool and balances(node)[X] == 99 and balances(node)[Y] == 3 * 49
    status = world.ask(node, "/status", "status")
    assert (status["rollbacks"], status["longest_rollback"], status["blocks"], status["height"]) == (1, 1, 4, 3)


def test_of_two_payments_of_the_same_money_exactly_one_is_executed_after_a_partition() -> None:
    world = new_world()
    makers = [add_node(world, plays=(1, 2, 3, 4, 5))]
    world.run(seconds=0.5)
    makers.append(add_node(world, makers[0].address, plays=(6, 7, 8, 9)))
    world.run(seconds=0.5)
    world.part({makers[0].address})
    for node, receiver, nonce in zip(makers, (X, Y), (1, 2), strict=True):
        message = transaction(10, receiver, MILLION, nonce)
        node.on_transaction(None, message, encode_frame(message))
        assert transaction_id(message) in node.pool
    world.run(seconds=5)
    assert balances(makers[0])[X] == balances(makers[1])[Y] == MILLION - 1
    world.heal()
    world.run(seconds=60)
    for node in makers:
        node.stakes.clear()
    world.run(seconds=20)
    ledgers = [balances(node) for node in makers]
    assert ledgers[0] == ledgers[1] and makers[0].tree.best.id == makers[1].tree.best.id
    assert sorted([ledgers[0].get(X, 0), ledgers[0].get(Y, 0)]) == [0, MILLION - 1]
    assert sum(ledgers[0].values()) == 10 * MILLION + 10 * makers[0].tree.best.height
    assert max(node.longest_rollback for node in makers) >= 1


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
    assert not late.put_off_blocks


def test_who_catches_up_asks_for_no_more_than_may_wait_and_goes_on_later() -> None:
    world, node, peer = scene()
    blocks = chain(1_003)
    ids = [GENESIS, *map(block_id, blocks)]

    def answer(after: int) -> None:
        tell(world, peer, *blocks[after:after + 500], {"type": "pong", "nonce": BLOCKS_PING})

    tell(world, peer, {"type": "tip", "id": ids[-1], "height": 1_003})
    answer(1)  # the first block is missing, so the others wait
    answer(501)
    assert len(node.put_off_blocks) == 1_000 and len(peer.messages("get_chain")) == 2
    world.run(seconds=11)
    assert len(node.put_off_blocks) == 1_000 and len(peer.messages("get_chain")) == 2, "there is no room"
    tell(world, peer, blocks[0])
    assert node.tree.best.height == 1_001
    world.run(seconds=6)
    for asked in range(3, 7):
        if node.tree.best.height < 1_003:
            assert len(peer.messages("get_chain")) == asked
            answer(ids.index(peer.messages("get_chain")[-1]["locator"][0]))
    assert node.tree.best.height == 1_003 and not node.put_off_blocks


@pytest.mark.parametrize("known", [0, 500])
def test_a_fork_deeper_than_one_answer_is_followed_to_its_tip(known: int) -> None:
    world, node, peer = scene()
    other = add_node(world)
    other_peer = add_linked_stranger(world, other, 5)
    deep = chain(511, first_slot=480)
    tell(world, other_peer, *deep)
    tell(world, peer, *chain(510), *deep[:known])  # known, say, from before a connection was lost
    assert (node.tree.best.height, other.tree.best.height) == (510, 511)
    node.network.connect(other.address)
    world.run(seconds=30)
    assert node.tree.best.id == other.tree.best.id and node.longest_rollback == 510
    assert sum(balances(node).values()) == 10 * MILLION + 10 * 511


def test_who_is_ahead_answers_a_tip_with_its_own_and_who_is_behind_asks() -> None:
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


def test_the_next_question_begins_behind_the_answer_and_not_behind_a_newer_block_flooded_meanwhile() -> None:
    world, _node, peer = scene()
    blocks = chain(6)
    tell(world, peer, {"type": "tip", "id": block_id(blocks[4]), "height": 5})
    tell(world, peer, *blocks[:2], blocks[5], {"type": "pong", "nonce": BLOCKS_PING})
    assert peer.messages("get_chain")[1]["locator"] == [*map(block_id, blocks[1::-1]), GENESIS]


def test_after_an_answer_for_whose_last_block_there_was_no_room_it_asks_on_at_once(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage5_pos.put_off.MAX_WAITING", 2)
    world, node, peer = scene()
    paid = transaction(1, X, 10)
    blocks = [block(1, GENESIS, [transaction_id(paid)])]
    blocks += chain(3, block_id(blocks[0]), first_slot=2)
    tell(world, peer, {"type": "tip", "id": block_id(blocks[3]), "height": 4}, *blocks[:3])
    assert list(node.put_off_blocks) == [block_id(message) for message in blocks[:2]]
    tell(world, peer, paid, {"type": "pong", "nonce": BLOCKS_PING})
    assert len(peer.messages("get_chain")) == 2
    assert peer.messages("get_chain")[1]["locator"] == [*map(block_id, blocks[1::-1]), GENESIS]
    tell(world, peer, *blocks[2:], {"type": "pong", "nonce": BLOCKS_PING})
    assert node.tree.best.height == 4 and not node.chain_questions


@pytest.mark.parametrize("behind_ms, at_first", [(10_000, 2), (20_000, 0)], ids=["not for all", "for none"])
def test_whose_clock_is_behind_does_not_ask_without_pause_and_gets_the_chain_when_it_is_time(
        behind_ms: int, at_first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.simulation.MAX_STEPS", 2_000)
    world, node, peer = scene()
    tell(world, peer, *chain(3, first_slot=4_990))
    late = add_node(world, node.address)
    clock = world.networks[late.address]
    clock.unix_ms = lambda: world.start_ms + round(world.now * 1_000) - behind_ms  # type: ignore[method-assign]
    world.run(seconds=0.9)
    assert late.tree.best.height == at_first and not late.chain_questions, "it asks again when it hears of it again"
    world.run(seconds=behind_ms / 1_000)
    assert late.tree.best.id == node.tree.best.id


def test_one_block_that_waits_does_not_keep_a_node_from_catching_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage5_pos.put_off.MAX_WAITING_IDS", 5)
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
    assert late.tree.best.id == node.tree.best.id and len(late.put_off_blocks) == 1


def test_a_question_ends_with_its_connection() -> None:
    world, node, peer = scene()
    tell(world, peer, {"type": "tip", "id": "1" * 64, "height": 5})
    assert len(node.chain_questions) == 1
    peer.connection.close()
    world.settle()
    assert not node.chain_questions


def test_get_chain_is_answered_behind_the_first_id_that_is_on_the_best_chain() -> None:
    world, _node, peer = scene()
    blocks = chain(4)
    tell(world, peer, *blocks, {"type": "get_chain", "locator": ["0" * 64, block_id(blocks[1]), GENESIS]})
    assert [block_id(message) for message in peer.messages("block")] == [block_id(one) for one in blocks[2:]]


# --- the lottery and the user -------------------------------------------------------------------

def test_two_winners_of_a_slot_on_one_node_make_one_block_with_the_smaller_value() -> None:
    world = new_world()
    node = add_node(world, plays=tuple(range(1, 11)))
    world.run(seconds=8)
    made = world.reported(node, "block")
    assert len(made) >= 6 and len({event["slot"] for event in made}) == len(made) and node.rollbacks == 0
    numbers = {kept_key(number).account: number for number in range(1, 11)}
    for event in made:
        best = min((value(number, event["slot"]), number) for number in range(1, 11) if wins(number, event["slot"]))
        assert numbers[event["creator"]] == best[1]


@pytest.mark.parametrize("rival, made", [("better", 0), ("worse", 1), ("itself", 0)])
def test_a_winner_makes_a_block_only_if_it_ranks_above_what_is_made_of_the_slot_already(rival: str, made: int) -> None:
    slot = next(slot for slot in range(5_001, 5_099) if sum(wins(number, slot) for number in range(1, 11)) >= 2)
    best, *_, worst = sorted(filter(lambda number: wins(number, slot), range(1, 11)),
                             key=lambda number: value(number, slot))
    mine, other = {"better": (worst, best), "worse": (best, worst), "itself": (best, best)}[rival]
    world = new_world(slot=slot - 1)
    node = add_node(world, plays=(mine,))
    peer = add_linked_stranger(world, node, 5)
    paid = transaction(10, X, 5)
    tell(world, peer, paid, block(slot, GENESIS, [transaction_id(paid)], other))
    world.run(seconds=1.5)
    assert len(node.tree) == 1 + made and node.tree.best.creator == kept_key(best).account
    assert not world.reported(node, "equivocation"), "an account that two nodes play need not sign twice"


def test_one_block_that_cannot_be_made_does_not_end_the_making_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world()
    node = add_node(world, plays=tuple(range(1, 11)))

    def fail(*ticket: Any) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as for_once, pytest.raises(RuntimeError, match="a defect"):
        for_once.setattr(node, "make_block", fail)
        world.run(seconds=5)
    assert len(node.tree) == 0
    world.run(seconds=5)
    assert len(node.tree) >= 3


def test_a_maker_takes_what_is_valid_at_its_point_and_leaves_the_rest_in_the_pool() -> None:
    world = new_world()
    node = add_node(world, plays=tuple(range(1, 11)))
    peer = add_linked_stranger(world, node, 5)
    too_much, early = transaction(1, X, 3 * MILLION, 1), transaction(11, Y, 500, 2)
    tell(world, peer, too_much, early, transaction(2, X, 501, 3))
    world.run(seconds=5)
    assert list(node.pool) == [transaction_id(too_much)], "money that came in the same block can be spent later"
    assert balances(node)[Y] == 499 and balances(node)[X] == 0


@pytest.mark.parametrize("line, code", [
    (f"/send {X} 1000001 --from 1", "FUNDS"), (f"/send {X} 1", "FUNDS"), (f"/send {X} 0 --from 1", "COMMAND"),
    (f"/send {X} 5 --from 2", "ACCOUNT"), (f"/send {X} 5 --from x", "ACCOUNT"), (f"/send {X} 5 --from", "COMMAND"),
    ("/send zzzz 5 --from 1", "ACCOUNT"), (f"/send {X} -5 --from 1", "COMMAND"), ("/tree 1", "COMMAND")])
def test_a_command_that_cannot_be_carried_out_changes_nothing(line: str, code: str) -> None:
    world, node, _ = scene()
    node.stakes = {1: kept_key(1)}
    node.on_line(line)
    assert [event["code"] for event in world.reported(node, "error")] == [code] and not node.transactions


def test_what_is_pending_counts_against_the_funds() -> None:
    world, node, _ = scene()
    node.stakes = {1: kept_key(1)}
    node.on_line(f"/send {X} 600000 --from 1")
    node.on_line(f"/send {X} 600000 --from 1")
    assert [event["code"] for event in world.reported(node, "error")] == ["FUNDS"] and len(node.pool) == 1


def test_the_events_of_blocks_tree_and_status() -> None:
    world, node, peer = scene()
    blocks = chain(2)
    side = block(3, GENESIS)
    tell(world, peer, *blocks, side)

    def described(message: Message, height: int) -> dict[str, Any]:
        return {"id": block_id(message), "transactions": 0, "creator": message["creator"], "slot": message["slot"],
                "height": height, "parent": message["parent"]}

    rows = [described(blocks[0], 1), described(blocks[1], 2), described(side, 1)]
    assert world.reported(node, "block") == rows
    assert world.ask(node, "/blocks", "blocks") == {"blocks": rows[:2]}
    assert world.ask(node, "/tree", "tree") == {"blocks": rows}
    assert world.ask(node, "/status", "status") == {
        "peers": 1, "slot": node.slot(), "height": 2, "tip": block_id(blocks[1]), "blocks": 3, "waiting": 0, "pool": 0,
        "rollbacks": 0, "longest_rollback": 0}


# --- many nodes, whatever happens ---------------------------------------------------------------

@pytest.mark.parametrize("seed", and_long(range(10), range(10, 50)))
def test_makers_that_are_cut_parted_and_late_end_up_with_one_chain(seed: int) -> None:
    world = new_world(seed)
    nodes = [add_node(world, plays=(1, 2))]
    world.run(seconds=0.4)
    for number in range(world.random.randrange(2, 5)):
        nodes.append(add_node(world, world.random.choice(nodes).address, plays=(2 * number + 3, 2 * number + 4)))
        world.run(seconds=0.4)
    for step in range(12):
        node = world.random.choice(nodes)
        node.on_line(f"/send {X} {world.random.randrange(1, 400_000)} --from {next(iter(node.stakes))}")
        world.run(seconds=world.random.random())
        if world.random.random() < 0.3 and world.open_connections():
            world.cut(world.random.choice(world.open_connections()))
        if step == 4:
            world.part({node.address for node in nodes if world.random.random() < 0.5})
    world.heal()
    nodes.append(add_node(world, nodes[0].address))
    world.run(seconds=15)
    for node in nodes:
        node.stakes.clear()
    world.run(seconds=60)
    ledgers = [balances(node) for node in nodes]
    tips = {node.tree.best.id for node in nodes}
    assert len(tips) == 1 and all(ledger == ledgers[0] for ledger in ledgers), f"seed {seed}: {tips}"
    assert sum(ledgers[0].values()) == 10 * MILLION + 10 * nodes[0].tree.best.height, f"seed {seed}"
    assert len({tuple(sorted(node.pool)) for node in nodes}) == 1, f"seed {seed}"
    assert not any(node.put_off_blocks or node.chain_questions for node in nodes), f"seed {seed}"
