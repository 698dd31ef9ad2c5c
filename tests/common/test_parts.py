"""The parts of a node: who handles a message, and who hears what happens to connections."""

from typing import ClassVar

from common.encoding import Message, Shape
from common.interface import Connection
from common.parts import Part, Parts
from tests.memory import FakeConnection


class Asker(Part):
    """A part with one message, which notes what it hears in a list that it shares with others."""

    SHAPES: ClassVar[dict[str, Shape]] = {"question": {}}

    def __init__(self, name: str, heard: list[str]) -> None:
        self.name = name
        self.heard = heard

    def on_question(self, connection: Connection, message: Message, frame: bytes) -> None:
        """Note the message."""
        self.heard.append(f"{self.name}: question")

    def on_lost(self, connection: Connection) -> None:
        """Note the loss."""
        self.heard.append(f"{self.name}: lost")

    def on_no_answer(self, address: str) -> None:
        """Note the address."""
        self.heard.append(f"{self.name}: no answer from {address}")

    def on_pong(self, connection: Connection, nonce: str) -> None:
        """Note whose answer has been handled."""
        self.heard.append(f"{self.name}: pong {nonce}")


class Other(Asker):
    """Another part. It brings in no message of its own."""

    SHAPES: ClassVar[dict[str, Shape]] = {}


class TheNode:
    """Handles what no part does."""

    def on_chat(self, connection: Connection, message: Message, frame: bytes) -> None:
        """A message."""

    def on_question(self, connection: Connection, message: Message, frame: bytes) -> None:
        """The part's message never comes here."""
        raise AssertionError


def two_parts() -> tuple[Parts, list[str]]:
    """The parts of a node, and what they hear."""
    parts, heard = Parts(), list[str]()
    parts.add(Asker("first", heard))
    parts.add(Other("second", heard))
    return parts, heard


def test_a_message_is_handled_by_the_part_that_brings_it_in_and_others_by_the_node() -> None:
    parts, heard = two_parts()
    node = TheNode()
    parts.find_handler("question", node)(FakeConnection(), {"type": "question"}, b"")
    assert heard == ["first: question"]
    assert parts.find_handler("chat", node) == node.on_chat


def test_all_parts_hear_of_a_lost_neighbour_those_that_build_on_others_first() -> None:
    parts, heard = two_parts()
    parts.on_lost(FakeConnection())
    assert heard == ["second: lost", "first: lost"]


def test_all_parts_hear_of_a_call_without_an_answer_and_of_a_pong() -> None:
    parts, heard = two_parts()
    parts.on_no_answer("a:1")
    parts.find_handler("pong", TheNode())(FakeConnection(), {"type": "pong", "nonce": "mine"}, b"")
    assert heard == ["first: no answer from a:1", "second: no answer from a:1", "first: pong mine", "second: pong mine"]
