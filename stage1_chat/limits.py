"""The bounds of stage 1, on connections, calls and what is said, each with its reason."""


# --- its connections ------------------------------------------------------------------------------

SYSTEM_BYTES = 256 * 1024
"""Bytes to be written that the system may hold for one connection (Linux takes twice that). Without this it takes
megabytes. Then a peer that reads slowly looks, for seconds, like one that reads nothing."""

RECEIVE_BYTES = 64 * 1024
"""What one `recv` takes: some fifty signed transactions, so a batch is handled within milliseconds."""

ACCEPTS_AHEAD = 4
"""New connections that wait in the inbox: somebody who keeps connecting gets no more turns than others."""

TURN_AWAY_SECONDS = 0.2
"""Seconds for a caller that is turned away to read why."""

# --- its calls ------------------------------------------------------------------------------------

JOIN_AGAIN_SECONDS = 0.5
"""Seconds between two tries to join (contract §4): ten nodes in a chain, started at once, need fewer than 5 s, and
thirty callers of one node do not fill it."""

FIRST_REDIAL, LAST_REDIAL = 1.0, 30.0
"""Seconds before a lost connection is opened again: 1, 2, 4 … and then every 30 (contract §2)."""

# --- what is said ---------------------------------------------------------------------------------

MAX_HISTORY = 1_000
"""Chat messages kept for late joiners (contract §3 asks for at least 1,000)."""
