"""Scenes on several machines: a program that tests/network/machines.py runs in namespaces of its own.

    python -m tests.network.scenes_on_machines SCENE ARGUMENTS …     # exit status 0: all was as expected
"""

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from lab.nodes.faults import Faults
from tests.network.machines import Machines, address, end_with_input, proxy_address
from tests.processes import NodeProcess, eventually

COUNT = 5

FAR = 5
"""The machine that goes away and comes back."""

DELAY = 0.02
"""Seconds that the proxy adds on the way to a machine, and again on the way from it."""

AGREE_SECONDS = 60.0

BEFORE, FROM_OTHERS, FROM_FAR = 11, 101, 1001
"""Amounts of the payments; stage 5 takes one of each as its fee. A sum shows which payments are in it."""


class Network:
    """Five nodes of one stage, each on a machine of its own behind the lab's proxy."""

    def __init__(self, stage: int, folder: Path, machines: Machines, faults: Faults) -> None:
        self.stage, self._folder, self.machines, self._faults = stage, folder, machines, faults
        self.receiver = "receiver" if stage == 2 else (folder / "receiver").read_text()
        self.nodes: dict[int, NodeProcess] = {}

    def start(self, ends: ExitStack) -> None:
        """Start all at once; `ends` ends them."""
        places = {number: self._faults.add(str(number), proxy_address(number), address(number))
                  for number in range(1, COUNT + 1)}
        for number, place in places.items():
            self._faults.delay(place.name, DELAY)
            peer = "none" if number == 1 else places[1].address
            self.nodes[number] = ends.enter_context(NodeProcess(
                self.stage, "--peer", peer, "--wait", "60", *place.options, *self._options(number),
                through=self.machines.at(number)))

    def _options(self, number: int) -> list[str]:
        wallet = ["--wallet", str(self._folder / "wallet")] if self.stage >= 3 else []
        stakes = ["--keys", str(self._folder / "keys"), "--forge", f"{number},{number + COUNT}"]
        founding = {4: ["--interval", "0.3"], 5: ["--slot", "0.2", "--rate", "0.5"]} if number == 1 else {}
        return [*wallet, *(stakes if self.stage == 5 else []), *founding.get(self.stage, [])]

    def pay(self, number: int, amount: int) -> None:
        """Pay `amount` at a node. In stages 3 and 4 all nodes share one account; in stage 5 each has its own stakes."""
        sender = f"sender-{number} " if self.stage == 2 else ""
        stake = f" --from {number}" if self.stage == 5 else ""
        self.nodes[number].ask(f"/send {sender}{self.receiver} {amount}{stake}", "sent")

    def wait_for(self, numbers: range, *amounts: int) -> None:
        """Wait until these nodes have the same ledger, with these payments and no others."""
        wanted = sum(amounts) - (len(amounts) if self.stage == 5 else 0)

        def agree() -> bool:
            ledgers = [self.nodes[number].ask("/ledger", "ledger")["accounts"] for number in numbers]
            return ledgers[0].get(self.receiver) == wanted and all(ledger == ledgers[0] for ledger in ledgers)

        eventually(agree, AGREE_SECONDS, lambda: "\n".join(node.describe() for node in self.nodes.values()))

    def received(self, number: int) -> int:
        """What the receiver has, as a node sees it."""
        return int(self.nodes[number].ask("/ledger", "ledger")["accounts"].get(self.receiver, 0))

    def wait_until_missed(self, number: int) -> None:
        """Wait until a node has given up its connection to the machine that went away, if it had one."""
        far = self.nodes[FAR].address
        self.nodes[number].wait_for("peer", 120.0, address=far, state="down")


def away_and_back(stage: str, outage: str, folder: str) -> None:
    """Five nodes agree, one machine is cut off, and both sides go on. When it is back, all agree again. The outage is
    `short`, so that the connections survive it, or `long`, until they are given up."""
    everyone, others = range(1, COUNT + 1), range(1, COUNT)
    machines = Machines(COUNT)
    with Faults() as faults, ExitStack() as ends:
        network = Network(int(stage), Path(folder), machines, faults)
        network.start(ends)
        names = {node.network for node in network.nodes.values()}
        assert len(names) == 1, names
        network.pay(2, BEFORE)
        network.wait_for(everyone, BEFORE)
        machines.unplug(FAR)
        network.pay(1, FROM_OTHERS)
        network.pay(FAR, FROM_FAR)
        network.wait_for(others, BEFORE, FROM_OTHERS)
        assert network.received(FAR) % 1000 < FROM_OTHERS - 1, "the cable is out"
        if outage == "long":
            network.wait_until_missed(1)
        machines.plug(FAR)
        network.wait_for(everyone, BEFORE, FROM_OTHERS, FROM_FAR)
    print("agreed")


def told() -> None:
    """What a node says if no other machine can call it, and which address it finds if it is given only HOST=0.0.0.0.
    These machines have no route to the outside, like a classroom's on a switch."""
    machines = Machines(3)
    with ExitStack() as ends:
        def start(number: int, *options: str) -> NodeProcess:
            return ends.enter_context(NodeProcess(1, *options, through=machines.at(number)))

        founder = start(1, "--peer", "none", "--host", "0.0.0.0", "--port", "5000")
        assert founder.address == "127.0.0.1:5000", "no route shows the way to other machines"
        others = ["--peer", f"{address(1)}:5000", "--wait", "30"]
        joiner = start(2, *others, "--host", "0.0.0.0", "--port", "5000")
        assert joiner.address == f"{address(2)}:5000" and joiner.network == founder.network
        assert "--announce" in founder.wait_for("error", code="NETWORK")["reason"]
        closed = start(3, *others)
        assert "--host 0.0.0.0" in closed.wait_for("error", code="NETWORK")["reason"]
        refused = start(2, "--peer", f"{address(3)}:5000", "--wait", "0")
        assert "--host 0.0.0.0" in refused.wait_for("error", code="NETWORK")["reason"]
        assert not joiner.told("error") and len(founder.told("error")) == 1
    print("told")


def stay() -> None:
    """A machine with a process that does not end by itself."""
    sleeper = subprocess.Popen([*Machines(1).at(1), "sleep", "1000"])
    print("ready", flush=True)
    sleeper.wait()


SCENES: dict[str, Callable[..., None]] = {"away-and-back": away_and_back, "told": told, "stay": stay}


if __name__ == "__main__":
    end_with_input()
    SCENES[sys.argv[1]](*sys.argv[2:])
