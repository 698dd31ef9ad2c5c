"""Tests: one folder for each stage, and folders for common/, lab/, hostile peers, networks, wrong programs (mutants)
and the house rules."""
