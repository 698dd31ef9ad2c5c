"""Real nodes of stage 5 over loopback, through the command line and the wire of the contract."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from common.journal import FILE
from tests.conftest import Launch
from tests.processes import NodeProcess, eventually

STAGE = 5


def ledger(node: NodeProcess) -> dict[str, int]:
    """The node's ledger."""
    accounts: dict[str, int] = node.ask("/ledger", "ledger")["accounts"]
    return accounts


def status(node: NodeProcess) -> dict[str, Any]:
    """The node's status."""
    return node.ask("/status", "status")


def wait_for_balance(node: NodeProcess, account: str, balance: int) -> None:
    """Wait until the account has that much on the node's best chain."""
    eventually(lambda: ledger(node).get(account) == balance, state=lambda: (balance, ledger(node)))


def test_eight_makers_whose_blocks_cross_all_the_time_agree_once_they_stop(launch: Launch, genesis_keys: Path) -> None:
    keys = ["--keys", str(genesis_keys), "--forge"]
    makers = [launch(STAGE, "--peer", "none", "--slot", "0.1", "--rate", "0.9", *keys, "1")]
    makers += [launch(STAGE, "--peer", makers[0].address, *keys, str(number)) for number in range(2, 9)]
    watchers = [launch(STAGE, "--peer", makers[0].address) for _ in range(2)]
    accounts = [node.wait_for("listening")["account"] for node in watchers]
    for number, maker in enumerate(makers, start=1):
        maker.wait_for("listening")
        maker.type(f"/send {accounts[number % 2]} 100 --from {number}")
    for account in accounts:
        wait_for_balance(watchers[0], account, 4 * 99)
    # Forks are what this test is about, so there must be one.
    eventually(lambda: (now := status(watchers[0]))["blocks"] > now["height"] > 10, state=lambda: status(watchers[0]))
    for maker in makers:
        maker.type("/quit")
    for maker in makers:
        assert maker.wait_exit() == 0
    eventually(lambda: status(watchers[0])["tip"] == status(watchers[1])["tip"],
               state=lambda: [status(node) for node in watchers])
    one, other = map(ledger, watchers)
    assert one == other
    assert sum(one.values()) == 10_000_000 + 10 * status(watchers[0])["height"]
    late = launch(STAGE, "--peer", watchers[1].address)
    eventually(lambda: status(late)["tip"] == status(watchers[0])["tip"], state=lambda: status(late))
    assert ledger(late) == one


def test_a_maker_still_knows_after_kill_9_what_it_has_told(launch: Launch, genesis_keys: Path, tmp_path: Path) -> None:
    options = ["--keys", str(genesis_keys), "--data", str(tmp_path / "data")]
    first = launch(STAGE, "--peer", "none", "--slot", "0.1", "--rate", "0.9", *options)
    account = first.wait_for("listening")["account"]
    first.type(f"/send {account} 1000 --from 1")
    first.wait_for("transaction", state="applied")
    told = first.wait_for("block", height=4)
    first.kill()
    again = launch(STAGE, *options)
    assert again.wait_for("founded")["resumed"] is True
    assert again.wait_for("listening")["account"] == account
    assert told["id"] in [block["id"] for block in again.ask("/blocks", "blocks")["blocks"]]
    assert ledger(again)[account] >= 999
    again.wait_for("block")
    slots = [(block["creator"], block["slot"]) for block in again.ask("/tree", "tree")["blocks"]]
    assert len(set(slots)) == len(slots), "nobody has signed two blocks for one slot"


def test_only_a_founder_plays_the_accounts_again_whose_keys_it_finds(
        launch: Launch, genesis_keys: Path, tmp_path: Path) -> None:
    keys = ["--keys", str(genesis_keys)]
    founder = launch(STAGE, "--peer", "none", "--slot", "60", *keys, "--data", str(tmp_path / "founder"))
    joiner = launch(STAGE, "--peer", founder.address, *keys, "--data", str(tmp_path / "joiner"))
    joiner.wait_for("joined")
    for node in (founder, joiner):
        node.type("/quit")
        assert node.wait_exit() == 0
    shutil.copytree(tmp_path / "founder", tmp_path / "of an older version")
    with closing(sqlite3.connect(tmp_path / "of an older version" / FILE)) as database, database:
        database.execute("DELETE FROM notes WHERE name = 'founded'")
    everybody = list(range(1, 11))
    for folder, options, played in [("founder", [], everybody), ("joiner", [], []), ("joiner", ["--forge", "3"], [3]),
                                    ("of an older version", [], everybody)]:
        again = launch(STAGE, *keys, "--data", str(tmp_path / folder), *options)
        again.wait_for("listening")
        again.type("/send x 5 --from 11")
        told = again.wait_for("error", code="ACCOUNT")["reason"]
        expected = ", ".join(map(str, played)) or "none is (see --forge)"
        assert told == f"expected a genesis account played here: {expected}"
        again.stop()


def test_a_wrong_option_gives_one_line_and_status_2(launch: Launch) -> None:
    for options in (["--rate", "1"], ["--rate", "x"], ["--slot", "0"], ["--slot", "3601"], ["--forge", "11"],
                    ["--forge", "0"], ["--forge", "1,,2"], ["--network", "abc"], ["--interval", "3"]):
        node = launch(STAGE, *options)
        node.may_complain = True
        assert node.wait_exit() == 2, options
        assert len(node.errors) == 1 and options[0] in node.errors[0], node.errors


def test_missing_keys_give_one_line_and_status_1(launch: Launch, tmp_path: Path) -> None:
    node = launch(STAGE, "--peer", "127.0.0.1:1", "--keys", str(tmp_path), "--forge", "3")
    node.may_complain = True
    assert node.wait_exit() == 1
    assert len(node.errors) == 1 and "key-3.pem" in node.errors[0]
