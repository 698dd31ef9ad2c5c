"""How fast the stages are: `python -m lab.bench`, or `make bench`.

In: real nodes and work for them. Out: a table, or JSON.
"""
