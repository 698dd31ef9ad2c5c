"""The chat node in memory: flooding and history, over random topologies and random schedules."""

import json
from collections import Counter

import pytest

from common.bounded import Recent
from common.encoding import Message, encode_frame
from common.interface import Connection
from common.limits import MEBIBYTE
from lab.simulation import MemoryConnection
from stage1_chat.node import ChatNode
from tests.memory import add_linked_stranger
from tests.processes import chat_message
from tests.random_life import check_lives
from tests.stage1_chat.scenes import founded_world, random_talk, texts


# --- flooding ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("first_seed", range(0, 2_000, 200))
def test_each_message_is_printed_once_by_everyone_whatever_the_topology(first_seed: int) -> None:
    def life(seed: int) -> None:
        world, nodes, said = random_talk(seed, cuts=False)
        world.run(6.0)
        assert {node.network_name for node in nodes} == {nodes[0].network_name}, f"seed {seed}"
        for node in nodes:
            assert Counter(texts(world, node)) == said[node.network_name], f"seed {seed}, {node.address}"

    check_lives(range(first_seed, first_seed + 200), life)


@pytest.mark.parametrize("first_seed", range(10_000, 11_000, 200))
def test_messages_said_while_connections_were_cut_arrive_after_the_redial(first_seed: int) -> None:
    def life(seed: int) -> None:
        world, nodes, said = random_talk(seed, cuts=True)
        world.run(70.0)
        for node in nodes:
            assert Counter(texts(world, node)) == said[node.network_name], f"seed {seed}, {node.address}"

    check_lives(range(first_seed, first_seed + 200), life)


def test_the_same_text_twice_is_two_messages() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    alice.on_line("hi")
    alice.on_line("hi")
    world.settle()
    assert texts(world, alice) == texts(world, bob) == ["hi", "hi"]


def test_a_peer_that_is_gone_is_neither_listed_nor_counted() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    assert world.ask(alice, "/peers", "peers") == {"addresses": [alice.address, bob.address], "connections": 1}
    world.kill(bob)
    world.settle()
    assert world.ask(alice, "/peers", "peers") == {"addresses": [alice.address], "connections": 0}


def test_a_message_goes_to_all_except_its_sender() -> None:
    world, alice = founded_world()
    one, two, three = (add_linked_stranger(world, alice) for _ in range(3))
    message = chat_message("hi")
    one.send(message)
    world.settle()
    assert [peer.messages("chat") for peer in (one, two, three)] == [[], [message], [message]]


def test_a_copy_in_other_bytes_is_the_same_message() -> None:
    world, alice = founded_world()
    one, two = add_linked_stranger(world, alice), add_linked_stranger(world, alice)
    message = chat_message("hé")
    one.send(message)
    world.settle()
    two.send_body(json.dumps(dict(reversed(message.items())), indent=2).encode())
    world.settle()
    assert texts(world, alice) == ["hé"]
    assert one.messages("chat") == []
    assert len(two.messages("chat")) == 1


def test_a_message_is_forwarded_as_the_bytes_that_came() -> None:
    world, alice = founded_world()
    one = add_linked_stranger(world, alice)
    bytes_sent: list[bytes] = []
    two = add_linked_stranger(world, alice)
    two.on_frame = lambda connection, frame: bytes_sent.append(frame)  # type: ignore[method-assign]
    body = b'{ "text":"\\u0068i", "nonce":"%s" , "type":"chat"}' % (b"0" * 32)
    one.send_body(body)
    world.settle()
    assert [frame[4:] for frame in bytes_sent] == [body]
    assert texts(world, alice) == ["hi"]


