"""Ends all that a submission has started, even what has left its process group, or has lost its parent.

Three nets: the children of this process and theirs, which after `adopt_orphans` include those whose parents have
ended; the sessions that were opened for the nodes; and a mark in the environment, which a child inherits unless it
takes pains. Where there is no /proc, only the sessions are left.
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
"""The environment variable by which a child of a submission is known."""


def adopt_orphans() -> None:
    """Whoever is left by its parent, of all that this process starts, becomes its child. Linux only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> set[int]:
    """All processes that a process has started, and theirs, that have not ended."""
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
    """End all that carries the mark or descends from this process, apart from `spared`; how many there were. Without
    `spared` only what carries the mark. `nodes` lead sessions of their own, and somebody else waits for their end.

    They are stopped before they are killed: what starts processes as fast as it can would outrun us otherwise.
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
    """Those that still run, and are not merely not waited for. Who has ended and was left to us is waited for here,
    apart from `nodes`."""
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
