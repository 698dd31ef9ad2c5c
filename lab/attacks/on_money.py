"""The attacks on money, and on the content of messages. Each attack is a function of the same name."""

from lab.adversaries.dishonest_nodes import Duplicate, Forge, NegativePayer, Spender, Tamper
from lab.attacks.attack import NO_MONEY, Attack, Finding, Outcome, holds_if
from lab.attacks.scene import Scene, Unmeasured
from lab.adversaries.intruder import Intruder, transaction_id

LOOT = 1_000
"""The amount that is sent, though nobody has it."""

PURSE = 100
"""The money that mallory has, in attacks in which she spends more than that."""


def duplicate_delivery(scene: Scene) -> Finding:
    """One message is delivered many times, to two nodes. Stage 1 stops it, and so do all later stages: the id of a
    message is the hash of its content, and a node ignores a message whose id it has seen."""
    scene.start(2)
    evil = scene.add(evil="duplicate")
    scene.tell(evil)
    scene.wait_for(evil, "evil", times=Duplicate.TIMES)
    heard = hear_one_more(scene, evil)
    return holds_if(heard == [1] * 3, f"delivered {Duplicate.TIMES} times to each neighbour of node {evil}, counted"
                                      f" {scene.each(lambda number: heard[number])}")


def hear_one_more(scene: Scene, number: int = 0) -> list[int]:
    """Tell one more piece of news at a node, and wait until all have heard it: by then they have handled what that node
    sent before. Return how many other pieces each node has heard."""
    scene.tell(number)
    if not scene.all_heard():
        raise Unmeasured("news that was told after the attack did not arrive, so nothing can be said")
    if scene.stage > 1:
        scene.all_agree()
    return [scene.heard(number) - 1 for number in range(len(scene.nodes))]


def replay_of_an_old_transaction(scene: Scene) -> Finding:
    """A transaction is recorded, and sent again long after it was executed, with the same content in other bytes. Stage
    2 stops it, and so do all later stages: the id depends on the content alone, and the network is part of the content.
    So one signature pays once, in one network."""
    scene.start(2)
    evil = scene.add(evil="duplicate")
    scene.tell(0)
    if not scene.all_heard():
        raise Unmeasured("the transaction was not executed before the replay")
    if any("replayed" in deed for deed in scene.reported(evil, "evil")):
        raise Unmeasured("the transaction was replayed before all had executed it")
    scene.wait_for(evil, "evil", replayed=True)
    heard = hear_one_more(scene, evil)
    return holds_if(heard == [1] * 3, f"executed once, replayed at two nodes, counted"
                                      f" {scene.each(lambda one: heard[one])}")


def spending_from_somebody_elses_account(scene: Scene) -> Finding:
    """Mallory sends a transaction from the bank's account to her own. Stage 2 executes it: an account is a name, and
    anybody who knows it can write it. Stage 3 stops it: an account is a public key, and only the owner of the private
    key can sign for it."""
    scene.start(2)
    evil = scene.add(evil="forge", options=scene.wallet_of_mallory())
    scene.tell(0)
    scene.wait_for(evil, "evil")
    if not scene.eventually(lambda: is_refused(scene, evil) or stolen(scene) == [Forge.LOOT] * 3):
        raise Unmeasured("the forged transaction was neither executed nor refused")
    hear_one_more(scene)
    taken = stolen(scene)
    if taken == [0] * 3:
        return Finding(Outcome.HOLDS, f"{refusal(scene, evil)}; no money has moved")
    return holds_if(False, f"of the bank's money, mallory has {scene.each(lambda one: taken[one])};"
                           " the bank has signed nothing")


def stolen(scene: Scene) -> list[int]:
    """Mallory's balance at each node."""
    return [scene.gain(number, scene.mallory) for number in range(len(scene.nodes))]


def is_refused(scene: Scene, evil: int) -> bool:
    """Has another node reported INVALID?"""
    return refusal(scene, evil) != ""


def refusal(scene: Scene, evil: int) -> str:
    """The reason that another node gave for INVALID; empty if none did."""
    reasons = [error["reason"].partition(": ")[2] for number in range(len(scene.nodes)) if number != evil
               for error in scene.reported(number, "error") if error["code"] == "INVALID"]
    return str(reasons[0]) if reasons else ""


