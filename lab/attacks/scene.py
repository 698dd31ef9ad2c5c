"""A small network on which one attack is measured, and what can be asked about it.

    with Scene(4, crew, keys, folder, seed) as scene:
        scene.start(2)
        scene.tell(0)                       # a piece of news at node 0: a line of chat, or a coin for alice
        assert scene.all_heard()            # each node has printed it, or executed it

The bank has money, and nodes make no blocks with its stake unless an attack says so. Alice and bob only receive.
Mallory is the attacker. All nodes have the bank's wallet, except one that an attack gives mallory's.
"""

import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from common.encoding import Message, encode_frame
from common.journal import Journal
from common.rsa import PrivateKey
from lab.nodes.faults import Faults
from lab.adversaries.intruder import HOST, Target, make_transaction
from lab.blackbox.node_process import NodeError
from lab.blackbox.peer import Event
from lab.nodes.processes import NodeProcess, end_all, wait_until_linked
from lab.nodes.workload import PASSPHRASE, KeyRing
from stage5_pos.__main__ import FOUNDING_BALANCE, STAKE_HOLDERS
from stage5_pos.genesis import make_genesis
from stage5_pos.rules import FEE

ACCOUNTS = 11
"""The number of keys besides alice's: ten for the genesis of stage 5, and mallory's."""

STAKES = range(2, 10)
"""The genesis accounts of stage 5 with which nodes make blocks, unless an attack names others. The bank's and bob's are
not among them, so that rewards do not change their balances."""

INTERVAL = ["--interval", "0.2"]
"""The founder's options in stage 4, so that blocks come quickly."""

SLOT_MS, BLOCK_PERMILLE = 200, 500
"""The same for stage 5: the length of a slot, and how many slots of a thousand have a block."""

PATIENCE = 30.0
"""Seconds to wait for what takes one or two seconds, on a machine that is busy with other work."""

GRACE = 5.0
"""If something that should come at once has not come after this many seconds, it counts as not coming."""

POLL_SECONDS = 0.05


class Unmeasured(Exception):
    """The attack could not be carried out, so nothing can be said about it. The message says why."""


