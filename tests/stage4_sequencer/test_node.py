"""The node of stage 4 in memory: the sequencer, execution, and what the user sees."""

import itertools
import random

import pytest

from common.ledger import Transaction
from tests.fixtures import note_signed
from tests.stage2_ledger.scenes import PING, add_linked_peer, errors, ledger_of, transaction_id
from tests.stage4_sequencer.scenes import (ALICE, BOB, CAROL, SEQUENCER, TOY_KEYS, TOY_SEQUENCER, add_node, assert_took,
                                           block_id, blocks_of, canonical, chain_of, followed_world, founded_world,
                                           id_of, ids_of, note_arrivals, signed_block, signed_transaction,
                                           starting_balances, states_of, status_of, tell, toy_signatures)

# --- the sequencer ----------------------------------------------------------------------------------

def test_without_transactions_no_block_is_made_and_no_number_used() -> None:
    world, founder = founded_world()
    peer = add_linked_peer(world, founder)
    world.run(35.0)
    assert peer.news("block") == [] and status_of(world, founder) == (0, 0)
    founder.on_line(f"/send {BOB.account} 1")
    world.run(10.0)
    assert [block["number"] for block in peer.news("block")] == [0]


def test_a_blocks_signature_is_over_its_canonical_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    world, founder = founded_world()
    founder.on_line(f"/send {BOB.account} 1")
    signed = note_signed(monkeypatch)
    world.run(10.0)
    sent = world.reported(founder, "sent")[-1]["id"]
    assert signed == [canonical(["block", founder.network_name, 0, [sent]])]


def test_once_an_interval_a_signed_block_comes_numbered_from_0() -> None:
    world, founder = founded_world()
    peer = add_linked_peer(world, founder)
    for number in range(3):
        world.run(1.0)
        founder.on_line(f"/send {BOB.account} {number + 1}")
        sent = world.reported(founder, "sent")[-1]["id"]
        world.run(8.9)
        assert peer.news("block") == [], "not before the interval is over"
        world.run(0.1)
        assert peer.news("block") == [signed_block(number, [sent], SEQUENCER, founder.network_name)]
        assert status_of(world, founder) == (number + 1, 0)


def test_the_order_is_that_of_arrival_at_the_sequencer_its_own_among_them() -> None:
    with toy_signatures():
        world, founder = founded_world(key=TOY_KEYS[0], sequencer=TOY_SEQUENCER)
        peers = [add_linked_peer(world, founder) for _ in range(3)]
        arrivals = note_arrivals(founder)
        choose = random.Random(1)
        for _ in range(60):
            if choose.random() < 0.3:
                founder.on_line(f"/send {TOY_KEYS[1].account} 1")
            else:
                tell(world, choose.choice(peers), signed_transaction(TOY_KEYS[1], TOY_KEYS[2], 0, founder.network_name))
        world.run(10.1)
        [block] = peers[0].news("block")
        assert len(arrivals) == 60 and block["transactions"] == arrivals
        assert {event["id"] for event in world.reported(founder, "sent")} < set(arrivals)
        assert states_of(world, founder, world.reported(founder, "sent")[0]["id"]) == ["pending", "applied"]


def test_a_transaction_that_is_invalid_by_itself_is_never_ordered() -> None:
    world, founder = founded_world()
    peer, network = add_linked_peer(world, founder), founder.network_name
    forged = {**signed_transaction(BOB, CAROL, 0, network), "amount": 1}
    foreign = signed_transaction(BOB, CAROL, 0)
    good = signed_transaction(BOB, CAROL, 0, network)
    tell(world, peer, forged, foreign, good, forged, good)
    world.run(10.1)
    assert [block["transactions"] for block in peer.news("block")] == [[transaction_id(network, good)]]


def test_a_transaction_needs_no_money_to_be_in_the_pool_or_in_a_block() -> None:
    world, founder = founded_world()
    peer, other = add_linked_peer(world, founder), add_linked_peer(world, founder)
    overdraft = signed_transaction(BOB, CAROL, 1_000, founder.network_name)
    tell(world, peer, overdraft)
    assert other.news("transaction") == [overdraft]
    world.run(10.1)
    [block] = other.news("block")
    assert block["transactions"] == [transaction_id(founder.network_name, overdraft)]


