"""Stage 5: a proof-of-stake blockchain sets the order, and nobody in particular makes the blocks.

Unlike stage 4:
- in each slot a lottery by stake says who may make a block (lottery.py), and everyone can check it (rules.py);
- blocks form a tree, since two winners may not know of each other (tree.py); the longest chain counts;
- a block without its parent waits (postponed.py), and chains that were missed are fetched (catching_up.py);
- the ledger is that of the best chain; when another branch becomes best it is rolled back (ledger.py, chain.py);
- a block with a transaction that is not valid at its point is refused whole; its creator gets a reward and the fees;
- two blocks of one creator for one slot are proof against it (evidence.py); `/tree` and `/send --from` are new.
"""

from collections.abc import Callable
from typing import Any

from common.console import count, shown_id
from common.encoding import Message, Shape, decode_frame, encode_frame, make_id, without_padding
from common.ledger import Transaction
from common.rsa import PrivateKey
from common.interface import Command, CommandError, Connection, Invalid, Lines, Network
from stage4_sequencer.total_order import TotalOrderNode, TotalOrderSetup
from stage5_pos import genesis, rules
from stage5_pos.catching_up import ChainSync
from stage5_pos.chain import BestChain
from stage5_pos.clock import SlotClock
from stage5_pos.drawing import draw_tree
from stage5_pos.evidence import Evidence
from stage5_pos.genesis import Genesis
from stage5_pos.ledger import TreeLedger
from stage5_pos.limits import MAX_TWINS
from stage5_pos.maker import BlockMaker
from stage5_pos.postponed import PostponedBlock, PostponedBlocks
from stage5_pos.rules import InvalidBlock, Rules
from stage5_pos.side import Aside
from stage5_pos.tree import Block, Tree


