"""The lottery: in each slot, every stake holder draws once, and wins with a chance that follows its stake.

- A draw is a signature over the seed and the slot. It must be unique: a text has one signature, and a
  signature has one encoding, so a stake holder cannot go on drawing until it likes the result.
  `verify` in common/rsa.py sees to both.
- Somebody may make a key on purpose so that 65,537 divides p - 1, where p is a prime factor of the
  modulus. Then one text in 65,537 has 65,537 signatures, and the others have none. On average that is
  one draw for a slot, as with any key.
- Nobody can draw for another, since that takes the private key; everyone can check a draw.
- A ticket is bound to the seed and to the slot. So a draw is worth nothing in another network, or in
  another slot, and nobody can collect tickets before the seed is known.
- Splitting a stake over several keys gains nothing. An account with share s of the stake wins a slot
  with chance 1 - (1 - f)^s. Two accounts with shares a and b both lose with chance
  (1 - f)^a (1 - f)^b = (1 - f)^(a + b), just as one account with both would.
"""

import hashlib

from common.encoding import canon
from common.rsa import PrivateKey


def lottery_bytes(seed: str, slot: int) -> bytes:
    """What a stake holder signs to draw in a slot (contract §3, stage 5)."""
    return canon(["lottery", seed, slot])


def make_draw(key: PrivateKey, seed: str, slot: int) -> str:
    """The one draw of the owner of `key` in a slot, in base64."""
    return key.sign(lottery_bytes(seed, slot))


def ticket_value(seed: str, slot: int, account: str, draw: str) -> int:
    """The number on the ticket of a draw, from 0 to 2^256 - 1 (contract §3, stage 5)."""
    # Why the hash of the draw, and not the draw itself? A draw is a signature: a number below the modulus of its key.
    # So the owner of a key with a small modulus would draw small numbers, and win more often. A hash can be any number,
    # each as likely as the others, whatever the key.
    ticket = hashlib.sha256(canon(["ticket", seed, slot, account, draw]))
    return int.from_bytes(ticket.digest(), "big")


def is_winning(value: int, threshold: int) -> bool:
    """May the owner of a ticket make a block? The threshold is that of its account in the genesis."""
    return value < threshold
