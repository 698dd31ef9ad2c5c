"""Bytes that are no frames, frames that are no messages, messages that are wrong, in all stages (contract §2)."""

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from lab.blackbox.peer import frames_of
from tests.network.test_every_stage import BAD_INPUT, BAD_MESSAGES, BAD_MESSAGES_FROM
from tests.conftest import Call, Launch
from tests.fixtures import kept_key
from tests.hostile.villain import MEBIBYTE, Healthy, Villain, padded, quick_and_long, transaction
from tests.processes import STAGES, Event, NodeProcess, RawPeer, chat_message, frame

every_stage = pytest.mark.parametrize("stage", STAGES)

NONCE, ID = "0" * 32, "0" * 64
ACCOUNT = kept_key(1).account
MAX_BODY = 4 * MEBIBYTE

GENESIS_4: Event = {"type": "genesis", "nonce": NONCE, "sequencer": ACCOUNT, "interval_ms": 1, "accounts": [ACCOUNT],
                    "balances": [1]}
GENESIS_5: Event = {"type": "genesis", "seed": ID, "start_ms": 0, "slot_ms": 1, "block_permille": 1,
                    "accounts": [ACCOUNT], "balances": [1], "thresholds": [ID]}
BLOCK_4: Event = {"type": "block", "number": 0, "transactions": [], "signature": ""}
BLOCK_5: Event = {"type": "block", "slot": 1, "parent": ID, "creator": ACCOUNT, "draw": "", "transactions": [],
                  "signature": ""}
TOO_MANY_IDS = [f"{number:064x}" for number in range(50_001)]


SIXTEEN: list[Any] = [[0] * 16, "0" * 128]
SUMS: Event = {"type": "sums", "answer": True, "salt": ID, "sums": {"": SIXTEEN}}


def with_each(message: Event, **wrong: Any) -> list[Event]:
    """The message with each wrong value of each member, without each member, and with one member too many."""
    return [*({**message, member: value} for member, values in wrong.items() for value in values),
            *({name: value for name, value in message.items() if name != member} for member in wrong),
            {**message, "more": 1}]


NO_INTEGERS: list[Any] = [-1, 1.0, 1e3, 2**53, True, None, "1", [], 10**400]
NO_IDS: list[Any] = ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "０" * 64, 0, None, [ID]]
NO_LISTS_OF_IDS: list[Any] = [None, ID, {}, [0], [None], ["x"], [ID, ID], [[ID]]]

FORMAT_FROM: dict[int, list[Event]] = {
    1: [*with_each({"type": "chat", "nonce": NONCE, "text": "x"}, nonce=["", "0" * 33, "A" * 32, 0, None],
                   text=["", "x" * 4_097, "\ud800", 1, None, ["x"]]),
        *with_each({"type": "ping", "nonce": ""}, nonce=["x" * 65, 0, None]),
        *with_each({"type": "pong", "nonce": ""}, nonce=["x" * 65, 0, None])],
    2: [*with_each({"type": "presence", "nonce": NONCE, "address": "a:1"}, nonce=[""], address=[
            "", "a", "a:", ":1", "a:0", "a:01", "a:65536", "a:1\n", "a b:1", "ä:1", "a:１", "[::1]:1", f"{'a' * 256}:1", 1]),
        *with_each({"type": "want", "ids": [ID]}, ids=[*NO_LISTS_OF_IDS, TOO_MANY_IDS[:1_001]]),
        *with_each({"type": "inventory", "bucket": "00", "ids": []}, bucket=["", "0", "000", "0G", "AA", 0],
                   ids=NO_LISTS_OF_IDS),
        *with_each(SUMS, answer=[0, None, "true"], salt=NO_IDS, sums=[
            [], None, {"A": SIXTEEN}, {ID: SIXTEEN}, {"": SIXTEEN[:1]}, {"": [[0] * 15, "0" * 128]},
            {"": [[0] * 15 + [-1], "0" * 128]}, {"": [[0] * 16, "0" * 129]}, {"": [[0] * 16, None]},
            {f"{number:02x}": SIXTEEN for number in range(65)}]),
        *with_each({"type": "get_sums", "salt": ID, "prefixes": [""]}, salt=NO_IDS, prefixes=[
            *NO_LISTS_OF_IDS, [ID], ["A"], [f"{number:02x}" for number in range(65)]]),
        *with_each({"type": "get_ids", "prefixes": [""]}, prefixes=[*NO_LISTS_OF_IDS, TOO_MANY_IDS[:1_001], ["0" * 65]]),
        *with_each({"type": "ids", "ids": [ID]}, ids=[*NO_LISTS_OF_IDS, TOO_MANY_IDS[:3_901]]),
        *with_each({"type": "summary", "answer": True, "buckets": {}}, answer=[0, 1, None, "true"],
                   buckets=[[], None, {"0": ID}, {"AA": ID}, {"00": "0"}, {"00": None}])],
    3: [],
    4: [],
    5: [*with_each({"type": "tip", "id": ID, "height": 0}, id=NO_IDS, height=NO_INTEGERS),
        *with_each({"type": "get_chain", "locator": [ID]}, locator=[*NO_LISTS_OF_IDS, TOO_MANY_IDS[:101]])],
}
"""Stage -> messages that are FORMAT from that stage on."""

