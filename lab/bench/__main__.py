"""`python -m lab.bench`."""

from lab.bench.bench import main
from lab.surroundings import run_tool

if __name__ == "__main__":
    run_tool(main)
