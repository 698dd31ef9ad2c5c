"""The settings of a run of the grader: whose node, which stage, how strict. The workers read them from a file."""

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
"""Keys and wallets that all runs share, since making them takes a long time."""

PATIENCE = 15.0
"""Seconds to wait for what takes a fraction of one. TIMEOUT_FACTOR multiplies this, and the next two."""
CRITERION_SECONDS = 60.0
"""Seconds that a criterion may take; a slow one may take SLOW_SECONDS."""
SLOW_SECONDS = 150.0


@dataclass
class Settings:
    """One run. All its files go into `folder`."""

    stage: int
    folder: Path
    command: list[str] = field(default_factory=list)
    """What starts the submission, in `directory`; nothing: our own node of this stage."""
    directory: Path = ROOT
    through: list[str] = field(default_factory=list)
    """A command that runs the submission in confinement, such as `bwrap …`. Our own nodes are started without it."""
    environment: dict[str, str] | None = None
    """The whole environment of the submission; None: this process's own."""
    seed: int = 1
    factor: float = 1.0
    """TIMEOUT_FACTOR: every wait may take this many times as long."""
    token: str = ""
    """The mark of all processes that this run starts, see lab/grade/sweep.py."""
    only: str = ""
    """Keys of the criteria to check, with commas between them; empty: those that the other settings ask for."""
    only_this_stage: bool = False
    cli_only: bool = False
    slow: bool = False
    takes_wallets: bool = False
    """Does it open the wallets of tests/keys? With them it starts a second faster. The first start finds out."""
    does_not_start: str = ""
    """Why it does not start; empty if it does. The first start finds out, so that no criterion waits for it again."""
    most_processes: int = 64
    """The most processes of one criterion at the same time."""
    most_mib: int = 256
    """The most MiB of files in one criterion."""
    most_output_mib: int = 32
    """The most MiB that one node may write to standard output."""
    again: str = ""
    """The command that grades the submission again, if no criterion can be checked alone because it does not build."""

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
        """The command that checks one criterion again, or all, from the folder that holds the Makefile."""
        if self.again:
            return self.again
        node = "" if self.is_ours else f" NODE={shlex.quote(shlex.join(self.command))}"
        more = "" if self.directory == ROOT else f" IN={shlex.quote(str(self.directory))}"
        given = {"CLI_ONLY": self.cli_only, "ONLY_THIS_STAGE": self.only_this_stage, "SLOW": self.slow}
        chosen = f" ONLY={key or self.only}" if key or self.only else "".join(
            f" {name}=1" for name, is_set in given.items() if is_set)
        return f"make grade STAGE={self.stage}{node}{more} SEED={self.seed}{chosen}"

    def save(self, path: Path) -> None:
        """Write the settings for the workers."""
        values = {name: str(value) if isinstance(value, Path) else value
                  for name, value in dataclasses.asdict(self).items()}
        path.write_text(json.dumps(values))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` has written."""
        values = json.loads(path.read_text())
        return cls(**{**values, "folder": Path(values["folder"]), "directory": Path(values["directory"])})


def read_command(text: str, directory: Path) -> list[str]:
    """The words of a command. A program with a path, such as `./node`, is looked up in `directory`."""
    if not text.strip():
        return []
    first, *rest = shlex.split(text)
    return [os.path.abspath(directory / first) if "/" in first else first, *rest]
