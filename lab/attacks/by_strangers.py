"""Attacks by strangers on nodes that join or come back: a stranger tries to keep a node from what it lacks."""

from contextlib import ExitStack

from lab.adversaries.dishonest_nodes import Namer, StakeOwner
from lab.attacks.attack import NO_BLOCKS, NO_STAKE, Attack, Finding, holds_if
from lab.attacks.scene import STAKES, Scene, Unmeasured
from lab.adversaries.intruder import Intruder

LENGTH = 520
"""The number of blocks in the chain: more than one answer holds, so that a node that catches up must ask again."""

ORPHAN_SLOTS = 260
"""The number of slots with two orphans each."""

BLOCK_PERMILLE, BEGAN_AGO = 999, 600.0
"""How many of a thousand slots have a block, and how many seconds ago the first slot was. With these values each stake
holder wins about half of the slots, and has already won enough of them."""


def orphans_that_hold_up_a_newcomer(scene: Scene) -> Finding:
    """A node that has just joined is cut off, and one stake holder of ten sends it five hundred orphans. Meanwhile the
    others have a chain of more blocks than one answer holds. In stage 5, which introduces stakes, orphans cost their
    maker nothing. A node that asked for no more blocks while too many orphans waited would stay behind for ten minutes.
    Stage 5 stops it: orphans give way to blocks that continue the chain."""
    scene.add(stakes="none", proxied=True, permille=BLOCK_PERMILLE, began_ago=BEGAN_AGO)
    newcomer = scene.add(stakes="none", proxied=True)
    scene.partition([0], [newcomer])
    with StakeOwner(scene.target(newcomer), scene.stake(2)) as evil:
        evil.send_orphans(ORPHAN_SLOTS, scene.random)
        if not evil.barrier() or not scene.status(newcomer, "waiting"):
            raise Unmeasured("no orphan waits at the newcomer")
        with StakeOwner(scene.target(0), scene.stake(3)) as honest:
            honest.send_chain(LENGTH)
            honest.barrier()
        scene.faults.heal()
        caught_up = scene.eventually(lambda: scene.status(newcomer, "height") == LENGTH)
        height, waiting = scene.status(newcomer, "height"), scene.status(newcomer, "waiting")
    if scene.status(0, "height") != LENGTH:
        raise Unmeasured("there is no chain to catch up with")
    return holds_if(caught_up, f"{2 * ORPHAN_SLOTS} orphans were sent to node {newcomer}; linked again, it has {height}"
                               f" of {LENGTH} blocks, and {waiting} wait")


STRANGERS = 20
NEWS = 10


def strangers_that_list_ids_and_never_send_them(scene: Scene) -> Finding:
    """A node is cut off while money is paid. Twenty strangers call it, and list all the payments that it lacks before
    anybody else does. They answer each request for them with nothing but a pong. From stage 2 on a node fetches what it
    lacks, and must not wait for such peers. Stage 2 withstands it: the node next asks another peer that listed the id,
    beginning with peers that it called itself. A peer that listed an id and did not send it is asked last."""
    scene.start(2, proxied=True, stakes=[",".join(map(str, STAKES)), "none"])
    scene.partition([0], [1])
    scene.tell(0, NEWS)
    ids = [str(event["id"]) for event in scene.reported(0, "sent")]
    with ExitStack() as stack:
        strangers = [stack.enter_context(Namer(scene.target(1))) for _ in range(STRANGERS)]
        for stranger in strangers:
            stranger.name(ids)
        if not scene.eventually(lambda: any(stranger.was_asked.is_set() for stranger in strangers)):
            raise Unmeasured("the node has asked none of the strangers")
        scene.faults.heal()
        heard = scene.all_heard()
        asked = sum(stranger.was_asked.is_set() for stranger in strangers)
        executed = scene.heard(1)
    return holds_if(heard, f"{STRANGERS} strangers named {NEWS} payments, and {asked} of them were asked; linked again"
                           f" to a node that has them, node 1 has executed {executed}")


def a_claimed_name(scene: Scene) -> Finding:
    """Two neighbours are cut off from each other. A stranger calls each of them, and claims the address of the other. A
    node that believed this would stop calling its neighbour, as if it were back: the cut would never heal. Stage 1
    withstands it, and so do all later stages: a caller's claim proves nothing, and a node calls a lost neighbour until
    it has reached it itself."""
    scene.start(2, proxied=True)
    addresses = [scene.nodes[number].address for number in (0, 1)]
    before = [count_links_up(scene, number, addresses[1 - number]) for number in (0, 1)]
    scene.partition([0], [1])
    with ExitStack() as stack:
        claimants = [stack.enter_context(Intruder(scene.target_behind_proxy(number), listen=addresses[1 - number]))
                     for number in (0, 1)]
        if not all(claimant.barrier() for claimant in claimants):
            raise Unmeasured("a node did not let in a stranger that claims a neighbour's address")
        if not all(count_links_up(scene, number, addresses[1 - number]) > before[number] for number in (0, 1)):
            raise Unmeasured("no node took the stranger for its neighbour")
        scene.faults.heal()
        scene.tell(0)
        heard = scene.all_heard()
    return holds_if(heard, f"a stranger called each of two neighbours in the other's name; after the cut node 1 has"
                           f" heard {scene.heard(1)} of {scene.told}")


def count_links_up(scene: Scene, number: int, address: str) -> int:
    """How often a node has reported that a peer of this address is linked."""
    return sum(event["address"] == address and event["state"] == "up" for event in scene.reported(number, "peer"))


ATTACKS = [
    Attack("orphans that hold up a newcomer", orphans_that_hold_up_a_newcomer,
           {**dict.fromkeys((1, 2, 3), NO_BLOCKS), 4: NO_STAKE}),
    Attack("strangers that list ids and never send them", strangers_that_list_ids_and_never_send_them,
           {1: "nodes ask for nothing: each newcomer is sent the history"}),
    Attack("a claimed name", a_claimed_name),
]
