"""Blocks that wait until all that they need is there."""

from collections.abc import Iterable, Iterator


class Waiting:
    """Which block lacks which ids, and the other way round. Both are ids as strings."""

    def __init__(self) -> None:
        self._lacking: dict[str, set[str]] = {}
        self._waiting_for: dict[str, tuple[str, ...]] = {}

    def __contains__(self, block_id: str) -> bool:
        return block_id in self._lacking

    def __iter__(self) -> Iterator[str]:
        """The blocks, longest wait first."""
        return iter(self._lacking)

    def lacking(self, block_id: str) -> set[str]:
        """What a block waits for."""
        return self._lacking[block_id]

    def add(self, block_id: str, lacking: Iterable[str]) -> None:
        """Let a block wait for the ids that it lacks; at least one."""
        self._lacking[block_id] = set(lacking)
        alone = (block_id,)  # one for all ids that only this block needs: there may be fifty thousand
        for needed in self._lacking[block_id]:
            self._waiting_for[needed] = self._waiting_for.get(needed, ()) + alone

    def on_arrived(self, needed: str) -> list[str]:
        """Something has come; give the blocks that lack nothing any more, and wait no longer."""
        complete = []
        for block_id in self._waiting_for.pop(needed, ()):
            self._lacking[block_id].discard(needed)
            if not self._lacking[block_id]:
                del self._lacking[block_id]
                complete.append(block_id)
        return complete

    def needed_by(self, needed: str) -> list[str]:
        """The blocks that wait for this id."""
        return list(self._waiting_for.get(needed, ()))

    def discard(self, block_id: str) -> list[str]:
        """Let a block wait no more; give the ids that no other block waits for."""
        unneeded = []
        for needed in self._lacking.pop(block_id, ()):
            others = tuple(other for other in self._waiting_for.pop(needed) if other != block_id)
            if others:
                self._waiting_for[needed] = others
            else:
                unneeded.append(needed)
        return unneeded
