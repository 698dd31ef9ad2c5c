"""Wrong programs, to see whether the grader notices. Each is one of our stages with a fault that a student could make.

A mutant is a change of a few lines in the source of a stage, made while the module is loaded; no file is copied, and
none is written. `old` must be in that module exactly once, so when our code changes, a test says which mutants are to
be looked at again.

    mutant("no-pong", "does not answer a ping", "1.ping",
           (PEERING, 'connection.send(encode_frame({"type": "pong", "nonce": message["nonce"]}))', "pass"))

It is given its name, what is wrong, the keys of the criteria that name the fault (all of them must fail), and the
changes: module, old text and new text. The mutants of a stage are the list MUTANTS in tests/mutants/stageN.py.

    python -m tests.mutants.client 1 no-pong --peer none --json      starts one, with the options of a node
    make mutants STAGE=1                                             grades all of a stage
    make mutants                                                     grades all, and writes docs/mutants.md
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAGES = range(1, 6)

Change = tuple[str, str, str]
"""Module, old text, new text."""


@dataclass(frozen=True)
class Mutant:
    """One wrong program."""

    stage: int
    name: str
    what: str
    """What is wrong with it, after "It"."""
    fails: tuple[str, ...]
    """The keys of the criteria that name its fault."""
    changes: tuple[Change, ...]

    def __repr__(self) -> str:
        return f"{self.stage}.{self.name}"

    @property
    def modules(self) -> set[str]:
        """The modules that this mutant changes."""
        return {module for module, _, _ in self.changes}

    def change(self, module: str, source: str) -> str:
        """The source of a module of this program; ValueError if a text to be changed is not there exactly once."""
        for where, old, new in self.changes:
            if where == module:
                if source.count(old) != 1:
                    raise ValueError(f"mutant {self}: {module} has this {source.count(old)} times, not once: {old!r}")
                source = source.replace(old, new)
        return source


def make_list(stage: int, mutants: Iterable[tuple[str, str, str, tuple[Change, ...]]]) -> list[Mutant]:
    """The mutants of a stage."""
    return [Mutant(stage, name, what, tuple(fails.split()), changes) for name, what, fails, changes in mutants]


def mutant(name: str, what: str, fails: str, *changes: Change) -> tuple[str, str, str, tuple[Change, ...]]:
    """One of the list; `fails` has the keys of criteria, separated by spaces."""
    return name, what, fails, changes


def mutants_of(stage: int) -> list[Mutant]:
    """All mutants of a stage. Only its list is imported, so that a node starts quickly."""
    found: list[Mutant] = importlib.import_module(f"tests.mutants.stage{stage}").MUTANTS
    return found


def source_of(module: str) -> Path:
    """The file of a module of ours."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")
