"""What a node of the chat room is graded by: the room, and the command line. See lab/grade/__init__.py."""

import signal
import socket

import pytest

from lab.grade.asking import expect_exit, peers_of
from lab.grade.scene import Scene, address_of
from lab.grade.shortcomings import check, check_equal

criterion = pytest.mark.criterion


# --- the room ---------------------------------------------------------------------------------------

@criterion("A node founds a network and listens", points=4, clause="§4", cli=True, later=True,
           hint="`founded` comes first, then `listening`, with the address that others can call.")
def test_founds_and_listens(scene: Scene) -> None:
    """With `--peer none` a node founds a network, and says on which address it listens."""
    node = scene.start("none")
    listening = node.listening
    check_equal(node.events[0]["event"], "founded", "the first event")
    check_equal(listening["stage"], scene.stage, "the member `stage` of `listening`")
    check(not listening["address"].endswith(":0"), "the port that the node really listens on", listening)
    host, _, port = node.address.rpartition(":")
    with socket.create_connection((host, int(port)), scene.patience):  # ConnectionError is its shortcoming
        pass


@criterion("A node joins another", points=4, clause="§4", cli=True, later=True)
def test_joins(scene: Scene) -> None:
    """With `--peer` a node joins, and is in the same network as its peer. `joined` comes before `listening`."""
    founder = scene.found_network()
    node = scene.start(founder.address)
    node.wait_for("joined", peer=founder.address)
    check_equal(node.network, founder.network, "the network of the node that joins")
    kinds = [event["event"] for event in node.events if event["event"] in ("joined", "listening")]
    check_equal(kinds, ["joined", "listening"], "the order of the events")


@criterion("Both sides report a new connection, and its end", points=2, clause="§4", cli=True,
           hint="The event `peer` has the state `up` or `down`.")
def test_peer_up_and_down(scene: Scene) -> None:
    """The event `peer` tells of each new connection, and of its end."""
    founder = scene.found_network()
    node = scene.start(founder.address)
    node.wait_for("peer", address=founder.address, state="up")
    founder.wait_for("peer", address=node.address, state="up")
    node.kill()
    founder.wait_for("peer", address=node.address, state="down")


@criterion("A line reaches the next node", points=5, clause="§4", cli=True)
def test_a_line_reaches_the_next(scene: Scene) -> None:
    """What is typed at one node is printed at the other, in both directions."""
    alice = scene.found_network()
    bob = scene.join(alice)
    alice.type("from alice")
    bob.wait_for("chat", text="from alice")
    bob.type("from bob")
    alice.wait_for("chat", text="from bob")


@criterion("A line reaches everybody", points=6, clause="§3 stage 1", cli=True, later=True,
           hint="Flood: hand a new message on to every connection but the one it came from.")
def test_a_line_reaches_everybody(scene: Scene) -> None:
    """What anyone types is printed at every node, even at one that is two hops away."""
    alice = scene.found_network()
    bob = scene.join(alice)
    carol = scene.join(bob)
    for node, text in ((alice, "from alice"), (bob, "from bob"), (carol, "from carol")):
        node.type(text)
    for node in (alice, bob, carol):
        for text in ("from alice", "from bob", "from carol"):
            node.wait_for("chat", text=text)


@criterion("Each line is printed once", points=4, clause="§3 stage 1", cli=True,
           hint="Remember the id of every message, the node's own messages included.")
def test_once(scene: Scene) -> None:
    """Each message is printed once at each node."""
    alice = scene.found_network()
    bob = scene.join(alice)
    carol = scene.join(bob)
    nodes = (alice, bob, carol)
    for node in nodes:
        node.type(f"from {node.label}")
    for node in nodes:
        for other in nodes:
            node.wait_for("chat", text=f"from {other.label}")
    for node in nodes:
        check_equal(len(node.told("chat")), 3, f"the number of `chat` events at {node.label}")


@criterion("The same text twice is two messages", points=3, clause="§1", cli=True,
           hint="The nonce is new for each message, and a part of its id.")
