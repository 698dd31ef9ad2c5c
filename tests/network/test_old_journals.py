"""Going on with the `--data` of another version: it opens, or one line says why not and what to do.

tests/journals holds journals of older versions, as SQL. Whoever changes the format adds a file there.
"""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from common.interface import JournalError
from common.journal import Journal
from tests.conftest import Launch
from tests.processes import ROOT
from tests.sizes import and_long

JOURNALS = ROOT / "tests" / "journals"


def put_there(name: str, folder: Path) -> Path:
    """Fill `folder` as the version that wrote this journal left it."""
    folder.mkdir()
    database = sqlite3.connect(folder / "journal.sqlite")
    database.executescript((JOURNALS / f"{name}.sql").read_text())
    entries = database.execute("SELECT count(*) FROM entries").fetchone()[0]
    database.close()
    (folder / "lock").write_text("" if name.startswith("format-1-") else f"{entries:016}")
    return folder


@pytest.mark.parametrize("stage, command, expected", and_long(
    [(2, "/ledger", {"accounts": {"alice": -5, "bob": 3, "carol": 2}}), (5, "/status", {"blocks": 2, "pool": 0})],
    [(3, "/ledger", {}), (4, "/status", {"next": 1, "pending": 0})]))
def test_a_node_goes_on_with_what_an_older_version_has_kept(
        stage: int, command: str, expected: dict[str, Any], start_node: Launch, tmp_path: Path) -> None:
    folder = put_there(f"format-2-stage-{stage}", tmp_path / "data")
    node = start_node(stage, "none", "--data", str(folder), *(["--forge", "none"] if stage == 5 else []))
    assert node.wait_for("founded")["resumed"] is True
    node.ask(command, command.removeprefix("/"), **expected)


@pytest.mark.parametrize("name, expected", [
    ("format-1-stage-2", "format 1, of an older version of this program; this version reads 2"),
    ("format-2-draft-stage-2", "no such column: checksum; it lacks what this version needs")])
def test_an_older_format_is_refused_in_one_line_and_stays_as_it_is(name: str, expected: str, tmp_path: Path) -> None:
    folder = put_there(name, tmp_path / "data")
    before = (folder / "journal.sqlite").read_bytes()
    with pytest.raises(JournalError, match=expected) as told:
        Journal(folder)
    assert "use the version that wrote it, or name another folder, and copy the keys" in str(told.value)
    assert "\n" not in str(told.value) and str(folder) in str(told.value)
    assert (folder / "journal.sqlite").read_bytes() == before


@pytest.mark.parametrize("kind, content", [("payment", b"\0\0\0\2{}"), ("transaction", b"\0\0\0\2{}")])
def test_an_entry_that_only_a_newer_version_knows_gives_one_line(
        kind: str, content: bytes, start_node: Launch, tmp_path: Path) -> None:
    journal = Journal(put_there("format-2-stage-2", tmp_path / "data"))
    journal.append(kind, content)
    journal.commit()
    journal.close()
    node = start_node(2, "none", "--data", str(tmp_path / "data"))
    assert node.wait_exit() == 1
    assert [event["code"] for event in node.all_of("error")] == ["STORAGE"]
    assert "use the version that wrote it" in node.all_of("error")[0]["reason"]
