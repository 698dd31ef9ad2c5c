"""How fast are the stages? `make bench` runs ten nodes on this machine and measures (issue: Speed, from the start).

Every transaction has to be verified by every node, so c cores cannot do more than
c / (nodes * V) transactions a second, where V is the time of one verification by
pycryptodome. That is the ceiling that stages 3 to 5 are held against: a figure that means the
same on a fast machine and on a slow one, as long as V is measured in the same run.
"""

import argparse
import json
import os
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15

from common.encoding import canon, encode_frame
from common.rsa import PrivateKey, load_or_make_key, load_or_make_keys, load_or_make_wallet
from lab.processes import ROOT, NodeError, Nodes

KEYS = ROOT / "run" / "bench-keys"
PASSPHRASE = "bench"
AMOUNT = 2
DEADLINE = 180.0
"""Seconds after which a run that is not finished has failed."""

MARKS = {1: 5_000.0, 3: 0.5, 4: 0.4, 5: 0.4}
"""What a stage should reach: messages a second in stage 1, the share of the ceiling in the others."""

TITLES = {1: "chat messages that reach all", 3: "signed transactions applied at all",
          4: "transactions ordered by a sequencer and executed at all",
          5: "transactions ordered by the blockchain and executed at all"}


class Result(NamedTuple):
    """What one stage has reached."""

    stage: int
    what: str
    count: int
    seconds: float
    per_second: float
    verify_seconds: float | None
    of_ceiling: float | None
    mark: float
    is_met: bool
    is_equal: bool
    details: dict[str, Any]


def measure_verification() -> float:
    """V: seconds that pycryptodome takes for one RSA-2048 verification in one thread, the median of 9 runs of 100."""
    key = load_or_make_key(KEYS / "key-1.pem").key
    message = b"x" * 1000
    signature = pkcs1_15.new(key).sign(SHA256.new(message))
    public = RSA.import_key(key.public_key().export_key())
    runs = []
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(100):
            pkcs1_15.new(public).verify(SHA256.new(message), signature)
        runs.append((time.perf_counter() - start) / 100)
    return statistics.median(runs)


# --- transactions, signed before the clock starts -----------------------------------------------

def sign_transactions(files: list[str], network: str, sink: str, numbers: range, seed: int) -> list[bytes]:
    """Frames of transactions of `AMOUNT` to `sink`, from the keys in turn; run in a process of its own."""
    keys = [load_or_make_key(Path(file)) for file in files]
    return [make_transaction(keys[number % len(keys)], network, sink, f"{seed:016x}{number:016x}")
            for number in numbers]


def make_transaction(key: PrivateKey, network: str, receiver: str, nonce: str) -> bytes:
    """The frame of one signed transaction."""
    signature = key.sign(canon(["transaction", network, nonce, key.account, receiver, AMOUNT]))
    return encode_frame({"type": "transaction", "nonce": nonce, "from": key.account, "to": receiver,
                         "amount": AMOUNT, "signature": signature})


def sign_all(files: list[Path], network: str, sink: str, count: int, seed: int) -> list[bytes]:
    """Sign `count` transactions on all cores."""
    cores = count_cores()
    parts = [range(core, count, cores) for core in range(cores)]
    with ProcessPoolExecutor(cores) as pool:
        jobs = [pool.submit(sign_transactions, list(map(str, files)), network, sink, part, seed) for part in parts]
        return [frame for job in jobs for frame in job.result()]


