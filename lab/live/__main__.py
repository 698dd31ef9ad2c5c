"""`python -m lab.live`."""

from lab.live.live import main_to_the_end
from lab.surroundings import run_tool

if __name__ == "__main__":
    run_tool(main_to_the_end)
