"""How two nodes find out what one of them lacks (contract §3, stage 2).

Flooding brings a message to everyone who is there. Reconciliation brings it to those
who were not: two neighbours compare 256 sums over their ids, then the ids of the few
buckets whose sums differ, then the one that lacks something asks for it (fetcher.py).

Nothing here knows what the ids are of, or how a frame travels: any store of ids will do.
"""

from common.encoding import Field, is_id, is_matching

_is_prefix = is_matching("[0-9a-f]{2}")

BUCKET = Field(_is_prefix, "two lower-case hex digits")
BUCKETS = Field(
    lambda value: isinstance(value, dict) and all(_is_prefix(key) and is_id(xor) for key, xor in value.items()),
    "an object of two hex digits -> 64 hex digits")


class Buckets:
    """Ids, in 256 buckets by their first two hex digits, each with the XOR of its ids."""

    def __init__(self) -> None:
        self._ids: dict[str, list[str]] = {}
        self._sums: dict[str, int] = {}

    def add(self, new_id: str) -> None:
        """Put in an id that is not there yet."""
        bucket = new_id[:2]
        self._ids.setdefault(bucket, []).append(new_id)
        self._sums[bucket] = self._sums.get(bucket, 0) ^ int(new_id, 16)

    def summary(self) -> dict[str, str]:
        """Prefix -> XOR of its ids as 64 hex digits; prefixes without ids are left out."""
        return {bucket: f"{xor:064x}" for bucket, xor in sorted(self._sums.items())}

    def differing(self, summary: dict[str, str]) -> list[str]:
        """The prefixes in which another node's summary differs from this one's."""
        own = self.summary()
        return sorted(bucket for bucket in own.keys() | summary.keys() if own.get(bucket) != summary.get(bucket))

    def ids(self, bucket: str) -> list[str]:
        """The ids of one prefix."""
        return self._ids.get(bucket, [])
