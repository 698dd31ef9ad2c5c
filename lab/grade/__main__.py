"""`python -m lab.grade`."""

import sys

from lab.grade.command import main

if __name__ == "__main__":
    sys.exit(main())
