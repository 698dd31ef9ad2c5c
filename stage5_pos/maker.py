"""Makes blocks: it draws in each slot for the stakes that are played here, and signs a block if one of them wins."""

from collections.abc import Callable, Container

from common.encoding import Message
from common.rsa import PrivateKey
from stage4_sequencer.limits import MAX_BLOCK_IDS
from stage4_sequencer.pool import Pool
from stage5_pos import lottery
from stage5_pos.clock import SlotClock
from stage5_pos.ledger import TreeLedger
from stage5_pos.rules import Rules
from stage5_pos.tree import Block, Tree


class BlockMaker:
    """Makes the blocks of one node."""

    def __init__(self, clock: SlotClock, rules: Rules, stakes: dict[int, PrivateKey], tree: Tree, ledger: TreeLedger,
                 pool: Pool, signed: Container[tuple[str, int]], keep: Callable[[str, bytes], None],
                 commit: Callable[[], None], publish: Callable[[Message], None]) -> None:
        """`stakes` has the keys of the genesis accounts that are played here, by their number. `signed` has creator and
        slot of each block that has been seen. `keep` puts something into the journal, and `commit` makes it outlast a
        crash. `publish` gives a block to the node, as if it had come from a peer."""
        self.clock = clock
        self.rules = rules
        self.stakes = stakes
        self.tree = tree
        self.ledger = ledger
        self.pool = pool
        self._signed = signed
        self._keep = keep
        self._commit = commit
        self.publish = publish
        self.last_slot = 0
        """The last slot that this node has drawn for. It draws for each slot only once."""
        self._skip_current_slot()

    # --- no slot is signed for twice ------------------------------------------------------------
    # Why are there two guards? Without a journal, a node that is started again does not remember for which slots it has
    # signed a block. Two blocks for one slot would count as cheating. Each guard stops a case that the other one lets
    # through. (A third guard, in `make_block`, is for a stake that another node plays, too. It is also the only one
    # that helps if there is no journal and the clock was set back.)

    def _skip_current_slot(self) -> None:
        """Draw from the next slot on. This is for a node that is started again within a slot. It may have no journal,
        and then nothing else tells that it has drawn for this slot before."""
        self.last_slot = max(0, self.clock.slot())

    def skip_slots_until(self, slot: int) -> None:
        """Draw from the slot after this one on. The slot comes from the journal, where `_keep_slot` has put it. This is
        for a node whose clock was set back before it was started again: the same slots begin a second time, and the
        current one is before them."""
        self.last_slot = max(self.last_slot, slot)

    def _keep_slot(self, slot: int) -> None:
        """Put a slot into the journal before a block is signed for it. So even if this node is killed in between, it
        does not sign for the slot twice."""
        self._keep("slot", str(slot).encode())
        self._commit()

    # --- slots ----------------------------------------------------------------------------------

    def await_slot(self) -> None:
        """Schedule `on_slot` for the beginning of the next slot."""
        self.clock.call_at(self.clock.slot() + 1, self.on_slot)

    def on_slot(self) -> None:
        """A slot has begun: draw for each stake played here, and make a block with the best draw that wins."""
        self.await_slot()
        slot = self.clock.slot()
        self.clock.tell_if_it_went_back(self.last_slot)
        if slot > self.last_slot:
            self.last_slot = slot
            tickets = self.draw(slot)
            if tickets:
                # Several stakes of this node may have won. Two blocks would only compete, so the best draw makes one.
                self._keep_slot(slot)
                self.make_block(slot, *min(tickets, key=lambda ticket: ticket[0]))

    def draw(self, slot: int) -> list[tuple[int, str, PrivateKey]]:
        """The value, the draw and the key of each stake played here that wins the slot."""
        tickets = []
        for key in self.stakes.values():
            draw = lottery.make_draw(key, self.rules.seed, slot)
            value = lottery.ticket_value(self.rules.seed, slot, key.account, draw)
            if lottery.is_winning(value, self.rules.thresholds[key.account]):
                tickets.append((value, draw, key))
        return tickets

    # --- blocks ---------------------------------------------------------------------------------

    def make_block(self, slot: int, value: int, draw: str, key: PrivateKey) -> None:
        """Make a block on the best chain. Make none if it would rank below the tip of that chain (which may
        be of this slot or a later one), or if the account has already signed one for this slot (another node may play
        it, too)."""
        if (key.account, slot) in self._signed:
            return
        parent = self.find_parent(slot)
        if (-parent.height - 1, value) <= self.tree.best.rank[:2]:
            self.publish(self.sign_block(slot, parent.id, draw, key, self.choose_transactions(parent)))

    def find_parent(self, slot: int) -> Block:
        """The newest block of the best chain that can be the parent of a block of this slot."""
        parent = self.tree.best
        while parent.slot >= slot and parent.parent is not None:
            parent = parent.parent
        return parent

    def choose_transactions(self, parent: Block) -> list[str]:
        """Take from the pool, in order of arrival, what is valid after this block; the others stay."""
        return self.ledger.choose_valid(parent, list(self.pool.transactions()), MAX_BLOCK_IDS)

    def sign_block(self, slot: int, parent_id: str, draw: str, key: PrivateKey, ids: list[str]) -> Message:
        """A block, signed by its creator."""
        message: Message = {"type": "block", "slot": slot, "parent": parent_id, "creator": key.account, "draw": draw,
                            "transactions": ids}
        return {**message, "signature": key.sign(self.rules.block_bytes(message))}
