"""Reconciliation in memory, message by message (contract §3)."""

import itertools
from collections import Counter
from typing import Any

import pytest

from common.fetch_limits import MAX_MISSING
from lab.simulation import World
from stage2_ledger.limits import MAX_INVENTORY, MAX_NAMED
from stage2_ledger.node import LedgerNode
from tests.memory import Event, Stranger
from tests.stage2_ledger.scenes import (PING, PONG, OldNode, PolitePeer, add_linked_peer, balances, errors, founded_world,
                                        ledger_of, summary_of, transaction, transaction_id, unknown_ids)


def stocked_world(count: int) -> tuple[World, LedgerNode, PolitePeer, dict[str, Event]]:
    """A node with `count` transactions, a linked peer, and the transactions by their ids."""
    world, alice = founded_world()
    source = add_linked_peer(world, alice)
    messages = [transaction(amount=number) for number in range(count)]
    source.send(*messages)
    world.settle()
    peer = add_linked_peer(world, alice)
    return world, alice, peer, {transaction_id(alice.network_name, message): message for message in messages}


def inventory(bucket: str, ids: list[str]) -> Event:
    """An inventory message."""
    return {"type": "inventory", "bucket": bucket, "ids": ids}


def summary(ids: list[str], answer: bool = False) -> Event:
    """A summary of these ids."""
    return {"type": "summary", "answer": answer, "buckets": summary_of(ids)}


def canonical_inventories(messages: list[Event]) -> dict[str, set[str]]:
    """The inventories among `messages`: bucket -> ids. A node may send them in any order."""
    inventories = [message for message in messages if message["type"] == "inventory"]
    found = {message["bucket"]: set(message["ids"]) for message in inventories}
    assert len(found) == len(inventories) and all(len(one["ids"]) == len(set(one["ids"])) for one in inventories)
    return found


def by_bucket(ids: list[str]) -> dict[str, set[str]]:
    """Ids by their first two digits."""
    return {one[:2]: {other for other in ids if other[:2] == one[:2]} for one in ids}


def test_an_equal_summary_is_not_answered() -> None:
    world, _, peer, known = stocked_world(300)
    peer.send(summary(list(known)), summary(list(known), answer=True), PING)
    world.settle()
    assert peer.news() == [PONG]


@pytest.mark.parametrize("is_answer", [False, True])
def test_a_summary_is_answered_with_the_buckets_that_differ_and_once_with_a_summary(is_answer: bool) -> None:
    world, _, peer, known = stocked_world(300)
    ids = list(known)
    lacking = ids[:3]
    peer.send(summary(ids[3:], is_answer), PING)
    world.settle()
    *news, end = peer.news()
    differing = {one[:2] for one in lacking}
    assert canonical_inventories(news) == {bucket: same for bucket, same in by_bucket(ids).items()
                                           if bucket in differing}
    rest = [message for message in news if message["type"] != "inventory"]
    assert rest == ([] if is_answer else [summary(ids, answer=True)])
    assert end == PONG


def test_a_bucket_that_only_the_peer_has_is_answered_with_an_empty_inventory() -> None:
    world, _, peer, _ = stocked_world(0)
    peer.send(summary(["ab" + "0" * 61 + "1"]), PING)
    world.settle()
    assert peer.news() == [inventory("ab", []), summary([], answer=True), PONG]


@pytest.mark.parametrize("limit", [2, 7, 100])
def test_a_long_answer_comes_in_pieces_each_after_the_pong_of_the_last(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage2_ledger.reconcile.MAX_TOLD_IDS", limit)
    world, alice, _, known = stocked_world(600)
    peer = add_linked_peer(world, alice, SilentPeer)
    peer.send(summary([]))
    world.settle()
    *first, own, ping = [message for message in peer.news() if message["type"] != "ping" or message["nonce"]]
    assert {own["type"], ping["type"]} == {"summary", "ping"}, "the node sends its own summary at once"
    pieces = [first]
    while peer.ping_nonces:
        peer.send(summary([]), summary([], answer=True), PING)
        world.settle()
        assert peer.news() == [PONG], "one answer at a time"
        peer.send({"type": "pong", "nonce": peer.ping_nonces.pop()})
        world.settle()
        pieces.append([message for message in peer.news() if message["type"] == "inventory"])
    assert all(sum(len(message["ids"]) for message in piece) <= limit for piece in pieces) and len(pieces) >= 600 / limit
    told = [message for piece in pieces for message in piece]
    assert all(one.startswith(message["bucket"]) for message in told for one in message["ids"])
    assert sorted(one for message in told for one in message["ids"]) == sorted(known), "each once"
    late = world.add(OldNode, alice.address)
    world.run(0.1)
    assert late.transactions.keys() == known.keys()


def test_the_largest_inventory_fits_into_a_frame() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice, SilentPeer)
    peer.send(inventory("00", [f"{number:064x}" for number in range(MAX_INVENTORY)]))
    world.settle()
    assert MAX_INVENTORY == 62_600 and len(alice.fetcher) == MAX_INVENTORY
    assert errors(world, alice) == [] and len(alice.links) == 1


