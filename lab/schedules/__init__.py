"""An adversary against honest nodes of stage 5, in memory: `python -m lab.schedules`.

In: seeds. Out: a verdict for each. A schedule that fails is cut down to the smallest one that still fails.
"""
