"""The journal: committed entries are there again, and damage is reported and never replaced."""

import contextlib
import errno
import fcntl
import random
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.interface import JournalError
from common.journal import TABLES, Entry, Journal

CONTENTS = [b"first", b"", b"\x00" * 10, b"x" * 20_000, "ünï".encode()]
ENTRIES = [Entry("transaction", content) for content in CONTENTS]
NETWORK = "n" * 64
LEFT_OPEN: list[Journal] = []
"""Open journals, kept here so that the garbage collector does not close them and change their files."""


def fill(folder: Path, entries: list[Entry] = ENTRIES) -> Journal:
    """A journal in a new folder with these entries, each in a commit of its own. It stays open."""
    journal = Journal(folder)
    LEFT_OPEN.append(journal)
    journal.note("network", NETWORK)
    for entry in entries:
        journal.append(*entry)
        journal.commit()
    return journal


def killed(journal_folder: Path, to: Path) -> Path:
    """The folder as a `kill -9` would leave it: SQLite's log is not merged into the file."""
    shutil.copytree(journal_folder, to)
    return to


def read_all(folder: Path) -> tuple[list[Entry], str | None]:
    """Open the journal. Return its entries, and its note of the network."""
    journal = Journal(folder)
    try:
        return list(journal.entries()), journal.read_note("network")
    finally:
        journal.close()


def entries_of(folder: Path) -> list[Entry]:
    """The entries of the journal."""
    return read_all(folder)[0]


# --- nothing is lost ------------------------------------------------------------------------------

@settings(max_examples=40)  # each commit waits for the disk
@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=300), st.booleans()), max_size=30))
def test_exactly_the_committed_entries_are_there_again_in_order(
        tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bytes, bool]]) -> None:
    folder = tmp_path_factory.mktemp("data")
    journal = Journal(folder)
    appended, committed = 0, 0
    for kind, content, is_committed in steps:
        journal.append(kind, content)
        appended += 1
        if is_committed:
            journal.commit()
            committed = appended
    journal.close()
    assert entries_of(folder) == [Entry(kind, content) for kind, content, _ in steps[:committed]]


def test_a_process_that_is_killed_leaves_all_that_it_committed(tmp_path: Path) -> None:
    journal = fill(tmp_path / "data")
    journal.append("transaction", b"not committed")
    folder = killed(tmp_path / "data", tmp_path / "copy")
    assert (folder / "journal.sqlite-wal").stat().st_size > 20_000, "this test needs entries that are only in SQLite's log"
    again = Journal(folder)
    assert list(again.entries()) == ENTRIES and again.read_note("network") == NETWORK


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    fill(tmp_path).close()
    journal = Journal(tmp_path)
    journal.append("block", b"next")
    journal.commit()
    journal.close()
    assert entries_of(tmp_path) == [*ENTRIES, Entry("block", b"next")]


def test_a_note_replaces_the_earlier_one(tmp_path: Path) -> None:
    journal = fill(tmp_path)
    journal.note("peers", "[1]")
    journal.note("peers", "[2]")
    journal.commit()
    journal.note("peers", "[3]")
    journal.close()
    again = Journal(tmp_path)
    assert (again.read_note("peers"), again.read_note("unknown")) == ("[2]", None)


