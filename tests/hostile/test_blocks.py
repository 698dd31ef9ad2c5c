"""Blocks by a dishonest stake holder, and attacks with blocks that need no stake."""

import secrets
from itertools import islice
from pathlib import Path

from lab.blackbox.peer import frames_of
from tests.conftest import Launch
from tests.hostile.villain import Healthy, Villain, padded, quick_and_long, random_ids, transaction, transaction_id
from tests.hostile.minter import Minter
from tests.processes import Event, NodeProcess, RawPeer, eventually

MAX_WAITING = 1_000
"""The most postponed blocks (contract §3, stage 5)."""


def start_quick_slots(start_node: Launch) -> NodeProcess:
    """A node that makes no blocks, in whose network each stake holder wins half of a thousand slots a second."""
    return start_node(5, "none", "--slot", "0.001", "--rate", "0.999", "--forge", "none")


def status(node: NodeProcess) -> Event:
    """The node's status."""
    return node.ask("/status", "status")


def assert_takes_blocks(node: NodeProcess, minter: Minter) -> None:
    """Check that a good block still enters the tree, whatever waits."""
    with Villain(node) as honest:
        block = minter.block(next(minter.tickets(key=2)), minter.network)
        honest.insist(frames_of(block))
        assert honest.barrier()
        node.wait_for("block", id=minter.id_of(block), timeout=5)


@quick_and_long("slots, twins", (200, 1), (5_000, 20))
def test_signed_orphans(slots: int, twins: int, start_node: Launch) -> None:
    node = start_quick_slots(start_node)
    minter = Minter(node)
    with Healthy(node):
        with Villain(node) as villain:
            for ticket in islice(minter.tickets(), slots):
                villain.insist(frames_of(*(minter.block(ticket, parent) for parent in random_ids(twins))))
            assert villain.barrier()
            assert 0 < status(node)["waiting"] <= MAX_WAITING
            assert status(node)["blocks"] == 0
        assert_takes_blocks(node, minter)


@quick_and_long("count", 4, 100)
def test_signed_blocks_of_as_many_unknown_transactions_as_fit(count: int, start_node: Launch) -> None:
    """Blocks of 16 MiB wait; with all the ids that they lack they take less than 100 MiB of memory."""
    node = start_quick_slots(start_node)
    minter = Minter(node)
    with Healthy(node, growth_mib=100):
        with Villain(node) as villain:
            for ticket in islice(minter.tickets(), count):
                villain.insist(frames_of(minter.block(ticket, minter.network, random_ids(50_000))))
            assert villain.barrier()
            assert status(node)["waiting"] > 0
        assert_takes_blocks(node, minter)


@quick_and_long("count", 200, 10_000)
def test_valid_blocks_of_one_creator_in_one_slot(count: int, start_node: Launch) -> None:
    """Each block lists another choice of the same fourteen transactions. Two are evidence, more are noise."""
    node = start_quick_slots(start_node)
    minter = Minter(node)
    pool = [transaction(node) for _ in range(14)]
    ids = [transaction_id(node, one) for one in pool]
    ticket = next(minter.tickets())
    with Healthy(node), Villain(node) as villain, RawPeer(node.address, 5, node.network) as witness:
        witness.join()
        villain.insist(frames_of(*pool))
        for number in range(1, count + 1):
            chosen = [one for bit, one in enumerate(ids) if number >> bit & 1]
            villain.insist(frames_of(minter.block(ticket, minter.network, chosen)))
            if number % 1_000 == 0:
                assert villain.barrier()
        assert villain.barrier()
        forwarded = [message for message in witness.barrier() if message["type"] == "block"]
        assert len(forwarded) == 2
        assert len(node.all_of("equivocation")) == 1
        assert status(node)["height"] == 1


@quick_and_long("depth, count", (100, 50), (3_000, 2_000))
def test_blocks_now_on_the_genesis_and_now_on_the_tip(depth: int, count: int, start_node: Launch) -> None:
    """Each is valid. To find that out, the ledger must go all the way back or forth."""
    node = start_quick_slots(start_node)
    minter = Minter(node)
    chain = minter.chain(depth)
    tip, after = minter.id_of(chain[-1]), chain[-1]["slot"] + 1
    eventually(lambda: status(node)["slot"] > after + 4 * count, state=lambda: status(node))
    with Healthy(node), Villain(node) as villain:
        villain.insist(frames_of(*chain))
        assert villain.barrier()
        assert status(node)["height"] == depth
        for number, ticket in enumerate(islice(minter.tickets(3, after), count)):
            villain.insist(frames_of(minter.block(ticket, [tip, minter.network][number % 2])))
        assert villain.barrier(120)
        assert status(node)["height"] == depth + 1
        assert status(node)["blocks"] == depth + count


@quick_and_long("count", 5_000, 1_000_000)
def test_pongs_while_blocks_wait(count: int, start_node: Launch) -> None:
    """Orphans take more than half of the places, and pongs claim again and again that an answer to `get_chain` is
    complete."""
    node = start_quick_slots(start_node)
    minter = Minter(node)
    with Healthy(node), Villain(node) as villain:
        for ticket in islice(minter.tickets(), 501):
            villain.insist(frames_of(minter.block(ticket, secrets.token_hex(32))))
        villain.insist(frames_of({"type": "tip", "id": secrets.token_hex(32), "height": 1_000}, *minter.chain(1, key=2)))
        assert villain.barrier() and status(node)["waiting"] == 501 and status(node)["height"] == 1
        for _ in range(count // 1_000):
            villain.insist(frames_of(*[{"type": "pong", "nonce": "blocks"}] * 1_000))
        assert villain.barrier() and villain.connections == 1


@quick_and_long("seconds", 1, 60)
def test_blocks_that_nobody_has_signed(seconds: int, start_node: Launch) -> None:
    node = start_quick_slots(start_node)
    minter = Minter(node)
    forged = []
    for ticket in islice(minter.tickets(), 10):
        block = minter.block(ticket, secrets.token_hex(32))
        forged.append({**block, "parent": secrets.token_hex(32)})  # and the draw has won
    with Healthy(node):
        with Villain(node) as villain:
            rounds = villain.press(frames_of(*forged), seconds)
            assert villain.connections > 2 and rounds > 2, "it is thrown out after ten"
        assert status(node)["waiting"] == status(node)["blocks"] == 0
        assert_takes_blocks(node, minter)


@quick_and_long("count", 1_000, 100_000)
def test_a_sequencers_old_block_again(count: int, start_node: Launch, tmp_path: Path) -> None:
    """First in its own bytes and in others that say the same, then with another number, over which it is not signed."""
    node = start_node(4, "none", "--interval", "0.2")
    with Healthy(node), Villain(node) as villain, RawPeer(node.address, 4, node.network) as witness:
        witness.join()
        villain.insist(frames_of(transaction(node, sender=11)))
        block = witness.expect("block")
        before = [node.ask(question, event) for question, event in (("/ledger", "ledger"), ("/blocks", "blocks"))]
        for number in range(count // 100):
            villain.insist(frames_of(*[block] * 50) + b"".join(padded(block, 800 + number % 100) for _ in range(50)))
        assert villain.barrier() and villain.connections == 1, "repeats do not count"
        for number in range(10):
            villain.send(frames_of({**block, "number": number + 1}))
        assert not villain.barrier(), "forged ones do"
        after = [node.ask(question, event) for question, event in (("/ledger", "ledger"), ("/blocks", "blocks"))]
        assert after == before
        assert node.all_of("equivocation") == []
        assert [one for one in witness.barrier() if one["type"] == "block"] == [], "nothing is forwarded again"
