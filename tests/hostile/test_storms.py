"""Small questions with large answers, asked as fast as the node takes them. The cost must fall on the sender alone."""

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
"""How many questions go at once: at most some 250 KB."""


class Storm(NamedTuple):
    """A question that is asked again and again."""

    stage: int
    options: list[str]
    """The options of the node."""
    prepare: Callable[[NodeProcess, Villain], bytes]
    """Gives the node the data that is asked for, and returns the questions."""
    is_answered: bool = True


def ask_for_peers(node: NodeProcess, villain: Villain) -> bytes:
    """24 bytes ask for a list of 5,000 addresses, where nobody listens."""
    villain.insist(b"".join(frames_of({"type": "presence", "nonce": f"{port:032x}", "address": f"127.9.9.9:{port}"})
                            for port in range(1, 5_001)))
    return frames_of({"type": "get_peers"}) * QUESTIONS


def lie_in_a_summary(node: NodeProcess, villain: Villain) -> bytes:
    """50 bytes that say "I have none" ask for 3,000 ids, which are 200 KB. With more than 3,900, the node would wait
    for a pong before it answers again."""
    for _ in range(30):
        villain.insist(frames_of(*(transaction(node) for _ in range(100))))
    return frames_of({"type": "summary", "answer": True, "buckets": {}}) * QUESTIONS


def ask_for_ids(node: NodeProcess, villain: Villain) -> bytes:
    """The same, asked for by prefix: 40 bytes for 200 KB."""
    lie_in_a_summary(node, villain)
    return frames_of({"type": "get_ids", "prefixes": [""]}) * QUESTIONS


def ask_for_sums(node: NodeProcess, villain: Villain) -> bytes:
    """500 bytes ask for 1,024 sums, which are 11 KB."""
    lie_in_a_summary(node, villain)
    return frames_of({"type": "get_sums", "salt": "7" * 64, "prefixes": [f"{place:02x}" for place in range(64)]}) * QUESTIONS


def begin_comparisons(node: NodeProcess, villain: Villain) -> bytes:
    """300 bytes with sums that differ: each time the node answers with its own."""
    lie_in_a_summary(node, villain)
    return frames_of({"type": "sums", "answer": False, "salt": "7" * 64, "sums": {"": [[9] * 16, "7" * 128]}}) * QUESTIONS


def want_the_same_again(node: NodeProcess, villain: Villain) -> bytes:
    """A thousand transactions, which are 125 KB, asked for by their ids again and again."""
    known = [transaction(node) for _ in range(1_000)]
    villain.insist(frames_of(*known))
    return frames_of({"type": "want", "ids": [transaction_id(node, one) for one in known]}) * 20


def want_a_long_one(node: NodeProcess, villain: Villain) -> bytes:
    """100 bytes ask for one transaction that its sender made 256 KiB long with spaces."""
    known = transaction(node)
    villain.insist(padded(known, 262_144))
    return frames_of({"type": "want", "ids": [transaction_id(node, known)]}) * QUESTIONS


def ask_for_ordered_blocks(node: NodeProcess, villain: Villain) -> bytes:
    """36 bytes ask for blocks of 2,000 ids, which are 140 KB."""
    villain.insist(frames_of(*(transaction(node) for _ in range(2_000))))
    assert villain.barrier()
    eventually(lambda: node.ask("/status", "status")["pending"] == 0, state=node.describe)
    return frames_of({"type": "get_blocks", "from": 0}) * QUESTIONS


def ask_for_the_chain(node: NodeProcess, villain: Villain) -> bytes:
    """106 bytes ask for three hundred blocks, which are 370 KB."""
    villain.insist(frames_of(*Minter(node).chain(300)))
    return frames_of({"type": "get_chain", "locator": [node.network]}) * QUESTIONS