def test_same_text_twice(scene: Scene) -> None:
    """"hi" typed twice is two messages, and "hi" typed by two people is two messages as well."""
    alice = scene.found_network()
    bob = scene.join(alice)
    for node in (alice, bob):
        node.type("hi")
        node.type("hi")
        node.type(f"done {node.label}")
    for node in (alice, bob):
        for other in (alice, bob):
            node.wait_for("chat", text=f"done {other.label}")
    for node in (alice, bob):
        check_equal(len(node.told("chat", text="hi")), 4, f"the number of lines \"hi\" at {node.label}")


@criterion("A late joiner reads what was said before", points=4, clause="§3 stage 1", cli=True, later=True,
           hint="Keep the messages, and send them right after the handshake.")
def test_late_joiner(scene: Scene) -> None:
    """Right after the handshake each side sends the chat messages that it has seen."""
    alice = scene.found_network()
    bob = scene.join(alice)
    alice.type("long ago")
    bob.type("and this")
    bob.wait_for("chat", text="long ago")
    late = scene.join(bob)
    late.wait_for("chat", text="long ago")
    late.wait_for("chat", text="and this")


@criterion("The room goes on when a node is killed", points=3, clause="§2", cli=True)
def test_kill(scene: Scene) -> None:
    """When one connection ends, all the others go on."""
    alice = scene.found_network()
    bob, carol = scene.join(alice), scene.join(alice)
    bob.kill()
    alice.wait_for("peer", address=bob.address, state="down")
    carol.type("still here")
    alice.wait_for("chat", text="still here")


@criterion("Many lines at once all arrive", points=3, clause="§3 stage 1", cli=True,
           hint="One recv may bring several messages, or half of one.")
def test_many_lines(scene: Scene) -> None:
    """Nothing is lost when three nodes say a hundred lines each at the same time."""
    alice = scene.found_network()
    nodes = [alice, scene.join(alice), scene.join(alice)]
    for node in nodes:
        node.type("\n".join(f"{node.label} says {number}" for number in range(100)))
    for node in nodes:
        for other in nodes:
            for number in range(100):
                node.wait_for("chat", text=f"{other.label} says {number}")
    for node in nodes:
        check_equal(len(node.told("chat")), 300, f"the number of `chat` events at {node.label}")


@criterion("It joins a node of another implementation", points=4, clause="§2")
def test_joins_ours(scene: Scene) -> None:
    """A node joins one that somebody else has written, and lines go both ways."""
    ours = scene.found_network(ours=True)
    node = scene.start(ours.address)
    node.wait_for("joined", peer=ours.address)
    ours.type("from ours")
    node.wait_for("chat", text="from ours")
    node.type("from theirs")
    ours.wait_for("chat", text="from theirs")


@criterion("A node of another implementation joins it", points=4, clause="§2")
def test_ours_joins(scene: Scene) -> None:
    """A node that somebody else has written joins this one. Lines go both ways, and are handed on."""
    node = scene.found_network()
    one, other = scene.join(node, ours=True), scene.join(node, ours=True)
    one.type("from one")
    other.wait_for("chat", text="from one")
    node.type("from the middle")
    for ours in (one, other):
        ours.wait_for("chat", text="from the middle")


# --- starting and ending ----------------------------------------------------------------------------

@criterion("It ends cleanly at {end}", points=2, clause="§4", cli=True)
@pytest.mark.parametrize("end", ["end of input", "/quit", "SIGINT", "SIGTERM"])
def test_ends(scene: Scene, end: str) -> None:
    """End of input, `/quit`, Ctrl-C and SIGTERM end the node with exit status 0, and no process of it is left."""
    node = scene.found_network()
    node.ask("/peers", "peers")  # a node may still be starting when it says that it listens
    scene.stays(lambda: not node.has_ended, "the node to run", lambda: "a node that has ended")
    if end == "/quit":
        node.type("/quit")
    elif end == "end of input":
        node.end_input()
    else:
        node.signal(signal.Signals[end])
    check_equal(node.wait_exit(), 0, "the exit status")
    scene.eventually(lambda: not scene.left_behind(), "all processes that the node has started to end with it",
                     lambda: f"{len(scene.left_behind())} processes are left")


@criterion("A daemon goes on when its input ends", points=2, clause="§4", cli=True)
def test_daemon(scene: Scene) -> None:
    """With `--daemon` a node goes on when standard input ends."""
    alice = scene.found_network()
    bob = scene.join(alice, "--daemon")
    bob.end_input()
    # A line that comes before it has noticed the end proves nothing.
    scene.stays(lambda: not bob.has_ended, "the node to go on", lambda: "a node that has ended")
    alice.type("are you there?")
    bob.wait_for("chat", text="are you there?")


