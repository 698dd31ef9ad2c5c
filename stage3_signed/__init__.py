"""Stage 3: a ledger from which only the owner of an account can spend."""
