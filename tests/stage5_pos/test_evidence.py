"""The proof that an account signed two blocks in one slot, without a node."""

from typing import Any

from common.encoding import Message
from stage5_pos.evidence import Evidence
from stage5_pos.limits import MAX_TWINS


def signed(creator: str, slot: int) -> Message:
    """A block with only the members that evidence looks at."""
    return {"type": "block", "creator": creator, "slot": slot}


class Scene:
    """An `Evidence`, with what it keeps and reports."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.reported: list[dict[str, Any]] = []
        frames = {"first": b"the first"}
        self.evidence = Evidence(lambda block_id: frames.get(block_id, b""), lambda kind, frame: self.kept.append(frame),
                                 lambda event, **members: self.reported.append(members))


def test_the_second_block_of_a_slot_is_proof_and_a_third_adds_nothing() -> None:
    scene = Scene()
    for block_id in ("first", "first", "second", "third"):
        scene.evidence.note_signed(signed("eve", 7), block_id, block_id.encode())
    assert scene.reported == [{"creator": "eve", "slot": 7, "ids": ["first", "second"]}]
    assert scene.kept == [b"the first", b"second"]
    assert scene.evidence.signed == {("eve", 7): ["first", "second"]}


def test_each_slot_is_reported_and_one_proof_is_kept_of_each_creator() -> None:
    scene = Scene()
    for slot in (1, 2):
        for block_id in ("first", "second"):
            scene.evidence.note_signed(signed("eve", slot), block_id, block_id.encode())
    assert len(scene.reported) == 2 and len(scene.kept) == 2


def test_if_the_first_block_is_no_longer_here_the_next_pair_is_kept() -> None:
    scene = Scene()
    for slot, block_id in [(1, "given up"), (1, "second"), (2, "first"), (2, "second"), (3, "first"), (3, "third")]:
        scene.evidence.note_signed(signed("eve", slot), block_id, block_id.encode())
    assert scene.kept == [b"the first", b"second"], "one block alone proves nothing"
    assert len(scene.reported) == 3


def test_only_so_many_blocks_of_one_slot_enter_and_each_once() -> None:
    evidence = Scene().evidence
    for number in range(1, MAX_TWINS + 1):
        assert not evidence.is_surplus("eve", 7, f"block {number}")
        assert evidence.note_entered("eve", 7, f"block {number}") == number
        assert evidence.note_entered("eve", 7, f"block {number}") == 0
        assert evidence.is_surplus("eve", 7, f"block {number}"), "it has been in the tree"
    assert evidence.is_surplus("eve", 7, "another") and not evidence.is_surplus("eve", 8, "another")