def test_a_block_holds_50_000_transactions_and_the_rest_waits_for_the_next() -> None:
    world, founder = founded_world()
    peer = add_linked_peer(world, founder)
    ids = [f"{number:064x}" for number in range(50_001)]
    for one in ids:  # without a signature, which does not matter here
        transaction = Transaction(one, ALICE.account, BOB.account, 1)
        founder.keep_transaction(transaction, b"")
        founder.on_new_transaction(transaction)
    world.run(10.1)
    [first] = peer.news("block")
    assert first["transactions"] == ids[:50_000] and status_of(world, founder) == (1, 1)
    world.run(10.0)
    [second] = peer.news("block")
    assert second["transactions"] == ids[50_000:] and status_of(world, founder) == (2, 0)
    assert ledger_of(world, founder)[BOB.account] == 50_001


def test_transactions_of_a_block_that_is_not_executed_yet_are_not_ordered_again() -> None:
    """This happens after a crash that lost the end of the journal: the sequencer gets its own blocks from others."""
    world, founder = founded_world()
    peer, network = add_linked_peer(world, founder), founder.network_name
    lacking, known, new = (signed_transaction(ALICE, BOB, amount, network) for amount in (1, 2, 4))
    ids = [transaction_id(network, one) for one in (lacking, known, new)]
    tell(world, peer, known, *[signed_block(number, ids[number:number + 1], SEQUENCER, network) for number in (0, 1)])
    world.run(10.1)
    assert status_of(world, founder) == (2, 1) and peer.news("block") == []
    tell(world, peer, new)
    world.run(10.0)
    assert [block["transactions"] for block in peer.news("block")] == [ids[2:]]
    tell(world, peer, lacking)
    assert ledger_of(world, founder)[BOB.account] == 7 and status_of(world, founder) == (3, 0)


def test_a_follower_never_makes_blocks() -> None:
    world, founder = founded_world()
    node = add_node(world, founder)
    world.run(1.0)
    founder.on_line(f"/send {CAROL.account} 10")
    world.run(0.1)
    world.kill(founder)
    stranger = add_linked_peer(world, node)
    world.run(60.0)
    assert stranger.news("block") == [] and status_of(world, node) == (0, 1)


def test_the_signature_covers_network_number_and_ids_as_the_contract_writes_them() -> None:
    world, founder = founded_world()
    peer = add_linked_peer(world, founder)
    founder.on_line(f"/send {BOB.account} 10")
    world.run(10.1)
    [block] = peer.news("block")
    values = ["block", founder.network_name, 0, block["transactions"]]
    assert block["signature"] == SEQUENCER.sign(canonical(values))
    assert blocks_of(world, founder) == [block_id(block, founder.network_name)]


# --- execution --------------------------------------------------------------------------------------

def test_a_block_takes_effect_once_all_its_transactions_are_known_and_so_do_the_blocks_after_it() -> None:
    world, node, peer = followed_world()
    one, two, three = (signed_transaction(ALICE, BOB, amount) for amount in (1, 2, 4))
    chain = chain_of([[one, two], [three]])
    tell(world, peer, three, one, *chain)
    assert status_of(world, node)[0] == 2, "accepted"
    assert_took(world, node, [], [])
    assert world.reported(node, "block") == []
    assert [message["ids"] for message in peer.news("want")] == [[id_of(two)]]
    tell(world, peer, two)
    assert_took(world, node, chain, [one, two, three])
    assert world.reported(node, "block") == [
        {"id": block_id(block), "number": number, "transactions": count, "creator": SEQUENCER.account}
        for number, (block, count) in enumerate(zip(chain, (2, 1), strict=True))]
    assert status_of(world, node) == (2, 0)


def test_the_sender_of_a_block_is_asked_for_what_it_lacks() -> None:
    world, node, peer = followed_world()
    other = add_linked_peer(world, node)
    lacking = [signed_transaction(ALICE, BOB, 1) for _ in range(3)]
    tell(world, other, signed_block(0, ids_of(lacking)))
    assert [message["ids"] for message in other.news("want")] == [ids_of(lacking)]
    assert peer.news("want") == []


