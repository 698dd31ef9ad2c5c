"""Postponed blocks, without a node: how they wait, enter in order, and are refused with their branch."""

from lab.simulation import MemoryNetwork, World
from stage4_sequencer.pool import Refused
from stage5_pos.postponed import PostponedBlock, PostponedBlocks
from stage5_pos.side import Aside
from stage5_pos.tree import Block, Tree
from tests.memory import FakeFetcher, LastingConnection


class Scene:
    """A chain of blocks of which each waits for the one before, and a tree that they enter."""

    def __init__(self) -> None:
        self.tree = Tree("b0")
        self.entered: list[str] = []
        self.peer, self.fetcher = LastingConnection(), FakeFetcher()
        self.refused = Refused()
        self.aside = Aside({}, {}, self.refused)
        self.waits = PostponedBlocks(MemoryNetwork(World(1), "here"), [self.peer], self.fetcher, self.tree, self.aside,
                                  lambda connection: 1, self.enter)

    def enter(self, entry: PostponedBlock) -> None:
        """Do what a node does: put the block into the tree, and release those that wait for it."""
        self.tree.add(entry.block)
        self.entered.append(entry.block.id)
        self.waits.on_arrived(entry.block.id)

    def postpone(self, number: int, *lacking: str, creator: str = "eve") -> None:
        """Postpone the block of that number, which lacks its parent or transactions."""
        block = Block(f"b{number}", number, f"b{number - 1}", creator, 0, [], b"frame %d" % number)
        parent = [] if block.parent_id in self.tree else [block.parent_id]
        assert self.waits.postpone(block, [*lacking, *parent], self.peer)


def test_a_branch_enters_from_its_beginning_once_it_lacks_nothing() -> None:
    scene = Scene()
    for number in (3, 2):
        scene.postpone(number)
    scene.postpone(1, "t")
    assert len(scene.waits.blocks) == scene.waits.count_of(scene.peer) == 3 and scene.waits.frame_of("b2") == b"frame 2"
    scene.waits.on_arrived("t")
    assert scene.entered == ["b1", "b2", "b3"] and scene.waits.count() == 0
    assert scene.waits.frame_of("b2") == b"frame 2" and scene.waits.is_settled("b2"), "it is in the tree"


def test_a_postponed_block_is_not_asked_for() -> None:
    scene = Scene()
    scene.postpone(1, "t")
    scene.postpone(2, "u")
    assert [ids for _, ids in scene.fetcher.needed] == [["t"], ["u"]]


def test_a_block_that_is_about_to_enter_is_not_asked_for() -> None:
    scene = Scene()
    scene.postpone(1, "t")
    scene.waits.is_entering = True  # the turn in which it will enter is due
    scene.waits.on_arrived("t")
    scene.postpone(2, "u")
    assert [ids for _, ids in scene.fetcher.needed] == [["t"], ["u"]] and scene.entered == []


def test_a_block_hangs_until_all_its_ancestors_are_here() -> None:
    scene = Scene()
    scene.postpone(3)
    assert not scene.waits.lacks_only_transactions("b3")
    scene.postpone(2)
    scene.postpone(1, "t")
    assert scene.waits.lacks_only_transactions("b3") and scene.waits.is_known("b3") and not scene.waits.is_settled("b3")


def test_an_invalid_block_is_refused_with_all_that_builds_on_it() -> None:
    scene = Scene()
    for number in (4, 3, 2):
        scene.postpone(number)
    scene.waits.refuse_branch("b1")
    assert len(scene.waits.blocks) == 0 and all(scene.waits.is_settled(f"b{number}") for number in (1, 2, 3, 4))


def test_a_block_that_another_creator_builds_on_is_built_upon() -> None:
    scene = Scene()
    scene.postpone(3)
    assert not scene.waits.is_built_upon("b2", "eve")
    scene.postpone(4, creator="bob")
    assert scene.waits.is_built_upon("b2", "eve") and not scene.waits.is_built_upon("b3", "bob")
