"""`python -m lab.read`."""

from lab.read.read import main
from lab.surroundings import run_tool

if __name__ == "__main__":
    run_tool(main)