@pytest.mark.parametrize("how", ["cut", "silent"])
def test_others_are_asked_for_what_a_block_lacks_if_its_sender_does_not_answer(how: str) -> None:
    world, node, peer = followed_world()
    sender = add_linked_peer(world, node)
    lacking = signed_transaction(ALICE, BOB, 1)
    block = signed_block(0, [id_of(lacking)])
    tell(world, sender, block)
    if how == "cut":
        world.kill(sender)
    world.run(4.0)
    assert peer.news("want") == []
    world.run(60.0)
    wanted = peer.news("want")
    assert wanted and all(message["ids"] == [id_of(lacking)] for message in wanted)
    tell(world, peer, lacking)
    assert_took(world, node, [block], [lacking])


def test_a_transaction_that_a_block_needs_is_asked_for_until_it_comes() -> None:
    """The limit of twenty times holds only for transactions that no block needs."""
    world, _, peer = followed_world()
    needed, unneeded = signed_transaction(ALICE, BOB, 1), signed_transaction(ALICE, BOB, 2)
    tell(world, peer, {"type": "inventory", "bucket": id_of(unneeded)[:2], "ids": [id_of(unneeded)]},
         signed_block(0, [id_of(needed)]))
    asked = peer.news("want")
    for _ in range(30):  # the peer must say something now and then
        world.run(6.0)
        tell(world, peer, PING)
        asked += peer.news("want")
    assert sum(id_of(unneeded) in message["ids"] for message in asked) == 20
    assert sum(id_of(needed) in message["ids"] for message in asked) > 25


@toy_signatures()
def test_a_block_may_lack_more_than_one_question_asks_for() -> None:
    world, founder = founded_world(key=TOY_KEYS[0], sequencer=TOY_SEQUENCER)
    peer = add_linked_peer(world, founder)
    count = 5_500
    peer.send(*[signed_transaction(TOY_KEYS[1], TOY_KEYS[2], 0, founder.network_name) for _ in range(count)])
    world.run(10.1)
    late = add_node(world, founder, TOY_KEYS[3])
    world.run(1.0)
    assert status_of(world, founder) == status_of(world, late) == (1, 0)
    assert world.reported(late, "block")[0]["transactions"] == count


def test_a_block_that_lists_another_blocks_id_as_a_transaction_is_never_executed() -> None:
    world, node, peer = followed_world()
    paid = signed_transaction(ALICE, BOB, 1)
    first = signed_block(0, [])
    tell(world, peer, paid, first, signed_block(1, [id_of(paid), block_id(first)]), first, signed_block(2, []))
    assert_took(world, node, [first], [])
    assert status_of(world, node) == (3, 1)


def test_the_pool_holds_the_same_objects_as_the_kept_transactions_and_each_account_once() -> None:
    world, node, peer = followed_world()
    paid = [signed_transaction(ALICE, CAROL, 1) for _ in range(2)]
    tell(world, peer, *paid)
    one, two = node.pool.transactions()
    assert one is node.transactions[id_of(paid[0])] and two is node.transactions[id_of(paid[1])]
    assert one.sender is two.sender and one.receiver is two.receiver


def test_overdrafts_are_ignored_permanently_in_the_order_of_the_block() -> None:
    world, node, peer = followed_world()
    too_much = signed_transaction(BOB, CAROL, 51)
    all_of_it = signed_transaction(BOB, CAROL, 50)
    nothing_left = signed_transaction(BOB, ALICE, 1)
    passed_on = signed_transaction(CAROL, ALICE, 50)
    funds = signed_transaction(ALICE, BOB, 150)
    to_itself = signed_transaction(ALICE, ALICE, 151)
    batches = [[too_much, all_of_it, nothing_left, passed_on], [to_itself, funds], []]
    chain = chain_of(batches)
    tell(world, peer, *itertools.chain(*batches), chain[0])
    assert ledger_of(world, node) == {ALICE.account: 150, BOB.account: 0, CAROL.account: 0}
    tell(world, peer, *chain[1:])
    assert ledger_of(world, node) == {ALICE.account: 0, BOB.account: 150, CAROL.account: 0}, "and not later either"
    assert blocks_of(world, node) == [block_id(block) for block in chain] and status_of(world, node) == (3, 0)


