"""`python -m lab.attacks`."""

from lab.attacks.attacks import main
from lab.surroundings import run_tool

if __name__ == "__main__":
    run_tool(main)
