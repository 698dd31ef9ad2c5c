"""The matrix of docs/mutants.md: which criterion notices which mutant."""

from collections.abc import Mapping, Sequence

from lab.grade.shortcomings import FAILED, INCONCLUSIVE
from tests.mutants import STAGES, Mutant
from tests.mutants.grading import NOT_MET, Judged

HEAD = """# Wrong programs, and what the grader says of them

Each row is a *mutant*: one of our stages with one fault. `make mutants` makes this page. It grades each mutant against
the criteria that are about its fault, and with `WHOLE=1` against all criteria of its stage. "Fails in" lists those that
are about the fault, "also without points" the others that the mutant does not pass. The changes are in
`tests/mutants/`. A name in **bold** has survived: a criterion that is about its fault has not noticed it.
"""


def draw_matrix(mutants: Sequence[Mutant], found: Mapping[str, Judged], criteria: Mapping[str, str]) -> str:
    """The page."""
    survivors = sum(bool(found[str(one)].survived(one)) for one in mutants)
    lines = [HEAD, f"{len(mutants)} mutants, {survivors} of them survivors."]
    for stage in STAGES:
        lines += ["", f"## Stage {stage}", "", "| mutant | it … | fails in | also without points |", "|---|---|---|---|"]
        lines += [_draw_row(one, found[str(one)]) for one in mutants if one.stage == stage]
    lines += ["", "## Criteria", "", "| criterion | title | mutants that fail in it |", "|---|---|---|"]
    for key, title in sorted(criteria.items()):
        failing = [str(one) for one in mutants if found[str(one)].verdicts.get(key) == FAILED]
        told = ", ".join(failing) or NOT_MET.get(key, "**none**")
        lines.append(f"| {key} | {_cell(title)} | {told} |")
    return "\n".join(lines) + "\n"


def _draw_row(wrong: Mutant, judged: Judged) -> str:
    lost = [key for key, verdict in judged.verdicts.items() if verdict in (FAILED, INCONCLUSIVE)]
    name = f"**{wrong.name}**" if judged.survived(wrong) else wrong.name
    own = ", ".join(key for key in wrong.fails if key in lost)
    others = ", ".join(key for key in lost if key not in wrong.fails)
    return f"| {name} | {_cell(wrong.what)} | {own} | {others} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
