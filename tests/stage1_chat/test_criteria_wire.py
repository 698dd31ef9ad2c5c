"""What a node is graded by on the wire, in the chat room and in all that comes after it: contract §1 and §2."""

import json
import time

import pytest

from lab.blackbox.peer import MAX_FRAME, Event, chat_message, frame
from lab.grade.asking import expect_refusal, expect_served
from lab.grade.scene import Scene, setting_up
from lab.grade.shortcomings import check, check_equal

criterion = pytest.mark.criterion
NONCE = "0" * 32


# --- basics -----------------------------------------------------------------------------------------

@criterion("Both say hello first", points=4, clause="§2", later=True)
def test_hello(scene: Scene) -> None:
    """Both ends send `hello` first, at once, with version, stage, network and the address listened on."""
    node = scene.found_network()
    hello = scene.call(node).receive()
    check_equal(hello, {"type": "hello", "version": 1, "stage": scene.stage, "network": node.network,
                        "listen": node.address}, "the first message")


@criterion("A ping is answered", points=3, clause="§2", later=True, hint="The pong has the nonce of the ping.")
def test_ping(scene: Scene) -> None:
    """A ping is answered by a pong with the same nonce, after everything that came before it has been handled."""
    node = scene.found_network()
    peer = scene.call(node)
    peer.hello()
    message = chat_message("before the ping")
    peer.send(message, {"type": "ping", "nonce": "are you there?"})
    peer.expect("pong", nonce="are you there?")
    node.wait_for("chat", text="before the ping")


@criterion("A message is forwarded, but not back to where it came from", points=4, clause="§3 stage 1")
def test_not_back(scene: Scene) -> None:
    """To flood a message is to send it on every connection but the one it came from."""
    node = scene.found_network()
    sender, watcher = scene.link(node), scene.link(node)
    message = chat_message("pass it on")
    sender.send(message)
    watcher.expect("chat", **{name: message[name] for name in ("nonce", "text")})
    check("chat" not in [one["type"] for one in sender.barrier()], "nothing to come back to the sender", "it came back")


@criterion("A repeat is neither printed nor forwarded", points=4, clause="§1",
           hint="The id is the hash of network, nonce and text: look it up before you do anything with a message.")
def test_repeat(scene: Scene) -> None:
    """A message is printed and forwarded the first time that it is seen, and never again, even at the node that has
    made it."""
    node = scene.found_network()
    sender, other, watcher = scene.link(node), scene.link(node), scene.link(node)
    message = chat_message("once")
    sender.send(message)
    with setting_up("a message that is forwarded"):
        watcher.expect("chat", nonce=message["nonce"])
    other.send(message)
    sender.send(message)
    other.barrier()
    sender.barrier()
    node.type("its own")
    sender.send(sender.expect("chat", text="its own"))
    sender.barrier()
    texts = [one["text"] for one in watcher.barrier() if one["type"] == "chat"]
    check_equal(texts, ["its own"], "the texts of the messages that were forwarded after the first one")
    check_equal([chat["text"] for chat in node.told("chat")], ["once", "its own"], "the texts of the `chat` events")


@criterion("Frames may be cut anywhere", points=4, clause="§1",
           hint="One recv is not one message: collect bytes until the frame is whole.")
def test_cut_anywhere(scene: Scene) -> None:
    """TCP may cut frames anywhere, even within the length."""
    node = scene.found_network()
    peer, other = scene.call(node), scene.link(node)
    for message in (peer.hello_message(), chat_message("drop by drop")):
        data = frame(json.dumps(message).encode())
        for start, end in ((0, 2), (2, 4), (4, 5), (5, 9), (9, len(data))):
            peer.send_bytes(data[start:end])
            other.barrier()  # so the node has time to read each piece by itself
    node.wait_for("chat", text="drop by drop")


@criterion("Many frames may come in one piece", points=3, clause="§1")
def test_joined_frames(scene: Scene) -> None:
    """TCP may join frames: five hundred that come at once are five hundred messages."""
    node = scene.found_network()
    peer = scene.call(node)
    peer.send(peer.hello_message(), *(chat_message(f"line {number}") for number in range(500)))
    peer.barrier()
    node.wait_for("chat", text="line 499")
    expected = [f"line {number}" for number in range(500)]
    check_equal([chat["text"] for chat in node.told("chat")], expected, "the texts, in order")