@criterion("The last line still reaches the others", points=2, clause="§4", cli=True,
           hint="Send what is still waiting before you close the sockets.")
def test_last_words(scene: Scene) -> None:
    """A line right before the end of input reaches the others."""
    alice = scene.found_network()
    for name in ("bob", "carol", "dave"):
        node = scene.join(alice)
        node.type("\n".join([f"a long speech of {name}"] * 500 + [f"last words of {name}"]))
        node.end_input()
        alice.wait_for("chat", text=f"last words of {name}")


@criterion("The questions are answered on standard input: {answers}", points=2, clause="§4", cli=True)
@pytest.mark.parametrize("answers", ["host and port", "empty"])
def test_questions(scene: Scene, answers: str) -> None:
    """Without `--peer` the node asks for the IP address and then for the port of a peer. An empty answer founds a
    network."""
    alice = scene.found_network()
    node = scene.start(None)
    port = alice.address.rpartition(":")[2]
    node.type("" if answers == "empty" else f"127.0.0.1\n{port}")
    node.wait_for("founded" if answers == "empty" else "joined")
    check_equal(node.network == alice.network, answers != "empty", "the answer to: is it in the network of the peer?")


@criterion("If nobody listens, it founds a network and says so", points=2, clause="§4", cli=True)
def test_nobody(scene: Scene) -> None:
    """A node that was told to join, and has founded a network instead, says so after `listening`: `error` NETWORK."""
    node = scene.start(scene.unused_address(), "--wait", "0")
    node.wait_for("error", code="NETWORK")
    check_equal([event["event"] for event in node.events], ["founded", "listening", "error"], "the events")


@criterion("It waits for a peer that is still starting", points=2, clause="§4", cli=True,
           hint="Call again every half second until --wait is over.")
def test_waits_for_peer(scene: Scene) -> None:
    """A node that has not joined calls its peer again every half second, until `--wait` is over."""
    listener = scene.listen()
    address = address_of(listener)
    node = scene.start(address, "--wait", "60")
    scene.turn_away(listener)  # so that it has called in vain, however slow the machine is
    founder = scene.found_network("--port", address.rpartition(":")[2])
    node.wait_for("joined", peer=founder.address)


@criterion("A peer that was lost is called again", points=2, clause="§2",
           hint="The side that opened a connection opens it again: after 1 s, 2 s, 4 s …")
def test_calls_again(scene: Scene) -> None:
    """A lost connection is opened again by the side that opened it, and its hello now has the network's name."""
    listener, network = scene.listen(), scene.random.randbytes(16).hex()
    node = scene.start(address_of(listener))
    with scene.accept(listener, network) as peer:
        check_equal(peer.hello()["network"], None, "the network in the hello of a node that joins")
        check_equal(node.network, network, "the network of the node")
    with scene.accept(listener, network) as peer:
        check_equal(peer.hello()["network"], network, "the network in the second hello")
        node.type("we meet again")
        peer.expect("chat", text="we meet again")


# --- the command line -------------------------------------------------------------------------------

@criterion("/peers lists the neighbours and the node itself", points=2, clause="§4", cli=True)
def test_peers(scene: Scene) -> None:
    """`peers` has the list of addresses, the node's own included, and the number of connections that are up."""
    alice = scene.found_network()
    check_equal(dict(alice.ask("/peers", "peers")), {"event": "peers", "addresses": [alice.address], "connections": 0},
                "the answer of a node that is alone")
    bob = scene.join(alice)
    for node in (alice, bob):
        check_equal(sorted(peers_of(node)), sorted([alice.address, bob.address]), f"the addresses at {node.label}")
        check_equal(node.ask("/peers", "peers")["connections"], 1, f"the connections at {node.label}")


@criterion("A line that begins with two slashes, and an empty line", points=2, clause="§4", cli=True)
def test_slashes(scene: Scene) -> None:
    """A line that begins with `//` is a message that begins with `/`. An empty line is ignored."""
    node = scene.found_network()
    node.type("\n//help\nplain")
    node.wait_for("chat", text="plain")
    check_equal([chat["text"] for chat in node.told("chat")], ["/help", "plain"], "the texts of the messages")


