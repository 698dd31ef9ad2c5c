"""Two things that stay bounded however often they are used: an allowance for each second, and a set that forgets."""

from common.limits import MAX_SEEN


class Allowance:
    """Something that may be done `burst` times at once, and `per_second` times a second after that."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._counted_at = 0.0

    def take(self, now: float) -> bool:
        """May it be done once more, at this time in seconds?"""
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Recent:
    """A set that forgets its oldest entries, in two generations, so that it stays bounded."""

    def __init__(self, generation: int = MAX_SEEN) -> None:
        self._generation = generation
        self._young: set[str | int] = set()
        self._old: set[str | int] = set()

    def __contains__(self, entry: str | int) -> bool:
        return entry in self._young or entry in self._old

    def add(self, entry: str | int) -> None:
        """Remember `entry`, at least until `generation` others have been added after it."""
        if len(self._young) >= self._generation:
            self._old, self._young = self._young, set()
        self._young.add(entry)

    def discard(self, entry: str | int) -> None:
        """Forget `entry` now."""
        self._young.discard(entry)
        self._old.discard(entry)
