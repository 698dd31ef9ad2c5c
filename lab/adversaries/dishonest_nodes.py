"""The attackers that are nodes. Each is a stage's own node that breaks one rule and keeps all others.

    world.add(make_node)                         in memory, where make_node gives a `Withhold` (lab/simulation.py)
    python -m lab.adversaries.evil withhold …    as a process, with the options of the stage's client (evil.py)

This file has the attackers of stages 4 and 5 that make blocks. Those of bad_neighbour.py also work in stages later than
their own, and those of raw_peers.py only send frames and need no node; all can be imported from here, too.

An attacker reports each of its deeds as an event `evil`. So an attack that did not take place is not mistaken for one
that was withstood.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from common.console import count
from common.encoding import Message, encode_base64, encode_frame, make_id
from common.interface import Connection, Network
from common.ledger import Transaction
from common.rsa import PrivateKey
from lab.adversaries.bad_neighbour import Confessing, Duplicate, Forge, Strangers, Tamper, node_of
from lab.adversaries.raw_peers import BlockForger, Deaf, Garbage, Namer, NegativePayer, Outsider, Spender, StakeOwner
from stage1_chat.node import ChatNode
from stage4_sequencer.limits import MAX_BLOCK_IDS
from stage4_sequencer.node import SequencedNode
from stage5_pos import lottery
from stage5_pos.clock import SlotClock
from stage5_pos.genesis import Genesis
from stage5_pos.maker import BlockMaker
from stage5_pos.node import StakeNode
from stage5_pos.rules import FEE
from stage5_pos.tree import Block

__all__ = ["EVIL", "PUBLISHED_AFTER", "RAW", "BlockForger", "Censor", "Deaf", "Duplicate", "Equivocate", "Evil",
           "Forge", "ForkEverything", "Future", "Garbage", "Grind", "LeaveOut", "Namer", "NegativePayer", "Outsider",
           "Spender", "StakeOwner", "Strangers", "Tamper", "TwoOrders", "Withhold", "evil_names", "node_of"]


# --- stage 4: the sequencer -----------------------------------------------------------------------

class TwoOrders(SequencedNode, Confessing):
    """Signs two blocks with the same number and opposite orders, and gives one to each half of its neighbours.

    In stage 4 it splits the network for good: a node that has executed one order cannot take it back. All that a node
    can do is keep both blocks as proof. Stage 5 stops it: there a tree of blocks decides, and a node can roll back.
    """

    def make_block(self) -> None:
        """Wait for two pending transactions, then sign both orders of them. The attacker itself executes the first."""
        self.network.after(self.interval_ms / 1000, self.make_block)
        ids = [pooled for pooled in self.pool if pooled not in self.ordered]
        if len(ids) < 2 or self.sequencer_key is None:
            return
        first, second = (self.sign_block(order, self.sequencer_key) for order in (ids, ids[::-1]))
        self.flood_in_halves(encode_frame(first), encode_frame(second))
        self.confess(f"signs two orders of block {first['number']}", number=first["number"])
        self.on_block(None, first, encode_frame(first))

    def sign_block(self, ids: list[str], key: PrivateKey) -> Message:
        """The next block, with these transactions."""
        message: Message = {"type": "block", "number": len(self.blocks), "transactions": ids}
        return {**message, "signature": key.sign(self.block_bytes(message))}

    def flood(self, frame: bytes, source: Connection | None) -> None:
        """Pass on what others have made. Its own blocks were already sent to the neighbours chosen for them."""
        if not (source is None and self.blocks and frame == self.blocks[-1].frame):
            super().flood(frame, source)


class LeaveOut(SequencedNode, Confessing):
    """A sequencer that never orders the transactions of one user: the first that it hears of, other than itself.

    In stage 4 nothing stops it, and nobody can prove it. Stage 5 stops it: others make blocks too (see `Censor`).
    """

    victim: str | None = None
    """The account that is left out."""

    def on_new_transaction(self, transaction: Transaction) -> None:
        """Drop what the victim sends instead of putting it into the pool."""
        if self.victim is None and transaction.sender != self.key.account:
            self.victim = transaction.sender
        if transaction.sender == self.victim:
            self.confess(f"leaves out transaction {transaction.id}", id=transaction.id)
        else:
            super().on_new_transaction(transaction)


# --- stage 5: a stake holder ----------------------------------------------------------------------

class ForgersMaker(BlockMaker):
    """Makes the blocks of an attacker. Unlike an honest maker it knows its whole node."""

    node: "Forger"


class Forger(StakeNode, Confessing):
    """What the attackers of stage 5 have in common. Most of them differ from honest nodes in their block maker."""

    BLOCK_MAKER: type[BlockMaker] = ForgersMaker

    def begin_with(self, genesis: Genesis) -> None:
        """Give the block maker a reference to its node."""
        super().begin_with(genesis)
        assert isinstance(self.maker, ForgersMaker)
        self.maker.node = self


PUBLISHED_AFTER = 8
"""The secret branch is published when the others have made this many blocks since the fork."""


class WithholdingMaker(ForgersMaker):
    """Builds the secret branch of `Withhold`, and publishes it."""

    fork_height = 0
    """The height of the block that the secret branch builds on."""
    secret: tuple[Message, ...] = ()
    """The secret branch, oldest block first."""

    def make_block(self, slot: int, value: int, draw: str, key: PrivateKey) -> None:
        """Sign a block without transactions on the last secret one, and tell nobody."""
        if self.secret:
            parent_id = make_id(self.rules.block_bytes(self.secret[-1]))
        else:
            parent = self.find_parent(slot)
            parent_id, self.fork_height = parent.id, parent.height
        self.secret += (self.sign_block(slot, parent_id, draw, key, []),)
        count_secret = len(self.secret)
        self.node.confess(f"withholds its block of slot {slot}, {count_secret} so far", withheld=count_secret)

    def on_slot(self) -> None:
        """Publish the branch once the others have made enough blocks."""
        super().on_slot()
        others = self.tree.best.height - self.fork_height
        if self.secret and others >= PUBLISHED_AFTER:
            shown, self.secret = self.secret, ()
            for message in shown:
                self.publish(message)
            self.node.confess(f"shows {count(len(shown), 'block')}; the others have made {others}", others=others,
                              shown=[make_id(self.rules.block_bytes(message)) for message in shown])


class Withhold(Forger):
    """Builds a branch in secret, and shows it when the others have made eight blocks since it began.

    With more than half of the stake it has the longer branch, and the others undo all that they executed since. With
    less than half, stage 5 withstands it: the longest chain counts, and that is nearly always the branch that most of
    the stake builds on. The longer the secret was kept, the surer this is.
    """

    BLOCK_MAKER = WithholdingMaker


class TwinMaker(ForgersMaker):
    """Makes the two blocks of `Equivocate`."""

    def make_block(self, slot: int, value: int, draw: str, key: PrivateKey) -> None:
        """Sign one block with all transactions, and one without the last of them."""
        parent = self.find_parent(slot)
        ids = self.choose_transactions(parent)
        if not ids:
            # The two blocks need at least one transaction to differ in.
            self.node.send_transaction(self.node.signed_message(key, key.account, FEE))
            ids = self.choose_transactions(parent)
        twins = [self.sign_block(slot, parent.id, draw, key, chosen) for chosen in (ids, ids[:-1])]
        self.node.flood_in_halves(*map(encode_frame, twins))
        block_ids = [make_id(self.rules.block_bytes(message)) for message in twins]
        self.node.confess(f"makes two blocks of slot {slot} with one ticket", slot=slot, ids=block_ids)
        for message in twins:
            self.publish(message)


class Equivocate(Forger):
    """Makes two blocks with one ticket, and gives one to each half of its neighbours.

    Stage 5 stops it: sooner or later both are in every node's tree, and the next block decides between them, for all
    nodes alike. Every node keeps both as proof. It costs the creator nothing, since no stake is taken away for it.
    """

    BLOCK_MAKER = TwinMaker

    def flood(self, frame: bytes, source: Connection | None) -> None:
        """Pass on transactions and the blocks of others. Its own blocks were already sent to the chosen neighbours."""
        if source is not None or b'"type":"block"' not in frame:
            super().flood(frame, source)


MAX_BEHIND = 10
"""The attacker builds on a branch only if it is at most this many blocks shorter than the best chain."""


class ForkingMaker(ForgersMaker):
    """Makes the blocks of `ForkEverything`."""

    def make_block(self, slot: int, value: int, draw: str, key: PrivateKey) -> None:
        """Sign a block on each tip that is at most `MAX_BEHIND` blocks behind the best."""
        tips = self.find_tips(slot)
        for tip in tips:
            self.publish(self.sign_block(slot, tip.id, draw, key, self.choose_transactions(tip)))
        branches = "1 branch" if len(tips) == 1 else f"{len(tips)} branches"
        self.node.confess(f"builds on {branches} in slot {slot}", branches=len(tips), slot=slot)

    def find_tips(self, slot: int) -> list[Block]:
        """The blocks of earlier slots on which nobody has built."""
        parents = {block.parent_id for block in self.tree.blocks.values()}
        lowest = self.tree.best.height - MAX_BEHIND
        return [block for block in self.tree.blocks.values()
                if block.id not in parents and block.slot < slot and block.height >= lowest]


class ForkEverything(Forger):
    """Builds on the tip of every branch with the same ticket, instead of choosing one branch.

    Signing costs nothing, so it has a block on whichever branch wins: "nothing at stake". Stage 5 does not prevent
    that, but it withstands it: the branch that most of the stake builds on still grows fastest. If more stake behaved
    like this, two branches could live on side by side.
    """

    BLOCK_MAKER = ForkingMaker


class CensoringMaker(ForgersMaker):
    """Makes the blocks of `Censor`."""

    node: "Censor"

    def choose_transactions(self, parent: Block) -> list[str]:
        """All that an honest creator would take, except the victim's."""
        waiting = self.pool.transactions()
        left_out = [one for one in waiting if one.sender == self.node.victim]
        if left_out:
            ids = [one.id for one in left_out]
            self.node.confess(f"leaves {count(len(left_out), 'transaction')} out of a block", ids=ids)
        return self.ledger.choose_valid(parent, [one for one in waiting if one not in left_out], MAX_BLOCK_IDS)


