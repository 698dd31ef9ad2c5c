"""Real nodes as processes. Tools start them, type to them, read what they report, disturb them and kill them.

In: the command line of contract §4. Out: what the nodes report. Attacks, bench, experiments, live and soak build on it.
"""
