"""A set of ids that knows the sum of each of its parts. Two nodes compare these sums (contract §3, stage 2).

The ids are in a tree by their hex digits (a trie): the root holds all, its sixteen children those that begin with
0 … f, and so on, down to leaves of a few ids. Each part of the tree knows how many ids are in it and what their sum
is. So if two stores of a million ids differ in one id, the sums on the way down lead to it.

Why are ids added, and not XORed? With linear algebra, anybody can make a few hundred ids that have any XOR they like,
and then two stores that differ look equal. (Meyer, "Range-Based Set Reconciliation", 2023; negentropy, which Nostr
uses, adds for the same reason.) Only older and minimal nodes, which do not know `sums`, still compare XORs.
"""

import struct
from collections.abc import Iterable, Iterator

HEX_DIGITS = "0123456789abcdef"

MAX_LEAF = 32
"""Ids in a leaf; with more it is split. Larger leaves take longer to compare, smaller ones take memory."""

Sum = tuple[int, int]
"""How many ids, and their sum. Sums are compared modulo 2^256."""

_LAST_256_BITS = 2**256 - 1


class _Part:
    """The ids that begin with the same digits: a leaf, or sixteen parts by the next digit."""

    __slots__ = ("children", "count", "ids", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0
        self.ids: list[str] = []
        """The ids, in a leaf; otherwise empty."""
        self.children: dict[str, _Part] | None = None
        """The sixteen parts by the next digit, 0 to f; None in a leaf."""

    def count_in(self, value: int) -> None:
        """Count one more id, given as a number."""
        self.count += 1
        self.sum += value

    def split(self, depth: int) -> None:
        """Make sixteen parts of a leaf, whose ids have `depth` digits in common."""
        self.children = {digit: _Part() for digit in HEX_DIGITS}
        for one in self.ids:
            child = self.children[one[depth]]
            child.count_in(int(one, 16))
            child.ids.append(one)
        self.ids = []
        for child in self.children.values():
            if child.count > MAX_LEAF:
                child.split(depth + 1)

    def merge(self) -> None:
        """Turn sixteen parts back into one leaf."""
        self.ids = list(self.all_ids())
        self.children = None

    def all_ids(self) -> Iterator[str]:
        """The ids in all leaves below."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield from part.ids
            waiting += (part.children or {}).values()


class IdTree:
    """A set of ids (64 hex digits each), with the sum of those that begin with any given digits, its prefix."""

    def __init__(self) -> None:
        self.root = _Part()
        """The part that holds all ids."""
        self._xors: dict[str, int] = {}
        """Two-digit prefix -> XOR of its ids, for the nodes that do not know `sums`."""

    def add(self, new_id: str) -> None:
        """Put in an id that is not there yet."""
        value, bucket = int(new_id, 16), new_id[:2]
        # Why XOR? Order does not matter, and one id is put in or taken out without looking at the others. But anybody
        # can make up ids that cancel each other out. So this is only for nodes that do not know `sums`.
        self._xors[bucket] = self._xors.get(bucket, 0) ^ value
        part = self.root
        for depth, digit in enumerate(new_id):
            part.count += 1
            part.sum += value
            if part.children is None:
                part.ids.append(new_id)
                if part.count > MAX_LEAF:
                    part.split(depth)
                break
            part = part.children[digit]

    def discard(self, known_id: str) -> None:
        """Take out an id, if it is there."""
        path = self._path(known_id)
        if known_id not in path[-1].ids:
            return
        value = int(known_id, 16)
        self._xors[known_id[:2]] ^= value
        path[-1].ids.remove(known_id)
        for part in path:
            part.count -= 1
            part.sum -= value
        # Merge at 16, and not as soon as 32 are left: otherwise the next id would split the leaf again.
        small = next((part for part in path if part.children is not None and part.count <= MAX_LEAF // 2), None)
        if small is not None:
            small.merge()

    def _path(self, prefix: str) -> list[_Part]:
        """The parts from the root to the one with this prefix, or to the leaf that holds its ids."""
        path = [self.root]
        for digit in prefix:
            if path[-1].children is None:
                break
            path.append(path[-1].children[digit])
        return path

    # --- what is compared -----------------------------------------------------------------------

    def sum(self, prefix: str) -> Sum:
        """Count and sum of the ids that begin with `prefix`."""
        path = self._path(prefix)
        if len(path) > len(prefix):
            return path[-1].count, path[-1].sum
        ids = [int(one, 16) for one in path[-1].ids if one.startswith(prefix)]
        return len(ids), sum(ids)

    def sums(self, prefix: str) -> list[Sum]:
        """The same for each of the sixteen prefixes that are one digit longer; `prefix` has at most 63 digits."""
        part = self._path(prefix)[-1]
        if part.children is not None:
            return [(child.count, child.sum) for child in part.children.values()]
        counts, sums = [0] * len(HEX_DIGITS), [0] * len(HEX_DIGITS)
        for one in part.ids:
            if one.startswith(prefix):
                digit = int(one[len(prefix)], 16)
                counts[digit] += 1
                sums[digit] += int(one, 16)
        return list(zip(counts, sums, strict=True))

    # --- what neighbours are told ---------------------------------------------------------------

    def ids(self, prefix: str) -> list[str]:
        """The ids that begin with `prefix`, in no special order."""
        path = self._path(prefix)
        if len(path) > len(prefix):
            return list(path[-1].all_ids())
        return [one for one in path[-1].ids if one.startswith(prefix)]

    def take(self, prefixes: list[str], most: int) -> list[str]:
        """Up to `most` ids that begin with one of `prefixes`. Prefixes whose ids are in the result are removed from the
        end of that list. A prefix with more than `most` ids is replaced by the sixteen that are one digit longer."""
        found: list[str] = []
        while prefixes:
            prefix = prefixes.pop()
            count, _ = self.sum(prefix)
            if count > most:
                prefixes += [prefix + digit for digit in HEX_DIGITS]
            elif count > most - len(found):
                prefixes.append(prefix)
                break
            else:
                found += self.ids(prefix)
        return found

    # --- the comparison of older and minimal nodes -----------------------------------------------

    def summary(self) -> dict[str, str]:
        """Two-digit prefix -> XOR of its ids as 64 hex digits; prefixes without ids are left out."""
        return {bucket: f"{xor:064x}" for bucket, xor in sorted(self._xors.items()) if self.sum(bucket)[0]}

    def differing(self, summary: dict[str, str]) -> list[str]:
        """The two-digit prefixes in which another node's summary differs from this one's."""
        own = self.summary()
        return sorted(bucket for bucket in own.keys() | summary.keys() if own.get(bucket) != summary.get(bucket))


def make_digests(sums: Iterable[Sum], salt: int) -> str:
    """The digests of the sums in one text, 8 hex digits each: the highest 32 of the 256 bits of the sum times the
    salt.

    Two different sums have the same digest for at most one in 2^31 of the odd salts (Dietzfelbinger et al., "A Reliable
    Randomized Algorithm for the Closest-Pair Problem", 1997), and the next comparison has another salt.
    """
    highest = [(total * salt & _LAST_256_BITS) >> 224 for _, total in sums]
    return struct.pack(f">{len(highest)}I", *highest).hex()
