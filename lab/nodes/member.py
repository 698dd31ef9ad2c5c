"""A node of a trial, which may be killed, put to sleep, and started again. It remembers what was acknowledged."""

import contextlib
import re
import signal
from collections.abc import Callable

from lab.nodes.faults import Place
from lab.nodes.processes import NodeProcess

SENT = re.compile(rb'"event": "sent", "id": "([0-9a-f]{64})"')
"""The line that acknowledges a transaction, with its id."""


class Member:
    """A node that can be killed, and started again with the same address and data."""

    def __init__(self, place: Place, start: Callable[[], NodeProcess]) -> None:
        self.place = place
        self._start = start
        self.process: NodeProcess | None = start()
        self.is_asleep = self._is_ready = False
        self.acknowledged_before: set[str] = set()
        """What earlier processes of this member have acknowledged."""

    @property
    def is_up(self) -> bool:
        """Is it running and awake, and has it read its journal?"""
        if self.process is not None and not self._is_ready:
            self._is_ready = b'"event": "listening"' in self.process.output
        return self._is_ready and not self.is_asleep

    @property
    def running(self) -> NodeProcess:
        """Its process. Only for a member that is not down."""
        assert self.process is not None, f"node {self.place.name} is down"
        return self.process

    @property
    def resident_mib(self) -> int:
        """The memory that it uses (VmRSS of /proc); 0 if the system has no /proc."""
        with contextlib.suppress(OSError, StopIteration):
            return self.running.resident_kib // 1024
        return 0

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self.process is not None:
            self.process.signal(signal.SIGKILL)
            self.process.wait_end()
            self.process.end_input()
            self.acknowledged_before = self.acknowledged()
            self.process, self.is_asleep, self._is_ready = None, False, False

    def restart(self) -> None:
        """Start it again; if it is running, do nothing."""
        if self.process is None:
            self.process = self._start()

    def sleep(self) -> None:
        """Suspend it (SIGSTOP): it does nothing, and notices nothing."""
        if self.process is not None:
            self.is_asleep = True
            self.process.signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let a suspended node continue (SIGCONT)."""
        if self.process is not None:
            self.process.signal(signal.SIGCONT)
            self.is_asleep = False

    def acknowledged(self) -> set[str]:
        """The ids of all transactions that it has acknowledged so far."""
        output = self.process.output if self.process is not None else b""
        return self.acknowledged_before | {match.decode() for match in SENT.findall(output)}
