"""What a node of the signed ledger is graded by on the wire: what it accepts, and every forgery that it must refuse."""

import base64
from collections.abc import Callable
from math import gcd

import pytest

from lab.blackbox.keys import (
    EXPONENT,
    RSA_ENCRYPTION,
    SHA_256_WITHOUT_NULL,
    Key,
    element,
    integer,
    load_key,
    padded,
    public_der,
    to_base64,
)
from lab.blackbox.messages import canon, plain_transaction, transaction, values_of
from lab.blackbox.peer import Event
from lab.grade.asking import expect_ignored, expect_refusal, ledger, wait_for_ledger
from lab.grade.scene import Scene
from lab.grade.settings import KEYS
from lab.grade.shortcomings import check, check_equal

criterion = pytest.mark.criterion
OWNER, OTHER = load_key(KEYS / "key-1.pem"), load_key(KEYS / "key-2.pem")
MONEY = {OWNER.account: -4, OTHER.account: 4}


def genuine(network: str) -> Event:
    """A transaction that every node must accept."""
    return transaction(network, OWNER, OTHER.account, 4)


@criterion("A signed transaction is applied and forwarded", points=6, clause="§3 stage 3")
def test_signed(scene: Scene) -> None:
    """A transaction whose signature verifies under `from` is applied, and flooded as it came."""
    node = scene.found_network()
    sender, watcher = scene.link(node), scene.link(node)
    message = genuine(node.network)
    sender.send(message)
    check_equal(dict(watcher.expect("transaction")), message, "the message that was forwarded")
    wait_for_ledger(scene, [node], MONEY)


@criterion("A signed transaction that comes again counts once", points=4, clause="§3 stage 3")
def test_replay(scene: Scene) -> None:
    """A transaction that comes again counts once, and is not held against the peer that sends it."""
    node = scene.found_network()
    one, other = scene.link(node), scene.link(node)
    message = genuine(node.network)
    one.send(*[message] * 15)
    other.send(message)
    one.barrier()
    other.barrier()
    check_equal(ledger(node), MONEY, "the ledger")


# --- forgeries --------------------------------------------------------------------------------------

class Forgery:
    """A way to make, for a network, a transaction that no node may accept."""

    def __init__(self, name: str, make: Callable[[str], Event]) -> None:
        self.name, self.make = name, make

    def __repr__(self) -> str:
        return self.name


def changed(**changes: object) -> Callable[[str], Event]:
    """A genuine transaction, changed after it was signed."""
    return lambda network: {**genuine(network), **changes}


def resigned(sign: Callable[[bytes], str], sender: str = OWNER.account) -> Callable[[str], Event]:
    """A transaction of `sender`, signed by `sign`."""
    def make(network: str) -> Event:
        message = plain_transaction(sender, OTHER.account, 4)
        return {**message, "signature": sign(canon(values_of(message, network, 3)))}
    return make


def where(is_good: Callable[[int], bool], change: Callable[[int], str]) -> Callable[[str], Event]:
    """A genuine transaction whose signature, as a number, `is_good`. `change` writes that number in another form."""
    def make(network: str) -> Event:
        while True:
            message = genuine(network)
            number = int.from_bytes(base64.b64decode(message["signature"]), "big")
            if is_good(number):
                return {**message, "signature": change(number)}
    return make


def with_spare_bits(text: str) -> str:
    """The same bytes in a second base64: the unused bits of the last digit are not 0."""
    last = len(text.rstrip("=")) - 1
    return text[:last] + chr(ord(text[last]) + 1) + text[last + 1:]


def spare_bits(network: str) -> Event:
    """A genuine transaction with its signature in a second base64."""
    message = genuine(network)
    return {**message, "signature": with_spare_bits(message["signature"])}


def in_pem(key: Key) -> str:
    """The account with line breaks, as PEM has it."""
    text = key.account
    return "\n".join(text[start:start + 64] for start in range(0, len(text), 64))


def sign_without_null(message: bytes) -> str:
    """The other padding of RFC 8017: a DigestInfo without the NULL."""
    return to_base64(OWNER.raise_number(padded(message, OWNER.size, SHA_256_WITHOUT_NULL)), OWNER.size)


def account_without_null() -> str:
    """The owner's key in another DER encoding."""
    algorithm = element(0x30, RSA_ENCRYPTION[2:-2])
    key = element(0x30, integer(OWNER.modulus) + integer(EXPONENT))
    return base64.b64encode(element(0x30, algorithm + element(3, b"\0" + key))).decode()


OTHER_EXPONENT = next(one for one in (3, 5, 7, 11, 13, 17, 257)
                      if gcd(one, (OWNER.prime - 1) * (OWNER.other_prime - 1)) == 1)


def sign_by_other_exponent(message: bytes) -> str:
    """The signature under the owner's modulus with OTHER_EXPONENT."""
    private = pow(OTHER_EXPONENT, -1, (OWNER.prime - 1) * (OWNER.other_prime - 1))
    return to_base64(pow(padded(message, OWNER.size), private, OWNER.modulus), OWNER.size)


def sign_by_short_key(message: bytes) -> str:
    """The signature of a key of 1,024 bits. A prime is a modulus like any other, as far as the numbers go."""
    private = pow(EXPONENT, -1, OWNER.prime - 1)
    return to_base64(pow(padded(message, 128), private, OWNER.prime), 128)


