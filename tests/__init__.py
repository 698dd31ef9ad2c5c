"""Tests: one folder a stage, and common/ for what no stage is about."""
