"""Real nodes as processes: started, typed to, read, given work, disturbed, killed.

In: the command line of contract §4. Out: what the nodes report. Bench, attacks, live and soak build on it.
"""
