"""How a node asks for the blocks that it has missed (contract §3, stage 5).

Neighbours tell each other their tips. A node that does not know the other's tip, and is not ahead, asks for the chain
after the newest block that both have. It asks again after each answer until it knows that tip.
"""

from common.encoding import ID, INTEGER, Message, Shape, encode_frame, ids_field
from common.interface import Connection, Network
from common.limits import MAX_ANSWER_BLOCKS, MAX_FLOODED, MAX_LOCATOR, MAX_WAITING, WANT_AGAIN
from stage4_sequencer.total_order import TotalOrderSetup
from stage5_pos.chain import ChainNode


class ChainQuestion:
    """What a neighbour is asked `get_chain` for."""

    def __init__(self, tip: str, blocks: int) -> None:
        self.tip = tip
        """The tip that the neighbour has told, and this node does not know."""
        self.last: str | None = None
        """The last block of the answer that is just coming."""
        self.after: str | None = None
        """The last block of the answer before that."""
        self.blocks = blocks
        """How many blocks there were in the tree when it was asked."""
        self.had_no_room = False
        """Was there no room for a block of that answer?"""
        self.brought = 0
        """How many blocks have come in the answers."""
        self.is_paused = False
        """Is the next question put off, until fewer blocks wait?"""


class CatchingUpNode(ChainNode):
    """A node that gets the chain from its neighbours, and gives it to them."""

    SHAPES: dict[str, Shape] = {
        **ChainNode.SHAPES,
        "tip": {"id": ID, "height": INTEGER},
        "get_chain": {"locator": ids_field(MAX_LOCATOR)},
    }

    def __init__(self, network: Network, address: str, setup: TotalOrderSetup) -> None:
        super().__init__(network, address, setup)
        self.chain_questions: dict[Connection, ChainQuestion] = {}

    def send_progress(self, connection: Connection) -> None:
        """Tell the tip of the best chain."""
        tip = self.tree.best
        connection.send(encode_frame({"type": "tip", "id": tip.id, "height": tip.height}))

    def on_tip(self, connection: Connection, message: Message, frame: bytes) -> None:
        """A neighbour tells its tip: whoever may have to learn from the other asks."""
        height = self.tree.best.height
        if height > message["height"]:
            self.send_progress(connection)
        elif message["id"] in self.put_off_blocks and not self.is_hanging(message["id"]):
            self.on_block_sent(message["id"], connection)  # it lacks transactions only, and that neighbour has them
        elif not self.is_settled(message["id"]) and connection not in self.chain_questions:
            self.chain_questions[connection] = ChainQuestion(message["id"], len(self.tree))
            self.ask_for_blocks(connection, {"type": "get_chain", "locator": self.tree.locator()})

    def is_settled(self, block_id: str) -> bool:
        """Is it known what to think of this block? A block that only waits may have been sent early, by anybody."""
        return self.is_here(block_id) or block_id in self.invalid_blocks

    def is_hanging(self, block_id: str) -> bool:
        """Does this block wait for one that is not here?"""
        return block_id in self.put_off_blocks.hanging(self.is_here)

    def on_get_chain(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Answer with the best chain after the newest block that both have."""
        self.send_blocks(connection, (block.frame for block in self.tree.after_locator(message["locator"])))

    def is_copy(self, connection: Connection, frame: bytes) -> bool:
        """Copies in an answer to `get_chain` are looked at all the same: they tell how far the answer goes.

        Otherwise one with blocks that came before a connection was lost would look empty, and the asking would end.
        """
        return connection not in self.chain_questions and super().is_copy(connection, frame)

    def on_block_came(self, connection: Connection | None, block_id: str, parent_id: str) -> None:
        """Remember the last block of an answer to `get_chain`. A block that hangs in the air was flooded and is not
        part of the answer."""
        if connection in self.chain_questions and (parent_id in self.tree or parent_id in self.put_off_blocks):
            self.chain_questions[connection].last = block_id
            self.chain_questions[connection].brought += 1

    def is_catching_up_with(self, connection: Connection) -> bool:
        """Does this neighbour answer with very many blocks?"""
        question = self.chain_questions.get(connection)
        return super().is_catching_up_with(connection) or (question is not None and question.brought > MAX_FLOODED)

    def on_blocks_answered(self, connection: Connection) -> None:
        """Ask on after the last block of the answer, until the tip is known or an answer brings nothing."""
        question = self.chain_questions.get(connection)
        if question is None or question.is_paused:
            return
        waiting = self.put_off_blocks.count_of(connection)
        if question.last is None or self.is_on_its_way(question.tip):
            del self.chain_questions[connection]
        elif waiting and (question.had_no_room or waiting + MAX_ANSWER_BLOCKS > MAX_WAITING):
            # There was no room for the last one, or will be none for more, while so many from here wait.
            question.is_paused, question.had_no_room = True, False
            self.network.after(WANT_AGAIN, lambda: self.ask_on(connection, question))
        elif len(self.tree) == question.blocks and (question.last == question.after
                                                    or not self.is_known_block(question.last)):
            del self.chain_questions[connection]  # blocks from the future, say: the same answer would come again
        else:
            locator = [question.last] * self.is_known_block(question.last) + self.tree.locator()
            question.after, question.last = question.last, None
            question.blocks, question.had_no_room = len(self.tree), False
            self.ask_for_blocks(connection, {"type": "get_chain", "locator": list(dict.fromkeys(locator))})

    def is_on_its_way(self, block_id: str) -> bool:
        """Does this block lack nothing but transactions, and does all that it builds on?"""
        return self.is_settled(block_id) or (block_id in self.put_off_blocks and not self.is_hanging(block_id))

    def ask_on(self, connection: Connection, question: ChainQuestion) -> None:
        """Ask the question that was put off, if the neighbour is still there and it was not asked since."""
        if self.chain_questions.get(connection) is question and question.is_paused:
            question.is_paused = False
            self.on_blocks_answered(connection)

    def on_no_longer_waiting(self, connection: Connection) -> None:
        """A block from here has entered the tree: when the last one has, there is room for the next answer."""
        if connection in self.chain_questions and not self.put_off_blocks.count_of(connection):
            self.ask_on(connection, self.chain_questions[connection])

    def unlink(self, connection: Connection) -> None:
        """A neighbour that is gone answers no questions."""
        super().unlink(connection)
        self.chain_questions.pop(connection, None)

    def on_block_given_up(self, connection: Connection | None) -> None:
        """What comes in an answer and has no room is asked for again, when those before it wait no longer."""
        if connection in self.chain_questions:
            self.chain_questions[connection].had_no_room = True
