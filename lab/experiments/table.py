"""All experiments, by name."""

from lab.experiments.experiment import Experiment
from lab.experiments.forks import Forks
from lab.experiments.lottery import Lottery

EXPERIMENTS: dict[str, Experiment] = {one.NAME: one for one in [Forks(), Lottery()]}
"""In the order in which `make experiments` does them."""
