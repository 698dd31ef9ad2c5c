"""Four nodes of one stage behind the proxy, with methods to pay at a node and to ask it."""

from collections.abc import Sequence
from pathlib import Path

from lab.nodes.faults import Faults
from tests.conftest import Launch
from tests.processes import NodeProcess, eventually

CLOCKS = Path(__file__).resolve().parents[1] / "shifted_clock"

FOUNDING = {4: ["--interval", "0.2"], 5: ["--slot", "0.2", "--rate", "0.5"]}
"""The founder's options, so that blocks come quickly."""

FORGING = {0: "1,2,3,4,5", 2: "6,7,8,9,10"}
"""Stage 5: place -> the genesis accounts that its node plays."""

SENDERS = {0: "1", 2: "6"}
"""Places that have money -> in stage 5 the genesis account of that money. In stage 4 both have one wallet."""


class SmallNetwork:
    """Nodes 0 to 3 of one network. Node 0 has founded it. Nodes 0 and 2 can pay node 1, one coin at a time."""

    def __init__(self, stage: int, faults: Faults, start_node: Launch, wallets: Sequence[Path],
                 data: Path | None = None, founding: Sequence[str] | None = None,
                 forging: dict[int, str] = FORGING, clock_shifts_ms: dict[int, int] | None = None) -> None:
        """Start four nodes, and wait until all are linked. With `data` each has a folder there."""
        self.stage, self.faults = stage, faults
        self._start_node, self._wallets, self._data = start_node, wallets, data
        self._founding = FOUNDING.get(stage, []) if founding is None else founding
        self._forging, self._shifts = forging, clock_shifts_ms or {}
        self.paid = 0
        """Coins that were acknowledged."""
        self.nodes: list[NodeProcess] = []
        for number in range(4):
            faults.add(str(number))
            self.nodes.append(self.start(number))
            # One after the other: two nodes that join at once call each other, and close one of the two connections.
            wait_until_all_are_linked(faults)
        for node in self.nodes:  # the proxy has seen the hello of each link; now wait until the nodes have, too
            for other in self.nodes:
                if other is not node:
                    node.wait_for("peer", address=other.address, state="up")
        self.sink = "sink" if stage == 2 else str(self.nodes[1].listening["account"])

    def start(self, number: int) -> NodeProcess:
        """Start a node at its place, or start it again."""
        options = list(self.faults.places[str(number)].options)
        if self.stage >= 3:
            options += ["--wallet", str(self._wallets[number % 2])]
        if self.stage == 5:
            options += ["--forge", self._forging.get(number, "none")]
        if self._data is not None:
            options += ["--data", str(self._data / str(number))]
        peer = self.nodes[0].address if number else "none"
        env = {"PYTHONPATH": str(CLOCKS), "CLOCK_SHIFT_MS": str(self._shifts[number])} if number in self._shifts else {}
        return self._start_node(self.stage, peer, *options, *([] if number else self._founding), env=env)

    def restart(self, number: int) -> None:
        """Start a node that was killed, and wait until it goes on with its data and listens."""
        self.nodes[number] = self.start(number)
        self.nodes[number].wait_for("founded", resumed=True)
        self.nodes[number].wait_for("listening")

    def pay(self, number: int, coins: int) -> list[str]:
        """Let node 0 or 2 pay. Return the ids once all are acknowledged."""
        node, since = self.nodes[number], len(self.nodes[number].all_of("sent"))
        line = {2: f"/send payer-{number} {self.sink} 1", 5: f"/send {self.sink} 2 --from {SENDERS[number]}"}
        for _ in range(coins):
            node.type(line.get(self.stage, f"/send {self.sink} 1"))
        eventually(lambda: len(node.all_of("sent")) == since + coins, state=node.describe)
        self.paid += coins
        return [event["id"] for event in node.all_of("sent")[since:]]

    def ledger(self, number: int) -> dict[str, int]:
        """The balances that `/ledger` shows at a node."""
        accounts: dict[str, int] = self.nodes[number].ask("/ledger", "ledger")["accounts"]
        return accounts

    def arrived(self, number: int) -> int:
        """The coins that have arrived, as a node sees it."""
        return self.ledger(number).get(self.sink, 0)

    def status(self, number: int, member: str) -> int:
        """A number that `/status` shows at a node."""
        return int(self.nodes[number].ask("/status", "status")[member])

    def wait_for_arrived(self, number: int, coins: int) -> None:
        """Wait until that many coins have arrived, as a node sees it."""
        eventually(lambda: self.arrived(number) == coins, state=lambda: (number, coins, self.describe()))

    def wait_until_all_agree(self, timeout: float = 60.0) -> None:
        """Wait until all have the same ledger, with every coin that was paid."""
        def agree() -> bool:
            first, *others = [self.ledger(number) for number in range(4)]
            return first.get(self.sink, 0) == self.paid and all(other == first for other in others)
        eventually(agree, timeout, self.describe)

    def describe(self) -> str:
        """What each node sees, for a person who wonders why a test failed."""
        return f"{self.paid} paid, arrived {[self.arrived(number) for number in range(4)]}; {self.faults.describe()}"


def wait_until_all_are_linked(faults: Faults) -> None:
    """Wait until each node has one connection to each other node, as in a small network from stage 2 on."""
    names = list(faults.places)
    pairs = [(one, other) for one in names for other in names if one < other]
    eventually(lambda: all(faults.count_links(*pair) == 1 for pair in pairs), state=faults.describe)
