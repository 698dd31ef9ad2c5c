"""What is done with the stages: simulations, benchmarks, comparisons, attacks."""

from common import needs as needs  # first of all: it says in a line what cannot be imported after it
