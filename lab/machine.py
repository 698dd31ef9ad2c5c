"""What this machine can do: its cores, who uses them, and how long one signature takes to verify."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15

RUNS = 100
VERIFICATIONS = 10
"""In one run, which takes about a millisecond: most runs are not interrupted."""

SIGNED_BYTES = 900
"""About as long as the canonical bytes of a transaction."""


def count_cores() -> int:
    """The cores that this process and its children may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class VerificationTimer:
    """Measures how long pycryptodome takes, in one thread, for one verification of a signature."""

    def __init__(self, private_key: RSA.RsaKey) -> None:
        self._message = bytes(SIGNED_BYTES)
        self._signature = pkcs1_15.new(private_key).sign(SHA256.new(self._message))
        self._verifier = pkcs1_15.new(RSA.import_key(private_key.public_key().export_key()))

    def measure(self, runs: int = RUNS) -> list[float]:
        """Seconds for one verification, in each of some short runs."""
        return [self._time_run() for _ in range(runs)]

    def _time_run(self) -> float:
        # The thread's own time: what other programs take in between is not the cost of a verification.
        start = time.thread_time()
        for _ in range(VERIFICATIONS):
            self._verifier.verify(SHA256.new(self._message), self._signature)
        return (time.thread_time() - start) / VERIFICATIONS


class CoreWatch:
    """Who uses the cores from now on: the nodes, this process, and all other programs."""

    def __init__(self, pids: Iterable[int]) -> None:
        """`pids` are the nodes' processes. Where the system has no /proc, nothing is known."""
        self._pids = list(pids)
        self._before = self._read()

    def shares(self) -> dict[str, float] | None:
        """Of all that the cores could do since the watch began, the shares of the three. Interrupts, which
        carry the packets on loopback, are told apart, since the system books them on no process."""
        if self._before is None or (after := self._read()) is None:
            return None
        *spent, total = (new - old for new, old in zip(after, self._before, strict=True))
        nodes, own, everybody, interrupts = (one / total for one in spent)
        return {"nodes": nodes, "bench": own, "others": max(0.0, everybody - nodes - own), "interrupts": interrupts,
                "idle": max(0.0, 1.0 - everybody - interrupts)}

    def _read(self) -> tuple[float, ...] | None:
        """Seconds since boot: of the nodes, this process, all processes, interrupts, and of all that with what was idle."""
        try:
            return sum(map(_read_process, self._pids)), time.process_time(), *_read_all_cores()
        except (OSError, ValueError):
            return None


def _read_all_cores() -> tuple[float, float, float]:
    """Seconds of all processes, of interrupts, and of both with what was idle (first line of /proc/stat, proc(5)).

    Time that a host has stolen is what another program has used, so it counts as that.
    """
    user, nice, system, idle, waiting, hard, soft, stolen = (
        int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in Path("/proc/stat").read_text().split()[1:9])
    processes, interrupts = user + nice + system + stolen, hard + soft
    return processes, interrupts, processes + interrupts + idle + waiting


def _read_process(pid: int) -> float:
    """Seconds of user and system time that a process has used (fields 14 and 15 of /proc/PID/stat, proc(5))."""
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
