"""The wrong programs are what they say, and the grader notices them."""

import ast
import builtins
import dis
import itertools
import random
from pathlib import Path
from types import CodeType

import pytest

from tests.mutants import STAGES, Mutant, mutants_of, source_of
from tests.mutants.grading import NOT_MET, all_criteria, judge, without_mutant

MUTANTS = [one for stage in STAGES for one in mutants_of(stage)]
QUICK = {
    1: "bad-input-said constant-nonce id-of-text listens-before-joined member-twice no-daemon no-double-slash port-0"
       " no-set-of-seen sends-back unknown-refused wrong-own-address",
    2: "full-mesh get-peers-without-itself itself-twice want-unanswered id-with-spaces id-without-network"
       " ends-with-a-peer own-not-seen",
    3: "any-key fingerprint-of-text account-is-name empty-signature plus-modulus forgiving-base64 any-exponent"
       " wallet-in-the-clear key-not-in-data",
    4: "genesis-late interval-in-seconds crash-beyond everybody-orders height-unsent no-interval blocks-after",
    5: "executed-again stake-ignored block-unverified draw-unverified future-blocks highest-slot stakeless tie-by-arrival"
       " lottery-unchecked",
}
"""`make test` takes one of these for each stage. They are quick: the grader sees a wrong answer, and does not wait for
one that never comes. `make test-long` takes all mutants."""


@pytest.mark.parametrize("stage", STAGES)
def test_changes_apply(stage: int) -> None:
    """Every text that a mutant changes is in our code exactly once, and what comes out is Python."""
    for wrong in mutants_of(stage):
        for module in wrong.modules:
            source = source_of(module).read_text()
            changed = wrong.change(module, source)
            assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source)), f"{wrong} changes nothing in {module}"
            missing = unknown_globals(changed)
            assert not missing, f"{wrong} would fail whatever its fault is: {module} has no {missing}"


def unknown_globals(source: str) -> set[str]:
    """The global names that the functions of a module use, and that it does not have."""
    module = compile(source, "changed", "exec")
    codes, used = [module], set()
    for code in codes:  # grows with the functions that are found
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        used |= {one.argval for one in dis.get_instructions(code) if one.opname == "LOAD_GLOBAL"}
    bound = {one.argval for one in dis.get_instructions(module) if one.opname == "STORE_NAME"}
    return used - bound - vars(builtins).keys() - {"__file__"}


def test_a_change_that_does_not_apply_is_reported() -> None:
    """If our code has changed, the test above names the mutant."""
    wrong = Mutant(1, "old", "is old", (), (("stage1_chat.node", "what was here once", ""),))
    with pytest.raises(ValueError, match="mutant 1.old: stage1_chat.node has this 0 times"):
        wrong.change("stage1_chat.node", source_of("stage1_chat.node").read_text())


def test_names_are_different() -> None:
    """A mutant is found by its name."""
    for one, other in itertools.combinations(MUTANTS, 2):
        assert str(one) != str(other)


def test_every_criterion_has_a_mutant(tmp_path: Path) -> None:
    """Every criterion is failed by some mutant, except those in NOT_MET, and all criteria that are named exist."""
    keys = all_criteria(tmp_path)
    assert without_mutant(keys) == []
    assert {*NOT_MET, *(key for one in MUTANTS for key in one.fails)} <= keys.keys()


@pytest.mark.parametrize("stage", STAGES)
def test_a_sample_is_noticed(stage: int, tmp_path: Path) -> None:
    """A mutant of each stage loses points in the criterion that names its fault."""
    seed = random.randrange(100_000)
    print(f"seed {seed}")
    name = random.Random(seed).choice(QUICK[stage].split())
    (wrong,) = (one for one in mutants_of(stage) if one.name == name)
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
