"""`make network` without its screen: commands at the prompt do to real nodes what they say."""

import signal
import threading
from pathlib import Path

import pytest

from lab.nodes.faults import Place
from lab.live.launcher import Launcher
from lab.live.playground import PlaygroundError
from lab.nodes.processes import NodeProcess
from lab.nodes.workload import KeyRing
from tests.lab.scenes import Play


def test_chat_along_a_line_that_is_cut_and_heals(tmp_path: Path) -> None:
    with Play(1, 3, None, tmp_path) as play:
        play.until(lambda: [row.cells[2] for row in play.snapshot().rows] == ["1", "2", "1"])
        play.type("cut 2 3", "1 left")
        assert play.wait_for("left").who == "1-2"
        play.until(lambda: play.snapshot().summary == "2 groups have read different messages: 1-2  |  3")
        play.type("heal 2 3", "2 joined")
        assert play.wait_for("joined").who == "1-2", "after a mend there is no connection yet"
        play.until(lambda: [view.said for view in play.playground.views] == [2, 2, 2])


@pytest.mark.long
@pytest.mark.parametrize("stage", [1, 2])
def test_all_are_started_at_once_and_wait_for_a_slow_one(
        stage: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = Launcher.launch

    def launch_late(launcher: Launcher, number: int, place: Place, peer: str) -> NodeProcess:
        node = launch(launcher, number, place, peer)
        if number == 1:
            node.signal(signal.SIGSTOP)
            threading.Timer(12.0, node.signal, [signal.SIGCONT]).start()
        return node

    monkeypatch.setattr(Launcher, "launch", launch_late)
    with Play(stage, 3, None, tmp_path) as play:
        assert play.shown("all are up")


def test_stage_2_sends_from_the_account_of_the_node_where_it_is_typed(tmp_path: Path) -> None:
    with Play(2, 3, None, tmp_path) as play:
        play.type("1 /send 2 100", "3 /send 2 1 40", "wait equal")
        play.until(lambda: play.ledger(3) == {"1": -60, "2": 60})
        play.type("partition 1 2-3", "2 /send 3 5")
        play.until(lambda: play.ledger(3) == {"1": -60, "2": 55, "3": 5})
        play.type("all /ledger")
        assert play.shown("2 DIFFERENT ledgers: 1  |  2-3", "1       2: 60", "2-3     2: 55  3: 5")
        play.type("heal", "wait equal", "all /ledger")
        assert play.shown("1-3     all ledgers are equal", "1-3     1: -60  2: 55  3: 5")


def test_in_stage_2_a_forger_takes_what_others_have(tmp_path: Path) -> None:
    with Play(2, 3, None, tmp_path) as play:
        play.type("evil 3 forge 1")
        assert play.shown("3       to see it: send something at another node, then `all /ledger`: mallory has 1,000 of"
                          " the sender's")
        play.until(lambda: len(play.playground.up()) == 3 and play.playground.view(3).connections == 2)
        play.type("2 /send 3 5", "1 /send 2 10")
        assert play.wait_for("EVIL: takes 1,000 from somebody else's account").who == "3"
        play.until(lambda: play.ledger(2) == {"1": -1_010, "2": 5, "3": 5, "mallory": 1_000})
        assert play.snapshot().rows[2].faults == "evil forge"


def test_a_killed_node_comes_back_with_its_data(tmp_path: Path) -> None:
    with Play(2, 3, None, tmp_path) as play:
        play.type("1 /send 2 7")
        play.until(lambda: play.ledger(3) == {"1": -7, "2": 7})
        play.type("partition 3", "kill 3")
        row = play.snapshot().rows[2]
        assert (row.state, row.cells[0], row.cells[3:], row.last) == ("down", "3", ["", ""], "killed")
        with pytest.raises(PlaygroundError, match="node 3 is down; `start 3` starts it"):
            play.type("3 hello")
        play.type("start 3")
        play.until(lambda: play.ledger(3) == {"1": -7, "2": 7})
        assert play.snapshot().rows[2].cells[2] == "0", "alone, it can have that only from its own data"


def test_the_log_shows_a_fork_a_rollback_and_healing(keys: KeyRing, tmp_path: Path) -> None:
    with Play(5, 3, keys, tmp_path / "data") as play:
        play.type("1 /send 2 100")
        play.wait_for("applied")
        play.until(lambda: play.snapshot().summary == "all are on one branch")
        before = len(play.lines)
        play.type("partition 1 2-3")
        assert play.shown("PARTITION: 1  |  2-3")
        play.until(lambda: play.snapshot().summary == "2 BRANCHES: 1  |  2-3")
        fork = play.wait_for("FORK at height ", before)
        assert len({piece.colour for piece in fork.pieces[1:]}) > 1, "each block in the colour of its branch"
        play.until(lambda: colours_are_split(play))  # for a moment the others may build on node 1's last block
        rows = play.snapshot().rows
        assert [row.component for row in rows] == [0, 1, 1]
        assert [row.faults for row in rows] == ["cut 2-3", "cut 1", "cut 1"]
        play.until(lambda: tips_of_the_tree(play) == {"1", "2-3"})  # node 3 may be a block behind node 2 for a moment
        play.type("heal")
        assert play.wait_for("ROLLBACK of ", before).kind == "rollback"
        play.until(lambda: play.snapshot().summary == "all are on one branch")


def colours_are_split(play: Play) -> bool:
    """Do nodes 2 and 3 have one colour and node 1 another?"""
    first, second, third = (row.colour for row in play.snapshot().rows)
    return second == third != first


def tips_of_the_tree(play: Play) -> set[str]:
    """The nodes that `tree` shows at the end of each branch."""
    before = len(play.lines)
    play.type("tree")
    return {str(line).partition("<- ")[2] for line in play.lines[before:] if "<-" in str(line)}


def test_slow_is_slow_until_it_is_removed(tmp_path: Path) -> None:
    with Play(1, 3, None, tmp_path) as play:
        play.type("slow 3 700ms", "1 hello")
        play.until(lambda: play.playground.view(2).said)
        assert play.playground.view(3).said == 0
        assert play.snapshot().rows[2].faults == "slow 700ms"
        play.type("slow 3 0", "wait equal")
        assert play.snapshot().rows[2].faults == ""


def test_an_adversary_plays_a_nodes_stake_and_the_honest_node_comes_back(keys: KeyRing, tmp_path: Path) -> None:
    with Play(5, 3, keys, tmp_path / "data") as play:
        play.type("evil 3")
        assert any("withhold" in line.text for line in play.lines)
        play.type("evil 3 withhold")
        assert "EVIL: withholds its block" in play.wait_for("EVIL: ").text
        row = play.snapshot().rows[2]
        assert (row.state, row.faults) == ("evil", "evil withhold")
        play.type("good 3")
        play.until(lambda: play.snapshot().rows[2].state == "up")
        play.type("wait equal", "3 /send 1 5")
        play.wait_for("applied")


def test_the_sequencer_of_stage_4_can_be_an_adversary(keys: KeyRing, tmp_path: Path) -> None:
    with Play(4, 3, keys, tmp_path / "data") as play:
        play.until(lambda: play.ledger(3) == {"1": 333_334, "2": 333_333, "3": 333_333})
        play.type("evil 1 two-orders", "2 /send 3 1", "3 /send 2 1")
        assert "sequencer has signed" in play.wait_for("EQUIVOCATION: ").text


def test_the_log_tells_of_a_node_that_ends_by_itself(tmp_path: Path) -> None:
    with Play(2, 3, None, tmp_path) as play:
        play.type("2 /quit")
        play.wait_for("has ended with status 0")
        assert play.snapshot().rows[1].state == "down"
        play.type("start 2")
        play.until(lambda: play.snapshot().rows[1].state == "up")
