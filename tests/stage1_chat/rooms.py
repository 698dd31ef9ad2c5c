"""What the tests of the chat room in memory share: worlds with nodes in them, and what to ask of both."""

import random
from collections import Counter, defaultdict

from lab.simulation import World
from stage1_chat.node import ChatNode


def texts(world: World, node: ChatNode) -> list[str]:
    """The chat messages that `node` has printed, in order."""
    return [chat["text"] for chat in world.reported(node, "chat")]


def errors(world: World, node: ChatNode) -> list[str]:
    """The codes of the errors that `node` has printed."""
    return [error["code"] for error in world.reported(node, "error")]


def is_reading(world: World, node: ChatNode) -> bool:
    """Does `node` take lines by now?"""
    return world.networks[node.address].is_reading


def founded_world(seed: int = 1, longest_delay: float = 0.0) -> tuple[World, ChatNode]:
    """A world with one node, which has founded a network."""
    world = World(seed, longest_delay=longest_delay)
    return world, world.add(ChatNode)


Said = dict[str | None, Counter[str]]
"""What was said in each network; under None, nothing: a node reads no lines before it has joined."""


def random_life(seed: int, cuts: bool) -> tuple[World, list[ChatNode], Said]:
    """Nodes join, call others, talk and (with `cuts`) lose connections, in an order that `seed` decides."""
    world = World(seed)
    choose = random.Random(seed)
    nodes = [world.add(ChatNode)]
    said: Said = defaultdict(Counter)
    for _ in range(choose.randint(10, 40)):
        action = choose.random()
        node = choose.choice(nodes)
        if action < 0.2 and len(nodes) < 8:
            nodes.append(world.add(ChatNode, choose.choice(nodes).address))
        elif action < 0.35:  # a second way, and so a circle
            world.open(world.networks[node.address], choose.choice(nodes).address)
        elif action < 0.45 and cuts and world.open_connections():
            world.cut(choose.choice(world.open_connections()))
        elif action < 0.75 and is_reading(world, node):
            text = choose.choice(["hi", "ho", "hum"])
            said[node.network_name][text] += 1
            node.on_line(text)
        elif action < 0.9:
            for _ in range(choose.randint(1, 20)):
                world.step()
        else:
            world.run(choose.random() * 0.1)
    return world, nodes, said
