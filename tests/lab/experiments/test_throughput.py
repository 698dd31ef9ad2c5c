"""Throughput of real nodes on a small scale: what they are sent, and what is counted. Speed is not tested."""

import json
import random
import time
from pathlib import Path

import pytest

from common.encoding import canon
from common.rsa import InvalidSignature, verify
from lab.blackbox.peer import DEADLINE
from lab.experiments.experiment import Point
from lab.experiments.load import Forger, forge, make_load, split_frames
from lab.experiments.throughput import Throughput, bound_of, options_of, wait_until_executed
from lab.nodes.processes import running_network
from lab.nodes.workload import PASSPHRASE, KeyRing, injectors
from tests.lab.experiments.inline import draw_page, measure

NETWORK = 64 * "0"


def has_signed(frame: bytes) -> bool:
    """Is the transaction signed by its sender?"""
    message = json.loads(frame[4:])
    members = [message[name] for name in ("nonce", "from", "to", "amount")]
    try:
        verify(message["from"], canon(["transaction", NETWORK, *members]), message["signature"])
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("stage, kind", [(4, "valid"), (5, "uncovered"), (5, "forged")])
def test_a_load_has_a_quarter_more_that_cannot_be_executed(stage: int, kind: str, keys: KeyRing) -> None:
    load = make_load(stage, kind, NETWORK, 2, 20, keys, seed=1)
    sent = [frame for share in load.shares for frame in split_frames(share)]
    senders = [json.loads(frame[4:])["from"] for frame in sent]
    poor = keys.keys[-1].account
    assert [senders.count(poor), len(load.forged)] == {"valid": [0, 0], "uncovered": [5, 0], "forged": [0, 5]}[kind]
    assert len(set(sent)) == len(sent) == 20 + senders.count(poor)
    assert all(map(has_signed, sent)) and not any(map(has_signed, load.forged))
    assert {keys.keys.index(key) for key in keys.keys if key.account in senders} == {
        "valid": {0}, "uncovered": {0, 1, 10}, "forged": {0, 1}}[kind], "in stage 4 only the founder has money"


def test_whoever_signs_badly_connects_again_each_time(keys: KeyRing) -> None:
    with running_network(3, 1, lambda number: ["--wallet", str(keys.wallet(0))],
                         {"WALLET_PASSPHRASE": PASSPHRASE}) as nodes:
        load = make_load(3, "valid", nodes[0].network, 1, 1, keys, seed=1)
        forger = Forger(nodes[0], list(forge(load.shares[0], 25, random.Random(2))), "127.0.0.1:9")
        forger.run()
        assert forger.refused == 25
        assert len(nodes[0].told("peer", state="down")) == 3
        assert nodes[0].told("error", code="INVALID") and nodes[0].ask("/ledger", "ledger")["accounts"] == {}


@pytest.mark.parametrize("stage", [4, 5])
def test_a_node_can_be_told_to_make_small_blocks(stage: int, keys: KeyRing) -> None:
    point: Point = {"stage": stage, "nodes": 1, "interval": 0.05, "size": 5}
    with running_network(stage, 1, lambda place: options_of(point, place, keys), {"WALLET_PASSPHRASE": PASSPHRASE},
                         "lab.experiments.small_blocks") as nodes, injectors(nodes, stage) as peers:
        peers[0].start(make_load(stage, "valid", nodes[0].network, 1, 12, keys, seed=1).shares[0])
        assert wait_until_executed(nodes, keys.sink, 12, time.monotonic() + DEADLINE) == 12
        sizes = [block["transactions"] for block in nodes[0].ask("/blocks", "blocks")["blocks"]]
    assert sum(sizes) == 12 and max(sizes) <= 5


def test_the_quick_form_leaves_a_page_with_its_picture(keys: KeyRing, tmp_path: Path) -> None:
    rows = measure(Throughput(), tmp_path)
    assert [(row["stage"], row["load"]) for row in rows] == [(4, "valid"), (5, "forged")]
    assert all(row["executed"] == 50 and float(row["mean_block"]) <= 5 for row in rows) and "refused" in rows[1]
    assert "a block of at most 5" in draw_page(Throughput(), rows, tmp_path)


def test_the_smaller_bound_counts() -> None:
    assert [bound_of(size, 0.5, 1_000) for size in (1, 100, 1_000)] == [2, 200, 1_000]
