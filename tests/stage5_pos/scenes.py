"""What tests of nodes in memory begin with: a node, and a peer that says what the test wants."""

from common.encoding import Message
from common.interface import Connection
from lab.simulation import World
from stage5_pos.node import StakeNode
from tests.fixtures import kept_key
from tests.memory import Stranger, add_linked_stranger
from tests.stage5_pos.builder import add_node, block, block_id, genesis, new_world, next_slot

X, Y = kept_key(11).account, kept_key(12).account
GENESIS = genesis().id


def scene(seed: int = 1) -> tuple[World, StakeNode, Stranger]:
    """A node that makes no blocks, and a peer that says what the test wants."""
    world = new_world(seed)
    node = add_node(world)
    return world, node, add_linked_stranger(world, node, 5)


def tell(world: World, peer: Stranger, *messages: Message) -> None:
    """Let the peer say something, and let everything happen that follows at once."""
    peer.send(*messages)
    world.settle()


def balances(node: StakeNode) -> dict[str, int]:
    """The ledger of the best chain."""
    return dict(node.balances())


def asked_by(node: StakeNode) -> list[Connection]:
    """The neighbours that the node asks for blocks."""
    return [link for link in node.links if node.sync.is_asking(link)]


def chain(length: int, parent: str = GENESIS, first_slot: int = 1) -> list[Message]:
    """A chain of blocks without transactions."""
    blocks: list[Message] = []
    slot = first_slot - 1
    for _ in range(length):
        slot = next_slot(slot)
        blocks.append(block(slot, block_id(blocks[-1]) if blocks else parent))
    return blocks


def is_counted(world: World, node: StakeNode) -> bool:
    """Has the node reported an invalid message?"""
    return any(event["code"] == "INVALID" for event in world.reported(node, "error"))
