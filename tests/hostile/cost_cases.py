"""What test_cost.py sends to a node that keeps a great deal: cases of each message type, most of at most 4 KiB.

    @case("want", "ids that it has")
    def want_known(filled):
        return [{"type": "want", "ids": filled.known(60)}]

A case returns a round: messages that go to the node one after the other. Each is measured, and the slowest counts. A
case is called several times, and each time its messages must be new to the node. After that they are all sent again.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from common.encoding import MAX_INTEGER, Message
from stage2_ledger.fetcher import WANT_PING
from stage2_ledger.id_tree import HEX_DIGITS
from stage2_ledger.limits import MAX_COMPARED, MAX_LISTED, MAX_WANT
from stage2_ledger.reconcile import SUMMARY_PING
from stage4_sequencer.catching_up import BLOCKS_PING
from stage4_sequencer.limits import MAX_DIGESTS
from stage4_sequencer.order import ORDER_PING
from tests.hostile.filled_node import POOR, RICH, FilledNode, Recorder

Round = Sequence[Message | bytes]
Maker = Callable[..., Round]
ALL, SIGNED, ORDERED = (2, 3, 4, 5), (3, 4, 5), (4, 5)

IDS = 55
"""Ids of 64 digits that fit into 4 KiB. In a block of stage 5, which has three long members, 35 fit."""

BLOCK_IDS = 35


class Case(NamedTuple):
    """Some messages of one type, in certain stages."""

    kind: str
    name: str
    make: Maker
    stages: Sequence[int]
    greets: bool
    """Does the peer say hello first?"""
    dialled: bool
    """Did the node open the connection?"""
    is_refused: bool
    """Does the node refuse one of the messages?"""
    takes_connection: bool
    with_full_list: bool
    """Is the node's list of peers full?"""


CASES: list[Case] = []


def case(kind: str, name: str, stages: Sequence[int] = ALL, *, greets: bool = True, dialled: bool = False,
         is_refused: bool = False, takes_connection: bool = False, with_full_list: bool = False) -> Callable[[Maker], Maker]:
    """Put the function into the table. It gets the filled node, and the connection if `takes_connection`."""
    def put(make: Maker) -> Maker:
        CASES.append(Case(kind, name, make, stages, greets, dialled, is_refused, takes_connection, with_full_list))
        return make
    return put


# --- stage 1 ------------------------------------------------------------------------------------

@case("chat", "a long text")
def long_chat(filled: FilledNode) -> Round:
    return [{"type": "chat", "nonce": filled.nonce(), "text": "x" * 3_900}]


@case("ping", "one")
def ping(filled: FilledNode) -> Round:
    return [{"type": "ping", "nonce": filled.nonce()}]


@case("pong", "for nothing")
def pong(filled: FilledNode) -> Round:
    return [{"type": "pong", "nonce": nonce} for nonce in ("", WANT_PING, filled.nonce())]


@case("error", "with a long reason", is_refused=True)
def error(filled: FilledNode) -> Round:
    return [{"type": "error", "code": "BUSY", "reason": "x" * 3_900}]


@case("hello", "of a caller", greets=False, with_full_list=True)
def hello_of_caller(filled: FilledNode) -> Round:
    return [filled.hello(f"10.9.9.{filled.random.randrange(250)}:1")]


@case("hello", "of a peer that was called", greets=False, dialled=True, with_full_list=True)
def hello_of_called(filled: FilledNode) -> Round:
    return [filled.hello(f"10.9.8.{filled.random.randrange(250)}:1")]


@case("hello", "a second one", is_refused=True)
def second_hello(filled: FilledNode) -> Round:
    return [filled.hello("10.9.9.9:1")]


# --- stage 2 ------------------------------------------------------------------------------------

@case("get_peers", "of a full list", with_full_list=True)
def get_peers(filled: FilledNode) -> Round:
    return [{"type": "get_peers"}]