def test_an_inventory_is_answered_with_a_want_for_the_missing_ids() -> None:
    world, alice, peer, known = stocked_world(10)
    news = [transaction(amount=number) for number in range(5)]
    new_ids = [transaction_id(alice.network_name, message) for message in news]
    peer.send(inventory("00", [*known, *new_ids]))
    world.settle()
    want, ping = peer.news()
    assert want.keys() == {"type", "ids"} and want["type"] == "want" and sorted(want["ids"]) == sorted(new_ids)
    assert len(want["ids"]) == 5 and ping["type"] == "ping"
    peer.send(inventory("00", new_ids), PING)
    world.settle()
    assert peer.news() == [PONG], "asked for already"
    peer.send(*news, {"type": "pong", "nonce": ping["nonce"]}, inventory("00", [*known, *new_ids]), PING)
    world.settle()
    assert peer.news() == [PONG], "nothing is missing"
    assert ledger_of(world, alice) == balances([*known.values(), *news])


def test_a_want_is_answered_in_its_order_and_unknown_ids_are_skipped() -> None:
    world, alice, peer, known = stocked_world(50)
    ids = [*known][10:20][::-1]
    peer.send({"type": "want", "ids": ids[:5] + unknown_ids(500) + ids[5:]}, PING)
    world.settle()
    assert peer.news() == [*(known[one] for one in ids), PONG]
    peer.send({"type": "want", "ids": unknown_ids(1_000)}, {"type": "want", "ids": []}, PING)
    world.settle()
    assert peer.news() == [PONG] and errors(world, alice) == []


def test_fetched_transactions_are_flooded_on() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice), add_linked_peer(world, alice)
    message = transaction()
    one.send(inventory("00", [transaction_id(alice.network_name, message)]), message)
    world.settle()
    assert two.news() == [message]


def test_a_nodes_summary_grows_with_its_ids_and_lists_no_empty_bucket() -> None:
    world, alice, peer, _ = stocked_world(0)
    ids: list[str] = []
    for number in range(60):
        message = transaction(amount=number)
        ids.append(transaction_id(alice.network_name, message))
        peer.send(message, summary(["ff" + "0" * 61 + "1"]))
        world.settle()
        assert peer.news("summary") == [summary(ids, answer=True)]


def test_at_most_four_wants_of_a_thousand_are_open_on_a_connection() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice, SilentPeer)
    ids = unknown_ids(6_500)
    peer.send(inventory("00", ids))
    world.settle()
    asked = [message["ids"] for message in peer.news("want")]
    assert [len(one) for one in asked] == [1_000] * 4
    for size in (1_000, 1_000, 500):
        peer.send({"type": "pong", "nonce": "something else"})
        world.settle()
        assert peer.news() == []
        peer.send({"type": "pong", "nonce": peer.ping_nonces.pop(0)})
        world.settle()
        wants = peer.news("want")
        assert [len(message["ids"]) for message in wants] == [size]
        asked += [message["ids"] for message in wants]
    peer.send(*({"type": "pong", "nonce": nonce} for nonce in peer.ping_nonces))
    world.settle()
    assert peer.news("want") == []
    assert sorted(one for some in asked for one in some) == sorted(ids), "each once"


def test_two_connections_have_four_wants_each() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice, SilentPeer), add_linked_peer(world, alice, SilentPeer)
    one.send(inventory("00", unknown_ids(10_000, seed=1)))
    two.send(inventory("00", unknown_ids(10_000, seed=2)))
    world.settle()
    assert len(one.news("want")) == len(two.news("want")) == 4


class SilentPeer(PolitePeer):
    """A scripted peer that answers no pings after wants, but keeps their nonces."""

    ping_nonces: list[str]

    def on_open(self, connection: Any) -> None:
        """Begin with no nonces."""
        self.ping_nonces = []
        super().on_open(connection)

    def on_frame(self, connection: Any, frame: bytes) -> None:
        """Keep what has come."""
        Stranger.on_frame(self, connection, frame)
        if self.received[-1]["type"] == "ping":
            self.ping_nonces.append(self.received[-1]["nonce"])


