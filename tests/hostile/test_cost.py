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
from tests.hostile.cost_cases import CASES, Case
from tests.hostile.filled_node import FilledNode, Recorder
from tests.sizes import and_long

SMALL = 4 * 1024 + 4
"""The bytes of a message, with its length prefix, up to which it may take no longer than the limit."""

MOST_SECONDS = 0.05
MOST_GROWTH = 2
NOISE_SECONDS = 0.0003
"""Seconds by which a message may take longer in addition: more data no longer fits the processor's cache."""

ROUNDS = 2
"""How often a case is measured. The fastest run counts: other programs can only make a handler slower."""

STEP_SECONDS = 6.0
"""Seconds that pass after each case, so that each timer runs."""

Costs = dict[str, tuple[float, int]]
"""Case -> the seconds of its slowest message, and the bytes of its largest one."""


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
    measured = {size: measure_all(FilledNode(stage, size)) for size in sizes}
    complaints = list(complain(measured))
    assert not complaints, "\n".join([f"stage {stage}, {len(complaints)} of {len(measured[sizes[0]])}:", *complaints])


@pytest.mark.parametrize("stage", [2, 3, 4, 5])
def test_every_message_type_has_a_case(stage: int) -> None:
    kinds = {case.kind for case in CASES if stage in case.stages}
    assert kinds == set(FilledNode(stage, 0).node.SHAPES)


def complain(measured: dict[int, Costs]) -> Iterator[str]:
    """The cases that cost too much, one line each."""
    smallest = measured[min(measured)]
    for name, (before, _) in smallest.items():
        figures = {size: costs[name][0] for size, costs in measured.items()}
        allowed = MOST_SECONDS * max(1, smallest[name][1] / SMALL)
        if max(figures.values()) > allowed or max(figures.values()) > MOST_GROWTH * before + NOISE_SECONDS:
            yield f"{name}: " + ", ".join(f"{1000 * figure:.2f} ms with {size}" for size, figure in figures.items())


# --- measuring ----------------------------------------------------------------------------------

class Sample(NamedTuple):
    """The time and the size of one message."""

    seconds: float
    size: int


def measure_all(filled: FilledNode) -> Costs:
    """Measure each case of a node's stage."""
    costs: Costs = {}
    cases = [case for case in CASES if filled.stage in case.stages]
    for case in (case for case in cases if not case.with_full_list):
        costs.update(measure(filled, case))
    filled.fill_list_of_peers()
    for case in (case for case in cases if case.with_full_list):
        costs.update(measure(filled, case))
    return costs


def measure(filled: FilledNode, case: Case) -> Costs:
    """Measure a case: its messages, the same again, and the timers that they start."""
    rounds = [measure_round(filled, case) for _ in range(ROUNDS)]
    return {f"{case.kind}: {case.name}{what}": best_of([samples[what] for samples in rounds]) for what in rounds[0]}


def best_of(rounds: list[list[Sample]]) -> tuple[float, int]:
    """The slowest message of the fastest round."""
    return min(max(sample.seconds for sample in samples) for samples in rounds), max(one.size for one in rounds[0])


def measure_round(filled: FilledNode, case: Case) -> dict[str, list[Sample]]:
    """Send the case's messages, then the same again, then let the timers run. Return what each took."""
    connection = filled.connect(case.greets, case.dialled)
    made = case.make(filled, connection) if case.takes_connection else case.make(filled)
    frames = [one if isinstance(one, bytes) else encode_frame(one) for one in made]
    measured = {"": [measure_frame(filled, connection, frame) for frame in frames]}
    is_refused = connection.invalid > 0 or not connection.is_open
    assert is_refused == case.is_refused, f"{case.kind}: {case.name}: {'' if is_refused else 'not '}refused"
    measured[", again"] = [measure_frame(filled, connection, frame) for frame in frames]
    filled.network.time += STEP_SECONDS
    measured[", in the timers"] = [Sample(timed(action), 0) for action in filled.network.due()]
    filled.close(connection)
    return measured


def measure_frame(filled: FilledNode, connection: Recorder, frame: bytes) -> Sample:
    """Give the node one frame."""
    return Sample(timed(lambda: filled.node.on_frame(connection, frame)), len(frame))


def timed(action: Callable[[], object]) -> float:
    """The processor time that something takes, in seconds."""
    start = time.process_time()
    action()
    return time.process_time() - start
