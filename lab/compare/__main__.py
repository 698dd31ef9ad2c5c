"""`python -m lab.compare`."""

from lab.compare.compare import main
from lab.surroundings import run_tool

if __name__ == "__main__":
    run_tool(main)
