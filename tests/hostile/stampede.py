"""A process that connects to a node again and again, and is thrown out each time: `python -m tests.hostile.stampede`.

    with stampede(node, what_to_say):
        ...

It is a separate process. So the test that measures meanwhile has its interpreter for itself, and the node a real
opponent.
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
"""The number of connections at a time."""


@contextlib.contextmanager
def stampede(node: NodeProcess, data: bytes) -> Iterator[None]:
    """While the `with` lasts, open new connections all the time, and say `data` after a hello on each."""
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
    """Connect, say `data`, read to the end, and begin again, forever."""
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
