"""What the tests of stage 4 share: worlds with a sequencer, blocks made by hand, and a naive ledger."""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from common.encoding import encode_base64
from common.rsa import InvalidSignature, PrivateKey
from lab.simulation import World
from stage4_sequencer.node import SequencedNode
from stage4_sequencer.total_order import TotalOrderSetup
from tests.fixtures import kept_key
from tests.memory import Event, Stranger
from tests.stage2_ledger.scenes import PolitePeer, ledger_of, transaction_id

STAGE = 4
ALICE, BOB, CAROL, SEQUENCER = (kept_key(number) for number in (1, 2, 3, 12))

GENESIS: Event = {"type": "genesis", "nonce": "0" * 32, "sequencer": SEQUENCER.account, "interval_ms": 10_000,
                  "accounts": [ALICE.account, BOB.account], "balances": [100, 50]}
"""The genesis of a network whose sequencer the test plays: Alice has 100, Bob 50, Carol nothing."""


# --- messages, made from contract §1 and not by the code under test ---------------------------------

def canonical(values: list[Any]) -> bytes:
    """The canonical bytes of contract §1."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def hash_of(values: list[Any]) -> str:
    """The id of a message with these canonical values."""
    return hashlib.sha256(canonical(values)).hexdigest()


def genesis_id(genesis: Event) -> str:
    """The id of a genesis, which names its network."""
    return hash_of(["genesis", 4, *(genesis[name] for name in
                                    ("nonce", "sequencer", "interval_ms", "accounts", "balances"))])


NETWORK = genesis_id(GENESIS)


def signed_transaction(sender: Any, receiver: Any, amount: int, network: str | None = NETWORK, **changes: Any) -> Event:
    """A transaction between the accounts of two keys that is new to everyone; `changes` come after the signature."""
    message = {"type": "transaction", "nonce": secrets.token_hex(16), "from": sender.account,
               "to": receiver.account, "amount": amount}
    values = ["transaction", network, *(message[name] for name in ("nonce", "from", "to", "amount"))]
    return {**message, "signature": sender.sign(canonical(values)), **changes}


def id_of(transaction: Event) -> str:
    """The id of a transaction in the network of `GENESIS`."""
    return transaction_id(NETWORK, transaction)


def ids_of(transactions: Iterable[Event]) -> list[str]:
    """Their ids, in the same order."""
    return [id_of(one) for one in transactions]


def signed_block(number: int, ids: list[str], key: Any = SEQUENCER, network: str | None = NETWORK,
                 **changes: Any) -> Event:
    """A block that the sequencer has signed; `changes` come after the signature."""
    signature = key.sign(canonical(["block", network, number, ids]))
    return {"type": "block", "number": number, "transactions": ids, "signature": signature, **changes}


def block_id(block: Event, network: str | None = NETWORK) -> str:
    """The id of a block."""
    return hash_of(["block", network, block["number"], block["transactions"]])


def chain_of(batches: Iterable[list[Event]], key: Any = SEQUENCER) -> list[Event]:
    """Blocks 0, 1, 2 … with these transactions."""
    return [signed_block(number, ids_of(batch), key) for number, batch in enumerate(batches)]


# --- worlds -----------------------------------------------------------------------------------------

def no_key() -> PrivateKey:
    """Stands for the sequencer's key where nobody should found a network."""
    raise AssertionError("nobody should found a network here")


def founded_world(seed: int = 1, longest_delay: float = 0.0, interval_ms: int = 10_000,
                  key: Any = ALICE, sequencer: Any = SEQUENCER) -> tuple[World, SequencedNode]:
    """A world with one node, which has founded a network, and is its sequencer."""
    world = World(seed, longest_delay=longest_delay)
    return world, world.add(SequencedNode, None, TotalOrderSetup(key=key), lambda: sequencer, interval_ms)


def add_founder_peer(world: World, genesis: Event = GENESIS, *, network: str | None = None) -> PolitePeer:
    """A peer that the test plays: it tells callers that it belongs to `network`, and then sends `genesis`."""
    peer = world.add(PolitePeer, None, STAGE)
    peer.says_on_open = [peer.hello_message(network or genesis_id(genesis)), genesis]
    return peer