def test_missing_transactions_are_asked_for_again_elsewhere_after_5_seconds_at_most_20_times() -> None:
    others = set()
    for seed in range(20):
        world, alice = founded_world(seed)
        peers = [add_linked_peer(world, alice) for _ in range(3)]
        [missing] = unknown_ids(1, seed)
        peers[0].send(inventory(missing[:2], [missing]))
        world.settle()
        asked = [(world.now, 0)]
        assert len(peers[0].news("want")) == 1
        for _ in range(300):
            world.run(1.0)
            for number, peer in enumerate(peers):
                for message in peer.news("want"):
                    assert message["ids"] == [missing]
                    asked.append((world.now, number))
        waits = [later[0] - earlier[0] for earlier, later in itertools.pairwise(asked)]
        assert len(asked) == 20, f"seed {seed}: {asked}"
        assert all(5 <= wait <= 7 for wait in waits), f"seed {seed}: {waits}"
        assert {number for _, number in asked} == {0, 1, 2}, f"seed {seed}: {asked}"
        others.add(asked[1][1])
        peers[1].send(inventory(missing[:2], [missing]))
        world.settle()
        assert [message["ids"] for message in peers[1].news("want")] == [[missing]], "an inventory restarts the count"
    assert others == {0, 1, 2}, "on a random connection"


def test_transactions_that_a_lost_connection_was_asked_for_come_from_another() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice, SilentPeer), add_linked_peer(world, alice)
    ids = unknown_ids(9_000)
    one.send(inventory("00", ids))
    world.settle()
    two.send(inventory("00", ids[:5_000]), PING)
    world.settle()
    assert sum(len(message["ids"]) for message in one.news("want")) == 4_000
    [want] = two.news("want")
    assert want["ids"] == ids[4_000:5_000], "the ids that the other one has not been asked for yet"
    one.connection.close()
    world.settle()
    assert {id for message in two.news("want") for id in message["ids"]} == set(ids[:4_000]), "it has listed them, too"
    world.run(7.0)
    assert 0 < sum(len(message["ids"]) for message in two.news("want")) <= 8 * 200, "some of the other ids, slowly"


def test_a_peer_that_lists_ids_and_falls_silent_does_not_keep_them_from_coming() -> None:
    for seed in range(3):
        world, alice = founded_world(seed)
        honest = world.add(LedgerNode, alice.address)
        world.run(1.0)
        silent = add_linked_peer(world, alice, SilentPeer)
        honest.flood = lambda frame, source: None  # type: ignore[method-assign]
        for _ in range(5_000):
            honest.on_line("/send a b 1")
        silent.send(inventory("00", list(honest.transactions)))
        for _ in range(6):
            world.run(5.0)
            silent.send({"type": "pong", "nonce": "still there"})
        assert not silent.is_closed
        assert ledger_of(world, alice) == {"a": -5_000, "b": 5_000}, f"seed {seed}"


def test_transactions_that_have_come_are_not_asked_for_again() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice, SilentPeer), add_linked_peer(world, alice)
    messages = [transaction() for _ in range(50)]
    one.send(inventory("00", [transaction_id(alice.network_name, message) for message in messages]))
    world.settle()
    two.send(*messages)
    world.settle()
    one.news(), two.news()
    world.run(60.0)
    assert one.news("want") == two.news("want") == []


def test_only_so_many_ids_are_asked_for_at_a_time() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    ids = unknown_ids(201_000)
    for start in range(0, len(ids), 50_250):
        peer.send(inventory("00", ids[start:start + 50_250]))
    world.settle()
    asked = [id for message in peer.news("want") for id in message["ids"]]
    assert len(asked) == len(set(asked)) == MAX_MISSING == 100_000, "the contract's bound"


