"""Stage 1 as real processes: the command line of contract §4, and what only real sockets can show."""

import contextlib
import json
import threading

import pytest

from tests.conftest import Call, Launch
from tests.processes import RawPeer, chat_message, frame, unused_address

MEBIBYTE = 2**20


def texts(messages: list[dict[str, object]]) -> list[object]:
    """The texts of the chat messages among `messages`."""
    return [message["text"] for message in messages if message["type"] == "chat"]


# --- the room ---------------------------------------------------------------------------------------

def test_people_read_the_text_alone_and_control_characters_as_hex(launch: Launch) -> None:
    node = launch(1, "--peer", "none", as_json=False)
    address = node.wait_for_line("listening on ").removeprefix("listening on ")
    with RawPeer(address) as peer:
        peer.hello()
        peer.send(chat_message("plain ünï"), chat_message("\x1b[2Jred\x07\x7f\x9b\nnext"))
        peer.barrier()
        assert node.wait_for_line("plain") == "plain ünï"
        assert node.wait_for_line("red") == r"\x1b[2Jred\x07\x7f\x9b\x0anext"


def test_json_escapes_every_control_character(launch: Launch, call: Call) -> None:
    node = launch(1, "--peer", "none")
    peer = call(node)
    peer.hello()
    text = "".join(map(chr, range(0xa1))) + "\u2028😀"
    peer.send(chat_message(text))
    node.wait_for("chat", text=text)
    line = next(line for line in node.lines if '"chat"' in line)
    assert not any(ord(character) < 0x20 or 0x7f <= ord(character) <= 0x9f for character in line), line


# --- bytes ------------------------------------------------------------------------------------------

def test_a_peer_that_has_shut_down_its_half_still_reads_the_answer(launch: Launch, call: Call) -> None:
    node = launch(1, "--peer", "none")
    peer = call(node)
    peer.send(peer.hello_message(), {"type": "ping", "nonce": "last"})
    peer.end_output()
    peer.expect("pong", nonce="last")
    peer.expect_closed()
    node.wait_for("peer", address=peer.listen, state="down")


def test_all_that_a_peer_says_before_it_ends_its_output_is_printed(launch: Launch, call: Call) -> None:
    node = launch(1, "--peer", "none")
    peer = call(node)
    peer.join()
    lines = [f"line {number}" for number in range(1_500)]
    peer.send(*map(chat_message, lines))
    peer.end_output()
    peer.expect_closed()
    assert [chat["text"] for chat in node.told("chat")] == lines


def test_a_reset_is_the_end_of_that_connection_only(launch: Launch, call: Call) -> None:
    node = launch(1, "--peer", "none")
    peer, other = call(node), call(node)
    peer.join()
    other.join()
    peer.reset()
    node.wait_for("peer", address=peer.listen, state="down")
    other.send(chat_message("still here"))
    other.barrier()
    node.wait_for("chat", text="still here")


def test_the_longest_frame_is_accepted(launch: Launch, call: Call) -> None:
    node = launch(1, "--peer", "none")
    peer = call(node)
    peer.hello()
    body = json.dumps(chat_message("in a large frame")).encode()
    peer.send_body(body.ljust(4 * MEBIBYTE))
    peer.barrier()
    node.wait_for("chat", text="in a large frame")


def test_the_129th_inbound_connection_gets_busy(launch: Launch, call: Call) -> None:
    node = launch(1, "--peer", "none")
    first, *others = [call(node) for _ in range(128)]
    for peer in (first, *others):
        peer.hello()
    call(node).expect_closed("BUSY")
    first.send(chat_message("still served"))
    others[-1].expect("chat", text="still served")
    node.wait_for("chat", text="still served")
    others[0].close()
    node.wait_for("peer", address=others[0].listen, state="down")
    assert call(node).hello()["listen"] == node.address


def test_a_peer_that_never_reads_is_dropped_after_64_mebibytes_and_the_others_are_served(
        launch: Launch, call: Call) -> None:
    node = launch(1, "--peer", "none")
    stuck, source, reader = call(node, receive_buffer=4_096), call(node), call(node)
    for peer in (stuck, source, reader):
        peer.hello()
    for number in range(20):  # forwarded as the bytes that came: 80 MiB
        source.send_body(json.dumps(chat_message(f"large {number}")).encode().ljust(4 * MEBIBYTE))
        reader.expect("chat", text=f"large {number}")
        if number == 14:
            source.barrier()
            assert node.all_of("peer", state="down") == [], "60 MiB may wait"
    node.wait_for("peer", address=stuck.listen, state="down")
    source.barrier()
    node.type("and on it goes")
    reader.expect("chat", text="and on it goes")
    assert node.all_of("peer", state="down") == [{"event": "peer", "address": stuck.listen, "state": "down"}]
    assert len(node.all_of("error", code="BUSY")) <= 1


def send_until_it_fails(peer: RawPeer) -> None:
    """Send messages of an unknown type without a pause, so that some of what was sent is always unread."""
    junk = frame(b'{"type":"unknown","text":"%s"}' % (b"x" * 10_000))
    with contextlib.suppress(OSError):
        while True:
            peer.send_bytes(junk)


# --- the command line -------------------------------------------------------------------------------

