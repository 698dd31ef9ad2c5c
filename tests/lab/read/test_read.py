"""`make read`: every method that runs is in the text, once, and marked with the stage that it comes from."""

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from lab.compare.inheritance import Inheritance
from lab.compare.stagecode import FOLDERS, Piece
from lab.read import read as command
from lab.read.chapters import COMMON, PLANS, REST
from lab.read.html import reading_page
from lab.read.reading import LIBRARY, Entry, Reading, make_reading, read_all
from lab.simulation import World
from stage1_chat.node import ChatNode
from stage2_ledger.node import LedgerNode
from stage3_signed.node import SignedNode, SignedSetup
from stage4_sequencer.node import SequencedNode
from stage4_sequencer.total_order import TotalOrderSetup
from tests.fixtures import kept_key
from tests.lab.test_compare import Page, read_terminal
from tests.processes import ROOT
from tests.stage5_pos import scenes

STAGES = read_all()
READINGS = {number: make_reading(STAGES, number) for number in FOLDERS}
WHOLE = {number: make_reading(STAGES, number, with_library=True) for number in FOLDERS}
INHERITANCE = Inheritance(STAGES)
READ = [sys.executable, "-m", "lab.read"]


def make_node(stage: int) -> ChatNode:
    """A node of a stage that has founded a network, or has joined one."""
    world, key = World(1), kept_key(1)
    if stage == 1:
        return world.add(ChatNode)
    if stage == 2:
        return world.add(LedgerNode)
    if stage == 3:
        return world.add(SignedNode, None, SignedSetup(key=key))
    if stage == 4:
        return world.add(SequencedNode, None, TotalOrderSetup(key=key), lambda: key, 10_000, [(key.account, 5)])
    return scenes.scene()[1]


def stage_of(one: type) -> int | None:
    """The stage that has defined a class, and None if it is not ours."""
    folder = one.__module__.partition(".")[0]
    return next((stage for stage, name in {LIBRARY: "common", **FOLDERS}.items() if name == folder), None)


def parts_of(thing: Any, found: dict[type, None]) -> dict[type, None]:
    """The classes of the stages that a node is made of: itself, its members, and theirs."""
    if type(thing) not in found and stage_of(type(thing)):
        found[type(thing)] = None
        for member in vars(thing).values() if hasattr(thing, "__dict__") else ():
            parts_of(member, found)
    return found


def methods_of(one: type) -> dict[str, type]:
    """The methods of a class that the stages have written, and which of its classes has the version that runs."""
    found: dict[str, type] = {}
    for base in one.__mro__:
        for name, member in vars(base).items():
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            file = function.__code__.co_filename if inspect.isfunction(function) else ""
            if stage_of(base) is not None and file == sys.modules[base.__module__].__file__:
                found.setdefault(name, base)
    return found


def entries_of(reading: Reading, owner: type, name: str) -> list[Entry]:
    path = owner.__module__.replace(".", "/") + ".py"
    return [entry for entry in reading.entries()
            if (entry.piece.path, entry.piece.owner, entry.piece.name) == (path, owner.__name__, name)]


# --- what is in it ------------------------------------------------------------------------------

@pytest.mark.parametrize("stage", FOLDERS)
def test_every_method_that_runs_is_there_once_with_its_stage(stage: int) -> None:
    classes = parts_of(make_node(stage), {})
    assert len(classes) >= {1: 3, 2: 10, 3: 10, 4: 13, 5: 20}[stage], classes
    for one in classes:
        for name, owner in methods_of(one).items():
            found = entries_of(READINGS[stage], owner, name)
            assert stage_of(owner) == LIBRARY or len(found) == 1, f"{owner.__name__}.{name}"
            assert all((entry.piece.stage, entry.is_below) == (stage_of(owner), False) for entry in found)


@pytest.mark.parametrize("stage", FOLDERS)
@pytest.mark.parametrize("with_library", [False, True], ids=["stages", "all"])
def test_all_that_runs_is_there_once_and_nothing_else(stage: int, with_library: bool) -> None:
    reading = (WHOLE if with_library else READINGS)[stage]
    shown = Counter(entry.piece for entry in reading.entries())
    runs = {piece for piece in INHERITANCE.runs(stage)
            if piece.name != "imports" and (with_library or piece.stage != LIBRARY)}
    assert max(shown.values()) == 1 and {place(piece) for piece in shown} <= {place(piece) for piece in runs}
    overridden = {place(over) for piece in shown for over in overridden_by(piece)}
    assert {place(piece) for piece in runs} - {place(piece) for piece in shown} <= overridden


