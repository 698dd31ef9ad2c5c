"""What a large network costs: the sizes of frames, and the sums, compared with small networks in memory."""

import json
from collections import deque
from functools import lru_cache

import pytest

from common.encoding import canon, encode_frame
from lab.experiments.costs import (LIMITS, STAGES, Cost, copies_of, cost, digits, first_over, in_bytes, in_percent, in_time,
                                   links_of, make_tables)
from lab.experiments.frames import Sizes, measure_sizes
from tests.fixtures import kept_key
from tests.stage2_ledger.scenes import grown_world

KEYS = [kept_key(number) for number in (1, 2, 3)]


@lru_cache
def sizes(stage: int) -> Sizes:
    """The sizes of a stage's frames."""
    return measure_sizes(stage, KEYS)


def test_frames_are_as_long_as_the_contract_makes_them() -> None:
    nonce, one, other = "0" * 32, KEYS[0].account, KEYS[1].account
    signed = {"type": "transaction", "nonce": nonce, "from": one, "to": other, "amount": 100, "signature": KEYS[0].sign(b"")}
    assert [sizes(stage).message for stage in (3, 4, 5)] == [len(encode_frame(signed))] * 3
    assert sizes(2).presence == len(encode_frame({"type": "presence", "nonce": nonce, "address": "203.0.113.101:5000"}))
    assert sizes(2).address == len('"203.0.113.101:5000",') and sizes(4).block_id == len(canon(["0" * 64])[1:-1]) + 1
    assert sizes(4).block_id == sizes(5).block_id and sizes(5).block > sizes(4).block > len(KEYS[0].sign(b""))
    assert 0 < sizes(3).upkeep < sizes(5).upkeep < sizes(4).upkeep


@pytest.mark.parametrize("stage", STAGES)
def test_frames_are_as_long_with_other_keys(stage: int) -> None:
    assert measure_sizes(stage, [kept_key(number) for number in (4, 5, 6)])[:5] == sizes(stage)[:5]


@pytest.mark.parametrize("nodes", [4, 60])
def test_a_network_of_nodes_has_the_links_and_copies_of_the_table(nodes: int) -> None:
    world, _, members = grown_world(3, nodes)
    world.run(30)
    links = sum(len(node.links) for node in members) / nodes
    assert links == pytest.approx(links_of(2, nodes), rel=0.08)
    world.delivered = deque()
    for _ in range(5):
        members[1].on_line("/send alice bob 100")
    world.settle()
    came = sum(json.loads(one.frame[4:])["type"] == "transaction" for one in world.delivered if one.frame)
    assert came / 5 / nodes == pytest.approx(copies_of(2, nodes), rel=0.08)


def of(stage: int, nodes: int) -> Cost:
    """The costs of a stage."""
    return cost(stage, nodes, sizes(stage))


def test_costs_grow_with_the_number_of_nodes_once_all_links_are_there() -> None:
    for stage in STAGES:
        few, many = of(stage, 100_000), of(stage, 200_000)
        assert many.messages == pytest.approx(2 * few.messages, rel=0.02) and many.bytes == pytest.approx(2 * few.bytes, rel=0.05)
        assert many.history == pytest.approx(2 * few.history, rel=0.05) and few.seconds < many.seconds < few.seconds + 0.2
    assert of(3, 1_000_000).bytes == pytest.approx(23 * 1_000_000 / 3600 * sizes(3).message, rel=0.01)
    assert of(5, 10).history > of(4, 10).history, "there are blocks without transactions, too"


def test_a_limit_begins_where_the_costs_pass_it() -> None:
    for limit in LIMITS:
        for stage in limit.stages:
            nodes = first_over(limit, stage, sizes(stage))
            assert [limit.is_over(cost(stage, one, sizes(stage)), one, sizes(stage)) for one in (nodes - 1, nodes)] == [False, True]


def test_numbers_are_written_with_two_digits_and_a_unit() -> None:
    assert [digits(number) for number in (0, 0.0123, 1, 9.96, 12.3, 1_234, 56_789)] == [
        "0", "0.012", "1.0", "10.0", "12", "1,200", "57,000"]
    assert [in_bytes(number) for number in (0.5, 999, 1_500, 2.5e12)] == ["0.50 B", "1,000 B", "1.5 kB", "2.5 TB"]
    assert [in_time(number) for number in (0.5, 90, 86_400 * 12)] == ["0.50 s", "1.5 min", "12 days"]
    assert [in_percent(number) for number in (0.00009, 0.5)] == ["< 0.01 %", "50 %"]


def test_each_row_of_a_table_has_the_same_number_of_cells() -> None:
    for table in make_tables({stage: sizes(stage) for stage in STAGES}).values():
        assert len({line.count("|") for line in table.splitlines()}) == 1
