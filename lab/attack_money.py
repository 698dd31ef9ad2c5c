"""The attacks on money, and on what a message says. How each is carried out is in the function of its name."""

from lab.adversary import Duplicator, NegativePayer, Replayer, Spender, Tamperer, Thief
from lab.attack import NO_MONEY, Attack, Finding, Outcome, holds_if
from lab.attack_scene import Scene, Unmeasured
from lab.intruder import Intruder, transaction_id

LOOT = 1_000
"""What a thief is after. The account that it comes from has more than that, or in stages 2 and 3 need not have it."""

PURSE = 100
"""What mallory has, where she spends more than that."""


def duplicate_delivery(scene: Scene) -> Finding:
    """One message is delivered many times, on two connections, at two nodes. Stage 1 stops it, and so do all later
    ones: the id of a message is the hash of what it says, and a node that has seen an id does nothing when it comes
    again."""
    scene.start(2)
    message, times = scene.news(), 5
    for number in (0, 1):
        with Duplicator(scene.target(number)) as one, Duplicator(scene.target(number)) as other:
            for intruder in (one, other):
                intruder.deliver(message, times)
                if not intruder.barrier():
                    raise Unmeasured("the connection was ended before all copies were delivered")
    heard = hear_one_more(scene)
    return holds_if(heard == [1, 1], f"delivered {4 * times} times, counted {scene.each(lambda number: heard[number])}")


def hear_one_more(scene: Scene) -> list[int]:
    """Tell one more piece of news, and wait until it is heard: what came before it has then been dealt with. How many
    pieces each node has heard beside that one."""
    scene.tell(0)
    if not scene.all_heard():
        raise Unmeasured("news that came after the attack did not arrive; without it nothing can be said")
    if scene.stage > 1:
        scene.all_agree()
    return [scene.heard(number) - 1 for number in range(len(scene.nodes))]


def replay_of_an_old_transaction(scene: Scene) -> Finding:
    """A transaction is recorded and sent again when it has long been executed, in other bytes that say the same. Stage
    2 stops it, and so do all later ones: the id is that of the content, and the network is part of it. So one signature
    pays once, in one network."""
    scene.start(2)
    with Replayer(scene.target(0)) as first, Replayer(scene.target(1)) as second:
        for intruder in (first, second):
            intruder.barrier()
        scene.tell(0)
        if not scene.all_heard():
            raise Unmeasured("the transaction to be replayed was not executed")
        for intruder in (first, second):
            recorded = intruder.find("transaction")
            assert recorded is not None
            intruder.replay(recorded)
            if not intruder.barrier():
                raise Unmeasured("the connection was ended, the replay may not have been looked at")
    heard = hear_one_more(scene)
    return holds_if(heard == [1, 1], f"executed once, replayed twice, counted {scene.each(lambda one: heard[one])}")


def spending_from_somebody_elses_account(scene: Scene) -> Finding:
    """Mallory sends a transaction from the bank's account to alice. Stage 2 executes it: an account is a name, and
    whoever knows it can write it. Stage 3 stops it: an account is a public key, and only who has the private key can
    sign for it."""
    scene.start(2)
    with Thief(scene.target(0), scene.mallory.key) as thief:
        thief.spend(scene.bank.account, scene.alice.account, LOOT)
        if not thief.barrier():
            raise Unmeasured("the thief was thrown out before it was done")
    stolen = hear_one_more(scene)
    if stolen == [0, 0]:
        scene.wait_for(0, "error", code="INVALID")  # else it may not have looked at it
        reason = scene.reported(0, "error")[0]["reason"].partition(": ")[2]
        return Finding(Outcome.HOLDS, f"{reason}; nothing has moved")
    return holds_if(stolen == [0, 0], f"of the bank's money, alice has {scene.each(lambda one: stolen[one])},"
                                      " and the bank has signed nothing")


def an_amount_changed_on_the_way(scene: Scene) -> Finding:
    """Mallory sits on the line between two nodes and makes 1,000 of the 1 that the bank pays to alice. In stage 2 the
    changed copy is one more transaction, and every node executes both. Stage 3 stops it: the amount is signed. The
    genuine one arrives by another neighbour."""
    scene.start(2)
    with Tamperer(scene.nodes[0].address, LOOT) as tamperer:
        scene.add(peer=tamperer.address)
        scene.tell(0)
        if not scene.all_heard() or not scene.eventually(lambda: tamperer.changed is not None):
            raise Unmeasured("no transaction has passed where its amount could be changed")
        stolen = hear_one_more(scene)
        if stolen == [1] * 3:
            scene.wait_for(2, "error", code="INVALID")  # else it may not have looked at it
    return holds_if(stolen == [1] * 3, f"of 1 coin, {LOOT} were made on the line to node 2; alice was paid"
                                       f" {scene.each(lambda one: stolen[one])}")


def negative_amount(scene: Scene) -> Finding:
    """Mallory sends alice −1,000, so that alice would pay. Stage 2 stops it, and so do all later ones: an amount is an
    integer from 0 on, and who sends another one is not listened to any longer."""
    scene.start(2)
    with NegativePayer(scene.target(0)) as payer:
        payer.take(scene.mallory.account, scene.mallory.key, scene.alice.account, LOOT)
        is_ended = not payer.barrier() and payer.received[-1].get("code") == "FORMAT"
    moved = hear_one_more(scene)
    return holds_if(is_ended and moved == [0, 0],
                    f"the connection was {'ended with FORMAT' if is_ended else 'not ended'};"
                    f" alice was paid {scene.each(lambda one: moved[one])}")


