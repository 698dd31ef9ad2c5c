"""What the tests of the ledgers share: worlds with ledger nodes, transactions, and questions about both."""

import hashlib
import json
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from common.encoding import encode_frame
from common.interface import Connection
from lab.simulation import World
from stage1_chat.node import ChatNode
from stage2_ledger.id_tree import IdTree
from stage2_ledger.node import LedgerNode
from stage2_ledger.reconcile import Reconciliation
from tests.memory import Event, Stranger

PING = {"type": "ping", "nonce": "end"}
PONG = {"type": "pong", "nonce": "end"}


class PolitePeer(Stranger):
    """A scripted peer that answers pings, and nothing else by itself."""

    def on_frame(self, connection: Connection, frame: bytes) -> None:
        """Keep the message, and answer a ping."""
        super().on_frame(connection, frame)
        message = self.received[-1]
        if message["type"] == "ping":
            self.send({"type": "pong", "nonce": message["nonce"]})

    def news(self, *kinds: str) -> list[Event]:
        """The messages since the last call; with `kinds`, only messages of these types."""
        news, self.received = self.received, []
        return [message for message in news if not kinds or message["type"] in kinds]


def founded_world(seed: int = 1, longest_delay: float = 0.0) -> tuple[World, LedgerNode]:
    """A world with one node, which has founded a network."""
    world = World(seed, longest_delay=longest_delay)
    return world, world.add(LedgerNode)


def grown_world(seed: int, count: int, pause: float = 0.5) -> tuple[World, random.Random, list[LedgerNode]]:
    """A world, its random generator, and `count` nodes. Each joined by an earlier one, `pause` seconds apart."""
    world, choose = World(seed), random.Random(seed)
    nodes = [world.add(LedgerNode)]
    for _ in range(count - 1):
        nodes.append(world.add(LedgerNode, choose.choice(nodes).address))
        world.run(pause)
    return world, choose, nodes


def add_linked_peer(world: World, node: ChatNode, kind: type[Stranger] = PolitePeer) -> Any:
    """Let a peer of this kind call `node` and shake hands. Its `news` begins after that."""
    peer = world.add(kind, node.address, node.STAGE)
    world.run(world.longest_delay)
    peer.send(peer.hello_message(node.network_name))
    world.settle()
    peer.received = []
    return peer


def transaction(sender: str = "alice", receiver: str = "bob", amount: Any = 1, **changes: Any) -> Event:
    """A transaction of stage 2 that is new to everyone, with these members changed."""
    return {"type": "transaction", "nonce": secrets.token_hex(16), "from": sender, "to": receiver, "amount": amount,
            **changes}


