"""`python -m lab.experiments`."""

from lab.experiments.experiments import main
from lab.surroundings import run_tool

if __name__ == "__main__":
    run_tool(main)
