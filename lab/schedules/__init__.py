"""An adversary against honest nodes of stage 5, in memory: `python -m lab.schedules`.

In: seeds. Out: a verdict for each. A schedule that fails is shortened as long as it still fails.
"""
