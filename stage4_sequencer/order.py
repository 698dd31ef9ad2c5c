"""How two nodes find the first number at which their orders differ (contract §3, stage 4).

A block of stage 4 names no parent. So if a cheating sequencer gives two nodes different blocks, the later blocks do not
show it. Therefore each number has a digest, over the digest before it and the id of its block. Equal digests mean equal
blocks up to there. A node that sees two digests differ asks for some in between, and finds the first block that differs
after a few questions.
"""

import hashlib
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Any, ClassVar, NamedTuple

from common.encoding import Field, Message, Shape, encode_frame, is_id, is_integer, is_list_of, is_matching
from common.interface import Connection
from common.parts import Part
from stage4_sequencer.limits import MAX_DIGESTS

ORDER_PING = "order"
"""The nonce of the ping after a question about a neighbour's order; its pong tells that it is answered."""

_is_number = is_matching("[1-9][0-9]{0,15}")


def _are_digests(value: Any) -> bool:
    return (isinstance(value, dict) and len(value) <= MAX_DIGESTS
            and all(_is_number(number) and is_id(digest) for number, digest in value.items()))


DIGESTS = Field(_are_digests, f"an object of at most {MAX_DIGESTS} numbers from 1 on -> 64 hex digits")
NUMBERS = Field(is_list_of(lambda value: is_integer(value, 1), MAX_DIGESTS),
                f"at most {MAX_DIGESTS} integers from 1 on, none twice")


class Gap(NamedTuple):
    """Where two orders begin to differ: the first `agreed` blocks are equal, but not all of the first `differing`."""

    agreed: int
    differing: int

    @property
    def is_closed(self) -> bool:
        """Is it known which block is the first that differs? It has the number `agreed`."""
        return self.differing == self.agreed + 1

    def numbers(self) -> list[int]:
        """Where to look next: evenly between the two ends, and at both ends again, so that the answer shows the whole
        gap and this node need not remember it."""
        step = (self.differing - self.agreed) // (MAX_DIGESTS - 1) + 1
        return [*range(max(1, self.agreed), self.differing, step), self.differing]


class Order:
    """The digests over the blocks of one node. Digest n is over the first n blocks."""

    def __init__(self) -> None:
        self._digests: list[bytes] = [b""]

    def add(self, block_id: str) -> None:
        """A block has been accepted: append its digest."""
        self._digests.append(hashlib.sha256(self._digests[-1] + bytes.fromhex(block_id)).digest())

    def __len__(self) -> int:
        return len(self._digests) - 1

    def digests(self, numbers: Iterable[int]) -> dict[str, str]:
        """Number as text -> digest as 64 hex digits, as far as there are blocks."""
        return {str(number): self._digests[number].hex() for number in numbers if number <= len(self)}

    def locator(self) -> dict[str, str]:
        """The digests from the newest back in doubling steps: most differences are recent."""
        steps = takewhile(lambda step: step < len(self), (2**power for power in range(MAX_DIGESTS - 1)))
        return self.digests([*[len(self)] * (len(self) > 0), *(len(self) - step for step in steps)])

    def find_gap(self, digests: dict[str, str]) -> Gap | None:
        """Where this order and one with these digests begin to differ; None if these digests show no difference."""
        common = {int(number): digest for number, digest in digests.items() if int(number) <= len(self)}
        agreed = max((number for number in common if self._digests[number].hex() == common[number]), default=0)
        differing = min((number for number in common if number > agreed), default=None)
        return None if differing is None else Gap(agreed, differing)

    def is_behind(self, digests: dict[str, str]) -> bool:
        """Is this order shorter than the one of these digests, and its newest digest not among them?"""
        return str(len(self)) not in digests and any(int(number) > len(self) for number in digests) and len(self) > 0


class Comparison(Part):
    """Compares an order with those of the neighbours: one question at a time to each, and none whose answer is
    known."""

    SHAPES: ClassVar[dict[str, Shape]] = {"order": {"digests": DIGESTS}, "get_order": {"numbers": NUMBERS}}

    def __init__(self, order: Order, is_proof_wanted: Callable[[int], bool]) -> None:
        """`is_proof_wanted` says whether this node would still keep two blocks with this number as proof."""
        self._order = order
        self._is_proof_wanted = is_proof_wanted
        self._answers: dict[Connection, Gap | None] = {}
        """The neighbours that were asked, and the gap that their answers have shown; None until then."""
        self._first_difference: dict[Connection, int] = {}
        """The number of the first block that differs at a neighbour, once it is found."""

    def tell(self, connection: Connection) -> None:
        """Tell a neighbour some digests of this order."""
        if len(self._order) > 0:
            connection.send(encode_frame({"type": "order", "digests": self._order.locator()}))

    def on_get_order(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Answer with the digests at these numbers."""
        connection.send(encode_frame({"type": "order", "digests": self._order.digests(message["numbers"])}))

    def on_order(self, connection: Connection, message: Message, frame: bytes) -> None:
        """A neighbour tells some digests, as an answer or unasked: compare them with this node's."""
        digests = message["digests"]
        gap = self._order.find_gap(digests)
        if connection in self._answers:
            self._answers[connection] = gap
        elif gap is not None:
            self._look_closer(connection, gap)
        elif self._order.is_behind(digests):
            self._ask_about(connection, {"type": "get_order", "numbers": [len(self._order)]})

    def on_pong(self, connection: Connection, nonce: str) -> None:
        """The answer is there: ask the next question."""
        gap = self._answers.pop(connection, None) if nonce == ORDER_PING else None
        if gap is not None:
            self._look_closer(connection, gap)

    def on_lost(self, connection: Connection) -> None:
        """A neighbour that is gone answers no questions."""
        self._answers.pop(connection, None)
        self._first_difference.pop(connection, None)

    def _look_closer(self, connection: Connection, gap: Gap) -> None:
        """Ask for the digests in between or, when the first block that differs is known, for that one."""
        if gap.agreed <= self._first_difference.get(connection, -1) < gap.differing:
            return
        if not gap.is_closed:
            self._ask_about(connection, {"type": "get_order", "numbers": gap.numbers()})
        else:
            self._first_difference[connection] = gap.agreed
            if self._is_proof_wanted(gap.agreed):
                self._ask_about(connection, {"type": "get_blocks", "from": gap.agreed})

    def _ask_about(self, connection: Connection, question: Message) -> None:
        self._answers[connection] = None
        self.ask(connection, question, ORDER_PING)