def test_a_peer_that_lists_very_many_ids_does_not_keep_out_those_of_the_others() -> None:
    world, alice = founded_world()
    greedy, modest = add_linked_peer(world, alice, SilentPeer), add_linked_peer(world, alice)
    for seed in range(3):
        greedy.send(inventory("00", unknown_ids(MAX_MISSING // 2, seed)))
    world.settle()
    assert len(alice.fetcher) == MAX_MISSING
    ids = unknown_ids(3_000, seed=3)
    modest.send(inventory("00", ids))
    world.settle()
    assert {id for message in modest.news("want") for id in message["ids"]} == set(ids)


def test_strangers_that_list_very_many_ids_give_way_to_peers_that_this_node_has_called() -> None:
    world, alice = founded_world()
    for seed in range(30):
        add_linked_peer(world, alice, SilentPeer).send(inventory("00", unknown_ids(MAX_MISSING // 25, seed + 10)))
    world.settle()
    own = world.add(SilentPeer, None, 2)
    own.says_on_open = [own.hello_message(alice.network_name)]
    world.open(world.networks[alice.address], own.address)
    ids = unknown_ids(MAX_NAMED, seed=7)
    own.send(inventory("00", ids))
    world.settle()
    assert {alice.fetcher.count_named(link) for link in alice.links if link.is_own} == {MAX_NAMED}


def test_of_ids_that_nobody_brings_some_are_asked_for_each_second() -> None:
    """Even if very many were named: whoever has not named them must not be asked for them at full speed."""
    world, alice = founded_world()
    liar, other = add_linked_peer(world, alice), add_linked_peer(world, alice)
    liar.send(inventory("00", unknown_ids(60_000)))
    world.settle()
    liar.connection.close()
    other.news()
    for _ in range(4):
        world.run(5.0)
        assert 0 < sum(len(message["ids"]) for message in other.news("want")) <= 6 * 200


@pytest.mark.parametrize("how_many, each", [(1, 4.9), (2, 0.1)])
def test_a_peer_that_brings_something_now_and_then_does_not_keep_others_from_being_asked(
        how_many: int, each: float) -> None:
    """A slow peer has 5 seconds. A peer that brings enough does not delay ids that are far down its list."""
    world, alice = founded_world()
    dripping, honest = add_linked_peer(world, alice, SilentPeer), add_linked_peer(world, alice)
    own, wanted = [transaction() for _ in range(6_000)], [transaction() for _ in range(50)]
    named = [transaction_id(alice.network_name, message) for message in [*own, *wanted]]
    dripping.send(inventory("00", named if how_many > 1 else named[-500:]))
    world.settle()
    honest.send(inventory("00", named[-50:]))
    world.settle()
    bringing = iter(own if how_many > 1 else own[-450:])
    for _ in range(round(15 / each)):
        dripping.send(*itertools.islice(bringing, how_many))
        world.run(each)
    assert {one for want in honest.news("want") for one in want["ids"]} >= set(named[-50:])


def test_a_peer_that_goes_on_after_a_gap_is_not_given_up_for_what_it_names_next() -> None:
    """What it was asked for before the gap comes late, and counts all the same."""
    world, alice = founded_world()
    slow, other = add_linked_peer(world, alice, SilentPeer), add_linked_peer(world, alice)
    late, following = [transaction() for _ in range(100)], [transaction() for _ in range(10)]
    named, named_next = [[transaction_id(alice.network_name, one) for one in ones] for ones in (late, following)]
    slow.send(inventory("00", named))
    world.run(6.5)
    for place, message in enumerate(late):
        if place == 60:
            slow.send(inventory("00", named_next))
            world.run(0.01)
            other.send(inventory("00", named_next))
        slow.send(message)
        world.run(0.05)
    assert not {one for want in other.news("want") for one in want["ids"]} & set(named_next)


def test_a_node_waits_for_only_a_few_of_a_hundred_peers_that_list_an_id_and_do_not_have_it() -> None:
    """Each uses up the 5 seconds in which it could answer. The node asks one of them, then two, then four."""
    world, alice = founded_world()
    message = transaction()
    missing = transaction_id(alice.network_name, message)
    silent = [add_linked_peer(world, alice, SilentPeer) for _ in range(100)]
    for one in silent:
        one.send(inventory(missing[:2], [missing]))
    world.settle()
    honest = add_linked_peer(world, alice)
    honest.send(inventory(missing[:2], [missing]))
    for _ in range(8):
        world.run(5.5)
        if any(want["ids"] == [missing] for want in honest.news("want")):
            honest.send(message)
            world.settle()
    assert missing in alice.transactions


def test_peers_that_this_node_has_called_are_asked_at_once_whoever_listed_an_id_earlier() -> None:
    world, alice = founded_world()
    honest = world.add(LedgerNode, None)
    silent = add_linked_peer(world, alice, SilentPeer)
    honest.network_name = alice.network_name
    honest.on_line("/send a b 1")
    silent.send(inventory("00", list(honest.transactions)))
    world.settle()
    alice.network.connect(honest.address)
    world.run(0.5)
    assert ledger_of(world, alice) == {"a": -1, "b": 1}


def test_every_5_seconds_a_summary_goes_to_one_random_neighbour() -> None:
    world, alice = founded_world()
    peers = [add_linked_peer(world, alice) for _ in range(3)]
    got: Counter[str] = Counter()
    for round_number in range(60):
        world.run(5.0)
        news = [(peer.address, message) for peer in peers for message in peer.news("summary")]
        assert [message for _, message in news] == [summary([])], f"round {round_number}"
        got[news[0][0]] += 1
    assert min(got[peer.address] for peer in peers) >= 8, got
