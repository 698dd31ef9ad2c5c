"""The test vectors of the contract, docs/vectors.json, made by this project's code. `python -m tests.house.vectors` writes it.

Nothing in them is random: the keys are those of tests/keys, and a signature has one form only. So a second run writes
the same file. second_opinion.py confirms it without this project's code.
"""

import hashlib
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from common.encoding import Message, canon, decode_base64, encode_base64, encode_frame, fingerprint, make_id
from common.rsa import PrivateKey
from stage1_chat.handshake import make_hello
from stage2_ledger.id_tree import IdTree, make_digests
from stage4_sequencer import genesis as stage4
from stage4_sequencer.order import Order
from stage5_pos import genesis as stage5
from stage5_pos import lottery
from stage5_pos.rules import Rules
from tests.common.keys_by_hand import der_of, signature_of
from tests.fixtures import kept_key
from tests.house.test_house import ROOT

PAGE = ROOT / "docs" / "vectors.json"
COMMAND = "python -m tests.house.vectors"

Vectors = dict[str, Any]

NETWORK = "0123456789abcdef" * 2
"""A network of stages 1 to 3."""
SEED = "5eed" * 16
START_MS = 1_700_000_000_000
KEYS = (1, 2, 3)
"""Numbers of files in tests/keys."""
BALANCES = [1_000_000, 2_500_000, 0]

TEXTS = [
    "hi",
    "<script> & \"quotes\" \\ / 'single'",
    "\b\t\n\f\r\x00\x0b\x1f\x7f\x80\x9f",
    "gr\u00fc\u00df \u20ac \u2028\u2029 \ufeff \ud7ff \uffff \U0001f600",
]
"""What JSON libraries write in different ways: what HTML or JavaScript would trip over, control characters, and
characters of one to four bytes of UTF-8."""


def make_vectors() -> Vectors:
    """All vectors, in the order of the contract."""
    return {
        "about": f"The test vectors of docs/contract.md, section 6. `{COMMAND}` writes them."
                 " The keys protect nothing: use them for tests only.",
        "frames": make_frames(),
        "canonical": [written(values) for values in canonical_values()],
        "keys": [make_key(kept_key(number), number) for number in KEYS],
        "refused_accounts": make_refused_accounts(kept_key(1)),
        "signatures": [make_signature(kept_key(number)) for number in KEYS],
        "refused_signatures": make_refused_signatures(kept_key(1)),
        "messages": [named(network, message, values) for network, message, values in all_messages()],
        "lottery": {"thresholds": make_thresholds(genesis_of_stage_5()),
                    "draws": [make_draw(kept_key(KEYS[1]), slot) for slot in slots_to_show()]},
        "comparison": make_comparison(),
        "orders": make_orders(),
    }


# --- bytes ----------------------------------------------------------------------------------------

def make_frames() -> list[Vectors]:
    """Two hellos, as this project writes them."""
    hellos = [make_hello(1, None, "127.0.0.1:5001"), make_hello(5, genesis_of_stage_5().id, "ledger.example:5005")]
    return [{"message": hello, "frame": encode_frame(hello).hex()} for hello in hellos]


def canonical_values() -> list[list[Any]]:
    """Arrays of the kinds that are hashed or signed."""
    return [*(["chat", NETWORK, "0" * 32, text] for text in TEXTS), ["", 0, 2**53 - 1, [], ["a", ""], [1, 20]]]


def written(values: list[Any]) -> Vectors:
    """An array, its canonical bytes and their hash."""
    return {"array": values, "bytes": canon(values).hex(), "sha256": make_id(canon(values))}


# --- keys and signatures --------------------------------------------------------------------------

def make_key(key: PrivateKey, number: int) -> Vectors:
    """A key, from the file to its fingerprint."""
    pem = key.key.export_key(pkcs=8)
    return {"private_key": pem.decode(), "account": key.account, "fingerprint": fingerprint(key.account)}


def make_refused_accounts(key: PrivateKey) -> list[Vectors]:
    """What looks like an account, and is none."""
    modulus = int(key.key.n)
    encoded = {
        "its exponent is 3": der_of(modulus, exponent=3),
        "its modulus is even": der_of(modulus - 1),
        "its modulus has 2,047 bits": der_of(modulus >> 1 | 1),
        "the parameters of its algorithm are missing, and NULL is expected": der_of(modulus, parameters=None),
        "a length in it is longer than it must be": with_a_long_length(decode_base64(key.account)),
    }
    return [{"account": encode_base64(der), "reason": reason} for reason, der in encoded.items()]


