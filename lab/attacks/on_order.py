"""The attacks on the order: by the sequencer of stage 4, and by stake holders of stage 5."""

from collections.abc import Callable

from common.console import count
from lab.adversaries.dishonest_nodes import PUBLISHED_AFTER, BlockForger, Outsider, Spender
from lab.attacks.attack import NO_BLOCKS, NO_ORDER, NO_STAKE, Attack, Finding, holds_if
from lab.attacks.on_money import PURSE, hear_one_more
from lab.attacks.scene import GRACE, Scene, Unmeasured
from lab.adversaries.intruder import Intruder, transaction_id
from lab.blackbox.peer import Event

EQUAL = {True: "ledgers equal", False: "ledgers DIFFER"}


def executed(heard: bool) -> str:
    """Whether a payment made during the attack was executed, as words for the evidence."""
    return f"a payment made meanwhile was {'' if heard else 'NOT '}executed"


def evil_deeds(scene: Scene, number: int, seconds: float, is_enough: Callable[[list[Event]], bool]) -> list[Event]:
    """What an attacker has confessed, as soon as `is_enough` says yes; Unmeasured if that takes too long."""
    if not scene.eventually(lambda: is_enough(scene.reported(number, "evil")), seconds):
        deeds = len(scene.reported(number, "evil"))
        raise Unmeasured(f"the attack has not taken place: {count(deeds, 'action')} in {seconds:g} seconds")
    return scene.reported(number, "evil")


ATTACK_SECONDS = 60.0
"""Time for an attack to take place: an attacker with a tenth of the stake must first win a slot."""


# --- leaving out ------------------------------------------------------------------------------------

def pay_as_victim(scene: Scene, number: int) -> str:
    """Let mallory, who is the victim in this attack, pay bob one coin at a node. Return the id."""
    payment = scene.payment(scene.mallory, scene.bob, scene.gross(1))
    with Intruder(scene.target(number)) as victim:
        victim.send(payment)
        victim.barrier()
    return transaction_id(scene.target(0), payment)


def sequencer_leaves_one_user_out(scene: Scene) -> Finding:
    """The founder of the network leaves out what one user sends. In stage 4 it is the sequencer: the payment waits
    forever, while others' are executed, and nobody can prove that the sequencer has heard of it. Stage 5 stops it: the
    founder plays four of eight stakes and leaves the payment out of its blocks, but another creator puts it in."""
    victim = ["--against", scene.mallory.account]
    scene.add(stakes="2,3,4,5", evil="leave-out" if scene.stage == 4 else "censor", options=victim)
    scene.add(stakes="6,7,8,9")
    return leave_out(scene, evil=0, honest=1)


def one_of_ten_creators_censors(scene: Scene) -> Finding:
    """One stake holder of ten leaves one user's transactions out of its blocks. Stage 5 stops it: the next creator puts
    them in, and gets the fee for that."""
    scene.add(stakes="3,4,5")
    scene.add(stakes="6,7,8,9")
    evil = scene.add(stakes="2", evil="censor", options=["--against", scene.mallory.account])
    return leave_out(scene, evil, honest=0)


def leave_out(scene: Scene, evil: int, honest: int) -> Finding:
    """Let the victim pay at an honest node until the attacker has left something out. Was all of it executed?"""
    scene.fund(scene.mallory, 10 * PURSE)
    paid = 0
    while not scene.reported(evil, "evil"):
        if paid == 9 * PURSE:
            raise Unmeasured("the attacker has never made a block from which it could leave something out")
        pay_as_victim(scene, honest)
        paid += 1
        scene.eventually(lambda: bool(scene.reported(evil, "evil")), 0.2)
    hear_one_more(scene)
    done = scene.eventually(lambda: scene.gain(honest, scene.bob) == paid,
                            GRACE if scene.stage == 4 else ATTACK_SECONDS)
    times = len(scene.reported(evil, "evil"))
    return holds_if(done, f"mallory was left out {count(times, 'time')}; of her {count(paid, 'payment')}, node {honest}"
                          f" has executed {scene.gain(honest, scene.bob)}, and then a later payment by the bank")


# --- two orders, forged blocks ----------------------------------------------------------------------

