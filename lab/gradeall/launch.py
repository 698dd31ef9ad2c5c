"""Starts a program of a submission in confinement: as a user of its own, with limits, and in bubblewrap if it is there.

Called as `python -I -S launch.py GUARD COMMAND…`, where GUARD is JSON with the members of `lab.gradeall.guards.Guard`.
It imports nothing of the project, since it runs before each node, and a node should start quickly.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
from types import FrameType
from typing import Any

FILES = "GRADED_FILES"
"""The environment variable that names the folder that a node may write to, within the folder of the criterion."""
PR_SET_NO_NEW_PRIVS = 38
CANNOT_START = 127
"""The exit status if the program cannot be started, as in a shell."""
LIMITS = {"CPU": "cpu_seconds", "DATA": "memory", "FSIZE": "file_bytes", "NOFILE": "files", "NPROC": "threads"}
"""The limits of resource.setrlimit, and the members of GUARD that set them; 0: no limit. DATA and not AS: Java and
JavaScript reserve far more addresses than they use."""


def main(guard: dict[str, Any], command: list[str]) -> int:
    """Become the program. With bubblewrap, become its parent instead, and return its exit status."""
    files = os.environ.pop(FILES, "")
    if files:
        os.environ["HOME"] = os.environ["TMPDIR"] = files
    if guard["uid"]:
        if files:
            give_wallets(os.path.dirname(files), guard["uid"])
            give(files, guard["uid"])
        os.setgroups([])
    limit(guard)
    if guard["uid"]:
        os.setresgid(guard["uid"], guard["uid"], guard["uid"])
        os.setresuid(guard["uid"], guard["uid"], guard["uid"])
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if guard["bwrap"]:
        return run_in_bubble(guard, files, command)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr)
        return CANNOT_START


def limit(guard: dict[str, Any]) -> None:
    """Set the limits. The program cannot raise them again."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name, member in LIMITS.items():
        which, most = getattr(resource, f"RLIMIT_{name}"), guard[member]
        hard = resource.getrlimit(which)[1]
        if most and (hard == resource.RLIM_INFINITY or most < hard):
            resource.setrlimit(which, (most, most))


def give_wallets(evidence: str, uid: int) -> None:
    """Give the user the wallets and keys. They lie in the folder of the criterion, where only the grader may write."""
    for where in (evidence, os.path.join(evidence, "keys")):
        for name in os.listdir(where) if os.path.isdir(where) else []:
            if name.endswith(".pem") or name == "keys":
                os.chown(os.path.join(where, name), uid, uid, follow_symlinks=False)


def give(folder: str, uid: int) -> None:
    """Give the user what the grader has put into a folder. The user may be at work in it: no link is followed, and a
    file with another hard link stays as it is."""
    for _, folders, names, where in os.fwalk(folder, follow_symlinks=False):
        for name in [*folders, *names]:
            about = os.stat(name, dir_fd=where, follow_symlinks=False)
            if about.st_uid == 0 and (about.st_nlink == 1 or name in folders):
                os.chown(name, uid, uid, dir_fd=where, follow_symlinks=False)
    os.chown(folder, uid, uid, follow_symlinks=False)


def run_in_bubble(guard: dict[str, Any], files: str, command: list[str]) -> int:
    """Run the program in bubblewrap, which does not pass signals on: this function does."""
    reading, writing = os.pipe()
    evidence = os.path.dirname(files)
    binds = [*(f"--ro-bind-try {path} {path}".split(" ") for path in guard["visible"]),
             ["--bind", guard["directory"], guard["directory"]],
             *([["--ro-bind", evidence, evidence], ["--bind", files, files]] if files else [])]
    options = ["--die-with-parent", "--unshare-ipc", "--unshare-uts", "--ro-bind", "/proc", "/proc", "--dev", "/dev",
               "--tmpfs", "/tmp", *(word for bind in binds for word in bind), "--chdir", os.getcwd(),
               "--info-fd", str(writing)]
    early: list[int] = []
    inner: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        early.append(number)
        for pid in inner:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, pass_on)
    bubble = subprocess.Popen([guard["bwrap"], *options, "--", *command], pass_fds=[writing])
    os.close(writing)
    with os.fdopen(reading) as told, contextlib.suppress(ValueError):
        inner.append(json.load(told)["child-pid"])
    for number in early:
        pass_on(number, None)
    return bubble.wait()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
