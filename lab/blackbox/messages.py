"""The messages of contract §3 as a scripted peer makes them, and their ids. Written from the contract alone."""

import hashlib
import json
from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Any

from lab.blackbox.keys import Key
from lab.blackbox.peer import Event, make_nonce

CANONICAL = {
    "chat": ("nonce", "text"),
    "presence": ("nonce", "address"),
    "transaction": ("nonce", "from", "to", "amount"),
}
"""The members of a message that are hashed and signed, after its type and the network."""
BLOCK = {4: ("number", "transactions"), 5: ("slot", "parent", "creator", "draw", "transactions")}
GENESIS = {4: ("nonce", "sequencer", "interval_ms", "accounts", "balances"),
           5: ("seed", "start_ms", "slot_ms", "block_permille", "accounts", "balances", "thresholds")}


def canon(values: Sequence[Any]) -> bytes:
    """The canonical bytes of contract §1."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def hash_of(values: Sequence[Any]) -> str:
    """The id of a message with these canonical values."""
    return hashlib.sha256(canon(values)).hexdigest()


def values_of(message: Event, network: str, stage: int) -> list[Any]:
    """The values of a message that are hashed and signed."""
    kind = message["type"]
    if kind == "genesis":
        return ["genesis", stage, *(message[name] for name in GENESIS[stage])]
    return [kind, network, *(message[name] for name in (BLOCK[stage] if kind == "block" else CANONICAL[kind]))]


def id_of(message: Event, network: str, stage: int = 5) -> str:
    """The id of a message."""
    return hash_of(values_of(message, network, stage))


def signed(message: Event, network: str, key: Key, stage: int) -> Event:
    """The message, signed with `key`."""
    return {**message, "signature": key.sign(canon(values_of(message, network, stage)))}


# --- money ------------------------------------------------------------------------------------------

def plain_transaction(sender: str = "alice", receiver: str = "bob", amount: Any = 1) -> Event:
    """A transaction of stage 2 that is new to everyone."""
    return {"type": "transaction", "nonce": make_nonce(), "from": sender, "to": receiver, "amount": amount}


def transaction(network: str, sender: Key, receiver: str, amount: int = 1, **changes: Any) -> Event:
    """A transaction of stages 3 to 5. The `changes` are made before it is signed."""
    return signed({**plain_transaction(sender.account, receiver, amount), **changes}, network, sender, 3)


# --- stage 4 ----------------------------------------------------------------------------------------

def sequencer_genesis(sequencer: Key, balances: dict[str, int], interval_ms: int = 10_000) -> Event:
    """A genesis of stage 4."""
    return {"type": "genesis", "nonce": make_nonce(), "sequencer": sequencer.account, "interval_ms": interval_ms,
            "accounts": list(balances), "balances": list(balances.values())}


def sequencer_block(network: str, sequencer: Key, number: int, ids: Sequence[str] = ()) -> Event:
    """A block of stage 4."""
    return signed({"type": "block", "number": number, "transactions": list(ids)}, network, sequencer, 4)


# --- stage 5 ----------------------------------------------------------------------------------------

def stake_genesis(start_ms: int, accounts: Sequence[str], balance: int = 1_000_000, slot_ms: int = 1_000,
                  permille: int = 999) -> Event:
    """A genesis of stage 5, in which all accounts have the same balance."""
    threshold = f"{threshold_of(1, len(accounts), permille):064x}"
    return {"type": "genesis", "seed": make_nonce() * 2, "start_ms": start_ms, "slot_ms": slot_ms,
            "block_permille": permille, "accounts": list(accounts), "balances": [balance] * len(accounts),
            "thresholds": [threshold] * len(accounts)}


def threshold_of(balance: int, total: int, permille: int) -> int:
    """2^256 · (1 − (1 − f)^s), where s is balance / total. A ticket of the account wins if it is below this."""
    with localcontext() as context:
        context.prec = 120
        chance = 1 - (1 - Decimal(permille) / 1000) ** (Decimal(balance) / total)
        return min(int(2 ** 256 * chance), 2 ** 256 - 1)


def draw(genesis: Event, key: Key, slot: int) -> str:
    """The draw of an account in a slot."""
    return key.sign(draw_bytes(genesis, slot))


def draw_bytes(genesis: Event, slot: int) -> bytes:
    """The bytes that are signed for a draw."""
    return canon(["lottery", genesis["seed"], slot])


def ticket(genesis: Event, slot: int, account: str, drawn: str) -> int:
    """The value of a draw."""
    return int(hash_of(["ticket", genesis["seed"], slot, account, drawn]), 16)


def wins(genesis: Event, key: Key, slot: int) -> bool:
    """May this account make a block in that slot?"""
    threshold = int(genesis["thresholds"][genesis["accounts"].index(key.account)], 16)
    return ticket(genesis, slot, key.account, draw(genesis, key, slot)) < threshold


def stake_block(genesis: Event, key: Key, slot: int, parent: str, ids: Sequence[str] = (), **changes: Any) -> Event:
    """A block of stage 5. The `changes` are made before it is signed."""
    block = {"type": "block", "slot": slot, "parent": parent, "creator": key.account,
             "draw": draw(genesis, key, slot), "transactions": list(ids), **changes}
    return signed(block, id_of(genesis, "", 5), key, 5)
