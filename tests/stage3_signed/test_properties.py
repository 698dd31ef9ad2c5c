"""Any change to a signed transaction makes it invalid."""

import base64
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.encoding import encode_base64
from tests.memory import Event
from tests.stage2_ledger.scenes import add_linked_peer, errors, ledger_of, transaction_id
from tests.stage3_signed.scenes import NODE_KEY, OTHER, OWNER, founded_world, signed

WORLD, NODE = founded_world()
GENUINE = signed(NODE.network_name, amount=5)
SIGNED_FOR_OTHERS = [signed(NODE.network_name, OTHER, amount=5), signed(NODE.network_name, amount=6), signed("f" * 32)]

STRICT = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def is_refused(message: Event) -> bool:
    """Does a node refuse this message as invalid or malformed, keep nothing of it, and forward nothing?"""
    world, node = founded_world()
    assert node.network_name == NODE.network_name, "the same seed gives the same network"
    bad, good = add_linked_peer(world, node), add_linked_peer(world, node)
    bad.send_body(json.dumps(message).encode())
    world.settle()
    is_kept = bool(node.transactions or ledger_of(world, node) or good.news())
    assert is_kept != (errors(world, node) in (["INVALID"], ["FORMAT"])), (message, errors(world, node))
    return not is_kept


def test_unchanged_it_is_accepted() -> None:
    assert not is_refused(GENUINE)
    assert not is_refused(dict(reversed(GENUINE.items())))


@STRICT
@given(st.sampled_from(["nonce", "from", "to", "signature"]), st.data())
def test_a_character_changed_anywhere_is_refused(member: str, data: st.DataObject) -> None:
    text = GENUINE[member]
    place = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.one_of(st.sampled_from("0123456789abcdefABCDEF+/= \n"), st.characters()))
    changed = text[:place] + new + text[place + 1:]
    assert is_refused({**GENUINE, member: changed}) == (changed != text)


@STRICT
@given(st.integers(0, 2048 - 1))
def test_a_bit_changed_in_the_signature_is_refused(bit: int) -> None:
    number = int.from_bytes(base64.b64decode(GENUINE["signature"]), "big") ^ (1 << bit)
    assert is_refused({**GENUINE, "signature": encode_base64(number.to_bytes(256, "big"))})


@STRICT
@given(st.integers(0, 2**53 - 1))
def test_any_other_amount_is_refused(amount: int) -> None:
    assert is_refused({**GENUINE, "amount": amount}) == (amount != 5)


@STRICT
@given(st.fixed_dictionaries({name: st.sampled_from([one[name] for one in [GENUINE, *SIGNED_FOR_OTHERS]])
                              for name in ("nonce", "from", "to", "amount", "signature")}))
def test_parts_of_several_transactions_make_no_new_one(members: dict[str, Any]) -> None:
    message = {"type": "transaction", **members}
    assert is_refused(message) == (message not in [GENUINE, *SIGNED_FOR_OTHERS[:2]])


texts = st.one_of(st.text(max_size=20), st.binary(max_size=600).map(encode_base64),
                  st.sampled_from([OWNER.account, OTHER.account, NODE_KEY.account, GENUINE["signature"]]))


@STRICT
@given(texts, texts, texts)
def test_any_text_is_refused_without_an_exception(sender: str, receiver: str, signature: str) -> None:
    """An undeclared exception would fail this test."""
    assert is_refused({**GENUINE, "from": sender, "to": receiver, "signature": signature}) or (
        (sender, receiver, signature) == (OWNER.account, OTHER.account, GENUINE["signature"]))


@STRICT
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([1, 2])), max_size=9))
def test_copies_in_any_order_count_as_the_contract_says(copies: list[tuple[bool, int]]) -> None:
    """Forged copies count every time, genuine ones never. The node keeps the genuine one, if it came at all."""
    world, node = founded_world()
    peers = [add_linked_peer(world, node), add_linked_peer(world, node)]
    forged = {**GENUINE, "signature": SIGNED_FOR_OTHERS[1]["signature"]}
    for is_genuine, sender in copies:
        peers[sender - 1].send(GENUINE if is_genuine else forged)
        world.settle()
    counted = {link.address: link.invalid for link in node.links}
    for number, peer in enumerate(peers, 1):
        assert counted[peer.address] == copies.count((False, number))
    expected = [transaction_id(NODE.network_name, GENUINE)] if any(is_genuine for is_genuine, _ in copies) else []
    assert list(node.transactions) == expected