@criterion("Letters of all languages arrive as they were typed", points=2, clause="§1", cli=True)
def test_unicode(scene: Scene) -> None:
    """Text is UTF-8, on the command line and on the wire; characters are Unicode code points."""
    alice = scene.found_network()
    bob = scene.join(alice)
    text = "ünï ça 漢字 😀 \\n \"quoted\""
    bob.type(text)
    alice.wait_for("chat", text=text)


@criterion("4,096 characters are a message, 4,097 are not", points=2, clause="§3 stage 1", cli=True)
def test_longest_text(scene: Scene) -> None:
    """A text has 1 to 4,096 characters. A longer one is not sent: it is one `error` COMMAND."""
    node = scene.found_network()
    longest = "ü" * 4_096
    node.type(f"{longest}ü\n{longest}")
    node.wait_for("chat", text=longest)
    check_equal(len(node.told("chat")), 1, "the number of `chat` events")
    check_equal([error["code"] for error in node.all_of("error")], ["COMMAND"], "the codes of the errors")


@criterion("A wrong command gives one error and changes nothing", points=2, clause="§4", cli=True, later=True)
def test_wrong_command(scene: Scene) -> None:
    """A command that cannot be carried out gives `error` and changes nothing. /help lists the commands."""
    node = scene.found_network()
    names = [one["command"].split()[0] for one in node.ask("/help", "help")["commands"]]
    check({"/help", "/peers", "/quit"} <= set(names), "/help, /peers and /quit among the commands", names)
    for wrong in ("/nope", "/"):
        check_equal(node.ask(wrong, "error")["code"], "COMMAND", f"the code of the error after {wrong!r}")
    check_equal(node.told("chat"), [], "what was said in the room")
    check_equal(len(node.all_of("error")), 2, "the number of errors after two wrong commands")


@criterion("A wrong option gives one line and status 2", points=2, clause="§4", cli=True, hardening=True)
def test_wrong_option(scene: Scene) -> None:
    """A wrong option gives one line on standard error, and status 2."""
    expect_exit(scene, 2, "--port", "65536")


@criterion("A port in use gives one line and status 1", points=2, clause="§4", cli=True, hardening=True)
def test_port_in_use(scene: Scene) -> None:
    """A port in use gives one line on standard error, and status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        expect_exit(scene, 1, "--port", address_of(taken).rpartition(":")[2])


@criterion("Control characters cannot drive a terminal", points=3, clause="§4", hardening=True)
def test_control_characters(scene: Scene) -> None:
    r"""Control characters in anything that came from others are shown to people as `\xNN`."""
    founder = scene.found_network()
    node = scene.start(founder.address, as_json=False)
    founder.wait_for("peer", state="up")
    founder.type("\x1b[2Jred\x07\x7f")
    node.wait_for_line(r"\x1b[2Jred\x07\x7f")


@criterion("Input that is not UTF-8 is refused", points=2, clause="§4", cli=True, hardening=True)
def test_input_no_utf8(scene: Scene) -> None:
    """A line that is not UTF-8 gives `error`, and the next line is read."""
    node = scene.found_network()
    node.type_bytes(b"caf\xe9\nfine\n")
    node.wait_for("chat", text="fine")
    check_equal(len(node.told("chat")), 1, "the number of `chat` events")
    check_equal([error["code"] for error in node.all_of("error")], ["COMMAND"], "the codes of the errors")


@criterion("Three nodes that start at once become one network", points=3, clause="§4", cli=True, hardening=True)
def test_at_once(scene: Scene) -> None:
    """Nodes that are started at once become one network, in any order, if one of them is told to found it."""
    listeners = [scene.listen() for _ in range(2)]
    ports = [address_of(one) for one in listeners]
    last = scene.start(ports[1], "--wait", "60")
    scene.turn_away(listeners[1])  # so that each has called in vain, however quickly the next one starts
    middle = scene.start(ports[0], "--wait", "60", "--port", ports[1].rpartition(":")[2])
    scene.turn_away(listeners[0])
    first = scene.start("none", "--port", ports[0].rpartition(":")[2])
    for node in (middle, last):
        node.wait_for("joined")
        check_equal(node.network, first.network, f"the network of {node.label}")