def sequencer_signs_two_orders(scene: Scene) -> Finding:
    """The sequencer signs two blocks with the same number and opposite orders, and sends one to each half of the
    network. Mallory pays the same 100 to alice and to bob; the order decides which payment counts. In stage 4 the
    network is split for good: every node keeps both blocks as proof, but none can take back what it has executed. Stage
    5 stops it: there, two blocks of one creator are two branches, and one of them is undone."""
    scene.add(evil="two-orders", proxied=True)
    scene.add(proxied=True)
    scene.add(proxied=True)
    fund_twice(scene)
    # Hold up the line between nodes 1 and 2: on a busy machine one might hear the other's block before its own.
    scene.faults.stall("1", "2")
    spend_twice(scene)
    scene.faults.heal()
    agree = scene.all_agree(GRACE, [1, 2])
    if not scene.eventually(lambda: all(count_proofs(scene, number) > 1 for number in (1, 2))):
        raise Unmeasured("nobody has seen two blocks with one number")
    paid = scene.each(lambda one: f"alice {scene.gain(one, scene.alice)}, bob {scene.gain(one, scene.bob)}")
    proofs = [count_proofs(scene, number) for number in (1, 2)]
    return holds_if(agree, f"{EQUAL[agree]}: {paid}; proofs kept by nodes 1 and 2: {proofs[0]} and {proofs[1]}")


def count_proofs(scene: Scene, number: int) -> int:
    """How many pairs of blocks a node has reported as proof of two orders, or of two blocks with one ticket."""
    return len(scene.reported(number, "equivocation"))


def fund_twice(scene: Scene) -> None:
    """Give mallory money in two payments: this sequencer orders nothing until it has two."""
    before = scene.gain(1, scene.mallory)
    for amount in (PURSE - 1, 1):
        scene.nodes[0].type(scene.command(scene.mallory, amount))
    if not scene.eventually(lambda: all(scene.gain(one, scene.mallory) == before + PURSE for one in (1, 2))):
        raise Unmeasured("mallory did not get the money that she was to spend twice")


def spend_twice(scene: Scene) -> None:
    """Let mallory pay all her money to alice and also to bob, and wait until one of the two is executed everywhere."""
    with Spender(scene.target(1)) as spender:
        for receiver in (scene.alice, scene.bob):
            spender.spend(scene.mallory.account, scene.mallory.key, receiver.account, PURSE)
        spender.barrier()
    if not scene.eventually(lambda: all(scene.gain(one, scene.mallory) == 0 for one in (1, 2))):
        raise Unmeasured("mallory's payments were not ordered")


def forged_block(scene: Scene) -> Finding:
    """A stranger makes a block in the name of somebody who may: in stage 4 the sequencer, in stage 5 the creator of a
    block whose winning draw it copies. Both stages stop it: the block must be signed by the key that the genesis
    names."""
    scene.start(2)
    scene.tell(0)
    if not scene.all_heard():
        raise Unmeasured("there is no genuine block")
    assert scene.mallory.key is not None
    with BlockForger(scene.target(1)) as forger:
        if scene.stage == 4:
            forged = forger.forge_next(scene.mallory.key, [])
        else:
            forged = forger.forge_copy(scene.mallory.key, scene.reported(0, "sent")[0]["id"])
        if not forger.barrier():
            raise Unmeasured("the forger was thrown out before it was done")
    return was_refused(scene, 1, forged)


def was_refused(scene: Scene, number: int, forged: str) -> Finding:
    """HOLDS if no node has taken this block, and the network still works. `number`: the node that should refuse it."""
    hear_one_more(scene)
    taken = [one for one in range(len(scene.nodes)) if forged in block_ids(scene, one)]
    reason = "taken" if taken else reason_of_refusal(scene, number)
    return holds_if(not taken, f"{reason}; the block is at {len(taken)} of {len(scene.nodes)} nodes")


def reason_of_refusal(scene: Scene, number: int) -> str:
    """Why a node reported INVALID. Unmeasured if it did not, since it may never have looked at the block."""
    scene.wait_for(number, "error", code="INVALID")
    return str(scene.reported(number, "error")[0]["reason"].partition(": ")[2])


