"""What students who write one stage get: `python -m lab.handout`, or `make handout`.

In: the project. Out: a folder with the earlier stages whole, and this one without its bodies.
"""
