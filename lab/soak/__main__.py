"""`python -m lab.soak`."""

from lab.soak.soak import main
from lab.surroundings import run_tool

if __name__ == "__main__":
    run_tool(main)