BASIC = [
    Forgery("the amount was changed", changed(amount=5)),
    Forgery("the receiver was changed", changed(to=OWNER.account)),
    Forgery("the nonce was changed", changed(nonce="f" * 32)),
    Forgery("it was signed by somebody else", resigned(OTHER.sign)),
    Forgery("it was signed for another network", lambda network: genuine("f" * 32)),
    Forgery("the signature is empty", changed(signature="")),
]
HARD = [
    Forgery("the signature is not base64", changed(signature="not base64!")),
    Forgery("the sender is not a key", resigned(OWNER.sign, sender="alice")),
    Forgery("the signature plus the modulus", where(lambda number: number + OWNER.modulus < 2**2048,
                                                    lambda number: to_base64(number + OWNER.modulus, OWNER.size))),
    Forgery("a zero byte in front of the signature", where(lambda _: True,
                                                           lambda number: to_base64(number, OWNER.size + 1))),
    Forgery("a second base64 of the signature", spare_bits),
    Forgery("the padding without NULL", resigned(sign_without_null)),
    Forgery("the key with line breaks", resigned(OWNER.sign, sender=in_pem(OWNER))),
    Forgery("the key in another encoding", resigned(OWNER.sign, sender=account_without_null())),
    Forgery("the key with another exponent", resigned(
        sign_by_other_exponent, sender=base64.b64encode(public_der(OWNER.modulus, OTHER_EXPONENT)).decode())),
    Forgery("a key of 1,024 bits", resigned(
        sign_by_short_key, sender=base64.b64encode(public_der(OWNER.prime, EXPONENT)).decode())),
]


@criterion("Not accepted: {row}", points=2, clause="§3 stage 3",
           hint="All that a transaction says is signed: network, nonce, from, to and amount.")
@pytest.mark.parametrize("row", BASIC, ids=repr)
def test_forgery(scene: Scene, row: Forgery) -> None:
    """The signature must verify under `from`, over the canonical bytes of the transaction. If not, the transaction
    is ignored: it is not applied and not forwarded."""
    takes_only_the_genuine(scene, row)


@criterion("Not accepted: {row}", points=1, clause="§1", hardening=True)
@pytest.mark.parametrize("row", HARD, ids=repr)
def test_other_form(scene: Scene, row: Forgery) -> None:
    """Keys, signatures and base64 have one form each. A transaction with another form is ignored and not forwarded."""
    takes_only_the_genuine(scene, row)


def takes_only_the_genuine(scene: Scene, row: Forgery) -> None:
    """The forgery has no effect, and a genuine transaction has one."""
    node = scene.found_network()
    sender, watcher = scene.link(node), scene.link(node)
    expect_ignored(node, sender, watcher, row.make(node.network))
    check_equal(ledger(node), {}, "the ledger after a forgery")
    sender.send(genuine(node.network))
    sender.barrier()
    check_equal(ledger(node), MONEY, "the ledger after a genuine transaction")


@criterion("A forged copy does not shut the genuine one out", points=4, clause="§1",
           hint="Mark a message as seen only when its signature holds.")
def test_forged_copy_first(scene: Scene) -> None:
    """A message counts as seen only when its signature holds."""
    node = scene.found_network()
    bad, good = scene.link(node), scene.link(node)
    message = genuine(node.network)
    bad.send({**message, "signature": OTHER.sign(b"something else")})
    bad.barrier()
    good.send(message)
    wait_for_ledger(scene, [node], MONEY)


@criterion("A forgery is not forwarded in later stages either", points=3, clause="§2", later=True, hardening=True)
def test_forgery_later(scene: Scene) -> None:
    """A node ignores a transaction that is well-formed but invalid, and does not forward it."""
    node = scene.found_network()
    sender, watcher = scene.link(node), scene.link(node)
    expect_ignored(node, sender, watcher, {**genuine(node.network), "amount": 5})


@criterion("The tenth invalid message closes the connection", points=3, clause="§2", hardening=True, later=True)
def test_tenth(scene: Scene) -> None:
    """Invalid messages are ignored; the tenth closes that connection with `error` INVALID, and the others are served."""
    node = scene.found_network()
    bad, good = scene.link(node), scene.link(node)
    forged = {**genuine(node.network), "amount": 5}
    bad.send(*[forged] * 9)
    bad.barrier()
    bad.send(forged)
    bad.expect_closed("INVALID")
    good.barrier()


@criterion("A repeat of a genuine transaction never counts as invalid", points=2, clause="§2", hardening=True)
def test_repeats_do_not_count(scene: Scene) -> None:
    """A repeat of a message already seen never counts as invalid."""
    node = scene.found_network()
    peer = scene.link(node)
    peer.send(*[genuine(node.network)] * 12)
    peer.barrier()
    check(not node.told("error"), "no error", node.all_of("error"))


@criterion("A signature that is not text is refused", points=1, clause="§2", hardening=True)
def test_signature_a_number(scene: Scene) -> None:
    """A wrongly typed member ends the connection with FORMAT."""
    node = scene.found_network()
    expect_refusal(scene, node, "FORMAT", {**genuine(node.network), "signature": 1})


@criterion("A transaction without a signature is refused", points=2, clause="§2", hardening=True)
def test_no_signature(scene: Scene) -> None:
    """A missing member ends the connection with FORMAT."""
    expect_refusal(scene, scene.found_network(), "FORMAT", plain_transaction(OWNER.account, OTHER.account, 4))
