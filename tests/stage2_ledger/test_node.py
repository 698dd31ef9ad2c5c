"""The ledger node in memory: transactions, malformed input, and what the user types."""

import json
from typing import Any

import pytest

from stage2_ledger.node import LedgerNode
from tests.memory import Event
from tests.stage2_ledger.scenes import (PING, PONG, add_linked_peer, errors, founded_world, joining_world, ledger_of,
                                        linked_pair, list_of, transaction, transaction_id, unknown_ids)


def test_a_transaction_is_applied_once_everywhere_and_reported_to_its_maker() -> None:
    world, alice = founded_world()
    nodes = [alice, *(world.add(LedgerNode, alice.address) for _ in range(4))]
    world.run(1.0)
    nodes[2].on_line("/send alice bob 7")
    world.settle()
    for node in nodes:
        assert ledger_of(world, node) == {"alice": -7, "bob": 7}, node.address
    events = [entry for entry in world.networks[nodes[2].address].reported
              if entry["event"] in ("sent", "transaction")]
    [own_id] = nodes[2].transactions
    assert events == [{"event": "sent", "id": own_id}, {"event": "transaction", "id": own_id, "state": "applied"}]
    assert all(world.reported(node, "sent") == world.reported(node, "transaction") == []
               for node in nodes if node is not nodes[2])


def test_a_transaction_is_sent_in_its_wire_form_and_its_id_follows_from_the_canonical_bytes() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    alice.on_line("/send a\"b\\c <&>é 9007199254740991")
    assert errors(world, alice) == ["ACCOUNT"]
    alice.on_line("/send a\"b\\c <&> 9007199254740991")
    world.settle()
    [message] = peer.news()
    assert message == {"type": "transaction", "nonce": message["nonce"], "from": 'a"b\\c', "to": "<&>",
                       "amount": 9_007_199_254_740_991}
    assert len(message["nonce"]) == 32 and set(message["nonce"]) <= set("0123456789abcdef")
    assert [sent["id"] for sent in world.reported(alice, "sent")] == [transaction_id(alice.network_name, message)]


def test_the_id_is_the_sha256_of_these_bytes() -> None:
    """sha256sum made this number from the bytes that contract §1 describes."""
    world, [peer], node, _ = joining_world(1)
    peer.send(peer.hello_message("0" * 32), transaction("alice", "bob", 5, nonce="1" * 32))
    world.settle()
    # printf '["transaction","000…","111…","alice","bob",5]' | sha256sum
    assert list(node.transactions) == ["3d585f2d441dd8c65818e9a8d2e817514ee24c26ecbd0ee7751cfc0b347d5eeb"]


def test_equal_contents_are_two_transactions_and_the_echo_of_its_own_one_is_ignored() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice), add_linked_peer(world, alice)
    alice.on_line("/send alice bob 1")
    alice.on_line("/send alice bob 1")
    world.settle()
    echoes = one.news("transaction")
    assert len(echoes) == 2 and echoes[0] != echoes[1] and len(alice.transactions) == 2
    one.send(*echoes)
    for echo in echoes:
        two.send_body(json.dumps(dict(reversed(echo.items())), indent=1).encode())
    world.settle()
    assert ledger_of(world, alice) == {"alice": -2, "bob": 2}
    assert one.news() == []
    assert two.news() == echoes, "its own ones, once"
    assert len(world.reported(alice, "transaction")) == 2


def test_a_transaction_is_forwarded_as_the_bytes_that_came_and_not_back() -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice), add_linked_peer(world, alice)
    frames: list[bytes] = []
    two.on_frame = lambda connection, frame: frames.append(frame)
    body = b'{ "amount":3, "to":"b\\u006fb" , "from":"a","type":"transaction", "nonce":"%s"}' % (b"0" * 32)
    one.send_body(body)
    one.send({"type": "want", "ids": [transaction_id(alice.network_name, json.loads(body))]})
    world.settle()
    assert [frame[4:] for frame in frames] == [body]
    assert one.news() == [json.loads(body)], "only when it asks, and as the bytes that came"


def test_balances_may_be_negative_and_large_and_amounts_zero() -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    largest = 2**53 - 1
    peer.send(transaction("a", "b", 0), transaction("c", "c", 5), transaction("d", "e", largest),
              transaction("d", "e", largest), transaction("e", "a", 1), transaction("!", "~" * 64, 2))
    world.settle()
    assert ledger_of(world, alice) == {"a": 1, "b": 0, "c": 0, "d": -2 * largest, "e": 2 * largest - 1,
                                       "!": -2, "~" * 64: 2}


