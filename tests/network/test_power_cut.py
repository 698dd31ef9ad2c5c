"""What a node told anybody is still there after a power cut. A tracer saw what was written, and what was synced."""

import json
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.encoding import canon, decode_frame, make_id
from common.interface import JournalError
from common.journal import Journal
from tests.conftest import Call, Launch
from tests.network.power_cut import Cut, name_of_pipe, power_cuts, read_calls, tracer
from tests.processes import ROOT
from tests.sizes import and_long

WRITER = """
import os, signal, sys
from pathlib import Path
from common import journal

journal.LOG_PAGES = 12  # so that SQLite merges its log into the file, and begins a new log, every few commits
folder, *statements = sys.argv[1:]

def be_a_process(life, kill=False):
    child = os.fork()
    if not child:
        life()
        os.kill(os.getpid(), signal.SIGKILL) if kill else os._exit(0)
    os.waitpid(child, 0)

def open_journal():
    opened = journal.Journal(Path(folder))
    for statement in statements:
        opened._database.execute(statement)
    for entry in opened.entries():
        os.write(1, entry.content[:20].strip() + b"\\n")
    return opened

def add(opened, number):
    opened.append("transaction", b"%-20d" % number + b"x" * 1_000)
    opened.commit()

def live():
    opened = open_journal()
    for number in range(12):
        add(opened, number)
        os.write(1, b"%d\\n" % number)
    opened._database.execute("PRAGMA synchronous = OFF")
    opened._write_count = lambda count: None
    add(opened, 12)  # and it is killed before it has synced that, and counted it, and told it

def live_on():
    opened = open_journal()
    for number in range(13, 25):
        add(opened, number)
        os.write(1, b"%d\\n" % number)
    opened.close()

be_a_process(live, kill=True)
be_a_process(open_journal, kill=True)
be_a_process(live_on)
"""
"""Three processes that use one journal in turn: each prints what it finds, then what it adds. Two are killed."""


def trace_writer(folder: Path, log: Path, *statements: str) -> str:
    """Run the three processes, traced into `log`. Return the name of the pipe to which they print."""
    command = [*tracer(log), sys.executable, "-c", WRITER, str(folder), *statements]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        output = name_of_pipe(writer.stdout)
        writer.communicate(timeout=60)
    assert writer.returncode == 0
    return output


def seeded() -> random.Random:
    """A random generator whose seed is printed if the test fails."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def faults_at(cut: Cut, output: str, to: Path) -> list[str]:
    """What is wrong with the writer's folder after the cut, given what was printed to the pipe `output`."""
    left = cut.leave(to)
    try:
        journal = Journal(left / "new" / "data")
        found = {entry.content[:20].strip() for entry in journal.entries()}
        journal.close()
    except JournalError as error:
        return [str(error)]
    return [f"{number!r} is lost" for number in cut.told.get(output, b"").split() if number not in found]


def test_what_a_journal_has_committed_survives_a_power_cut_at_any_moment(tmp_path: Path) -> None:
    folder, log = tmp_path / "folder", tmp_path / "log"
    folder.mkdir()
    output = trace_writer(folder / "new" / "data", log)
    cuts = 0
    for cuts, cut in enumerate(power_cuts(read_calls(log), folder, seeded(), 60), start=1):
        assert faults_at(cut, output, tmp_path / f"cut {cuts}") == [], cut.description
    assert cuts > 60


@pytest.mark.parametrize("level", ["NORMAL", "OFF"])
def test_the_same_test_fails_without_a_sync_at_each_commit(level: str, tmp_path: Path) -> None:
    folder, log = tmp_path / "folder", tmp_path / "log"
    folder.mkdir()
    output = trace_writer(folder / "new" / "data", log, f"PRAGMA synchronous = {level}")
    cuts = power_cuts(read_calls(log), folder, seeded(), 0)
    assert any(faults_at(cut, output, tmp_path / f"cut {number}") for number, cut in enumerate(cuts))


# --- a node ---------------------------------------------------------------------------------------

FOUNDING = {2: [], 3: [], 4: ["--interval", "0.2"], 5: ["--slot", "0.1", "--rate", "0.9", "--forge", "all"]}
"""The founder's options: in stages 4 and 5 there is a block every few tenths of a second."""


def id_of(message: dict[str, Any], network: str) -> str:
    """The id of a transaction or a block (contract §1)."""
    values = [value for name, value in message.items() if name not in ("type", "signature")]
    return make_id(canon([message["type"], network, *values]))


def events(told: bytes) -> Iterator[dict[str, Any]]:
    """The events that a node has printed, without an incomplete last line."""
    return map(json.loads, told[:told.rfind(b"\n") + 1].splitlines())


def messages(told: bytes) -> Iterator[dict[str, Any]]:
    """The messages that a node has sent to one peer, without an incomplete last one."""
    while len(told) >= 4 and len(told) >= (end := 4 + struct.unpack(">I", told[:4])[0]):
        yield json.loads(told[4:end])
        told = told[end:]


def ids_told(cut: Cut, output: str, network: str) -> set[str]:
    """The transactions and blocks that a node told its peers, or its user through the pipe `output`."""
    ids = {event["id"] for event in events(cut.told.get(output, b"")) if event["event"] in ("sent", "block")}
    sent = [message for name, told in cut.told.items() if name.startswith("socket:") for message in messages(told)]
    return ids | {id_of(message, network) for message in sent if message["type"] in ("transaction", "block")}


@pytest.mark.parametrize("stage", and_long([2], [3, 4, 5]))
def test_what_a_node_has_told_anybody_survives_a_power_cut_at_any_moment(
        stage: int, start_node: Launch, call: Call, tmp_path: Path) -> None:
    folder, log = tmp_path / "folder", tmp_path / "log"
    folder.mkdir()
    node = start_node(stage, "none", "--data", str(folder / "data"), *FOUNDING[stage], through=tracer(log))
    output = name_of_pipe(node.stdout)
    peer = call(node)
    peer.join()
    account = node.ask("/account", "account")["account"] if stage > 2 else "b"
    line = {2: "/send a b 1", 5: f"/send {account} 2 --from 1"}.get(stage, f"/send {account} 0")
    for _ in range(6):
        since = len(node.events)
        node.type("\n".join([line] * 5))
        node.wait_for("sent", since=since)
        peer.expect("transaction")
    if stage > 3:
        node.wait_for("block")
    peer.barrier()
    network = node.network
    node.end_input()
    assert node.wait_exit() == 0
    for number, cut in enumerate(power_cuts(read_calls(log), folder, seeded(), 40)):
        left = cut.leave(tmp_path / f"cut {number}") / "data"
        journal = Journal(left)
        found = {id_of(decode_frame(content), network) for kind, content in journal.entries()
                 if kind in ("transaction", "block")}
        told = ids_told(cut, output, network)
        assert told <= found, cut.description
        if b'"listening"' in cut.told.get(output, b""):
            assert journal.read_note("network") == network, cut.description
        journal.close()
    assert number > 40 and len(told) >= 30
    again = start_node(stage, "none", "--data", str(left), *FOUNDING[stage])
    assert again.wait_for("founded")["resumed"] is True
