"""Small questions with large answers, asked as fast as the node takes them: each must cost its sender, not the others."""

import json
import threading
from collections.abc import Callable
from typing import NamedTuple

import pytest

from lab.blackbox.peer import frames_of
from tests.conftest import Launch
from tests.hostile.villain import Healthy, Villain, padded, quick_and_long, transaction, transaction_id
from tests.hostile.minter import Minter
from tests.processes import NodeProcess, RawPeer, chat_message, eventually

QUESTIONS = 500
"""How many go at once: some 64 KiB and less."""


class Storm(NamedTuple):
    """A question that is asked again and again."""

    stage: int
    options: list[str]
    """Of the node."""
    prepare: Callable[[NodeProcess, Villain], bytes]
    """Gives the node what is asked for, and gives the questions."""


def ask_for_peers(node: NodeProcess, villain: Villain) -> bytes:
    """A list of 5,000 addresses, where nobody listens, asked for with 24 bytes."""
    villain.insist(b"".join(frames_of({"type": "presence", "nonce": f"{port:032x}", "address": f"127.9.9.9:{port}"})
                            for port in range(1, 5_001)))
    return frames_of({"type": "get_peers"}) * QUESTIONS


def lie_in_a_summary(node: NodeProcess, villain: Villain) -> bytes:
    """5,000 ids, 350 KB, called for with 50 bytes that say: I have none."""
    for _ in range(50):
        villain.insist(frames_of(*(transaction(node) for _ in range(100))))
    return frames_of({"type": "summary", "answer": True, "buckets": {}}) * QUESTIONS


def ask_for_ids(node: NodeProcess, villain: Villain) -> bytes:
    """The same, asked for by prefix: 260 KB for 40 bytes."""
    lie_in_a_summary(node, villain)
    return frames_of({"type": "get_ids", "prefixes": [""]}) * QUESTIONS


def ask_for_sums(node: NodeProcess, villain: Villain) -> bytes:
    """1,024 sums, 13 KB, asked for with 500 bytes."""
    lie_in_a_summary(node, villain)
    return frames_of({"type": "get_sums", "salt": "7" * 64, "prefixes": [f"{place:02x}" for place in range(64)]}) * QUESTIONS


def begin_comparisons(node: NodeProcess, villain: Villain) -> bytes:
    """Sums that differ, in 300 bytes: each time the node tells its own."""
    lie_in_a_summary(node, villain)
    return frames_of({"type": "sums", "answer": False, "salt": "7" * 64, "sums": {"": [[9] * 16, "7" * 128]}}) * QUESTIONS


def want_the_same_again(node: NodeProcess, villain: Villain) -> bytes:
    """A thousand transactions, 150 KB, wanted by their ids again and again."""
    known = [transaction(node) for _ in range(1_000)]
    villain.insist(frames_of(*known))
    return frames_of({"type": "want", "ids": [transaction_id(node, one) for one in known]}) * 20


def want_a_long_one(node: NodeProcess, villain: Villain) -> bytes:
    """One transaction that its sender has made 256 KiB long with spaces, wanted with 100 bytes."""
    known = transaction(node)
    villain.insist(padded(known, 262_144))
    return frames_of({"type": "want", "ids": [transaction_id(node, known)]}) * QUESTIONS


def ask_for_ordered_blocks(node: NodeProcess, villain: Villain) -> bytes:
    """Blocks of 2,000 ids, 140 KB, asked for with 36 bytes."""
    villain.insist(frames_of(*(transaction(node) for _ in range(2_000))))
    eventually(lambda: node.ask("/status", "status")["pending"] == 0, state=node.describe)
    return frames_of({"type": "get_blocks", "from": 0}) * QUESTIONS


def ask_for_the_chain(node: NodeProcess, villain: Villain) -> bytes:
    """Three hundred blocks, 370 KB, asked for with 120 bytes."""
    villain.insist(frames_of(*Minter(node).chain(300)))
    return frames_of({"type": "get_chain", "locator": [node.network]}) * QUESTIONS


def fall_behind(node: NodeProcess, villain: Villain) -> bytes:
    """A height or tip that makes the node tell its own, in 40 bytes."""
    return frames_of({"type": "height", "number": 0}) * QUESTIONS


def ping(node: NodeProcess, villain: Villain) -> bytes:
    """Pings, each answered."""
    return frames_of({"type": "ping", "nonce": "x" * 64}) * QUESTIONS


def repeat_a_chat(node: NodeProcess, villain: Villain) -> bytes:
    """Copies of one message, each with other spaces, so that it has to be parsed."""
    message = chat_message("again")
    return b"".join(padded(message, 200 + number) for number in range(QUESTIONS))


def repeat_the_genesis(node: NodeProcess, villain: Villain) -> bytes:
    """Copies of the genesis, each with other spaces: right, so not counted, and long to check."""
    genesis = genesis_of(node)
    return b"".join(padded(genesis, len(json.dumps(genesis)) + 10 + number) for number in range(50))


def genesis_of(node: NodeProcess) -> dict[str, object]:
    """The genesis, as the node tells everybody."""
    with RawPeer(node.address, node.stage, node.network) as peer:
        peer.hello()
        return peer.expect("genesis")



STORMS = {
    "pings": Storm(1, [], ping),
    "copies": Storm(1, [], repeat_a_chat),
    "get_peers": Storm(2, [], ask_for_peers),
    "summary": Storm(2, [], lie_in_a_summary),
    "get_ids": Storm(2, [], ask_for_ids),
    "get_sums": Storm(2, [], ask_for_sums),
    "sums": Storm(2, [], begin_comparisons),
    "want": Storm(2, [], want_the_same_again),
    "want-long": Storm(2, [], want_a_long_one),
    "heights": Storm(4, [], fall_behind),
    "get_blocks": Storm(4, ["--interval", "0.5"], ask_for_ordered_blocks),
    "genesis": Storm(5, ["--forge", "none"], repeat_the_genesis),
    "get_chain": Storm(5, ["--slot", "0.001", "--rate", "0.999", "--forge", "none"], ask_for_the_chain),
}


@quick_and_long("seconds", 0.5, 60)
@pytest.mark.parametrize("storm", STORMS.values(), ids=STORMS.keys())
def test_a_storm_of_questions(storm: Storm, seconds: float, start_node: Launch) -> None:
    """Two ask: one takes the answers, the other never looks at one."""
    node = start_node(storm.stage, "none", *storm.options)
    with Villain(node) as reader:
        questions = storm.prepare(node, reader)
        assert reader.barrier()
        with Healthy(node), Villain(node, reads=False) as deaf:
            other = threading.Thread(target=deaf.press, args=(questions, seconds))
            other.start()
            rounds = reader.press(questions, seconds)
            other.join()
    assert rounds > 0 and reader.bytes_received > 0
