"""`python -m lab.grade`."""

from lab.grade.command import main
from lab.surroundings import run_tool

if __name__ == "__main__":
    run_tool(main)
