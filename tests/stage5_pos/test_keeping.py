"""What a node of stage 5 must still know after a crash: what it signed itself, and who signed two blocks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.encoding import decode_frame
from common.interface import Network
from common.journal import Journal
from common.rsa import PrivateKey
from lab.simulation import World
from stage4_sequencer.total_order import TotalOrderSetup
from stage5_pos.genesis import Genesis
from stage5_pos.node import StakeNode
from tests.fixtures import kept_key
from tests.memory import add_linked_stranger
from tests.stage5_pos.builder import (block, block_id, genesis, new_world, next_slot, transaction, transaction_id,
                                      wins)


class Killed(BaseException):
    """The end of a process at a point that the test chooses."""


class CountingKey:
    """A key that counts what it signs, and can end its process."""

    def __init__(self, key: PrivateKey, kills: bool = False) -> None:
        self.account = key.account
        self.signed: list[bytes] = []
        self._key = key
        self._kills = kills

    def sign(self, data: bytes) -> str:
        """Sign. If `kills` was given, signing a block ends the process."""
        self.signed.append(data)
        signature = self._key.sign(data)
        if self._kills and data.startswith(b'["block"'):
            raise Killed
        return signature

    def slots(self) -> list[int]:
        """The slots of the blocks that it signed."""
        return [int(data.split(b",")[2]) for data in self.signed if data.startswith(b'["block"')]


def add_node(world: World, folder: Path, key: Any = None) -> StakeNode:
    """A node with a journal in `folder` that plays genesis account 1 with `key`."""
    stakes: dict[int, Any] = {} if key is None else {1: key}

    def make_genesis_and_keys() -> tuple[Genesis, dict[int, Any]]:
        return genesis(), stakes

    def make_node(network: Network, address: str) -> StakeNode:
        setup = TotalOrderSetup(key=kept_key(11), journal=Journal(folder))
        return StakeNode(network, address, setup, dict(stakes), make_genesis_and_keys)

    return world.add(make_node)


def crash(node: StakeNode) -> None:
    """End a node without a farewell. What it has not committed is gone."""
    assert node.setup.journal is not None
    node.setup.journal.close()


def test_no_slot_is_signed_twice_even_after_a_kill_between_signing_and_sending(tmp_path: Path) -> None:
    slot = next(slot for slot in range(5_001, 5_100) if wins(1, slot))
    world = new_world(slot=slot - 1)
    killer = CountingKey(kept_key(1), kills=True)
    node = add_node(world, tmp_path, killer)
    with pytest.raises(Killed):
        world.run(5.0)
    assert killer.slots() == [slot]
    crash(node)
    # The clock of the machine is set back meanwhile, otherwise the slot would be over.
    world, again = new_world(slot=slot - 3), CountingKey(kept_key(1))
    resumed = add_node(world, tmp_path, again)
    world.run(60.0)
    assert world.reported(resumed, "founded") == [{"resumed": True}]
    assert again.slots() and slot not in again.slots(), "it goes on, but not with that slot"


@pytest.mark.parametrize("make_second", [
    lambda slot: block(slot, genesis().id, ["f" * 64], number=1),
    lambda slot: block(slot, "e" * 64, number=1)], ids=["its transaction is unknown", "its parent is unknown"])
def test_both_blocks_of_an_equivocation_are_kept_even_if_one_never_entered_the_tree(
        make_second: Callable[[int], Any], tmp_path: Path) -> None:
    slot = next(slot for slot in range(4_000, 4_100) if wins(1, slot))
    first, second = block(slot, genesis().id, number=1), make_second(slot)
    world = new_world()
    node = add_node(world, tmp_path)
    peer = add_linked_stranger(world, node, 5)
    peer.send(first, second)
    world.settle()
    ids = [block_id(first), block_id(second)]
    account = kept_key(1).account
    assert world.reported(node, "equivocation") == [{"creator": account, "slot": slot, "ids": ids}]
    node.commit()
    assert node.setup.journal is not None
    kept = [entry.content for entry in node.setup.journal.entries() if entry.kind == "evidence"]
    assert [decode_frame(frame) for frame in kept] == [first, second]
    crash(node)
    world = new_world()
    again = add_node(world, tmp_path)
    peer = add_linked_stranger(world, again, 5)
    peer.send(first, second)
    world.settle()
    assert again.evidence.signed[account, slot] == ids
    assert world.reported(again, "equivocation") == [], "it was reported before"


def test_one_proof_is_kept_for_each_creator(tmp_path: Path) -> None:
    """All are reported, but one is kept: a creator could sign twice in every slot that it wins, to fill the disk."""
    slots = {number: [slot for slot in range(4_000, 4_100) if wins(number, slot)][:5] for number in (1, 2)}
    world = new_world()
    node = add_node(world, tmp_path)
    peer = add_linked_stranger(world, node, 5)
    for number in slots:
        for slot in slots[number]:
            peer.send(*[block(slot, parent, number=number) for parent in ("e" * 64, "f" * 64)])
    world.settle()
    node.commit()
    assert node.setup.journal is not None and len(world.reported(node, "equivocation")) == 10
    kept = [decode_frame(entry.content) for entry in node.setup.journal.entries() if entry.kind == "evidence"]
    assert [(one["creator"], one["slot"]) for one in kept] == [
        (kept_key(number).account, slots[number][0]) for number in (1, 1, 2, 2)]


def test_a_node_that_goes_on_keeps_no_second_proof_even_if_neither_block_entered_the_tree(tmp_path: Path) -> None:
    slots = [slot for slot in range(4_000, 4_100) if wins(1, slot)]
    for slot in slots[:2]:
        world = new_world()
        node = add_node(world, tmp_path)
        peer = add_linked_stranger(world, node, 5)
        peer.send(*[block(slot, parent, number=1) for parent in ("e" * 64, "f" * 64)])
        world.settle()
        assert len(world.reported(node, "equivocation")) == 1
        node.commit()
        assert node.setup.journal is not None
        kept = [decode_frame(entry.content) for entry in node.setup.journal.entries() if entry.kind == "evidence"]
        assert [one["slot"] for one in kept] == [slots[0]] * 2
        crash(node)


def test_all_blocks_of_the_tree_are_there_again_even_twins_that_entered_only_because_others_build_on_them(
        tmp_path: Path) -> None:
    slot = next(slot for slot in range(4_000, 4_100) if wins(1, slot))
    paid = [transaction(2, kept_key(11).account, 5, nonce) for nonce in range(4)]
    twins = [block(slot, genesis().id, [transaction_id(message)], number=1) for message in paid]
    children = [block(next_slot(slot), block_id(twin)) for twin in twins]
    world = new_world()
    node = add_node(world, tmp_path)
    peer = add_linked_stranger(world, node, 5)
    peer.send(*paid, *twins[:2], *children[2:], *twins[2:])
    world.settle()
    before = list(node.tree.blocks)
    assert set(before) == {genesis().id, *map(block_id, twins), *map(block_id, children[2:])}
    node.commit()
    crash(node)
    again = add_node(new_world(), tmp_path)
    assert list(again.tree.blocks) == before and again.tree.best.id == node.tree.best.id


def test_a_key_without_an_account_in_the_genesis_is_reported_even_when_a_node_goes_on(tmp_path: Path) -> None:
    node = add_node(new_world(), tmp_path)
    node.commit()
    crash(node)
    world = new_world()
    again = add_node(world, tmp_path, kept_key(12))
    assert [event["code"] for event in world.reported(again, "error")] == ["ACCOUNT"] and again.stakes == {}
