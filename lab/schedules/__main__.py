"""`python -m lab.schedules`."""

from lab.schedules.schedules import main

if __name__ == "__main__":
    main()
