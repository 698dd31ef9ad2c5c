"""Wrong programs of stage 2."""

from tests.mutants import Mutant

MUTANTS: list[Mutant] = []
