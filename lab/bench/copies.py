"""What a message costs a node when it is new, and when it is a copy: `python -m lab.bench.copies`.

A node of stage 1 has one neighbour that sends chat messages, and others that only read what the node passes on. First
come new messages, then the same ones again and again.
"""

import json
import secrets
import struct
import threading
from contextlib import ExitStack, suppress

from lab.blackbox.peer import RawPeer
from lab.nodes.processes import NodeProcess

MESSAGES = 20_000
AGAIN = 10
READERS = (1, 11, 21)


def measure_copies(readers: int, messages: int = MESSAGES) -> tuple[float, float]:
    """Microseconds of processor time that a node spends on a new message, and on a copy of it, if it passes new ones on
    to this many neighbours."""
    with ExitStack() as stack:
        node = NodeProcess(1, "--peer", "none")
        stack.callback(node.kill)
        network = node.wait_for("listening")["network"]
        sender, *others = [stack.enter_context(RawPeer(node.address, network=network)) for _ in range(readers + 1)]
        for peer in (sender, *others):
            peer.join()
        for peer in others:
            threading.Thread(target=read_to_the_end, args=[peer], daemon=True).start()
            stack.callback(peer.cut)
        frames = b"".join(make_frame(number) for number in range(messages))
        spent = [node.cpu_seconds]
        for times in (1, AGAIN):
            for _ in range(times):
                sender.send_bytes(frames)
            sender.barrier()
            spent.append(node.cpu_seconds)
    return (1e6 * (spent[1] - spent[0]) / messages, 1e6 * (spent[2] - spent[1]) / (AGAIN * messages))


def make_frame(number: int) -> bytes:
    """A chat message that nobody has sent before, as a frame."""
    body = json.dumps({"type": "chat", "nonce": secrets.token_hex(16), "text": f"message {number}"}).encode()
    return struct.pack(">I", len(body)) + body


def read_to_the_end(peer: RawPeer) -> None:
    """Read what comes, and look at nothing."""
    with suppress(OSError):
        while peer.socket.recv(1 << 20):
            pass


def main() -> None:
    """Print a table."""
    print("neighbours it is passed on to   a new message [µs]   a copy [µs]")
    for readers in READERS:
        new, copy = measure_copies(readers)
        print(f"{readers:29}   {new:18.1f}   {copy:11.2f}")


if __name__ == "__main__":
    main()
