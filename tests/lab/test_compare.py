"""`make compare` shows the real code, each piece once, and marked with what became of it."""

import fcntl
import html.parser
import importlib
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lab.compare import compare as command
from lab.compare.inheritance import Inheritance
from lab.compare.pairing import Comparison, Row, Status, align, compare
from lab.compare.stagecode import FOLDERS, Piece, Stage, read_stages
from lab.pager import find_pager
from tests.processes import ROOT
from tests.sizes import and_long

STAGES = read_stages()
INHERITANCE = Inheritance(STAGES)
PAIRS = [(left, right) for left in FOLDERS for right in FOLDERS if left <= right]
USUAL = [(1, 2), (2, 3), (3, 4), (4, 5), (1, 5)]
"""The comparisons that people look at: each stage with the one before, and the first with the last."""

NODES = {1: ["stage1_chat.peering.PeeringNode", "stage1_chat.node.ChatNode"],
         2: ["stage2_ledger.ring.Ring", "stage2_ledger.fetcher.Fetcher", "stage2_ledger.reconcile.Reconciliation",
             "stage2_ledger.node.LedgerNode"],
         3: ["stage3_signed.node.SignedNode"],
         4: ["stage4_sequencer.catching_up.HeightSync", "stage4_sequencer.order.Comparison",
             "stage4_sequencer.waiting.WaitingBlocks", "stage4_sequencer.total_order.TotalOrderNode",
             "stage4_sequencer.node.SequencedNode"],
         5: ["stage5_pos.clock.SlotClock", "stage5_pos.postponed.PostponedBlocks", "stage5_pos.catching_up.ChainSync",
             "stage5_pos.node.StakeNode"]}
"""Stage -> the classes of its node and of the node's parts. The last one is the node itself."""


def find_class(name: str) -> Any:
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


def rows_of(comparison: Comparison) -> list[Row]:
    return [row for section in comparison.sections for row in section.rows]


def row_of(comparison: Comparison, title: str) -> Row:
    return next(row for row in rows_of(comparison)
                if title in (row.left.title if row.left else "", row.right.title if row.right else ""))


def title(piece: Piece | None) -> str | None:
    return piece.title if piece else None


@pytest.fixture
def read_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command use the stages that were read above: it takes longer to read them than to do the rest."""
    monkeypatch.setattr(command, "read_stages", lambda: STAGES)


# --- what a stage is made of --------------------------------------------------------------------

@pytest.mark.parametrize("stage", FOLDERS)
def test_every_line_of_a_file_is_in_one_piece_or_in_the_docstring(stage: int) -> None:
    for file in STAGES[stage].files.values():
        shown = Counter(piece.first_line + number for piece in file.all_pieces() for number in range(len(piece.lines)))
        lines = file.text.splitlines()
        assert all(count == 1 for count in shown.values()), file.path
        assert all(piece.lines == tuple(lines[piece.first_line - 1:][:len(piece.lines)]) for piece in file.all_pieces())
        left_out = [line for number, line in enumerate(lines, 1) if line.strip() and number not in shown]
        assert "\n".join(left_out).strip('"').split() == file.docstring.split(), file.path


@pytest.mark.parametrize("stage", FOLDERS)
def test_the_figures_are_those_of_the_running_code(stage: int) -> None:
    facts = command.find_facts(STAGES, stage)
    node = find_class(NODES[stage][-1])
    before = find_class(NODES[stage - 1][-1]) if stage > 1 else None
    declared = {name for name, shape in node.SHAPES.items() if before is None or before.SHAPES.get(name) is not shape}
    assert set(facts.messages) == declared
    assert facts.lines == sum(len(path.read_text().splitlines()) for path in (ROOT / FOLDERS[stage]).glob("*.py"))
    handlers = {name for one in NODES[stage] for name in vars(find_class(one))} & {f"on_{name}" for name in node.SHAPES}
    assert set(facts.handlers) == handlers
    own = [find_class(one) for one in NODES[stage] if issubclass(node, find_class(one))]
    methods = {name for one in own for name, member in vars(one).items()
               if (callable(member) and not isinstance(member, type)) or isinstance(member, property)}
    earlier = [find_class(one) for number in range(1, stage) for one in NODES[number] if issubclass(node, find_class(one))]
    assert set(facts.hooks) == {name for name in methods - {"__init__"} if any(name in vars(one) for one in earlier)}
    assert facts.figures()[0] == len(facts.files) and len(facts.tests) > 10


SMALL = {
    "stage1_chat/node.py": '''
"""One."""
LIMIT, UNUSED = 1, 2
DEFAULT = 3

def helper(): return Tool().work()

def only_for_replaced(): pass

class Tool:
    """A tool."""
    def work(self): pass

class Base:
    """The base."""
    def extended(self): helper()
    def replaced(self): only_for_replaced()
    def kept(self): return DEFAULT
''',
    "stage2_ledger/node.py": '''
"""Two.

