"""What no stage is about: frames, canonical bytes, keys, balances, the console."""