def with_a_long_length(der: bytes) -> bytes:
    """The same sequence, whose length is in three bytes instead of two: BER, and not DER."""
    return der[:1] + b"\x83\0" + der[2:]


def message_to_sign(number: int = 0) -> bytes:
    """Canonical bytes of a transaction between names."""
    return canon(["transaction", NETWORK, f"{number:032x}", "alice", "bob", number])


def make_signature(key: PrivateKey) -> Vectors:
    """The one signature of a key over some bytes."""
    return {"account": key.account, "bytes": message_to_sign().hex(), "signature": key.sign(message_to_sign())}


def make_refused_signatures(key: PrivateKey) -> list[Vectors]:
    """Signatures that a careless check would let pass."""
    # A signature plus the modulus must not be longer than the modulus: only some signatures have room for that.
    canonical = next(one for one in map(message_to_sign, count()) if number_of(key.sign(one)) + int(key.key.n) < 2**2048)
    genuine = key.sign(canonical)
    number = number_of(genuine)
    forged = {
        "the padding of the hash lacks the NULL": sign_without_null(key, canonical),
        "as a number it is not smaller than the modulus": signature_of(number + int(key.key.n)),
        "it is base64 in a second encoding: the last four bits that count for nothing are not 0":
            with_other_last_bits(genuine),
        "it is not as long as the modulus: a zero byte is in front": signature_of(number, 257),
        "it is over the same array with a space after each comma":
            key.sign(json.dumps(json.loads(canonical)).encode()),
        "it is over the bytes of another network": key.sign(canonical.replace(NETWORK.encode(), b"f" * 32)),
        "another key has made it": kept_key(KEYS[1]).sign(canonical),
    }
    return [{"account": key.account, "bytes": canonical.hex(), "signature": signature, "reason": reason}
            for reason, signature in forged.items()]


def number_of(signature: str) -> int:
    """The number that a signature is."""
    return int.from_bytes(decode_base64(signature), "big")


def sign_without_null(key: PrivateKey, canonical: bytes) -> str:
    """The signature whose DigestInfo has no parameters (RFC 8017 §9.2, note 1, the other form)."""
    hashed = bytes.fromhex("302f 300b 0609608648016503040201 0420") + hashlib.sha256(canonical).digest()
    padded = b"\0\1" + b"\xff" * (256 - 3 - len(hashed)) + b"\0" + hashed
    return signature_of(pow(int.from_bytes(padded, "big"), int(key.key.d), int(key.key.n)))


