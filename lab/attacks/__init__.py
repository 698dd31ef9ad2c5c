"""The same attacks on real nodes of every stage: `python -m lab.attacks`, or `make attacks`.

In: the stages, their attackers, and what docs/security.md promises. Out: a table, on a terminal or as a page.
"""
