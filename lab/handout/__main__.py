"""`python -m lab.handout`."""

from lab.handout.handout import main
from lab.surroundings import run_tool

if __name__ == "__main__":
    run_tool(main)
