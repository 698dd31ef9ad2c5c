"""Real nodes with `--data` that are killed at random moments, or find damaged files, or no room on the disk."""

import contextlib
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.network.journals import SENDER, write_chain, write_sequenced
from tests.conftest import Call, Launch
from tests.processes import NodeError, NodeProcess, eventually
from tests.sizes import and_long

STAGES = [2, 3, 4, 5]
FOUNDING = {2: [], 3: [], 4: ["--interval", "0.2"], 5: ["--slot", "0.1", "--rate", "0.9", "--forge", "1,2,3,4,5"]}
"""The founder's options: in stages 4 and 5 there is a block every few tenths of a second."""

every_stage_with_data = pytest.mark.parametrize("stage", STAGES)
first_and_last = pytest.mark.parametrize("stage", and_long([2, 5], [3, 4]))
"""The stages that keep data, for tests of what they all do in the same way."""


def with_data(folder: Path) -> list[str]:
    """The option with which a node keeps its data."""
    return ["--data", str(folder)]


# --- killed under load ----------------------------------------------------------------------------

class Victim:
    """A node that is killed again and again, and the transactions that it acknowledged in all its lives."""

    def __init__(self, stage: int, launch: Launch, call: Call, options: list[str]) -> None:
        self.stage = stage
        self.receiver = "b" if stage == 2 else SENDER
        """The account that is paid."""
        self._launch = launch
        self._call = call
        self._options = options
        self.transactions: set[str] = set()
        self.blocks: set[str] = set()
        self.node = launch(stage, "--peer", "none", *options)

    def send(self, count: int) -> None:
        """Type many transactions at once."""
        line = {2: f"/send a {self.receiver} 1", 3: f"/send {self.receiver} 1", 4: f"/send {self.receiver} 1",
                5: f"/send {self.receiver} 2 --from 1"}[self.stage]
        self.node.type("\n".join([line] * count))

    def kill(self) -> None:
        """Kill it without a warning, and note all that it said before."""
        self.node.kill()
        self.transactions |= {event["id"] for event in self.node.all_of("sent")}
        self.transactions |= {event["id"] for event in self.node.all_of("transaction", state="applied")}
        self.blocks |= {event["id"] for event in self.node.all_of("block")}

    def restart(self) -> None:
        """Start it again, with nothing but its data."""
        self.node = self._launch(self.stage, *self._options)
        assert self.node.wait_for("founded")["resumed"] is True

    def received(self, node: NodeProcess) -> int:
        """What a node says that the receiver has."""
        return ledger(node).get(self.receiver, 0)

    def lost(self) -> set[str]:
        """The transactions that it acknowledged and no longer knows."""
        found = self.transactions_among(self.transactions)
        if self.blocks:
            command = {4: "blocks", 5: "tree"}[self.stage]
            found |= {block["id"] for block in self.node.ask(f"/{command}", command)["blocks"]}
        return (self.transactions | self.blocks) - found

    def transactions_among(self, ids: set[str]) -> set[str]:
        """All of `ids` if it has all their transactions, otherwise none. It is asked over the wire."""
        wanted = sorted(ids)
        asker = self._call(self.node)
        asker.hello()
        came = 0
        for start in range(0, len(wanted), 1_000):
            asker.send({"type": "want", "ids": wanted[start:start + 1_000]})
            came += sum(message["type"] == "transaction" for message in asker.barrier())
        asker.close()
        # It sends only what was asked for. So if as many came, it has all of them.
        return set(wanted) if came >= len(wanted) else set()


def ledger(node: NodeProcess) -> dict[str, int]:
    """The balances that a node shows."""
    accounts: dict[str, int] = node.ask("/ledger", "ledger")["accounts"]
    return accounts


@first_and_last
@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_acknowledged_transactions_survive_kill_9_at_any_moment(
        stage: int, kills: int, launch: Launch, call: Call, wallets: list[Path], genesis_keys: Path,
        tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    own = {2: [], 3: [], 4: [], 5: ["--keys", str(genesis_keys)]}[stage]
    victim = Victim(stage, launch, call, [*FOUNDING[stage], *own, *with_data(tmp_path / "data")])
    others = {2: [], 3: ["--wallet", str(wallets[0])], 4: ["--wallet", str(wallets[0])],
              5: ["--wallet", str(wallets[0]), "--keys", str(genesis_keys), "--forge", "6,7,8,9,10"]}[stage]
    witness = launch(stage, "--peer", victim.node.address, *others)
    # In its next life the victim has another address. It finds the witness only if it knew it in this life.
    victim.node.wait_for("peer", address=witness.address, state="up")
    for number in range(kills):
        victim.send(200)
        victim.node.wait_for("sent")
        time.sleep(choose.uniform(0.0, 0.6))  # this waits for nothing: any moment will do
        victim.kill()
        victim.restart()
        assert not victim.lost(), f"kill {number}: {len(victim.lost())} lost"
    assert len(victim.transactions) >= kills
    # Not the whole ledgers: in stage 5 each block changes them, and one may come between the two questions every time.
    eventually(lambda: victim.received(victim.node) == victim.received(witness) > 0, timeout=60,
               state=lambda: (ledger(victim.node), ledger(witness)))
    assert not victim.lost()
    assert witness.told("equivocation") == victim.node.told("equivocation") == [], "it signed something twice"


# --- resuming -------------------------------------------------------------------------------------

@pytest.mark.parametrize("stage, write, heights", [(4, write_sequenced, "next"), (5, write_chain, "height")])
@pytest.mark.parametrize("blocks", [20, pytest.param(1_000, marks=pytest.mark.long)])
def test_a_long_life_is_back_in_seconds(
        stage: int, write: Callable[[Path, int, int], None], heights: str, blocks: int, start_node: Launch,
        tmp_path: Path) -> None:
    write(tmp_path, blocks, 100)
    begun = time.monotonic()
    node = start_node(stage, "none", *with_data(tmp_path), *(["--forge", "none"] if stage == 5 else []))
    node.wait_for("listening", timeout=120)
    computed = node.cpu_seconds  # on an idle machine the same as seconds of the clock
    print(f"{100 * blocks} transactions in {blocks} blocks: back in {computed:.1f} s of the processor,"
          f" {time.monotonic() - begun:.1f} s of the clock")
    assert node.ask("/status", "status")[heights] == blocks
    fee_and_reward = (100 * blocks + 10 * blocks) if stage == 5 else 0
    assert ledger(node)[SENDER] == 1_000_000 - 100 * blocks + fee_and_reward
    assert computed < 20


def test_a_peer_that_is_no_address_is_reported_and_the_network_kept(launch: Launch, tmp_path: Path) -> None:
    first = launch(2, "--peer", "none", *with_data(tmp_path))
    network = first.network
    assert first.stop() == 0
    again = launch(2, "--peer", "nowhere", *with_data(tmp_path))
    assert again.network == network
    assert again.wait_for("error")["code"] == "NETWORK"


# --- damaged, taken, full -------------------------------------------------------------------------

def a_short_life(stage: int, start_node: Launch, folder: Path) -> None:
    """A node founds a network in this folder, sends something, and ends."""
    node = start_node(stage, "none", *with_data(folder))
    node.type({2: "/send a b 1", 3: f"/send {SENDER} 0", 4: f"/send {SENDER} 0", 5: f"/send {SENDER} 1 --from 1"}[stage])
    node.wait_for("sent")
    assert node.stop() == 0


DAMAGES: dict[str, Callable[[Path], object]] = {
    "bytes flipped": lambda file: file.write_bytes(file.read_bytes().replace(b'"nonce"', b'"n0nce"')),
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:9_000]),
    "not SQLite": lambda file: file.write_bytes(b"my diary\n" * 500),
    "empty": lambda file: file.write_bytes(b""),
}


