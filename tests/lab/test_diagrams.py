"""Space-time diagrams: what is drawn where, as text of any width and as SVG."""

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.diagrams.diagram import Diagram, Event, Message
from lab.diagrams.svg import draw_svg
from lab.diagrams.text import draw_text

LONG = "this is a text that has no room on its arrow"
STORY = Diagram(["alice", "bob", "carol"],
                [Message(0.3, "carol", "alice", "chat", "hi"), Message(0.1, "alice", "bob", "hello"),
                 Message(0.4, "bob", "carol", "chat", LONG, is_marked=True)],
                [Event(0.2, "bob", "prints hi"), Event(0.5, "carol", "ends", is_marked=True)])


def test_time_runs_down_and_what_is_marked_can_be_searched_for() -> None:
    lines = draw_text(STORY, width=90)
    assert lines[0].split() == ["alice", "bob", "carol"]
    columns = [lines[0].index(name) for name in STORY.nodes]
    assert [line.split()[:1] if line[0] != "!" else ["!"] for line in lines[1:]] == [["0.10"], ["0.20"], ["0.30"], ["!"], ["!"]]
    hello, prints, chat, marked, ends = lines[1:]
    assert hello[columns[0]:columns[1] + 1].startswith("|- hello -") and hello[columns[1] - 1:columns[1] + 1] == ">|"
    assert prints[columns[1]:].startswith("* prints hi ") and prints[columns[2]] == "|"
    assert chat[columns[0]:columns[0] + 2] == "|<" and " chat hi " in chat
    assert marked[columns[1]:columns[2] + 1].strip("|>=") == "" and marked.endswith("…")
    assert ends[columns[2]:] == "* ends"


def test_names_that_are_too_long_become_numbers() -> None:
    nodes = [f"127.0.0.1:{port}" for port in range(5_001, 5_011)]
    lines = draw_text(Diagram(nodes, [Message(1, nodes[2], nodes[8], "block", "7")]))
    assert "3 = 127.0.0.1:5003" in lines[0] and lines[2].split() == [str(number) for number in range(1, 11)]
    assert lines[3].index("- block 7 -") == lines[2].index("3") + 1 and lines[3].index(">") == lines[2].index("9") - 1


def test_nodes_that_only_a_message_names_are_there_too_and_nothing_is_nothing() -> None:
    assert Diagram([], [Message(0, "a", "b", "x")], [Event(0, "c", "y")]).columns() == ["a", "b", "c"]
    assert draw_text(Diagram([])) == []


names = st.sampled_from(["alice", "bob", "127.0.0.1:5001", "<&\"'>", "你好", ""])
texts = st.text(max_size=80)
messages = st.builds(Message, st.floats(0, 1e6), names, names, texts, texts, st.booleans())
events = st.builds(Event, st.floats(0, 1e6), names, texts, st.booleans())
diagrams = st.builds(Diagram, st.lists(names, unique=True), st.lists(messages, max_size=5), st.lists(events, max_size=5))


@given(diagrams, st.integers(30, 200))
def test_no_line_is_too_long_and_each_row_is_one_line(diagram: Diagram, width: int) -> None:
    lines = draw_text(diagram, width)
    assert all(len(line) <= width and (line.isprintable() or not line) for line in lines)
    heads = 1 if diagram.columns() else 0
    assert len(lines) >= heads + len(diagram.rows())
    assert sum(line.startswith("!") for line in lines) == sum(row.is_marked for row in diagram.rows())


@given(diagrams)
def test_svg_is_well_formed_and_has_all_rows(diagram: Diagram) -> None:
    root = ElementTree.fromstring(draw_svg(diagram))
    rows = [element for element in root.iter() if element.get("class", "").startswith("row")]
    assert len(rows) == len(diagram.rows())
    assert [("marked" in row.get("class", "")) for row in rows] == [row.is_marked for row in diagram.rows()]


@pytest.mark.parametrize("text", [LONG, "<script>alert(1)</script>"])
def test_svg_stands_alone_and_shows_a_whole_text_on_demand(text: str) -> None:
    svg = draw_svg(Diagram(["a", "b"], [Message(0, "a", "b", "chat", text)]))
    root = ElementTree.fromstring(svg)
    assert f"chat {text}" in [element.text for element in root.iter() if element.tag.endswith("title")]
    assert "<script" not in svg and "href" not in svg and "url(" not in svg
