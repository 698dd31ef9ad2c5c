"""How a node gets the blocks that it has missed, and gives others those that they have missed (contract §3, stage 4).

Neighbours tell each other by `height` which block they await. The one that is behind asks; sources.py chooses whom.
`BlockSync` is the same in stage 5: questions, each with a ping after it, and answers of a limited size.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from common.encoding import INTEGER, Message, Shape, encode_frame
from common.fetch_limits import MAX_FLOODED, MAX_MISSING
from common.interface import Connection
from common.parts import Part
from stage4_sequencer.block import Block
from stage4_sequencer.limits import MAX_ANSWER_BLOCKS, MAX_ANSWER_BYTES
from stage4_sequencer.sources import Sources
from stage4_sequencer.waiting import Waiting

BLOCKS_PING = "blocks"
"""The nonce of the ping after a question for blocks; its pong tells that the answer has been handled."""


class BlockSync(Part, ABC):
    """Questions for blocks, and the answers."""

    @abstractmethod
    def send_progress(self, connection: Connection) -> None:
        """Tell a neighbour how far this node is, so that the one that is behind can ask."""

    @abstractmethod
    def is_catching_up_with(self, connection: Connection) -> bool:
        """Is this neighbour asked for very many blocks?"""

    @abstractmethod
    def on_answered(self, connection: Connection) -> None:
        """The blocks that were asked for have come: ask for the next ones, if there are more."""

    def ask_for_blocks(self, connection: Connection, question: Message) -> None:
        """Send a question for blocks; `on_answered` follows."""
        self.ask(connection, question, BLOCKS_PING)

    def on_pong(self, connection: Connection, nonce: str) -> None:
        """A question has been answered, and the answer handled."""
        if nonce == BLOCKS_PING:
            self.on_answered(connection)

    def send_blocks(self, connection: Connection, frames: Iterable[bytes]) -> None:
        """Answer with blocks in order, as many as one answer may hold (contract §3); at least one."""
        sent_bytes = 0
        for number, frame in enumerate(frames):
            sent_bytes += len(frame)
            if number == MAX_ANSWER_BLOCKS or (number > 0 and sent_bytes > MAX_ANSWER_BYTES):
                return
            connection.send(frame)


class HeightSync(BlockSync):
    """Gets the blocks of the sequencer, by their numbers."""

    SHAPES: ClassVar[dict[str, Shape]] = {
        "get_blocks": {"from": INTEGER},
        "height": {"number": INTEGER},
    }

    def __init__(self, blocks: Sequence[Block], lacks: Waiting, now: Callable[[], float],
                 trust: Callable[[Connection], int]) -> None:
        """`blocks` are the accepted blocks, by number; `lacks` says which transactions they lack. The neighbour that
        `trust` ranks highest is asked first."""
        self._blocks = blocks
        self._lacks = lacks
        self._sources = Sources(self._ask_from, now, trust)

    def send_progress(self, connection: Connection) -> None:
        """Say which block this node awaits."""
        connection.send(encode_frame({"type": "height", "number": len(self._blocks)}))

    def on_height(self, connection: Connection, message: Message, frame: bytes) -> None:
        """A neighbour says which block it awaits: the one that is behind asks."""
        self._sources.told(connection, message["number"])
        if message["number"] < len(self._blocks):
            self.send_progress(connection)
        else:
            self.catch_up()

    def on_early(self, connection: Connection, number: int) -> None:
        """A neighbour has sent a block before its turn: that neighbour has the blocks before it, too."""
        self._sources.told(connection, max(self._sources.height(connection), number + 1))
        self.catch_up()

    def catch_up(self) -> None:
        """Ask for more blocks, unless the blocks here already lack as many transactions as may be asked for at a
        time."""
        if self._lacks.count_lacking() < MAX_MISSING:
            self._sources.ask(len(self._blocks))

    def _ask_from(self, connection: Connection, number: int) -> None:
        self.ask_for_blocks(connection, {"type": "get_blocks", "from": number})

    def on_get_blocks(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Answer with the blocks from a number on."""
        first = message["from"]
        self.send_blocks(connection, (block.frame for block in self._blocks[first:first + MAX_ANSWER_BLOCKS]))

    def on_came(self, block: Block, connection: Connection | None) -> None:
        """A new block has come, asked for or not: while enough bytes come, nobody else is asked."""
        self._sources.came(len(block.frame), connection)

    def on_answered(self, connection: Connection) -> None:
        """Ask for the next blocks, unless this node has caught up."""
        self._sources.answered(connection, len(self._blocks))
        self.catch_up()

    def ask_again(self) -> None:
        """Every second: ask others, too, if the neighbours that were asked bring no blocks."""
        self._sources.lose_patience()
        self.catch_up()

    def is_catching_up_with(self, connection: Connection) -> bool:
        """Is this neighbour asked for very many blocks?"""
        return (self._sources.is_asked(connection)
                and self._sources.height(connection) > len(self._blocks) + MAX_FLOODED)

    def on_lost(self, connection: Connection) -> None:
        """A neighbour that is gone answers no questions."""
        self._sources.forget(connection)