@criterion("A new neighbour is sent what was said", points=3, clause="§3 stage 1")
def test_history(scene: Scene) -> None:
    """Right after the handshake each side sends the chat messages that it has seen, as they were flooded."""
    node = scene.found_network()
    first = scene.link(node)
    message = chat_message("before you came")
    first.send(message)
    first.barrier()
    late = scene.call(node)
    late.hello()
    check_equal(dict(late.expect("chat")), message, "the message that is sent to a node that comes later")


@criterion("An unknown type is ignored", points=3, clause="§2")
def test_unknown_type(scene: Scene) -> None:
    """An unknown type is ignored, even one that only a later stage knows. The connection stays open."""
    node = scene.found_network()
    peer, watcher = scene.link(node), scene.link(node)
    peer.send({"type": "nobody knows this", "a": [1.5e300, {"b": None}]}, {"type": "later6", "number": -1})
    expect_served(node, peer)
    kinds = {one["type"] for one in watcher.barrier()}
    check(not kinds & {"nobody knows this", "later6"}, "an unknown type not to be forwarded", sorted(kinds))
    check_equal(node.told("error"), [], "the errors")


@criterion("The user is told of the `error` of a peer", points=2, clause="§2")
def test_error_is_told(scene: Scene) -> None:
    """Whoever receives an `error` tells its user and closes the connection."""
    node = scene.found_network()
    peer = scene.link(node)
    peer.send({"type": "error", "code": "BUSY", "reason": "not today"})
    peer.expect_closed()
    node.wait_for("error", code="BUSY")


@criterion("A connection that ends in the middle of a frame ends nothing else", points=2, clause="§2")
def test_cut_off(scene: Scene) -> None:
    """A frame that is cut off is ignored, and other connections are served."""
    node = scene.found_network()
    peer, other = scene.link(node), scene.link(node)
    peer.send_bytes(frame(json.dumps(chat_message("never whole")).encode())[:-1])
    peer.close()
    node.wait_for("peer", address=peer.listen, state="down")
    expect_served(node, other)
    check_equal(len(node.told("chat")), 1, "the number of `chat` events")


# --- hardening: the handshake -----------------------------------------------------------------------

@criterion("A wrong `{member}` in the hello is refused", points=2, clause="§2", hardening=True)
@pytest.mark.parametrize("member", ["version", "network", "listen"])
def test_other_kind(scene: Scene, member: str) -> None:
    """The connection ends, after `error` HANDSHAKE, if the version or the network differs, or if
    `listen` is the receiver's own address."""
    node = scene.found_network()
    values = {"version": 2, "network": "f" * len(node.network), "listen": node.address}
    peer = scene.call(node)
    peer.send(peer.hello_message(**{member: values[member]}))
    peer.expect_closed("HANDSHAKE")
    scene.link(node)


@criterion("Nothing may come before hello", points=2, clause="§2", hardening=True)
def test_before_hello(scene: Scene) -> None:
    """The connection ends, after `error` HANDSHAKE, if anything but `error` comes before the hello."""
    node = scene.found_network()
    hasty = scene.call(node)
    hasty.send(chat_message("never heard"), hasty.hello_message())
    hasty.expect_closed("HANDSHAKE")
    check_equal(node.told("chat"), [], "what was said in the room")


@criterion("A peer that says no hello within 5 s is refused", points=2, clause="§2", hardening=True)
def test_no_hello(scene: Scene) -> None:
    """The connection ends, after `error` HANDSHAKE, if no hello comes within 5 seconds, and not earlier."""
    node, began = scene.found_network(), time.monotonic()
    scene.call(node).expect_closed("HANDSHAKE", 5 + scene.patience)
    check(time.monotonic() - began >= 4, "5 seconds", f"it was after {time.monotonic() - began:.1f} seconds")


@criterion("A second hello is refused", points=1, clause="§2", hardening=True)
def test_second_hello(scene: Scene) -> None:
    """A second hello ends the connection with FORMAT."""
    node = scene.found_network()
    peer = scene.link(node)
    peer.send(peer.hello_message())
    peer.expect_closed("FORMAT")


# --- hardening: the table of bad input --------------------------------------------------------------

