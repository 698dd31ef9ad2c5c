"""What honest nodes guarantee when the network, a process or a clock fails, stage by stage.

The proxy of lab/nodes/faults.py causes the faults. `make test-long` runs the long tests.
"""

import itertools
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.nodes.faults import Faults
from tests.network.small_network import SmallNetwork
from tests.processes import NodeProcess, eventually
from tests.sizes import and_long

Start = Callable[..., SmallNetwork]

stages_with_a_ledger = pytest.mark.parametrize("stage", [2, 3, 4, 5])

TWO_SIDES = (["0", "1"], ["2", "3"])

SILENCE_SECONDS = 60.0
"""Seconds of silence after which a connection is closed (contract §2)."""

BUSY_SECONDS = 20.0
"""By how much that may be off: a node checks every 5 s, and the silence may have begun earlier."""


# --- partitions -------------------------------------------------------------------------------------

@stages_with_a_ledger
def test_ledgers_are_equal_after_a_partition_heals(stage: int, small_network: Start, faults: Faults) -> None:
    network = small_network(stage)
    network.pay(0, 2)
    network.wait_until_all_agree()
    faults.partition(TWO_SIDES)
    network.pay(0, 5)
    network.pay(2, 3)
    network.wait_for_arrived(1, 2 + 5)
    network.wait_for_arrived(3, 2 if stage == 4 else 2 + 3)  # the sequencer is on the other side
    faults.heal()
    network.wait_until_all_agree()


@pytest.mark.parametrize("stage", and_long([2, 5], [3, 4]))
def test_ledgers_are_equal_after_a_partition_one_way_heals(stage: int, small_network: Start, faults: Faults) -> None:
    network = small_network(stage)
    faults.partition(TWO_SIDES, one_way=True)
    network.pay(2, 3)
    network.pay(0, 5)
    network.wait_for_arrived(1, 5)
    network.wait_for_arrived(3, 5 if stage == 4 else 5 + 3)
    assert network.arrived(1) == 5, "the others' payments cannot come through"
    faults.heal()
    network.wait_until_all_agree()


def test_a_majority_and_a_minority_of_the_stake_reorganise_onto_one_chain(
        small_network: Start, faults: Faults) -> None:
    network = small_network(5, forging={0: "1,2,3,4", 1: "5,7,8", 2: "6,9,10"})
    faults.partition(TWO_SIDES)
    forked_at = network.status(0, "height")
    network.pay(0, 5)
    by_minority = network.pay(2, 3)
    network.wait_for_arrived(3, 3)
    # Seven tenths of the stake get ahead of three tenths, but not at once, since it is a lottery.
    eventually(lambda: network.status(3, "height") > forked_at + 2 and
               network.status(1, "height") > network.status(3, "height") + 3,
               timeout=100, state=lambda: [network.status(number, "height") for number in range(4)])
    majority, minority = block_ids(network, 1), block_ids(network, 3)
    already = len(network.nodes[3].events)
    faults.heal()
    network.wait_until_all_agree()
    final = block_ids(network, 3)
    assert final[:len(majority) - 2] == majority[:-2], "the last two blocks may still be replaced"
    abandoned = [block for block in minority if block not in final]
    assert len(abandoned) > 1
    rollback = network.nodes[3].wait_for("rollback", since=already)
    assert rollback["depth"] >= len(abandoned), "all of them in one rollback, since the other branch is longer"
    for paid in by_minority:
        states = [event["state"] for event in network.nodes[2].all_of("transaction", id=paid)]
        assert states[:3] == ["pending", "applied", "pending"] and states[-1] == "applied"


def block_ids(network: SmallNetwork, number: int) -> list[str]:
    """The best chain as a node sees it."""
    return [block["id"] for block in network.nodes[number].ask("/blocks", "blocks")["blocks"]]


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("stage", [2, 5])
def test_a_node_that_is_heard_but_hears_nothing_gives_up_its_connections(
        stage: int, small_network: Start, faults: Faults) -> None:
    """Nothing reaches it for longer than the 60 s for which a connection may be silent (contract §2)."""
    network = small_network(stage)
    start = time.monotonic()
    faults.partition((["0"], ["1", "2", "3"]), one_way=True)
    network.pay(0, 5)
    for number in (1, 2, 3):
        network.nodes[0].wait_for("peer", 120, address=faults.places[str(number)].address, state="down")
    assert time.monotonic() - start > SILENCE_SECONDS - BUSY_SECONDS
    network.pay(2, 3)
    network.wait_for_arrived(0, 5)
    faults.heal()
    network.wait_until_all_agree(90)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("stage", [2, 5])
def test_a_half_open_connection_is_found_by_ping(stage: int, small_network: Start, faults: Faults) -> None:
    """Neither an end nor a reset arrives: only silence shows that nobody is there (contract §2: 20 s and 60 s)."""
    network = small_network(stage)
    start = time.monotonic()
    faults.stall("0", "2")
    for here, there in ((0, 2), (2, 0)):
        network.nodes[here].wait_for("peer", 120, address=faults.places[str(there)].address, state="down")
        assert SILENCE_SECONDS - BUSY_SECONDS < time.monotonic() - start < SILENCE_SECONDS + BUSY_SECONDS
    network.pay(0, 5)
    network.pay(2, 3)
    network.wait_until_all_agree()
    others = [(here, there) for here, there in itertools.permutations(range(4), 2) if {here, there} != {0, 2}]
    assert [(here, there) for here, there in others
            if not stayed_linked(network.nodes[here], faults.places[str(there)].address)] == []
    faults.heal()
    for here, there in ((0, 2), (2, 0)):
        eventually(lambda here=here, there=there: len(network.nodes[here].all_of(  # type: ignore[misc]
            "peer", address=faults.places[str(there)].address, state="up")) > 1, 60, network.nodes[here].describe)