@pytest.mark.parametrize("typed, event", [(b"\n", "founded"), (b"127.0.0.1\n%d\n", "joined"),
                                          (b"127.0.0.1:%d\n", "joined")],
                         ids=["empty answer", "host and port", "both at once"])
def test_the_questions_on_standard_input(launch: Launch, typed: bytes, event: str) -> None:
    alice = launch(1, "--peer", "none")
    port = int(alice.address.rpartition(":")[2])
    node = launch(1)
    node.type_bytes(typed.replace(b"%d", str(port).encode()) + b"hi\n")
    node.wait_for(event)
    node.wait_for("chat", text="hi")
    assert (node.network == alice.network) == (event == "joined")


def test_the_questions_are_shown_to_people(launch: Launch) -> None:
    node = launch(1, as_json=False)
    node.type("")
    node.wait_for_line("founded")
    assert "IP address" in node.lines[0]


@pytest.mark.parametrize("answers", [b"127.0.0.1\nnoport\n", b"not an address\n1\n", b"\xff\xfe\n1\n",
                                     b"127.0.0.1\n\n"])
def test_answers_that_are_not_an_address_found_a_network(launch: Launch, answers: bytes) -> None:
    node = launch(1)
    node.type_bytes(answers)
    node.wait_for("error", code="NETWORK")
    assert [event["event"] for event in node.events] == ["founded", "listening", "error"]


def test_if_the_input_ends_at_a_question_the_node_founds_a_network_and_ends(launch: Launch) -> None:
    node = launch(1)
    node.end_input()
    assert node.wait_exit() == 0
    assert node.all_of("founded")


@pytest.mark.parametrize("peer", ["nobody", "999", "127.0.0.1", "127.0.0.1:0", "a b:1", "no.such.host.invalid:1"])
def test_a_peer_that_cannot_be_joined_is_reported_and_a_network_founded(launch: Launch, peer: str) -> None:
    node = launch(1, "--peer", peer, "--wait", "0")
    reason = node.wait_for("error", code="NETWORK")["reason"]
    assert [event["event"] for event in node.events] == ["founded", "listening", "error"]
    assert peer in reason and "this is a network of its own; nobody else is in it" in reason


def test_a_node_that_calls_itself_founds_a_network(launch: Launch) -> None:
    address = unused_address()
    node = launch(1, "--peer", address, "--port", address.rpartition(":")[2])
    assert node.address == address
    assert node.all_of("founded") and "--announce" in node.wait_for("error", code="NETWORK")["reason"]


def test_a_last_line_right_before_the_end_of_input_still_reaches_the_others(launch: Launch, call: Call) -> None:
    for number in range(5):
        node = launch(1, "--peer", "none")
        peer = call(node)
        peer.join()
        node.type_bytes(b"x" * 4_000 + b"\n" + f"last words {number}".encode())  # no line end
        node.end_input()
        peer.expect("chat", text=f"last words {number}")
        peer.expect_closed()
        peer.close()
        assert node.wait_exit() == 0


def test_last_lines_reach_even_a_peer_that_is_busy_sending(launch: Launch, call: Call) -> None:
    """Closing a socket while something unread is in it would throw away what is not delivered yet."""
    node = launch(1, "--peer", "none")
    peer = call(node, receive_buffer=4_096)
    peer.join()
    lines = [f"{number:05} " + "x" * 3_000 for number in range(200)]
    node.type_bytes("".join(line + "\n" for line in lines).encode())
    node.wait_for("chat", text=lines[-1])
    sender = threading.Thread(target=send_until_it_fails, args=(peer,))
    sender.start()
    peer.receive()
    node.end_input()
    heard = texts(peer.expect_closed())
    peer.end_output()
    sender.join()
    peer.close()
    assert heard == lines
    assert node.wait_exit() == 0


def test_bytes_that_are_not_utf8_and_lines_too_long_are_refused(launch: Launch, call: Call) -> None:
    node = launch(1, "--peer", "none")
    peer = call(node)
    peer.hello()
    node.type_bytes(b"caf\xe9\n" + b"x" * 4_097 + b"\n" + b"y" * 4_096 + b"\r\n\n//x\n/nope\n" + "ünï\n".encode())
    node.wait_for("chat", text="ünï")
    assert [chat["text"] for chat in node.all_of("chat")] == ["y" * 4_096, "/x", "ünï"]
    assert [error["code"] for error in node.all_of("error")] == ["COMMAND"] * 3
    for text in ("y" * 4_096, "/x", "ünï"):
        peer.expect("chat", text=text)


def test_a_line_of_forty_mebibytes_is_refused_and_does_not_hold_up_what_follows(launch: Launch) -> None:
    node = launch(1, "--peer", "none")
    node.type_bytes(b"x" * (40 << 20) + b"\nshort\n")
    node.wait_for("chat", text="short")
    assert [error["code"] for error in node.all_of("error")] == ["COMMAND"]


def test_announce_is_what_others_are_told(launch: Launch, call: Call) -> None:
    port = unused_address().rpartition(":")[2]
    node = launch(1, "--peer", "none", "--port", port, "--announce", "example.org:4711")
    assert node.address == "example.org:4711"
    with RawPeer(f"127.0.0.1:{port}", network=node.network) as peer:
        assert peer.hello()["listen"] == "example.org:4711"
