"""The screen of `make network`: what it draws of an invented network, and how it handles keys."""

import asyncio
import queue
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from textual.events import Key
from textual.pilot import Pilot

from lab.live.branches import Piece
from lab.live.screen import GROUPS, KINDS, Prompt, Screen, draw_line, draw_table
from lab.live.newsroom import Newsroom
from lab.live.nodeview import NodeView
from lab.live.table import COLUMNS, Row, Snapshot
from lab.live.words import WORDS, Line

Step = Callable[[Pilot[None]], Awaitable[None]]


def make_row(number: int, state: str = "up", faults: str = "", last: str = "block 7 by 3", colour: int = 0,
             component: int = 0) -> Row:
    """A node of stage 5."""
    cells = [str(number), "127.0.0.1:65535", "9", "1234", "0123abcd", "12", "1,234,567"]
    return Row(number, state, cells, faults, last, colour, component)


PARTED = [*(make_row(number, faults="cut 6-10") for number in range(1, 6)),
          *(make_row(number, faults="cut 1-5", colour=1, component=1) for number in range(6, 11))]
"""The rows of a network that is partitioned into two."""


def make_snapshot(rows: list[Row]) -> Snapshot:
    """A snapshot of such a network."""
    return Snapshot("stage 5, 10 nodes, seed 1", "2 BRANCHES: 1-5  |  6-10", True, COLUMNS[5], rows)


class FakeShow:
    """A conductor without nodes."""

    def __init__(self, rows: list[Row]) -> None:
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.snapshot: Snapshot | None = make_snapshot(rows)
        self.has_stopped = False

    def stop(self) -> None:
        self.has_stopped = True

    def wait(self, seconds: float | None = None) -> bool:
        return self.has_stopped


class Shown:
    """The screen of a `FakeShow`, with its log."""

    def __init__(self, rows: list[Row], size: tuple[int, int] = (100, 30)) -> None:
        self.show, self.news, self._size = FakeShow(rows), queue.SimpleQueue[Line](), size
        self.screen = Screen(self.show, self.news)

    def run(self, step: Step) -> None:
        """Show the screen, and carry out `step` with it."""
        async def go() -> None:
            async with self.screen.run_test(size=self._size) as pilot:
                await self.settle(pilot)
                await step(pilot)
        asyncio.run(go())

    async def settle(self, pilot: Pilot[None]) -> None:
        """Wait until everything is drawn."""
        await pilot.pause()
        self.screen.update_all()
        await pilot.pause()

    async def until(self, pilot: Pilot[None], question: Callable[[], bool]) -> None:
        """Let it draw until the answer is yes: lines are wrapped again a moment after the window has changed."""
        for _ in range(50):
            await self.settle(pilot)
            if question():
                return
        raise AssertionError("\n".join(self.text()))

    def text(self) -> list[str]:
        """What the terminal shows, line by line."""
        width, height = self.screen.size
        lines = self.screen.screen._compositor.render_strips()
        assert len(lines) == height
        return ["".join(segment.text for segment in strip)[:width].rstrip() for strip in lines]


def test_ten_nodes_in_a_partition_log_and_prompt_fit_on_100_by_30() -> None:
    shown = Shown(PARTED)
    for number in range(40):
        shown.news.put(Line("block", "1-10", f"block number {number}"))

    async def step(_: Pilot[None]) -> None:
        lines = shown.text()
        assert lines[0].startswith(" stage 5, 10 nodes, seed 1   2 BRANCHES: 1-5  |  6-10")
        assert [line.split()[1] for line in lines[2:7] + lines[8:13]] == [str(number) for number in range(1, 11)]
        assert set(lines[7]) == {"─"} and all("cut" in line and line.endswith("block 7 by 3") for line in lines[8:13])
        assert lines[-1].startswith("> 3 /send 5 100")
        assert lines[-2].startswith("1-10    block number 39"), lines
        assert sum("block number" in line for line in lines) == 15

    shown.run(step)


def test_a_smaller_window_still_shows_all_nodes_and_the_prompt() -> None:
    shown = Shown(PARTED)
    shown.news.put(Line("chat", "1-10", "a long line; " * 8))

    async def step(pilot: Pilot[None]) -> None:
        await pilot.resize_terminal(70, 20)
        await shown.settle(pilot)
        assert sum(":65535" in line or "0123abcd" in line for line in shown.text()) == 10
        assert shown.text()[-1].startswith("> ")
        await shown.until(pilot, lambda: " ".join(shown.text()[-6:-1]).count("long line;") == 8)
        await pilot.resize_terminal(120, 40)
        await shown.settle(pilot)
        await shown.until(pilot, lambda: sum("long line" in line for line in shown.text()) == 1)
        assert len(shown.text()) == 40

    shown.run(step)


@pytest.mark.parametrize(("width", "address"), [(100, "127.0.0.1:65535"), (79, " :65535"), (59, "")])
def test_addresses_give_their_room_to_the_last_event(width: int, address: str) -> None:
    rows = [make_row(1, last="ROLLBACK of 12"), make_row(2, faults="cut 6-10", last="block 1234 by 10")]
    lines = str(draw_table(make_snapshot(rows), width)).split("\n")
    assert all(len(line) == width for line in lines) and "last event" in lines[0]
    assert "ROLLBACK of 12 " in lines[1] + " " and "cut 6-10 block 1234 by 10" in lines[2].rstrip()
    assert address in lines[1] and ("65535" in lines[1]) == bool(address)


