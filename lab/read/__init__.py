"""The node of one stage as one text: `python -m lab.read`, or `make read`.

In: the code of the stages, which is read and never run. Out: what that stage runs, in reading order, on a terminal or
as a page.
"""