def with_other_last_bits(text: str) -> str:
    """Other base64 of the same bytes, for a decoder that forgives: of the character before `==` only two bits count."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    assert text.endswith("==")
    return text[:-3] + alphabet[alphabet.index(text[-3]) | 1] + "=="


# --- messages -------------------------------------------------------------------------------------

def genesis_of_stage_4() -> stage4.Genesis:
    """A network whose sequencer has the second key."""
    return stage4.Genesis("4" * 32, kept_key(2).account, 10_000, [kept_key(1).account], [1_000_000])


def genesis_of_stage_5() -> stage5.Genesis:
    """A network of three accounts, of unequal stake."""
    accounts = [kept_key(number).account for number in KEYS]
    return stage5.make_genesis(SEED, START_MS, 1_000, 100, accounts, BALANCES)


def all_messages() -> Iterator[tuple[str | None, Message, list[Any]]]:
    """One message of each type that has an id: its network, itself, and the array of its canonical bytes."""
    first, second = (kept_key(number).account for number in KEYS[:2])
    ordered, staked = genesis_of_stage_4(), genesis_of_stage_5()
    nonce = "0f" * 16
    yield NETWORK, {"type": "chat", "nonce": nonce, "text": "hi"}, ["chat", NETWORK, nonce, "hi"]
    yield (NETWORK, {"type": "presence", "nonce": nonce, "address": "127.0.0.1:5002"},
           ["presence", NETWORK, nonce, "127.0.0.1:5002"])
    yield (NETWORK, {"type": "transaction", "nonce": nonce, "from": "alice", "to": "bob", "amount": 7},
           ["transaction", NETWORK, nonce, "alice", "bob", 7])
    for network in (NETWORK, ordered.id, staked.id):
        values = ["transaction", network, nonce, first, second, 7]
        yield (network, {"type": "transaction", "nonce": nonce, "from": first, "to": second, "amount": 7,
                         "signature": kept_key(KEYS[0]).sign(canon(values))}, values)
    yield None, ordered.message(), ["genesis", 4, *vars(ordered).values()]
    values = ["block", ordered.id, 0, [make_id(canon(["transaction", ordered.id, nonce, first, second, 7]))]]
    yield (ordered.id, {"type": "block", "number": 0, "transactions": values[3],
                        "signature": kept_key(KEYS[1]).sign(canon(values))}, values)
    yield None, staked.message(), ["genesis", 5, *vars(staked).values()]
    yield block_of_stage_5(staked, make_id(canon(["transaction", staked.id, nonce, first, second, 7])))


def block_of_stage_5(genesis: stage5.Genesis, transaction_id: str) -> tuple[str, Message, list[Any]]:
    """The first block that the second account may make, on the genesis."""
    key, slot = kept_key(KEYS[1]), slots_to_show()[-1]
    message = {"type": "block", "slot": slot, "parent": genesis.id, "creator": key.account,
               "draw": lottery.make_draw(key, genesis.seed, slot), "transactions": [transaction_id]}
    message["signature"] = key.sign(Rules(genesis).block_bytes(message))
    return genesis.id, message, ["block", genesis.id, slot, genesis.id, key.account, message["draw"], [transaction_id]]


def named(network: str | None, message: Message, values: list[Any]) -> Vectors:
    """A message of a network, and its id. A genesis belongs to no network: its id is the name of one."""
    return {"network": network, "message": message, "bytes": canon(values).hex(), "id": make_id(canon(values))}


# --- the lottery of stage 5 -----------------------------------------------------------------------

def make_thresholds(genesis: stage5.Genesis) -> list[Vectors]:
    """The stakes of the genesis above, and some others."""
    total = sum(genesis.balances)
    rows = [(100, stake, total) for stake in genesis.balances if stake] + [(100, 1, 10), (999, 1, 10), (1, 1, 2**53 - 1)]
    return [{"block_permille": permille, "stake": stake, "total": total,
             "threshold": f"{stage5.threshold(stake, total, permille):064x}"} for permille, stake, total in rows]


def slots_to_show() -> list[int]:
    """Slot 1, and the first slot that the second account wins."""
    return [1, next(slot for slot in count(2) if make_draw(kept_key(KEYS[1]), slot)["wins"])]


def make_draw(key: PrivateKey, slot: int) -> Vectors:
    """A draw in that slot of the genesis above: what is signed, what is hashed, and whether it wins."""
    genesis = genesis_of_stage_5()
    draw = lottery.make_draw(key, SEED, slot)
    value = lottery.ticket_value(SEED, slot, key.account, draw)
    limit = genesis.winning_thresholds()[key.account]
    return {"seed": SEED, "slot": slot, "account": key.account, "draw": draw, "value": f"{value:064x}",
            "threshold": f"{limit:064x}", "wins": lottery.is_winning(value, limit)}


# --- comparing ------------------------------------------------------------------------------------

def ten_ids() -> list[str]:
    """The SHA-256 of 0, 1, 2 … as text. The last one begins with the same two digits as another one."""
    hashes = (hashlib.sha256(str(number).encode()).hexdigest() for number in count())
    ids = [next(hashes) for _ in range(9)]
    return [*ids, next(one for one in hashes if one[:2] in {other[:2] for other in ids})]


def make_comparison() -> Vectors:
    """What two nodes of stage 2 tell each other of ten ids: by salted sums, and as older nodes did."""
    tree, salt = IdTree(), hashlib.sha256(b"salt").digest()
    for one in ten_ids():
        tree.add(one)
    factor = int.from_bytes(salt, "big") | 1
    twin = ten_ids()[-1][:1]
    sums = {prefix: [[number for number, _ in tree.sums(prefix)], make_digests(tree.sums(prefix), factor)]
            for prefix in ("", twin)}
    return {"ids": ten_ids(), "sums": {"type": "sums", "answer": True, "salt": f"{factor:064x}", "sums": sums},
            "summary": {"type": "summary", "answer": False, "buckets": tree.summary()}}


def make_orders() -> Vectors:
    """The digests of stage 4 over three blocks."""
    order, ids = Order(), ten_ids()[:3]
    for one in ids:
        order.add(one)
    return {"block_ids": ids, "order": {"type": "order", "digests": order.locator()}}


def make_page() -> str:
    """The file as it must be: ASCII, so that no editor and no mail changes a character in it."""
    return json.dumps(make_vectors(), indent=1) + "\n"


def main() -> None:
    """Write the file."""
    Path(PAGE).write_text(make_page(), "ascii")


if __name__ == "__main__":
    main()