def overdraft(scene: Scene) -> Finding:
    """Mallory has 100 and sends 1,000. Stages 2 and 3 execute it, and her balance is negative: a node that refused it
    would have another ledger, for ever, than one that heard of her income earlier. Stage 4 stops it: all nodes execute
    one order, so all come to the same conclusion."""
    scene.start(2)
    scene.fund(scene.mallory, PURSE)
    with Spender(scene.target(0)) as spender:
        spent = spender.spend(scene.mallory.account, scene.mallory.key, scene.alice.account, LOOT)
        if not spender.has(spent):
            raise Unmeasured("the node has not taken the transaction")
    hear_one_more(scene)
    left = [scene.has(number, scene.mallory) for number in (0, 1)]
    return holds_if(left == [PURSE] * 2,
                    f"mallory had {PURSE}, sent {LOOT}, and has {scene.each(lambda one: left[one])}")


def double_spend(scene: Scene) -> Finding:
    """The network is cut in two. Mallory has 100, and pays them to alice in one half and to bob in the other. When
    the halves find each other again, stages 2 and 3 have executed both. In stage 4 only the half with the sequencer
    had an order, and the other payment is refused when its turn comes. In stage 5 both halves have made blocks; the
    shorter branch is undone, and what it paid is not valid on the longer one."""
    scene.start(2, proxied=True)
    scene.fund(scene.mallory, PURSE)
    scene.partition([0], [1])
    paid = spend_in_both_halves(scene)
    scene.faults.heal()
    know_both = scene.eventually(lambda: all(knows(scene, number, one) for number in (0, 1) for one in paid))
    if not know_both:
        raise Unmeasured("the two payments have not met after the network was healed")
    agree = scene.all_agree()
    left = [scene.has(number, scene.mallory) for number in (0, 1)]
    rolled_back = sum(len(scene.reported(number, "rollback")) for number in (0, 1))
    return holds_if(agree and left == [0, 0],
                    f"mallory had {PURSE}, paid them twice, and has {scene.each(lambda one: left[one])};"
                    f" ledgers {'equal' if agree else 'differ'}" + f", rollbacks: {rolled_back}" * (scene.stage == 5))


def spend_in_both_halves(scene: Scene) -> list[str]:
    """Pay mallory's money to alice at node 0 and to bob at node 1, and wait until each half has done what it can."""
    ids = []
    for number, receiver in ((0, scene.alice), (1, scene.bob)):
        with Spender(scene.target(number)) as spender:
            ids.append(spender.spend(scene.mallory.account, scene.mallory.key, receiver.account, PURSE))
            if not spender.has(ids[-1]):
                raise Unmeasured(f"node {number} has not taken mallory's payment")
    # In stage 4 the half without the sequencer can execute nothing.
    halves = [0] if scene.stage == 4 else [0, 1]
    if not scene.eventually(lambda: all(scene.has(number, scene.mallory) == 0 for number in halves)):
        raise Unmeasured("mallory's payments were not executed while the network was cut")
    return ids


def knows(scene: Scene, number: int, wanted: str) -> bool:
    """Has a node this transaction?"""
    with Intruder(scene.target(number)) as intruder:
        return intruder.has(wanted)


def two_orders_of_arrival(scene: Scene) -> Finding:
    """Two messages reach two nodes in opposite orders: the bank pays mallory 100, and mallory, who has nothing, pays
    alice 100. In the chat room each shows its own order. Stage 2 stops it without an order: additions come out the same
    either way, as long as nothing is refused. Stages 4 and 5 have one order for all."""
    scene.start(2, proxied=True)
    scene.partition([0], [1])
    if scene.stage == 1:
        scene.tell(0)
        scene.tell(1)
        scene.faults.heal()
        scene.all_heard()
        return holds_if(scene.chat(0) == scene.chat(1), f"shown: {scene.each(lambda one: ', '.join(scene.chat(one)))}")
    messages = [scene.payment(scene.bank, scene.mallory, scene.gross(PURSE)),
                scene.payment(scene.mallory, scene.alice, PURSE)]
    for number, message in enumerate(messages):
        with Intruder(scene.target(number)) as intruder:
            intruder.send(message)
            if not intruder.has(transaction_id(scene.target(0), message)):
                raise Unmeasured(f"node {number} has not taken its transaction")
    scene.faults.heal()
    scene.eventually(lambda: all(scene.has(number, scene.alice) == PURSE - scene.gross(0) for number in (0, 1)))
    paid = [scene.has(number, scene.alice) for number in (0, 1)]
    agree = scene.all_agree()
    return holds_if(agree and paid[0] == paid[1], f"alice was paid {scene.each(lambda one: paid[one])};"
                                                  f" ledgers {'equal' if agree else 'differ'}")


NOT_IN_A_CHAT = {1: NO_MONEY}

ATTACKS = [
    Attack("duplicate delivery", duplicate_delivery),
    Attack("replay of an old transaction", replay_of_an_old_transaction, NOT_IN_A_CHAT),
    Attack("spending from somebody else's account", spending_from_somebody_elses_account, NOT_IN_A_CHAT),
    Attack("an amount changed on the way", an_amount_changed_on_the_way, NOT_IN_A_CHAT),
    Attack("negative amount", negative_amount, NOT_IN_A_CHAT),
    Attack("overdraft", overdraft, NOT_IN_A_CHAT),
    Attack("double spend to the two halves of a network", double_spend, NOT_IN_A_CHAT),
    Attack("two orders of arrival", two_orders_of_arrival),
]