class StakeNode(TotalOrderNode):
    """A node of the blockchain. With keys of genesis accounts it makes blocks for them."""

    STAGE = 5

    # The classes of its parts; attackers and tests put others in their place:
    WAITING_BLOCKS = PostponedBlocks
    CHAIN_SYNC = ChainSync
    SLOT_CLOCK = SlotClock
    BLOCK_MAKER = BlockMaker

    SHAPES: dict[str, Shape] = {
        **TotalOrderNode.SHAPES, **ChainSync.SHAPES,
        "genesis": genesis.SHAPE, "block": rules.SHAPE,
    }
    """To add a message, declare it in the `SHAPES` of a part, name these here, and have `begin_with` add the part."""

    COMMANDS: dict[str, Command] = {
        **TotalOrderNode.COMMANDS,
        "send": Command("/send TO AMOUNT [--from N]", "transfer AMOUNT from this node's account,"
                                                      " or from genesis account N if it is played here"),
        "tree": Command("/tree", "draw the tree of blocks"),
    }

    EVENTS: dict[str, Lines] = {
        **TotalOrderNode.EVENTS,
        "rollback": lambda m: [f"rollback of {count(m['depth'], 'block')}, from {shown_id(m['from'])}"
                               f" to {shown_id(m['to'])}"],
    }

    LOWEST_AMOUNT = rules.FEE

    def __init__(self, network: Network, address: str, setup: TotalOrderSetup, stakes: dict[int, PrivateKey],
                 make_genesis_and_keys: Callable[[], tuple[Genesis, dict[int, PrivateKey]]]) -> None:
        """`stakes` has the keys of the genesis accounts that this node plays (draws for), by their number from 1 on.
        `make_genesis_and_keys` gives a genesis, and such keys, if this node founds a network."""
        super().__init__(network, address, setup)
        self.stakes = stakes
        self.make_genesis_and_keys = make_genesis_and_keys

    # --- genesis --------------------------------------------------------------------------------

    def read_genesis(self, message: Message) -> Genesis:
        """Read a genesis of stage 5."""
        return genesis.read_genesis(message)

    def make_genesis(self) -> Genesis:
        """Make the genesis of a new network, with the stakes that its founder plays."""
        made, self.stakes = self.make_genesis_and_keys()
        return made

    def begin_with(self, genesis: Genesis) -> None:
        """Begin with the balances of the genesis, which are also the stakes, and with an empty tree."""
        self.rules = Rules(genesis)
        self.tree = Tree(genesis.id)
        self.ledger: TreeLedger = TreeLedger(self.tree, genesis.starting_balances(), self.transactions)
        self.aside = Aside(self.transactions, self.frames, self.refused)
        self.chain = BestChain(self.tree, self.ledger, self.pool, self.refused, self.aside, self.ids.add,
                               self.let_go_unpaid, self.report, self.report_made_here)
        self.clock = self.parts.add(self.SLOT_CLOCK(self.network, genesis, self.report_error))
        self.waiting_blocks: PostponedBlocks = self.parts.add(self.WAITING_BLOCKS(
            self.network, self.links, self.fetcher, self.tree, self.aside, self.fetcher.trust, self._enter_waiting))
        self.evidence = Evidence(self.waiting_blocks.frame_of, self.keeper.keep, self.report)
        self.sync: ChainSync = self.parts.add(self.CHAIN_SYNC(self.tree, self.waiting_blocks, self.network.after))
        self.maker = self.BLOCK_MAKER(self.clock, self.rules, self.stakes, self.tree, self.ledger, self.pool,
                                      self.evidence.signed, self.keeper.keep, self.commit,
                                      lambda message: self.on_block(None, message, encode_frame(message)))

    def on_ready(self) -> None:
        """The node has a genesis: tell the user if it is in the future, and play the accounts whose keys are here."""
        super().on_ready()
        self.clock.tell_if_genesis_is_ahead()
        for number in [number for number, key in self.stakes.items() if key.account not in self.rules.thresholds]:
            self.report_error("ACCOUNT", f"key {number} belongs to no account in this network's genesis;"
                                         " name other keys by --forge, or the folder with the right ones by --keys")
            del self.stakes[number]
        if self.stakes:
            self.maker.await_slot()

    def replay(self, kind: str, content: bytes) -> None:
        """The journal also tells for which slots this node has signed a block, and who has signed two."""
        if kind == "slot":
            self.maker.skip_slots_until(int(content))
        elif kind == "evidence":
            message = decode_frame(content)
            self.evidence.note_signed(message, make_id(self.rules.block_bytes(message)), content, was_kept=True)
        else:
            super().replay(kind, content)

    # --- blocks arrive --------------------------------------------------------------------------

    def on_block(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """A block, from a peer or (connection None) made here."""
        canonical, slot = self.rules.block_bytes(message), message["slot"]
        block_id = make_id(canonical)
        self.sync.on_block_came(connection, block_id, message["parent"])
        if self.waiting_blocks.is_known(block_id):
            self._on_known_block(connection, block_id, message, canonical)
            return
        if rules.is_from_the_future(slot, self.clock.slot()) and not self.keeper.is_replaying:
            self.clock.on_future_block(connection, slot, lambda: self.rules.check_block(message, canonical))
            return
        if self._is_surplus(block_id, message["creator"], slot):
            return
        value = self.rules.check_block(message, canonical, was_kept=self.keeper.is_replaying)
        self.fetcher.on_came(block_id, connection)
        block = Block(block_id, slot, message["parent"], message["creator"], value, message["transactions"],
                      without_padding(frame, message))
        self.evidence.note_signed(message, block_id, block.frame)
        self.aside.hold(block)
        self._enter(block, connection)

    def _on_known_block(self, connection: Connection | None, block_id: str, message: Message, canonical: bytes) -> None:
        """A block has come again: check a new signature. If it waits, this neighbour can be asked for what it lacks."""
        known = self.waiting_blocks.frame_of(block_id)
        if not known or decode_frame(known) != message:
            self.rules.check_signature(message, canonical)
        if connection in self.links and block_id in self.waiting_blocks:
            self.waiting_blocks.on_copy(block_id, connection)

    def _is_surplus(self, block_id: str, creator: str, slot: int) -> bool:
        """Is this a third block of its creator for one slot, or one that has entered the tree before? Not if another
        creator's block builds on it: then it must enter, whatever the limit, so that the other one can."""
        return (self.evidence.is_surplus(creator, slot, block_id) and not self.keeper.is_replaying
                and not self.waiting_blocks.is_built_upon(block_id, creator))

    def is_copy(self, connection: Connection, frame: bytes) -> bool:
        """A block in an answer to `get_chain` is handled even if it came before: it tells how far the answer goes."""
        return super().is_copy(connection, frame) and not self.sync.is_asking(connection)

    # --- blocks wait, and enter the tree --------------------------------------------------------

    def _can_be_judged(self, block: Block) -> bool:
        """Is all that it needs here, or is it invalid whatever comes later?"""
        return (block.parent_id in self.waiting_blocks.invalid or rules.names_a_block(block, self.tree)
                or (block.parent_id in self.tree and not self.lacking(block.transactions)))

    def _postpone(self, block: Block, connection: Connection | None) -> None:
        """Let a block wait while the node fetches what it lacks."""
        lacking = self.lacking(block.transactions) + [block.parent_id] * (block.parent_id not in self.tree)
        if not self.waiting_blocks.postpone(block, lacking, connection):
            self.sync.on_no_room(connection)

    def _enter_waiting(self, entry: PostponedBlock) -> None:
        """A block that waited can be judged."""
        try:
            self._enter(entry.block, entry.connection)
        except Invalid as error:
            if entry.connection is not None:
                self.refusals.report_invalid(entry.connection, str(error))
        self.sync.on_no_longer_waiting(entry.connection)

    def _enter(self, block: Block, connection: Connection | None) -> None:
        """A block has come, or what it lacked: it enters the tree if it is valid, and those that wait for it follow."""
        if not self._can_be_judged(block):
            self._postpone(block, connection)  # even if it has waited: what it needs may have left, to make room
        elif self._is_surplus(block.id, block.creator, block.slot):
            self.aside.release(block)  # others of its slot have entered while it waited
        else:
            self._put_into_tree(block, connection)
        if block.id in self.tree:
            self.waiting_blocks.on_arrived(block.id)

    def _put_into_tree(self, block: Block, connection: Connection | None) -> None:
        """Put a block into the tree and pass it on. If it is not valid, refuse all that builds on it; raise Invalid."""
        try:
            block.parent = rules.check_place(block, self.tree)
            self.ledger.execute(block)
        except InvalidBlock as error:
            self.aside.release(block)
            self.waiting_blocks.refuse_branch(block.id)
            raise Invalid(f"block of slot {block.slot}: {error}") from None
        path = self.tree.add(block)
        self.fetcher.forget([block.id])
        self._note_entered(block, connection)
        self.chain.on_entered(block, path)
        for surplus in self.chain.remove_surplus(block):
            self.neighbours.seen_frames.discard(hash(surplus.frame))  # it may be asked for, and come again

    def _note_entered(self, block: Block, connection: Connection | None) -> None:
        """Keep a block of the tree. Report it the first time; pass on the first two of its creator for a slot."""
        for transaction_id in self.aside.on_entered(block):
            self.keeper.keep("transaction", self.frames[transaction_id])
        self.keeper.keep("block", block.frame)  # each time that it enters: a replay removes it where this run did
        number = self.evidence.note_entered(block.creator, block.slot, block.id)
        if number > 0:
            self.report("block", **block.describe())
        if 1 <= number <= MAX_TWINS:
            self.spread(block.frame, connection)

    # --- transactions ---------------------------------------------------------------------------

    def check_transaction(self, message: Message, canonical: bytes) -> None:
        """Invalid, too, if the amount is below the fee (contract §3, stage 5)."""
        rules.check_amount(message)
        super().check_transaction(message, canonical)

    def is_kept(self, transaction_id: str) -> bool:
        """Not if it is here only for some blocks: then it can still come in like any other, when there is room."""
        return super().is_kept(transaction_id) and transaction_id not in self.aside

    def keep_transaction(self, transaction: Transaction, frame: bytes) -> None:
        """Keep a transaction permanently, whatever becomes of the blocks that it has come in for."""
        self.aside.take([transaction.id])
        super().keep_transaction(transaction, frame)

    def on_no_room(self, transaction: Transaction, frame: bytes) -> None:
        """What a block needs comes in nevertheless, for as long as the block is here."""
        super().on_no_room(transaction, frame)
        if needed_by := self.waiting_blocks.needed_by(transaction.id):
            self.aside.add(transaction, frame, needed_by)
            self.waiting_blocks.on_arrived(transaction.id)
            self.waiting_blocks.make_room()

    def on_full_pool(self) -> None:
        """Let go of what its sender could pay when it came, and cannot any longer."""
        self.chain.make_room()

    def is_lacking(self, transaction_id: str) -> bool:
        """A block that has come is not lacking either, even if somebody lists it among transactions."""
        return super().is_lacking(transaction_id) and not self.waiting_blocks.is_known(transaction_id)

    def find_frame(self, wanted: str) -> bytes | None:
        """`want` can ask for blocks, too."""
        block = self.tree.blocks.get(wanted)
        return super().find_frame(wanted) if block is None else block.frame or None

    # --- the user -------------------------------------------------------------------------------

    def command_send(self, arguments: list[str]) -> None:
        """`/send TO AMOUNT [--from N]`: make a transaction, perhaps from a genesis account played here."""
        if len(arguments) != 4 or arguments[2] != "--from":
            super().command_send(arguments)
            return
        played = {str(number): key for number, key in self.stakes.items()}
        if arguments[3] not in played:
            raise CommandError("expected a genesis account played here:"
                               f" {', '.join(played) or 'none is (see --forge)'}", "ACCOUNT")
        self.send_from(played[arguments[3]], arguments[:2])

    def advise_on_funds(self, key: PrivateKey, amount: int) -> str:
        """Name the genesis accounts played here that have the amount: a new node's own account has nothing."""
        if not self.stakes:
            return "; --from N needs a genesis account that is played here (see --forge), and none is"
        able = [str(number) for number, stake in self.stakes.items() if self.available(stake.account) >= amount]
        if not able:
            return "; and no genesis account that is played here has that much"
        return f"; genesis accounts that are played here and have it: {', '.join(able)}; add --from {able[0]}"

    def command_tree(self, arguments: list[str]) -> None:
        """`/tree`: draw the newest blocks for people, the best chain marked; programs get all blocks."""
        self.COMMANDS["tree"].expect(arguments)
        blocks = [block.describe() for block in self.tree.blocks.values() if block is not self.tree.root]
        self.network.report("tree", {"blocks": blocks}, lambda _: draw_tree(self.tree))

    def describe_blocks(self) -> list[dict[str, Any]]:
        """The best chain, oldest first."""
        return [block.describe() for block in self.tree.chain[1:]]

    def describe_status(self) -> dict[str, Any]:
        """How far the chain is, and what has happened to it."""
        return {"slot": self.clock.slot(), "height": self.tree.best.height, "tip": self.tree.best.id,
                "blocks": len(self.tree), "waiting": self.waiting_blocks.count(), "pool": len(self.pool),
                "rollbacks": self.chain.rollbacks, "longest_rollback": self.chain.longest_rollback}
