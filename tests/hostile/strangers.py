"""Strangers that call a node, and what they keep doing there: `python -m tests.hostile.strangers`.

    with strangers(node, 20, "chats", ids=[], genesis=None):
        ...

They answer pings, so they never seem silent, but they never send what they are asked for. They are a separate process,
so that the test that measures meanwhile has its interpreter for itself.
"""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from lab.blackbox.peer import frames_of, make_hello
from tests.fixtures import kept_key
from tests.hostile.villain import random_ids
from tests.hostile.minter import Minter
from tests.processes import ROOT, Event, NodeProcess, chat_message, frame

ALL, SIGNED = (2, 3, 4, 5), (3, 4, 5)
BATCH = 50
"""Messages that a stranger sends at a time."""

STAKE = 10
"""The genesis account whose owner is one of the strangers, in stage 5."""

PAUSE_SECONDS = 0.01
"""Seconds between two batches. Each stranger still says more than a node can handle."""

HELD_SECONDS = 60
"""Seconds after which a stranger gives up waiting. The test fails before that."""


@contextlib.contextmanager
def strangers(node: NodeProcess, count: int, behaviour: str, ids: list[str], genesis: Event | None) -> Iterator[None]:
    """While the `with` lasts, `count` strangers call the node, and behave as the function named `behaviour` says; with
    "mixed" each does something else. All have begun when the `with` begins. `ids` are what the node has to fetch
    elsewhere, `genesis` is that of stage 5."""
    told = {"address": node.address, "stage": node.stage, "network": node.network, "count": count,
            "behaviour": behaviour, "ids": ids, "genesis": genesis}
    with subprocess.Popen([sys.executable, "-m", "tests.hostile.strangers"], cwd=ROOT, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(told).encode())
        process.stdin.close()
        try:
            assert process.stdout.readline() == b"begun\n"
            yield
        finally:
            process.kill()


# --- what they do -----------------------------------------------------------------------------------

Told = dict[str, Any]
Behaviour = Callable[[Told], bytes]

BEHAVIOURS: dict[str, tuple[tuple[int, ...], Behaviour]] = {}
"""Name -> the stages in which it makes sense, and the function that makes the next batch of bytes."""


def behaviour(*stages: int) -> Callable[[Behaviour], Behaviour]:
    """Put a function into the table."""
    def put(make: Behaviour) -> Behaviour:
        BEHAVIOURS[make.__name__] = (stages or ALL, make)
        return make
    return put


def behaviours_of(stage: int) -> list[str]:
    """The names of all that strangers can do to a node of this stage."""
    return [name for name, (stages, _) in BEHAVIOURS.items() if stage in stages]


@behaviour()
def nothing(told: Told) -> bytes:
    """Only listen."""
    return b""


@behaviour()
def chats(told: Told) -> bytes:
    """Say something new, all the time."""
    return frames_of(*(chat_message("x" * 100) for _ in range(BATCH)))


@behaviour()
def pings(told: Told) -> bytes:
    """Ask whether the node is there."""
    return frames_of(*({"type": "ping", "nonce": secrets.token_hex(8)} for _ in range(BATCH)))


@behaviour()
def made_up_ids(told: Told) -> bytes:
    """List ids that do not exist."""
    return inventory(random_ids(1_000))


@behaviour()
def real_ids(told: Told) -> bytes:
    """List ids that the node lacks, without having any of it."""
    return b"".join(inventory(told["ids"][start:start + 10_000]) for start in range(0, len(told["ids"]), 10_000))


def inventory(ids: list[str]) -> bytes:
    """An inventory of these ids."""
    return frames_of({"type": "inventory", "bucket": "00", "ids": ids})


@behaviour(5)
def tips(told: Told) -> bytes:
    """Announce a chain that is longer than any other, and never send it."""
    return frames_of(*({"type": "tip", "id": random_ids(1)[0], "height": 10**6} for _ in range(BATCH)))


@behaviour(4)
def heights(told: Told) -> bytes:
    """The same with the blocks of stage 4."""
    return frames_of(*({"type": "height", "number": 10**6} for _ in range(BATCH)))


