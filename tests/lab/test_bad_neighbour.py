"""The attackers of lab/adversaries/bad_neighbour.py, in memory: what they do, and which stage stops them."""

from collections import Counter
from typing import Any

import pytest

from common.encoding import decode_frame
from common.interface import Connection
from stage3_signed.node import SignedSetup
from lab.adversaries.dishonest_nodes import EVIL
from lab.adversaries.bad_neighbour import NODES, Duplicate, Forge, Strangers, Tamper, node_of
from lab.simulation import World
from stage1_chat.node import ChatNode
from stage2_ledger.node import LedgerNode
from tests.fixtures import kept_key

KEYS = [kept_key(number) for number in (1, 2, 3)]
"""The keys of the nodes of stage 3. The last one is the attacker's."""

ALICE, BOB, MALLORY = 0, 1, 2


def network(stage: int, *kinds: type[ChatNode]) -> tuple[World, list[Any]]:
    """A network of stage 1, 2 or 3 in which all are linked with all. The last nodes are attackers of these `kinds`."""
    world = World(seed=1)
    nodes: list[Any] = []
    for number, kind in enumerate([NODES[stage], NODES[stage], *(node_of(kind, stage) for kind in kinds)]):
        own = [SignedSetup(key=KEYS[min(number, MALLORY)])] if stage == 3 else []
        nodes.append(world.add(kind, nodes[0].address if nodes else None, *own))
        world.run(2)
    return world, nodes


def account(stage: int, number: int) -> str:
    """The account of a node: a name in stage 2, a key in stage 3."""
    return KEYS[number].account if stage == 3 else ["alice", "bob", "mallory"][number]


def send(node: Any, number: int, amount: int) -> None:
    """Let Alice or another user pay Bob an amount, at the payer's node."""
    sender = "" if node.STAGE == 3 else f"{account(2, number)} "
    node.on_line(f"/send {sender}{account(node.STAGE, BOB)} {amount}")


def reasons(world: World, node: Any) -> list[str]:
    """The reasons for which a node refused messages."""
    return [event["reason"] for event in world.reported(node, "error") if event["code"] == "INVALID"]


@pytest.mark.parametrize(("name", "stage"), [(name, stage) for name, evil in EVIL.items() for stage in evil.sights])
def test_each_attacker_is_a_node_of_each_of_its_stages(name: str, stage: int) -> None:
    kind = node_of(EVIL[name].kind, stage)
    assert issubclass(kind, NODES[stage]) and kind.STAGE == stage


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_message_that_is_passed_on_many_times_counts_once(stage: int) -> None:
    world, nodes = network(stage, Duplicate)
    speaker, hearer = (nodes[MALLORY], nodes[ALICE]) if stage == 1 else (nodes[ALICE], nodes[BOB])
    came, take = Counter[bytes](), hearer.on_frame

    def count_and_take(connection: Connection, frame: bytes) -> None:
        came[frame] += decode_frame(frame)["type"] in ("chat", "transaction")
        take(connection, frame)

    hearer.on_frame = count_and_take
    speaker.on_line("hi") if stage == 1 else send(speaker, ALICE, 10)
    world.run(2 * Duplicate.LATER_SECONDS)
    often, once = (+came).most_common()
    assert often[1] >= Duplicate.TIMES and once[1] == 1 and decode_frame(often[0]) == decode_frame(once[0])
    deeds = world.reported(nodes[MALLORY], "evil")
    assert [set(deed) - {"deed"} for deed in deeds] == [{"times"}, {"replayed"}]
    for node in nodes:
        if stage == 1:
            assert world.reported(node, "chat") == [{"text": "hi"}]
        else:
            assert node.balances() == {account(stage, ALICE): -10, account(stage, BOB): 10}


@pytest.mark.parametrize(("kind", "expected"), [
    (Forge, {"alice": -1_010, "bob": 10, "mallory": 1_000}), (Tamper, {"alice": -10_010, "bob": 10_010})])
def test_stage_2_executes_forged_or_changed_transactions(kind: type[LedgerNode], expected: dict[str, int]) -> None:
    world, nodes = network(2, kind)
    send(nodes[ALICE], ALICE, 10)
    world.run(20)
    assert [node.balances() for node in nodes] == [expected] * 3
    assert len(world.reported(nodes[MALLORY], "evil")) == 1


@pytest.mark.parametrize("kind", [Forge, Tamper])
def test_stage_3_refuses_forged_or_changed_transactions(kind: type[LedgerNode]) -> None:
    world, nodes = network(3, kind)
    send(nodes[ALICE], ALICE, 10)
    world.run(20)
    assert [node.balances() for node in nodes] == [{account(3, ALICE): -10, account(3, BOB): 10}] * 3
    assert len(world.reported(nodes[MALLORY], "evil")) == 1
    refused = reasons(world, nodes[ALICE]) + reasons(world, nodes[BOB])
    assert refused and all("signature" in reason for reason in refused)


def test_a_forger_takes_from_its_victim_alone_and_once() -> None:
    world, nodes = network(2, Forge)
    nodes[MALLORY].victim = "carol"
    for sender in ("alice", "carol", "carol"):
        nodes[ALICE].on_line(f"/send {sender} bob 1")
        world.run(5)
    assert nodes[BOB].balances() == {"alice": -1, "carol": -1_002, "bob": 3, "mallory": 1_000}


@pytest.mark.parametrize("kind", [Forge, Tamper])
def test_two_attackers_do_not_feed_on_each_other_forever(kind: type[LedgerNode]) -> None:
    world, nodes = network(2, kind, kind)
    send(nodes[ALICE], ALICE, 10)
    world.run(60)
    done = len(world.reported(nodes[-1], "evil"))
    world.run(60)
    assert 1 <= done == len(world.reported(nodes[-1], "evil")) <= 10


def test_strangers_fill_the_list_and_real_neighbours_stay() -> None:
    world, nodes = network(2, Strangers)
    world.run(2)
    assert len(nodes[BOB].peers()) > Strangers.COUNT
    nodes[BOB].ring.keep_up_links()
    world.run(60)
    assert len(nodes[BOB].peers()) < Strangers.COUNT, "those that do not answer leave the list"
    assert {node.address for node in nodes} <= set(nodes[BOB].peers())
    send(nodes[ALICE], ALICE, 10)
    world.run(1)
    assert nodes[BOB].balances() == {"alice": -10, "bob": 10}
