"""Tests: one folder for each stage, and folders for common/, lab/, hostile peers, networks and the house rules."""