class Censor(Forger):
    """Leaves the transactions of one user out of its blocks: the first that it hears of, other than its own.

    Stage 5 stops it: the next creator puts them in. If the censor has a share q of the stake, a transaction waits
    1 / (1 − q) times as long as usual.
    """

    BLOCK_MAKER = CensoringMaker

    victim: str | None = None
    """The account that is left out."""

    def on_new_transaction(self, transaction: Transaction) -> None:
        """Choose the victim."""
        own = {self.key.account, *(key.account for key in self.stakes.values())}
        if self.victim is None and transaction.sender not in own:
            self.victim = transaction.sender
        super().on_new_transaction(transaction)


AHEAD = 20
"""The number of slots by which the clock of `Future` is fast."""


class FastClock(SlotClock):
    """A clock for which the network began `AHEAD` slots earlier."""

    def __init__(self, network: Network, genesis: Genesis, report_error: Callable[[str, str], None]) -> None:
        earlier = replace(genesis, start_ms=genesis.start_ms - AHEAD * genesis.slot_ms)
        super().__init__(network, earlier, report_error)


class EarlyMaker(ForgersMaker):
    """Makes the blocks of `Future`."""

    def make_block(self, slot: int, value: int, draw: str, key: PrivateKey) -> None:
        """Make the block as an honest node would at that time."""
        super().make_block(slot, value, draw, key)
        self.node.confess(f"makes a block of slot {slot}, which is {AHEAD} slots away", slot=slot)


