"""Twenty nodes, a third of them killed and started again all the time (lab/soak/trial.py). `make test-long` runs it."""

from pathlib import Path

import pytest

from lab.soak.trial import Settings, Trial
from lab.nodes.workload import KeyRing


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", [2, 3, 4, 5])
def test_nothing_acknowledged_is_lost_when_a_third_of_the_nodes_is_killed_again_and_again(
        stage: int, keys: KeyRing, tmp_path: Path) -> None:
    settings = Settings(stage, nodes=20, per_second=50, kinds=("kill",))
    print(settings)
    with Trial(settings, keys, tmp_path / "data") as trial:
        trial.trouble(180)
        complaints = trial.settle()
        print(trial.describe())
        assert complaints == []
        assert trial.kills > 20 and len(trial.acknowledged()) > 180 * 50 / 3
        assert set(trial.close()) == {0}