def followed_world(seed: int = 1, key: Any = ALICE, genesis: Event = GENESIS,
                   longest_delay: float = 0.0) -> tuple[World, SequencedNode, PolitePeer]:
    """A world with a node that has joined by a peer. The test plays the peer, and the sequencer."""
    world = World(seed, longest_delay=longest_delay)
    peer = add_founder_peer(world, genesis)
    node = world.add(SequencedNode, peer.address, TotalOrderSetup(key=key), no_key)
    world.run(0.1)
    assert node.network_name == genesis_id(genesis)
    peer.received = []
    return world, node, peer


def tell(world: World, peer: Stranger, *messages: Event) -> None:
    """Let `peer` send messages, and let everything that follows happen."""
    peer.send(*messages)
    world.settle()


# --- questions --------------------------------------------------------------------------------------

def blocks_of(world: World, node: SequencedNode) -> list[str]:
    """The ids of the blocks that `/blocks` lists at `node`."""
    return [block["id"] for block in world.ask(node, "/blocks", "blocks")["blocks"]]


def status_of(world: World, node: SequencedNode) -> tuple[int, int]:
    """Next number and pending transactions that `/status` shows at `node`."""
    status = world.ask(node, "/status", "status")
    return status["next"], status["pending"]


def states_of(world: World, node: SequencedNode, transaction: str) -> list[str]:
    """What `node` has reported about one transaction, in order."""
    return [event["state"] for event in world.reported(node, "transaction") if event["id"] == transaction]


def execute_naively(balances: dict[str, int], transactions: Iterable[Event]) -> dict[str, int]:
    """The ledger after transactions in this order, overdrafts ignored (contract §3, stage 4)."""
    ledger = dict(balances)
    for one in transactions:
        if ledger.get(one["from"], 0) >= one["amount"]:
            ledger[one["from"]] = ledger.get(one["from"], 0) - one["amount"]
            ledger[one["to"]] = ledger.get(one["to"], 0) + one["amount"]
    return ledger


def starting_balances(genesis: Event = GENESIS) -> dict[str, int]:
    """The balances of a genesis before the first block."""
    return dict(zip(genesis["accounts"], genesis["balances"], strict=True))


# --- signatures that cost nothing -------------------------------------------------------------------

class ToyKey:
    """Signs by hashing. It is for tests of thousands of blocks that are about order and not about keys."""

    def __init__(self, account: str) -> None:
        self.account = account

    def sign(self, message: bytes) -> str:
        """The one signature over `message`."""
        return encode_base64(hashlib.sha256(self.account.encode() + message).digest())


def _verify_toy(account: str, message: bytes, signature: str) -> None:
    if signature != ToyKey(account).sign(message):
        raise InvalidSignature("the toy signature does not hold")


@contextmanager
def toy_signatures() -> Iterator[None]:
    """Let nodes verify the signatures of `ToyKey` instead of RSA. It can be used as a decorator."""
    with patch("stage3_signed.node.verify", _verify_toy), patch("stage4_sequencer.block.verify", _verify_toy):
        yield


TOY_SEQUENCER = ToyKey(SEQUENCER.account)
TOY_KEYS: list[Any] = [ToyKey(kept_key(number).account) for number in range(1, 9)]


def note_arrivals(node: SequencedNode) -> list[str]:
    """A list to which the id of each transaction that is new to `node` from now on is added."""
    arrivals: list[str] = []
    on_new_transaction: Callable[..., None] = node.on_new_transaction

    def note(transaction: Any) -> None:
        arrivals.append(transaction.id)
        on_new_transaction(transaction)

    node.on_new_transaction = note  # type: ignore[method-assign]
    return arrivals


def add_node(world: World, peer: SequencedNode, key: Any = CAROL) -> SequencedNode:
    """A node that joins by `peer`."""
    return world.add(SequencedNode, peer.address, TotalOrderSetup(key=key), no_key)


def assert_took(world: World, node: SequencedNode, chain: list[Event], transactions: list[Event]) -> None:
    """Check that `node` has executed exactly these blocks, with these transactions in this order."""
    assert blocks_of(world, node) == [block_id(block) for block in chain]
    assert ledger_of(world, node) == execute_naively(starting_balances(), transactions)


class ChainPeer(PolitePeer):
    """Answers `get_blocks` from a list, a few blocks at a time."""

    chain: list[Event] = []
    answer = 3

    def on_frame(self, connection: Any, frame: bytes) -> None:
        """Answer, and only then the ping after the question."""
        message = json.loads(frame[4:])
        if message["type"] == "get_blocks":
            self.send(*self.chain[message["from"]:message["from"] + self.answer])
        super().on_frame(connection, frame)