def transaction_id(network: str | None, message: Event) -> str:
    """Its id, made from contract §1 and not by the code under test."""
    values = ["transaction", network, *(message[name] for name in ("nonce", "from", "to", "amount"))]
    return hashlib.sha256(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def summary_of(ids: list[str]) -> dict[str, str]:
    """The buckets of a summary of these ids, made from contract §3."""
    sums: Counter[str] = Counter()
    for one in ids:
        sums[one[:2]] ^= int(one, 16)
    return {bucket: f"{xor:064x}" for bucket, xor in sums.items()}


def balances(transactions: list[Event]) -> dict[str, int]:
    """The ledger that results from these transactions."""
    ledger: dict[str, int] = {}
    for one in transactions:
        ledger[one["from"]] = ledger.get(one["from"], 0) - one["amount"]
        ledger[one["to"]] = ledger.get(one["to"], 0) + one["amount"]
    return ledger


def ledger_of(world: World, node: ChatNode) -> dict[str, int]:
    """The balances that `/ledger` shows at `node`."""
    accounts: dict[str, int] = world.ask(node, "/ledger", "ledger")["accounts"]
    return accounts


def list_of(world: World, node: ChatNode) -> list[str]:
    """The list of peers that `/peers` shows at `node`."""
    addresses: list[str] = world.ask(node, "/peers", "peers")["addresses"]
    return addresses


def errors(world: World, node: ChatNode) -> list[str]:
    """The codes of the errors that `node` has printed."""
    return [error["code"] for error in world.reported(node, "error")]


def calls_of(world: World, node: ChatNode) -> list[tuple[float, str]]:
    """A list to which time and address of each call that `node` makes from now on are added."""
    network = world.networks[node.address]
    calls: list[tuple[float, str]] = []
    connect = network.connect

    def note_and_connect(address: str) -> None:
        calls.append((world.now, address))
        connect(address)

    network.connect = note_and_connect  # type: ignore[method-assign]
    return calls


def pairs(world: World) -> Counter[frozenset[str]]:
    """How many connections are open between each pair of addresses."""
    ends = Counter(frozenset((end.owner.address, end.other.owner.address)) for end in world.open_connections())
    return Counter({pair: count // 2 for pair, count in ends.items()})


def cut_all(world: World, *nodes: ChatNode) -> None:
    """Cut every connection of `nodes`."""
    for end in world.open_connections():
        if end.owner in nodes:
            world.cut(end)


def unknown_ids(count: int, seed: int = 0) -> list[str]:
    """Ids of messages that nobody has."""
    choose = random.Random(seed)
    return [f"{choose.getrandbits(256):064x}" for _ in range(count)]


def random_ids(count: int) -> list[str]:
    """Very many ids, made quickly, and always the same."""
    digits = random.Random(1).randbytes(32 * count).hex()
    return [digits[start:start + 64] for start in range(0, len(digits), 64)]


def ring_order(addresses: Iterable[str]) -> list[str]:
    """Addresses of a `World` in the order of contract §3. They all have port 1."""
    return sorted(addresses, key=lambda address: address.partition(":")[0])


def joining_world(count: int) -> tuple[World, list[PolitePeer], LedgerNode, list[tuple[float, str]]]:
    """`count` scripted peers, and a node that has called the first of them."""
    world = World(seed=1, longest_delay=0.0)
    peers = [world.add(PolitePeer, None, 2) for _ in range(count)]
    node = world.add(LedgerNode, peers[0].address)
    calls = calls_of(world, node)
    world.settle()
    return world, peers, node, calls


def linked_pair(caller_has_peer: bool = True) -> tuple[World, LedgerNode, LedgerNode]:
    """Two linked nodes. The second has called the first, which is its `--peer` or just another node."""
    world, alice = founded_world()
    bob = world.add(LedgerNode, alice.address)
    world.run(1.0)
    if not caller_has_peer:
        bob.neighbours.peer = None
    return world, alice, bob


def forgetting(node: LedgerNode) -> AbstractContextManager[Any]:
    """Within this block `node` does not call lost neighbours again, as if it had just been started."""
    return patch.object(node.redials, "on_lost")


def sums_of(ids: list[str], salt: str, *prefixes: str) -> dict[str, list[Any]]:
    """The sums of the sixteen parts of each prefix, made from contract §3."""
    def digest(part: list[str]) -> str:
        total = sum(int(one, 16) for one in part) % 2**256
        return f"{total * int(salt, 16) % 2**256:064x}"[:8]

    sums: dict[str, list[Any]] = {}
    for prefix in prefixes:
        parts = [[one for one in ids if one.startswith(prefix + digit)] for digit in "0123456789abcdef"]
        sums[prefix] = [[len(part) for part in parts], "".join(map(digest, parts))]
    return sums


class OldReconciliation(Reconciliation):
    """Knows only `summary`, and answers it at once with all that differs, as in the first version of the contract."""

    def __init__(self, ids: IdTree, fetch: Callable[[Connection, list[str]], None],
                 has_room: Callable[[Connection], bool], now: Callable[[], float], generator: random.Random) -> None:
        super().__init__(ids, fetch, has_room, now, generator)
        self.own_ids = ids

    def begin(self, connection: Connection) -> None:
        """Tell the summary."""
        self.tell_summary(connection, is_answer=False)

    def on_summary(self, connection: Connection, message: Event, frame: bytes) -> None:
        """Tell all ids of each bucket that differs."""
        differing = self.own_ids.differing(message["buckets"])
        for bucket in differing:
            inventory = {"type": "inventory", "bucket": bucket, "ids": self.own_ids.ids(bucket)}
            connection.send(encode_frame(inventory))
        if differing and not message["answer"]:
            self.tell_summary(connection, is_answer=True)

    def tell_summary(self, connection: Connection, is_answer: bool) -> None:
        """Send the sums of all buckets."""
        connection.send(encode_frame({"type": "summary", "answer": is_answer, "buckets": self.own_ids.summary()}))


class OldNode(LedgerNode):
    """A node from before `sums` existed."""

    SHAPES = {name: shape for name, shape in LedgerNode.SHAPES.items() if name not in ("sums", "get_sums", "ids", "get_ids")}

    RECONCILIATION = OldReconciliation


def stock(node: LedgerNode, messages: Iterable[Event]) -> None:
    """Give a node transactions that it does not flood."""
    flood, node.flood = node.flood, lambda frame, source: None  # type: ignore[method-assign]
    for message in messages:
        node.on_transaction(None, message, encode_frame(message))
    node.flood = flood  # type: ignore[method-assign]