@behaviour(5)
def orphans(told: Told) -> bytes:
    """Send orphans by the owner of one stake, each of them properly signed."""
    minter = told["minter"]
    with told["lock"]:
        return frames_of(*(minter.block(ticket, random_ids(1)[0], random_ids(10)) for ticket in islice(told["tickets"], 5)))


@behaviour(*SIGNED)
def forgeries(told: Told) -> bytes:
    """Send transactions that nobody has signed."""
    account = kept_key(1).account
    return frames_of(*({"type": "transaction", "nonce": secrets.token_hex(16), "from": account, "to": account,
                        "amount": 1, "signature": account} for _ in range(BATCH)))


@behaviour()
def nearly_right(told: Told) -> bytes:
    """Send messages with one member too many, or with one of the wrong form."""
    return frames_of({"type": "inventory", "bucket": "00", "ids": [*random_ids(500), 7]}) + frame(b"{]")


# --- a stranger ---------------------------------------------------------------------------------------

class Stranger:
    """One stranger: a thread that talks and a thread that answers pings."""

    def __init__(self, told: Told, number: int) -> None:
        names = [told["behaviour"]] if told["behaviour"] != "mixed" else behaviours_of(told["stage"])
        self.make = BEHAVIOURS[names[number % len(names)]][1]
        self.told = told
        self.listen = f"127.3.{number // 250}.{number % 250 + 1}:9"
        self.is_linked, self.has_begun = threading.Event(), threading.Event()

    def run(self) -> None:
        """Connect and talk. Come back when thrown out."""
        while True:
            with contextlib.suppress(OSError):
                self.talk()
            time.sleep(PAUSE_SECONDS)

    def talk(self) -> None:
        """Say hello, wait to be let in, then go on until the connection ends."""
        host, _, port = self.told["address"].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=HELD_SECONDS) as connection:
            is_in = threading.Event()
            threading.Thread(target=self.answer, args=(connection, is_in), daemon=True).start()
            connection.sendall(frames_of(make_hello(self.told["stage"], self.told["network"], self.listen),
                                         {"type": "ping", "nonce": "in"}))
            is_in.wait(HELD_SECONDS)
            self.is_linked.set()
            self.told["begin"].wait()
            while True:
                connection.sendall(self.make(self.told) or frames_of({"type": "pong", "nonce": ""}))
                self.has_begun.set()
                time.sleep(PAUSE_SECONDS)

    def answer(self, connection: socket.socket, is_in: threading.Event) -> None:
        """Read to the end, and answer each ping as if all before it had been answered."""
        rest = b""
        with contextlib.suppress(OSError):
            while data := connection.recv(2**18):
                frames, rest = split(rest + data)
                for message in (json.loads(one) for one in frames if b'"type":"p' in one):
                    if message["type"] == "ping":
                        connection.sendall(frames_of({"type": "pong", "nonce": message["nonce"]}))
                    elif message["type"] == "pong":
                        is_in.set()
            connection.shutdown(socket.SHUT_RDWR)


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """The bodies of the complete frames, and the bytes that are left."""
    bodies, start = [], 0
    while start + 4 <= len(data) and (end := start + 4 + int.from_bytes(data[start:start + 4], "big")) <= len(data):
        bodies.append(data[start + 4:end])
        start = end
    return bodies, data[start:]


def main() -> None:
    """Do what standard input says, until killed."""
    os.nice(10)  # real strangers call from other machines, so they must not take the processor from the node
    told: Told = json.load(sys.stdin)
    told["begin"] = threading.Event()
    if told["genesis"]:
        told["minter"] = Minter.of(told["genesis"], told["network"])
        told["tickets"], told["lock"] = told["minter"].tickets(STAKE), threading.Lock()
    crowd = [Stranger(told, number) for number in range(told["count"])]
    for one in crowd:
        threading.Thread(target=one.run).start()
    for one in crowd:
        one.is_linked.wait()
    told["begin"].set()
    for one in crowd:
        one.has_begun.wait()
    print("begun", flush=True)


if __name__ == "__main__":
    main()