def an_amount_changed_on_the_way(scene: Scene) -> Finding:
    """The bank pays one coin to alice, and a node passes that on as a thousand coins. In stage 2 the changed copy is
    one more transaction, and every node executes both. Stage 3 stops it: the amount is signed. The genuine transaction
    arrives through another neighbour."""
    scene.start(2)
    evil = scene.add(evil="tamper")
    scene.tell(0)
    scene.wait_for(evil, "evil")
    if not scene.eventually(lambda: is_refused(scene, evil) or scene.heard(0) > 1):
        raise Unmeasured("the changed transaction was neither executed nor refused")
    paid = hear_one_more(scene, evil)
    return holds_if(paid == [1] * 3, f"node {evil} passed 1 coin on as {Tamper.TIMES}; alice was paid"
                                     f" {scene.each(lambda one: paid[one])}")


def negative_amount(scene: Scene) -> Finding:
    """Mallory sends alice −1,000, so that alice would pay. Stage 2 stops it, and so do all later stages: an amount is
    an integer of 0 or more, and a peer that sends anything else is disconnected."""
    scene.start(2)
    with NegativePayer(scene.target(0)) as payer:
        payer.take(scene.mallory.account, scene.mallory.key, scene.alice.account, LOOT)
        is_ended = not payer.barrier() and payer.received[-1].get("code") == "FORMAT"
    moved = hear_one_more(scene)
    return holds_if(is_ended and moved == [0, 0],
                    f"the connection was {'ended with FORMAT' if is_ended else 'not ended'};"
                    f" alice was paid {scene.each(lambda one: moved[one])}")


def overdraft(scene: Scene) -> Finding:
    """Mallory has 100 and sends 1,000. Stages 2 and 3 execute it, and her balance becomes negative. They must not
    refuse it: a node that has first heard of a payment to her would accept it, and the ledgers would differ forever.
    Stage 4 stops it: all nodes execute in one order, so all decide alike."""
    scene.start(2)
    scene.fund(scene.mallory, PURSE)
    with Spender(scene.target(0)) as spender:
        spent = spender.spend(scene.mallory.account, scene.mallory.key, scene.alice.account, LOOT)
        if not spender.has(spent):
            raise Unmeasured("the node has not accepted the transaction")
    hear_one_more(scene)
    left = [scene.gain(number, scene.mallory) for number in (0, 1)]
    return holds_if(left == [PURSE] * 2,
                    f"mallory had {PURSE}, sent {LOOT}, and has {scene.each(lambda one: left[one])}")


def double_spend(scene: Scene) -> Finding:
    """The network is partitioned. Mallory has 100 coins, and pays them to alice in one half and to bob in the other.
    When the halves meet again, stages 2 and 3 have executed both payments. In stage 4 only the half with the sequencer
    had an order, and the other payment is refused when its turn comes. In stage 5 both halves have made blocks. The
    shorter branch is undone, and its payment is invalid on the longer one."""
    scene.start(2, proxied=True)
    scene.fund(scene.mallory, PURSE)
    scene.partition([0], [1])
    paid = spend_in_both_halves(scene)
    scene.faults.heal()
    know_both = scene.eventually(lambda: all(knows(scene, number, one) for number in (0, 1) for one in paid))
    if not know_both:
        raise Unmeasured("the two payments did not both reach every node after the network was healed")
    agree = scene.all_agree()
    left = [scene.gain(number, scene.mallory) for number in (0, 1)]
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
                raise Unmeasured(f"node {number} has not accepted mallory's payment")
    # In stage 4 the half without the sequencer can execute nothing.
    halves = [0] if scene.stage == 4 else [0, 1]
    if not scene.eventually(lambda: all(scene.gain(number, scene.mallory) == 0 for number in halves)):
        raise Unmeasured("mallory's payments were not executed while the network was cut")
    return ids


def knows(scene: Scene, number: int, wanted: str) -> bool:
    """Does a node have this transaction?"""
    with Intruder(scene.target(number)) as intruder:
        return intruder.has(wanted)


def two_orders_of_arrival(scene: Scene) -> Finding:
    """Two messages reach two nodes in opposite orders: the bank pays mallory 100, and mallory, who has nothing, pays
    alice 100. In the chat room each node shows its own order. Stage 2 stops it without an order: sums come out the same
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
                raise Unmeasured(f"node {number} has not accepted its transaction")
    scene.faults.heal()
    scene.eventually(lambda: all(scene.gain(number, scene.alice) == PURSE - scene.gross(0) for number in (0, 1)))
    paid = [scene.gain(number, scene.alice) for number in (0, 1)]
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