class Bad:
    """A row of the table."""

    def __init__(self, name: str, data: bytes | Event) -> None:
        self.name, self.data = name, data

    def __repr__(self) -> str:
        return self.name


FRAMES = [
    Bad("length 0", b"\0\0\0\0"),
    Bad("not UTF-8", frame(b'{"type":"chat","nonce":"%s","text":"\xff"}' % NONCE.encode())),
    Bad("a member twice", frame(b'{"type":"x","type":"chat"}')),
    Bad("no type", frame(b"{}")),
]
FORMATS = [
    Bad("a member is missing", {"type": "chat", "nonce": NONCE}),
    Bad("an extra member", {"type": "chat", "nonce": NONCE, "text": "hi", "id": 1}),
    Bad("a text that is a number", {"type": "chat", "nonce": NONCE, "text": 1}),
    Bad("a text too long", {"type": "chat", "nonce": NONCE, "text": "x" * 4_097}),
]


@criterion("A bad frame is refused: {row}", points=1, clause="§2", hardening=True)
@pytest.mark.parametrize("row", FRAMES, ids=repr)
def test_frame(scene: Scene, row: Bad) -> None:
    """Length 0 or over the limit, not UTF-8, not JSON, not an object, a member twice, no string `type`: the node sends
    `error` FRAME and closes that connection. It goes on serving the others."""
    expect_refusal(scene, scene.found_network(), "FRAME", row.data)


@criterion("A bad message is refused: {row}", points=1, clause="§2", hardening=True)
@pytest.mark.parametrize("row", FORMATS, ids=repr)
def test_format(scene: Scene, row: Bad) -> None:
    """A known type with a missing, extra or wrongly typed member, or with anything that the contract rules out: the node
    sends `error` FORMAT and closes that connection. It goes on serving the others."""
    expect_refusal(scene, scene.found_network(), "FORMAT", row.data)


@criterion("Bytes that are not a frame end their connection and nothing else", points=2, clause="§2", hardening=True,
           later=True)
def test_http(scene: Scene) -> None:
    """Whatever one connection does, the node goes on serving the others."""
    expect_refusal(scene, scene.found_network(), "FRAME", b"GET / HTTP/1.1\r\n\r\n")


# --- hardening: much --------------------------------------------------------------------------------

@criterion("The longest frame is accepted", points=2, clause="§1", hardening=True)
def test_longest_frame(scene: Scene) -> None:
    """A frame has up to 4,194,304 bytes after its length."""
    node = scene.found_network()
    peer = scene.link(node)
    peer.send_body(json.dumps(chat_message("in a large frame")).encode().ljust(MAX_FRAME))
    peer.barrier()
    node.wait_for("chat", text="in a large frame")


@criterion("The 129th inbound connection is refused with BUSY", points=2, clause="§2", hardening=True)
def test_busy(scene: Scene) -> None:
    """With 128 inbound connections, one more gets `error` BUSY, and the others are served."""
    node = scene.found_network()
    others = [scene.call(node) for _ in range(128)]
    for peer in others:
        peer.hello()
    scene.call(node).expect_closed("BUSY")
    expect_served(node, others[-1])


@criterion("A silent peer is pinged after 20 s and closed after 60 s", points=2, clause="§2", hardening=True, slow=True)
def test_silence(scene: Scene) -> None:
    """A connection that has been silent for 20 s is pinged, one silent for 60 s is closed, and not earlier."""
    peer, began = scene.link(scene.found_network()), time.monotonic()
    peer.expect("ping", 25 + scene.patience)
    peer.expect_closed(None, 50 + scene.patience)
    check(time.monotonic() - began >= 55, "60 seconds", f"it was after {time.monotonic() - began:.1f} seconds")


@criterion("A peer that never reads is dropped, and the others are served", points=2, clause="§2", hardening=True,
           slow=True)
def test_never_reads(scene: Scene) -> None:
    """The connection of a peer for which more than 64 MiB wait is closed without a word."""
    node = scene.found_network()
    stuck, source, reader = scene.link(node, receive_buffer=4_096), scene.link(node), scene.link(node)
    for number in range(20):
        source.send_body(json.dumps(chat_message(f"large {number}")).encode().ljust(MAX_FRAME))
        reader.expect("chat", text=f"large {number}")
    node.wait_for("peer", address=stuck.listen, state="down")
    expect_served(node, source)
