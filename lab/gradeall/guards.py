"""What keeps a submission from changing its grade, as far as this machine allows. docs/grading.md has a table."""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

LAUNCH = Path(__file__).with_name("launch.py")
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt")
"""What a program in bubblewrap sees of the machine, and cannot write to."""
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
               "PYTHONDONTWRITEBYTECODE": "1"}
"""The whole environment of a submission, apart from HOME, TMPDIR and what a criterion sets."""
PROBE_SECONDS = 20.0


@dataclass
class Guard:
    """The settings of launch.py."""

    directory: str
    """The copy of the submission, which it may write to."""
    uid: int = 0
    """The user that only this submission runs as; 0: the user who runs the grader."""
    bwrap: str = ""
    """The path of bubblewrap; empty: it is not used."""
    cpu_seconds: int = 300
    """The most processor time of one process."""
    memory: int = 4 << 30
    """The most bytes of data of one process. The stack of each thread counts 8 MiB, even if it is not used."""
    file_bytes: int = 256 << 20
    """The most bytes of one file."""
    files: int = 1024
    """The most files that one process may have open."""
    threads: int = 2048
    """The most threads of all its processes; 0: no limit, since the user may run other programs."""
    visible: list[str] = field(default_factory=lambda: [*SYSTEM, os.path.realpath(sys.prefix), sys.prefix,
                                                        sys.base_prefix])

    @property
    def through(self) -> list[str]:
        """The command in front of the submission's own."""
        return [sys.executable, "-I", "-S", str(LAUNCH), json.dumps(asdict(self))]

    def holds(self, *command: str) -> bool:
        """Can a program be started through it?"""
        try:
            return subprocess.run([*self.through, *command], cwd=self.directory, env=ENVIRONMENT,
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS,
                                  check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False


def make_guard(directory: Path, uid: int) -> tuple[Guard, list[str]]:
    """The best guard that this machine allows, and what is missing, in sentences. `directory` belongs to that user."""
    guard, missing = Guard(str(directory), uid, threads=2048 if uid else 0), []
    if not uid:
        missing.append("The submission ran as the same user as the grader, and could change the results: run the"
                       " grader as root.")
    guard.bwrap = shutil.which("bwrap") or ""
    if not guard.bwrap or not guard.holds("true"):
        why = "does not work here" if guard.bwrap else "is not installed"
        guard.bwrap = ""
        missing.append(f"bubblewrap {why}: the submission could read what every user of this machine can read.")
    return guard, missing


def cut_off() -> bool:
    """Cut this process, and all that it starts, off from every network. It gets a loopback of its own. False if the
    system does not allow that.

    Without root this needs a user namespace. In it, the user and the group keep their numbers.
    """
    flags = CLONE_NEWNET if os.getuid() == 0 else CLONE_NEWNET | CLONE_NEWUSER
    user, group = os.getuid(), os.getgid()
    try:
        if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
            return False
        if flags & CLONE_NEWUSER:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            request = struct.pack("16sh14x", b"lo", 0)
            state = struct.unpack("16sh14x", fcntl.ioctl(one, SIOCGIFFLAGS, request))[1]
            fcntl.ioctl(one, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", state | IFF_UP))
        return True
    except (OSError, AttributeError):
        return False


def find_closed(paths: Iterable[Path]) -> Path | None:
    """The first folder on the path to one of these that other users cannot enter, such as /root."""
    return next((folder for path in paths for folder in reversed(path.parents)
                 if not folder.stat().st_mode & stat.S_IXOTH), None)


def open_way(paths: Sequence[Path]) -> None:
    """For this process and its children, replace each closed folder by an open one that contains only these paths. Only
    root can do that. CalledProcessError if the system does not allow it."""
    while closed := find_closed(paths):
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
            raise subprocess.CalledProcessError(1, "unshare")
        inside = sorted({path for path in paths if closed in path.parents})
        kept = [path for path in inside if not any(other in path.parents for other in inside)]
        with tempfile.TemporaryDirectory() as name:
            aside = [Path(name, str(number)) for number in range(len(kept))]
            mount("--make-rprivate", "/")
            for path, there in zip(kept, aside, strict=True):
                there.mkdir()
                mount("--rbind", str(path), str(there))
            mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(closed))
            for path, there in zip(kept, aside, strict=True):
                path.mkdir(parents=True)
                mount("--move", str(there), str(path))
        os.chdir(os.getcwd())


def mount(*options: str) -> None:
    """Call mount(8)."""
    subprocess.run(["mount", *options], stdin=subprocess.DEVNULL, check=True)


def give_to(folder: Path, uid: int) -> None:
    """Make a user the owner of a folder and of all that is in it. Nobody else may enter it."""
    for where, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            os.chown(os.path.join(where, name), uid, uid, follow_symlinks=False)
    os.chown(folder, uid, uid)
    folder.chmod(0o700)


def end_all_of(uid: int) -> None:
    """End every process of a user."""
    for about in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if about.stat().st_uid == uid:
                os.kill(int(about.name), signal.SIGKILL)