@case("peers", "that it has asked for", takes_connection=True)
def asked_peers(filled: FilledNode, connection: Recorder) -> Round:
    filled.node.ring.ask_for_peers(connection)
    return [{"type": "peers", "addresses": sorted(f"10.2.{number}.{filled.random.randrange(250)}:1"
                                                  for number in range(200))}]


@case("peers", "that it has not asked for", is_refused=True)
def unasked_peers(filled: FilledNode) -> Round:
    return [{"type": "peers", "addresses": ["10.1.1.1:1"]}]


@case("presence", "of somebody new")
def presence(filled: FilledNode) -> Round:
    return [{"type": "presence", "nonce": filled.nonce(), "address": f"10.3.3.{filled.random.randrange(250)}:1"}]


@case("presence", "when the list is full", with_full_list=True)
def presence_full(filled: FilledNode) -> Round:
    return [{"type": "presence", "nonce": filled.nonce(), "address": f"10.4.4.{filled.random.randrange(250)}:1"}]


@case("transaction", "new and covered")
def new_transaction(filled: FilledNode) -> Round:
    return [filled.payment(RICH)]


@case("transaction", "new, of an account without money")
def uncovered_transaction(filled: FilledNode) -> Round:
    return [filled.payment(POOR, amount=1_000)]


@case("transaction", "known, with a forged signature", SIGNED, is_refused=True)
def forged_transaction(filled: FilledNode) -> Round:
    known = filled.payment(RICH)
    return [known, {**known, "signature": filled.payment(RICH)["signature"]}]


@case("transaction", "known, in other bytes")
def rewritten_transaction(filled: FilledNode) -> Round:
    known = filled.payment(RICH)
    return [known, dict(reversed(known.items()))]


@case("summary", "of nothing, and the pong after the first piece of the answer")
def summary_of_nothing(filled: FilledNode) -> Round:
    return [{"type": "summary", "answer": False, "buckets": {}}, {"type": "pong", "nonce": SUMMARY_PING}]


@case("summary", "that differs in each bucket")
def summary_that_differs(filled: FilledNode) -> Round:
    # 18 KiB: it is larger than most others here, and may take longer in proportion.
    return [{"type": "summary", "answer": False,
             "buckets": {f"{number:02x}": digits for number, digits in enumerate(filled.unknown(256))}}]


@case("summary", "of a tenth of the buckets, as an answer")
def summary_as_answer(filled: FilledNode) -> Round:
    return [{"type": "summary", "answer": True, "buckets": {digits[:2]: digits for digits in filled.unknown(25)}}]


@case("inventory", "of ids that nobody has")
def inventory_of_nothing(filled: FilledNode) -> Round:
    return [{"type": "inventory", "bucket": "00", "ids": filled.unknown(IDS)} for _ in range(6)]


@case("inventory", "of a thousand ids that nobody has, and the pong after the want")
def inventory_and_pong(filled: FilledNode) -> Round:
    return [{"type": "inventory", "bucket": "00", "ids": filled.unknown(MAX_WANT)}, {"type": "pong", "nonce": WANT_PING}]


@case("inventory", "of ids that it has")
def inventory_of_known(filled: FilledNode) -> Round:
    return [{"type": "inventory", "bucket": "00", "ids": filled.known(IDS)}]


@case("sums", "that differ in each part: few ids, and very many")
def sums_that_differ(filled: FilledNode) -> Round:
    return [sums(filled, [""], count) for count in (1, MAX_INTEGER)]


@case("sums", "that differ in each part, down to where nobody has anything")
def sums_that_differ_below(filled: FilledNode) -> Round:
    # The node asks for several parts at a time. Those of 00…0 are always among them.
    salt = f"{1:064x}"
    asked = [[""], list(HEX_DIGITS), *(below("0" * zeros) for zeros in range(1, 8))]
    return [sums(filled, prefixes, MAX_INTEGER, salt) for prefixes in asked]


