"""An adversary against honest nodes of stage 5, in memory: `python -m lab.schedules`.

In: seeds. Out: a verdict for each, and for a schedule that fails the smallest one that still does.
"""
