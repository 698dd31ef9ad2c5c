"""Wrong programs of stage 4."""

from tests.mutants import Mutant

MUTANTS: list[Mutant] = []