def test_the_width_of_the_log_follows_the_window() -> None:
    shown = Shown(PARTED)

    def is_as_wide(columns: int) -> bool:
        return columns - 2 <= shown.screen.log_columns <= columns

    async def step(pilot: Pilot[None]) -> None:
        for columns in (60, 200):
            await pilot.resize_terminal(columns, 30)
            await shown.until(pilot, partial(is_as_wide, columns))

    shown.run(step)


def test_typed_characters_are_neither_lost_nor_changed() -> None:
    shown = Shown(PARTED)

    async def step(pilot: Pilot[None]) -> None:
        prompt = shown.screen.query_one(Prompt)
        for text in ("東\u3000京", "می\u200cخواهم", "👨\u200d👩\u200d👧", "ที่นี่", "नमस्ते", "10\u00a0€", "e\u0301"):
            for character in f"1 {text}\x07":
                shown.screen.post_message(Key(character, character))
            await pilot.pause()
            assert prompt.value == f"1 {text}"
            await pilot.press("enter")
            await pilot.pause()
            assert shown.show.lines.get() == f"1 {text}"

    shown.run(step)


def test_a_typed_line_goes_to_the_conductor_and_can_be_recalled() -> None:
    shown = Shown(PARTED)

    async def step(pilot: Pilot[None]) -> None:
        await pilot.press(*"kill 4", "enter", *"heal", "enter")
        await pilot.pause()
        assert [shown.show.lines.get(), shown.show.lines.get()] == ["kill 4", "heal"]
        await pilot.press("up", "up", "enter")
        await pilot.pause()
        assert shown.show.lines.get() == "kill 4"
        await pilot.press(*"par", "tab")
        assert shown.screen.query_one(Prompt).value == "partition "
        await pilot.press("down")
        assert shown.screen.query_one(Prompt).value == ""

    shown.run(step)


@pytest.mark.parametrize("key", ["ctrl+c", "ctrl+d", "ctrl+q"])
def test_keys_that_leave(key: str) -> None:
    shown = Shown(PARTED)

    async def step(pilot: Pilot[None]) -> None:
        await pilot.press(key)
        assert shown.show.has_stopped

    shown.run(step)


def test_the_log_can_be_scrolled_and_news_does_not_scroll_it_back() -> None:
    shown = Shown(PARTED)
    for number in range(100):
        shown.news.put(Line("block", "", f"block number {number:03}"))

    async def step(pilot: Pilot[None]) -> None:
        await pilot.press("pageup")
        await shown.settle(pilot)
        before = shown.text()[-3]
        assert "block number 09" not in before
        shown.news.put(Line("block", "", "one more"))
        await shown.settle(pilot)
        assert shown.text()[-3] == before
        await pilot.press("pagedown", "pagedown")
        await shown.settle(pilot)
        assert "one more" in shown.text()[-2]

    shown.run(step)


def test_nodes_that_agree_have_one_colour_and_dead_evil_or_rolled_back_ones_stand_out() -> None:
    rows = [make_row(1), make_row(2, colour=1), make_row(3, colour=1), make_row(4, "down", last="killed"),
            make_row(5, "evil", "evil withhold"), make_row(6, last="ROLLBACK of 3")]
    table = draw_table(make_snapshot(rows), 100)
    styles: list[list[str]] = [[str(span.style) for span in line.spans] for line in table.split("\n")[1:]]
    assert styles[1] == styles[2] != styles[0]
    assert GROUPS[0] in styles[0] and GROUPS[1] in styles[1]
    assert not set(GROUPS) & {styles[3][0]}, "the colour of no group"
    assert "bold #ff5f5f" in styles[3] and "bold #ff5f5f" in styles[4]
    assert "bold black on #ffaf00" in styles[5]
    assert [str(line)[:6] for line in table.split("\n")[4:6]] == ["x 4  1", "! 5  1"]


def test_a_fork_is_reported_after_its_block() -> None:
    lines: list[Line] = []
    log = Newsroom(5, lines.append, lambda: 98)
    for block_id, reporter in (("b", 1), ("c", 2), ("b", 2), ("c", 1)):
        log.hear(NodeView(reporter), {"event": "block", **EVENTS["block"], "id": block_id * 64}, set())
    log.flush(all_of_it=True)
    assert [(line.kind, line.text[:14], line.who) for line in lines] == [
        ("block", "block bbbbbbbb", "1-2"), ("block", "block cccccccc", "1-2"), ("fork", "FORK at height", "")]


def test_all_kinds_of_lines_have_a_look_and_pieces_their_colours() -> None:
    lines: list[Line] = []
    log = Newsroom(5, lines.append, lambda: 98)
    for name, members in EVENTS.items():
        log.hear(NodeView(3), {"event": name, **members}, set())
    log.flush(all_of_it=True)
    assert set(EVENTS) == set(WORDS)
    assert {line.kind for line in lines} <= set(KINDS)
    drawn = draw_line(Line("fork", "1", "ab", (Piece("a", 2), Piece("b"))))
    assert [str(span.style) for span in drawn.spans] == [GROUPS[2], KINDS["fork"]]


EVENTS: dict[str, dict[str, object]] = {
    "chat": {"text": "hi"}, "peer": {"address": "127.0.0.1:1", "state": "up"},
    "block": {"id": "b" * 64, "parent": "a" * 64, "height": 1, "slot": 1, "creator": "c", "transactions": 2},
    "rollback": {"depth": 2, "from": "a" * 64, "to": "b" * 64},
    "equivocation": {"creator": "c", "slot": 1, "ids": ["a" * 64, "b" * 64]}, "sent": {"id": "a" * 64},
    "transaction": {"id": "a" * 64, "state": "pending"}, "evil": {"deed": "withholds"},
    "error": {"code": "INVALID", "reason": "no"},
}
"""One event of each kind that the log shows."""