def overridden_by(piece: Piece) -> Iterator[Piece]:
    over = INHERITANCE.overridden(piece)
    while over:
        yield over
        over = INHERITANCE.overridden(over)


def place(piece: Piece) -> str:
    return f"{piece.title} {piece.place}"


@pytest.mark.parametrize("stage", FOLDERS)
def test_what_is_new_has_a_chapter(stage: int) -> None:
    assert [chapter for chapter in WHOLE[stage].chapters if chapter.title == REST.title] == []
    titles = [chapter.title for chapter in WHOLE[stage].chapters]
    assert titles == [plan.title for plan in (*PLANS, COMMON) if plan.title in titles]
    assert all(chapter.passages for chapter in WHOLE[stage].chapters)


def test_every_section_and_file_of_a_chapter_is_somewhere() -> None:
    text = {one.name: file.text for stage in STAGES.values() for file in stage.files.values()
            for one in file.classes.values()}
    for plan in PLANS:
        for section in plan.sections:
            owner, _, heading = section.partition(":")
            assert not heading or f"    # ---{heading} ---" in text[owner], section
        for name in plan.files:
            assert any(name in stage.files for stage in STAGES.values()), name


def test_what_has_no_chapter_is_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    left = tuple(plan for plan in PLANS if plan.title not in ("Chat", "The pool"))
    monkeypatch.setattr("lab.read.reading.PLANS", left)
    reading = make_reading(STAGES, 4)
    rest = reading.chapters[-1]
    assert rest.title == REST.title
    names = {entry.piece.title for passage in rest.passages for entry in passage.entries}
    assert {"ChatNode.on_chat", "Pool.add", "TotalOrderNode.lacking"} <= names
    assert len(reading.entries()) == len(READINGS[4].entries())


def versions(stage: int, name: str, root: str) -> Iterator[str]:
    """What the text has of a method of the node, in its order, with its mark."""
    for entry in READINGS[stage].entries():
        piece = entry.piece
        if piece.name == name and piece.owner:
            file = STAGES[piece.stage].files[piece.file]
            if INHERITANCE.lineage_of(file.classes[piece.owner])[-1].name == root:
                yield f"{'below ' if entry.is_below else ''}{piece.stage} {piece.title}: {entry.remark}"


def test_an_earlier_version_is_below_the_one_that_calls_it() -> None:
    assert list(versions(5, "replay", "PeeringNode")) == [
        "5 StakeNode.replay: adds to TotalOrderNode.replay of stage 4",
        "below 4 TotalOrderNode.replay: called by super(), adds to LedgerNode.replay of stage 2",
        "below 2 LedgerNode.replay: called by super()"]
    assert list(versions(4, "on_new_transaction", "PeeringNode")) == [
        "4 TotalOrderNode.on_new_transaction: replaces LedgerNode.on_new_transaction of stage 2"]
    assert list(versions(1, "on_ready", "PeeringNode")) == [
        "1 ChatNode.on_ready: replaces PeeringNode.on_ready of stage 1"]


@pytest.mark.parametrize("stage", FOLDERS)
def test_the_node_has_nothing_abstract(stage: int) -> None:
    node = type(make_node(stage))
    assert not inspect.isabstract(node)
    abstract = [name for base in node.__mro__ for name, member in vars(base).items()
                if getattr(member, "__isabstractmethod__", False) and entries_of(READINGS[stage], base, name)]
    assert abstract == []


def test_the_source_is_shown_as_it_is_written() -> None:
    module = importlib.import_module("stage5_pos.node")
    lines = inspect.getsource(module.StakeNode.on_block).splitlines()
    [entry] = entries_of(READINGS[5], module.StakeNode, "on_block")
    assert "\n".join(entry.piece.lines).endswith("\n".join(lines))


def test_the_text_says_what_is_unlike_each_stage_that_the_node_is_built_on() -> None:
    told = [passage.docstring for chapter in READINGS[5].chapters for passage in chapter.passages if passage.docstring]
    assert len(set(told)) == len(told)
    assert all(any(f"Unlike stage {number}:" in text for text in told) for number in (1, 2, 4))


