"""Tests of stage 5."""
