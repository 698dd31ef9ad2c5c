"""What tests in several folders need: the keys that were made once and are kept in tests/keys."""

from functools import lru_cache
from pathlib import Path

import pytest

from common.rsa import PrivateKey, load_key

KEYS = Path(__file__).parent / "keys"


class KeptKey(PrivateKey):
    """A key that remembers its signatures. There is only one signature over given bytes, and it takes longer to make
    than the rest of most tests."""

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
    """The key in tests/keys/key-`number`.pem, 1 to 12. (pytest would run a function called `test_key`.)"""
    return KeptKey(load_key(KEYS / f"key-{number}.pem"))


def note_signed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """A list of all that the kept keys sign from now on, in order."""
    signed = []
    sign = KeptKey.sign

    def note_and_sign(key: KeptKey, canonical: bytes) -> str:
        signed.append(canonical)
        return sign(key, canonical)

    monkeypatch.setattr(KeptKey, "sign", note_and_sign)
    return signed