Unlike stage 1:
- more.
"""
from stage1_chat.node import Base

class Node(Base):
    """The node."""

    # --- heading ----
    def extended(self): super().extended()
    def replaced(self): pass
    def added(self): pass
'''}


@pytest.fixture
def small(tmp_path: Path) -> dict[int, Stage]:
    """Two small stages."""
    for path, text in SMALL.items():
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(text.lstrip())
    return read_stages(tmp_path)


def test_a_stage_runs_code_that_it_does_not_replace_and_all_that_this_code_names(small: dict[int, Stage]) -> None:
    taken_over = {piece.title for piece in Inheritance(small).runs(2) if piece.stage == 1}
    assert taken_over == {"Base", "Base.extended", "Base.kept", "helper", "Tool", "Tool.work", "DEFAULT"}


def test_what_became_of_each_piece(small: dict[int, Stage]) -> None:
    rows = {(title(row.left), title(row.right)): row for row in rows_of(compare(small, 1, 2))}
    changed = {pair: row.remark for pair, row in rows.items() if row.status == Status.CHANGED}
    assert changed == {("Base", "Node"): "", ("Base.extended", "Node.extended"): "adds to Base.extended of stage 1",
                       ("Base.replaced", "Node.replaced"): "replaces Base.replaced of stage 1"}
    assert {pair for pair, row in rows.items() if row.status == Status.NEW} == {(None, "imports"), (None, "Node.added")}
    assert {pair[0] for pair, row in rows.items() if row.status == Status.GONE} == {"(LIMIT, UNUSED)",
                                                                                  "only_for_replaced"}
    alone = {pair for pair, row in rows.items() if row.status == Status.UNCHANGED}
    assert alone == {(name, name) for name in ("DEFAULT", "helper", "Tool", "Tool.work", "Base.kept")}


def test_whole_shows_the_code_that_runs_in_its_place(small: dict[int, Stage]) -> None:
    comparison = compare(small, 1, 2, is_whole=True)
    rights = [title(row.right) for row in rows_of(comparison) if row.right]
    assert rights == ["DEFAULT", "helper", "Tool", "Tool.work", "Base", "Node.extended", "Base.extended",
                      "Node.replaced", "Base.kept", "imports", "Node", "Node.added"]
    marks = [comparison.mark(row.right, 2) for row in rows_of(comparison) if row.right]
    assert marks == ["from stage 1"] * 5 + ["", "from stage 1", "", "from stage 1", "", "", ""]


# --- two stages ---------------------------------------------------------------------------------

@pytest.mark.parametrize("is_whole", [False, True], ids=["own", "whole"])
@pytest.mark.parametrize("left, right", and_long(USUAL, [pair for pair in PAIRS if pair not in USUAL]))
def test_every_piece_is_shown_once(left: int, right: int, is_whole: bool) -> None:
    rows = rows_of(compare(STAGES, left, right, is_whole))
    for stage, shown in ((left, [row.left for row in rows]), (right, [row.right for row in rows])):
        times = Counter(piece for piece in shown if piece is not None)
        assert [piece.title for piece, count in times.items() if count > 1] == []
        expected = set(INHERITANCE.runs(stage) if is_whole else STAGES[stage].pieces())
        assert expected <= set(times)
        assert not is_whole or expected == set(times)
        assert all(piece.stage <= stage for piece in times)


@pytest.mark.parametrize("left, right", [pair for pair in PAIRS if pair[0] < pair[1]])
def test_the_nodes_file_with_its_differences_is_on_top(left: int, right: int) -> None:
    first = compare(STAGES, left, right).sections[0]
    assert first.file == "node.py" and first.left is not None and first.right is not None
    assert f"Unlike stage {right - 1}:" in first.right.docstring and f"Stage {left}" in first.left.docstring


def test_a_stage_compared_with_itself_is_left_alone() -> None:
    for is_whole in (False, True):
        rows = rows_of(compare(STAGES, 3, 3, is_whole))
        assert rows and {row.status for row in rows} == {Status.UNCHANGED} and all(row.left is row.right for row in rows)


KNOWN = [
    (3, 4, "SignedNode.check_transaction", Status.UNCHANGED, "SignedNode.check_transaction"),
    (3, 4, "TotalOrderNode.found_network", Status.CHANGED, "PeeringNode.found_network"),
    (3, 4, "TotalOrderNode.on_new_transaction", Status.CHANGED, "LedgerNode.on_new_transaction"),
    (3, 4, "SequencedNode.make_block", Status.NEW, None),
    (4, 5, "BlockMaker.make_block", Status.NEW, None),
    (4, 5, "SequencedNode._execute_blocks", Status.GONE, "SequencedNode._execute_blocks"),
    (4, 5, "SequencedNode.unlink", Status.GONE, "SequencedNode.unlink"),
    (4, 5, "Source.__init__", Status.GONE, "Source.__init__"),
    (4, 5, "TotalOrderNode.keep_genesis", Status.UNCHANGED, "TotalOrderNode.keep_genesis"),
    (4, 5, "Waiting.add", Status.UNCHANGED, "Waiting.add"),
    (2, 5, "StakeNode.check_transaction", Status.CHANGED, "LedgerNode.check_transaction"),
    (1, 2, "LedgerNode.greetings", Status.CHANGED, "ChatNode.greetings"),
]


@pytest.mark.parametrize("left, right, name, status, beside", KNOWN)
def test_known_facts_about_our_stages(left: int, right: int, name: str, status: Status, beside: str | None) -> None:
    row = row_of(compare(STAGES, left, right), name)
    assert (row.status, title(row.left)) == (status, beside)


def test_a_method_that_is_gone_names_what_runs_in_its_place() -> None:
    rows = [row for row in rows_of(compare(STAGES, 4, 5)) if row.left is not None and row.right is None]
    remarks = {row.title: row.remark for row in rows}
    assert remarks["SequencedNode.unlink"] == "in its place: PeeringNode.unlink"
    assert remarks["Source.__init__"] == remarks["Comparison.__init__"] == "", "stage 2 has classes of these names"


def test_only_methods_lose_the_indentation_that_all_methods_have() -> None:
    for stage in STAGES.values():
        for piece in stage.pieces():
            depth = 4 if piece.owner and piece.name != piece.owner else 0
            is_deeper = [len(line) - len(shown) == depth for line, shown in zip(piece.lines, piece.shown, strict=True)
                         if line.startswith("    ") and not line.lstrip().startswith("# ---")]
            assert all(is_deeper), piece.title


def test_similar_lines_are_one_changed_line() -> None:
    old = ["def f():", "    network.send(1)", "    return 1"]
    new = ["def f():", "    first()", "    network.send(1, 2)", "    second()", "    return 1"]
    assert [tuple(pair) for pair in align(old, new)] == [(" ", 0, 0), ("+", None, 1), ("~", 1, 2), ("+", None, 3),
                                                         (" ", 2, 4)]
    assert [pair.mark for pair in align(["a"], ["a", "b"])] == [" ", "+"] and align([], []) == []


# --- the command --------------------------------------------------------------------------------

def run(*arguments: str, columns: int = 100) -> str:
    """The output of `python -m lab.compare` without a terminal."""
    done = subprocess.run([sys.executable, "-m", "lab.compare", *arguments], cwd=ROOT, capture_output=True, text=True,
                          timeout=100, env={**os.environ, "COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_without_stages_it_prints_a_table_of_all() -> None:
    lines = run().splitlines()
    assert lines[0].split() == ["stage", "files", "lines", "messages", "handlers", "hooks", "overridden", "tests"]
    for number, line in zip(FOLDERS, lines[1:6], strict=True):
        assert list(map(int, line.split()[2:])) == command.find_facts(STAGES, number).figures()
    assert "check_transaction" in next(line for line in lines if "hooks" in line and "describe" in line)


@pytest.mark.parametrize("columns", [100, 160])
def test_without_a_terminal_it_has_no_colours_and_keeps_its_width(columns: int) -> None:
    text = run("-A", "2", "-B", "3", columns=columns)
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= columns
    assert re.search(r"Unlike stage 1: +│ Unlike stage 2:", text)
    left, right = text.replace(" ", "").count("self.ledger=Ledger()"), "verify(message[\"from\"]"
    assert left > 0 and right.replace(" ", "") in re.sub(r"\s+", "", text)


def test_pieces_that_are_left_alone_can_be_hidden_and_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["-A", "2", "-B", "3", "--hide"]) == 0
    lines = capsys.readouterr().out.splitlines()
    hidden = [int(match[1]) for line in lines if (match := re.match(r"── (\d+) left alone, hidden ─", line))]
    comparison = compare(STAGES, 2, 3)
    assert sum(hidden) == comparison.count(Status.UNCHANGED) > 0
    titles = Counter(line.split()[1].rstrip(":") for line in lines if line.startswith("── ") and "hidden" not in line)
    assert titles == Counter({"new": comparison.count(Status.NEW), "changed": comparison.count(Status.CHANGED),
                              "no": comparison.count(Status.GONE)})


def read_terminal(command: list[str], **environment: str) -> str:
    """The output of a command on a terminal that is large enough for it."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 60_000, 90, 0, 0))
    # In a session of its own, without standard error: otherwise a pager would wait for keys from the real terminal.
    process = subprocess.Popen(command, cwd=ROOT, stdout=its, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True,
                               env={**os.environ, "TERM": "xterm", **environment})
    os.close(its)
    read = b""
    try:
        while part := os.read(ours, 65_536):
            read += part
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return read.decode()


