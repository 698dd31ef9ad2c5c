"""`python -m lab.grade.flaky`, or `make grade-flaky STAGE=3 TIMES=20`: which criteria change their verdict?

The same node is graded many times, each time with the next seed. A criterion that passes in one run and fails in
another is unfair. It is printed with its seeds, and the exit status is 1.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from common.console import integer_from
from lab.grade.command import INTERRUPTED, ending_in_order, make_options
from lab.grade.result import Outcome, Result
from lab.grade.runner import grade
from lab.grade.settings import read_command
from lab.surroundings import run_tool

TIMES = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Grade a node many times."""
    parser = make_options("python -m lab.grade.flaky", "Grade a node many times; list what changes its verdict.")
    parser.add_argument("--times", type=integer_from(2, 10_000), default=TIMES, metavar="N",
                        help=f"how many times (default: {TIMES})")
    options = parser.parse_args(arguments)
    first = 1 if options.seed is None else options.seed
    where = options.to or Path("run") / "grade" / f"flaky-{options.stage}"
    command = read_command(options.node, options.directory)

    def grade_once(seed: int) -> Result:
        return grade(command, options.stage, where / f"seed-{seed}", seed=seed, only=options.only,
                     factor=options.timeout_factor,
                     only_this_stage=options.only_this_stage, cli_only=options.cli_only, slow=options.slow,
                     directory=options.directory, workers=options.workers)

    try:
        with ending_in_order():
            changed = find_changed(grade_many(range(first, first + options.times), grade_once))
    except KeyboardInterrupt:
        return INTERRUPTED
    for line in describe(changed):
        print(line)
    print(f"criteria that changed their verdict in {options.times} runs: {len(changed)}; the runs are in {where}")
    return 1 if changed else 0


def grade_many(seeds: Iterable[int], grade_once: Callable[[int], Result]) -> list[Result]:
    """Grade with each seed, and print a line for each run."""
    results = []
    for seed in seeds:
        results.append(result := grade_once(seed))
        failed = sum(one.verdict != "passed" for one in result.outcomes)
        print(f"seed {seed}: basics {result.score()}, hardening {result.score(True)}, criteria not passed: {failed}, "
              f"{result.seconds:g} s", file=sys.stderr, flush=True)
    return results


def find_changed(results: Sequence[Result]) -> dict[str, list[tuple[int, Outcome]]]:
    """The criteria with more than one verdict: for each the seeds and outcomes, by key."""
    by_key: dict[str, list[tuple[int, Outcome]]] = {}
    for result in results:
        for one in result.outcomes:
            by_key.setdefault(one.criterion.key, []).append((result.settings.seed, one))
    return {key: found for key, found in by_key.items() if len({one.verdict for _, one in found}) > 1}


def describe(changed: dict[str, list[tuple[int, Outcome]]]) -> list[str]:
    """Lines with the criteria that have more than one verdict: in which runs they were not passed, and why."""
    lines = []
    for key, found in changed.items():
        lines.append(f"{key}: {found[0][1].criterion.title}")
        lines += [f"  seed {seed}: {one.verdict}: {one.actual}" for seed, one in found if one.verdict != "passed"]
    return lines


if __name__ == "__main__":
    run_tool(main)
