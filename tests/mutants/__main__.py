"""The command of `make mutants`: grade the wrong programs, and write the matrix to docs/mutants.md.

    make mutants                        all of them, each against the criteria that name its fault
    make mutants STAGE=2 ONLY=no-relay  one
    make mutants WHOLE=1                each against all criteria of its stage, which takes hours

It can be interrupted; the next run goes on. The exit status is 1 if one survives: a criterion that names its fault has
not noticed it.
"""

import argparse
import sys
from pathlib import Path

from common.console import count
from tests.mutants import ROOT, STAGES, Mutant, mutants_of
from tests.mutants.grading import Judged, all_criteria, judge_all
from tests.mutants.matrix import draw_matrix

PAGE = ROOT / "docs" / "mutants.md"


def main() -> int:
    """Grade what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Grade wrong programs.")
    parser.add_argument("--stage", type=int, choices=STAGES, help="those of one stage")
    parser.add_argument("--only", default="", metavar="NAME", help="this one")
    parser.add_argument("--whole", action="store_true", help="against all criteria of its stage")
    parser.add_argument("--side-by-side", type=int, default=2, metavar="N", help="mutants at a time (2)")
    parser.add_argument("--to", type=Path, default=ROOT / "run" / "mutants", metavar="FOLDER",
                        help="where results are kept (run/mutants)")
    options = parser.parse_args()
    stages = STAGES if options.stage is None else [options.stage]
    chosen = [one for stage in stages for one in mutants_of(stage) if options.only in ("", one.name)]
    if not chosen:
        parser.exit(2, f"{parser.prog}: no mutant is called {options.only!r}; tests/mutants/stageN.py has the names\n")
    found = judge_all(chosen, options.to, options.whole, options.side_by_side, tell)
    survivors = [one for one in chosen if found[str(one)].survived(one)]
    if options.stage is None and not options.only:
        PAGE.write_text(draw_matrix(chosen, found, all_criteria(options.to / "criteria")))
    for one in survivors:
        print(f"{one} survives: {', '.join(found[str(one)].survived(one))}; see {options.to / str(one)}")
    print(f"{count(len(chosen), 'mutant')}, {count(len(survivors), 'survivor')}")
    return 1 if survivors else 0


def tell(wrong: Mutant, judged: Judged) -> None:
    """One line for each that was judged."""
    survived = judged.survived(wrong)
    said = f"survives {survived}" if survived else f"loses points in {', '.join(wrong.fails)}"
    print(f"{wrong}: {said} ({judged.seconds:.0f} s)", flush=True)
    for key in survived:
        print(f"    {key}: {judged.verdicts.get(key)}: {judged.actual.get(key, '')}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
