"""What tests of several folders need: the keys that were made once and are kept in tests/keys."""

from functools import lru_cache
from pathlib import Path

from common.rsa import PrivateKey
from common.wallets import load_key

KEYS = Path(__file__).parent / "keys"


@lru_cache
def kept_key(number: int) -> PrivateKey:
    """The key in tests/keys/key-`number`.pem, 1 to 12. (Were it called `test_key`, pytest would run it.)"""
    return load_key(KEYS / f"key-{number}.pem")
