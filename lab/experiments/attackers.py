"""Attackers that hold some of the stake, as nodes: what each does with a slot that it wins, and when it
shows its blocks.

`python -m lab.experiments.attackers` runs the one that withholds until it is caught, as a client of stage 5.

Each is a node of stage 5 with a different block maker. None of them signs what an honest node would find invalid. They
do not decide who wins ties: `ties` (see chains.py) tells them, and they do what is best under that rule.
"""

import math

from common.client import run_client
from common.encoding import Message, make_id
from common.interface import Command, Connection
from common.rsa import PrivateKey
from lab.adversaries.dishonest_nodes import Evil, Forger, ForgersMaker
from lab.adversaries.evil import EvilClient
from stage5_pos.tree import Block, Tree


class WatchingMaker(ForgersMaker):
    """A block maker that hears of each block that others have made."""

    ties = "contract"
    """Who wins ties, as in chains.py."""

    def on_others_block(self) -> None:
        """A block of somebody else has come, and the tree has taken it."""

    def finish(self) -> None:
        """The last slot is over: show the branch, if that is worth it."""


class Watcher(Forger):
    """A node that tells its block maker of others' blocks."""

    COMMANDS: dict[str, Command] = {
        **Forger.COMMANDS, "finish": Command("/finish", "the last slot is over: show the branch, if that is worth it")}

    BLOCK_MAKER = WatchingMaker

    maker: WatchingMaker

    def command_finish(self, arguments: list[str]) -> None:
        """`/finish`: the last slot is over. The answer is that of `/status`."""
        self.COMMANDS["finish"].expect(arguments)
        self.maker.finish()
        self.command_status([])

    def on_block(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """A block has come. The tree takes it before the block maker hears of it."""
        super().on_block(connection, message, frame)
        if connection is not None:
            self.maker.on_others_block()


# --- the attacker of the course ------------------------------------------------------------------

class CourseMaker(WatchingMaker):
    """Makes the blocks of `CourseAttacker`."""

    def make_block(self, slot: int, value: int, draw: str, key: PrivateKey) -> None:
        """Sign a block on the second longest chain, and one on the longest side branch if that is a different
        one."""
        for parent_id in {tip.id: None for tip in find_side_tips(self.tree, slot)}:
            self.publish(self.sign_block(slot, parent_id, draw, key, []))


def find_side_tips(tree: Tree, slot: int) -> list[Block]:
    """The tip of the second longest chain, and that of the longest side branch if there is one. The best chain without
    its last block also counts as a chain. A side branch of the same length is preferred to it."""
    second = tree.best.parent or tree.root
    longest, length = None, 0
    for block in tree.blocks.values():
        if block.children or tree.is_on_best_chain(block) or block.slot >= slot:
            continue
        if block.height >= second.height:
            second = block
        own = len(tree.path(block, tree.best).undone)
        if own > length:
            longest, length = block, own
    return [second] if longest is None else [second, longest]


class CourseAttacker(Watcher):
    """Builds with each ticket on the second longest chain and on the longest side branch, in the open."""

    BLOCK_MAKER = CourseMaker


# --- a branch in secret --------------------------------------------------------------------------

class SecretMaker(WatchingMaker):
    """Builds a branch in secret, from the best chain on."""

    secret: tuple[Message, ...] = ()
    """The part of the branch that nobody has been shown yet, oldest block first."""
    length = 0
    """How many blocks the branch has, including those already shown."""
    fork_height = 0
    """The height of the block that the branch builds on."""
    tip_id, tip_value = "", 0
    """The last block of the branch, and the value of its draw."""

    def make_block(self, slot: int, value: int, draw: str, key: PrivateKey) -> None:
        """Put one more block on the branch, and tell nobody."""
        if not self.length:
            parent = self.find_parent(slot)
            self.tip_id, self.fork_height = parent.id, parent.height
        message = self.sign_block(slot, self.tip_id, draw, key, [])
        self.secret += (message,)
        self.length += 1
        self.tip_id, self.tip_value = make_id(self.rules.block_bytes(message)), value

    @property
    def others(self) -> int:
        """How many blocks the others have made since the fork."""
        return self.tree.best.height - self.fork_height

    def wins_tie(self) -> bool:
        """Would the branch win against the best chain, if both had the same length?"""
        return self.ties == "won" or (self.ties == "contract" and self.tip_value < self.tree.best.value)

    def would_win(self) -> bool:
        """Would the branch be the best chain if it were shown now?"""
        return self.length > self.others or (self.length == self.others and self.wins_tie())

    def show(self) -> None:
        """Show all of the branch, and begin again."""
        shown, self.secret, self.length = self.secret, (), 0
        for message in shown:
            self.publish(message)

    def give_up(self) -> None:
        """Forget the branch."""
        self.secret, self.length = (), 0


class CaughtMaker(SecretMaker):
    """Makes the blocks of `UntilCaught`."""

    def on_others_block(self) -> None:
        """Is it caught? If it wins ties, it is caught when the others draw level; otherwise, when its lead is one
        block."""
        if not self.length or not self.others:
            return
        lead = self.length - self.others
        if lead <= 0:
            end = self.show if self.would_win() else self.give_up
            end()
        elif lead == 1 and not self.trusts_in_tie():
            self.show()

    def trusts_in_tie(self) -> bool:
        """Will it win a tie against what the others make next? Under the contract's rule it cannot know: it takes the
        risk if its draw is in the lower half of those that win."""
        threshold = min(self.rules.thresholds.values())
        return self.ties == "won" or (self.ties == "contract" and 2 * self.tip_value < threshold)

    def finish(self) -> None:
        """Show what is left: with half of the stake or more it is hardly ever caught."""
        if self.length and self.would_win():
            self.show()


class UntilCaught(Watcher):
    """Withholds its blocks, and shows them when it is about to lose its lead: then all that the others have made since
    is undone."""

    BLOCK_MAKER = CaughtMaker


class SelfishMaker(SecretMaker):
    """Makes the blocks of `Selfish`. Two chains of the same length race while `secret` is empty and `length` is not
    0."""

    def make_block(self, slot: int, value: int, draw: str, key: PrivateKey) -> None:
        """Put one more block on the branch; in a race, show it, since it decides."""
        is_race = self.length > 0 and not self.secret
        super().make_block(slot, value, draw, key)
        if is_race:
            self.show()

    def on_others_block(self) -> None:
        """The lead has shrunk. If it is one block, show all; if the others have drawn level, make it a race; if they
        are ahead, give up."""
        if not self.length or not self.others:
            return
        lead = self.length - self.others
        if lead < 0:
            self.give_up()
        elif lead == 0 and self.secret:
            length = self.length
            self.show()
            self.length = length
        elif lead == 1:
            self.show()

    def finish(self) -> None:
        """Show what is left."""
        if self.secret and self.would_win():
            self.show()


class Selfish(Watcher):
    """Withholds as Eyal and Sirer describe it: not to undo much, but to have a larger share of the best chain."""

    BLOCK_MAKER = SelfishMaker


HOPELESS = 0.005
"""A race is given up when the chance to catch up is smaller than this."""


class RaceMaker(SecretMaker):
    """Makes the blocks of `Racer`."""

    depth = 1
    """How many blocks of the others must be undone."""
    attempts, successes = 0, 0
    is_racing = False

    def make_block(self, slot: int, value: int, draw: str, key: PrivateKey) -> None:
        """Put one more block on the branch."""
        if not self.is_racing:
            self.begin()
        super().make_block(slot, value, draw, key)
        self.look()

    def find_parent(self, slot: int) -> Block:
        """The block on which the race began, not the best one: that chain has grown since."""
        return self.tree.chain[self.fork_height]

    def on_others_block(self) -> None:
        """The others are one block further."""
        if self.is_racing:
            self.look()

    def begin(self) -> None:
        """Begin a race on the block that is the best one now."""
        self.is_racing, self.fork_height, self.length, self.secret = True, self.tree.best.height, 0, ()

    def look(self) -> None:
        """Has the race come to an end? The next one begins at once."""
        behind = self.others - self.length
        if self.others >= self.depth and behind <= 0:
            self.successes += 1
            self.show()
        elif behind <= self.most_behind():
            return
        self.attempts += 1
        self.begin()

    def most_behind(self) -> float:
        """How many blocks it may be behind."""
        share = len(self.stakes) / len(self.rules.thresholds)
        return math.log(HOPELESS) / math.log(share / (1 - share))


class Racer(Watcher):
    """Wants to undo `depth` blocks of the others, again and again: each time it builds a branch in secret until it is
    as long as theirs, or has no hope left."""

    BLOCK_MAKER = RaceMaker


if __name__ == "__main__":
    run_client(EvilClient("until-caught", Evil(UntilCaught, {5: ""}), 5).main)
