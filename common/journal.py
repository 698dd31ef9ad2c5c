"""What must outlive a crash: a list of entries in the order in which they happened, in one SQLite file.

A node appends what it accepts, and commits before anybody is told: what was said to the
user or to a peer is still there after `kill -9`, and after a power cut. The commit waits for the disk. One
commit serves a whole batch of messages, so that each message costs little.

A damaged file is never mended in silence. Three things find the damage. SQLite sees when its pages do not
fit together. Each row carries a checksum of its content, which SQLite does not check. And the lock file
holds the number of entries, written after each commit: if the write-ahead log is damaged or gone, SQLite
treats its commits as never finished, and forgets them in silence.
"""

import fcntl
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from common.advice import OTHER_VERSION, describe_file_error
from common.interface import JournalError
from common.new_files import make_folder, sync_file

FILE = "journal.sqlite"
LOG = f"{FILE}-wal"
"""SQLite's write-ahead log."""

LOCK = "lock"
"""The file that is locked by the process that uses the folder. It holds the number of entries committed."""

APPLICATION = 0x6C656467
"""SQLite's `application_id`: "ledg"."""

FORMAT = 2
"""SQLite's `user_version`: the format of the tables below."""

COUNT_DIGITS = 16

ROWS_AT_ONCE = 1_000
"""Entries in one statement; SQLite takes 32,766 values."""

PATIENCE = 30.0
"""Seconds that the node waits while another program holds the file. It is silent meanwhile, and its peers would close
its connections after a minute."""

LOG_PAGES = 10_000
"""How long SQLite's log may grow, in pages of 4 KiB: merging it into the file waits for the disk."""

PUT_BACK = "restore the folder from a backup, or name an empty one to fetch all from the peers; nothing was replaced"

NO_LOCKS = "this disk cannot lock files, which a node with --data must do; name a folder on another disk"

TABLES = """
    CREATE TABLE entries (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, content BLOB NOT NULL,
                          checksum INTEGER NOT NULL);
    CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL);
"""


class Entry(NamedTuple):
    """Something that happened: its kind, and its content as bytes."""

    kind: str
    content: bytes


