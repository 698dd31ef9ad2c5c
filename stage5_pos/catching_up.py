"""How a node gets the blocks that it has missed, and gives others those that they have missed (contract §3, stage 5).

Neighbours tell each other their tips. A node that does not know the other's tip, and is not ahead, asks for the chain
after the newest block that both have. It asks again after each answer until it knows that tip.

    alice, at height 0                          bob, at height 1,200
                                      <──       tip: height 1,200, which alice does not know
    get_chain after the genesis       ──>
                                      <──       blocks 1 … 500; the pong of alice's ping
    get_chain after block 500         ──>       …
                                      <──       blocks 1,001 … 1,200; the pong. The tip is known: that is all
"""

from collections.abc import Callable
from typing import ClassVar

from common.encoding import ID, INTEGER, Message, Shape, encode_frame, ids_field
from common.fetch_limits import MAX_FLOODED, WANT_AGAIN
from common.interface import Connection
from stage4_sequencer.catching_up import BlockSync
from stage4_sequencer.limits import MAX_ANSWER_BLOCKS, MAX_WAITING
from stage5_pos.limits import MAX_LOCATOR
from stage5_pos.postponed import PostponedBlocks
from stage5_pos.tree import Tree


class ChainQuestion:
    """The question that one neighbour is asked by `get_chain`, and how far the answers are."""

    def __init__(self, tip: str, tree_size: int) -> None:
        self.tip = tip
        """The neighbour's tip, which this node does not know."""
        self.last: str | None = None
        """The last block so far of the answer that is coming in."""
        self.last_before: str | None = None
        """The last block of the answer before that."""
        self.tree_size = tree_size
        """How many blocks the tree had when the question was asked."""
        self.had_no_room = False
        """Was there no room for a block of the answer?"""
        self.brought = 0
        """How many blocks have come in the answers."""
        self.is_paused = False
        """Is the next question postponed, until fewer blocks wait?"""


class ChainSync(BlockSync):
    """Gets the chain from neighbours, and gives it to them."""

    SHAPES: ClassVar[dict[str, Shape]] = {
        "tip": {"id": ID, "height": INTEGER},
        "get_chain": {"locator": ids_field(MAX_LOCATOR)},
    }

    def __init__(self, tree: Tree, waiting: PostponedBlocks,
                 after: Callable[[float, Callable[[], None]], None]) -> None:
        self._tree = tree
        self._waiting = waiting
        self._after = after
        self._questions: dict[Connection, ChainQuestion] = {}

    def is_asking(self, connection: Connection) -> bool:
        """Is this neighbour asked for blocks, so that what it sends may be the answer?"""
        return connection in self._questions

    def is_catching_up_with(self, connection: Connection) -> bool:
        """Does this neighbour answer with very many blocks?"""
        question = self._questions.get(connection)
        return question is not None and question.brought > MAX_FLOODED

    def send_progress(self, connection: Connection) -> None:
        """Tell the tip of the best chain."""
        tip = self._tree.best
        connection.send(encode_frame({"type": "tip", "id": tip.id, "height": tip.height}))

    def on_tip(self, connection: Connection, message: Message, frame: bytes) -> None:
        """A neighbour tells its tip: the node that may lack something asks."""
        tip = message["id"]
        if self._tree.best.height > message["height"]:
            self.send_progress(connection)
        elif self._waiting.lacks_only_transactions(tip):
            self._waiting.on_block_sent(tip, connection)  # that neighbour has them
        elif not self._waiting.is_settled(tip) and connection not in self._questions:
            self._questions[connection] = ChainQuestion(tip, len(self._tree))
            self.ask_for_blocks(connection, {"type": "get_chain", "locator": self._tree.locator()})

    def on_get_chain(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Answer with the best chain after the newest block that both have."""
        self.send_blocks(connection, (block.frame for block in self._tree.after_locator(message["locator"])))

    def on_lost(self, connection: Connection) -> None:
        """A neighbour that is gone answers no questions."""
        self._questions.pop(connection, None)

    # --- the answer comes -----------------------------------------------------------------------

    def on_block_came(self, connection: Connection | None, block_id: str, parent_id: str) -> None:
        """A block has come, known or not: remember the last one of an answer. An orphan (a block with an unknown
        parent) was flooded, and is not part of the answer."""
        if connection in self._questions and (self._waiting.is_here(parent_id) or parent_id in self._waiting):
            self._questions[connection].last = block_id
            self._questions[connection].brought += 1

    def on_no_room(self, connection: Connection | None) -> None:
        """There was no room for a block of this neighbour. If it belongs to an answer, it is asked for again when the
        blocks before it have entered the tree."""
        if connection in self._questions:
            self._questions[connection].had_no_room = True

    def on_no_longer_waiting(self, connection: Connection | None) -> None:
        """A block of this neighbour was judged: when none of its blocks waits any longer, there is room for the next
        answer."""
        if (connection in self._questions and self._questions[connection].is_paused
                and not self._waiting.count_of(connection)):
            self._ask_on(connection, self._questions[connection])

    def on_answered(self, connection: Connection) -> None:
        """Ask for the chain after the last block of the answer, until the tip is known or an answer brings nothing."""
        question = self._questions.get(connection)
        if question is None or question.is_paused:
            return
        last, waiting = question.last, self._waiting.count_of(connection)
        if last is None or (self._waiting.is_settled(question.tip)
                            or self._waiting.lacks_only_transactions(question.tip)):
            del self._questions[connection]
        elif waiting and (question.had_no_room or waiting + MAX_ANSWER_BLOCKS > MAX_WAITING):
            # So many blocks wait that there was no room for the last one, or will be none for the next answer.
            question.is_paused, question.had_no_room = True, False
            self._after(WANT_AGAIN, lambda: self._ask_on(connection, question))
        elif len(self._tree) == question.tree_size and (last == question.last_before
                                                        or not self._waiting.is_known(last)):
            del self._questions[connection]  # no progress, as with blocks from the future: the answer would be the same
        else:
            locator = [last] * self._waiting.is_known(last) + self._tree.locator()
            question.last_before, question.last = last, None
            question.tree_size, question.had_no_room = len(self._tree), False
            self.ask_for_blocks(connection, {"type": "get_chain", "locator": list(dict.fromkeys(locator))})

    def _ask_on(self, connection: Connection, question: ChainQuestion) -> None:
        """Ask the question that was postponed, if it has not been asked since and the neighbour is still there."""
        if self._questions.get(connection) is question and question.is_paused:
            question.is_paused = False
            self.on_answered(connection)
