"""Valid conversations, and what a seeded random generator makes of them: bytes for a fuzzer.

First the structure is changed (members removed, added or given another type, numbers set to their limits, lists
doubled or nested, another type of message), then, less often, the bytes (flipped, cut, joined, another length).
"""

import copy
import json
import random
import re
from collections.abc import Callable
from typing import Any

from tests.hostile.villain import padded, random_ids, transaction, transaction_id
from tests.hostile.minter import Minter
from tests.processes import Event, NodeProcess, RawPeer, chat_message, frame

JUNK: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**53 - 1, 2**53, 2**64, 10**400, 0.5, 1e300, "", "0", "x" * 32, "0" * 32,
    "0" * 64, "f" * 64, "x" * 5_000, "\x00", "\x1b[2J", "\ud800", "漢字", "127.9.9.9:1", "127.9.9.9:0", [], {}, [[]],
    [None], [{}], {"": ""}, {"type": "chat"}, {"00": "0" * 64}, ["0" * 64], ["0" * 64] * 2, [0, 1, 2], ["a"] * 3_000]
"""Values that are right for some member, or for none."""


def record_conversation(node: NodeProcess) -> list[Event]:
    """Say everything that the node's stage knows. Return it, with all that the node answered."""
    with RawPeer(node.address, node.stage, node.network) as peer:
        said = [peer.hello_message(), chat_message("hello"), {"type": "ping", "nonce": "1"},
                {"type": "error", "code": "BUSY", "reason": "later"}, {"type": "pong", "nonce": "want"}]
        if node.stage >= 2:
            said += ledger_messages(node)
        if node.stage >= 4:
            said += order_messages(node)
        peer.hello()
        peer.send(*(message for message in said if message["type"] not in ("hello", "error")))
        if node.stage == 4:
            peer.expect("block")
        peer.barrier()
        return said + peer.received


def ledger_messages(node: NodeProcess) -> list[Event]:
    """Messages for the ledger of stages 2 and 3. In stage 4 the money belongs to the node's own key, number 11."""
    moved = transaction(node, sender=11 if node.stage == 4 else 1)
    return [{"type": "get_peers"}, {"type": "presence", "nonce": "0" * 32, "address": "127.9.9.9:9"}, moved,
            {"type": "summary", "answer": False, "buckets": {"00": "0" * 64, "ff": "f" * 64}},
            {"type": "inventory", "bucket": "00", "ids": random_ids(3, "00")},
            {"type": "sums", "answer": False, "salt": "1" * 64, "sums": {"": [[5] * 16, "0" * 128]}},
            {"type": "get_sums", "salt": "1" * 64, "prefixes": ["", "0"]}, {"type": "get_ids", "prefixes": ["", "00"]},
            {"type": "ids", "ids": random_ids(3)},
            {"type": "want", "ids": [transaction_id(node, moved), *random_ids(2)]}]


def order_messages(node: NodeProcess) -> list[Event]:
    """Messages for the order of stages 4 and 5."""
    if node.stage == 4:
        return [{"type": "get_blocks", "from": 0}, {"type": "height", "number": 0}, {"type": "height", "number": 7},
                {"type": "order", "digests": {"1": random_ids(1)[0], "7": random_ids(1)[0]}},
                {"type": "get_order", "numbers": [1, 7]}]
    chain = Minter(node).chain(3)
    return [*chain, {"type": "tip", "id": random_ids(1)[0], "height": 9}, {"type": "tip", "id": node.network, "height": 0},
            {"type": "get_chain", "locator": [chain[0]["parent"], *random_ids(2)]}]