def fall_behind(node: NodeProcess, villain: Villain) -> bytes:
    """40 bytes with a height of 0: the node, which has a block, answers with its own height."""
    villain.insist(frames_of(transaction(node)))
    eventually(lambda: node.ask("/status", "status")["next"] == 1, state=node.describe)
    return frames_of({"type": "height", "number": 0}) * QUESTIONS


def fall_behind_the_chain(node: NodeProcess, villain: Villain) -> bytes:
    """A hundred bytes with a tip at height 0: the node, which has a block, answers with its own tip."""
    villain.insist(frames_of(*Minter(node).chain(1)))
    return frames_of({"type": "tip", "id": "0" * 64, "height": 0}) * QUESTIONS


def ping(node: NodeProcess, villain: Villain) -> bytes:
    """Pings, each of which is answered."""
    return frames_of({"type": "ping", "nonce": "x" * 64}) * QUESTIONS


def repeat_a_chat(node: NodeProcess, villain: Villain) -> bytes:
    """Copies of one message, each with other spaces, so that the node has to parse each of them."""
    message = chat_message("again")
    return b"".join(padded(message, 200 + number) for number in range(QUESTIONS))


def repeat_the_genesis(node: NodeProcess, villain: Villain) -> bytes:
    """Copies of the genesis, each with other spaces: they are valid, so not counted as bad, and take long to check."""
    genesis = genesis_of(node)
    return b"".join(padded(genesis, len(json.dumps(genesis)) + 10 + number) for number in range(50))


def genesis_of(node: NodeProcess) -> dict[str, object]:
    """The genesis, as the node sends it to each neighbour."""
    with RawPeer(node.address, node.stage, node.network) as peer:
        peer.hello()
        return peer.expect("genesis")


CHAIN_OPTIONS = ["--slot", "0.001", "--rate", "0.999", "--forge", "none"]
"""With these a `Minter` can make a chain at once."""

STORMS = {
    "pings": Storm(1, [], ping),
    "copies": Storm(1, [], repeat_a_chat, is_answered=False),
    "get_peers": Storm(2, [], ask_for_peers),
    "summary": Storm(2, [], lie_in_a_summary),
    "get_ids": Storm(2, [], ask_for_ids),
    "get_sums": Storm(2, [], ask_for_sums),
    "sums": Storm(2, [], begin_comparisons),
    "want": Storm(2, [], want_the_same_again),
    "want-long": Storm(2, [], want_a_long_one),
    "heights": Storm(4, ["--interval", "0.5"], fall_behind),
    "get_blocks": Storm(4, ["--interval", "0.5"], ask_for_ordered_blocks),
    "tips": Storm(5, CHAIN_OPTIONS, fall_behind_the_chain),
    "genesis": Storm(5, ["--forge", "none"], repeat_the_genesis, is_answered=False),
    "get_chain": Storm(5, CHAIN_OPTIONS, ask_for_the_chain),
}


@quick_and_long("seconds", 0.5, 60)
@pytest.mark.parametrize("storm", STORMS.values(), ids=STORMS.keys())
def test_a_storm_of_questions(storm: Storm, seconds: float, start_node: Launch) -> None:
    """Two peers ask: one reads the answers, the other never reads any."""
    node = start_node(storm.stage, "none", *storm.options)
    with Villain(node) as reader:
        questions = storm.prepare(node, reader)
        first = questions[:4 + int.from_bytes(questions[:4])]
        assert bytes_after(reader, first) > bytes_after(reader, b"") or not storm.is_answered
        with Healthy(node), Villain(node, reads=False) as deaf:
            other = threading.Thread(target=deaf.press, args=(questions, seconds))
            other.start()
            rounds = reader.press(questions, seconds)
            other.join()
    assert rounds > 0 and reader.bytes_received > 0


def bytes_after(reader: Villain, question: bytes) -> int:
    """How many bytes come for a question, and for the ping after it."""
    assert reader.barrier()
    before = reader.bytes_received
    assert reader.send(question) and reader.barrier()
    return reader.bytes_received - before
