"""Stage 4: a ledger of signed transactions in one order, set by a sequencer."""
