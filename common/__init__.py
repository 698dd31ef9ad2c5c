"""What no stage is about: frames, canonical bytes, keys, balances, the console."""

from common import needs as needs  # first of all: it says in a line what cannot be imported after it
