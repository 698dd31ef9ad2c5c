"""Real nodes for the tools of the lab: started with the command line of contract §4, typed to, read, ended.

    with running_network(stage=3, count=10) as nodes:
        nodes[4].type("hi")
        nodes[9].wait_for("chat", text="hi")

After the `with` no process is left, whatever happened inside. If this program is killed, the nodes end by
themselves, since their standard input ends. What a node writes to standard error goes to this program's own
standard error.
"""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from lab.blackbox import node_process
from lab.blackbox.node_process import NodeError
from stage2_ledger.limits import RING_LINKS

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the stages."""

START_SECONDS = 60.0
"""Time for a node to start, to join and to get its links, on a machine that is busy with other work."""

ANSWER_SECONDS = 60.0
"""Time for a node to answer a command. It first handles what came before."""

END_SECONDS = 10.0
"""Time for a node to end by itself before it is killed."""

POLL_SECONDS = 0.1
"""Pause between two checks of something that no event announces."""


class NodeProcess(node_process.NodeProcess):
    """One client of this project, or an attacker in its place."""

    patience = ANSWER_SECONDS

    def __init__(self, stage: int, *options: str, environment: dict[str, str] | None = None, evil: str = "",
                 errors: IO[bytes] | None = None, module: str = "") -> None:
        """Start the client of `stage` with `options`; `environment` is added to this process's own.

        `evil` names an attacker of lab/adversaries/ to start in its place, and `module` another client. `errors` is
        where standard error goes; None means to this program's own.
        """
        program = ["lab.adversaries.evil", evil, str(stage)] if evil else [module] if module else []
        # In a session of its own a node gets no Ctrl-C from the terminal: this program ends it.
        super().__init__(stage, *options, folder=ROOT, program=program, environment=environment, error_output=errors,
                         own_session=True)

    def wait_end(self, timeout: float = END_SECONDS) -> int:
        """Its exit status, once it has ended and its output has been read. It is killed if that takes too long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, timeout))
        return self.kill()

    def __exit__(self, *_: object) -> None:
        end_all([self])


def end_all(nodes: Sequence[NodeProcess]) -> list[int]:
    """Tell all nodes to end, all at the same time, and kill those that do not. Return their exit statuses."""
    deadline = time.monotonic() + END_SECONDS
    for node in nodes:
        node.signal(signal.SIGTERM)
    for node in nodes:
        node.end_input()
    return [node.wait_end(deadline - time.monotonic()) for node in nodes]


@contextlib.contextmanager
def running_network(stage: int, count: int, options: Callable[[int], list[str]] = lambda number: [],
                    environment: dict[str, str] | None = None, module: str = "") -> Iterator[list[NodeProcess]]:
    """Run `count` nodes of one network, all linked. `options(number)` are a node's options besides `--peer`, and
    `module` is a client to start instead of the stage's own.

    Node 0 founds the network, and the others join it. NodeError if that fails, or if a node ends with an error.
    """
    nodes: list[NodeProcess] = []
    try:
        for number in range(count):
            peer = nodes[0].address if nodes else "none"
            nodes.append(NodeProcess(stage, "--peer", peer, *options(number), environment=environment,
                                     module=module))
        for number, node in enumerate(nodes):
            # In stage 1 a node keeps one connection, to the peer that it joined.
            others = min(count - 1, RING_LINKS) if stage > 1 or number == 0 else 1
            wait_until_linked(node, others)
        yield nodes
    finally:
        statuses = end_all(nodes)
    for node, status in zip(nodes, statuses, strict=True):
        if status != 0:
            raise NodeError(f"{node.name} ended with status {status}, expected 0")


def wait_until_linked(node: NodeProcess, others: int) -> None:
    """Wait until `node` has at least `others` connections. NodeError if that takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while (found := node.ask("/peers", "peers")["connections"]) < others:
        if time.monotonic() > deadline:
            raise NodeError(f"{node.name} has {found} connections, expected {others}")
        time.sleep(POLL_SECONDS)
