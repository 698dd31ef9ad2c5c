"""What changes from one stage to the next: `python -m lab.compare`, or `make compare`.

In: the code of the stages, which is read and never run. Out: a table, or two stages side by side, on a terminal or
as a page.
"""
