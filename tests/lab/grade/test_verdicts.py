"""Whatever a submission does, there is a verdict in time, and nothing of it is left."""

import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.blackbox.peer import NoAnswer, make_nonce
from lab.grade.actors import Said
from lab.grade.plugin import add_crashes
from lab.grade.scene import Scene, setting_up
from lab.grade.settings import Settings, read_command
from lab.grade.shortcomings import ERROR, FAILED, INCONCLUSIVE, PASSED, Inconclusive, Judgement, Shortcoming, check, judge
from lab.grade.sweep import alive, marked

Play = Callable[..., Scene]

LISTENING = """
import json, os, signal, subprocess, sys, time
for event in ({"event": "founded"}, {"event": "listening", "address": "127.0.0.1:1", "stage": 1, "network": "0" * 32}):
    print(json.dumps(event), flush=True)
"""


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """A scene with a submission that is this piece of Python: `play(code, **settings)`."""
    scenes: list[Scene] = []

    def begin(code: str, **how: object) -> Scene:
        program = tmp_path / "node.py"
        program.write_text(LISTENING + textwrap.dedent(code))
        settings = Settings(1, tmp_path, [sys.executable, "-S", str(program)], tmp_path, token=str(os.getpid()),
                            **how)  # type: ignore[arg-type]
        scenes.append(Scene(settings, "1.key", tmp_path / "scene").__enter__())
        return scenes[-1]

    yield begin
    for scene in scenes:
        scene.__exit__()
        assert not alive(marked(str(os.getpid()))), "all that it has started is gone"


def verdict_of(action: Callable[[], object]) -> tuple[str, str]:
    """The verdict on what an action raises, and the reason."""
    try:
        action()
    except Exception as error:
        judged = judge(error, "The rule.")
        return judged.verdict, judged.actual
    return PASSED, ""


@pytest.mark.parametrize("plant", [
    lambda secret, path: path.symlink_to(secret), lambda secret, path: os.mkfifo(path), lambda secret, path: path.mkdir()])
