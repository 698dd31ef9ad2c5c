"""Valid blocks on any parent, made by hand, for a genesis with known keys in which nearly every slot is won."""

from functools import cache
from itertools import islice
from typing import Any

from common.encoding import Message, canon, decode_frame, encode_frame, make_id
from common.interface import Network
from common.rsa import PrivateKey
from lab.simulation import World
from stage4_sequencer.total_order import TotalOrderSetup
from stage5_pos import lottery
from stage5_pos.genesis import Genesis, make_genesis
from stage5_pos.node import StakeNode
from tests.fixtures import kept_key as fixed_key

SEED = "5e" * 32
HOLDERS = 10
MILLION = 1_000_000
SLOT_MS = 1_000


@cache
def genesis() -> Genesis:
    """Ten accounts of a million each. At 999 permille each account wins about half of the slots."""
    accounts = [fixed_key(number).account for number in range(1, HOLDERS + 1)]
    return make_genesis(SEED, 1_700_000_000_000, SLOT_MS, 999, accounts, [MILLION] * HOLDERS)


def draw(number: int, slot: int) -> str:
    """The draw of genesis account `number` in a slot."""
    return lottery.make_draw(fixed_key(number), SEED, slot)


def value(number: int, slot: int) -> int:
    """The lottery value of that draw."""
    return lottery.ticket_value(SEED, slot, fixed_key(number).account, draw(number, slot))


def wins(number: int, slot: int) -> bool:
    """May that account make a block in that slot?"""
    return value(number, slot) < genesis().winning_thresholds()[fixed_key(number).account]


def winner(slot: int, skip: int = 0) -> int:
    """The number of an account that wins the slot. `skip` leaves out that many winners."""
    return list(islice((number for number in range(1, HOLDERS + 1) if wins(number, slot)), skip + 1))[-1]


def next_slot(after: int) -> int:
    """The first slot after `after` that somebody wins: about one slot in a thousand has no winner."""
    return next(slot for slot in range(after + 1, after + 50) if any(wins(number, slot) for number in range(1, 11)))


def block(slot: int, parent: str, ids: list[str] | None = None, number: int | None = None,
          **changes: Any) -> Message:
    """A block, properly signed after `changes` to its members. `signature` may be one of them."""
    number = winner(slot) if number is None else number
    message = {"type": "block", "slot": slot, "parent": parent, "creator": fixed_key(number).account,
               "draw": draw(number, slot), "transactions": ids or [], **changes}
    return {**message, "signature": changes.get("signature", fixed_key(number).sign(block_bytes(message)))}


def block_bytes(message: Message) -> bytes:
    """The canonical bytes of a block (contract §1)."""
    return canon(["block", genesis().id, *(message[member] for member in
                                           ("slot", "parent", "creator", "draw", "transactions"))])


def block_id(message: Message) -> str:
    """The id of a block."""
    return make_id(block_bytes(message))


def transaction(sender: int, receiver: str, amount: int, nonce: int = 0, **changes: Any) -> Message:
    """A transaction from genesis account `sender`, properly signed after `changes` to its members."""
    message = {"type": "transaction", "nonce": f"{nonce:032x}", "from": fixed_key(sender).account, "to": receiver,
               "amount": amount, **changes}
    return {**message, "signature": changes.get("signature", fixed_key(sender).sign(transaction_bytes(message)))}


def transaction_bytes(message: Message) -> bytes:
    """The canonical bytes of a transaction (contract §1)."""
    return canon(["transaction", genesis().id, *(message[member] for member in ("nonce", "from", "to", "amount"))])


def transaction_id(message: Message) -> str:
    """The id of a transaction."""
    return make_id(transaction_bytes(message))


def frames(*messages: Message) -> list[bytes]:
    """Messages as they go over the wire."""
    return [encode_frame(message) for message in messages]


def add_node(world: World, peer: str | None = None, plays: tuple[int, ...] = (), own: int = 11) -> StakeNode:
    """A node of the network of `genesis`, which it founds if there is no peer. It plays some genesis accounts."""
    stakes = {number: fixed_key(number) for number in plays}

    def make_node(network: Network, address: str) -> StakeNode:
        return StakeNode(network, address, TotalOrderSetup(key=fixed_key(own)), dict(stakes), make_genesis_and_keys)

    def make_genesis_and_keys() -> tuple[Genesis, dict[int, PrivateKey]]:
        return genesis(), dict(stakes)

    return world.add(make_node, peer)


def new_world(seed: int = 1, slot: int = 5_000) -> World:
    """A world in which that slot is just beginning."""
    return World(seed, start_ms=genesis().start_ms + slot * SLOT_MS)


def sent_blocks(frames_sent: list[bytes]) -> list[str]:
    """The ids of the blocks among some frames."""
    return [block_id(message) for message in map(decode_frame, frames_sent) if message["type"] == "block"]
