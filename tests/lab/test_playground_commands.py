"""Which lines the prompt of `make network` accepts, and what it answers to all other lines. No node runs here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.live.launcher import Settings
from lab.live.playground import LOG_COLUMNS, Playground, PlaygroundError
from lab.live.commands import COMMANDS, Quit, read_nodes, read_seconds, run, with_accounts
from lab.live.table import Table
from lab.live.words import Line, shown_nodes


@pytest.fixture
def log() -> list[Line]:
    """The log of the playground."""
    return []


@pytest.fixture
def playground(request: pytest.FixtureRequest, tmp_path: Path, log: list[Line]) -> Iterator[Playground]:
    """Ten nodes of stage 5, or of another stage. None was started."""
    playground = Playground(Settings(getattr(request, "param", 5), 10, seed=1), None, tmp_path, log.append)
    yield playground
    playground.close()


WRONG = [
    ("foo", "no command 'foo'; expected a node's number and what to type there, or one of: all, kill, start"),
    ("/ledger", "no command '/ledger'; expected a node's number"),
    ("11 hello", "expected the number of a node, 1 to 10, not '11'"),
    ("0 hello", "expected the number of a node, 1 to 10, not '0'"),
    ("99999999999999999999 hello", "expected the number of a node, 1 to 10"),
    ("3", "expected what to type at node 3, as in `3 hello` or `3 /peers`"),
    ("3 hello", "node 3 is still starting"),
    ("3 /send 11 100", "expected the number of a node, 1 to 10, not '11'"),
    ("3 /send 5 100", "the account of node 5 is not known, since the node has never started"),
    ("all", "expected what to type at every node, as in `all /ledger`"),
    ("kill", "expected kill NODES"),
    ("kill 4 5", "expected kill NODES"),
    ("kill four", "expected nodes as in 4 or 1-5 or 1,3,7-9, not 'four'"),
    ("kill 4,", "expected nodes as in 4 or 1-5 or 1,3,7-9, not '4,'"),
    ("kill 1-11", "expected the number of a node, 1 to 10, not '11'"),
    ("kill 5-1", "expected a range that begins with the lower number, not '5-1'"),
    ("start", "expected start NODES"),
    ("start 4", "node 4 is already running"),
    ("cut 2", "expected cut NODE NODE"),
    ("cut 2 2", "expected two different nodes, not 2 twice"),
    ("cut 2 x", "expected the number of a node, 1 to 10, not 'x'"),
    ("partition", "expected partition NODES NODES …; a single group must leave out a node"),
    ("partition 1-10", "expected partition NODES NODES …; a single group must leave out a node"),
    ("partition 1-5 5-10", "expected groups that share no node; in two of them: 5"),
    ("heal 2", r"expected heal \[NODE NODE\]"),
    ("heal 2 5", "2 and 5 are not cut off from each other"),
    ("slow 3", "expected slow NODE TIME"),
    ("slow 3 fast", "expected a time from 0 to 60s, as in 200ms or 1.5s, not 'fast'"),
    ("slow 3 -1", "expected a time from 0 to 60s, as in 200ms or 1.5s, not '-1'"),
    ("slow 3 61", "expected a time from 0 to 60s"),
    ("evil", r"expected evil NODE \[NAME"),
    ("evil 7 kind", "no adversary 'kind'; those of stage 5 are: duplicate, .*, withhold"),
    ("evil 7 two-orders", "two-orders needs stage 4; those of stage 5 are: duplicate, .*, withhold"),
    ("evil 7 withhold 3", "withhold works against nobody in particular; expected `evil 7 withhold`"),
    ("good 7", "node 7 is not an adversary"),
    ("tree 1 2", r"expected tree \[NODE\]"),
    ("tree 1", "node 1 is still starting"),
    ("wait", r"expected wait TIME\|equal"),
    ("wait long", "expected a time from 0 to 600s, as in 200ms or 1.5s, not 'long'"),
]


@pytest.mark.parametrize(("line", "complaint"), WRONG)
def test_a_wrong_command_gets_one_line_that_says_what_was_expected(playground: Playground, log: list[Line], line: str,
                                                               complaint: str) -> None:
    with pytest.raises(PlaygroundError, match=complaint) as caught:
        run(playground, line)
    assert "\n" not in str(caught.value)
    assert not playground.wiring.cuts and not playground.wiring.slowness and not log


@pytest.mark.parametrize(("playground", "line", "complaint"), [
    (1, "all /ledger", "stage 1 has no ledger; stage 2 introduces it"),
    (1, "evil 7 forge", "forge needs stage 2-5; those of stage 1 are: duplicate$"),
    (4, "evil 7 two-orders", "expected node 1: two-orders is a sequencer, and in stage 4 that is node 1"),
    (4, "tree", "stage 4 has no tree of blocks; stage 5 introduces it"),
], indirect=["playground"])
def test_the_user_is_told_what_a_stage_does_not_have(playground: Playground, line: str, complaint: str) -> None:
    with pytest.raises(PlaygroundError, match=complaint):
        run(playground, line)


@pytest.mark.parametrize("line", ["", "   ", "# a remark in a script"])
def test_empty_lines_and_remarks_do_nothing(playground: Playground, log: list[Line], line: str) -> None:
    run(playground, line)
    assert log == []


def test_quit_and_help(playground: Playground, log: list[Line]) -> None:
    with pytest.raises(Quit):
        run(playground, "quit")
    run(playground, "help")
    assert [line.text.split()[0] for line in log] == ["3", "all", *COMMANDS]
    assert max(len(line.text) for line in log) <= 100


def test_nodes_and_times_as_people_write_them(playground: Playground) -> None:
    assert read_nodes(playground, "1,3,7-9,8") == [1, 3, 7, 8, 9]
    assert shown_nodes([9, 1, 8, 3, 7]) == "1,3,7-9"
    assert [read_seconds(text, 60) for text in ("200ms", "1.5s", "2", "0")] == [0.2, 1.5, 2.0, 0.0]


def test_a_partition_replaces_earlier_cuts(playground: Playground, log: list[Line]) -> None:
    run(playground, "cut 1 2")
    assert playground.wiring.components() == [list(range(1, 11))], "they reach each other through others"
    run(playground, "partition 1-3 7,9")
    assert str(log[-1]) == "PARTITION: 1-3  |  7,9  |  4-6,8,10"
    assert playground.wiring.components() == [[1, 2, 3], [4, 5, 6, 8, 10], [7, 9]]
    assert not playground.wiring.is_cut(1, 2) and "['1', '2']" not in playground.wiring.describe()
    run(playground, "heal 1 7")
    assert playground.wiring.components() == [[1, 2, 3, 7, 9], [4, 5, 6, 8, 10]]
    run(playground, "heal")
    assert playground.wiring.cuts == set()


def test_slowness_can_be_removed_alone_and_heal_removes_all(playground: Playground) -> None:
    for line in ("slow 3 200ms", "slow 4 1s", "cut 1 2", "slow 3 0"):
        run(playground, line)
    assert playground.wiring.slowness == {4: 1.0} and len(playground.wiring.cuts) == 1
    assert "delays: {'3': 0.0, '4': 1.0}" in playground.wiring.describe()
    run(playground, "heal")
    assert not playground.wiring.slowness and not playground.wiring.cuts
    assert "cut: []" in playground.wiring.describe() and "delays: {}" in playground.wiring.describe()


@pytest.mark.parametrize(("playground", "typed", "sent"), [
    (1, "/send 5 100", "/send 5 100"),
    (2, "/send 5 100", "/send account-3 account-5 100"),
    (2, "/send 4 5 100", "/send account-4 account-5 100"),
    (2, "/send alice 5 100", "/send alice account-5 100"),
    (3, "/send 5 100", "/send account-5 100"),
    (3, "/send beef 100", "/send beef 100"),
    (3, "/send 1234 100", "/send 1234 100"),
    (5, "/send 5 100 --from 3", "/send account-5 100 --from 3"),
    (5, "/send", "/send"),
    (5, "send 5 100", "send 5 100"),
    (5, "hello  5", "hello  5"),
], indirect=["playground"])
def test_a_nodes_number_stands_for_its_account(playground: Playground, typed: str, sent: str) -> None:
    for view in playground.views:
        view.account = f"account-{view.number}"
    assert with_accounts(playground, 3, typed) == sent


@pytest.mark.parametrize(("playground", "names"), [
    (1, ["duplicate"]), (3, ["duplicate", "forge", "tamper", "strangers"]),
    (4, ["duplicate", "forge", "tamper", "strangers", "two-orders", "leave-out"])], indirect=["playground"])
def test_every_adversary_is_offered_in_its_stage_with_what_one_sees(playground: Playground, log: list[Line],
                                                                   names: list[str]) -> None:
    run(playground, "evil 7")
    starts = [line.text.split()[2] for line in log if line.text.startswith("evil 7")]
    sights = [line.text.split()[1] for line in log if line.text.strip().startswith(">")]
    assert starts == names and len(sights) == len(names)
    assert max(len(line.text) for line in log) <= LOG_COLUMNS


@pytest.mark.parametrize("playground", [4], indirect=True)
def test_two_orders_says_that_it_waits_for_two_transactions(playground: Playground, log: list[Line]) -> None:
    run(playground, "evil 1")
    assert "it waits for two pending transactions" in " ".join(line.text.strip() for line in log)


@pytest.mark.parametrize("playground", [2], indirect=True)
def test_a_list_of_peers_that_is_longer_than_the_network_is_shown_as_a_fault(playground: Playground) -> None:
    playground.view(1).known, playground.view(2).known = 310, 10
    assert [row.faults for row in Table(playground).snapshot().rows[:2]] == ["lists 310", ""]
