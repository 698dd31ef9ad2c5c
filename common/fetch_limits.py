"""Bounds on fetching what a node lacks: transactions from stage 2 on, and blocks in stages 4 and 5."""

MAX_FLOODED = 100
"""Things that are fetched from one neighbour and still flooded. If more were, all neighbours would be sent what most of
them have: a newcomer with a hundred links would send a hundred times what it fetches."""

WANT_AGAIN = 5.0
"""Seconds after which an id that did not come is asked for again (contract §3, stage 2)."""

MAX_FORSAKEN_WANT = 200
"""Ids that are asked for each second of somebody who has not named them: nobody is left who has, and perhaps nobody
has them."""

MAX_MISSING = 100_000
"""Ids that are asked for at a time (contract §3, stage 2), counted once for each connection that has named them: some
40 MiB if nobody has them. When that many are, strangers give way first, and among them whoever has named most."""
