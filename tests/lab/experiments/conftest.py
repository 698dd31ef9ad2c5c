"""What tests of the experiments on real nodes need."""

import shutil
from pathlib import Path

import pytest

from lab.experiments import sockets
from lab.nodes.workload import KeyRing
from tests.conftest import KEYS


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    """Twelve keys, which the experiments on real nodes use in place of those that they would make."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    for number in range(1, 13):
        shutil.copy(KEYS / f"key-{number}.pem", folder)
    monkeypatch.setattr(sockets, "KEYS", folder)
    return KeyRing(folder, folder, 11, lambda text: None)