class Journal:
    """The journal of one node, in a folder of its own, which no second process may use meanwhile."""

    def __init__(self, folder: Path) -> None:
        """Open the journal in `folder`, or begin one; JournalError if that fails."""
        self._path = folder / FILE
        self._new_entries: list[Entry] = []
        self._new_notes: dict[str, str] = {}
        with self._as_journal_errors(), ExitStack() as undo:
            make_folder(folder)
            self._lock = self._take_lock(folder)
            undo.callback(os.close, self._lock)
            self._database = self._connect()
            undo.callback(self._database.close)
            self._open()
            undo.pop_all()

    def __str__(self) -> str:
        return str(self._path)

    def _connect(self) -> sqlite3.Connection:
        if not self._path.exists():
            self._path.touch(mode=0o600)  # SQLite gives its other files the mode of this one
        return sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)

    def _open(self) -> None:
        self._database.execute("PRAGMA synchronous = FULL")  # with a write-ahead log: each commit waits for the disk
        self._database.execute("PRAGMA fullfsync = ON")  # macOS leaves it in the disk's own memory otherwise
        self._database.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        if self._read_count() is None and self._is_blank():
            self._begin()
        self._check()
        self._count = self._count_entries()
        self._notes = dict(self._read_notes())
        self._sync()

    def _sync(self) -> None:
        """Make sure that all that is read here is on the disk, since this process tells others about it. An earlier
        process may have been killed before its last write got there. (SQLite itself syncs the folder of its files.)"""
        log = self._path.with_name(LOG)
        if log.exists():
            sync_file(log)
        self._write_count(self._count)
        os.fsync(self._lock)

    @contextmanager
    def _as_journal_errors(self) -> Iterator[None]:
        """Turns the errors of SQLite and the system into JournalErrors that say what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise JournalError(f"{self._path}: {error}; {_advice(error)}") from None
        except OSError as error:
            raise JournalError(f"{error.filename or self._path}: {describe_file_error(error)}") from None

    @staticmethod
    def _take_lock(folder: Path) -> int:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise JournalError(f"{folder}: another process uses this folder; each node needs its own") from None
        except OSError as error:
            os.close(lock)
            raise JournalError(f"{folder}: {error.strerror}: {NO_LOCKS}") from None
        return lock

    def _is_blank(self) -> bool:
        """Is the file empty, perhaps because the process that began it was killed before it had made the tables?"""
        tables = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return not tables and self._pragma("application_id") == 0

    def _begin(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(f"BEGIN; {TABLES} PRAGMA application_id = {APPLICATION};"
                                     f" PRAGMA user_version = {FORMAT}; COMMIT;")

    def _check(self) -> None:
        """JournalError unless this is a journal of this format."""
        if self._pragma("application_id") != APPLICATION:
            raise JournalError(f"{self._path}: not a journal of a node; name another folder")
        found = int(self._pragma("user_version"))
        if found != FORMAT:
            age = "an older" if found < FORMAT else "a newer"
            raise JournalError(f"{self._path}: format {found}, of {age} version of this program; this version reads"
                               f" {FORMAT}; {OTHER_VERSION}")

    def _pragma(self, name: str) -> int | str:
        value: int | str = self._database.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    def _count_entries(self) -> int:
        found, last = self._database.execute("SELECT count(*), ifnull(max(number), 0) FROM entries").fetchone()
        committed = max(last, self._read_count() or 0)
        if found < committed:
            raise sqlite3.DatabaseError(f"only {found} of {committed} entries are left")
        return int(found)

    def _read_count(self) -> int | None:
        """The number of entries that were committed, from the lock file; None if that file is new."""
        digits = os.pread(self._lock, COUNT_DIGITS, 0)
        if digits and not (digits.isdigit() and len(digits) == COUNT_DIGITS):
            raise JournalError(f"{self._path.parent / LOCK}: damaged; {PUT_BACK}")
        return int(digits) if digits else None

    def _write_count(self, count: int) -> None:
        os.pwrite(self._lock, f"{count:0{COUNT_DIGITS}}".encode(), 0)

    # --- writing --------------------------------------------------------------------------------

    def append(self, kind: str, content: bytes) -> None:
        """Add an entry, which lasts from the next `commit` on."""
        self._new_entries.append(Entry(kind, content))

    def note(self, name: str, value: str) -> None:
        """Keep one value under a name, in place of an earlier one; it lasts from the next `commit` on."""
        self._notes[name] = self._new_notes[name] = value

    def commit(self) -> None:
        """Make permanent what was added since the last `commit`. JournalError if the disk does not take it: then
        nothing was added, unless only the number of entries could not be written into the lock file."""
        if self._new_entries or self._new_notes:
            with self._as_journal_errors():
                self._write()

    def _write(self) -> None:
        # As few statements as possible: at each one the thread gives up the interpreter lock, and must wait for it.
        # A single INSERT is a transaction by itself, without BEGIN and COMMIT.
        is_one_statement = not self._new_notes and len(self._new_entries) <= ROWS_AT_ONCE
        try:
            if not is_one_statement:
                self._database.execute("BEGIN")
            for start in range(0, len(self._new_entries), ROWS_AT_ONCE):
                self._insert(self._count + start + 1, self._new_entries[start:start + ROWS_AT_ONCE])
            for name, value in self._new_notes.items():
                self._database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)",
                                       (name, value, _checksum(name, value.encode())))
            if not is_one_statement:
                self._database.execute("COMMIT")
        except sqlite3.DatabaseError:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        self._count += len(self._new_entries)
        self._new_entries.clear()
        self._new_notes.clear()
        self._write_count(self._count)

    def _insert(self, first_number: int, entries: list[Entry]) -> None:
        values = ", ".join(["(?, ?, ?, ?)"] * len(entries))
        rows = [value for number, (kind, content) in enumerate(entries, start=first_number)
                for value in (number, kind, content, _checksum(kind, content))]
        self._database.execute(f"INSERT INTO entries VALUES {values}", rows)

    def close(self) -> None:
        """Close the file and let another process use the folder. What was not committed is gone."""
        self._database.close()
        os.close(self._lock)

    # --- reading --------------------------------------------------------------------------------

    def read_note(self, name: str) -> str | None:
        """The value kept under a name; None if there is none."""
        return self._notes.get(name)

    def _read_notes(self) -> Iterator[tuple[str, str]]:
        for name, value, checksum in self._database.execute(
                f"SELECT {_text('name')}, {_bytes('value')}, checksum FROM notes"):
            if _checksum(name, value) != checksum:
                raise sqlite3.DatabaseError(f"note {name} is damaged")
            yield name, value.decode()

    def entries(self) -> Iterator[Entry]:
        """All entries in order; JournalError at one whose content is not what was written."""
        with self._as_journal_errors():
            for number, kind, content, checksum in self._database.execute(
                    f"SELECT number, {_text('kind')}, {_bytes('content')}, checksum FROM entries ORDER BY number"):
                if _checksum(kind, content) != checksum:
                    raise sqlite3.DatabaseError(f"entry {number} is damaged")
                yield Entry(kind, content)


def _text(column: str) -> str:
    """SQL for a column as text: where the file is damaged, it may be NULL or a number. The checksum finds that out."""
    return f"CAST(ifnull({column}, '') AS TEXT)"


def _bytes(column: str) -> str:
    """The same for a column as bytes."""
    return f"CAST(ifnull({column}, '') AS BLOB)"


def _checksum(kind: str, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(kind.encode()))


LOCK_ERRORS = {
    sqlite3.SQLITE_IOERR_LOCK, sqlite3.SQLITE_IOERR_RDLOCK, sqlite3.SQLITE_IOERR_UNLOCK, sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP, sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK,
}
"""The errors of SQLite on a disk that cannot lock files, or cannot map them as shared memory."""

HELD = "another program holds it: end that one, and start again; nothing was lost"

ADVICE = {
    sqlite3.SQLITE_BUSY: HELD,
    sqlite3.SQLITE_LOCKED: HELD,
    sqlite3.SQLITE_PROTOCOL: HELD,
    sqlite3.SQLITE_FULL: "make room on the disk and start again",
    sqlite3.SQLITE_READONLY: "make the folder writable, or name another one",
    sqlite3.SQLITE_PERM: "make the folder writable, or name another one",
    sqlite3.SQLITE_CANTOPEN: "make the folder readable and writable, or name another one",
    sqlite3.SQLITE_IOERR: "check the disk; nothing was replaced",
    sqlite3.SQLITE_CORRUPT: PUT_BACK,
    sqlite3.SQLITE_NOTADB: PUT_BACK,
    sqlite3.SQLITE_ERROR: f"it lacks what this version needs; {OTHER_VERSION}, or restore this one from a backup",
}
"""What the user can do about an error of SQLite."""


def _advice(error: sqlite3.DatabaseError) -> str:
    """What the user can do about an error."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return NO_LOCKS if code in LOCK_ERRORS else ADVICE.get(code & 0xFF, "start again; nothing was replaced")
