"""Wrong programs of stage 3."""

from tests.mutants import Mutant

MUTANTS: list[Mutant] = []
