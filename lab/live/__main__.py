"""`python -m lab.live`."""

from lab.live.live import main_then_ignore_signals
from lab.surroundings import run_tool

if __name__ == "__main__":
    run_tool(main_then_ignore_signals)