FORMAT_AT: dict[int, list[Event]] = {
    1: [],
    2: with_each({"type": "transaction", "nonce": NONCE, "from": "a", "to": "b", "amount": 1}, nonce=["", 0],
                 **{"from": ["", "x" * 65, "a b", "ä", "\x7f", 0, None], "to": ["", "a\n", {}]}, amount=NO_INTEGERS),
    3: with_each({"type": "transaction", "nonce": NONCE, "from": ACCOUNT, "to": ACCOUNT, "amount": 1, "signature": ""},
                 amount=NO_INTEGERS, signature=[0, None, "\udfff"], **{"from": [0, "\ud800"]}),
    4: [*with_each(GENESIS_4, nonce=[""], sequencer=[0], interval_ms=[0, 3_600_001, *NO_INTEGERS],
                   accounts=[[], [ACCOUNT] * 2, [ACCOUNT, "b"], [f"{number}" for number in range(101)], [0], 0],
                   balances=[[], [0], [1, 1], [2**53], [-1], 1]),
        *with_each(BLOCK_4, number=NO_INTEGERS, transactions=[*NO_LISTS_OF_IDS, TOO_MANY_IDS], signature=[0]),
        *with_each({"type": "get_blocks", "from": 0}, **{"from": NO_INTEGERS}),
        *with_each({"type": "height", "number": 0}, number=NO_INTEGERS),
        *with_each({"type": "order", "digests": {"1": ID}}, digests=[
            None, [], {"0": ID}, {"01": ID}, {"-1": ID}, {"x": ID}, {"1" * 17: ID}, *({"1": one} for one in NO_IDS),
            {f"{number}": ID for number in range(1, 66)}]),
        *with_each({"type": "get_order", "numbers": [1]}, numbers=[
            None, {}, 1, [0], [1, 1], [[1]], *([one] for one in NO_INTEGERS), list(range(1, 66))])],
    5: [*with_each(GENESIS_5, seed=NO_IDS, start_ms=NO_INTEGERS, slot_ms=[0, 3_600_001], block_permille=[0, 1_000],
                   accounts=[[], [ACCOUNT] * 2, [ACCOUNT, "b"]], balances=[[], [0], [1, 1]],
                   thresholds=[[], [ID] * 2, [0], ["x"]]),
        *with_each(BLOCK_5, slot=[0, *NO_INTEGERS], parent=NO_IDS, creator=[0], draw=[0], signature=[0],
                   transactions=[*NO_LISTS_OF_IDS, TOO_MANY_IDS])],
}
"""Stage -> messages that are FORMAT in that stage alone."""


def format_cases(stage: int) -> list[bytes]:
    """All that is FORMAT in a stage, as frames."""
    messages = [*(row for since, rows in FORMAT_FROM.items() if since <= stage for row in rows), *FORMAT_AT[stage]]
    rows = [message for since, rows in BAD_MESSAGES_FROM.items() if since <= stage for _, message in rows]
    return [frames_of(message) for message in [*messages, *rows, *(message for _, message in BAD_MESSAGES)]]


