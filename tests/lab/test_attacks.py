"""`make attacks` (lab/attacks/attacks.py): the table is complete and measured, and differences from docs/security.md are reported."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.attacks import on_order as attack_order
from lab.attacks import scene as attack_scene
from lab.attacks import attacks
from lab.adversaries.dishonest_nodes import BlockForger, Namer, NegativePayer, Outsider, Spender, StakeOwner
from lab.attacks.attack import Attack, Finding, Outcome, holds_if
from lab.attacks.scene import ACCOUNTS, Crew, Scene, Unmeasured
from lab.attacks.attacks import ATTACKS, Cell, Run, compare_with, main, run_cells
from lab.attacks.html import attacks_page
from lab.attacks.terminal import draw, draw_list
from lab.nodes.processes import NodeProcess
from lab.attacks.promises import PAGE, STAGES, PromiseError, read_promises
from lab.nodes.workload import KeyRing
from tests.network.conftest import copy_keys
from tests.processes import DEADLINE, ROOT, eventually, nodes_of

OF_THE_ISSUE = """duplicate delivery · replay of an old transaction · spending from somebody else's account · an amount
changed on the way · negative amount · overdraft · double spend to the two halves of a network · two orders of arrival ·
late joiner · a message lost with its connection · partition and heal · crash of a node in the middle · crash of the
sequencer · sequencer leaves one user out · sequencer signs two orders · forged block · block from an account without
stake · future slot · draw chosen among many (grinding) · building on every branch · withheld branch, released late ·
one ticket used for two blocks · one of ten creators censors · flood of garbage · a peer that never reads · invented
peers · orphans that hold up a newcomer · strangers that list ids and never send them · a claimed name"""

NAMES = " ".join(OF_THE_ISSUE.split()).split(" · ")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with all keys that the attacks need."""
    return copy_keys(tmp_path / "keys", ACCOUNTS + 1)


@pytest.fixture
def run(keys: Path, tmp_path: Path) -> Iterator[Run]:
    """A run to measure cells in."""
    folder = tmp_path / "run"
    folder.mkdir()
    made = Run(KeyRing(keys, folder, ACCOUNTS, print), folder, seed=1)
    yield made
    made.crew.end()


def attack_of(name: str) -> Attack:
    """The attack of that name."""
    return next(attack for attack in ATTACKS if attack.name == name)


# --- the table and the page of promises -----------------------------------------------------------------

def test_all_attacks_exist_and_are_promised_in_the_same_order() -> None:
    assert [attack.name for attack in ATTACKS] == NAMES
    assert list(read_promises()) == NAMES


def test_an_attack_that_is_not_applicable_is_promised_to_be_so_and_has_a_reason() -> None:
    promises = read_promises()
    for attack in ATTACKS:
        absent = {stage for stage in STAGES if promises[attack.name][stage] == Outcome.NOT_APPLICABLE}
        assert absent == set(attack.reasons), attack.name
        assert all(attack.reasons.values()), attack.name
        assert absent != set(STAGES), attack.name


def test_each_attack_says_which_stage_stops_it() -> None:
    for attack in ATTACKS:
        assert "tage" in attack.story and len(attack.story) > 100, attack.name


def test_every_row_of_the_page_names_a_test() -> None:
    section = PAGE.read_text().partition("## Attacks, measured")[2].partition("\n## ")[0]
    for row in [line for line in section.splitlines() if line.startswith("| ")][1:]:
        assert re.search(r"`\w+/test_\w+\.py::test_\w+` \|$", row), row


@pytest.mark.parametrize(("table", "complaint"), [
    ("nothing", "expected a table below"),
    ("| attack | 1 |\n|---|---|\n| theft | holds | holds | maybe | holds | holds | x | y |", "theft: expected one of"),
    ("| attack | 1 |\n|---|---|\n| theft | holds | holds | holds | holds | holds | x |", "theft: expected 8 cells:"),
])
def test_a_page_that_cannot_be_read_says_so(table: str, complaint: str, tmp_path: Path) -> None:
    page = tmp_path / "security.md"
    page.write_text(f"# Page\n\n## Attacks, measured\n\n{table}\n\n## Next\n")
    with pytest.raises(PromiseError, match=re.escape(complaint)):
        read_promises(page)


# --- the report of a run -----------------------------------------------------------------------------

HOLDS, BROKEN = Finding(Outcome.HOLDS, "1 & 2 <equal>"), Finding(Outcome.BROKEN, "alice has 7 at node 1")
UNKNOWN, ABSENT = Finding(Outcome.UNKNOWN, "nobody answered"), Finding(Outcome.NOT_APPLICABLE, "nothing is there")


def made_up() -> tuple[list[Attack], dict[str, dict[int, Finding]]]:
    """Findings for the first attacks, some of them not as promised."""
    chosen = [attack_of(name) for name in ("duplicate delivery", "overdraft")]
    return chosen, {"duplicate delivery": {1: HOLDS, 2: HOLDS, 3: BROKEN, 4: UNKNOWN, 5: HOLDS},
                    "overdraft": {1: ABSENT, 2: BROKEN, 3: BROKEN, 4: HOLDS, 5: HOLDS}}


