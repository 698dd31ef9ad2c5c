"""What is said about a failed test: the first difference, who sent what, and whose code raised the exception."""

from pathlib import Path

import pytest

from common.encoding import encode_frame
from lab.blackbox.node_process import NodeError, NodeProcess
from lab.simulation import World
from lab.tasks.explain import Compared, around_difference, diagram_of, draw_last, explain, find_unwritten_in
from stage1_chat.node import ChatNode
from tests.stage4_sequencer.scenes import assert_took, followed_world, signed_block


def test_two_long_texts_are_shown_around_their_first_difference() -> None:
    came, expected = b"a" * 300 + b"bcd" + b"e" * 300, b"a" * 300 + b"xcd" + b"e" * 300
    lines = around_difference(repr(came), repr(expected), width=80)
    assert all(len(line) <= 80 for line in lines) and lines[0].startswith("  came      …aaa")
    place = lines[2].index("^")
    assert (lines[0][place], lines[1][place]) == ("b", "x") and lines[0][place - 1] == lines[1][place - 1] == "a"


def talk() -> tuple[World, ChatNode]:
    """Two nodes; the second one has said `hi`."""
    world = World(seed=1, longest_delay=0.0)
    alice = world.add(ChatNode)
    bob = world.add(ChatNode, alice.address)
    world.run(1.0)
    bob.on_line("hi")
    world.settle()
    return world, alice


def test_what_was_sent_is_drawn_and_what_came_last_is_marked() -> None:
    world, alice = talk()
    lines = draw_last(world, is_exception=False, width=100)
    assert lines[0] == "What was sent:" and lines[1].split() == ["node-1:1", "node-2:1"]
    assert "hello version 1" in lines[2] and lines[-1].startswith("! 1.00 |<=")
    assert "text hi" in lines[-1] and len(lines) == 5
    connection = next(iter(alice.connections))
    for _ in range(3):
        connection.other.send(encode_frame({"type": "unknown", "text": "x"}))  # type: ignore[attr-defined]
    world.settle()
    assert any("unknown (3 times) text x" in line for line in draw_last(world, is_exception=True, width=100))
    assert [one.is_marked for one in diagram_of(world, is_exception=True).messages].count(True) == 1


def test_the_world_is_found_where_the_test_has_failed() -> None:
    world, _ = talk()
    with pytest.raises(AssertionError) as raised:
        assert world.now == 7, "of all times"
    told = explain(raised.value, "stage1_chat", Compared("==", world.now, 7))
    assert told.lines[:4] == ['> assert world.now == 7, "of all times"', "  of all times", "  came      1.0",
                              "  expected  7"]
    assert "What was sent:" in told.lines and told.cause == ""


def test_an_exception_that_is_not_invalid_is_said_to_be_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    world, alice = talk()
    bob = world.networks["node-2:1"].node
    monkeypatch.setattr("stage1_chat.node.make_id", lambda canonical: 1 / 0)
    with pytest.raises(ZeroDivisionError) as raised:
        next(iter(bob.links)).send(b"\0\0\0\x54" + b'{"type":"chat","nonce":"%s","text":"%s"}' % (b"0" * 32, b"x" * 12))
        world.settle()
    told = explain(raised.value, "stage1_chat", None)
    assert told.lines[0] == "ZeroDivisionError: division by zero"
    assert told.lines[1].startswith("  came out of stage1_chat/node.py:") and "ChatNode.on_chat" in told.lines[1]
    assert told.cause.startswith("ZeroDivisionError in stage1_chat/node.py:")
    assert any("Raise Invalid (common/interface.py)" in line for line in told.lines)
    assert any(line.startswith("! ") for line in told.lines) and alice.history


def test_a_missing_name_is_not_blamed_on_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    world, alice = talk()
    monkeypatch.delattr("stage1_chat.node.make_id")
    with pytest.raises(NameError) as raised:
        message = {"type": "chat", "nonce": "0" * 32, "text": "x"}
        next(iter(world.networks["node-2:1"].node.links)).send(encode_frame(message))
        world.settle()
    told = explain(raised.value, "stage1_chat", None)
    assert told.lines[0] == "NameError: name 'make_id' is not defined" and alice.history
    assert not any("Raise Invalid" in line for line in told.lines)


def test_what_a_process_has_said_last_is_shown(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo one; echo two; echo the reason >&2"]
    with NodeProcess(1, command=command, folder=tmp_path, as_json=False) as node, pytest.raises(NodeError) as raised:
        node.wait_exit()
        node.wait_for_line("founded")
    lines = explain(raised.value, "stage1_chat", None).lines
    assert lines[-3:] == ["What came last from the node:", "  two", "  standard error: the reason"]
    assert "ended with status 0, expected a line with 'founded'" in " ".join(line.strip() for line in lines)


def test_a_long_message_is_shown_to_its_end_and_an_exception_once() -> None:
    def lines(error: Exception) -> list[str]:
        return explain(error, "stage1_chat", None, width=40).lines

    assert lines(AssertionError("word " * 12 + "end")) == ["  " + ("word " * 7).strip(), "  " + "word " * 5 + "end"]
    assert lines(AssertionError("/tmp/pytest-of-me/pytest-7/test_it0/a.pem: damaged")) == ["  …/a.pem: damaged"]
    assert lines(ValueError("not enough values")) == ["ValueError: not enough values"]


def test_of_several_failures_the_compared_values_belong_to_the_last() -> None:
    group = ExceptionGroup("two", [AssertionError("first\nassert 1 == 2"), AssertionError("second\nassert 3 == 4")])
    lines = explain(group, "stage1_chat", Compared("==", 3, 4)).lines
    assert lines[:3] == ["  second", "  came      3", "  expected  4"]


def test_what_was_compared_is_known_of_assertions_that_tests_share() -> None:
    world, node, _ = followed_world()
    with pytest.raises(AssertionError, match=r"assert \[\] == "):
        assert_took(world, node, [signed_block(0, [])], [])


def test_what_a_process_has_printed_names_the_function() -> None:
    said = "it has ended: ... stage3_signed/node.py:7 SignedNode.describe is not written yet\n"
    assert find_unwritten_in(said, "stage3_signed") == "stage3_signed/node.py:7 SignedNode.describe is not written yet."
    trace = 'File "/x/stage3_signed/node.py", line 7, in describe\n  raise NotImplementedError\nNotImplementedError'
    assert find_unwritten_in(trace, "stage3_signed") == "stage3_signed/node.py:7 describe is not written yet."
    assert find_unwritten_in(trace, "stage4_sequencer") is None
