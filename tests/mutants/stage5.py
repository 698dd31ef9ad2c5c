"""Wrong programs of stage 5."""

from tests.mutants import Mutant

MUTANTS: list[Mutant] = []
