"""Stage 5 in memory: one tree in every order, rollback, who makes a block, and what the user sees."""

import random
from typing import Any

import pytest

from common.encoding import Message, encode_frame
from stage5_pos.limits import MAX_TWINS
from tests.fixtures import kept_key
from tests.memory import add_linked_stranger
from tests.sizes import and_long
from tests.stage5_pos.builder import (MILLION, add_node, block, block_id, new_world, next_slot, transaction,
                                      transaction_id, value, winner, wins)
from tests.stage5_pos.scenes import GENESIS, X, Y, asked_by, balances, chain, is_counted, scene, tell

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
            if sum((one["creator"], one["slot"]) == (made["creator"], slot) for one in messages) == MAX_TWINS:
                continue  # whether a third one enters depends on whether others have built on it by then
            messages.append(made)
            tips[block_id(made)] = (slot, tips[parent][1] + 1)
            used[block_id(made)] = used[parent] + chosen[twin:]
    return messages + pool


def expected_tip(messages: list[Message]) -> str:
    """The best tip, as the contract says: longest chain, then smaller lottery value, then smaller id."""
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
            generator.shuffle(messages)
            for message in messages:
                peer.send(message)
                if generator.random() < 0.5:
                    world.settle()
            world.settle()
        assert node.tree.best.id == expected_tip(messages), f"seed {seed}"
        assert not node.waiting_blocks.blocks and not is_counted(world, node), f"seed {seed}"
        ledgers.append(balances(node))
        assert sum(ledgers[-1].values()) == 10 * MILLION + 10 * node.tree.best.height, f"seed {seed}"
        on_chain = {one for link in node.tree.chain for one in link.transactions}
        in_order = [one for one in node.transactions if one not in on_chain]
        assert list(node.pool) == in_order, f"seed {seed}: no transaction is lost, and they wait in order of arrival"
    assert ledgers[0] == ledgers[1] == ledgers[2], f"seed {seed}"


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


def test_after_a_partition_exactly_one_of_two_payments_of_the_same_money_is_executed() -> None:
    world = new_world()
    makers = [add_node(world, plays=(1, 2, 3, 4, 5))]
    world.run(seconds=0.5)
    makers.append(add_node(world, makers[0].address, plays=(6, 7, 8, 9)))
    world.run(seconds=0.5)
    world.partition({makers[0].address})
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
    assert max(node.chain.longest_rollback for node in makers) >= 1


# --- the lottery and the user -------------------------------------------------------------------

def test_two_winners_of_a_slot_on_one_node_make_one_block_with_the_smaller_value() -> None:
    world = new_world()
    node = add_node(world, plays=tuple(range(1, 11)))
    world.run(seconds=8)
    made = world.reported(node, "block")
    assert len(made) >= 6 and len({event["slot"] for event in made}) == len(made) and node.chain.rollbacks == 0
    numbers = {kept_key(number).account: number for number in range(1, 11)}
    for event in made:
        best = min((value(number, event["slot"]), number) for number in range(1, 11) if wins(number, event["slot"]))
        assert numbers[event["creator"]] == best[1]


@pytest.mark.parametrize("rival, made", [("better", 0), ("worse", 1), ("itself", 0)])
def test_a_winner_makes_a_block_only_if_it_ranks_above_the_slots_other_blocks(rival: str, made: int) -> None:
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
    assert not world.reported(node, "equivocation"), "an account that two nodes play does not sign twice"


def test_after_a_block_that_cannot_be_made_a_node_makes_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world()
    node = add_node(world, plays=tuple(range(1, 11)))

    def fail(*ticket: Any) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as for_once, pytest.raises(RuntimeError, match="a defect"):
        for_once.setattr(node.maker, "make_block", fail)
        world.run(seconds=5)
    assert len(node.tree) == 0
    world.run(seconds=5)
    assert len(node.tree) >= 3


def test_a_maker_takes_transactions_that_are_valid_at_their_point_and_leaves_the_rest_in_the_pool() -> None:
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


@pytest.mark.parametrize("played, advice", [
    ((), "; --from N needs a genesis account that is played here (see --forge), and none is"),
    ((2,), "; genesis accounts that are played here and have it: 2; add --from 2"),
    ((2, 3, 5), "; genesis accounts that are played here and have it: 2, 3, 5; add --from 2")])
def test_a_user_without_the_money_is_told_which_account_of_the_node_has_it(
    played: tuple[int, ...], advice: str) -> None:
    world, node, _ = scene()
    node.stakes = {number: kept_key(number) for number in played}
    node.on_line(f"/send {X} 5")
    node.on_line(f"/send {X} 2000000")
    reasons = [event["reason"] for event in world.reported(node, "error")]
    assert reasons[0] == f"the account needs 5 and has 0 (its pending payments are subtracted){advice}"
    assert not played or reasons[1].endswith("; and no genesis account that is played here has that much")


def test_pending_transactions_count_against_the_funds() -> None:
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
        "peers": 1, "slot": node.clock.slot(), "height": 2, "tip": block_id(blocks[1]), "blocks": 3, "waiting": 0, "pool": 0,
        "rollbacks": 0, "longest_rollback": 0}


# --- many nodes, whatever happens ---------------------------------------------------------------

@pytest.mark.parametrize("seed", and_long(range(10), range(10, 50)))
def test_makers_end_up_with_one_chain_after_cuts_partitions_and_late_joining(seed: int) -> None:
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
            world.partition({node.address for node in nodes if world.random.random() < 0.5})
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
    assert not any(node.waiting_blocks.blocks or asked_by(node) for node in nodes), f"seed {seed}"