BAD_MEMBERS: dict[str, dict[str, Any]] = {
    "amount -1": {"amount": -1}, "amount 2^53": {"amount": 2**53}, "amount 1.0": {"amount": 1.0},
    "amount true": {"amount": True}, "amount text": {"amount": "1"}, "amount null": {"amount": None},
    "amount list": {"amount": [1]}, "amount 10^400": {"amount": 10**400},
    "name with space": {"from": "a b"}, "name of 65": {"to": "x" * 65}, "name empty": {"from": ""},
    "name é": {"to": "é"}, "name DEL": {"to": "\x7f"}, "name and line end": {"to": "bob\n"}, "name 1": {"from": 1},
    "name null": {"to": None}, "name list": {"to": ["bob"]}, "nonce of 31": {"nonce": "0" * 31},
    "nonce upper": {"nonce": "A" * 32}, "nonce not hex": {"nonce": "g" * 32}, "no nonce": {"nonce": ...},
    "nonce 1": {"nonce": 1}, "no amount": {"amount": ...}, "no from": {"from": ...}, "no to": {"to": ...},
    "extra": {"id": "0" * 64}, "signature": {"signature": ""}}
BAD_BODIES = {f"amount {text}": json.dumps(transaction(amount=77, nonce="0" * 32)).replace("77", text).encode()
              for text in ("-0", "1e2", "1E2", "1.5", "-1", "1e400", "9007199254740992", "0.0")}
SIXTEEN: list[Any] = [[0] * 16, "0" * 128]
SUMS: Event = {"type": "sums", "answer": True, "salt": "0" * 64, "sums": {"": SIXTEEN}}
GET_SUMS: Event = {"type": "get_sums", "salt": "0" * 64, "prefixes": [""]}
NO_SUMS: list[Any] = [
    [], None, {"0" * 64: SIXTEEN}, {"A": SIXTEEN}, {"": []}, {"": SIXTEEN[:1]}, {"": [*SIXTEEN, 0]},
    {"": [[0] * 15, "0" * 128]}, {"": [[0] * 17, "0" * 128]}, {"": [[0] * 16, "0" * 127]}, {"": [[0] * 16, 0]},
    {"": [[0] * 16, "A" * 128]}, {"": [[0] * 15 + [-1], "0" * 128]}, {"": [[0] * 15 + [True], "0" * 128]},
    {"": [0, "0" * 128]}, {"": {"0": 1, "1": 2}}]
OTHER_BAD_MESSAGES: dict[str, Event] = {
    "presence without port": {"type": "presence", "nonce": "0" * 32, "address": "a"},
    "presence nonce": {"type": "presence", "nonce": "0" * 33, "address": "a:1"},
    "presence extra": {"type": "presence", "nonce": "0" * 32, "address": "a:1", "x": 1},
    "get_peers extra": {"type": "get_peers", "all": True}, "want without ids": {"type": "want"},
    "want 1,001": {"type": "want", "ids": unknown_ids(1_001)}, "want twice": {"type": "want", "ids": ["0" * 64] * 2},
    "want short id": {"type": "want", "ids": ["0" * 63]}, "want upper": {"type": "want", "ids": ["A" * 64]},
    "want text": {"type": "want", "ids": "0" * 64}, "want null": {"type": "want", "ids": [None]},
    "inventory bucket": {"type": "inventory", "bucket": "0", "ids": []},
    "inventory bucket upper": {"type": "inventory", "bucket": "AA", "ids": []},
    "inventory twice": {"type": "inventory", "bucket": "00", "ids": ["0" * 64] * 2},
    "inventory no id": {"type": "inventory", "bucket": "00", "ids": ["x"]},
    **{f"sums answer {value}": {**SUMS, "answer": value} for value in (1, None, "true")},
    **{f"sums salt {value}": {**SUMS, "salt": value} for value in ("0" * 63, "0" * 16, "A" * 64, 0, None)},
    **{f"sums {value}": {**SUMS, "sums": value} for value in NO_SUMS},
    "sums of 65": {**SUMS, "sums": {f"{number:02x}": SIXTEEN for number in range(65)}},
    "get_sums of 65": {**GET_SUMS, "prefixes": [f"{number:02x}" for number in range(65)]},
    **{f"get_sums {value}": {**GET_SUMS, "prefixes": value} for value in ("", None, [0], ["", ""], ["0" * 64], ["A"])},
    "get_sums salt": {**GET_SUMS, "salt": "0"}, "get_sums answer": {**GET_SUMS, "answer": True},
    "get_ids of 1,001": {"type": "get_ids", "prefixes": [f"{number:03x}" for number in range(1_001)]},
    **{f"get_ids {value}": {"type": "get_ids", "prefixes": value} for value in ("", None, [0], ["", ""], ["0" * 65], ["x"])},
    "ids of 3,901": {"type": "ids", "ids": unknown_ids(3_901)}, "ids twice": {"type": "ids", "ids": ["0" * 64] * 2},
    "ids short": {"type": "ids", "ids": ["0" * 63]}, "ids bucket": {"type": "ids", "ids": [], "bucket": "00"},
    "summary answer 1": {"type": "summary", "answer": 1, "buckets": {}},
    "summary answer null": {"type": "summary", "answer": None, "buckets": {}},
    "summary list": {"type": "summary", "answer": False, "buckets": []},
    "summary prefix": {"type": "summary", "answer": False, "buckets": {"0": "0" * 64}},
    "summary prefix upper": {"type": "summary", "answer": False, "buckets": {"0A": "0" * 64}},
    "summary sum": {"type": "summary", "answer": False, "buckets": {"00": "0" * 63}},
    "summary sum 1": {"type": "summary", "answer": False, "buckets": {"00": 1}},
    "summary without buckets": {"type": "summary", "answer": False}}
