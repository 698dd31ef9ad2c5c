"""A process that connects to a node again and again, says the same, and is thrown out: `python -m tests.hostile.stampede`.

    with stampede(node, what_to_say):
        ...

A process of its own, so that the test that measures meanwhile has its own interpreter, and the node a real opponent.
"""

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

from lab.blackbox.peer import frames_of, make_hello
from tests.processes import ROOT, NodeProcess

AT_ONCE = 20
"""Connections at a time."""


@contextlib.contextmanager
def stampede(node: NodeProcess, data: bytes) -> Iterator[None]:
    """Have `data` said behind a hello on ever new connections, while the `with` lasts and from its beginning on."""
    hello = frames_of(make_hello(node.stage, node.network, "127.9.9.9:9"))
    with subprocess.Popen([sys.executable, "-m", "tests.hostile.stampede", node.address], cwd=ROOT, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdin.write(hello + data)
        process.stdin.close()
        try:
            assert process.stdout.readline() == b"thrown out\n"
            yield
        finally:
            process.kill()


def come_again(address: tuple[str, int], data: bytes, was_thrown_out: threading.Event) -> None:
    """Connect, say it, read to the end, for ever."""
    while True:
        with contextlib.suppress(OSError), socket.create_connection(address) as connection:
            connection.sendall(data)
            while connection.recv(65_536):
                pass
            was_thrown_out.set()


def main() -> None:
    """Say what standard input holds, until killed."""
    host, _, port = sys.argv[1].rpartition(":")
    data, was_thrown_out = sys.stdin.buffer.read(), threading.Event()
    threads = [threading.Thread(target=come_again, args=((host, int(port)), data, was_thrown_out))
               for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    was_thrown_out.wait()
    print("thrown out", flush=True)


if __name__ == "__main__":
    main()
