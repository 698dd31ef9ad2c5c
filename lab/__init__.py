"""What is done with the stages: simulations, benchmarks, comparisons, attacks."""

from common import needs as needs  # first: if a library is missing, it says so in one line
