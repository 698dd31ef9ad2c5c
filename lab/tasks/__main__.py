"""`python -m lab.tasks`."""

from lab.tasks.tasks import main

if __name__ == "__main__":
    raise SystemExit(main())
