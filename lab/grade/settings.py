"""What one run of the grader is about: whose node, which stage, how strict. It goes to the workers as a file."""

import dataclasses
import json
import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from lab.blackbox.node_process import STAGES

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds lab/, tests/ and our stages."""
KEYS = ROOT / "tests" / "keys"
"""Keys and wallets that were made once."""

PATIENCE = 15.0
"""Seconds to wait for what takes a fraction of one, before TIMEOUT_FACTOR."""
CRITERION_SECONDS = 60.0
"""Seconds that a criterion may take, before TIMEOUT_FACTOR; a slow one may take SLOW_SECONDS."""
SLOW_SECONDS = 150.0


@dataclass
class Settings:
    """One run. The folder takes all that it leaves."""

    stage: int
    folder: Path
    command: list[str] = field(default_factory=list)
    """What starts the submission, in `directory`; nothing: our own node of this stage."""
    directory: Path = ROOT
    through: list[str] = field(default_factory=list)
    """A command that starts the submission's, and keeps it in: `bwrap …`. Our own nodes do not go through it."""
    environment: dict[str, str] | None = None
    """The whole environment of the submission; None: this process's own."""
    seed: int = 1
    factor: float = 1.0
    """TIMEOUT_FACTOR: all that is waited for may take so many times as long."""
    token: str = ""
    """What marks all that this run has started, see lab/grade/sweep.py."""
    only: str = ""
    """The key of the one criterion to ask, or nothing."""
    only_this_stage: bool = False
    cli_only: bool = False
    slow: bool = False
    takes_wallets: bool = False
    """Does it open the wallets of tests/keys? They save it a second each time. The first start finds out."""
    does_not_start: str = ""
    """Why it does not start at all, if so. The first start finds out, and the criteria need not wait for it again."""
    most_processes: int = 64
    """Of one criterion, at once."""
    most_mib: int = 256
    """Of files, of one criterion."""
    most_output_mib: int = 32
    """Of standard output, of one node."""

    @property
    def is_ours(self) -> bool:
        """Is our own node graded?"""
        return not self.command

    @property
    def client(self) -> list[str]:
        """The whole command."""
        return self.command or [sys.executable, "-m", STAGES[self.stage]]

    @property
    def patience(self) -> float:
        """Seconds to wait for what takes a fraction of one."""
        return PATIENCE * self.factor

    def replay(self, key: str = "") -> str:
        """The command that asks one criterion again, or all, from the folder that holds the Makefile."""
        node = "" if self.is_ours else f" NODE={shlex.quote(shlex.join(self.command))}"
        more = "" if self.directory == ROOT else f" IN={shlex.quote(str(self.directory))}"
        given = {"CLI_ONLY": self.cli_only, "ONLY_THIS_STAGE": self.only_this_stage, "SLOW": self.slow}
        chosen = f" ONLY={key or self.only}" if key or self.only else "".join(
            f" {name}=1" for name, is_set in given.items() if is_set)
        return f"make grade STAGE={self.stage}{node}{more} SEED={self.seed}{chosen}"

    def save(self, path: Path) -> None:
        """Write it for the workers."""
        values = {name: str(value) if isinstance(value, Path) else value
                  for name, value in dataclasses.asdict(self).items()}
        path.write_text(json.dumps(values))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` has written."""
        values = json.loads(path.read_text())
        return cls(**{**values, "folder": Path(values["folder"]), "directory": Path(values["directory"])})


def read_command(text: str, directory: Path) -> list[str]:
    """The words of a command; a program that is named by a path is found from `directory`, wherever it is started."""
    if not text.strip():
        return []
    first, *rest = shlex.split(text)
    return [os.path.abspath(directory / first) if "/" in first else first, *rest]
