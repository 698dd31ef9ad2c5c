"""Accidents and attacks that need no account: nodes and connections that fail, and peers that cost time and memory."""

import threading
import time
from contextlib import ExitStack

from lab.adversaries.dishonest_nodes import Deaf, Garbage, Strangers
from lab.attacks.attack import NO_ORDER, Attack, Finding, holds_if
from lab.attacks.scene import GRACE, PATIENCE, Scene, Unmeasured
from lab.adversaries.intruder import Intruder
from lab.blackbox.peer import NoAnswer
from lab.adversaries.raw_peers import fill_history

NEWS = 3
"""The number of pieces of news that are told before something goes wrong, or while it does."""


def late_joiner(scene: Scene) -> Finding:
    """A node joins late, when much has already been said. In the chat room each neighbour sends a newcomer its history,
    the newest 1,000 messages. From stage 2 on two neighbours compare all that they have; stages 4 and 5 then send the
    blocks, so the late joiner reaches the same ledger."""
    scene.start(1)
    scene.tell(0, NEWS)
    scene.all_heard()
    number = scene.add()
    heard = scene.all_heard()
    return holds_if(heard, f"node {number}, a late joiner, has heard {scene.heard(number)} of {scene.told}")


def message_lost_with_its_connection(scene: Scene) -> Finding:
    """A message is on its way when the line breaks, and is lost with it. TCP does not say so: bytes that were written
    have not always arrived. In stage 1 the node calls its lost neighbour again, and sends it the history. From stage
    2 on neighbours compare what they have when they are linked, and every five seconds."""
    scene.start(2, proxied=True)
    scene.faults.stall("0", "1")
    scene.tell(0)
    before = scene.heard(1)
    scene.partition([0], [1])
    scene.faults.heal()
    if before:
        raise Unmeasured("the message had arrived before the line was cut")
    heard = scene.all_heard()
    return holds_if(heard, f"lost on the way to node 1; when node 1 was linked again, it heard {scene.heard(1)} of 1")


def partition_and_heal(scene: Scene) -> Finding:
    """The network is partitioned, news is told in both halves, and the partition heals. Nodes call lost neighbours
    again. Then stage 1 sends the history (1,000 messages; after a longer partition the oldest are lost). Stage 2 sends
    what the other side lacks, stage 4 the blocks, and stage 5 the longer branch. The transactions of the shorter branch
    are executed again on the longer one."""
    scene.start(3, proxied=True)
    scene.partition([0], [1, 2])
    for number in (0, 1):
        scene.tell(number, NEWS)
    apart = [scene.heard(number) for number in range(3)]
    if max(apart) > NEWS:
        raise Unmeasured("news has crossed the partition")
    scene.faults.heal()
    heard = scene.all_heard()
    agree = scene.stage == 1 or scene.all_agree()
    return holds_if(heard and agree, f"{NEWS} told in each half; after the cut {scene.each(scene.heard)}"
                                     + (f", ledgers {'equal' if agree else 'differ'}" if scene.stage > 1 else ""))


def crash_of_a_node_in_the_middle(scene: Scene) -> Finding:
    """Three nodes have each joined the one before, and the middle one is killed. In the chat room a node keeps one
    connection, so the room falls apart. Stage 2 stops it: each node has ten connections along a ring and two at random,
    and calls other nodes when it loses one."""
    scene.start(3)
    scene.kill(1)
    if not scene.eventually(lambda: any(event["state"] == "down" for event in scene.reported(2, "peer"))):
        raise Unmeasured("node 2 has not noticed that node 1 is gone")
    scene.tell(0)
    # If node 2 has no connection, waiting longer does not help.
    seconds = PATIENCE if scene.nodes[2].ask("/peers", "peers")["connections"] else GRACE
    heard = scene.all_heard(seconds, [0, 2])
    connections = scene.nodes[2].ask("/peers", "peers")["connections"]
    return holds_if(heard, f"node 2 has heard {scene.heard(2)} of {scene.told}; its connections: {connections}")


def crash_of_the_sequencer(scene: Scene) -> Finding:
    """The node that founded the network is killed. In stage 4 it is the sequencer: payments wait until it is back,
    perhaps forever. Stage 5 stops it: no single node makes the blocks, and the others go on."""
    scene.start(3)
    scene.tell(0)
    if not scene.all_heard():
        raise Unmeasured("the network did not work even before the crash")
    scene.kill(0)
    scene.tell(1)
    heard = scene.all_heard(PATIENCE if scene.stage == 5 else GRACE, [1, 2])
    evidence = "a payment made after the crash was executed at nodes 1 and 2"
    if not heard:
        evidence = f"a payment made after the crash waited at nodes 1 and 2 for {GRACE:g} seconds or longer"
        scene.restart_founder()
        evidence += f"; executed when node 0 was back: {'yes' if scene.all_heard() else 'no'}"
    return holds_if(heard, evidence)


# --- peers that cost time and memory ----------------------------------------------------------------

