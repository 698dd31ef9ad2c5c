"""Too much of what is allowed: connections, ids, addresses, transactions. A node bounds what it keeps and does."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.blackbox.peer import frames_of
from common.limits import OPENINGS_PER_SECOND
from stage4_sequencer.limits import MAX_UNCOVERED
from tests.conftest import Call, Launch
from tests.hostile.villain import (MEBIBYTE, Healthy, Villain, chats, quick_and_long, random_ids, transaction,
                                   transaction_id)
from tests.processes import NodeProcess, RawPeer, eventually
from tests.hostile.stampede import stampede

WIDE = "漢" * 4_096
"""The longest text, in characters that Python's JSON escapes as six bytes each: some 24 KB a frame."""


# --- connections ------------------------------------------------------------------------------------

@quick_and_long("mebibytes", 80, 200)
def test_a_peer_that_never_reads_is_dropped(mebibytes: int, start_node: Launch) -> None:
    node = start_node(2)
    with Villain(node, reads=False) as deaf, Villain(node) as other, Healthy(node):
        assert other.barrier()
        known = [transaction(node) for _ in range(1_000)]
        other.insist(frames_of(*known))
        assert other.barrier()
        answer = len(frames_of(*known))
        wanted = frames_of({"type": "want", "ids": [transaction_id(node, one) for one in known]})
        for _ in range(mebibytes * MEBIBYTE // answer + 1):
            if not deaf.send(wanted):
                break
        node.wait_for("peer", address=deaf.listen, state="down")


@quick_and_long("count", 300, 1_000)
@pytest.mark.parametrize("greets", [False, True], ids=["silent", "greeting"])
def test_connections_at_once(count: int, greets: bool, start_node: Launch) -> None:
    node = start_node(1)
    host, _, port = node.address.rpartition(":")
    with Healthy(node), contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(count)]
        hello = frames_of({"type": "hello", "version": 1, "stage": 1, "network": node.network, "listen": "127.9.9.9:9"})
        for one in sockets if greets else ():
            with contextlib.suppress(OSError):
                one.sendall(hello)
        eventually(lambda: sum(is_ended(one) for one in sockets) >= count - 127, state=node.describe)
        # The threads of connections that were just closed wait for a farewell, for at most two seconds.
        threads = sum(1 for _ in threads_of(node))
        assert threads < 3 * 128, f"{threads} threads"
        eventually(lambda: sum(1 for _ in threads_of(node)) < 2 * 128 + 16, state=lambda: list(threads_of(node)))
    eventually(lambda: sum(1 for _ in threads_of(node)) < 16, state=lambda: list(threads_of(node)))
    with Villain(node) as late:
        assert late.barrier(), "there is room again"


def is_ended(sock: socket.socket) -> bool:
    """Has the other side ended this connection? What it said before is discarded."""
    sock.setblocking(False)
    try:
        while data := sock.recv(65_536):
            del data
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def threads_of(node: NodeProcess) -> Iterator[str]:
    """The threads of a node (the folder task of /proc)."""
    return (entry.name for entry in Path(f"/proc/{node.process.pid}/task").iterdir())


@quick_and_long("seconds", 1, 60)
def test_connections_that_come_and_go(seconds: int, start_node: Launch) -> None:
    """The node sends the history to each of them, and they do not read it."""
    node = start_node(1)
    with Villain(node) as other:
        for message in chats(50, WIDE):
            other.insist(message)
        other.barrier()
        with Healthy(node):
            end = time.monotonic() + seconds
            with Villain(node, reads=False) as villain:
                while time.monotonic() < end:
                    villain.connect()
                print(villain.connections, "connections")


@quick_and_long("seconds", 1, 60)
def test_many_that_hear_nothing_at_once(seconds: int, start_node: Launch) -> None:
    """A hundred peers that never read, each of which is owed the whole history."""
    node = start_node(1)
    with Villain(node) as other:
        for message in chats(1_000, WIDE):
            other.insist(message)
        other.barrier()
        with Healthy(node) as healthy, contextlib.ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(Villain(node, reads=False))
            healthy.wait(seconds)


@quick_and_long("count", 3_000, 500_000)
def test_chat_without_end(count: int, start_node: Launch) -> None:
    node = start_node(1)
    with Healthy(node), Villain(node) as villain:
        for message in chats(count, "x"):
            villain.insist(message)
        assert villain.barrier()
        eventually(lambda: len(node.all_of("chat")) == count, state=lambda: len(node.all_of("chat")))


# --- what does not exist ----------------------------------------------------------------------------

