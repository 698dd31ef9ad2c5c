"""Fixtures for tests of nodes on a network that fails."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.nodes.faults import Faults
from lab.nodes.workload import KeyRing
from tests.network.small_network import SmallNetwork
from tests.conftest import KEYS, Launch


@pytest.fixture
def faults(launch: Launch) -> Iterator[Faults]:
    """A network without faults yet. `FAULTS_SEED=7` repeats the run of seed 7, as far as that is possible.

    It depends on `launch`, so that the nodes end before the proxy does.
    """
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))
    with Faults(seed) as network:
        print(f"FAULTS_SEED={seed}")  # pytest shows this only if the test has failed
        yield network
        print(network.describe())


@pytest.fixture
def small_network(faults: Faults, start_node: Launch, wallets: list[Path]) -> Callable[..., SmallNetwork]:
    """Start four nodes behind the proxy: `small_network(stage, data=None, …)` returns a `SmallNetwork`."""
    def start(stage: int, **options: object) -> SmallNetwork:
        return SmallNetwork(stage, faults, start_node, wallets, **options)  # type: ignore[arg-type]
    return start


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    """The keys of a trial: ten accounts of a genesis, and the sink."""
    wallets = tmp_path / "wallets"
    wallets.mkdir()
    return KeyRing(copy_keys(tmp_path / "keys"), wallets, 10, print)


def copy_keys(folder: Path, count: int = 11) -> Path:
    """Put `count` of the twelve kept keys into a new folder, so that no test waits while a key is made."""
    folder.mkdir(mode=0o700)
    for number in range(1, count + 1):
        copy = folder / f"key-{number}.pem"
        copy.touch(mode=0o600)
        shutil.copyfile(KEYS / copy.name, copy)
    return folder
