"""All experiments, by name."""

from lab.experiments.convergence import Convergence
from lab.experiments.experiment import Experiment
from lab.experiments.forks import Forks
from lab.experiments.lottery import Lottery
from lab.experiments.quality import Quality
from lab.experiments.rollbacks import Rollbacks
from lab.experiments.settlement import Settlement
from lab.experiments.spread import Spread
from lab.experiments.throughput import Throughput

EXPERIMENTS: dict[str, Experiment] = {one.NAME: one for one in [
    Throughput(), Forks(), Rollbacks(), Settlement(), Quality(), Lottery(), Spread(), Convergence()]}
"""In the order in which `make experiments` does them."""