FRAME_CASES = [
    *(data for _, _, data in BAD_INPUT),
    *map(frame, [
        b"{" * 1_000_000, b"[" * 4_000_000, b'{"type":' * 500_000, b'{"type":"x","a":' + b"[" * 1_000_000,
        b'{"type":"x","a":' + b'{"b":' * 600_000 + b"1" + b"}" * 600_000 + b"}",
        b'{"type":"chat","type":"chat"}', b'{"type":"x","a":{"b":1,"b":1}}', b'{"type":"x","a":[[{"b":1,"\\u0062":1}]]}',
        b'{"type":"x","a":NaN}', b'{"type":"x","a":Infinity}', b'{"type":"x","a":-Infinity}', b'{"type":"x","a":01}',
        b'{"type":"x","a":+1}', b'{"type":"x","a":.5}', b'{"type":"x","a":1.}', b'{"type":"x","a":0x10}',
        b'{"type":"x",}', b'{"type":"x"}{}', b'{"type":"x"} x', b"{'type':'x'}", b'{"type":"x\n"}', b'{"type":"\\x41"}',
        b'{"type":"\\u12"}', b'{"type":null}', b'{"type":["chat"]}', b'{"TYPE":"chat"}', b'"type"', b"null", b"1", b" ",
        b"\0" * 1_000, b'\xef\xbb\xbf{"type":"x"}', '{"type":"x"}'.encode("utf-16"), b'{"type":"\xc0\x80"}',
        b'{"type":"\xed\xa0\x80"}', b'{"type":"\xf4\x90\x80\x80"}', b'{"type":"\x80"}', b'{"type":"x","a":"\xe2\x82"}'])]
"""All cases of FRAME."""

IGNORED = [
    b'{"type":"x","a":' + b"9" * 100_000 + b"}", b'{"type":"x","a":-' + b"9" * 100_000 + b"}",
    b'{"type":"x","a":1e' + b"9" * 100_000 + b"}", b'{"type":"x","a":0.' + b"9" * 100_000 + b"}",
    b'{"type":"x","a":' + b"[" * 400 + b"]" * 400 + b"}", b'{"type":"\\ud800"}', b'{"type":"\\u0000\\u001b[2J"}',
    b'{"type":"x","a":"' + b"x" * 4_000_000 + b'"}', b'{"type":"","\\ud800":1}',
    b'{"type":"x",' + b",".join(b'"%d":[]' % number for number in range(200_000)) + b"}"]
"""JSON with an unknown type, as large and odd as is allowed. A node parses it in time, and ignores it."""


@every_stage
def test_every_row_of_bad_input(stage: int, start_node: Launch, call: Call) -> None:
    node = start_node(stage)
    with Healthy(node):
        for code, cases in (("FRAME", FRAME_CASES), ("FORMAT", format_cases(stage))):
            for data in cases:
                peer = call(node)
                peer.hello()
                with contextlib.suppress(OSError):  # the node may end the connection before all is sent
                    peer.send_bytes(data + frames_of(chat_message("never heard")))
                assert expect_end(peer) == [code], f"{data[:200]!r}: {peer.describe()}"
                peer.close()
        assert node.all_of("chat") == []


def expect_end(peer: RawPeer) -> list[str]:
    """Read to the end of the stream. Return the codes of the errors that came."""
    while peer.receive() is not None:
        pass
    return [message["code"] for message in peer.received if message["type"] == "error"]


@every_stage
def test_odd_json_of_an_unknown_type_is_ignored(stage: int, start_node: Launch, call: Call) -> None:
    node = start_node(stage)
    with Healthy(node):
        peer = call(node)
        peer.hello()
        for body in IGNORED:
            peer.send_body(body)
            peer.barrier()
        long_number = b'{"type":"ping","nonce":' + b"9" * 100_000 + b"}"
        peer.send_body(long_number)
        peer.expect_closed("FORMAT")


# --- slow, partial and large ------------------------------------------------------------------------