def stayed_linked(node: NodeProcess, address: str) -> bool:
    """Has this node had a link to that address all the time, from the first one on? It may have had two for a moment:
    a node calls a neighbour that has called it, to prove its address, and one of the two calls is closed."""
    states = [event["state"] for event in node.all_of("peer", address=address)]
    return bool(states) and all(itertools.accumulate(1 if state == "up" else -1 for state in states))


# --- the sequencer ----------------------------------------------------------------------------------

def test_without_the_sequencer_the_order_stops_as_status_shows_and_goes_on_when_it_is_back(
        small_network: Start, tmp_path: Path) -> None:
    network = small_network(4, data=tmp_path)
    network.pay(0, 3)
    network.wait_until_all_agree()
    network.nodes[0].kill()
    for number in (1, 2, 3):
        network.nodes[number].wait_for("peer", address=network.faults.places["0"].address, state="down")
    awaited = network.status(3, "next")
    for pending in (2, 4):
        network.pay(2, 2)
        eventually(lambda pending=pending: network.status(3, "pending") == pending,  # type: ignore[misc]
                   state=network.nodes[3].describe)
        assert network.status(3, "next") == awaited and network.arrived(3) == 3
    network.restart(0)
    network.wait_until_all_agree()
    blocks = [network.nodes[number].ask("/blocks", "blocks")["blocks"] for number in range(4)]
    assert all(other == blocks[0] for other in blocks)
    assert [block["number"] for block in blocks[0]] == list(range(len(blocks[0]))) and len(blocks[0]) > awaited
    assert network.status(3, "pending") == 0
    assert [node.all_of("equivocation") for node in network.nodes] == [[]] * 4


# --- clocks and sleep -------------------------------------------------------------------------------

@pytest.mark.parametrize("shift_ms", [2_000, pytest.param(-2_000, marks=pytest.mark.long)], ids=["ahead", "behind"])
def test_stake_holders_whose_clocks_are_two_seconds_apart_agree(
        shift_ms: int, small_network: Start) -> None:
    """With slots of half a second, two seconds are four slots, and only one is allowed: such blocks come too early. A
    node whose clock is slow may tell its user so, but no node may report any other error."""
    network = small_network(5, founding=["--slot", "0.5", "--rate", "0.5"], clock_shifts_ms={2: shift_ms},
                            forging={0: "1,2,3,4,5,7", 2: "6,8,9,10"})
    already = [len(node.events) for node in network.nodes]
    assert abs(network.status(2, "slot") - network.status(0, "slot") - shift_ms // 500) <= 1, "the clock is shifted"
    eventually(lambda: any("ahead of this machine's clock" in reason for reason in reasons_told(network)), timeout=60,
               state=network.describe)  # a block has come too early: that is what this test is about
    network.pay(0, 3)
    network.pay(2, 3)
    for number in range(4):
        network.wait_for_arrived(number, 6)
    height = network.status(0, "height")
    eventually(lambda: len(common_chain(network)) >= height + 2, state=network.describe)
    assert [reason for reason in reasons_told(network)
            if "ahead of this machine's clock" not in reason and "by this machine's clock" not in reason] == []
    assert downs_since(network, already) == [], "nobody was disconnected"


def reasons_told(network: SmallNetwork) -> list[str]:
    """The reasons of the errors that the nodes have reported."""
    return [error["reason"] for node in network.nodes for error in node.all_of("error")]


def downs_since(network: SmallNetwork, already: list[int]) -> list[str]:
    """A description of each node that has lost a connection, once for each; `already` are the numbers of earlier
    events."""
    return [node.describe() for node, since in zip(network.nodes, already, strict=True)
            for event in node.events[since:] if event.get("state") == "down"]


def common_chain(network: SmallNetwork) -> list[str]:
    """The blocks that all nodes have on their best chains, from the first on."""
    chains = [block_ids(network, number) for number in range(4)]
    return [places[0] for places in zip(*chains, strict=False) if len(set(places)) == 1]


@pytest.mark.parametrize(("stage", "seconds"), [
    (2, 2), (5, 2), *(pytest.param(stage, 30, marks=pytest.mark.long) for stage in (2, 3, 4, 5))])
def test_a_node_that_slept_has_all_that_it_missed(stage: int, seconds: int, small_network: Start) -> None:
    network = small_network(stage)
    already = [len(node.events) for node in network.nodes]
    network.nodes[3].signal(signal.SIGSTOP)
    network.pay(0, 5)
    time.sleep(seconds / 2)
    network.pay(2, 3)
    time.sleep(seconds / 2)
    network.nodes[3].signal(signal.SIGCONT)
    network.wait_until_all_agree()
    assert downs_since(network, already) == [], "no connection was closed"