class Injector:
    """A peer that gives one node its share of the transactions, and throws away what comes back."""

    def __init__(self, stage: int, address: str, network: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.sendall(encode_frame({"type": "hello", "version": 1, "stage": stage, "network": network,
                                           "listen": "127.0.0.1:1"}))
        threading.Thread(target=self._discard, daemon=True).start()

    def send(self, frames: list[bytes]) -> None:
        """Send frames, in a thread of its own."""
        threading.Thread(target=self._socket.sendall, args=(b"".join(frames),), daemon=True).start()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _discard(self) -> None:
        buffer = bytearray(1 << 20)
        try:
            while self._socket.recv_into(buffer):
                pass
        except OSError:
            pass  # the node has ended, or we have


# --- the stages ---------------------------------------------------------------------------------

def start_nodes(nodes: Nodes, stage: int, count: int, founding: list[str],
                joining: Callable[[int], list[str]] = lambda number: []) -> None:
    """Start a founder and those who join it, and wait until all take commands."""
    address = nodes.start(stage, "--peer", "none", *founding).begin()["address"]
    for number in range(1, count):
        nodes.start(stage, "--peer", address, *joining(number))
    for node in nodes[1:]:
        node.begin()


def wait_until(is_done: Callable[[], bool], pause: float) -> float:
    """Ask until the answer is yes; give the seconds that it took. NodeError at the deadline."""
    start = time.perf_counter()
    while not is_done():
        if time.perf_counter() - start > DEADLINE:
            raise NodeError(f"not all has arrived everywhere within {DEADLINE:.0f} s")
        time.sleep(pause)
    return time.perf_counter() - start


def bench_chat(count: int, messages: int, seed: int) -> Result:
    """Stage 1: everyone types; the clock stops when everyone has printed all."""
    generator = random.Random(seed)
    with Nodes() as nodes:
        start_nodes(nodes, 1, count, [])
        texts = [f"{number} {generator.getrandbits(256):x}" for number in range(messages)]
        typists = [threading.Thread(target=node.type, args=texts[number::count])
                   for number, node in enumerate(nodes)]
        start = time.perf_counter()
        for typist in typists:
            typist.start()
        wait_until(lambda: all(node.chats >= messages for node in nodes), 0.005)
        seconds = time.perf_counter() - start
        is_equal = all(node.chats == messages for node in nodes)
    rate = messages / seconds
    return Result(1, TITLES[1], messages, seconds, rate, None, None, MARKS[1], rate >= MARKS[1], is_equal, {})


def bench_transactions(stage: int, count: int, transactions: int, seed: int) -> Result:
    """Stages 3 to 5: signed transactions go to all nodes in equal shares; the clock stops when all have
    executed all, and all ledgers are then compared."""
    sink = load_or_make_key(KEYS / "sink.pem").account
    load_or_make_keys(KEYS, 10, make=True)
    files = [KEYS / f"key-{number}.pem" for number in range(1, 11)]
    with tempfile.TemporaryDirectory() as folder, Nodes() as nodes:
        if stage == 4:
            files = [Path(folder) / "founder.pem"]
        start_stage(nodes, stage, count, Path(folder), files)
        network = nodes[0].listening["network"]
        frames = sign_all(files, network, sink, transactions, seed)
        before = measure_verification()
        injectors = [Injector(stage, node.listening["address"], network) for node in nodes]
        start = time.perf_counter()
        for number, injector in enumerate(injectors):
            injector.send(frames[number::count])
        expected = transactions * (AMOUNT - 1 if stage == 5 else AMOUNT)
        waiting = list(nodes)

        def all_have_all() -> bool:
            while waiting and waiting[0].ask("/ledger", "ledger")["accounts"].get(sink, 0) >= expected:
                waiting.pop(0)
            return not waiting

        wait_until(all_have_all, 0.1)
        seconds = time.perf_counter() - start
        for injector in injectors:
            injector.close()
        verification = statistics.mean([before, measure_verification()])
        is_equal, details = compare(nodes, stage)
    share = transactions / seconds * count * verification / count_cores()
    return Result(stage, TITLES[stage], transactions, seconds, transactions / seconds, verification, share,
                  MARKS[stage], share >= MARKS[stage], is_equal, details)


def start_stage(nodes: Nodes, stage: int, count: int, folder: Path, files: list[Path]) -> None:
    """Start the nodes of a stage so that the keys in `files` have money."""
    if stage == 3:
        start_nodes(nodes, 3, count, [])
    elif stage == 4:
        # Only the founder has money: its wallet's key is the one that signs.
        os.environ["WALLET_PASSPHRASE"] = PASSPHRASE
        key = load_or_make_wallet(folder / "wallet.pem", PASSPHRASE)
        files[0].touch(mode=0o600)
        files[0].write_bytes(key.key.export_key(pkcs=8))
        start_nodes(nodes, 4, count, ["--interval", "2", "--wallet", str(folder / "wallet.pem")])
    else:
        keys = ["--keys", str(KEYS), "--forge"]
        start_nodes(nodes, 5, count, ["--slot", "0.5", "--rate", "0.3", *keys, "1"],
                    lambda number: [*keys, str(number + 1) if number < 10 else "none"])


def compare(nodes: Nodes, stage: int) -> tuple[bool, dict[str, Any]]:
    """Are all ledgers equal, and what blocks were there? In stage 5 nodes may stand at different tips for a
    moment, so they are asked until they agree, or it has taken too long."""
    def is_equal() -> bool:
        ledgers = [node.ask("/ledger", "ledger")["accounts"] for node in nodes]
        return all(ledger == ledgers[0] for ledger in ledgers)

    try:
        wait_until(is_equal, 0.2)
        agreed = True
    except NodeError:
        agreed = False
    if stage < 4:
        return agreed, {}
    sizes = [block["transactions"] for block in nodes[0].ask("/blocks", "blocks")["blocks"] if block["transactions"]]
    details: dict[str, Any] = {"blocks": len(sizes), "transactions_per_block": round(statistics.mean(sizes))}
    if stage == 5:
        details["rollbacks"] = sum(node.ask("/status", "status")["rollbacks"] for node in nodes)
    return agreed, details


# --- what is printed ----------------------------------------------------------------------------

def count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def print_table(results: list[Result], seed: int) -> None:
    """Print the results for people."""
    print(f"{count_cores()} cores, seed {seed}")
    print(f"{'stage':<6}{'per second':>11}{'of ceiling':>12}{'mark':>8}  {'V':>7}  ledgers  what")
    for result in results:
        share = "" if result.of_ceiling is None else f"{result.of_ceiling:.2f}"
        verification = "" if result.verify_seconds is None else f"{result.verify_seconds * 1e6:.0f} us"
        details = "".join(f", {name.replace('_', ' ')} {value}" for name, value in result.details.items())
        print(f"{result.stage:<6}{result.per_second:>11.0f}{share:>12}{result.mark:>8g}  {verification:>7}"
              f"  {'equal' if result.is_equal else 'DIFFER':<7}  {result.what}{details}"
              f"{'' if result.is_met else ' (below the mark)'}")


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    options = argparse.ArgumentParser(prog="python -m lab.bench", description="Measure the stages on this machine.")
    options.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options.add_argument("--stages", type=lambda text: [int(stage) for stage in text.split(",")], default=[1, 3, 4, 5],
                         help="which of the stages 1, 3, 4 and 5 (default: 1,3,4,5)")
    options.add_argument("--nodes", type=int, default=10, help="nodes of each network (default: %(default)s)")
    options.add_argument("--messages", type=int, default=40_000, help="chat messages (default: %(default)s)")
    options.add_argument("--transactions", type=int, default=10_000, help="transactions (default: %(default)s)")
    options.add_argument("--seed", type=int, default=1, help="of the contents (default: %(default)s)")
    parsed = options.parse_args(arguments)
    if not set(parsed.stages) <= set(MARKS):
        options.error("stages are 1, 3, 4 and 5")
    return parsed


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; the status is 1 if something was lost or ledgers differ."""
    options = read_options(arguments)
    KEYS.mkdir(parents=True, exist_ok=True)
    results = []
    try:
        for stage in options.stages:
            print(f"stage {stage} …", file=sys.stderr)
            if stage == 1:
                results.append(bench_chat(options.nodes, options.messages, options.seed))
            else:
                results.append(bench_transactions(stage, options.nodes, options.transactions, options.seed))
    except NodeError as error:
        print(f"stage {stage}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps({"cores": count_cores(), "nodes": options.nodes, "seed": options.seed,
                          "results": [result._asdict() for result in results]}))
    else:
        print_table(results, options.seed)
    return 0 if all(result.is_equal for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
