"""`python -m lab.gradeall`."""

from lab.gradeall.command import main
from lab.surroundings import run_tool

if __name__ == "__main__":
    run_tool(main)
