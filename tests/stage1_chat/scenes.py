"""What the tests of the chat room in memory share: worlds with nodes, and questions about both."""

import random
from collections import Counter, defaultdict

from lab.simulation import World
from stage1_chat.node import ChatNode
from tests.random_life import cut_one, random_life, take_steps


def texts(world: World, node: ChatNode) -> list[str]:
    """The chat messages that `node` has printed, in order."""
    return [chat["text"] for chat in world.reported(node, "chat")]


def errors(world: World, node: ChatNode) -> list[str]:
    """The codes of the errors that `node` has printed."""
    return [error["code"] for error in world.reported(node, "error")]


def is_reading(world: World, node: ChatNode) -> bool:
    """Does `node` already read lines?"""
    return world.networks[node.address].is_reading


def founded_world(seed: int = 1, longest_delay: float = 0.0) -> tuple[World, ChatNode]:
    """A world with one node, which has founded a network."""
    world = World(seed, longest_delay=longest_delay)
    return world, world.add(ChatNode)


Said = dict[str | None, Counter[str]]
"""Network -> what was said in it. Under None there is nothing: a node reads no lines before it has joined."""


def random_talk(seed: int, cuts: bool) -> tuple[World, list[ChatNode], Said]:
    """Nodes join, call others, talk and (with `cuts`) lose connections, in an order that `seed` decides."""
    world, chance = World(seed), random.Random(seed)
    nodes = [world.add(ChatNode)]
    said: Said = defaultdict(Counter)

    def join() -> bool:
        if len(nodes) == 8:
            return False
        nodes.append(world.add(ChatNode, chance.choice(nodes).address))
        return True

    def call() -> None:  # a second path, which makes a cycle
        world.open(world.networks[chance.choice(nodes).address], chance.choice(nodes).address)

    def talk() -> bool:
        node, text = chance.choice(nodes), chance.choice(["hi", "ho", "hum"])
        if is_reading(world, node):
            said[node.network_name][text] += 1
            node.on_line(text)
            return True
        return False

    random_life(chance, chance.randint(10, 40), {
        0.2: join, 0.35: call, 0.45: lambda: cuts and cut_one(world, chance), 0.75: talk,
        0.9: lambda: take_steps(world, chance, 20), 1.0: lambda: world.run(chance.random() * 0.1)})
    return world, nodes, said
