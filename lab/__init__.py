"""What is done with the stages: simulations, benchmarks, comparisons, attacks."""