@case("sums", "of which each id is asked for by itself")
def sums_of_single_ids(filled: FilledNode) -> Round:
    salt = f"{1:064x}"
    return [sums(filled, [""], MAX_INTEGER, salt), sums(filled, list(HEX_DIGITS), 1, salt)]


@case("sums", "that were not asked for")
def unasked_sums(filled: FilledNode) -> Round:
    return [sums(filled, list(dict.fromkeys(digits[:5] for digits in filled.unknown(20))), 1) for _ in range(3)]


@case("get_sums", "of parts of each size")
def get_sums(filled: FilledNode) -> Round:
    salt = filled.unknown(1)[0]
    return [{"type": "get_sums", "salt": salt, "prefixes": sorted({digits[:length] for digits in filled.known(56)})}
            for length in (0, 1, 2, 3, 4, 5, 6, 55)]


@case("get_sums", "of the largest parts, several times in one another")
def get_sums_of_large_parts(filled: FilledNode) -> Round:
    prefixes = ["", *HEX_DIGITS, *(first + second for first in "012" for second in HEX_DIGITS)]
    return [{"type": "get_sums", "salt": filled.unknown(1)[0], "prefixes": prefixes[:MAX_COMPARED]}]


@case("ids", "that nobody has")
def ids_of_nothing(filled: FilledNode) -> Round:
    return [{"type": "ids", "ids": filled.unknown(IDS)} for _ in range(6)]


@case("ids", "that the node has")
def ids_of_known(filled: FilledNode) -> Round:
    return [{"type": "ids", "ids": filled.known(IDS)}]


@case("get_ids", "of everything")
def get_all_ids(filled: FilledNode) -> Round:
    return [{"type": "get_ids", "prefixes": prefixes} for prefixes in ([""], ["", *HEX_DIGITS])]