class Crew:
    """All processes of a run, so that one thread can end what others have started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nodes: list[NodeProcess] = []
        self._is_over = False

    def start(self, stage: int, *options: str, evil: str = "") -> NodeProcess:
        """Start a node; Unmeasured if the run is over."""
        with self._lock:
            if self._is_over:
                raise Unmeasured("the run was interrupted")
            self._nodes.append(NodeProcess(stage, *options, evil=evil, environment={"WALLET_PASSPHRASE": PASSPHRASE}))
            return self._nodes[-1]

    def end(self) -> None:
        """Kill all that still runs, and allow nothing else to start. A thread that waits for a node sees it end."""
        with self._lock:
            self._is_over = True
            for node in self._nodes:
                node.signal(signal.SIGKILL)


class Person(NamedTuple):
    """An account, and its key if it can pay."""

    account: str
    key: PrivateKey | None
    starts_with: int = 0


class Scene:
    """One small network of one stage."""

    def __init__(self, stage: int, crew: Crew, keys: KeyRing, folder: Path, seed: str) -> None:
        """No node runs yet. `folder` is for this scene alone. The seed decides all that is random here."""
        self.stage, self._crew, self._keys, self.folder = stage, crew, keys, folder
        self.random = random.Random(seed)
        self.nodes: list[NodeProcess] = []
        self.told = 0
        """How many pieces of news were told."""
        self.faults = Faults(self.random.getrandbits(32))
        million = {4: 1_000_000, 5: 1_000_000}.get(stage, 0)
        if stage <= 2:
            self.bank, self.alice, self.bob, self.mallory = (
                Person(name, None) for name in ("bank", "alice", "bob", "mallory"))
        else:
            self.bank = Person(keys.keys[0].account, keys.keys[0], million)
            self.bob = Person(keys.keys[9].account, None, million if stage == 5 else 0)
            self.mallory = Person(keys.keys[10].account, keys.keys[10])
            self.alice = Person(keys.sink, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end_all(self.nodes)
        self.faults.close()

    # --- nodes ----------------------------------------------------------------------------------

    def start(self, count: int = 2, *, proxied: bool = False, stakes: Sequence[str] = ()) -> None:
        """Start `count` nodes, and wait until all are linked; each joins the one before it. With `proxied` they are
        behind the proxy.

        `stakes` are the genesis accounts of each node in stage 5. By default the nodes take them in turn.
        """
        for number in range(count):
            dealt = ",".join(map(str, list(STAKES)[number::count]))
            self.add(stakes=stakes[number] if stakes else dealt, proxied=proxied)

    def add(self, *, stakes: str = "none", proxied: bool = False, evil: str = "", peer: str = "",
            options: Sequence[str] = (), permille: int = BLOCK_PERMILLE, began_ago: float = 0, links: int = 0) -> int:
        """Start one more node, and wait until it is linked to `links` others, or to all. Return its number. `peer` is
        the address to call. For the first node of stage 5, `permille` says how often there is a block, and `began_ago`
        how many seconds ago the first slot was."""
        number = len(self.nodes)
        peer = peer or (self.nodes[-1].address if self.nodes else "none")
        options = [*self._options(stakes), *options, *([] if number else self._founding(permille, began_ago))]
        if proxied:
            options += self.faults.add(str(number)).options
        self.nodes.append(self._crew.start(self.stage, "--peer", peer, *options, evil=evil))
        if self.nodes[-1].network != self.nodes[0].network:
            raise Unmeasured(f"node {number} has founded a network of its own: nobody answered it in time")
        # In stage 1 a node keeps one connection, to the peer that it joined.
        wait_until_linked(self.nodes[-1], links or (number if self.stage > 1 else min(number, 1)))
        return number

    def _options(self, stakes: str) -> list[str]:
        options = ["--wallet", str(self._keys.wallet(0))] if self.stage >= 3 else []
        return options + (["--keys", str(self._keys.folder), "--forge", stakes] if self.stage == 5 else [])

    def _founding(self, permille: int, began_ago: float) -> list[str]:
        """The options of the first node, which keeps its data. In stage 5 its data gets a genesis before it starts, so
        that the scene's seed decides who wins which slot."""
        if self.stage == 5:
            accounts = [key.account for key in self._keys.keys[:STAKE_HOLDERS]]
            seed, now_ms = f"{self.random.getrandbits(256):064x}", time.time_ns() // 1_000_000
            start_ms = now_ms - round(1_000 * began_ago)
            genesis = make_genesis(seed, start_ms, SLOT_MS, permille, accounts, [FOUNDING_BALANCE] * STAKE_HOLDERS)
            journal = Journal(self._founders_data)
            journal.append("genesis", encode_frame(genesis.message()))
            journal.note("stage", str(self.stage))
            journal.note("network", genesis.id)
            journal.commit()
            journal.close()
        data = ["--data", str(self._founders_data)] if self.stage >= 4 else []
        return data + (INTERVAL if self.stage == 4 else [])

    @property
    def _founders_data(self) -> Path:
        return self.folder / "founder"

    def restart_founder(self) -> None:
        """Start the first node again after it was killed, with its data."""
        options = [*self._options("none"), "--data", str(self._founders_data)]
        self.nodes[0] = self._crew.start(self.stage, "--peer", "none", *options)
        self.nodes[0].wait_for("listening")

    def kill(self, number: int) -> None:
        """End a node as `kill -9` does."""
        self.nodes[number].signal(signal.SIGKILL)
        self.nodes[number].wait_end()
        self.nodes[number].end_input()

    def wallet_of_mallory(self) -> list[str]:
        """The options of a node with mallory's account. The others have the bank's."""
        return ["--wallet", str(self._keys.wallet(10))] if self.stage >= 3 else []

    def target(self, number: int) -> Target:
        """A node as a target of an attack."""
        return Target(self.nodes[number].address, self.stage, self.nodes[number].network)

    def target_behind_proxy(self, number: int) -> Target:
        """The same node, reached without the proxy. The proxy would mistake a peer that claims a node's address for
        that node."""
        return self.target(number)._replace(address=f"{HOST}:{self.faults.places[str(number)].port}")

    def partition(self, *groups: Sequence[int]) -> None:
        """Partition nodes behind the proxy, and wait until they notice."""
        self.faults.partition([list(map(str, group)) for group in groups])
        named = [number for group in groups for number in group]
        if not self.eventually(lambda: all(self._is_partitioned(one, groups) for one in named)):
            raise Unmeasured("the network was not partitioned in time")

    def _is_partitioned(self, number: int, groups: Sequence[Sequence[int]]) -> bool:
        own = next(group for group in groups if number in group)
        return int(self.nodes[number].ask("/peers", "peers")["connections"]) < len(own)

    def stake(self, number: int) -> PrivateKey:
        """The key of a genesis account of stage 5."""
        return self._keys.keys[number - 1]

    # --- money and news -------------------------------------------------------------------------

    def command(self, receiver: Person, amount: int) -> str:
        """The command that sends somebody `amount` coins from the bank; in stage 5 the fee is added."""
        if self.stage == 2:
            return f"/send {self.bank.account} {receiver.account} {amount}"
        return f"/send {receiver.account} {self.gross(amount)}"

    def gross(self, amount: int) -> int:
        """The amount to send so that `amount` arrives."""
        return amount + FEE if self.stage == 5 else amount

    def tell(self, number: int, times: int = 1) -> None:
        """Tell a piece of news at a node: a line of chat, or from stage 2 on one coin from the bank to alice."""
        for _ in range(times):
            self.told += 1
            if self.stage == 1:
                self.nodes[number].type(f"news {self.told}")
            else:
                self.nodes[number].ask(self.command(self.alice, 1), "sent")

    def payment(self, sender: Person, receiver: Person, amount: int) -> Message:
        """A properly signed transaction."""
        return make_transaction(self.target(0), sender.account, receiver.account, amount, sender.key)

    def heard(self, number: int) -> int:
        """How many pieces of news a node has printed, or executed."""
        if self.stage > 1:
            return self.gain(number, self.alice)
        return len(self.chat(number))

    def chat(self, number: int) -> list[str]:
        """The news that a node has printed, in the order of printing."""
        node = self.nodes[number]
        node.ask("/peers", "peers")
        return [event["text"] for event in node.events if event["event"] == "chat" and event["text"].startswith("news")]

    def ledger(self, number: int) -> dict[str, int]:
        """The balances that `/ledger` shows at a node."""
        accounts: dict[str, int] = self.nodes[number].ask("/ledger", "ledger")["accounts"]
        return accounts

    def gain(self, number: int, person: Person) -> int:
        """How much somebody has gained since the start, in the ledger of a node."""
        return self.ledger(number).get(person.account, 0) - person.starts_with

    def status(self, number: int, member: str) -> int:
        """A number that `/status` shows at a node (stages 4 and 5)."""
        return int(self.nodes[number].ask("/status", "status")[member])

    def fund(self, person: Person, amount: int) -> None:
        """Give somebody money from the bank, and wait until all nodes have executed that. Unmeasured if they do not."""
        expected = amount + self.gain(0, person)
        self.nodes[0].type(self.command(person, amount))
        if not self.eventually(lambda: all(self.gain(number, person) == expected for number in range(len(self.nodes)))):
            raise Unmeasured("the attacker did not get the money for its attack")

    # --- waiting --------------------------------------------------------------------------------

    def eventually(self, question: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """Ask again and again until the answer is yes. False if that takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while not question():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def all_heard(self, seconds: float = PATIENCE, numbers: Sequence[int] = ()) -> bool:
        """Have all nodes, or those in `numbers`, heard all the news? Wait up to `seconds` for it."""
        numbers = numbers or range(len(self.nodes))
        return self.eventually(lambda: all(self.heard(number) >= self.told for number in numbers), seconds)

    def all_agree(self, seconds: float = PATIENCE, numbers: Sequence[int] = ()) -> bool:
        """Do they all have the same ledger? Wait up to `seconds` for it."""
        numbers = numbers or range(len(self.nodes))
        return self.eventually(lambda: len({tuple(sorted(self.ledger(number).items())) for number in numbers}) == 1,
                               seconds)

    def each(self, what: Callable[[int], object]) -> str:
        """The answers of all nodes for people: `1 at each of 2 nodes`, or `1 at node 0, 3 at node 1`."""
        answers = [str(what(number)) for number in range(len(self.nodes))]
        if len(set(answers)) == 1:
            return f"{answers[0]} at each of {len(answers)} nodes"
        return ", ".join(f"{answer} at node {number}" for number, answer in enumerate(answers))

    def reported(self, number: int, event: str) -> list[Event]:
        """The events of one name that a node has reported so far."""
        node = self.nodes[number]
        node.ask("/peers", "peers")
        return [one for one in node.events if one["event"] == event]

    def wait_for(self, number: int, event: str, **members: Any) -> None:
        """Wait until a node reports that event. Unmeasured if it does not: then the attack has not taken place."""
        try:
            self.nodes[number].wait_for(event, PATIENCE, **members)
        except NodeError as error:
            raise Unmeasured(f"the attack has not taken place: {error}") from None