def test_on_a_terminal_it_has_colours_and_goes_through_the_pager() -> None:
    shown = read_terminal([sys.executable, "-m", "lab.compare", "-A", "2", "-B", "3"], PAGER="sed s/^/PAGED/",
                          COLUMNS="90", NO_COLOR="")
    lines = shown.splitlines()
    assert len(lines) > 300 and all(line.startswith("PAGED") for line in lines)
    assert "\x1b[" in shown


def test_a_dumb_terminal_gets_no_escapes() -> None:
    shown = read_terminal([sys.executable, "-m", "lab.compare", "-A", "2", "-B", "3"], TERM="dumb")
    assert "Unlike stage 2" in shown and "\x1b" not in shown


@pytest.mark.parametrize(("wish", "words"), [
    ("less 'half", ["less", "-R"]), (" ", ["less", "-R"]), ("no-such-pager", ["less", "-R"]), ("sed p", ["sed", "p"])])
def test_a_pager_that_cannot_be_run_does_no_harm(monkeypatch: pytest.MonkeyPatch, wish: str, words: list[str]) -> None:
    monkeypatch.setenv("PAGER", wish)
    monkeypatch.setattr(shutil, "which", lambda name: name if name in ("less", "sed") else None)
    assert find_pager() == words
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert find_pager() == []