def test_what_a_node_has_planted_is_not_followed(play: Play, tmp_path: Path, plant: Callable[[Path, Path], None]) -> None:
    """The grader may be root: nothing is written or read through a link, and nobody waits for the end of a pipe."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    scene = play("")
    plant(secret, scene.folder / "planted")
    assert verdict_of(lambda: scene.put("planted", b"content"))[0] == INCONCLUSIVE
    assert verdict_of(lambda: scene.look_at(scene.folder / "planted")) == (FAILED, "it is not a file")
    assert secret.read_bytes() == b"secret"


def test_a_crash(play: Play) -> None:
    node = play("sys.exit(7)").start()
    assert verdict_of(lambda: node.wait_for("joined")) == (FAILED, "node-1 ended with status 7, expected the event joined")


def test_the_crash_of_another_node_is_reported(play: Play) -> None:
    scene = play("sys.exit(7) if '--crash' in sys.argv else time.sleep(60)")
    one, other = scene.start("none", "--crash"), scene.start()
    one.wait_exit()
    assert other.address and scene.crashes() == ["node-1 had ended with status 7"]
    judgement = Judgement(FAILED, "x", "node-2 has not reported x")
    add_crashes(judgement, scene)
    assert judgement.actual == "node-2 has not reported x; node-1 had ended with status 7"


def test_a_hang(play: Play) -> None:
    began = time.monotonic()
    node = play("time.sleep(60)", factor=0.03).start()
    assert verdict_of(lambda: node.wait_for("joined")) == (FAILED, "node-1 has not reported the event joined in time")
    assert time.monotonic() - began < 10


def test_output_that_is_not_json(play: Play) -> None:
    node = play("print('Welcome!', flush=True); time.sleep(60)").start()
    verdict, reason = verdict_of(lambda: node.wait_for("joined"))
    assert verdict == FAILED and "not a JSON object" in reason and "Welcome!" in reason


def test_an_event_that_lacks_a_member(play: Play) -> None:
    node = play("print('{\"event\": \"peers\"}', flush=True); time.sleep(60)").start()
    verdict, reason = verdict_of(lambda: node.wait_for("peers")["addresses"])
    assert verdict == FAILED and "has no member `addresses`" in reason


def test_a_flood_of_output(play: Play) -> None:
    node = play("while True: os.write(1, b'x' * 65536)", most_output_mib=1).start()
    assert verdict_of(lambda: node.wait_for("joined")) == (FAILED, "node-1 has written more than 1 MiB, and was ended")


def test_sigterm_that_is_ignored(play: Play) -> None:
    node = play("signal.signal(15, signal.SIG_IGN); print('{\"event\": \"deaf\"}', flush=True); time.sleep(60)",
                factor=0.03).start()
    node.wait_for("deaf", timeout=30)
    node.signal(15)
    verdict, reason = verdict_of(node.wait_exit)
    assert verdict == FAILED and "still runs" in reason


def test_a_child_that_is_left_behind(play: Play) -> None:
    scene = play("subprocess.Popen(['setsid', 'sleep', '60'], stdout=subprocess.DEVNULL)")
    node = scene.start()
    assert node.wait_exit() == 0
    assert len(scene.left_behind()) == 1


def test_more_processes_than_it_may_have(play: Play) -> None:
    scene = play("[subprocess.Popen(['sleep', '60']) for _ in range(9)]; time.sleep(60)", most_processes=5)
    node = scene.start()
    assert node.wait_exit() != 0
    assert "5 are allowed" in scene.violation


def test_more_in_files_than_it_may_write(play: Play) -> None:
    scene = play("open(sys.argv[-1], 'wb').write(bytes(3 << 20)); time.sleep(60)", most_mib=1)
    node = scene.start("none", str(scene.folder / "big"))
    assert node.wait_exit() != 0
    assert "1 are allowed" in scene.violation


def test_a_program_that_is_not_there(play: Play) -> None:
    scene = play("")
    scene.settings.command = ["/no/such/program"]
    verdict, reason = verdict_of(scene.start)
    assert verdict == FAILED and "check the path" in reason


def test_input_that_nobody_reads(play: Play) -> None:
    node = play("time.sleep(60)", factor=0.03).start()
    node.wait_for("listening", timeout=30)
    verdict, _ = verdict_of(lambda: node.type_bytes(bytes(10 << 20)))
    assert verdict == FAILED


def test_the_same_seed_gives_the_same_nonces(tmp_path: Path) -> None:
    said = []
    for seed in (7, 7, 8):
        with Scene(Settings(1, tmp_path, seed=seed), "1.key", tmp_path / "scene"):
            said.append(make_nonce())
    assert said[0] == said[1] != said[2] and make_nonce() not in said


# --- words ------------------------------------------------------------------------------------------

def test_a_failure_while_the_scene_is_set_is_inconclusive() -> None:
    def prepare() -> None:
        with setting_up("a node that joins"):
            check(False, "x", "y")
    assert verdict_of(prepare) == (INCONCLUSIVE, "a node that joins was needed first: expected x; y")


@pytest.mark.parametrize("error, verdict", [
    (Shortcoming("a", "b"), FAILED), (NoAnswer("nothing came"), FAILED), (ConnectionRefusedError(), FAILED),
    (Inconclusive("no"), INCONCLUSIVE), (KeyError("ours"), ERROR), (TypeError("ours"), ERROR)])
def test_only_a_fault_of_ours_is_an_error_of_the_grader(error: Exception, verdict: str) -> None:
    assert judge(error, "The rule.").verdict == verdict


def test_a_message_names_the_member_that_it_lacks() -> None:
    verdict, reason = verdict_of(lambda: Said({"type": "peers"}, "the message peers")["addresses"])
    assert (verdict, reason) == (FAILED, "the message peers has no member `addresses`")


def test_a_program_that_is_named_by_a_path_is_found_from_its_folder(tmp_path: Path) -> None:
    assert read_command("./theirs --stage 3", tmp_path) == [str(tmp_path / "theirs"), "--stage", "3"]
    assert read_command("java -jar a.jar", tmp_path) == ["java", "-jar", "a.jar"]
    assert read_command("", tmp_path) == []


def test_the_command_that_asks_again_asks_the_same(tmp_path: Path) -> None:
    settings = Settings(3, tmp_path, ["/x/a node", "--fast"], tmp_path, seed=7, cli_only=True)
    again = f"make grade STAGE=3 NODE=''\"'\"'/x/a node'\"'\"' --fast' IN={tmp_path} SEED=7"
    assert settings.replay() == f"{again} CLI_ONLY=1"
    assert settings.replay("1.ping") == f"{again} ONLY=1.ping"
    assert Settings(1, tmp_path).replay() == "make grade STAGE=1 SEED=1"
