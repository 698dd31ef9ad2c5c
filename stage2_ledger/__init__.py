"""Stage 2: a ledger that ends up the same at every node."""
