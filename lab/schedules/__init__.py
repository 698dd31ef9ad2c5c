"""An adversary against honest nodes of stage 5, in memory: `python -m lab.schedules`.

In: seeds. Out: those whose schedules fail, and why. With `--shrink`, such a schedule is shortened as long as it still
fails.
"""
