"""Stage 5: a proof-of-stake blockchain sets the order, and nobody in particular makes the blocks.

Unlike stage 4:
- in each slot a lottery by stake says who may make a block (lottery.py), and everyone can check it;
- blocks form a tree, since two winners may not know of each other (tree.py); the longest chain counts;
- the ledger is that of the best chain; when another branch becomes best it is rolled back (ledger.py);
- a block with a transaction that is not valid at its point is refused whole; who makes a block earns by it.

What a node does with a block that arrives is in chain.py, how it gets those that it has missed in catching_up.py.
Here is how one is made.
"""

from collections.abc import Callable

from common.encoding import Message, encode_frame
from common.limits import MAX_BLOCK_IDS
from common.rsa import PrivateKey
from common.interface import Command, CommandError, Invalid, Network
from stage4_sequencer.total_order import TotalOrderSetup
from stage5_pos import lottery
from stage5_pos.catching_up import CatchingUpNode
from stage5_pos.chain import seconds
from stage5_pos.genesis import Genesis
from stage5_pos.ledger import FEE
from stage5_pos.tree import Block


class StakeNode(CatchingUpNode):
    """A node of the blockchain. With keys of genesis accounts it makes blocks for them."""

    COMMANDS: dict[str, Command] = {
        **CatchingUpNode.COMMANDS,
        "send": Command("/send TO AMOUNT [--from N]", "transfer AMOUNT from this node's account,"
                                                      " or from genesis account N if it is played here"),
        "tree": Command("/tree", "draw the tree of blocks"),
    }

    def __init__(self, network: Network, address: str, setup: TotalOrderSetup, stakes: dict[int, PrivateKey],
                 found_with: Callable[[], tuple[Genesis, dict[int, PrivateKey]]]) -> None:
        """`stakes` has the keys of the genesis accounts that are played here, by their number from 1 on;
        `found_with` gives a genesis and such keys, when this node comes to found a network."""
        super().__init__(network, address, setup)
        self.stakes = stakes
        self.found_with = found_with
        self.last_slot = 0
        """The slot in which this node took part in the lottery last: each slot only once."""
        self.told_of_slot = 0
        """The `last_slot` of which the user was told that it is in the future. At first the genesis, which has its own
        words for that."""

    # --- the lottery ----------------------------------------------------------------------------

    def make_genesis(self) -> Genesis:
        """Make the genesis of a new network, with the stakes that its founder plays."""
        genesis, self.stakes = self.found_with()
        return genesis

    def begin_with(self, genesis: Genesis) -> None:
        """Take part from the next slot on: before a restart this node may have drawn for the present one."""
        super().begin_with(genesis)
        self.last_slot = max(0, self.slot())

    def on_ready(self) -> None:
        """Play the genesis accounts whose keys are here."""
        super().on_ready()
        for number in [number for number, key in self.stakes.items() if key.account not in self.thresholds]:
            self.report_error("ACCOUNT", f"key {number} is of no account in this network's genesis;"
                                         " name others by --forge, or their folder by --keys")
            del self.stakes[number]
        if self.stakes:
            self.await_slot()

    def await_slot(self) -> None:
        """Be back when the next slot begins."""
        begins_ms = self.genesis.slot_start(self.slot() + 1)
        self.network.after((begins_ms - self.network.unix_ms()) / 1000, self.on_slot)

    def on_slot(self) -> None:
        """A slot has begun: draw for each stake played here, and make a block with the best draw that wins."""
        self.await_slot()
        slot = self.slot()
        if slot < self.last_slot and self.last_slot != self.told_of_slot:
            self.tell_clock_went_back()
        if slot > self.last_slot:
            self.last_slot = slot
            tickets = []
            for key in self.stakes.values():
                draw = lottery.make_draw(key, self.genesis.seed, slot)
                value = lottery.ticket_value(self.genesis.seed, slot, key.account, draw)
                if lottery.is_winning(value, self.thresholds[key.account]):
                    tickets.append((value, draw, key))
            if tickets:
                # Before anything is signed: killed in between, this node does not sign for the slot again.
                self.keeper.keep("slot", str(slot).encode())
                self.commit()
                self.make_block(slot, *min(tickets, key=lambda ticket: ticket[0]))

    def tell_clock_went_back(self) -> None:
        """Tell the user once that no block is made until the clock is where it was: a slot is drawn for once."""
        self.told_of_slot = self.last_slot
        left = self.genesis.slot_start(self.last_slot + 1) - self.network.unix_ms()
        self.report_error("NETWORK", f"this machine's clock has gone back: no block is made for {seconds(left)}, until"
                                     f" it is past slot {self.last_slot} again; look at the clock")

    def replay(self, kind: str, content: bytes) -> None:
        """The journal also tells in which slots this node has drawn a winning ticket."""
        if kind == "slot":
            self.last_slot = max(self.last_slot, int(content))
        else:
            super().replay(kind, content)

    def make_block(self, slot: int, value: int, draw: str, key: PrivateKey) -> None:
        """Make a block on the best chain. Make none if it would rank below another block of this slot, or if the
        account has signed one for it already, at another node that plays the account too."""
        if (key.account, slot) in self.signed_blocks:
            return
        parent = self.tree.best
        while parent.slot >= slot and parent.parent is not None:
            parent = parent.parent
        if (-parent.height - 1, value) > self.tree.best.rank[:2]:
            return
        ids = self.choose_transactions(parent)
        message = {"type": "block", "slot": slot, "parent": parent.id, "creator": key.account, "draw": draw,
                   "transactions": ids}
        message["signature"] = key.sign(self.block_bytes(message))
        self.on_block(None, message, encode_frame(message))

    def choose_transactions(self, parent: Block) -> list[str]:
        """Take from the pool, in order of arrival, what is valid at its point; the others stay."""
        return self.ledger.choose_valid(parent, list(self.pool.transactions()), MAX_BLOCK_IDS)

    # --- transactions ---------------------------------------------------------------------------

    LOWEST_AMOUNT = FEE

    def check_transaction(self, message: Message, canonical: bytes) -> None:
        """Invalid also if the amount does not even pay the fee (contract §3, stage 5)."""
        if message["amount"] < FEE:
            raise Invalid(f"transaction: the amount is below the fee of {FEE}")
        super().check_transaction(message, canonical)

    # --- the user -------------------------------------------------------------------------------

    def command_send(self, arguments: list[str]) -> None:
        """`/send TO AMOUNT [--from N]`: make a transaction, also from a genesis account played here."""
        if len(arguments) == 4 and arguments[2] == "--from":
            self.send_from(self.find_stake(arguments[3]), arguments[:2])
        else:
            super().command_send(arguments)

    def advise_on_funds(self, key: PrivateKey, amount: int) -> str:
        """Name the genesis accounts played here that have the amount: a new node's own account has nothing."""
        if not self.stakes:
            return "; --from N needs a genesis account that is played here (see --forge), and none is"
        able = [str(number) for number, stake in self.stakes.items() if self.available(stake.account) >= amount]
        if not able:
            return "; and no genesis account that is played here has that"
        return f"; genesis accounts that are played here and have it: {', '.join(able)}; add --from {able[0]}"

    def find_stake(self, number: str) -> PrivateKey:
        """The key of the genesis account with this number."""
        played = {str(number): key for number, key in self.stakes.items()}
        if number not in played:
            raise CommandError(f"expected a genesis account that is played here: {', '.join(played) or 'none is'}",
                               "ACCOUNT")
        return played[number]

    def command_tree(self, arguments: list[str]) -> None:
        """`/tree`: draw all blocks, the best chain marked."""
        self.expect_arguments("tree", arguments)
        blocks = [self.describe_block(block) for block in self.tree.blocks.values() if block is not self.tree.root]
        self.network.report("tree", {"blocks": blocks}, self.tree.draw())
