"""The chat node in memory: bad input from peers, and what its user types."""

import json
import random
from collections import Counter

import pytest

from stage1_chat.node import ChatNode
from tests.memory import add_linked_stranger
from tests.processes import chat_message
from tests.random_life import check_lives
from tests.stage1_chat.scenes import errors, founded_world, random_talk, texts


# --- bad input --------------------------------------------------------------------------------------

NONCE = "0" * 32
BAD_BODIES = {
    "not UTF-8": b'{"type":"x\xff"}', "not JSON": b"{", "two objects": b"{}{}", "an array": b'["type"]',
    "a string": b'"type"', "null": b"null", "NaN": b'{"type":"x","a":NaN}', "no type": b'{"a":1}',
    "type 1": b'{"type":1}', "type null": b'{"type":null}', "type twice": b'{"type":"x","type":"x"}',
    "a member twice": b'{"type":"unknown","a":1,"a":1}',
    "a member twice inside": b'{"type":"unknown","a":[{"b":1,"b":2}]}',
    "byte order mark": b'\xef\xbb\xbf{"type":"x"}',
    "deep": b'{"type":"x","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "control character": b'{"type":"a\nb"}', "surrogate bytes": b'{"type":"\xed\xa0\x80"}',
}
BAD_MESSAGES = {
    "no nonce": {"type": "chat", "text": "hi"}, "no text": {"type": "chat", "nonce": NONCE},
    "extra": {"type": "chat", "nonce": NONCE, "text": "hi", "from": "me"},
    "nonce not hex": {"type": "chat", "nonce": "g" * 32, "text": "hi"},
    "nonce upper": {"type": "chat", "nonce": "A" * 32, "text": "hi"},
    "nonce of 31": {"type": "chat", "nonce": "0" * 31, "text": "hi"},
    "nonce and line end": {"type": "chat", "nonce": "0" * 32 + "\n", "text": "hi"},
    "nonce a number": {"type": "chat", "nonce": 0, "text": "hi"},
    "text empty": {"type": "chat", "nonce": NONCE, "text": ""},
    "text of 4,097": {"type": "chat", "nonce": NONCE, "text": "x" * 4_097},
    "text a list": {"type": "chat", "nonce": NONCE, "text": ["hi"]},
    "text null": {"type": "chat", "nonce": NONCE, "text": None},
    "ping without nonce": {"type": "ping"}, "ping of 65": {"type": "ping", "nonce": "x" * 65},
    "ping of 1": {"type": "ping", "nonce": 1}, "pong without nonce": {"type": "pong"},
    "error without code": {"type": "error", "reason": "x"}, "error of 1": {"type": "error", "code": 1, "reason": "x"},
}
BAD_INPUT = ([pytest.param("FRAME", body, id=name) for name, body in BAD_BODIES.items()]
             + [pytest.param("FORMAT", json.dumps(message).encode(), id=name)
                for name, message in BAD_MESSAGES.items()]
             + [pytest.param("FORMAT", b'{"type":"chat","nonce":"%s","text":"\\ud800"}' % NONCE.encode(),
                             id="lone surrogate")])


@pytest.mark.parametrize("code, body", BAD_INPUT)
def test_bad_input_ends_its_connection_and_touches_nothing_else(code: str, body: bytes) -> None:
    world, alice = founded_world()
    bad, good = add_linked_stranger(world, alice), add_linked_stranger(world, alice)
    for _ in range(3):
        bad.send_body(body)
    bad.send(chat_message("never heard"))
    world.settle()
    assert bad.is_closed
    assert [message["type"] for message in bad.received] == ["hello", "error"]
    assert bad.messages("error")[0]["code"] == code
    assert errors(world, alice) == [code], "one line about it, not more"
    message = chat_message("still here")
    good.send(message, {"type": "ping", "nonce": "end"})
    world.settle()
    assert texts(world, alice) == ["still here"]
    assert good.messages("pong") == [{"type": "pong", "nonce": "end"}]
    assert len(alice.history) == 1 and len(alice.links) == 1


