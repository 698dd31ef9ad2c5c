"""Stage 2 as real processes: the command line of contract §4 and the wire of §3, over loopback."""

import hashlib
import json
import secrets
import socket
from typing import Any

import pytest

from tests.conftest import Call, Launch
from tests.processes import Event, NodeProcess, RawPeer, eventually, frame, unused_address


def transaction(sender: str = "alice", receiver: str = "bob", amount: Any = 1) -> Event:
    """A transaction of stage 2 that is new to everyone."""
    return {"type": "transaction", "nonce": secrets.token_hex(16), "from": sender, "to": receiver, "amount": amount}


def transaction_id(network: str, message: Event) -> str:
    """Its id (contract §1)."""
    values = ["transaction", network, *(message[name] for name in ("nonce", "from", "to", "amount"))]
    return hashlib.sha256(json.dumps(values, separators=(",", ":")).encode()).hexdigest()


def ledger(node: NodeProcess) -> dict[str, int]:
    """What `/ledger` shows."""
    return dict(node.ask("/ledger", "ledger")["accounts"])


def test_reconciliation_on_the_wire(launch: Launch, call: Call) -> None:
    node = launch(2, "--peer", "none")
    source, peer = call(node), call(node)
    source.hello()
    known = transaction("a", "b", 4)
    known_id = transaction_id(node.network, known)
    source.send(known)
    source.barrier()
    peer.hello()
    missing = [transaction("c", "d", number) for number in range(3)]
    missing_ids = [transaction_id(node.network, message) for message in missing]
    peer.send({"type": "summary", "answer": False, "buckets": {}})
    assert without_gossip(peer.barrier()) == [
        {"type": "inventory", "bucket": known_id[:2], "ids": [known_id]},
        {"type": "summary", "answer": True, "buckets": {known_id[:2]: known_id}}]
    peer.send({"type": "want", "ids": ["0" * 64, known_id]})
    assert without_gossip(peer.barrier()) == [known]
    peer.send({"type": "inventory", "bucket": missing_ids[0][:2], "ids": [known_id, *missing_ids]})
    want, ping = without_gossip(peer.barrier())
    assert sorted(want["ids"]) == sorted(missing_ids) and ping["type"] == "ping"
    peer.send(*missing, {"type": "pong", "nonce": ping["nonce"]})
    assert without_gossip(peer.barrier()) == []
    for message in missing:
        assert source.expect("transaction", amount=message["amount"]) == message
    assert ledger(node) == {"a": -4, "b": 4, "c": -3, "d": 3}


def without_gossip(messages: list[Event]) -> list[Event]:
    """Messages without the sums and summaries that a node sends of its own accord every 5 seconds."""
    return [message for message in messages if message["type"] not in ("sums", "summary") or message["answer"]]


def test_a_node_joins_by_a_scripted_peer_and_calls_the_listed_addresses(launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        for listener in (one, two):
            listener.settimeout(30)
        first, second = (f"127.0.0.1:{listener.getsockname()[1]}" for listener in (one, two))
        node = launch(2, "--peer", first)
        with RawPeer(one.accept()[0], 2, "e" * 32, first) as peer:
            assert peer.hello()["network"] is None
            peer.expect("get_peers")
            peer.send({"type": "peers", "addresses": sorted([first, second, unused_address()])})
            presence = peer.expect("presence")
            with RawPeer(two.accept()[0], 2, "e" * 32, second) as other:
                hello = other.hello()
                assert hello["network"] == "e" * 32 == node.network
                assert presence["address"] == hello["listen"] == node.address
                eventually(lambda: set(node.ask("/peers", "peers")["addresses"]) == {first, second, node.address},
                           state=node.describe)
                peer.send({"type": "peers", "addresses": []})
                peer.expect_closed("FORMAT")


@pytest.mark.parametrize("amount", [b"1.0", b"1e0", b"-0", b"-1", b"true", b"9007199254740992", b'"1"'])
def test_an_amount_in_another_form_is_format_and_the_others_are_served(
        launch: Launch, call: Call, amount: bytes) -> None:
    node = launch(2, "--peer", "none")
    bad, good = call(node), call(node)
    bad.hello()
    good.hello()
    message = {**transaction(amount=77), "nonce": "0" * 32}  # a random nonce may hold 77, too
    bad.send_bytes(frame(json.dumps(message).encode().replace(b"77", amount)))
    bad.expect_closed("FORMAT")
    good.send(transaction("a", "b", 2))
    assert [message["type"] for message in without_gossip(good.barrier())] == []
    assert ledger(node) == {"a": -2, "b": 2}
    assert len(node.all_of("error")) == 1


def test_people_see_ledger_and_errors_in_words(launch: Launch) -> None:
    node = launch(2, "--peer", "none", as_json=False)
    node.wait_for_line("listening on ")
    node.type("/ledger")
    node.wait_for_line("no transactions yet")
    node.type("/send alice bob 5")
    node.wait_for_line("applied")
    node.type("/send alice bob")
    assert "expected /send FROM TO AMOUNT" in node.wait_for_line("error COMMAND")
    node.type("/send alice é 5")
    node.wait_for_line("error ACCOUNT")
    since = len(node.lines)
    node.type("/ledger")
    node.type("done")
    node.wait_for_line("done")
    assert [line.split() for line in node.lines[since:]] == [["alice", "-5"], ["bob", "5"], ["done"]]
