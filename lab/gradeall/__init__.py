"""Grades a whole class: `python -m lab.gradeall --submissions folder --stage 3`, or `make grade-all`.

In: a folder with one subfolder for each submission, and perhaps a file of the teacher's with other points. Out: a
folder with a page and the evidence for each submission, `grades.csv`, and a table that shows where the class struggles.
One submission after the other is graded by lab/grade, in a process of its own that cannot reach the network. What the
submission starts goes through lab/gradeall/launch.py, which keeps it from changing its grade. See docs/grading.md.
"""
