"""Real nodes as processes on this machine, for what is done with them: start, type, read, end."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the stages."""

STAGES = {1: "stage1_chat", 2: "stage2_ledger", 3: "stage3_signed", 4: "stage4_sequencer", 5: "stage5_pos"}
"""The module of each stage's client."""

PATIENCE = 60.0
"""Seconds to wait for an answer that should come at once, on a machine that is busy."""


class NodeError(Exception):
    """A node did not do what was expected of it; the message says which, and what was expected."""


class Node:
    """One node, started through the command line of contract §4 and spoken to in JSON."""

    def __init__(self, stage: int, *options: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", STAGES[stage], "--json", *options], cwd=ROOT,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        self.chats = 0
        """Chat messages printed so far; counted and not kept."""
        self._counts: Counter[str] = Counter()
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self.listening: dict[str, Any] = {}

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # A chat message is counted by its first bytes: parsing them all would cost what is measured.
            if line.startswith(b'{"event": "chat"'):
                self.chats += 1
            else:
                event = json.loads(line)
                self._counts[event["event"]] += 1
                self._answers.put(event)

    def count(self, event: str) -> int:
        """How many events of this kind the node has reported."""
        return self._counts[event]

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next event of this kind; those before it are passed over. NodeError if it does not come."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise NodeError(f"process {self.pid}: no event {event} within {PATIENCE:.0f} s") from None
            if answer["event"] == event:
                return answer

    def begin(self) -> dict[str, Any]:
        """Wait until the node takes commands; give its event `listening`."""
        self.listening = self.wait_for("listening")
        return self.listening

    def type(self, *lines: str) -> None:
        """Type lines at the node's prompt."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("".join(f"{line}\n" for line in lines).encode())
            self._process.stdin.flush()
        except OSError:
            raise NodeError(f"process {self.pid} has ended, status {self._process.poll()}") from None

    def ask(self, command: str, event: str) -> dict[str, Any]:
        """Type a command and give the event that answers it."""
        self.type(command)
        return self.wait_for(event)

    def end(self) -> None:
        """End the node, in order if it can."""
        self._process.terminate()
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Nodes(list[Node]):
    """Several nodes, which all end when the `with` block does."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self:
            node.end()

    def start(self, stage: int, *options: str) -> Node:
        """Start one more node."""
        self.append(Node(stage, *options))
        return self[-1]
