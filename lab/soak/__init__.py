"""A network in trouble for as long as you like: `python -m lab.soak`, or `make soak`.

In: a seed and a duration. Out: whether all nodes had the same ledger in the end, and whether anything was lost.
"""
