"""Submissions: how they are found, what is copied, and which commands build and start them.

There are three kinds. A folder with a `grade.toml` says itself how it is built and started. A folder with a file `node`
is started by that file. A folder that contains the stage, such as `stage3_signed`, is a filled-in handout: only
this folder is taken, and laid over our own earlier stages and common/. So edited tests gain nothing.
"""

import hashlib
import os
import shlex
import shutil
import stat
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from lab.blackbox.node_process import STAGES
from lab.grade.settings import ROOT

FORM = "grade.toml"
MEMBERS = {"build": str, "start": str, "cli_only": bool}
"""What a grade.toml may say."""


class CannotGrade(Exception):
    """A submission cannot be graded. The message is the reason, for the student."""


@dataclass
class Submission:
    """A submission that is ready to be built."""

    kind: str
    start: list[str]
    build: list[str]
    cli_only: bool = False


def find_submissions(folder: Path) -> list[Path]:
    """The subfolders, by name; those whose name begins with a dot are left out."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def prepare(source: Path, work: Path, stage: int) -> Submission:
    """Copy a submission to `work`, and find out how to build and start it there; CannotGrade if that is not clear."""
    if work.exists():
        shutil.rmtree(work)
    own = STAGES[stage]
    if (source / FORM).is_file():
        copy(source, work)
        return read_form(work / FORM, work, stage)
    if (source / "node").is_file():
        copy(source, work)
        (work / "node").chmod(0o755)  # some archives lose the executable bit
        return Submission("a `node`", [str(work / "node")], [])
    if (source / own).is_dir():
        for name in ["common", *(STAGES[number] for number in range(1, stage))]:
            copy(ROOT / name, work / name)
        copy(source / own, work / own)
        return Submission("a handout", [sys.executable, "-m", own], [])
    raise CannotGrade(f"the submission has no {FORM}, no file `node` and no folder {own}")


def copy(source: Path, target: Path) -> None:
    """Copy folders, files and links, but nothing else, such as pipes, and not what Python has compiled."""
    def left_out(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name == "__pycache__" or not is_kept(Path(folder, name))}

    shutil.copytree(source, target, symlinks=True, ignore=left_out)


def is_kept(path: Path) -> bool:
    """Is this a folder, a file or a link?"""
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


def read_form(path: Path, work: Path, stage: int) -> Submission:
    """What a grade.toml says; CannotGrade if it is wrong. `{stage}` in a command is the number of the stage."""
    try:
        members = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CannotGrade(f"{FORM} cannot be read: {error}") from None
    for name, value in members.items():
        if name not in MEMBERS or not isinstance(value, MEMBERS[name]):
            raise CannotGrade(f"{FORM} has a wrong member `{name}`; it may have build and start, which are commands, "
                              "and cli_only, which is true or false")
    try:
        build, start = (shlex.split(members.get(name, "").replace("{stage}", str(stage)))
                        for name in ("build", "start"))
    except ValueError as error:
        raise CannotGrade(f"{FORM} has a command that no shell would accept: {error}") from None
    if not start:
        raise CannotGrade(f"{FORM} does not say how to start the node: add a line such as start = \"./node\"")
    first = os.path.normpath(work / start[0]) if "/" in start[0] else start[0]
    return Submission(f"a {FORM}", [first, *start[1:]], build, members.get("cli_only", False))


def digest(source: Path) -> str:
    """A hash of all files of a submission. It shows whether a submission has changed."""
    hashed = hashlib.sha256()
    for where, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            path = Path(where, name)
            if is_kept(path):
                content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
                hashed.update(f"{path.relative_to(source)}\0{len(content)}\0".encode(errors="surrogateescape"))
                hashed.update(content)
    return hashed.hexdigest()
