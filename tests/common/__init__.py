"""Tests of common/, and of what all stages share."""
