"""Real nodes over loopback: start one, type to it, read its events, be its peer.

    def test_greeting(launch):
        alice = launch(1, "--peer", "none")
        bob = launch(1, "--peer", alice.address)
        bob.type("hi")
        alice.wait_for("chat", text="hi")

`launch` is the fixture of tests/conftest.py: it ends every node that it started, shows each node's last reports, and
fails the test if a node wrote to standard error.

This file imports only lab/blackbox, which knows nothing of the rest of the project. A node is any program that follows
contract §4 on its command line and §1 and §2 on its socket, so in a handout the same tests run on a student's node.
"""

import contextlib
import random
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.blackbox import node_process
from lab.blackbox.node_process import STAGES, NodeError
from lab.blackbox.peer import DEADLINE, Event, RawPeer, chat_message, frame

__all__ = ["DEADLINE", "ROOT", "STAGES", "Event", "NodeError", "NodeProcess", "RawPeer", "chat_message", "eventually",
           "frame", "unused_address"]

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the stages."""


def eventually(question: Callable[[], bool], timeout: float = DEADLINE,
               state: Callable[[], object] = lambda: "") -> None:
    """Ask until the answer is yes. AssertionError with `state()` if that takes more than `timeout` seconds.

    It is only for states that no event announces, such as a ledger.
    """
    deadline = time.monotonic() + timeout
    while not question():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout:g} seconds: {state()}")
        time.sleep(0.02)


class NodeProcess(node_process.NodeProcess):
    """One client, as a process of its own. If it writes to standard error, that is a defect."""

    most_output = 128 * 1024 * 1024
    """Bytes that it may write to standard output. No test needs as much, and a node that writes without end would fill
    the memory of the tests."""

    def __init__(self, stage: int, *options: str, env: dict[str, str] | None = None, as_json: bool = True,
                 through: Sequence[str] = ()) -> None:
        """Start the client of `stage` with `options`; `env` is added to this process's environment. `through` is a
        command that starts it, such as `ip netns exec`."""
        super().__init__(stage, *options, folder=ROOT, environment=env, as_json=as_json, through=through)
        self.may_complain = False
        """Set this if a line on standard error is expected. Otherwise the fixture takes it for a defect."""

    def stop(self) -> int:
        """End it cleanly (SIGTERM), and return its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait_exit()


def unused_address() -> str:
    """An address on loopback where nobody listens at the moment.

    Its port is below those that systems give to programs that ask for any port, so nobody else gets it by chance.
    """
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"


def nodes_of(pid: int) -> list[str]:
    """The child processes of all threads of a process, except those that it has waited for."""
    return [node for task in Path(f"/proc/{pid}/task").iterdir() for node in (task / "children").read_text().split()]
