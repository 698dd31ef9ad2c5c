"""Which nodes of the playground reach each other, and how fast: cuts, partitions and delays, by node numbers."""

from collections.abc import Callable, Collection, Sequence

from lab.nodes.faults import Faults, Place
from lab.live.words import shown_nodes


class NotCut(Exception):
    """There is no such cut to mend."""


class Wiring:
    """The proxies in front of the nodes, and their current faults."""

    def __init__(self, seed: int, numbers: Sequence[int], say: Callable[[str, str, Collection[int]], None]) -> None:
        """There is no fault at first. `say` is told of each change: kind, text, and the nodes that it is about."""
        self.numbers, self._say = numbers, say
        self._faults = Faults(seed)
        self.places: dict[int, Place] = {number: self._faults.add(str(number)) for number in numbers}
        self.cuts: set[frozenset[int]] = set()
        self.slowness: dict[int, float] = {}
        """Node -> the delay of all that goes to and from it, in seconds."""

    def cut(self, one: int, other: int) -> None:
        """Cut the connections between two nodes."""
        self.cuts.add(frozenset((one, other)))
        self._faults.cut(str(one), str(other))
        self._say("fault", f"{one} and {other} cannot reach each other", [])

    def mend(self, one: int, other: int) -> None:
        """End one cut; NotCut if there is none."""
        if frozenset((one, other)) not in self.cuts:
            raise NotCut(f"{one} and {other} are not cut off from each other")
        self.cuts.remove(frozenset((one, other)))
        self._faults.mend(str(one), str(other))
        self._say("fault", f"{one} and {other} can reach each other again, and try within 30 seconds", [])

    def partition(self, groups: Sequence[Collection[int]]) -> None:
        """Partition the network into these groups; earlier cuts end. Nodes in no group form one more group."""
        rest = set(self.numbers).difference(*groups)
        groups = [*groups, *([rest] if rest else [])]
        self._mend_all()
        self.cuts = {frozenset((one, other)) for place, group in enumerate(groups) for one in group
                     for later in groups[place + 1:] for other in later}
        self._faults.partition([[str(number) for number in group] for group in groups])
        self._say("fault", f"PARTITION: {'  |  '.join(map(shown_nodes, groups))}", [])

    def heal(self) -> None:
        """End all cuts and all slowness."""
        self._mend_all()
        self.slowness.clear()
        self._faults.heal()
        self._say("fault", "HEALED: nodes call each other again, within 30 seconds", [])

    def _mend_all(self) -> None:
        for one, other in map(sorted, self.cuts):
            self._faults.mend(str(one), str(other))
        self.cuts.clear()

    def slow(self, number: int, seconds: float) -> None:
        """Delay all that goes to and from a node; 0 ends the delay."""
        self.slowness.pop(number, None)
        if seconds:
            self.slowness[number] = seconds
        self._faults.delay(str(number), seconds)
        self._say("fault", f"slowed down by {seconds * 1000:g} ms" if seconds else "no longer slow", [number])

    def is_cut(self, one: int, other: int) -> bool:
        """Are these two cut off from each other?"""
        return frozenset((one, other)) in self.cuts

    def cut_from(self, number: int) -> list[int]:
        """The nodes that a node cannot reach."""
        return [other for other in self.numbers if self.is_cut(number, other)]

    def components(self) -> list[list[int]]:
        """The groups that cannot reach each other under the current cuts, not even through other nodes."""
        left, found = list(self.numbers), []
        while left:
            group = [left.pop(0)]
            for one in group:
                joined = [other for other in left if not self.is_cut(one, other)]
                group += joined
                left = [other for other in left if other not in joined]
            found.append(sorted(group))
        return found

    def describe(self) -> str:
        """The current faults of the proxies, in one line."""
        return self._faults.describe()

    def close(self) -> None:
        """End the proxies. End the nodes first."""
        self._faults.close()
