"""The bounds of stage 1, on connections, calls and what is said, each with its reason."""

from common.limits import MEBIBYTE


# --- its connections ------------------------------------------------------------------------------

SEND_BUFFER_BYTES = 256 * 1024
"""The size of a socket's send buffer, SO_SNDBUF (Linux takes twice that). Without this the system buffers megabytes:
it takes them all at once, and then, for seconds, a peer that reads slowly looks like one that reads nothing."""

RECEIVE_BYTES = 64 * 1024
"""Bytes that one `recv` takes: some fifty signed transactions, so a batch is handled within milliseconds."""

ACCEPTS_AHEAD = 4
"""New connections that wait in the inbox: somebody who keeps connecting gets no more turns than others."""

TURN_AWAY_SECONDS = 0.2
"""Seconds for a caller that is turned away to read why."""

# --- its calls ------------------------------------------------------------------------------------

JOIN_AGAIN_SECONDS = 0.5
"""Seconds between two tries to join (contract §4). It is short enough for ten nodes that are started together and join
one another in a chain: they need less than 5 s. It is long enough for thirty callers not to overload one node."""

FIRST_REDIAL, LAST_REDIAL = 1.0, 30.0
"""Seconds before a lost connection is opened again: 1, 2, 4 … and then every 30 (contract §2)."""

# --- what is said ---------------------------------------------------------------------------------

MAX_HISTORY, MAX_HISTORY_BYTES = 1_000, 4 * MEBIBYTE
"""Chat messages kept for late joiners, and the bytes of their frames (contract §3): room for a thousand of the longest
messages, if they are ASCII. A control character takes six bytes. With a thousand messages of nothing else, every
newcomer would be sent 24 MiB before anything that it came for."""
