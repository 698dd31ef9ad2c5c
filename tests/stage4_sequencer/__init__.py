"""Stage 4: one order for all, set by a sequencer."""
