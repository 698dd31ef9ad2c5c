"""Several blocks of one creator for one slot (equivocation): the proof, and how many of them enter the tree.

The winner of a slot can sign any number of blocks for it. Two of them are proof, which everyone reports and keeps. More
cost their creator nothing, so only the first `MAX_TWINS` enter the tree by themselves.
"""

from collections.abc import Callable

from common.encoding import Message
from stage4_sequencer.limits import MAX_EVIDENCE
from stage5_pos.limits import MAX_TWINS

SlotOfCreator = tuple[str, int]


class Evidence:
    """The blocks of each creator for each slot."""

    def __init__(self, find_frame: Callable[[str], bytes], keep: Callable[[str, bytes], None],
                 report: Callable[..., None]) -> None:
        """`find_frame` gives the frame of an earlier block, empty if it is no longer here. `keep` puts a kind and a
        frame into the journal. `report` tells the user of an event and its members."""
        self._find_frame = find_frame
        self._keep = keep
        self._report = report
        self.signed: dict[SlotOfCreator, list[str]] = {}
        """Creator and slot -> the ids of the first two blocks signed. Two are evidence."""
        self._entered: dict[SlotOfCreator, list[str]] = {}
        """Creator and slot -> the ids of the blocks that have ever entered the tree, oldest first."""
        self._convicted: set[str] = set()
        """The creators against whom evidence is kept."""

    def note_signed(self, message: Message, block_id: str, frame: bytes, was_kept: bool = False) -> None:
        """Remember who has signed this block: two in one slot are evidence against their creator. `was_kept`: the block
        is read back from the evidence in the journal."""
        creator, slot = message["creator"], message["slot"]
        signed = self.signed.setdefault((creator, slot), [])
        if block_id in signed or len(signed) >= 2:
            return
        signed.append(block_id)
        if len(signed) == 2:
            self._keep_proof(creator, [self._find_frame(signed[0]), frame], was_kept)
            self._report("equivocation", creator=creator, slot=slot, ids=list(signed))

    def _keep_proof(self, creator: str, frames: list[bytes], was_kept: bool) -> None:
        """Keep both blocks of an equivocation: one proof is enough against each creator. If the first one is no longer
        here, this is no proof, and the next pair may be one."""
        if (creator not in self._convicted and len(self._convicted) < MAX_EVIDENCE
                and (was_kept or all(frames))):  # the journal has both, even if the first never entered the tree
            self._convicted.add(creator)
            for frame in frames:
                self._keep("evidence", frame)

    def note_entered(self, creator: str, slot: int, block_id: str) -> int:
        """A block has entered the tree. Give how many blocks of its creator for that slot have entered, this one
        included; 0 if this one had entered before."""
        entered = self._entered.setdefault((creator, slot), [])
        if block_id in entered:
            return 0
        entered.append(block_id)
        return len(entered)

    def is_surplus(self, creator: str, slot: int, block_id: str) -> bool:
        """Is this a third block of its creator for one slot, or one that has entered the tree before?"""
        entered = self._entered.get((creator, slot), [])
        return len(entered) >= MAX_TWINS or block_id in entered
