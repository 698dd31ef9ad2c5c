"""What `make test` of a handout does: its tasks in order, a score, and the first failure of the next task.

In: tasks.toml and the tests of a handout. Out: a line for each task. `python -m lab.tasks` starts it.
"""
