"""What tests of several folders need: the keys that were made once and are kept in tests/keys."""

from functools import lru_cache
from pathlib import Path

from common.rsa import PrivateKey
from common.rsa import load_key

KEYS = Path(__file__).parent / "keys"


class KeptKey(PrivateKey):
    """A key that remembers what it has signed. There is only one signature over some bytes, and making it takes longer
    than most tests do otherwise."""

    def __init__(self, key: PrivateKey) -> None:
        super().__init__(key.key)
        self._signatures: dict[bytes, str] = {}

    def sign(self, canonical: bytes) -> str:
        """The one signature over `canonical`, in base64."""
        if canonical not in self._signatures:
            self._signatures[canonical] = super().sign(canonical)
        return self._signatures[canonical]


@lru_cache
def kept_key(number: int) -> PrivateKey:
    """The key in tests/keys/key-`number`.pem, 1 to 12. (Were it called `test_key`, pytest would run it.)"""
    return KeptKey(load_key(KEYS / f"key-{number}.pem"))
