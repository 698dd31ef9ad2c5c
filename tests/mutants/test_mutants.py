"""The wrong programs are what they say, and the grader notices them."""

import ast
import itertools
import random
from pathlib import Path

import pytest

from tests.mutants import STAGES, Mutant, mutants_of, source_of
from tests.mutants.grading import NOT_MET, all_criteria, judge, without_mutant

MUTANTS = [one for stage in STAGES for one in mutants_of(stage)]
QUICK = [one for one in MUTANTS if one.stage == 1 and len(one.fails) == 1
         and one.fails[0] not in ("1.silence", "1.never-reads", "1.busy", "1.no-hello")]
"""Those of which `make test` takes some: each takes a few seconds. `make test-long` takes all."""
SAMPLE = 2


@pytest.mark.parametrize("stage", STAGES)
def test_changes_apply(stage: int) -> None:
    """Every text that a mutant changes is in our code exactly once, and what comes out is Python."""
    for wrong in mutants_of(stage):
        for module in wrong.modules:
            source = source_of(module).read_text()
            changed = wrong.change(module, source)
            assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source)), f"{wrong} changes nothing in {module}"


def test_a_change_that_does_not_apply_is_told() -> None:
    """When our code has changed, the test above names the mutant."""
    wrong = Mutant(1, "old", "is old", (), (("stage1_chat.node", "what was here once", ""),))
    with pytest.raises(ValueError, match="mutant 1.old: stage1_chat.node has this 0 times"):
        wrong.change("stage1_chat.node", source_of("stage1_chat.node").read_text())


def test_names_are_different() -> None:
    """A mutant is found by its name."""
    for one, other in itertools.combinations(MUTANTS, 2):
        assert str(one) != str(other)


def test_every_criterion_has_a_mutant(tmp_path: Path) -> None:
    """No criterion exists that no mutant fails, except those in NOT_MET; all that are named exist."""
    keys = all_criteria(tmp_path)
    assert without_mutant(keys) == []
    assert {*NOT_MET, *(key for one in MUTANTS for key in one.fails)} <= keys.keys()


def test_a_sample_is_noticed(tmp_path: Path) -> None:
    """A sample of the mutants loses points in the criteria that name their faults."""
    seed = random.randrange(100_000)
    print(f"seed {seed}")
    for wrong in random.Random(seed).sample(QUICK, SAMPLE):
        is_noticed(wrong, tmp_path, seed)


@pytest.mark.long
@pytest.mark.parametrize("wrong", MUTANTS, ids=str)
def test_each_is_noticed(wrong: Mutant, tmp_path: Path) -> None:
    """Each mutant loses points in all criteria that name its fault."""
    is_noticed(wrong, tmp_path, 1)


def is_noticed(wrong: Mutant, folder: Path, seed: int) -> None:
    """The criteria that name its fault have failed, and were not merely impossible to ask."""
    judged = judge(wrong, folder / str(wrong), seed)
    assert not judged.survived(wrong), f"{wrong} survives, seed {seed}: {judged.verdicts}, {judged.actual}"