def test_outcomes_that_are_not_promised_or_unknown_are_complained_about() -> None:
    complaints = compare_with(read_promises(), made_up()[1])
    assert complaints == [
        "duplicate delivery, stage 3: broken, but docs/security.md promises holds: alice has 7 at node 1",
        "duplicate delivery, stage 4: unknown, but docs/security.md promises holds: nobody answered"]
    assert compare_with(read_promises(), {"sorcery": {1: HOLDS}}) == [
        "sorcery, stage 1: docs/security.md promises nothing"]


def test_the_terminal_shows_table_evidence_and_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    text = draw(made_up()[1], read_promises(), has_colours=False)
    assert "\x1b" not in text
    first, second, third = text.splitlines()[:3]
    assert first.split() == ["attack", *(word for stage in STAGES for word in ("stage", str(stage)))]
    assert second.split() == ["duplicate", "delivery", "holds", "holds", "broken", "≠", "unknown", "≠", "holds"]
    assert third.split() == ["overdraft", "–", "broken", "broken", "holds", "holds"]
    assert "  1-2 holds: 1 & 2 <equal>" in text and "  2-3 broken: alice has 7 at node 1" in text
    assert "  1 – nothing is there" in text
    assert "\x1b[" in draw(made_up()[1], read_promises(), has_colours=True)
    assert max(map(len, text.splitlines())) <= 100


def test_the_page_needs_no_other_file_and_tells_each_story() -> None:
    chosen, findings = made_up()
    page = attacks_page(chosen, findings, read_promises(), "2 cells, seed <7>")
    assert not re.search(r"<script|src=|url\(|@import|https?:", page)
    for attack in chosen:
        assert " ".join(attack.story.split())[:60] in " ".join(page.replace("&#x27;", "'").split())
    assert "1 &amp; 2 &lt;equal&gt;" in page and "<equal>" not in page and "seed &lt;7&gt;" in page
    assert page.count('differs"') == 2
    assert page.count("<tr>") == 3 and page.count("<section") == 2


