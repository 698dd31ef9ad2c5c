"""What all stages share: frames, canonical bytes, keys, balances, the console."""

from common import needs as needs  # first: it explains in one line an import that fails after it
