"""Journals of a long life, written directly: what nodes would keep in hours, without the hours."""

import hashlib
import time
from pathlib import Path

from common.encoding import Message, canon, encode_base64, encode_frame, make_id
from common.journal import Journal
from stage4_sequencer.genesis import Genesis as SequencerGenesis
from stage5_pos import lottery
from stage5_pos.genesis import Genesis, make_genesis
from tests.fixtures import kept_key

SENDER, RECEIVER = kept_key(1).account, kept_key(2).account
MILLION = 1_000_000


def some_base64(seed: str, size: int = 256) -> str:
    """Bytes in base64 that look like a signature but are none. A node does not check again what its journal holds."""
    return encode_base64((hashlib.sha256(seed.encode()).digest() * 8)[:size])


def write_transactions(journal: Journal, network: str, first: int, count: int) -> list[str]:
    """Put transactions of one unit each into the journal. Return their ids."""
    ids = []
    for number in range(first, first + count):
        message = {"type": "transaction", "nonce": f"{number:032x}", "from": SENDER, "to": RECEIVER, "amount": 1}
        ids.append(make_id(canon(["transaction", network, *list(message.values())[1:]])))
        journal.append("transaction", encode_frame({**message, "signature": some_base64(ids[-1])}))
    return ids


def begin(folder: Path, stage: int, genesis: SequencerGenesis | Genesis) -> Journal:
    """A journal with a genesis."""
    journal = Journal(folder)
    journal.note("stage", str(stage))
    journal.note("network", genesis.id)
    journal.append("genesis", encode_frame(genesis.message()))
    return journal


def write_sequenced(folder: Path, blocks: int, per_block: int) -> None:
    """A life of stage 4: `blocks` blocks, each with `per_block` transactions."""
    genesis = SequencerGenesis("0" * 32, kept_key(3).account, 10_000, [SENDER, RECEIVER], [MILLION, MILLION])
    journal = begin(folder, 4, genesis)
    for number in range(blocks):
        ids = write_transactions(journal, genesis.id, number * per_block, per_block)
        block = {"type": "block", "number": number, "transactions": ids, "signature": some_base64(f"block {number}")}
        journal.append("block", encode_frame(block))
    journal.commit()
    journal.close()


def write_chain(folder: Path, blocks: int, per_block: int) -> None:
    """A life of stage 5: a chain of `blocks` blocks without a fork, each with `per_block` transactions."""
    accounts = [kept_key(number).account for number in range(1, 11)]
    start_ms = time.time_ns() // 1_000_000 - 2 * blocks * 1_000
    genesis = make_genesis("5e" * 32, start_ms, 1_000, 999, accounts, [MILLION] * 10)
    journal = begin(folder, 5, genesis)
    parent = genesis.id
    for number in range(blocks):
        ids = write_transactions(journal, genesis.id, number * per_block, per_block)
        block = winning_block(genesis, slot=number + 1, parent=parent, ids=ids)
        journal.append("block", encode_frame({**block, "signature": some_base64(f"block {number}")}))
        parent = make_id(canon(["block", genesis.id, *list(block.values())[1:]]))
    journal.commit()
    journal.close()


def winning_block(genesis: Genesis, slot: int, parent: str, ids: list[str]) -> Message:
    """A block of the first account, with a draw that wins. Nobody has signed the block or the draw."""
    threshold = genesis.winning_thresholds()[SENDER]
    tries = (some_base64(f"draw {slot} {number}") for number in range(1_000))
    draw = next(draw for draw in tries if lottery.ticket_value(genesis.seed, slot, SENDER, draw) < threshold)
    return {"type": "block", "slot": slot, "parent": parent, "creator": SENDER, "draw": draw, "transactions": ids}