@first_and_last
def test_a_damaged_file_gives_one_line_and_is_never_replaced(stage: int, start_node: Launch, tmp_path: Path) -> None:
    a_short_life(stage, start_node, tmp_path / "whole")
    for name, damage in DAMAGES.items():
        folder = shutil.copytree(tmp_path / "whole", tmp_path / name)
        file = folder / "journal.sqlite"
        damage(file)
        damaged = file.read_bytes()
        node = start_node(stage, "none", *with_data(folder))
        node.may_complain = True
        assert node.wait_exit() == 1, node.describe()
        told = node.errors + [event["reason"] for event in node.all_of("error", code="STORAGE")]
        assert len(told) == 1 and str(file) in told[0], f"{name}: {node.describe()}"
        assert "nothing was replaced" in told[0] or "name another folder" in told[0], told
        assert node.all_of("listening") == [] and file.read_bytes() == damaged, name


@first_and_last
def test_a_second_process_is_refused_and_the_first_one_goes_on(stage: int, start_node: Launch, tmp_path: Path) -> None:
    first = start_node(stage, "none", *with_data(tmp_path))
    first.wait_for("listening")
    second = start_node(stage, "none", *with_data(tmp_path))
    second.may_complain = True
    assert second.wait_exit() == 1
    assert len(second.errors) == 1 and "another process uses this folder" in second.errors[0]
    first.type("still here")
    first.wait_for("chat", text="still here")


def test_the_folder_of_another_stage_gives_one_line(start_node: Launch, tmp_path: Path) -> None:
    a_short_life(2, start_node, tmp_path)
    node = start_node(3, "none", *with_data(tmp_path))
    node.may_complain = True
    assert node.wait_exit() == 1
    assert len(node.errors) == 1 and "stage 2" in node.errors[0] and "stage 3" in node.errors[0]


@every_stage_with_data
def test_a_node_without_room_says_so_ends_and_goes_on_when_there_is_room(
        stage: int, start_node: Launch, call: Call, tmp_path: Path) -> None:
    node = start_node(stage, "none", *with_data(tmp_path))
    node.wait_for("listening")
    full = max(file.stat().st_size for file in tmp_path.iterdir()) + 50_000
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (full, full))  # no file grows beyond this
    line = {2: "/send a b 1", 3: f"/send {SENDER} 1", 4: f"/send {SENDER} 1", 5: f"/send {SENDER} 2 --from 1"}[stage]
    with contextlib.suppress(NodeError):  # it ends while we type
        node.type("\n".join([line] * 400))
    assert node.wait_exit() == 1
    assert [event["code"] for event in node.all_of("error")] == ["STORAGE"], node.describe()
    reason = node.all_of("error")[0]["reason"]
    assert str(tmp_path) in reason and ("disk" in reason)
    acknowledged = {event["id"] for event in node.all_of("sent")}
    assert acknowledged, "there was room for some"
    again = start_node(stage, "none", *with_data(tmp_path))
    assert again.wait_for("founded")["resumed"] is True
    asker = call(again)
    asker.hello()
    asker.send({"type": "want", "ids": sorted(acknowledged)})
    assert sum(message["type"] == "transaction" for message in asker.barrier()) == len(acknowledged)


@first_and_last
def test_after_ctrl_c_a_node_goes_on_with_its_folder(stage: int, start_node: Launch, tmp_path: Path) -> None:
    first = start_node(stage, "none", *with_data(tmp_path))
    network = first.network
    first.signal(signal.SIGINT)
    assert first.wait_exit() == 0
    again = start_node(stage, "127.0.0.1:1", *with_data(tmp_path))
    assert again.wait_for("founded")["resumed"] is True
    assert again.network == network, "--peer is only a first address to try"
