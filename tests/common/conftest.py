"""The fixture for tests of nodes on a network that fails."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.faults import Faults
from tests.common.small_network import SmallNetwork
from tests.conftest import Launch


@pytest.fixture
def faults(launch: Launch) -> Iterator[Faults]:
    """A network of which nothing is wrong yet. `FAULTS_SEED=7` has the run of seed 7 again, as far as that can be.

    It asks for `launch`, so that the nodes are gone before the proxy is.
    """
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))
    with Faults(seed) as network:
        print(f"FAULTS_SEED={seed}")  # pytest shows this only if the test has failed
        yield network
        print(network.describe())


@pytest.fixture
def small_network(faults: Faults, start_node: Launch, wallets: list[Path]) -> Callable[..., SmallNetwork]:
    """Start four nodes behind the proxy: `small_network(stage, data=None, …)` gives a `SmallNetwork`."""
    def start(stage: int, **options: object) -> SmallNetwork:
        return SmallNetwork(stage, faults, start_node, wallets, **options)  # type: ignore[arg-type]
    return start