class Witness:
    """A well-behaved peer that pings a node again and again, and notes the slowest answer, in seconds."""

    def __init__(self, scene: Scene, number: int) -> None:
        self.slowest, self.answers, self.failure = 0.0, 0, ""
        self._peer = Intruder(scene.target(number))
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ping, name="witness", daemon=True)

    def _ping(self) -> None:
        while not self._is_over.wait(0.02) and not self.failure:
            asked = time.monotonic()
            try:
                if not self._peer.barrier(PATIENCE):
                    self.failure = "its connection was ended"
            except NoAnswer as error:
                self.failure = str(error)
            except OSError:
                self.failure = "its connection broke"
            self.answers += 1
            self.slowest = max(self.slowest, time.monotonic() - asked)

    def __enter__(self) -> "Witness":
        self._peer.barrier()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._peer.close()

    def describe(self) -> str:
        """What it has seen, in a few words."""
        if self.failure:
            return f"a well-behaved peer was not served: {self.failure}"
        return f"slowest of {self.answers} answers to a well-behaved peer after {self.slowest:.1f} s"


def flood_of_garbage(scene: Scene) -> Finding:
    """A stranger sends noise, frames that are not JSON, and malformed messages. It comes back whenever it is thrown
    out. Stage 1 withstands it, and so do all later stages: a malformed message ends its connection before it changes
    anything, every connection has its turn, and new ones are accepted slowly."""
    scene.start(2)
    garbage = Garbage(scene.target(0), scene.random)
    with Witness(scene, 0) as witness:
        garbage.flood(seconds=1.5)
        scene.tell(1)
        heard = scene.all_heard()
    if not garbage.bytes_sent:
        raise Unmeasured("nothing was sent")
    return holds_if(heard and not witness.failure,
                    f"{garbage.bytes_sent / 2**20:.1f} MiB on {garbage.connections} connections;"
                    f" {witness.describe()}; news {'arrived' if heard else 'did NOT arrive'}")


DEAF = 10
"""The number of connections of the peer that never reads."""


def a_peer_that_never_reads(scene: Scene) -> Finding:
    """A stranger opens ten connections. The node sends it the whole history on each, and it reads nothing. A node that
    waited for it would stop. Stage 1 withstands it, and so do all later stages: each peer has its own writer thread,
    the node itself waits for nobody, and a peer that leaves too much unread is disconnected."""
    scene.start(2)
    with Witness(scene, 0) as witness, ExitStack() as stack:
        size = fill_history(scene.target(0), 1_000)
        for _ in range(DEAF):
            stack.enter_context(Deaf(scene.target(0)))
        scene.eventually(lambda: count_dropped(scene) > 0)
        scene.tell(1)
        heard = scene.all_heard()
        dropped = count_dropped(scene)
    if not dropped:
        raise Unmeasured(f"{DEAF} times {size} bytes are not more than a node keeps for others")
    return holds_if(heard and not witness.failure,
                    f"{DEAF} connections were each sent {size / 2**20:.0f} MiB, {dropped} of them closed;"
                    f" {witness.describe()}; news {'arrived' if heard else 'did NOT arrive'}")


def count_dropped(scene: Scene) -> int:
    """How many peers node 0 has disconnected because they read too slowly."""
    return sum(event["code"] == "BUSY" for event in scene.reported(0, "error"))


def invented_peers(scene: Scene) -> Finding:
    """A node announces three hundred nodes that do not exist. They enter the list of peers, which is new in stage 2,
    and a node calls the next ones on the ring. Stage 2 already withstands it: a node keeps its real neighbours, makes
    only 24 such calls at once and then one a second, and drops an address that does not answer. A newcomer keeps the
    peer that it has joined."""
    scene.start(2)
    evil = scene.add(evil="strangers")
    scene.wait_for(evil, "evil")
    listed = scene.eventually(lambda: count_listed(scene) > Strangers.COUNT / 2) and count_listed(scene)
    if not listed:
        raise Unmeasured(f"only {count_listed(scene)} addresses are in the list of node 1")
    scene.tell(0)
    number = scene.add(peer=scene.nodes[1].address, links=1)
    scene.tell(1)
    heard = scene.all_heard()
    return holds_if(heard, f"node 1 listed {listed} addresses; {scene.told} pieces of news were told, and heard:"
                           f" {scene.each(scene.heard)}; node {number} has joined after the attack")


def count_listed(scene: Scene) -> int:
    """How many addresses are in the list of node 1."""
    return len(scene.nodes[1].ask("/peers", "peers")["addresses"])


ATTACKS = [
    Attack("late joiner", late_joiner),
    Attack("a message lost with its connection", message_lost_with_its_connection),
    Attack("partition and heal", partition_and_heal),
    Attack("crash of a node in the middle", crash_of_a_node_in_the_middle),
    Attack("crash of the sequencer", crash_of_the_sequencer, dict.fromkeys((1, 2, 3), NO_ORDER)),
]

COSTLY = [
    Attack("flood of garbage", flood_of_garbage),
    Attack("a peer that never reads", a_peer_that_never_reads),
    Attack("invented peers", invented_peers, {1: "there is no list of peers"}),
]
"""The last rows of the table."""