@pytest.mark.parametrize("message", [
    {"type": "get_peers"}, {"type": "transaction", "amount": -1}, {"type": ""}, {"type": "block", "number": "x"},
    {"type": "chat2", "nonce": [{"a": 1.5e300}, True, None]}, {"type": "line"}, {"type": "start"}, {"type": "close"},
    {"type": "open"}, {"type": "message"}, {"type": "Chat"}, {"type": "chat "}, {"type": "x" * 10_000}])
def test_unknown_types_are_ignored(message: dict[str, object]) -> None:
    world, alice = founded_world()
    one, two = add_linked_stranger(world, alice), add_linked_stranger(world, alice)
    one.send(message, {"type": "ping", "nonce": ""})
    world.settle()
    assert one.messages("pong") and not one.is_closed
    assert len(two.received) == 1, "only the hello; nothing unknown is forwarded"
    assert errors(world, alice) == []


def test_after_any_random_talk_bad_input_of_one_peer_disturbs_none_of_the_others() -> None:
    def life(seed: int) -> None:
        world, nodes, said = random_talk(seed, cuts=False)
        choose = random.Random(seed)
        world.run(6.0)
        room = [node for node in nodes if node.network_name == nodes[0].network_name]
        stranger = add_linked_stranger(world, choose.choice(room))
        stranger.send_body(choose.choice(list(BAD_BODIES.values())))
        room[0].on_line("after")
        world.run(1.0)
        assert stranger.is_closed, f"seed {seed}"
        for node in room:
            expected = said[room[0].network_name] + Counter(["after"])
            assert Counter(texts(world, node)) == expected, f"seed {seed}, {node.address}"

    check_lives(range(200), life)


# --- what is typed ----------------------------------------------------------------------------------

@pytest.mark.parametrize("line, text", [
    ("hi", "hi"), ("//x", "/x"), ("//", "/"), ("///", "//"), (" /help", " /help"), (" ", " "),
    ("ünï\u2028", "ünï\u2028"),
    ("x" * 4_096, "x" * 4_096), ("😀" * 4_096, "😀" * 4_096), ("/" + "/" + "x" * 4_095, "/" + "x" * 4_095)])
def test_a_line_without_a_slash_is_a_chat_message(line: str, text: str) -> None:
    world, alice = founded_world()
    stranger = add_linked_stranger(world, alice)
    alice.on_line(line)
    world.settle()
    assert texts(world, alice) == [text]
    assert [message["text"] for message in stranger.messages("chat")] == [text]
    assert errors(world, alice) == []


@pytest.mark.parametrize("line", ["x" * 4_097, "//" + "x" * 4_096, "bad \udcff byte", "/", "/ ", "/nope", "/HELP",
                                  "/help me", "/peers 1", "/quit now", "/\udcff", "/on_line", "/__init__", "/say hi"])
def test_a_bad_command_gives_one_error_and_changes_nothing(line: str) -> None:
    world, alice = founded_world()
    stranger = add_linked_stranger(world, alice)
    alice.on_line(line)
    world.settle()
    assert errors(world, alice) == ["COMMAND"]
    assert len(stranger.received) == 1 and texts(world, alice) == []
    assert world.networks[alice.address].is_running
    json.dumps(world.reported(alice, "error"), ensure_ascii=False).encode()  # can be printed


def test_an_empty_line_does_nothing() -> None:
    world, alice = founded_world()
    alice.on_line("")
    assert [entry["event"] for entry in world.networks[alice.address].reported] == ["founded", "listening"]


def test_help_lists_every_command_and_quit_ends_the_node() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    commands = world.ask(alice, "/help", "help")["commands"]
    assert [command["command"].split()[0] for command in commands] == ["/help", "/peers", "/quit"]
    assert all(command.keys() == {"command", "meaning"} and command["meaning"] for command in commands)
    alice.on_line("/quit")
    world.settle()
    assert not world.networks[alice.address].is_running
    assert world.reported(bob, "peer")[-1] == {"address": alice.address, "state": "down"}


def test_messages_said_before_quit_still_arrive() -> None:
    for seed in range(100):
        world, alice = founded_world(seed)
        bob = world.add(ChatNode, alice.address)
        world.run(1.0)
        alice.on_line("bye")
        alice.on_line("/quit")
        world.settle()
        assert texts(world, bob) == ["bye"], f"seed {seed}"
