"""What the adversary of the schedules does without being asked: one function for each kind, each with random choices.

They send messages of every type of the contract, valid and nearly valid. `MISCHIEF` lists the functions.
"""

import json
import random
from collections.abc import Callable

from common.encoding import Message, encode_frame
from common.framing import make_frame
from common.interface import Connection
from lab.schedules.honest import ADVERSARY, KEYS, MILLION, sign_block
from lab.schedules.puppet import MANNERS, Adversary, Puppet

MANY = [1, 1, 2, 3, 6, 12]
"""How many times in a row something is done is drawn from this list."""


def audience(adversary: Adversary, puppet: Puppet, choose: random.Random) -> list[Connection]:
    """Choose who receives a message: the peers of one puppet, all, or every second one."""
    draw = choose.random()
    if draw < 0.4:
        return list(puppet.links)
    return adversary.links()[:: 1 if draw < 0.75 else 2]


def say(adversary: Adversary, puppet: Puppet, choose: random.Random, *messages: Message) -> None:
    """Say something to a random audience."""
    adversary.say(audience(adversary, puppet, choose), *map(encode_frame, messages))


# --- connections --------------------------------------------------------------------------------

def change_manner(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """One puppet, or all of them, answer in another manner from now on."""
    manner = choose.choice(MANNERS)
    for one in adversary.puppets if choose.random() < 0.6 else [puppet]:
        one.manner = manner


def call(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Open one more connection."""
    puppet.network.connect(choose.choice(adversary.targets))


def hang_up(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Close all connections, or one."""
    links = list(puppet.links)
    for link in links if choose.random() < 0.5 else links[:1]:
        link.close()


def claim(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Call an honest node under the name of another node, of itself, or of nobody."""
    puppet.claimed = choose.choice([*adversary.targets, *adversary.targets, f"nobody-{choose.randint(1, 20)}:1"])
    puppet.network.connect(choose.choice(adversary.targets))


def call_everybody(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """One puppet calls all honest nodes."""
    for target in adversary.targets:
        puppet.network.connect(target)


def break_form(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Say something that ends the connection, or something that no node knows."""
    body = choose.choice([
        b"{", b'{"type":5}', b'{"type":"tip","type":"tip"}', b'{"type":"tip","id":"x","height":1}',
        b'{"type":"hello"}', b'{"type":"unheard","of":1}', b'{"type":"peers","addresses":[]}',
        b'{"type":"height","number":3}', b'{"type":"get_blocks","from":0}', b'{"type":"want","ids":["x"]}',
        b'{"type":"error","code":"BUSY","reason":"no"}', b'{"type":"pong","nonce":1.5}'])
    adversary.say(list(puppet.links)[:1], make_frame(body))


def greet_wrongly(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """A second hello, or a late one that names something else."""
    changes: Message = choose.choice([{"version": 2}, {"stage": 4}, {"network": "0" * 64}, {"network": None}, {}])
    hello = {"type": "hello", "version": 1, "stage": 5, "network": adversary.genesis.id, "listen": puppet.claimed}
    adversary.say(list(puppet.links)[:1], encode_frame({**hello, **changes}))


def ping_pong(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Pongs for pings that were not sent, or that are not answered yet; and pings."""
    kind = choose.choice(["ping", "pong", "pong"])
    message = {"type": kind, "nonce": choose.choice(["want", "blocks", ""])}
    say(adversary, puppet, choose, *[message] * choose.choice(MANY))


# --- chat and peers -----------------------------------------------------------------------------

def chatter(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Say something in the chat."""
    say(adversary, puppet, choose, *({"type": "chat", "nonce": f"{choose.getrandbits(128):032x}", "text": "hi"}
                                     for _ in range(choose.choice(MANY))))


def present(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Presences of puppets, of honest nodes, of nobody."""
    names = [f"nobody-{choose.randint(1, 40)}:1", choose.choice(adversary.targets),
             choose.choice(adversary.puppets).address]
    say(adversary, puppet, choose, *({"type": "presence", "nonce": f"{choose.getrandbits(128):032x}",
                                      "address": choose.choice(names)} for _ in range(choose.choice(MANY))))


def ask_for_peers(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Ask for the list of peers."""
    say(adversary, puppet, choose, {"type": "get_peers"})


# --- transactions -------------------------------------------------------------------------------

def pay(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Valid transactions. Some peers receive one, others a second one that spends the same money."""
    amount = choose.choice([1, 10, MILLION // 2, MILLION, 3 * MILLION])
    for _ in range(choose.choice(MANY)):
        transaction_id = adversary.make_transaction(choose, amount, receiver=choose.choice(list(KEYS.values())))
        adversary.say(audience(adversary, puppet, choose), adversary.transactions[transaction_id])


def fill_pools(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Transactions that nobody can pay, of the greatest length that is allowed."""
    for _ in range(choose.choice(MANY)):
        frame = adversary.transactions[adversary.make_transaction(choose, 5 * MILLION)]
        adversary.say(audience(adversary, puppet, choose), make_frame(frame[4:].ljust(4_000)))


def pay_invalidly(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """A transaction without the fee, a forged one, one whose signature is not base64, or a padded one."""
    wrong = adversary.make_transaction(choose, choose.choice([0, 5]))
    message: Message = json.loads(adversary.transactions.pop(wrong)[4:])
    if choose.random() < 0.5:
        message["signature"] = choose.choice(["", "AAAA", message["signature"][::-1], KEYS[1].sign(b"")])
    padding = choose.choice([None, None, 2])
    adversary.say(audience(adversary, puppet, choose), make_frame(json.dumps(message, indent=padding).encode()))


# --- reconciliation -----------------------------------------------------------------------------

def sum_up(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """A summary, true or false."""
    sums: dict[str, int] = {}
    for one in adversary.transactions:
        sums[one[:2]] = sums.get(one[:2], 0) ^ int(one, 16)
    for _ in range(choose.choice([0, 3, 20])):
        sums[f"{choose.randrange(256):02x}"] = choose.getrandbits(256)
    say(adversary, puppet, choose, {"type": "summary", "answer": choose.random() < 0.5,
                                    "buckets": {bucket: f"{xor:064x}" for bucket, xor in sums.items()}})


def name_ids(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Inventories of ids: some that nobody has, some withheld, some public."""
    ids = [adversary.invent_id(choose) for _ in range(choose.choice([1, 10, 100]))]
    ids += list(adversary.withheld)[-5:] + list(adversary.blocks)[-3:] + list(adversary.transactions)[-3:]
    say(adversary, puppet, choose, {"type": "inventory", "bucket": ids[0][:2], "ids": list(dict.fromkeys(ids))})


def want(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Ask for ids that exist, and for ids that do not."""
    ids = list(adversary.blocks)[-20:] + list(adversary.transactions)[-20:] + [adversary.invent_id(choose)]
    say(adversary, puppet, choose, {"type": "want", "ids": ids})


# --- the chain ----------------------------------------------------------------------------------

def claim_tip(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Announce a tip: a true one, a withheld one, or one that nobody has; at its height or at another."""
    old = choose.choice([adversary.genesis.id, *adversary.blocks])
    known = choose.choice([adversary.best, *adversary.own[-2:], old])
    tip = choose.choice([known, known, adversary.invent_id(choose)])
    height = choose.choice([adversary.height(tip), adversary.height(adversary.best) + 1, 0, 2**53 - 1])
    say(adversary, puppet, choose, {"type": "tip", "id": tip, "height": height})


def ask_for_chain(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Ask for the chain after some block, or after one that does not exist."""
    locator = [choose.choice([adversary.genesis.id, adversary.invent_id(choose), *list(adversary.blocks)[-4:]])]
    say(adversary, puppet, choose, {"type": "get_chain", "locator": locator})


def repeat_blocks(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Public blocks, in another order."""
    ids = [one for one in list(adversary.blocks)[-choose.choice([2, 5, 20]):] if one not in adversary.withheld]
    choose.shuffle(ids)
    adversary.say(audience(adversary, puppet, choose), *(adversary.blocks[one].frame for one in ids))


def extend(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Valid blocks on the best chain, for the last one or two slots that were won."""
    for slot, drawn in adversary.wins()[-choose.choice([1, 2]):]:
        adversary.say(audience(adversary, puppet, choose),
                      adversary.make_block(slot, drawn, adversary.parent_for(slot), adversary.make_payments(choose)))


def make_twins(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Several blocks with one ticket, each sent to different peers. They have the same parent, or different ones. They
    may list transactions that are withheld, or that nobody has."""
    if not adversary.wins():
        return
    slot, drawn = choose.choice(adversary.wins()[-2:])
    parents = [choose.choice([adversary.parent_for(slot), *list(adversary.blocks)[-3:]])
               for _ in range(choose.choice([1, 3]))]
    lacking = choose.choice(["nothing", "withheld", "invented"])
    for number in range(choose.choice(MANY) + 1):
        ids = ([adversary.invent_id(choose)] if lacking == "invented" else
               adversary.make_payments(choose, is_secret=lacking == "withheld"))
        adversary.say(audience(adversary, puppet, choose),
                      adversary.make_block(slot, drawn, parents[number % len(parents)], ids))


def make_orphans(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Orphans: blocks on parents that nobody has, alone or in a chain."""
    parent = adversary.invent_id(choose)
    for slot, drawn in adversary.wins()[-choose.choice(MANY):]:
        for _ in range(choose.choice([1, 2, 3])):
            frame = adversary.make_block(slot, drawn, parent, [])
            adversary.say(audience(adversary, puppet, choose), frame)
            parent = adversary.own[-1] if choose.random() < 0.5 else adversary.invent_id(choose)


def make_heavy(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Blocks with many transactions that nobody has, on the best chain or on an unknown parent."""
    for slot, drawn in adversary.wins()[-choose.choice(MANY):]:
        parent = choose.choice([adversary.parent_for(slot), adversary.invent_id(choose)])
        ids = [f"{choose.getrandbits(256):064x}" for _ in range(choose.choice([10, 40, 100]))]
        adversary.say(audience(adversary, puppet, choose), adversary.make_block(slot, drawn, parent, ids))


def make_invalid(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """A block that is signed but invalid, or not signed, or of a slot that was not won."""
    if not adversary.wins():
        return
    slot, drawn = choose.choice(adversary.wins())
    kind = choose.choice(["overspends", "names a block", "repeats", "early", "unsigned", "lost", "future"])
    ids = {"overspends": [adversary.make_transaction(choose, 5 * MILLION)], "names a block": [adversary.best],
           "repeats": list(adversary.transactions)[:3]}.get(kind, [])
    parent = choose.choice([adversary.genesis.id, *adversary.blocks]) if kind == "early" else adversary.best
    slot += {"lost": 1, "future": 30}.get(kind, 0)
    message = sign_block(adversary.genesis, ADVERSARY, slot, drawn, parent, ids)
    if kind == "unsigned":
        message["signature"] = KEYS[1].sign(b"")
    say(adversary, puppet, choose, message)


def make_old(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """A chain of blocks of old slots, from the genesis on."""
    parent = adversary.genesis.id
    for slot, drawn in adversary.wins():
        adversary.say(audience(adversary, puppet, choose), adversary.make_block(slot, drawn, parent, []))
        parent = adversary.own[-1]


def withhold(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Build on a secret branch, or begin a new one. Some peers hear of its tip."""
    if choose.random() < 0.5:
        adversary.branch = choose.choice([adversary.best, *list(adversary.blocks)[-4:]])
    for slot, drawn in adversary.wins()[-2:]:
        adversary.make_block(slot, drawn, adversary.branch, adversary.make_payments(choose, is_secret=True),
                             is_secret=True)
        adversary.branch = adversary.own[-1]
    if adversary.own and choose.random() < 0.5:
        adversary.say(audience(adversary, puppet, choose), *puppet.herald(adversary.own[-1]))


def release(adversary: Adversary, puppet: Puppet, choose: random.Random) -> None:
    """Show what was withheld: in its order, in reverse, or only the last of it."""
    secret = [one for one in [*adversary.transactions, *adversary.own] if one in adversary.withheld]
    shown = choose.choice([secret, secret[::-1], secret[-1:]])
    adversary.withheld.difference_update(shown)
    adversary.say(audience(adversary, puppet, choose), *(adversary.frame_of(one) or b"" for one in shown))


Mischief = Callable[[Adversary, Puppet, random.Random], None]

WITH_STAKE: dict[str, Mischief] = {function.__name__: function for function in (
    extend, make_twins, make_orphans, make_heavy, make_invalid, make_old, withhold, release, pay, fill_pools)}
WITHOUT_STAKE: dict[str, Mischief] = {function.__name__: function for function in (
    change_manner, call, hang_up, claim, call_everybody, break_form, greet_wrongly, ping_pong, chatter, present,
    ask_for_peers, pay_invalidly, sum_up, name_ids, want, claim_tip, ask_for_chain, repeat_blocks)}
MISCHIEF = {**WITH_STAKE, **WITHOUT_STAKE}
"""Each kind of mischief, by its name in a schedule."""