BAD_INPUT = {
    **{name: json.dumps({member: value for member, value in {**transaction(), **changes}.items() if value is not ...})
       .encode() for name, changes in BAD_MEMBERS.items()},
    **BAD_BODIES, **{name: json.dumps(message).encode() for name, message in OTHER_BAD_MESSAGES.items()}}


@pytest.mark.parametrize("body", BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_input_of_the_wrong_form_ends_its_connection_and_changes_nothing(body: bytes) -> None:
    world, alice = founded_world()
    bad, good = add_linked_peer(world, alice), add_linked_peer(world, alice)
    good.send(transaction("a", "b", 3))
    world.settle()
    bad.news()
    bad.send_body(body)
    bad.send(transaction("never", "heard", 1))
    world.settle()
    assert [(message["type"], message["code"]) for message in bad.news()] == [("error", "FORMAT")]
    assert bad.is_closed and errors(world, alice) == ["FORMAT"]
    good.send(PING)
    world.settle()
    assert good.news() == [PONG], "nothing of it is forwarded"
    assert ledger_of(world, alice) == {"a": -3, "b": 3} and len(alice.transactions) == 1
    assert list_of(world, alice) == [alice.address, good.address]


@pytest.mark.parametrize("kind", ["block", "genesis", "height", "tip", "get_blocks", "get_chain", "Transaction"])
def test_types_of_later_stages_are_ignored(kind: str) -> None:
    world, alice = founded_world()
    one, two = add_linked_peer(world, alice), add_linked_peer(world, alice)
    one.send({"type": kind, "number": -1}, PING)
    world.settle()
    assert one.news() == [PONG] and two.news() == [] and errors(world, alice) == []


@pytest.mark.parametrize("line, code", [
    ("/send", "COMMAND"), ("/send a b", "COMMAND"), ("/send a b 1 2", "COMMAND"), ("/send a b -1", "COMMAND"),
    ("/send a b 1.0", "COMMAND"), ("/send a b 1e3", "COMMAND"), ("/send a b x", "COMMAND"), ("/send a b ٣", "COMMAND"),
    ("/send a b 9007199254740992", "COMMAND"), ("/send a b +1", "COMMAND"), ("/send a b 1_0", "COMMAND"),
    ("/send a b " + "9" * 5_000, "COMMAND"), ("/send a b ²", "COMMAND"), ("/ledger now", "COMMAND"),
    ("/send é b 1", "ACCOUNT"), ("/send a " + "x" * 65 + " 1", "ACCOUNT"), ("/send a \udcff 1", "ACCOUNT"),
    ("/send a\x7f b 1", "ACCOUNT"), ("/account", "COMMAND"), ("/blocks", "COMMAND")])
def test_a_bad_command_gives_one_error_and_changes_nothing(line: str, code: str) -> None:
    world, alice = founded_world()
    peer = add_linked_peer(world, alice)
    alice.on_line(line)
    world.settle()
    assert errors(world, alice) == [code]
    assert peer.news() == [] and ledger_of(world, alice) == {}
    assert world.reported(alice, "sent") == []
    json.dumps(world.reported(alice, "error"), ensure_ascii=False).encode()  # can be printed


@pytest.mark.parametrize("line", ["/send a b 0", "/send a a 1", "/send a b 9007199254740991", "/send  a   b  007"])
def test_good_commands(line: str) -> None:
    world, alice = founded_world()
    alice.on_line(line)
    assert errors(world, alice) == [] and len(world.reported(alice, "sent")) == 1
    assert sum(ledger_of(world, alice).values()) == 0


def test_help_lists_the_commands_of_this_stage() -> None:
    world, alice = founded_world()
    commands = [entry["command"] for entry in world.ask(alice, "/help", "help")["commands"]]
    assert commands == ["/help", "/peers", "/quit", "/send FROM TO AMOUNT", "/ledger"]


def test_chat_goes_on_in_this_stage() -> None:
    world, alice, bob = linked_pair()
    alice.on_line("hi")
    world.settle()
    late = world.add(LedgerNode, bob.address)
    world.run(1.0)
    assert [world.reported(node, "chat") for node in (alice, bob, late)] == [[{"text": "hi"}]] * 3
