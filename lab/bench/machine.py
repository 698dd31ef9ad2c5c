"""The machine: how many cores it has, who uses them, and how long it takes to verify one signature."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15

RUNS = 50
PAUSE_SECONDS = 0.005
"""Seconds between two runs. A shared machine changes its speed from moment to moment; 50 runs take about 0.3 s."""

VERIFICATIONS = 10
"""Verifications in one run, which takes about a millisecond, so that most runs are not interrupted."""

SIGNED_BYTES = 900
"""The length of the text that is signed: about that of the canonical bytes of a transaction."""


def count_cores() -> int:
    """The cores that this process and its children may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_ceiling(nodes: int, verification: float) -> float:
    """Transactions a second if the cores did nothing but verify each one at each node: cores / (nodes · V).
    `verification` is V, the seconds of one verification."""
    return count_cores() / (nodes * verification)


class VerificationTimer:
    """Measures how long pycryptodome takes, in one thread, for one verification of a signature."""

    def __init__(self, private_key: RSA.RsaKey) -> None:
        self._message = bytes(SIGNED_BYTES)
        self._signature = pkcs1_15.new(private_key).sign(SHA256.new(self._message))
        self._verifier = pkcs1_15.new(RSA.import_key(private_key.public_key().export_key()))

    def measure(self) -> list[float]:
        """Seconds for one verification, in each of 50 short runs."""
        seconds = []
        for _ in range(RUNS):
            seconds.append(self.measure_once())
            time.sleep(PAUSE_SECONDS)
        return seconds

    def measure_once(self) -> float:
        """Seconds for one verification, in one short run."""
        # The thread's own time: the time of other programs is not the cost of a verification.
        start = time.thread_time()
        for _ in range(VERIFICATIONS):
            self._verifier.verify(SHA256.new(self._message), self._signature)
        return (time.thread_time() - start) / VERIFICATIONS


class CoreWatch:
    """Who uses the cores from now on: the nodes, this process, and all other programs."""

    def __init__(self, pids: Iterable[int]) -> None:
        """`pids` are the nodes' processes. Without /proc the watch knows nothing of them."""
        self._pids = list(pids)
        self._before = self._read()

    def shares(self) -> dict[str, float] | None:
        """The shares of the three in the cores' time since the watch began, and the idle share."""
        if self._before is None or (after := self._read()) is None:
            return None
        *spent, total = (new - old for new, old in zip(after, self._before, strict=True))
        if not total:
            return None  # less than a hundredth of a second, the unit in which the system counts
        nodes, own, used = (one / total for one in spent)
        return {"nodes": nodes, "bench": own, "others": max(0.0, used - nodes - own), "idle": max(0.0, 1.0 - used)}

    def _read(self) -> tuple[float, float, float, float] | None:
        """Seconds of the cores used by the nodes, by this process, and by all programs; and those used or idle."""
        try:
            everybody, total = _read_all_cores()
            return sum(map(_read_process, self._pids)), time.process_time(), everybody, total
        except (OSError, ValueError):
            return None


def _read_all_cores() -> tuple[float, float]:
    """Seconds used, and all seconds, from the first line of /proc/stat (proc(5)). Time stolen by a host counts as
    used."""
    user, nice, system, idle, waiting, interrupts, soft_interrupts, stolen = (
        int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in Path("/proc/stat").read_text().split()[1:9])
    used = user + nice + system + interrupts + soft_interrupts + stolen
    return used, used + idle + waiting


def _read_process(pid: int) -> float:
    """Seconds of user and system time that a process has used (fields 14 and 15 of /proc/PID/stat, proc(5))."""
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
