"""A network in one terminal: `python -m lab.live`, or `make network`.

In: lines that are typed. Out: a table of the nodes, and a log of what they report.
"""
