"""Nodes on machines of their own: five network namespaces on one cable (tests/network/machines.py)."""

import os
import re
import shutil
import socket
from base64 import b64encode
from pathlib import Path

import pytest
from Crypto.PublicKey import RSA

from common.reach import HOW_TO_ANNOUNCE
from tests.network import machines
from tests.conftest import KEYS, PASSPHRASE
from tests.network.machines import Apart, NotPossible, way_in
from tests.processes import ROOT, eventually

SCENES = "tests.network.scenes_on_machines"


@pytest.fixture(scope="module")
def way() -> list[str]:
    """The command that starts a program in namespaces of its own. Tests that need it are skipped if it fails."""
    try:
        return way_in()
    except NotPossible as reason:
        pytest.skip(str(reason))


@pytest.fixture
def folder(genesis_keys: Path, wallets: list[Path], tmp_path: Path) -> Path:
    """What the nodes of stages 3 to 5 need: one wallet for all, the keys of the genesis, and the account to pay."""
    shutil.copyfile(wallets[0], tmp_path / "wallet")
    receiver = RSA.import_key((KEYS / "key-12.pem").read_bytes()).public_key().export_key("DER")
    (tmp_path / "receiver").write_text(b64encode(receiver).decode())
    return tmp_path


@pytest.mark.parametrize("stage, outage", [
    (5, "short"), *(pytest.param(stage, "short", marks=pytest.mark.long) for stage in (2, 3, 4)),
    *(pytest.param(stage, "long", marks=[pytest.mark.long, pytest.mark.timeout(400)]) for stage in (2, 3, 4, 5))])
def test_five_machines_agree_again_when_one_that_was_cut_off_is_back(
        stage: int, outage: str, way: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALLET_PASSPHRASE", PASSPHRASE)
    interfaces = socket.if_nameindex()
    with Apart(way, SCENES, "away-and-back", str(stage), outage, str(folder)) as scene:
        status, text = scene.read()
    print(text)
    assert (status, text) == (0, "agreed\n")
    assert socket.if_nameindex() == interfaces, "this machine's interfaces have not changed"


def test_a_node_that_other_machines_cannot_call_says_which_option_to_give(way: list[str]) -> None:
    with Apart(way, SCENES, "told") as scene:
        assert scene.read() == (0, "told\n")


def processes_of(namespace: str) -> list[str]:
    """The processes in a PID namespace."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "ns" / "pid") == namespace:
                found.append(process.name)
        except OSError:
            pass  # it has just ended, or belongs to another user
    return found


@pytest.mark.parametrize("is_killed", [False, True], ids=["its starter is gone", "killed"])
def test_nothing_is_left_of_machines_when_the_test_that_made_them_ends_early(is_killed: bool, way: list[str]) -> None:
    with Apart(way, SCENES, "stay") as scene:
        assert scene.output.readline() == "ready\n"
        namespace = os.readlink(f"/proc/{scene.process.pid}/ns/pid_for_children")
        assert len(processes_of(namespace)) >= 2
        if is_killed:
            scene.process.kill()
        else:
            scene.input.close()
        eventually(lambda: processes_of(namespace) == [])


def test_one_line_says_what_a_machine_lacks_for_this(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "PATH", f"{tmp_path}:{os.environ['PATH']}")
    for program in ("unshare", "ip"):
        (tmp_path / program).write_text("#!/bin/sh\necho not >&2\necho permitted >&2\nexit 1\n")
        (tmp_path / program).chmod(0o755)
    with pytest.raises(NotPossible, match="^no network namespaces: not permitted$"):
        way_in()
    monkeypatch.setattr(machines, "PATH", str(tmp_path / "empty"))
    with pytest.raises(NotPossible, match="^there is no `unshare`"):
        way_in()


def test_the_page_on_several_machines_names_what_make_takes_and_what_nodes_say() -> None:
    page = (ROOT / "docs" / "many-machines.md").read_text()
    named = set(re.findall(r"^\| `([A-Z]+)=", page, re.MULTILINE))
    assert named == {"HOST", "PORT", "PEER", "WAIT", "ANNOUNCE", "ARGS"}
    makefile = (ROOT / "Makefile").read_text()
    assert [name for name in named if not re.search(rf"\b{name}\)", makefile)] == []
    assert HOW_TO_ANNOUNCE in page