@quick_and_long("count, seconds", (20, 7), (100, 75))
def test_bytes_one_a_second(count: int, seconds: int, start_node: Launch) -> None:
    """Half of the peers send their hello so slowly; it is due after 5 s. The others send a message so slowly after
    theirs; they may be without a whole frame for 60 s."""
    node = start_node(1)
    with Healthy(node), contextlib.ExitStack() as stack:
        silent = [stack.enter_context(RawPeer(node.address, 1, node.network)) for _ in range(count // 2)]
        greeted = [stack.enter_context(Villain(node)) for _ in range(count // 2)]
        assert all(villain.barrier() for villain in greeted)
        hello = frame(json.dumps(silent[0].hello_message()).encode())
        slow = frames_of(chat_message("x" * 4_000))
        end = time.monotonic() + seconds
        for number in range(seconds):
            for peer in silent:
                with contextlib.suppress(OSError):
                    peer.send_bytes(hello[number:number + 1])
            for villain in greeted:
                villain.send(slow[number:number + 1])
            greeted[0].is_closed.wait(max(0.0, end - time.monotonic() - (seconds - number - 1)))
        assert [expect_end(peer) for peer in silent] == [["HANDSHAKE"]] * len(silent)
        assert all(villain.is_closed.is_set() == (seconds > 65) for villain in greeted)
        assert node.all_of("chat") == []


@quick_and_long("count", 60, 127)
def test_almost_whole_frames_on_many_connections(count: int, start_node: Launch) -> None:
    """Four megabytes each. A node cannot know yet whether they will become a message."""
    node = start_node(1)
    with Healthy(node, peak_mib=128) as healthy, contextlib.ExitStack() as stack:
        for _ in range(count):
            villain = stack.enter_context(Villain(node))
            villain.send(frame(b" " * MAX_BODY)[:-1])
        healthy.wait(1)


@quick_and_long("seconds", 1, 60)
def test_large_frames_that_say_nothing_from_many_connections(seconds: int, start_node: Launch) -> None:
    """They take long to parse, and have an unknown type, so they do not even count as bad input."""
    node = start_node(1)
    large = frame(b'{"type":"x","a":[' + b",".join([b"[]"] * 1_300_000) + b"]}")
    with Healthy(node, peak_mib=320):  # a million lists take a hundred MiB while they are parsed
        villains = [Villain(node) for _ in range(30)]
        threads = [threading.Thread(target=villain.press, args=(large, seconds)) for villain in villains]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for villain in villains:
            villain.close()
        assert {error["code"] for error in node.all_of("error")} <= {"BUSY"}, "none of them is bad input"


NEW: dict[str, Callable[[NodeProcess], Event]] = {
    "chat": lambda node: chat_message("x"),
    "presence": lambda node: {"type": "presence", "nonce": secrets.token_hex(16), "address": "127.9.9.9:9"},
    "transaction": transaction}


@quick_and_long("count", 22, 1_000)
@pytest.mark.parametrize("stage, kind", [(1, "chat"), (2, "presence"), (2, "transaction"), (3, "transaction")])
def test_spaces_do_not_make_a_message_worth_keeping(stage: int, kind: str, count: int, start_node: Launch) -> None:
    """Each is a valid message, and 4 MiB long."""
    node = start_node(stage)
    with Healthy(node), Villain(node) as villain:
        for _ in range(count):
            villain.insist(padded(NEW[kind](node), MAX_BODY))
        assert villain.barrier()


# --- the terminal -----------------------------------------------------------------------------------

ESCAPES = "\x1b[2J\x1b]0;title\x07\x1b[31m\r\n\t\b\0\x7f\x9b2J\x85\x90"


@every_stage
def test_no_peer_can_drive_the_terminal(stage: int, start_node: Launch) -> None:
    """Not in chat, in the code and reason of errors, in names, or in refused input that is reported."""
    node = start_node(stage, "none", as_json=False)
    address = node.wait_for_line("listening on ").rpartition(" ")[2]
    network = network_of(address, stage)
    node.may_complain = True  # without --json, a node writes its warnings to standard error
    said: list[Event] = [{"type": "chat", "nonce": NONCE, "text": f"a{ESCAPES}z"},
                         {"type": "error", "code": ESCAPES[:20], "reason": f"b{ESCAPES}z"},
                         {"type": "ping", "nonce": "", ESCAPES: 1}, {"type": "chat", "nonce": ESCAPES, "text": ESCAPES},
                         {"type": "presence", "nonce": NONCE, "address": f"c{ESCAPES}:1"},
                         {"type": "transaction", "nonce": NONCE, "from": ESCAPES, "to": ESCAPES, "amount": 1},
                         {"type": "transaction", "nonce": NONCE, "from": ESCAPES, "to": ESCAPES, "amount": 1,
                          "signature": ESCAPES}]
    for message in said:
        with RawPeer(address, stage, network) as peer:
            peer.hello()
            peer.send(message)
            with contextlib.suppress(AssertionError):
                peer.barrier(timeout=5)
    with RawPeer(address, stage, network) as hasty:
        hasty.send({"type": ESCAPES})
        hasty.expect_closed("HANDSHAKE")
    node.type("/peers")
    node.wait_for_line(r"a\x1b[2J\x1b]0;title\x07")
    node.wait_for_line(r"b\x1b[2J\x1b]0;title\x07")
    node.type("last")
    node.wait_for_line("last")
    controls = [line for line in [*node.lines, *node.errors] if any(ord(one) < 32 or 127 <= ord(one) < 160 for one in line)]
    assert controls == []
    assert node.process.poll() is None


def network_of(address: str, stage: int) -> str:
    """The network of a node that prints for people."""
    with RawPeer(address, stage) as peer:
        return str(peer.hello()["network"])