def block_ids(scene: Scene, number: int) -> dict[str, Event]:
    """The blocks that a node has; in stage 5 its whole tree."""
    event = "blocks" if scene.stage == 4 else "tree"
    return {block["id"]: block for block in scene.nodes[number].ask(f"/{event}", event)["blocks"]}


def block_from_an_account_without_stake(scene: Scene) -> Finding:
    """An account that is not in the genesis draws, and makes a block whatever the draw says. Stage 5 stops it: the
    chance to win follows the stake, and an account without stake has no chance."""
    scene.start(2)
    scene.tell(0)
    scene.all_heard()
    assert scene.mallory.key is not None
    with Outsider(scene.target(1)) as outsider:
        made = outsider.make_block(scene.mallory.key)
        if not outsider.barrier():
            raise Unmeasured("the outsider was thrown out before it was done")
    return was_refused(scene, 1, made)


# --- stake holders ----------------------------------------------------------------------------------

def future_slot(scene: Scene) -> Finding:
    """A stake holder makes blocks for slots that have not begun yet, so that its chain would always be the longest.
    Stage 5 stops it: a node refuses to look at a block whose slot is more than one ahead of its own clock."""
    scene.add(stakes="6,7")
    scene.add(stakes="8,9")
    evil = scene.add(stakes="2,3,4,5", evil="future")
    evil_deeds(scene, evil, ATTACK_SECONDS, lambda deeds: len(deeds) >= 3)
    slot = scene.status(0, "slot")
    blocks = block_ids(scene, 0)
    ahead = {one: block for one, block in block_ids(scene, evil).items() if block["slot"] > slot + 2}
    if not ahead:
        raise Unmeasured("the attacker was not ahead when its blocks were counted")
    taken = [one for one in ahead if one in blocks]
    scene.tell(0)
    heard = scene.all_heard(numbers=[0, 1])
    newest = max((block["slot"] for block in blocks.values()), default=0)
    furthest = max(block["slot"] for block in ahead.values())
    return holds_if(heard and not taken,
                    f"in slot {slot}, {count(len(ahead), 'block')} of slots up to {furthest} were made; node 0 has"
                    f" {len(taken)} of them, its newest is of slot {newest}; {executed(heard)}")


def draw_chosen_among_many(scene: Scene) -> Finding:
    """In every slot a stake holder tries numbers in place of its draw until one wins. Stage 5 stops it: a draw is a
    signature that everyone can check, and a key has exactly one for each slot."""
    scene.add(stakes="3,4,5")
    scene.add(stakes="6,7,8,9")
    evil = scene.add(stakes="2", evil="grind")
    deeds = evil_deeds(scene, evil, ATTACK_SECONDS, lambda deeds: len(deeds) >= 5)
    scene.tell(0)
    heard = scene.all_heard(numbers=[0, 1])
    taken = [deed["id"] for deed in deeds if any(deed["id"] in block_ids(scene, one) for one in (0, 1))]
    reason = "taken" if taken else reason_of_refusal(scene, 0)
    return holds_if(heard and not taken,
                    f"{len(deeds)} blocks made, {len(taken)} of them taken: {reason}; {executed(heard)}")


def building_on_every_branch(scene: Scene) -> Finding:
    """A stake holder builds on every branch that it knows, instead of choosing one. Here that costs nothing, since no
    stake is taken away for it, and stage 5 does not prevent it. But stage 5 withstands the damage: as long as most of
    the stake chooses, one branch grows faster, and payments become certain a little later."""
    scene.add(stakes="5,6,7", permille=900)
    scene.add(stakes="8,9")
    evil = scene.add(stakes="2,3,4", evil="fork-everything")
    deeds = evil_deeds(scene, evil, ATTACK_SECONDS, lambda deeds: any(deed["branches"] > 1 for deed in deeds))
    scene.wait_for(0, "equivocation")
    scene.tell(1)
    heard = scene.all_heard(numbers=[0, 1])
    agree = scene.all_agree(numbers=[0, 1])
    longest = max(scene.status(number, "longest_rollback") for number in (0, 1))
    return holds_if(heard and agree, f"built on {max(deed['branches'] for deed in deeds)} branches with one ticket;"
                                     f" longest rollback {longest}; {EQUAL[agree]}, {executed(heard)}")