class Future(Forger):
    """Makes blocks for slots that have not begun, as if its clock were twenty slots fast.

    Its chain would always be the longest. Stage 5 stops it: a node refuses to look at a block whose slot is more than
    one ahead of its own clock.
    """

    SLOT_CLOCK = FastClock
    BLOCK_MAKER = EarlyMaker


class GrindingMaker(ForgersMaker):
    """Makes the blocks of `Grind`."""

    TRIES = 100_000

    def on_slot(self) -> None:
        """Make a block for each account that this node plays, whether the account has won or not."""
        slot = self.clock.slot()
        if slot > self.last_slot and slot > self.tree.best.slot:
            self.last_slot = slot
            for key in self.stakes.values():
                draw = self.grind_draw(slot, key)
                message = self.sign_block(slot, self.tree.best.id, draw, key, [])
                self.node.flood(encode_frame(message), None)  # not `publish`: its own node would refuse it, too
                self.node.confess(f"makes a block of slot {slot} with a draw of its choice", slot=slot,
                                  id=make_id(self.rules.block_bytes(message)))
        self.await_slot()

    def grind_draw(self, slot: int, key: PrivateKey) -> str:
        """A number as long as a signature, with a lottery value that wins."""
        size = key.key.size_in_bytes()
        for _ in range(self.TRIES):
            # The leading zero byte makes it smaller than the modulus, as a signature is.
            draw = encode_base64(b"\0" + self.node.network.random.randbytes(size - 1))
            value = lottery.ticket_value(self.rules.seed, slot, key.account, draw)
            if lottery.is_winning(value, self.rules.thresholds[key.account]):
                break
        return draw


