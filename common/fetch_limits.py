"""Bounds on fetching what a node lacks: transactions from stage 2 on, and blocks in stages 4 and 5."""

MAX_FLOODED = 100
"""Messages that a node fetches from one neighbour and still floods to the others. If it flooded more, it would send all
neighbours what most of them have: a newcomer with a hundred links would send a hundred times what it fetches."""

WANT_AGAIN = 5.0
"""Seconds after which an id that did not come is asked for again (contract §3, stage 2)."""

MAX_FORSAKEN_WANT = 200
"""Ids that a node asks for in each second when no neighbour is left that has named them. It asks a random one;
perhaps nobody has them."""

MAX_MISSING = 100_000
"""Ids that are asked for at a time (contract §3, stage 2), counted once for each connection that has named them: some
40 MiB if nobody has them. At the bound, ids that strangers have named are forgotten first, and among strangers those of
the one that has named the most."""
