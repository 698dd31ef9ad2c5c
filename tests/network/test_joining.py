"""Many nodes join at once, or one on a slow line: nobody is cut off, and everybody gets everything once."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.encoding import Message, canon, encode_frame, make_id
from common.journal import Journal
from lab.nodes.faults import Faults
from stage5_pos import lottery
from stage5_pos.genesis import make_genesis
from tests.network.journals import MILLION, RECEIVER, SENDER, begin
from tests.conftest import Launch
from tests.fixtures import kept_key
from tests.processes import NodeProcess, eventually

KIB = 1024

FEW, MANY = 200, 20_000
"""How many transactions there are, of some 1,250 bytes each."""

PER_BLOCK = 20


# --- what there is to get -------------------------------------------------------------------------

def write_payments(journal: Journal, network: str, count: int, first: int = 0) -> tuple[list[str], int]:
    """Put signed transactions of two units each into the journal. Return their ids, and their size in bytes."""
    ids, size = [], 0
    for number in range(first, first + count):
        message = {"type": "transaction", "nonce": f"{number:032x}", "from": SENDER, "to": RECEIVER, "amount": 2}
        canonical = canon(["transaction", network, *list(message.values())[1:]])
        frame = encode_frame({**message, "signature": kept_key(1).sign(canonical)})
        journal.append("transaction", frame)
        ids.append(make_id(canonical))
        size += len(frame)
    return ids, size


def write_store(folder: Path, count: int) -> int:
    """Write a network of stage 3 with `count` transactions. Return their size in bytes."""
    journal = Journal(folder)
    journal.note("stage", "3")
    journal.note("network", "3" * 32)
    size = write_payments(journal, "3" * 32, count)[1]
    journal.commit()
    journal.close()
    return size


def write_long_chain(folder: Path, count: int) -> int:
    """Write a network of stage 5 with `count` transactions in valid blocks. Return the size of all, in bytes."""
    accounts = [kept_key(number).account for number in range(1, 11)]
    genesis = make_genesis("5e" * 32, time.time_ns() // MILLION - count * 1_000, 1_000, 999, accounts, [MILLION] * 10)
    journal = begin(folder, 5, genesis)
    parent, slot, size = genesis.id, 0, 0
    for first in range(0, count, PER_BLOCK):
        ids, bytes_of_payments = write_payments(journal, genesis.id, PER_BLOCK, first)
        ticket = None
        while ticket is None:
            slot += 1
            ticket = winning_ticket(genesis.seed, slot, genesis.winning_thresholds())
        number, draw = ticket
        block: Message = {"type": "block", "slot": slot, "parent": parent, "creator": kept_key(number).account,
                          "draw": draw, "transactions": ids}
        canonical = canon(["block", genesis.id, *list(block.values())[1:]])
        frame = encode_frame({**block, "signature": kept_key(number).sign(canonical)})
        journal.append("block", frame)
        parent, size = make_id(canonical), size + len(frame) + bytes_of_payments
    journal.commit()
    journal.close()
    return size


def winning_ticket(seed: str, slot: int, thresholds: dict[str, int]) -> tuple[int, str] | None:
    """A genesis account that wins this slot, as the number of its key, and its draw. None if nobody wins."""
    for number in range(1, 11):
        key = kept_key(number)
        draw = lottery.make_draw(key, seed, slot)
        if lottery.ticket_value(seed, slot, key.account, draw) < thresholds[key.account]:
            return number, draw
    return None


WRITE: dict[int, Callable[[Path, int], int]] = {3: write_store, 5: write_long_chain}


def has_all(node: NodeProcess, stage: int, count: int) -> bool:
    """Has a node executed all `count` transactions?"""
    if stage == 5:
        return bool(node.ask("/status", "status")["height"] == count // PER_BLOCK)
    return bool(node.ask("/ledger", "ledger")["accounts"].get(RECEIVER) == 2 * count)


# --- nodes that join ------------------------------------------------------------------------------

class Scene:
    """A node that has data, and nodes that join by it, each at its place behind the proxy."""

    def __init__(self, stage: int, count: int, faults: Faults, start_node: Launch, folder: Path) -> None:
        self.stage, self.count, self.faults, self._start_node = stage, count, faults, start_node
        self.size = WRITE[stage](folder, count)
        self._options = ["--forge", "none"] if stage == 5 else []
        self.node = start_node(stage, "none", *faults.add("node").options, "--data", str(folder), *self._options)
        self.node.wait_for("listening", timeout=120)

    def join(self, count: int) -> list[NodeProcess]:
        """Let `count` nodes join at once."""
        return [self._start_node(self.stage, self.node.address, *self.faults.add(f"joiner {number}").options,
                                 *self._options) for number in range(count)]

    def wait(self, joiners: list[NodeProcess], timeout: float) -> None:
        """Wait until all have everything."""
        for joiner in joiners:
            eventually(lambda joiner=joiner: has_all(joiner, self.stage, self.count), timeout,  # type: ignore[misc]
                       joiner.describe)

    def expect_nobody_was_cut_off_or_told_twice(self, joiners: list[NodeProcess]) -> None:
        """Check that the node has closed no connection, and has sent each of them little more than all its data."""
        assert self.node.told("error") == [] and self.node.told("peer", state="down") == []
        sent = [self.faults.count_bytes("node", f"joiner {number}") for number in range(len(joiners))]
        print(f"{self.size} bytes are needed, {sent} were sent")
        assert max(sent) <= 1.3 * self.size + 100 * KIB, sent


@pytest.mark.parametrize("stage, count, timeout", [
    (5, FEW, 30.0),
    *(pytest.param(stage, MANY, 600.0, marks=[pytest.mark.long, pytest.mark.timeout(900)]) for stage in (3, 5))])
def test_eight_that_join_at_once_get_everything_once(
        stage: int, count: int, timeout: float, faults: Faults, start_node: Launch, tmp_path: Path) -> None:
    scene = Scene(stage, count, faults, start_node, tmp_path / "data")
    joiners = scene.join(8)
    scene.wait(joiners, timeout)
    scene.expect_nobody_was_cut_off_or_told_twice(joiners)


@pytest.mark.parametrize("stage, count, bytes_per_second, timeout", [
    (5, FEW, 100 * KIB, 60.0),
    *(pytest.param(stage, MANY, 200 * KIB, 600.0, marks=[pytest.mark.long, pytest.mark.timeout(900)])
      for stage in (3, 5))])
def test_one_on_a_slow_line_gets_everything_once(
        stage: int, count: int, bytes_per_second: int, timeout: float, faults: Faults, start_node: Launch,
        tmp_path: Path) -> None:
    scene = Scene(stage, count, faults, start_node, tmp_path / "data")
    faults.throttle("joiner 0", bytes_per_second)
    joiners = scene.join(1)
    scene.wait(joiners, timeout)
    scene.expect_nobody_was_cut_off_or_told_twice(joiners)
