"""What students get to write one stage: `python -m lab.handout`, or `make handout`.

In: the project. Out: a folder with the earlier stages whole, and this one without its bodies.
"""