class Grind(Forger):
    """Tries draws at random until one wins, in every slot.

    Stage 5 stops it: a draw is a signature, a key has exactly one for each slot, and every node checks it.
    """

    BLOCK_MAKER = GrindingMaker


class Evil(NamedTuple):
    """An attacker that is a node."""

    kind: type[ChatNode]
    sights: dict[int, str]
    """Stage -> a sentence that says how to see it in `make network`. Stages with nothing to see are left out."""

    @property
    def meaning(self) -> str:
        """What it does, in one sentence."""
        return (self.kind.__doc__ or "").partition("\n")[0]


REFUSED = "send something at another node: the others report INVALID, and no money moves, since"

EVIL: dict[str, Evil] = {
    "duplicate": Evil(Duplicate, {
        1: "say something at any node: each node shows it once",
        **dict.fromkeys((2, 3, 4, 5), "send something at any node: each node executes it once")}),
    "forge": Evil(Forge, {
        2: "send something at another node, then `all /ledger`: mallory has 1,000 of the sender's",
        **dict.fromkeys((3, 4, 5), f"{REFUSED} the owner has not signed")}),
    "tamper": Evil(Tamper, {
        2: "send something at another node, then `all /ledger`: a thousand times the amount was paid as well",
        **dict.fromkeys((3, 4, 5), f"{REFUSED} the amount is signed")}),
    "strangers": Evil(Strangers, {
        **dict.fromkeys((2, 3), "the table counts them in the others' lists; a node that seeks neighbours drops some"),
        **dict.fromkeys((4, 5), "`/peers` at another node lists them; a node that seeks neighbours drops some")}),
    "two-orders": Evil(TwoOrders, {
        4: "it waits for two pending transactions: send two quickly; then EQUIVOCATION, and perhaps two ledgers"}),
    "leave-out": Evil(LeaveOut, {4: "send something at two nodes: what the first one sent stays in the pool"}),
    "withhold": Evil(Withhold, {
        5: f"when the others have made {PUBLISHED_AFTER} blocks it shows its own: FORK, rarely ROLLBACK"}),
    "equivocate": Evil(Equivocate, {5: "when it wins a slot: EQUIVOCATION, a FORK, and soon one branch again"}),
    "fork-everything": Evil(ForkEverything, {5: "when there are two branches: EQUIVOCATION, and soon only one again"}),
    "censor": Evil(Censor, {5: "send something at a node: it waits until another node makes a block"}),
    "future": Evil(Future, {5: "its height runs ahead, and nobody follows"}),
    "grind": Evil(Grind, {5: "its neighbours report INVALID: the draw is not a signature"})}
"""The names by which `python -m lab.adversaries.evil` and `make network` start them."""

RAW = [BlockForger, Deaf, Garbage, Namer, NegativePayer, Outsider, Spender, StakeOwner]
"""The attackers of raw_peers.py."""


def evil_names(stage: int) -> list[str]:
    """The attackers for a stage."""
    return [name for name, evil in EVIL.items() if stage in evil.sights]