class Fuzzer:
    """Makes frames from the messages of a conversation. The same seed gives the same frames."""

    def __init__(self, conversation: list[Event], seed: int) -> None:
        self.random = random.Random(seed)
        self._conversation = conversation
        self._changes: list[Callable[[Event], None]] = [
            self._remove, self._add, self._retype, self._retype, self._alter, self._alter, self._alter, self._rename,
            self._refer, self._refer, self._refer, self._refer]
        self._ids = sorted({"0" * 64, *_ID.findall(json.dumps(conversation))})

    def frames(self, count: int) -> bytes:
        """The next frames, most of them changed."""
        return b"".join(self._frame() for _ in range(count))

    def _frame(self) -> bytes:
        message = copy.deepcopy(self.random.choice(self._conversation))
        for _ in range(self.random.choice([0, 0, 1, 1, 1, 2])):
            self.random.choice(self._changes)(message)
        body = json.dumps(message, ensure_ascii=self.random.random() < 0.5).encode(errors="surrogatepass")
        if self.random.random() < 0.1:
            body = self._spoil(body) or b" "
        if not is_harmless(body):
            return b""
        made = padded(message, len(body) + 30) if self.random.random() < 0.05 else frame(body)
        return self._spoil(made) if self.random.random() < 0.002 else made

    # --- structure ------------------------------------------------------------------------------

    def _member(self, message: Event) -> str:
        return self.random.choice(list(message) or [""])

    def _remove(self, message: Event) -> None:
        message.pop(self._member(message), None)

    def _add(self, message: Event) -> None:
        other = self.random.choice(self._conversation)
        member = self._member(other)
        message[member if self.random.random() < 0.7 else "x" * self.random.randrange(9)] = other.get(member)

    def _retype(self, message: Event) -> None:
        message[self._member(message)] = copy.deepcopy(self.random.choice(JUNK))

    def _rename(self, message: Event) -> None:
        message["type"] = self.random.choice(self._conversation)["type"]

    def _alter(self, message: Event) -> None:
        """Change a value slightly, without changing its type."""
        member = self._member(message)
        value = message.get(member)
        if isinstance(value, str) and member != "type":
            message[member] = self._alter_text(value)
        elif isinstance(value, list):
            message[member] = self._alter_list(value)
        elif isinstance(value, dict):
            self.random.choice(self._changes)(value)
        elif type(value) is int:
            message[member] = self.random.choice([value + 1, max(0, value - 1), 2 * value, 2**53 - 1, 0])

    def _refer(self, message: Event) -> None:
        """Replace one id with another one, real or not. The form stays right."""
        known = _ID.findall(json.dumps(message))
        if known:
            other = self.random.choice([self.random.choice(self._ids), *self._random_ids(1)])
            text = json.dumps(message).replace(f'"{self.random.choice(known)}"', f'"{other}"')
            message.clear()
            message.update(json.loads(text))

    def _alter_text(self, text: str) -> str:
        place = self.random.randrange(len(text) + 1)
        return self.random.choice([text[:place] + text[place + 1:], text[:place] + self.random.choice("0fA=\n") + text[place:],
                                   text[:place] + self.random.choice("0123456789abcdef") + text[place + 1:], text * 2])

    def _alter_list(self, values: list[Any]) -> list[Any]:
        one = self.random.choice(values or [0])
        return self.random.choice([[], [values], values * 2, values[1:], values[::-1], [*values, one],
                                   [*values, self.random.choice(JUNK)], self._random_ids(self.random.choice([1, 1_000, 1_001]))])

    def _random_ids(self, count: int) -> list[str]:
        return [f"{self.random.getrandbits(256):064x}" for _ in range(count)]

    # --- bytes ----------------------------------------------------------------------------------

    def _spoil(self, data: bytes) -> bytes:
        """Flip, cut, insert or double some bytes."""
        start = self.random.randrange(len(data))
        end = min(len(data), start + self.random.choice([1, 1, 2, 4, 50]))
        middle = data[start:end]
        return data[:start] + self.random.choice([
            bytes(byte ^ 1 << self.random.randrange(8) for byte in middle), b"", middle * 2,
            self.random.randbytes(len(middle)), b"[" * 10_000, b"9" * 10_000]) + data[end:]


_ID = re.compile('"([0-9a-f]{64})"')
_ADDRESS = re.compile(rb'"([A-Za-z0-9.-]{1,255}):[1-9][0-9]{0,4}"')


def is_harmless(body: bytes) -> bool:
    """Does it name only addresses of this machine? A node might call the others."""
    return all(re.fullmatch(rb"127(\.[0-9]+){3}", host) for host in _ADDRESS.findall(body))