def test_the_list_shows_the_promises(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--only", "overdraft"]) == 0
    assert capsys.readouterr().out.split() == ["overdraft", "–", "broken", "broken", "holds", "holds"]
    assert len(draw_list(ATTACKS, read_promises()).splitlines()) == len(NAMES)


@pytest.mark.parametrize(("options", "complaint"), [
    (["--stage", "6"], "expected an integer from 1 to 5, not '6'"),
    (["--only", "sorcery"], "no attack has 'sorcery' in its name"),
    (["--seed", "-1"], "expected an integer from 0 to"),
    (["--html", "/nowhere/out.html"], "cannot write /nowhere/out.html"),
])
def test_a_wrong_option_gives_one_line_and_status_2(options: list[str], complaint: str,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(options)
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("python -m lab.attacks: ") and complaint in errors and errors.count("\n") == 1


# --- what goes wrong in a cell ------------------------------------------------------------------------

def failing(error: Exception) -> Attack:
    """An attack that cannot be measured."""
    def carry_out(scene: Scene) -> Finding:
        raise error
    return Attack("failing", carry_out)


@pytest.mark.parametrize(("error", "evidence"), [
    (Unmeasured("nobody came"), "nobody came"), (ZeroDivisionError("by 0"), "ZeroDivisionError: by 0")])
def test_an_attack_that_cannot_be_measured_is_unknown_and_says_why(error: Exception, evidence: str, run: Run) -> None:
    assert run.measure(Cell(failing(error), 2)) == Finding(Outcome.UNKNOWN, evidence)


def test_an_attack_that_cannot_be_measured_stops_no_other_and_is_tried_once_more(run: Run) -> None:
    tries = []

    def carry_out(scene: Scene) -> Finding:
        tries.append(scene.stage)
        if tries.count(scene.stage) == 1:
            raise Unmeasured("at first")
        return holds_if(True, f"try {len(tries)}")

    others = Attack("fine", lambda scene: holds_if(True, "fine"), {1: "no"})
    findings = run_cells(run, [Attack("shy", carry_out), others], [1, 2], jobs=2)
    assert {stage: finding.outcome for stage, finding in findings["shy"].items()} == dict.fromkeys((1, 2), Outcome.HOLDS)
    assert len(tries) == 4
    assert findings["fine"] == {1: Finding(Outcome.NOT_APPLICABLE, "no"), 2: Finding(Outcome.HOLDS, "fine")}


def do_nothing(*_: object, **__: object) -> str:
    """Stands in for an attack: does nothing."""
    return "0" * 64


NOT_DONE = [
    pytest.param("negative amount", 2, NegativePayer, "take", id="negative"),
    pytest.param("overdraft", 4, Spender, "spend", id="overdraft"),
    pytest.param("double spend to the two halves of a network", 4, Spender, "spend", id="double spend"),
    pytest.param("forged block", 4, BlockForger, "forge_next", id="forged block"),
    pytest.param("block from an account without stake", 5, Outsider, "make_block", id="outsider"),
    pytest.param("orphans that hold up a newcomer", 5, StakeOwner, "send_orphans", id="orphans"),
    pytest.param("strangers that list ids and never send them", 2, Namer, "name", id="namer"),
]


@pytest.mark.parametrize(("name", "stage", "attacker", "method"),
                         [NOT_DONE[0], *(pytest.param(*one.values, id=one.id, marks=pytest.mark.long)
                                         for one in NOT_DONE[1:])])
def test_an_attack_that_does_not_take_place_does_not_count_as_withstood(
    name: str, stage: int, attacker: type, method: str,
                                                             run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attacker, method, do_nothing)
    monkeypatch.setattr(attack_scene, "PATIENCE", 3.0)
    assert run.measure(Cell(attack_of(name), stage)).outcome != Outcome.HOLDS


@pytest.mark.long
@pytest.mark.parametrize("name", ["duplicate delivery", "replay of an old transaction",
                                  "spending from somebody else's account", "an amount changed on the way",
                                  "invented peers", "sequencer leaves one user out", "sequencer signs two orders", "future slot",
                                  "draw chosen among many (grinding)", "building on every branch",
                                  "withheld branch, released late",
                                  "one ticket used for two blocks", "one of ten creators censors"])
def test_an_honest_node_in_the_attackers_place_is_noticed(name: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def start_honest(crew: Crew, stage: int, *options: str, evil: str = "") -> NodeProcess:
        options = options[:options.index("--against")] if "--against" in options else options
        return start(crew, stage, *options, *(["--peer", "none"] if evil and "--peer" not in options else []))

    start = Crew.start
    monkeypatch.setattr(Crew, "start", start_honest)
    monkeypatch.setattr(attack_order, "ATTACK_SECONDS", 5.0)
    monkeypatch.setattr(attack_scene, "PATIENCE", 5.0)
    monkeypatch.setattr(attack_order, "PURSE", 3)
    attack = attack_of(name)
    stage = max(stage for stage in STAGES if stage not in attack.reasons)
    assert run.measure(Cell(attack, stage)).outcome == Outcome.UNKNOWN


# --- real nodes -------------------------------------------------------------------------------------

def attack(keys: Path, *options: str) -> int:
    """Run `make attacks` with these options."""
    return main(["--keys", str(keys), "--seed", "7", *options])


def test_some_real_cells_come_out_as_promised(keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, before = tmp_path / "out.html", nodes_of(os.getpid())
    assert attack(keys, "--only", "overdraft", "--stage", "2", "--stage", "4", "--html", str(page)) == 0
    output = capsys.readouterr().out
    assert output.startswith("seed 7\n") and output.endswith(f"all as docs/security.md promises\n{page} written\n")
    assert "  2 broken: mallory had 100, sent 1000, and has -900 at each of 2 nodes" in output
    assert "  4 holds: mallory had 100, sent 1000, and has 100 at each of 2 nodes" in output
    assert "mallory had 100, sent 1000, and has -900 at each of 2 nodes" in page.read_text()
    assert nodes_of(os.getpid()) == before


def test_an_outcome_that_was_not_promised_gives_status_1(keys: Path, capsys: pytest.CaptureFixture[str],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    other: dict[str, dict[int, Any]] = {"overdraft": dict.fromkeys(STAGES, Outcome.HOLDS)}
    monkeypatch.setattr(attacks, "read_promises", lambda: other)
    assert attack(keys, "--only", "overdraft", "--stage", "2") == 1
    last = capsys.readouterr().out.splitlines()[-2:]
    assert last[0].endswith(", seed 7: 1 NOT AS PROMISED")
    assert last[1].startswith("  overdraft, stage 2: broken, but docs/security.md promises holds: mallory had 100")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_ctrl_c_ends_all_nodes(number: signal.Signals, keys: Path) -> None:
    command = [sys.executable, "-m", "lab.attacks", "--keys", str(keys), "--stage", "5"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: len(nodes_of(process.pid)) >= 4, state=process.poll)
        nodes = nodes_of(process.pid)
        process.send_signal(number)
        errors = process.communicate(timeout=DEADLINE)[1]
    assert process.returncode == 130 and errors == "interrupted; all nodes have ended\n"
    eventually(lambda: not any(Path(f"/proc/{node}").exists() for node in nodes), state=lambda: nodes)


@pytest.mark.long
def test_the_whole_table_comes_out_as_promised(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = nodes_of(os.getpid())
    status = attack(keys)
    print(output := capsys.readouterr().out)
    assert status == 0, output
    assert nodes_of(os.getpid()) == before