def test_money_that_comes_in_the_same_block_counts_only_for_transactions_after_it() -> None:
    world, node, peer = followed_world()
    before, paid, after = (signed_transaction(*who) for who in ((CAROL, BOB, 10), (ALICE, CAROL, 10), (CAROL, BOB, 10)))
    tell(world, peer, after, paid, before, signed_block(0, ids_of([before, paid, after])))
    assert ledger_of(world, node) == {ALICE.account: 90, BOB.account: 60, CAROL.account: 0}


def test_an_account_named_only_in_an_ignored_transaction_is_not_in_the_ledger() -> None:
    world, node, peer = followed_world()
    ignored, empty = signed_transaction(BOB, CAROL, 51), signed_transaction(CAROL, SEQUENCER, 0)
    tell(world, peer, ignored, signed_block(0, ids_of([ignored])))
    assert ledger_of(world, node) == starting_balances()
    tell(world, peer, empty, signed_block(1, ids_of([empty])))
    assert ledger_of(world, node) == {**starting_balances(), CAROL.account: 0, SEQUENCER.account: 0}


# --- the user ---------------------------------------------------------------------------------------

def test_the_node_that_made_a_transaction_reports_its_states() -> None:
    world, node, peer = followed_world()
    node.on_line(f"/send {BOB.account} 60")
    node.on_line(f"/send {CAROL.account} 40")
    good, bad = (event["id"] for event in world.reported(node, "sent"))
    assert [event["event"] for event in world.networks[node.address].reported][-4:] == ["sent", "transaction"] * 2
    rival = signed_transaction(ALICE, CAROL, 30)  # the same account, at another node
    tell(world, peer, rival, signed_block(0, [good, id_of(rival), bad]))
    assert states_of(world, node, good) == ["pending", "applied"]
    assert states_of(world, node, bad) == ["pending", "rejected"]
    assert states_of(world, node, id_of(rival)) == []
    events = [event for event in world.reported(node, "transaction") if event["state"] == "rejected"]
    assert len(events) == 1 and events[0].keys() == {"id", "state", "reason"} and events[0]["reason"]
    assert ledger_of(world, node)[ALICE.account] == 10


def test_an_amount_above_the_balance_less_what_is_pending_is_refused_at_once() -> None:
    world, node, peer = followed_world()

    def send(amount: int) -> bool:
        refused = len(errors(world, node))
        peer.news()
        node.on_line(f"/send {BOB.account} {amount}")
        world.settle()
        was_sent = len(errors(world, node)) == refused
        assert len(peer.news("transaction")) == was_sent
        assert errors(world, node)[refused:] == ([] if was_sent else ["FUNDS"])
        return was_sent

    tell(world, peer, signed_transaction(BOB, ALICE, 50))
    assert not send(101) and send(60) and not send(41) and send(40) and not send(1) and send(0)
    assert status_of(world, node) == (0, 4)
    tell(world, peer, signed_block(0, list(node.pool)))
    assert world.ask(node, "/account", "account")["balance"] == 50
    assert not send(51) and send(50) and not send(1)


def test_the_money_of_a_rejected_payment_can_be_spent_again() -> None:
    world, node, peer = followed_world()
    node.on_line(f"/send {BOB.account} 80")
    rival = signed_transaction(ALICE, CAROL, 30)
    pending = world.reported(node, "sent")[0]["id"]
    tell(world, peer, rival, signed_block(0, [id_of(rival), pending]))
    node.on_line(f"/send {BOB.account} 70")
    assert errors(world, node) == [] and len(world.reported(node, "sent")) == 2


def test_status_and_blocks_say_what_was_accepted_and_executed() -> None:
    world, node, peer = followed_world()
    paid, lacking, pending = (signed_transaction(ALICE, BOB, amount) for amount in (1, 2, 3))
    chain = chain_of([[paid], [lacking]])
    tell(world, peer, paid, pending, *chain)
    assert world.ask(node, "/status", "status") == {"peers": 1, "next": 2, "pending": 1}
    assert world.ask(node, "/blocks", "blocks")["blocks"] == [
        {"id": block_id(chain[0]), "number": 0, "transactions": 1, "creator": SEQUENCER.account}]
    for command in ("/status now", "/blocks 1"):
        node.on_line(command)
    assert errors(world, node) == ["COMMAND", "COMMAND"]
