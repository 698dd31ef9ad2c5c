"""The fixture for tests of nodes on a network that fails."""

import os
import random
from collections.abc import Iterator
from itertools import combinations

import pytest

from lab.faults import Faults
from tests.conftest import Launch
from tests.processes import eventually


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


def wait_until_all_are_linked(faults: Faults) -> None:
    """Until each node has a connection to each other one, as few nodes have from stage 2 on."""
    eventually(lambda: all(faults.count_links(*pair) for pair in combinations(faults.places, 2)), state=faults.describe)
