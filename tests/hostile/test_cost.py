"""What one message costs a node in processor time, however much the node keeps.

A message of up to 4 KiB takes at most 50 ms in one handler. With a million kept transactions it takes at most twice as
long as with ten thousand. A larger message may take longer in proportion to its bytes. The same limits hold for what
a timer does because of a message.
"""

import gc
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from common.encoding import encode_frame
from stage2_ledger.fetcher import WANT_PING
from stage2_ledger.reconcile import SUMMARY_PING
from stage4_sequencer.catching_up import BLOCKS_PING
from stage4_sequencer.order import ORDER_PING
from tests.hostile import cost_cases
from tests.hostile.cost_cases import CASES, Case, Round
from tests.hostile.filled_node import FilledNode, Recorder
from tests.sizes import and_long

SMALL = 4 * 1024 + 4
"""The bytes of a message, with its length prefix, up to which it may take no longer than the limit."""

MOST_SECONDS = 0.05
MOST_GROWTH = 2
NOISE_SECONDS = 0.0003
"""Seconds by which a message may take longer in addition: more data no longer fits the processor's cache."""

ROUNDS = 2
MOST_ROUNDS = 8
"""How often a case is measured, and how often one that seems to cost too much. The fastest round counts: other programs
can only make a handler slower."""

STEP_SECONDS = 6.0
"""Seconds that pass after each case, so that each timer runs."""

@pytest.fixture(autouse=True)
def without_garbage_collection() -> Iterator[None]:
    """Switch off Python's garbage collection, which would disturb the measurement."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(("stage", "sizes"), and_long(
    [(stage, (5_000, 25_000)) for stage in (2, 3, 4, 5)],
    [(stage, (10_000, 1_000_000)) for stage in (2, 3, 4, 5)]))
def test_no_message_costs_more_the_more_is_kept(stage: int, sizes: tuple[int, ...]) -> None:
    costs = measure_all({size: FilledNode(stage, size) for size in sizes})
    complaints = [complaint for name, one in costs.items() if (complaint := one.complaint(name))]
    assert not complaints, "\n".join([f"stage {stage}, {len(complaints)} of {len(costs)}:", *complaints])


@pytest.mark.parametrize("stage", [2, 3, 4, 5])
def test_every_message_type_has_a_case(stage: int) -> None:
    kinds = {case.kind for case in CASES if stage in case.stages}
    assert kinds == set(FilledNode(stage, 0).node.SHAPES)


def test_false_sums_lead_the_node_down_to_where_nobody_has_anything() -> None:
    filled = FilledNode(2, 5_000)
    connection = filled.connect()
    asked = {""}
    for message in cost_cases.sums_that_differ_below(filled):
        assert isinstance(message, dict) and asked & message["sums"].keys(), "this answers what the node has asked"
        filled.node.on_frame(connection, encode_frame(message))
        asked = set(filled.node.reconciliation.comparisons[connection].asked)


@pytest.mark.parametrize("stage", [2, 3, 4, 5])
def test_every_pong_answers_a_question_of_the_node(stage: int) -> None:
    filled = FilledNode(stage, 5_000)
    answered: set[str] = set()
    for case in (case for case in CASES if stage in case.stages and case.name != "for nothing"):
        connection = filled.connect(case.greets, case.dialled)
        for message in make_round(filled, case, connection):
            if isinstance(message, dict) and message["type"] == "pong":
                assert message["nonce"] in connection.pings, f"{case.kind}: {case.name}"
                connection.pings.remove(message["nonce"])
                answered.add(message["nonce"])
            filled.node.on_frame(connection, message if isinstance(message, bytes) else encode_frame(message))
        filled.close(connection)
    assert answered == {WANT_PING, SUMMARY_PING} | {4: {BLOCKS_PING, ORDER_PING}, 5: {BLOCKS_PING}}.get(stage, set())


# --- measuring ----------------------------------------------------------------------------------

class Sample(NamedTuple):
    """The time and the size of one message."""

    seconds: float
    size: int


class Cost(NamedTuple):
    """What a case costs: for each number of kept transactions the slowest message of the fastest round."""

    samples: dict[int, Sample]

    def complaint(self, name: str) -> str:
        """Which limit the case exceeds, in one line; empty if it exceeds none."""
        figures = {size: sample.seconds for size, sample in self.samples.items()}
        smallest = self.samples[min(self.samples)]
        allowed = min(MOST_SECONDS * max(1, smallest.size / SMALL), MOST_GROWTH * smallest.seconds + NOISE_SECONDS)
        if max(figures.values()) <= allowed:
            return ""
        return f"{name}: " + ", ".join(f"{1000 * figure:.2f} ms with {size}" for size, figure in figures.items())


def measure_all(nodes: dict[int, FilledNode]) -> dict[str, Cost]:
    """Measure each case of the nodes' stage. `nodes` has one node for each number of kept transactions."""
    costs: dict[str, Cost] = {}
    stage = next(iter(nodes.values())).stage
    for case in (case for case in CASES if stage in case.stages and not case.with_full_list):
        costs.update(measure(nodes, case))
    for filled in nodes.values():
        filled.fill_list_of_peers()
    for case in (case for case in CASES if stage in case.stages and case.with_full_list):
        costs.update(measure(nodes, case))
    return costs


def measure(nodes: dict[int, FilledNode], case: Case) -> dict[str, Cost]:
    """Measure a case: its messages, the same again, and the timers that they start.

    The rounds of the nodes alternate, so that a spell in which the machine is slow falls on all of them.
    """
    costs: dict[str, Cost] = {}
    for number in range(MOST_ROUNDS):
        rounds = {size: measure_round(filled, case) for size, filled in nodes.items()}
        for what in next(iter(rounds.values())):
            slowest = {size: max(of_one[what], key=lambda sample: sample.seconds) for size, of_one in rounds.items()}
            name = f"{case.kind}: {case.name}{what}"
            earlier = costs[name].samples if name in costs else slowest
            costs[name] = Cost({size: min(earlier[size], slowest[size]) for size in nodes})
        if number + 1 >= ROUNDS and not any(cost.complaint(name) for name, cost in costs.items()):
            break
    return costs


def measure_round(filled: FilledNode, case: Case) -> dict[str, list[Sample]]:
    """Send the case's messages, then the same again, then let the timers run. Return what each took."""
    connection = filled.connect(case.greets, case.dialled)
    frames = [one if isinstance(one, bytes) else encode_frame(one) for one in make_round(filled, case, connection)]
    measured = {"": [measure_frame(filled, connection, frame) for frame in frames]}
    is_refused = connection.invalid > 0 or not connection.is_open
    assert is_refused == case.is_refused, f"{case.kind}: {case.name}: {'' if is_refused else 'not '}refused"
    measured[", again"] = [measure_frame(filled, connection, frame) for frame in frames]
    filled.network.time += STEP_SECONDS
    measured[", in the timers"] = [Sample(timed(action), 0) for action in filled.network.due()]
    filled.close(connection)
    return measured


def make_round(filled: FilledNode, case: Case, connection: Recorder) -> Round:
    """The case's messages."""
    return case.make(filled, connection) if case.takes_connection else case.make(filled)


def measure_frame(filled: FilledNode, connection: Recorder, frame: bytes) -> Sample:
    """Give the node one frame."""
    return Sample(timed(lambda: filled.node.on_frame(connection, frame)), len(frame))


def timed(action: Callable[[], object]) -> float:
    """The processor time that something takes, in seconds."""
    start = time.process_time()
    action()
    return time.process_time() - start