@quick_and_long("count", 100_000, 1_000_000)
def test_ids_of_things_that_do_not_exist(count: int, start_node: Launch) -> None:
    node = start_node(2)
    with Healthy(node) as healthy:
        with Villain(node) as villain:
            for _ in range(count // 50_000):
                villain.insist(frames_of({"type": "inventory", "bucket": "00", "ids": random_ids(50_000)}))
            assert villain.barrier()
            healthy.wait(1)
        with Villain(node) as honest, RawPeer(node.address, 2, node.network) as witness:
            witness.join()
            genuine = transaction(node)
            honest.send(frames_of(genuine))
            witness.expect("transaction", nonce=genuine["nonce"])


def test_a_node_asks_for_the_ids_of_one_peer_despite_a_flood_of_ids_by_another(start_node: Launch, call: Call) -> None:
    node = start_node(2)
    with Healthy(node), Villain(node) as villain:
        for _ in range(5):
            villain.insist(frames_of({"type": "inventory", "bucket": "00", "ids": random_ids(50_000)}))
        assert villain.barrier()
        honest = call(node)
        honest.join()
        genuine = transaction(node)
        honest.send({"type": "inventory", "bucket": transaction_id(node, genuine)[:2],
                     "ids": [transaction_id(node, genuine)]})
        deadline = time.monotonic() + 5
        while transaction_id(node, genuine) not in honest.expect("want", deadline - time.monotonic())["ids"]:
            pass
        honest.send(genuine)
        eventually(lambda: node.ask("/ledger", "ledger")["accounts"] == {"account-1": -1, "account-2": 1},
                   state=node.describe)


# --- transactions -----------------------------------------------------------------------------------

@quick_and_long("count", 300, 100_000)
@pytest.mark.parametrize("stage", [4, 5])
def test_transactions_of_an_account_without_money(stage: int, count: int, start_node: Launch) -> None:
    """Key 9 has no money in stage 4, and key 12 has none in stage 5.

    In stage 4 ordered transactions are kept for late joiners, valid or not. Only in stage 5 does the sender pay for it.
    """
    node = start_node(stage, "none", *{4: ["--interval", "1"], 5: ["--slot", "0.2", "--rate", "0.9"]}[stage])
    before = node.ask("/ledger", "ledger")["accounts"]
    poor = {4: 9, 5: 12}[stage]
    with Healthy(node, growth_mib=64 + (count // 500 if stage == 4 else 0)):
        with Villain(node) as villain:
            for _ in range(count // 100):
                villain.insist(frames_of(*(transaction(node, sender=poor) for _ in range(100))))
            assert villain.barrier()
        if stage == 4:
            eventually(lambda: node.ask("/status", "status")["pending"] == 0, timeout=60, state=node.describe)
        else:
            assert 0 < node.ask("/status", "status")["pool"] <= MAX_UNCOVERED // 1_000, "each takes over 1,000 bytes"
        after = node.ask("/ledger", "ledger")["accounts"]
        assert {account: after[account] for account in before if stage == 4} == (before if stage == 4 else {})
        assert all(balance >= 0 for balance in after.values())


def test_invalid_signatures_at_full_speed_leave_more_than_half_for_the_others(start_node: Launch) -> None:
    """Twenty connections at a time, each ended after its tenth bad signature and opened again at once.

    The cost is the node's processor time in one second of the clock, while nobody else asks for anything. (How long
    others would have to wait depends on how busy the machine is.) They are let in no faster than the limit says.
    """
    node = start_node(3)
    bad = frames_of(*(transaction(node, amount=2, nonce=f"{number:032x}") for number in range(10)))
    genuine = [transaction(node) for _ in range(100)]
    with Healthy(node) as healthy, Villain(node) as honest, stampede(node, bad):
        healthy.wait(1)  # they may begin with a burst, which is over by then
        start, computed, earlier = time.monotonic(), node.cpu_seconds, len(node.all_of("peer", state="up"))
        healthy.wait(2)
        seconds = time.monotonic() - start
        share = (node.cpu_seconds - computed) / seconds
        let_in = (len(node.all_of("peer", state="up")) - earlier) / seconds
        honest.send(frames_of(*genuine))
        assert honest.barrier()
    print(f"the attackers cost {share:.2f} of each second, in which {let_in:.0f} were let in")
    assert share < 0.5 and 0 < let_in < 1.5 * OPENINGS_PER_SECOND
    assert sum(node.ask("/ledger", "ledger")["accounts"].values()) == 0
    assert node.ask("/ledger", "ledger")["accounts"][genuine[0]["to"]] == len(genuine)
