"""A newcomer that dials one honest peer gets everything within twice the processor time that it takes undisturbed,
whatever the strangers that call it do (tests/hostile/strangers.py says what they do)."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from common.encoding import Message, canon, encode_frame, make_id
from common.journal import Journal
from stage4_sequencer.genesis import Genesis as SequencerGenesis
from stage5_pos.genesis import make_genesis
from tests.network.journals import MILLION, RECEIVER, SENDER, begin
from tests.conftest import Launch
from tests.fixtures import kept_key
from tests.hostile.gate import Gate
from tests.hostile.minter import Minter
from tests.processes import Event, NodeProcess
from tests.sizes import and_long
from tests.hostile.strangers import behaviours_of, strangers

MOST_TIMES = 2.0
NOISE_SECONDS = 0.2
"""Seconds that are allowed in addition: strangers speak before the first word of the honest peer, and the processor's
clock counts in hundredths of a second."""

POLL_SECONDS = 0.01
PATIENCE = 20.0
SEQUENCER = 3
PER_BLOCK = 5

LONG = {2: 50_000, 3: 10_000, 4: 10_000, 5: 3_000}
"""Stage -> how much there is to fetch: transactions, in stage 5 blocks."""

CASES = and_long([(2, 20, "mixed", 10_000), (5, 20, "tips", 500)],
                 [(stage, 100, name, LONG[stage]) for stage in LONG for name in ("mixed", *behaviours_of(stage))])


@pytest.mark.parametrize(("stage", "count", "behaviour", "size"), CASES)
def test_a_newcomer_gets_everything_within_twice_the_time_that_it_takes_undisturbed(
        stage: int, count: int, behaviour: str, size: int, start_node: Launch, tmp_path: Path) -> None:
    written = WRITERS[stage](tmp_path / "data", size)
    honest = start_node(stage, "none", "--data", str(tmp_path / "data"), *(["--forge", "none"] if stage == 5 else []))
    assert honest.network == written.network
    alone = join(honest, start_node, written)
    most = MOST_TIMES * alone + NOISE_SECONDS
    crowded = join(honest, start_node, written, most,
                   lambda newcomer: strangers(newcomer, count, behaviour, written.ids, written.genesis))
    print(told := f"alone {alone:.2f} s of the processor, with {count} strangers {crowded:.2f} s")
    assert crowded < most, told


class Written(NamedTuple):
    """The data that an honest node has."""

    network: str
    ids: list[str]
    """The ids that a newcomer fetches: of transactions, in stage 5 of blocks."""
    number: int
    """The number of transactions, or in stages 4 and 5 of blocks."""
    genesis: Message | None
    """The genesis of stage 5."""


def join(honest: NodeProcess, start_node: Launch, written: Written, most: float = PATIENCE,
         company: Callable[[NodeProcess], Any] = lambda newcomer: contextlib.nullcontext()) -> float:
    """Let a node join. Return the processor time until it has everything, or until it has used `most` seconds.

    The gate holds back the honest peer's history until the node has joined and its company is there.
    """
    options = ["--forge", "none"] if honest.stage == 5 else []
    with Gate(honest.address) as gate, start_node(honest.stage, gate.address, *options) as newcomer:
        newcomer.may_complain = True  # about what the strangers send
        newcomer.wait_for("joined")
        with company(newcomer):
            started = newcomer.cpu_seconds
            gate.open()
            took = watch(newcomer, written, started, most)
        newcomer.stop()
        return took


def watch(newcomer: NodeProcess, written: Written, started: float, most: float) -> float:
    """Wait until a node has all transactions, or from stage 4 on all blocks. Return the processor time since
    `started`."""
    command, event = ("/ledger", "ledger") if newcomer.stage < 4 else ("/status", "status")
    deadline, asked, has = time.monotonic() + PATIENCE, 0, 0
    while has < written.number and newcomer.cpu_seconds - started < most:
        answers = newcomer.all_of(event)
        if len(answers) == asked:  # while it is too busy to answer, do not ask again
            newcomer.type(command)
            asked += 1
        has = progress(newcomer.stage, answers[-1]) if answers else 0
        assert time.monotonic() < deadline, f"{has} of {written.number} after {PATIENCE:g} seconds"
        time.sleep(POLL_SECONDS)
    print(f"{has} of {written.number}")
    return newcomer.cpu_seconds - started


def progress(stage: int, answer: Event) -> int:
    """How many transactions a node has, or from stage 4 on how many blocks, in a chain."""
    if stage < 4:
        return int(answer["accounts"].get("receiver" if stage == 2 else RECEIVER, 0))
    return int(answer["next" if stage == 4 else "height"])


# --- what there is to fetch -------------------------------------------------------------------------

def transactions(journal: Journal, network: str, count: int, is_signed: bool = True) -> list[str]:
    """Put `count` transactions of one unit each into a journal. Return their ids."""
    ids = []
    for number in range(count):
        names = (SENDER, RECEIVER) if is_signed else ("sender", "receiver")
        message = {"type": "transaction", "nonce": f"{number:032x}", "from": names[0], "to": names[1], "amount": 1}
        canonical = canon(["transaction", network, *list(message.values())[1:]])
        signature = {"signature": kept_key(1).sign(canonical)} if is_signed else {}
        journal.append("transaction", encode_frame({**message, **signature}))
        ids.append(make_id(canonical))
    return ids


def write_without_blocks(stage: int) -> Callable[[Path, int], Written]:
    """A function that writes a life of stage 2 or 3."""
    def write(folder: Path, count: int) -> Written:
        journal, network = Journal(folder), "5e" * 16
        journal.note("stage", str(stage))
        journal.note("network", network)
        ids = transactions(journal, network, count, is_signed=stage > 2)
        journal.commit()
        journal.close()
        return Written(network, ids, count, None)
    return write


def write_sequenced(folder: Path, count: int) -> Written:
    """Write a life of stage 4, all of it signed."""
    genesis = SequencerGenesis("0" * 32, kept_key(SEQUENCER).account, 10_000, [SENDER, RECEIVER], [MILLION, MILLION])
    journal = begin(folder, 4, genesis)
    ids = transactions(journal, genesis.id, count)
    for number in range(count // PER_BLOCK):
        block = {"type": "block", "number": number, "transactions": ids[number * PER_BLOCK:(number + 1) * PER_BLOCK]}
        signature = kept_key(SEQUENCER).sign(canon(["block", genesis.id, number, block["transactions"]]))
        journal.append("block", encode_frame({**block, "signature": signature}))
    journal.commit()
    journal.close()
    return Written(genesis.id, ids, count // PER_BLOCK, None)


def write_chain(folder: Path, count: int) -> Written:
    """Write a life of stage 5: a chain of `count` signed blocks without transactions."""
    accounts = [kept_key(number).account for number in range(1, 11)]
    start_ms = time.time_ns() // 1_000_000 - 100 * count * 1_000
    genesis = make_genesis("5e" * 32, start_ms, 1_000, 999, accounts, [MILLION] * 10)
    journal = begin(folder, 5, genesis)
    minter = Minter.of(genesis.message(), genesis.id)
    chain = minter.chain(count)
    for block in chain:
        journal.append("block", encode_frame(block))
    journal.commit()
    journal.close()
    return Written(genesis.id, [minter.id_of(block) for block in chain], count, genesis.message())


WRITERS: dict[int, Callable[[Path, int], Written]] = {
    2: write_without_blocks(2), 3: write_without_blocks(3), 4: write_sequenced, 5: write_chain}