def test_the_same_bytes_again_are_not_even_decoded() -> None:
    world, alice = founded_world()
    message = chat_message("hi")
    decoded: list[str] = []
    on_message = alice.on_message

    def note_and_handle(connection: Connection, message: Message, frame: bytes) -> None:
        decoded.append(message["type"])
        on_message(connection, message, frame)

    alice.on_message = note_and_handle  # type: ignore[method-assign]
    for peer in [add_linked_stranger(world, alice) for _ in range(5)]:
        peer.send(message)
        world.settle()
    assert decoded.count("chat") == 1
    assert texts(world, alice) == ["hi"]


def test_a_message_belongs_to_its_network() -> None:
    (_, alice), (_, carol) = founded_world(seed=1), founded_world(seed=2)
    assert alice.network_name != carol.network_name
    for node in (alice, carol):
        node.on_chat(None, {"type": "chat", "nonce": "0" * 32, "text": "hi"}, b"frame")
    assert set(alice.history) != set(carol.history)


# --- history ----------------------------------------------------------------------------------------

def test_a_late_joiner_reads_what_was_said_in_order() -> None:
    world, alice = founded_world()
    for number in range(100):
        alice.on_line(f"line {number}")
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    carol = world.add(ChatNode, bob.address)
    world.run(1.0)
    assert texts(world, bob) == texts(world, carol) == [f"line {number}" for number in range(100)]


def test_the_newest_thousand_messages_are_kept_and_older_ones_are_not_printed_again() -> None:
    world, alice = founded_world()
    stranger = add_linked_stranger(world, alice)
    messages = [chat_message(f"line {number}") for number in range(1_200)]
    stranger.send(*messages)
    world.settle()
    late = add_linked_stranger(world, alice)
    kept = late.messages("chat")
    assert 1_000 <= len(kept) < len(messages)
    assert kept == messages[-len(kept):]
    for message in messages:  # in other bytes, so that only the id is known
        late.send_body(json.dumps(message, indent=1).encode())
    world.settle()
    assert texts(world, alice) == [message["text"] for message in messages]


def test_of_very_long_messages_as_many_are_kept_as_four_mebibytes_hold() -> None:
    world, alice = founded_world()
    stranger = add_linked_stranger(world, alice)
    messages = [chat_message("\x01" * 4_095 + chr(0x100 + number)) for number in range(400)]  # six bytes a character
    stranger.send(*messages)
    world.settle()
    kept = add_linked_stranger(world, alice).messages("chat")
    assert kept == messages[-len(kept):] and 3.9 < sum(len(encode_frame(one)) for one in kept) / MEBIBYTE <= 4.0
    assert texts(world, alice) == [message["text"] for message in messages]


def test_a_message_in_the_history_is_not_printed_again_even_if_other_ids_have_pushed_out_its_own() -> None:
    world, alice = founded_world()
    alice.seen_ids = Recent(10)
    stranger = add_linked_stranger(world, alice)
    messages = [chat_message(f"line {number}") for number in range(100)]
    stranger.send(*messages)
    for message in messages:  # in other bytes, so that only the id is known
        stranger.send_body(json.dumps(message, indent=1).encode())
    world.settle()
    assert texts(world, alice) == [message["text"] for message in messages]


def test_both_sides_of_a_healed_partition_read_what_the_other_said() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    carol = world.add(ChatNode, bob.address)
    world.run(1.0)
    world.partition({alice.address})
    alice.on_line("from alice")
    carol.on_line("from carol")
    world.run(10.0)
    assert (texts(world, alice), texts(world, bob)) == (["from alice"], ["from carol"])
    world.heal()
    world.run(40.0)
    for node in (alice, bob, carol):
        assert sorted(texts(world, node)) == ["from alice", "from carol"], node.address


def test_a_cut_loses_only_what_was_on_its_way() -> None:
    world, alice = founded_world()
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    alice.on_line("lost on the way")
    world.cut(next(end for end in world.open_connections() if isinstance(end, MemoryConnection)))
    world.settle()
    assert texts(world, bob) == []
    world.run(2.0)
    assert texts(world, bob) == ["lost on the way"], "the history after the next handshake brings it"