def test_a_reader_that_stops_early_gets_no_traceback() -> None:
    shell = f"{sys.executable} -m lab.compare -A 3 -B 4 | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("Stage 3 signed")


WRONG = {"-A 7 -B 1": "expected a stage from 1 to 5, not '7'", "-A x -B 2": "not 'x'", "-A 3": "A and B belong together",
         "-B 3": "A and B belong together", "-A 3 -B": "expected one argument",
         "-A 2 -B 3 --html .": "cannot write .: Is a directory; expected a file",
         "-A 2 -B 3 --html no/folder.html": "cannot write no/folder.html: No such file or directory; check the path"}


@pytest.mark.usefixtures("read_before")
@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_option_gives_one_line_and_status_2(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(words.split())
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (2, "")
    assert WRONG[words] in shown.err and shown.err.count("\n") == 1


class Page(html.parser.HTMLParser):
    """Reads a page: its text, ids and links, the tags that are not closed, and what it would load from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.ids: list[str] = []
        self.links: list[str] = []
        self.foreign: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "input"}:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(str(value))
            elif name == "href":
                self.links.append(str(value))
            elif name == "src" or tag in {"script", "link"}:
                self.foreign.append(f"{tag} {value}")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        self.text += data if "style" not in self.open else ""


@pytest.mark.usefixtures("read_before")
@pytest.mark.parametrize("words", ["-A 4 -B 3", "-A 2 -B 4 --whole", ""])
def test_the_page_needs_no_other_file(words: str, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    assert command.main([*words.split(), "--html", str(out)]) == 0
    text = out.read_text("utf-8")
    page = Page(text)
    assert page.open == [] and page.foreign == [] and "url(" not in text and "@import" not in text
    assert len(set(page.ids)) == len(page.ids)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    if words:
        earlier, later = sorted(map(int, words.split()[1:4:2]))
        comparison = compare(STAGES, earlier, later, "--whole" in words)
        shown = [line.strip() for row in rows_of(comparison) for piece in (row.left, row.right) if piece
                 for line in piece.shown]
        assert [line for line in shown if line not in page.text] == []
        assert "Unlike stage 3:" in page.text and text.count("<article ") == len(rows_of(comparison))
    else:
        assert all(FOLDERS[number].partition("_")[2] in page.text for number in FOLDERS)


def test_make_passes_on_its_values() -> None:
    asked = ["A=3", "B=4", "WHOLE=1", "HTML=it's.html", "HIDE=1"]
    for count, expected in ((0, "lab.compare"), (2, "-A '3' -B '4'"), (5, "--html 'it'\\''s.html' --whole --hide")):
        done = subprocess.run(["make", "-n", "compare", *asked[:count]], cwd=ROOT, capture_output=True, text=True)
        assert expected in done.stdout, done
    environment = {**os.environ, "A": "1", "HTML": "x", "WHOLE": "1"}
    done = subprocess.run(["make", "-n", "compare"], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert not any(option in done.stdout for option in ("-A", "--html", "--whole")), "only what was given to make counts"


def test_the_earlier_stage_is_always_on_the_left() -> None:
    for words in ("-A 2 -B 3", "-A 3 -B 2"):
        comparison = command.compare_as_asked(STAGES, command.make_options().parse_args(words.split()))
        assert (comparison.left, comparison.right) == (2, 3)
