"""Ends all processes that a submission has started, even those that left their process group or lost their parent.

It finds them in three ways: as descendants of this process, which after `adopt_orphans` include those whose parents
have ended; by the sessions that were opened for the nodes; and by a mark in the environment, which a child inherits
unless its parent removes it. Without /proc, only the sessions are left.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
PROC = Path("/proc")
SWEEP_SECONDS = 10.0
MARK = "GRADED_IN"
"""The environment variable that marks the processes of a submission."""


def adopt_orphans() -> None:
    """Let a descendant of this process whose parent ends become a child of this process. Linux only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> set[int]:
    """The children of a process, their children, and so on."""
    found: set[int] = set()
    pending = [pid]
    while pending:
        for child in _children(pending.pop()):
            if child not in found:
                found.add(child)
                pending.append(child)
    return found


def _children(pid: int) -> Iterable[int]:
    with contextlib.suppress(OSError):
        for task in (PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                yield from map(int, (task / "children").read_text().split())


def marked(mark: str) -> set[int]:
    """The processes whose environment has a mark that begins with this one."""
    wanted = f"\0{MARK}={mark}".encode()
    found = set()
    for environment in PROC.glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in b"\0" + environment.read_bytes():
                found.add(int(environment.parent.name))
    return found


def sweep(mark: str, spared: set[int] | None = None, nodes: Iterable[int] = ()) -> int:
    """End all processes that have the mark or descend from this one, apart from `spared`. Return how many there were.

    Without `spared`, only those that have the mark. Each of `nodes` leads a session, which is ended, too; the
    caller waits for them. A process is stopped before it is killed, so that it cannot start others meanwhile.
    """
    nodes = set(nodes)
    for node in nodes:
        _send(-node, signal.SIGKILL)
    swept: set[int] = set()
    deadline = time.monotonic() + SWEEP_SECONDS
    while left := alive(marked(mark) | (set() if spared is None else descendants(os.getpid()) - spared), nodes):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in left:
                _send(pid, number)
        swept |= left
        if time.monotonic() > deadline:
            break
    return len(swept)


def alive(pids: set[int], nodes: Iterable[int] = ()) -> set[int]:
    """Those of `pids` that still run. A zombie does not count; it is reaped here, unless it is one of `nodes`."""
    running = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            state = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX":
                running.add(pid)
            elif pid not in nodes:
                os.waitpid(pid, os.WNOHANG)
    return running


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