# --- the command --------------------------------------------------------------------------------

def run(*arguments: str, **environment: str) -> str:
    """What the command prints where there is no terminal."""
    done = subprocess.run([*READ, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_head_says_how_long_it_is() -> None:
    lines, left_out = READINGS[2].lines_by_stage(), READINGS[2].lines_left_out
    text = " ".join(command.draw(READINGS[2]).split())
    assert f"{sum(lines.values())} lines of code in {len(READINGS[2].entries())} pieces." in text
    assert f"stage 1: {lines[1]}, stage 2: {lines[2]}. " in text
    assert f"Left out: {left_out} lines of common/" in text
    whole = " ".join(command.draw(WHOLE[2]).split())
    assert "Left out" not in whole and f"common: {left_out}, " in whole


def test_all_adds_the_library() -> None:
    assert "common/framing.py" in run("--stage", "1", "--all") and "common/framing.py" not in run("--stage", "1")


@pytest.mark.parametrize("columns", [10, 128])
def test_without_a_terminal_it_has_no_colours_and_keeps_its_width(columns: int) -> None:
    text = run("--stage", "1", COLUMNS=str(columns))
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= max(columns, command.NARROWEST)
    shown = re.sub(r"\s", "", text)
    for entry in READINGS[1].entries():
        assert columns < 128 or all(re.sub(r"\s", "", line) in shown for line in entry.piece.shown), entry.piece.title


def test_on_a_terminal_it_has_colours_and_goes_through_the_pager() -> None:
    shown = read_terminal([*READ, "--stage", "1"], PAGER="sed s/^/PAGED/", NO_COLOR="")
    assert "\x1b[" in shown and all(line.startswith("PAGED") for line in shown.splitlines())
    shown = read_terminal([*READ, "--stage", "1"], PAGER="sed s/^/PAGED/", NO_COLOR="1")
    assert "\x1b[" not in shown and shown.startswith("PAGED")


def test_a_dumb_terminal_gets_no_escapes() -> None:
    shown = read_terminal([*READ, "--stage", "1"], TERM="dumb", PAGER="sed s/^/PAGED/")
    assert "stage 1: ChatNode.on_chat" in shown and "\x1b" not in shown and "PAGED" not in shown


def test_a_reader_who_has_seen_enough_gets_no_traceback() -> None:
    shell = f"{sys.executable} -m lab.read --stage 2 | head -1"
    bash = shutil.which("bash") or "bash"
    done = subprocess.run([bash, "-o", "pipefail", "-c", shell], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "The node of stage 2 ledger\n"
    read_terminal([*READ, "--stage", "2"], PAGER="head -1")


WRONG = {"--stage 7": "expected a stage from 1 to 5, not '7'", "--stage x": "not 'x'", "--stage": "expected one argument",
         "--html .": "cannot write .: Is a directory; expected a file",
         "--html no/folder.html": "cannot write no/folder.html: No such file or directory; check the path"}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_gives_one_line_and_status_2(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(words.split())
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (2, "")
    assert WRONG[words] in shown.err and shown.err.count("\n") == 1


# --- the page -----------------------------------------------------------------------------------

def test_the_page_needs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.html"
    assert command.main(["--stage", "3", "--html", str(out)]) == 0
    assert capsys.readouterr().out == f"{out} written\n"
    text = out.read_text("utf-8")
    page = Page(text)
    assert page.open == [] and page.foreign == [] and "url(" not in text and "@import" not in text
    assert len(set(page.ids)) == len(page.ids) > 0
    assert [link.removeprefix("#") for link in page.links] == page.ids, "the contents name each chapter, in order"
    assert "prefers-color-scheme: dark" in text and "@media print" in text


@pytest.mark.parametrize("stage", [1, 4])
def test_the_page_has_all_pieces_with_their_marks(stage: int) -> None:
    text = reading_page(READINGS[stage])
    marks = re.findall(r'<article class="s(\d)( below)?">', text)
    assert marks == [(str(entry.piece.stage), " below" if entry.is_below else "")
                     for entry in READINGS[stage].entries()]
    code = re.findall(r'<span style="--deep:\d+">(.*)</span></div>', text)
    shown = [unescape(re.sub("<[^>]*>", "", line)).strip() for line in code]
    assert shown == [line.strip() for entry in READINGS[stage].entries() for line in entry.piece.shown]