def withheld_branch(scene: Scene) -> Finding:
    """A stake holder builds a branch in secret, and shows it when the others have made eight blocks since. If it is
    the longer one, the others undo all that they executed since, and the same money may be paid again. Stage 5
    withstands it: one stake of ten is too little for that. How deep a payment must lie for a given stake is in the
    stage's README. With most of the stake the secret branch is the longest, which is the stated limit."""
    scene.add(stakes="3,4,5,10", permille=800)
    scene.add(stakes="1,6,7,8,9")
    evil = scene.add(stakes="2", evil="withhold")
    evil_deeds(scene, evil, ATTACK_SECONDS, lambda deeds: any("withheld" in deed for deed in deeds))
    scene.tell(0)
    if not scene.all_heard(numbers=[0, 1]):
        raise Unmeasured("the payment that the attack would undo was never executed")
    deeds = evil_deeds(scene, evil, ATTACK_SECONDS, lambda deeds: any("shown" in deed for deed in deeds))
    shown = next(deed for deed in deeds if "shown" in deed)
    if not scene.eventually(lambda: all(set(shown["shown"]) <= set(block_ids(scene, number)) for number in (0, 1))):
        raise Unmeasured("the branch was shown, but did not reach all nodes")
    heard = scene.all_heard(numbers=[0, 1])
    longest = max(scene.status(number, "longest_rollback") for number in (0, 1))
    return holds_if(heard and longest < PUBLISHED_AFTER,
                    f"{count(len(shown['shown']), 'block')} shown when the others had made {shown['others']};"
                    f" longest rollback {longest}; {executed(heard)}")


def one_ticket_used_for_two_blocks(scene: Scene) -> Finding:
    """A stake holder makes two blocks with one winning draw, and sends one to each half of the network. Stage 5 stops
    it: both blocks reach every node, the next block decides between them, and the branch that loses is undone. Every
    node keeps both as proof."""
    scene.add(stakes="5,6,7")
    scene.add(stakes="8,9")
    evil = scene.add(stakes="2,3,4", evil="equivocate")
    deeds = evil_deeds(scene, evil, ATTACK_SECONDS, bool)
    for number in (0, 1):
        scene.wait_for(number, "equivocation", slot=deeds[0]["slot"])
    scene.tell(0)
    heard = scene.all_heard(numbers=[0, 1])
    agree = scene.all_agree(numbers=[0, 1])
    proofs = [count_proofs(scene, number) for number in (0, 1)]
    return holds_if(heard and agree, f"two blocks of slot {deeds[0]['slot']}; nodes 0 and 1 keep {proofs[0]} and"
                                     f" {proofs[1]} proofs; {EQUAL[agree]}, {executed(heard)}")


UNORDERED = dict.fromkeys((1, 2, 3), NO_ORDER)
UNBLOCKED = dict.fromkeys((1, 2, 3), NO_BLOCKS)
WITHOUT_STAKE = {**UNBLOCKED, 4: NO_STAKE}

ATTACKS = [
    Attack("sequencer leaves one user out", sequencer_leaves_one_user_out, UNORDERED),
    Attack("sequencer signs two orders", sequencer_signs_two_orders,
           {**UNORDERED, 5: "there is no sequencer; the similar attack is one ticket used for two blocks"}),
    Attack("forged block", forged_block, UNBLOCKED),
    Attack("block from an account without stake", block_from_an_account_without_stake, WITHOUT_STAKE),
    Attack("future slot", future_slot, WITHOUT_STAKE),
    Attack("draw chosen among many (grinding)", draw_chosen_among_many, WITHOUT_STAKE),
    Attack("building on every branch", building_on_every_branch, WITHOUT_STAKE),
    Attack("withheld branch, released late", withheld_branch, WITHOUT_STAKE),
    Attack("one ticket used for two blocks", one_ticket_used_for_two_blocks, WITHOUT_STAKE),
    Attack("one of ten creators censors", one_of_ten_creators_censors,
           {**UNBLOCKED, 4: "one node makes all blocks; the similar attack is a sequencer that leaves one user out"}),
]
