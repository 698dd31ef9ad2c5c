"""Stage 5: a ledger of signed transactions in the order of a proof-of-stake blockchain."""
