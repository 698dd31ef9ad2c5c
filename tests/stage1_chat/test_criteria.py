"""What a node of the chat room is graded by: the room, and the command line. See lab/grade/__init__.py."""

import json

import pytest

from lab.blackbox.peer import chat_message, frame
from lab.grade.scene import Scene
from lab.grade.shortcomings import check, check_equal


# --- the room ---------------------------------------------------------------------------------------

@pytest.mark.criterion("A node founds a network and listens", points=6, clause="§4", cli=True, later=True,
                       hint="`founded` comes first, then `listening`, with the address that others can call.")
def test_founds_and_listens(scene: Scene) -> None:
    """With `--peer none` a node founds a network, and says on which address it listens."""
    node = scene.start("none")
    listening = node.listening
    check_equal(node.events[0]["event"], "founded", "the first event")
    check_equal(listening["stage"], scene.stage, "the member `stage` of `listening`")
    check(not listening["address"].endswith(":0"), "the port that the node really listens on", listening)


@pytest.mark.criterion("A node joins another", points=6, clause="§4", cli=True, later=True)
def test_joins(scene: Scene) -> None:
    """With `--peer` a node joins, and is in the same network as its peer."""
    founder = scene.found()
    node = scene.start(founder.address)
    node.wait_for("joined", peer=founder.address)
    check_equal(node.network, founder.network, "the network of the node that joins")


@pytest.mark.criterion("A line reaches everybody", points=8, clause="§3 stage 1", cli=True, later=True,
                       hint="Flood: hand a new message on to every connection but the one it came from.")
def test_a_line_reaches_everybody(scene: Scene) -> None:
    """What anyone types is printed at every node, the writer's too, also where there are two hops between them."""
    alice = scene.found()
    bob = scene.join(alice)
    carol = scene.join(bob)
    for node, text in ((alice, "from alice"), (bob, "from bob"), (carol, "from carol")):
        node.type(text)
    for node in (alice, bob, carol):
        for text in ("from alice", "from bob", "from carol"):
            node.wait_for("chat", text=text)


@pytest.mark.criterion("Each line is printed once", points=6, clause="§3 stage 1", cli=True,
                       hint="Remember the ids of the messages that were seen, the node's own included.")
def test_once(scene: Scene) -> None:
    """Each message is printed once at each node; equal lines are several messages."""
    alice = scene.found()
    bob = scene.join(alice)
    for node in (alice, bob):
        node.type("hi")
        node.type("hi")
        node.type(f"done {node.label}")
    for node in (alice, bob):
        for other in (alice, bob):
            node.wait_for("chat", text=f"done {other.label}")
        check_equal(len(node.told("chat", text="hi")), 4, f"the number of lines \"hi\" at {node.label}")


@pytest.mark.criterion("A late joiner reads what was said before", points=6, clause="§3 stage 1", cli=True, later=True)
def test_late_joiner(scene: Scene) -> None:
    """Right after the handshake each side sends the chat messages that it has seen."""
    alice = scene.found()
    alice.type("long ago")
    alice.wait_for("chat", text="long ago")
    scene.join(alice).wait_for("chat", text="long ago")


@pytest.mark.criterion("The room goes on when a node is killed", points=4, clause="§2", cli=True, later=True)
def test_kill(scene: Scene) -> None:
    """The end of one connection is the end of nothing else."""
    alice = scene.found()
    bob, carol = scene.join(alice), scene.join(alice)
    bob.kill()
    alice.wait_for("peer", address=bob.address, state="down")
    carol.type("still here")
    alice.wait_for("chat", text="still here")


@pytest.mark.criterion("It ends in order at {end}", points=2, clause="§4", cli=True)
@pytest.mark.parametrize("end", ["end of input", "/quit"])
def test_ends(scene: Scene, end: str) -> None:
    """End of input, `/quit`, Ctrl-C and SIGTERM end the node in order, with exit status 0."""
    node = scene.found()
    if end == "/quit":
        node.type("/quit")
    else:
        node.end_input()
    check_equal(node.wait_exit(), 0, "the exit status")


# --- the wire ---------------------------------------------------------------------------------------

@pytest.mark.criterion("Both say hello first", points=5, clause="§2", later=True)
def test_hello(scene: Scene) -> None:
    """Both ends send `hello` first, at once, with version, stage, network and the address listened on."""
    node = scene.found()
    hello = scene.call(node).receive()
    check_equal(hello, {"type": "hello", "version": 1, "stage": scene.stage, "network": node.network,
                        "listen": node.address}, "the first message")


@pytest.mark.criterion("A ping is answered", points=4, clause="§2", later=True)
def test_ping(scene: Scene) -> None:
    """A ping is answered by a pong with the same nonce."""
    peer = scene.call(scene.found())
    peer.hello()
    peer.send({"type": "ping", "nonce": "are you there?"})
    peer.expect("pong", nonce="are you there?")


@pytest.mark.criterion("Frames may be cut anywhere", points=5, clause="§1",
                       hint="One recv is not one message: collect bytes until the frame is whole.")
def test_cut_anywhere(scene: Scene) -> None:
    """TCP may cut and join frames anywhere."""
    node = scene.found()
    peer = scene.call(node)
    for byte in frame(json.dumps(peer.hello_message()).encode()) + frame(json.dumps(chat_message("drop by drop")).encode()):
        peer.send_bytes(bytes([byte]))
    node.wait_for("chat", text="drop by drop")


@pytest.mark.criterion("Bytes that are no frame end their connection", points=5, clause="§2", hardening=True)
def test_no_frame(scene: Scene) -> None:
    """What is no frame is answered by `error` FRAME, and the connection is closed; the others are served."""
    node = scene.found()
    bad, good = scene.link(node), scene.link(node)
    bad.send_bytes(b"GET / HTTP/1.1\r\n\r\n")
    bad.expect_closed("FRAME")
    good.barrier()