def test_the_folder_and_the_file_are_for_their_owner_only(tmp_path: Path) -> None:
    fill(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o077 for file in (tmp_path / "new" / "folder").iterdir()} == {0}


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL])
def test_a_disk_that_cannot_lock_files_is_named_as_the_cause(
        number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> NoReturn:
        raise OSError(number, "No locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(JournalError, match="No locks here: this disk cannot lock files.*another disk"):
        Journal(tmp_path)


@pytest.mark.parametrize("code, expected", [
    (sqlite3.SQLITE_IOERR_LOCK, "this disk cannot lock files.*another disk"),
    (sqlite3.SQLITE_IOERR_SHMMAP, "this disk cannot lock files.*another disk"),
    (sqlite3.SQLITE_PROTOCOL, "another program holds it: end that one, and start again"),
    (sqlite3.SQLITE_IOERR_FSYNC, "check the disk"),
    (sqlite3.SQLITE_INTERNAL, "start again; nothing was replaced"),
    (sqlite3.SQLITE_CORRUPT_INDEX, "restore the folder from a backup")])
def test_an_error_of_sqlite_comes_with_advice(code: int, expected: str, tmp_path: Path) -> None:
    journal = fill(tmp_path)
    with pytest.raises(JournalError, match=f"it said so; {expected}"), journal._as_journal_errors():
        error = sqlite3.OperationalError("it said so")
        error.sqlite_errorcode = code
        raise error


# --- one process at a time ------------------------------------------------------------------------

def test_a_second_one_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    first = fill(tmp_path)
    with pytest.raises(JournalError, match="another process uses this folder"):
        Journal(tmp_path)
    first.append("block", b"still mine")
    first.commit()
    first.close()
    assert entries_of(tmp_path)[-1] == Entry("block", b"still mine")


def other_program(folder: Path, statement: str) -> sqlite3.Connection:
    """Another program that has executed a statement on the journal, and keeps it open."""
    other = sqlite3.connect(folder / "journal.sqlite", isolation_level=None, check_same_thread=False)
    other.execute(statement).fetchone()
    return other


def test_it_waits_for_another_program_that_holds_the_file_for_a_while(tmp_path: Path) -> None:
    journal = fill(tmp_path)
    other = other_program(tmp_path, "BEGIN IMMEDIATE")
    released = threading.Event()

    def release() -> None:
        released.set()
        other.close()

    threading.Timer(0.2, release).start()
    journal.append("block", b"next")
    journal.commit()
    assert released.is_set(), "the other program should hold the file until then"
    journal.close()
    assert entries_of(tmp_path) == [*ENTRIES, Entry("block", b"next")]


def test_the_user_is_told_to_end_a_program_that_holds_the_file_for_too_long(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.journal.PATIENCE", 0.01)
    journal = fill(tmp_path)
    other = other_program(tmp_path, "BEGIN IMMEDIATE")
    journal.append("block", b"next")
    for _ in range(2):
        with pytest.raises(JournalError, match="another program holds it: end that one, and start again") as told:
            journal.commit()
        assert "copy" not in str(told.value) and "\n" not in str(told.value)
    other.close()
    journal.commit()
    journal.close()
    assert entries_of(tmp_path) == [*ENTRIES, Entry("block", b"next")]


def test_the_user_is_told_to_end_a_program_that_has_the_file_for_itself(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.journal.PATIENCE", 0.01)
    fill(tmp_path).close()
    other = other_program(tmp_path, "PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalError, match="another program holds it"):
        Journal(tmp_path)
    other.close()
    assert entries_of(tmp_path) == ENTRIES


def test_a_program_that_only_reads_delays_nothing(tmp_path: Path) -> None:
    journal = fill(tmp_path)
    other = other_program(tmp_path, "BEGIN")
    assert other.execute("SELECT count(*) FROM entries").fetchone()[0] == 5
    journal.append("block", b"next")
    journal.commit()
    journal.close()
    assert entries_of(tmp_path)[-1] == Entry("block", b"next")
    other.close()


@pytest.mark.parametrize("left", ["nothing", "an empty file", "a file without tables"])
def test_a_process_that_was_killed_while_it_began_does_not_block_the_next(left: str, tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    if left == "an empty file":
        (tmp_path / "journal.sqlite").touch()
    elif left == "a file without tables":
        sqlite3.connect(tmp_path / "journal.sqlite").execute("PRAGMA journal_mode = WAL")
    fill(tmp_path).close()
    assert entries_of(tmp_path) == ENTRIES


# --- damage is reported ---------------------------------------------------------------------------

def flip(file: Path, place: int) -> None:
    """Flip a bit of one byte."""
    data = bytearray(file.read_bytes())
    data[place] ^= 0x10
    file.write_bytes(data)


def cut_off(file: Path, place: int) -> None:
    """Truncate the file."""
    file.write_bytes(file.read_bytes()[:place])


def tells_the_truth(folder: Path) -> bool:
    """Check that the journal in `folder` either has everything or reports damage. True if it reports damage."""
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix != ".sqlite-shm"}
    try:
        told = read_all(folder)
    except JournalError as error:
        assert "\n" not in str(error) and str(folder) in str(error), error
        assert folder.joinpath("lock").read_bytes() == before["lock"], "it must be reported the next time, too"
        return True
    assert told == (ENTRIES, NETWORK), "something was lost or changed silently"
    return False


@pytest.mark.parametrize("damage", [flip, cut_off])
@pytest.mark.parametrize("name", ["journal.sqlite", "journal.sqlite-wal"])
def test_damage_anywhere_is_reported_or_does_not_matter(
        name: str, damage: Callable[[Path, int], None], tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    journal = fill(tmp_path / "data")
    if name == "journal.sqlite":
        journal.close()  # now SQLite merges its log into the file
    size = (tmp_path / "data" / name).stat().st_size
    said = 0
    for number in range(100):
        folder = killed(tmp_path / "data", tmp_path / str(number))
        damage(folder / name, choose.randrange(size))
        said += tells_the_truth(folder)
    assert said > 50, f"only {said} of 100 damaged copies were reported; some bytes are unused, but not so many"


def test_a_journal_that_cannot_be_used_is_closed_again(tmp_path: Path, databases: list[sqlite3.Connection]) -> None:
    fill(tmp_path).close()
    (tmp_path / "journal.sqlite").write_bytes(b"damaged")
    with pytest.raises(JournalError):
        Journal(tmp_path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        databases[-1].execute("SELECT 1")
    with pytest.raises(JournalError, match="not a database"):  # and not that another process uses the folder
        Journal(tmp_path)


@pytest.mark.parametrize("change", ["entries SET kind = NULL", "entries SET kind = 7", "entries SET content = NULL",
                                    "notes SET name = NULL", "notes SET name = 7 WHERE name = 'peers'", "notes SET value = NULL"])
def test_a_value_of_another_type_is_damage_too(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flipped bit can turn a text into a NULL or a number, whatever the table allows."""
    monkeypatch.setattr("common.journal.TABLES", re.sub(" STRICT| NOT NULL| TEXT| BLOB", "", TABLES))
    journal = fill(tmp_path)
    journal.note("peers", "[1]")
    journal.commit()
    journal.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)) as database:
        database.execute(f"UPDATE {change}")
    with pytest.raises(JournalError, match="damaged"):
        list(Journal(tmp_path).entries())


def test_a_missing_log_is_reported(tmp_path: Path) -> None:
    fill(tmp_path / "data")
    folder = killed(tmp_path / "data", tmp_path / "copy")
    (folder / "journal.sqlite-wal").unlink()
    with pytest.raises(JournalError, match=r"not a journal|only 0 of 5 entries are left|no such table"):
        Journal(folder)


def execute(statement: str) -> Callable[[Path], None]:
    """Damage that SQLite itself does not notice."""
    def damage(folder: Path) -> None:
        database = sqlite3.connect(folder / "journal.sqlite")
        database.execute(statement)
        database.commit()
        database.close()
    return damage


def put_folder(folder: Path) -> None:
    """Put a folder where the file should be."""
    (folder / "journal.sqlite").unlink()
    (folder / "journal.sqlite").mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "not SQLite": (lambda folder: (folder / "journal.sqlite").write_bytes(b"hello\n" * 1_000), "not a database"),
    "empty": (lambda folder: (folder / "journal.sqlite").write_bytes(b""), "not a journal of a node"),
    "another program's": (execute("PRAGMA application_id = 7"), "not a journal of a node"),
    "a later format": (execute("PRAGMA user_version = 99"), r"format 99, of a newer version.*copy the keys \(\*\.pem\)"),
    "an entry changed": (execute("UPDATE entries SET content = 'other' WHERE number = 2"), "entry 2 is damaged"),
    "a note changed": (execute("UPDATE notes SET value = 'other'"), "note network is damaged"),
    "a kind changed": (execute("UPDATE entries SET kind = 'block' WHERE number = 1"), "entry 1 is damaged"),
    "the last entry gone": (execute("DELETE FROM entries WHERE number = 5"), "only 4 of 5 entries are left"),
    "one in the middle gone": (execute("DELETE FROM entries WHERE number = 3"), "only 4 of 5 entries are left"),
    "all gone": (execute("DELETE FROM entries"), "only 0 of 5 entries are left"),
    "the count cut off": (lambda folder: (folder / "lock").write_bytes(b"5"), "lock: damaged"),
    "the count is no number": (lambda folder: (folder / "lock").write_bytes(b"x" * 16), "lock: damaged"),
    "a folder in its place": (put_folder, "unable to open"),
}


@pytest.mark.parametrize("damage, expected", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_gives_one_line_that_says_what_it_is(
        damage: Callable[[Path], object], expected: str, tmp_path: Path) -> None:
    fill(tmp_path).close()
    damage(tmp_path)
    with pytest.raises(JournalError, match=expected) as told:
        read_all(tmp_path)
    assert str(tmp_path) in str(told.value) and "\n" not in str(told.value)
    with pytest.raises(JournalError, match=expected):
        read_all(tmp_path)


def test_a_file_where_the_folder_should_be_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(JournalError, match="data"):
        Journal(tmp_path / "data")


# --- no room --------------------------------------------------------------------------------------

def test_when_there_is_no_room_the_commits_before_are_kept(tmp_path: Path) -> None:
    journal = fill(tmp_path)
    journal._database.execute("PRAGMA max_page_count = 20")  # SQLITE_FULL, as on a full disk
    with pytest.raises(JournalError, match="make room on the disk"):
        for _ in range(100):
            journal.append("transaction", b"x" * 4_000)
            journal.commit()
    journal.close()
    assert entries_of(tmp_path)[:5] == ENTRIES


class FullOnce:
    """A database with no room for the `number`th statement with this beginning, but room again for the next one."""

    def __init__(self, database: sqlite3.Connection, beginning: str, number: int) -> None:
        self._database = database
        self._beginning = beginning
        self._left = number

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Execute the statement, or fail."""
        self._left -= statement.startswith(self._beginning)
        if self._left == 0 and statement.startswith(self._beginning):
            raise sqlite3.OperationalError("database or disk is full")
        return self._database.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


@pytest.mark.parametrize("beginning, number, has_note", [
    ("INSERT INTO entries", 2, False), ("INSERT INTO entries", 2, True), ("INSERT OR REPLACE", 1, True),
    ("COMMIT", 1, False), ("COMMIT", 1, True)])
def test_a_commit_that_fails_half_way_adds_nothing_and_the_next_one_all(
        beginning: str, number: int, has_note: bool, tmp_path: Path) -> None:
    journal = fill(tmp_path / "data")
    journal._database = FullOnce(journal._database, beginning, number)  # type: ignore[assignment]
    new = [Entry("transaction", str(number).encode()) for number in range(2_500)]
    for entry in new:
        journal.append(*entry)
    if has_note:
        journal.note("network", "m" * 64)
    with pytest.raises(JournalError, match="disk is full"):
        journal.commit()
    assert read_all(killed(tmp_path / "data", tmp_path / "copy")) == (ENTRIES, NETWORK)
    journal.commit()
    journal.close()
    assert read_all(tmp_path / "data") == (ENTRIES + new, "m" * 64 if has_note else NETWORK)