@case("get_ids", "of very many parts")
def get_ids_of_parts(filled: FilledNode) -> Round:
    return [{"type": "get_ids", "prefixes": [f"{number:0{length}x}" for number in range(3_900 // (length + 3))][:MAX_LISTED]}
            for length in (3, 4, 5, 6, 60)]


@case("want", "ids that it has")
def want_known(filled: FilledNode) -> Round:
    return [{"type": "want", "ids": filled.known(IDS)}]


@case("want", "ids that nobody has")
def want_unknown(filled: FilledNode) -> Round:
    return [{"type": "want", "ids": filled.unknown(IDS)}]


def below(prefix: str) -> list[str]:
    """The sixteen prefixes that are one digit longer."""
    return [prefix + digit for digit in HEX_DIGITS]


def sums(filled: FilledNode, prefixes: list[str], count: int, salt: str = "") -> Message:
    """Sums that differ in all parts, with `count` ids in each."""
    salt = salt or filled.unknown(1)[0]
    # Sixteen large counts for sixteen prefixes would take more than 4 KiB.
    counts = [min(count, 99_999)] * 16 if len(prefixes) > 1 else [count] * 16
    return {"type": "sums", "answer": False, "salt": salt,
            "sums": {prefix: [counts, "".join(filled.unknown(2))] for prefix in prefixes}}


# --- stage 4 ------------------------------------------------------------------------------------

@case("genesis", "again", ORDERED)
def genesis_again(filled: FilledNode) -> Round:
    return [filled.genesis.message()]


@case("genesis", "another one", ORDERED, is_refused=True)
def another_genesis(filled: FilledNode) -> Round:
    balances = [filled.random.randrange(10**6), filled.random.randrange(10**6)]
    return [{**filled.genesis.message(), "balances": balances}]


@case("block", "the next one, of what waits in the pool", [4])
def next_block(filled: FilledNode) -> Round:
    return [filled.sequenced(len(filled.node.blocks), filled.pooled(IDS))]


@case("block", "the next one, of a transaction that comes after it", [4])
def block_before_its_transaction(filled: FilledNode) -> Round:
    payment = filled.payment(RICH)
    return [filled.sequenced(len(filled.node.blocks), [*filled.pooled(10), filled.node.transaction_id(payment)]), payment]


@case("block", "one that orders again what was ordered", [4])
def block_of_ordered(filled: FilledNode) -> Round:
    return [filled.sequenced(len(filled.node.blocks), filled.known(IDS))]


@case("block", "one before its turn", [4])
def early_block(filled: FilledNode) -> Round:
    return [filled.sequenced(len(filled.node.blocks) + 10**6, filled.unknown(IDS))]


@case("block", "a second one with an old number", [4])
def rival_block(filled: FilledNode) -> Round:
    return [filled.sequenced(filled.random.randrange(len(filled.node.blocks)), filled.known(IDS))]


@case("block", "one without a valid signature", [4], is_refused=True)
def unsigned_block(filled: FilledNode) -> Round:
    block = filled.sequenced(len(filled.node.blocks), filled.pooled(IDS))
    return [{**block, "number": block["number"] + 1}]


@case("get_blocks", "from the first on, from the last on, from after the last on", [4])
def get_blocks(filled: FilledNode) -> Round:
    return [{"type": "get_blocks", "from": number} for number in (0, len(filled.node.blocks) - 1, 10**15)]


@case("height", "lower, and far ahead, and the pong after the question for blocks", [4])
def height(filled: FilledNode) -> Round:
    heights = [{"type": "height", "number": number} for number in (0, len(filled.node.blocks), 10**15)]
    return [*heights, {"type": "pong", "nonce": BLOCKS_PING}]


@case("order", "that differs from the first block on", [4])
def order_that_differs(filled: FilledNode) -> Round:
    return [{"type": "order", "digests": dict(zip(map(str, some_numbers(filled)), filled.unknown(IDS), strict=False))}]


@case("order", "that differs at the end, and the same as an answer", [4])
def order_that_differs_at_the_end(filled: FilledNode) -> Round:
    numbers = some_numbers(filled)
    digests = {**filled.node.order.digests(numbers), str(numbers[-1]): filled.unknown(1)[0]}
    order = {"type": "order", "digests": digests}
    return [order, order, {"type": "pong", "nonce": ORDER_PING}]


@case("order", "that is ahead", [4])
def order_that_is_ahead(filled: FilledNode) -> Round:
    return [{"type": "order", "digests": {str(len(filled.node.blocks) + 10**15): filled.unknown(1)[0]}}]


def some_numbers(filled: FilledNode) -> list[int]:
    """Some fifty numbers of blocks, and that of the last one."""
    count = len(filled.node.blocks)
    return [*range(1, count, count // 50), count]


@case("order", "in which the node finds the first difference", [4])
def order_with_a_difference(filled: FilledNode) -> Round:
    number = filled.random.randrange(1, len(filled.node.blocks))
    order = {"type": "order", "digests": {**filled.node.order.digests([number]), str(number + 1): filled.unknown(1)[0]}}
    return [order, order, {"type": "pong", "nonce": ORDER_PING}]


@case("get_order", "of numbers everywhere, and far ahead", [4])
def get_order(filled: FilledNode) -> Round:
    count = len(filled.node.blocks)
    return [{"type": "get_order", "numbers": filled.random.sample(range(1, count + 1), MAX_DIGESTS)},
            {"type": "get_order", "numbers": [count, *(10**15 + number for number in range(MAX_DIGESTS - 1))]}]


# --- stage 5 ------------------------------------------------------------------------------------

@case("block", "on the tip, of what waits in the pool", [5])
def block_on_tip(filled: FilledNode) -> Round:
    return [filled.forged_on(filled.node.tree.best.id, filled.pooled(BLOCK_IDS))]


@case("block", "on the tip, of a transaction that comes after it", [5])
def block_on_tip_before_its_transaction(filled: FilledNode) -> Round:
    payment = filled.payment(RICH)
    ids = [*filled.pooled(10), filled.node.transaction_id(payment)]
    return [filled.forged_on(filled.node.tree.best.id, ids), payment]


@case("block", "on the tip, of what was executed long ago", [5], is_refused=True)
def block_of_executed(filled: FilledNode) -> Round:
    return [filled.forged_on(filled.node.tree.best.id, [*filled.pooled(BLOCK_IDS - 1), filled.ids[0]])]


@case("block", "on the genesis, then a payment of somebody who has nothing", [5])
def block_on_genesis(filled: FilledNode) -> Round:
    return [filled.forged_on(filled.genesis.id), filled.payment(POOR, amount=1_000)]


@case("block", "on the genesis, of what the best chain has executed", [5])
def block_on_genesis_of_executed(filled: FilledNode) -> Round:
    ids = [filled.random.choice(filled.ids[:5_000]) for _ in range(2 * BLOCK_IDS)]
    return [filled.forged_on(filled.genesis.id, list(dict.fromkeys(ids))[:BLOCK_IDS])]


@case("block", "a branch from the genesis, and again one on the tip", [5])
def branch_from_genesis(filled: FilledNode) -> Round:
    blocks = [filled.forged_on(filled.genesis.id)]
    for _ in range(3):
        blocks.append(filled.forged_on(filled.id_of(blocks[-1])))
    return [*blocks, filled.forged_on(filled.node.tree.best.id)]


@case("block", "in the middle of the chain", [5])
def block_in_the_middle(filled: FilledNode) -> Round:
    chain = filled.node.tree.chain
    return [filled.forged_on(chain[len(chain) // 2].id), filled.forged_on(chain[-2].id)]


@case("block", "two that undo the tip", [5])
def rollback(filled: FilledNode) -> Round:
    tip = filled.forged_on(filled.node.tree.best.id, filled.pooled(10))
    rival = filled.forged_on(filled.node.tree.best.id)
    return [tip, rival, filled.forged_on(filled.id_of(rival))]


@case("block", "twins of a slot on the tip", [5])
def twins(filled: FilledNode) -> Round:
    parent, ids = filled.node.tree.best.id, filled.pooled(10)
    first = filled.forged_on(parent)
    return [first, *(filled.forged_on(parent, ids[:count], first["slot"]) for count in range(1, 4))]


@case("block", "an orphan, of transactions that nobody has", [5])
def orphan(filled: FilledNode) -> Round:
    return [filled.forged_on(filled.unknown(1)[0], filled.unknown(BLOCK_IDS)) for _ in range(3)]


@case("block", "one that lists a block as a transaction", [5], is_refused=True)
def block_of_a_block(filled: FilledNode) -> Round:
    return [filled.forged_on(filled.node.tree.best.id, [filled.node.tree.chain[1].id])]


@case("block", "a known one, with a forged signature", [5], is_refused=True)
def forged_block(filled: FilledNode) -> Round:
    block = filled.forged_on(filled.node.tree.best.id)
    return [block, {**block, "signature": filled.forged_on(filled.genesis.id)["signature"]}]


@case("block", "of an account without stake", [5], is_refused=True)
def block_without_stake(filled: FilledNode) -> Round:
    return [{**filled.forged_on(filled.genesis.id), "creator": filled.payment(POOR)["from"]}]


@case("tip", "unknown, and low", [5])
def tip(filled: FilledNode) -> Round:
    chain = filled.node.tree.chain
    return [{"type": "tip", "id": filled.unknown(1)[0], "height": len(chain) + 10},
            {"type": "tip", "id": chain[1].id, "height": 1}, {"type": "pong", "nonce": BLOCKS_PING}]


@case("get_chain", "from the genesis on, from nowhere on, of old blocks", [5])
def get_chain(filled: FilledNode) -> Round:
    old = [block.id for block in filled.node.tree.chain[IDS:0:-1]]
    return [{"type": "get_chain", "locator": locator}
            for locator in ([], [filled.genesis.id], filled.unknown(IDS), [*filled.unknown(1), *old[:IDS - 1]])]
