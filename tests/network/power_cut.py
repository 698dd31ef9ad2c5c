"""What a power cut leaves of a folder: what was synced is there, and any part of the rest may be missing.

    run([*tracer(log), "python3", "-m", "program"])             runs it under strace, which notes writes and syncs
    for cut in power_cuts(read_calls(log), folder, random, 60): cuts the power at some of these calls
        cut.leave(new_folder)                                   what is on the disk then
        cut.told                                                what the program had printed or sent before

A disk may write its data in any order. At a power cut it may have written any part of it, in pieces of 512 bytes. The
same holds for names: a new file is sure to have its name only once its folder was synced. Only what was synced is
there for certain (fsync(2)). The traced program has one process at a time, and writes its files from one thread.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import IO, NamedTuple

import pytest

SECTOR = 512
"""What a disk writes completely or not at all, in bytes."""

CALLS = ("openat", "open", "mkdir", "mkdirat", "link", "linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat",
         "rmdir", "write", "pwrite64", "ftruncate", "fsync", "fdatasync", "sendto")
"""The system calls that are traced."""

PATH, DATA = re.compile(r"<((?:\\x[0-9a-f]{2})+)>"), re.compile(r'"((?:\\x[0-9a-f]{2})*)"')

STRACE = ["strace", "--follow-forks", "--decode-fds=path", "--strings-in-hex=all", "--string-limit=16777216",
          f"--trace={','.join(f'?{call}' for call in CALLS)}"]


def tracer(log: Path) -> list[str]:
    """The words to put in front of a command, to trace it into `log`. The test is skipped if tracing is impossible."""
    if shutil.which("strace") is None:
        pytest.skip("strace, which shows what a program syncs, is not installed (Debian, Ubuntu: apt install strace)")
    command = [*STRACE, f"--output={log}"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"strace cannot trace here: {tried.stderr.strip().splitlines()[-1]}")
    return command


class Call(NamedTuple):
    """A system call that succeeded."""

    name: str
    paths: list[str]
    """The files that it names, by path or by the number of an open file."""
    data: bytes
    """The bytes that it writes or sends."""
    numbers: list[int]
    """The last arguments if they are numbers: length and offset."""
    arguments: str
    """All arguments, as strace shows them."""

    @property
    def is_telling(self) -> bool:
        """Does it write to the user or to a peer, and not to a file?"""
        return self.name in ("write", "sendto") and not any(path.startswith("/") for path in self.paths)


def read_calls(log: Path) -> list[Call]:
    """The calls that succeeded, in order. A call that tells somebody something counts from its beginning on."""
    calls: list[Call | None] = []
    begun: dict[str, tuple[str, int]] = {}
    """Process or thread that is in a call -> the call, and its place among all calls."""
    for line in log.read_text().splitlines():
        process, text = line.split(maxsplit=1)
        place = len(calls)
        if text.endswith("<unfinished ...>"):
            begun[process] = text.removesuffix("<unfinished ...>"), place
            calls.append(None)
            continue
        if text.startswith("<... "):
            beginning, place = begun.pop(process)
            text = beginning + text.partition("resumed>")[2]
        result = re.search(r"\) += (\d+)", text)
        if result and re.match(r"\w+\(", text):
            call = _read_call(text, int(result[1]))
            calls[place:place + 1] = [call if call.is_telling else None]
            if not call.is_telling:
                calls.append(call)
    return [call for call in calls if call is not None]


def _read_call(text: str, result: int) -> Call:
    name, _, rest = text.partition("(")
    arguments = rest.rpartition(") ")[0]
    quoted = [bytes.fromhex(data.replace("\\x", "")) for data in DATA.findall(arguments)]
    opened = [bytes.fromhex(path.replace("\\x", "")).decode() for path in PATH.findall(arguments.partition(",")[0])]
    by_number = name in ("write", "pwrite64", "ftruncate", "fsync", "fdatasync", "sendto")
    paths = opened if by_number else [path.decode() for path in quoted]
    numbers = [int(number) for number in re.findall(r"(?<=, )\d+(?=,|$|\s*$)", arguments)]
    data = quoted[0][:result] if by_number and quoted else b""
    return Call(name, paths, data, numbers, arguments)


def name_of_pipe(output: IO[bytes]) -> str:
    """The system's name for the pipe that `output` reads."""
    return f"pipe:[{os.fstat(output.fileno()).st_ino}]"


class File:
    """A file: what is on the disk for certain, and the writes since then."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.unsynced: list[tuple[int, bytes | None]] = []
        """Offset and bytes of each write. None as bytes: the file was made to end at that offset."""
        self.size = 0

    def do(self, place: int, data: bytes | None) -> None:
        """Write bytes, or set the end of the file."""
        self.unsynced.append((place, data))
        self.size = place if data is None else max(self.size, place + len(data))

    def sync(self) -> None:
        """From now on the disk has all of it."""
        for place, data in self.unsynced:
            _apply(self.synced, place, data)
        self.unsynced.clear()

    def left(self, choose: Random, share: float) -> bytes:
        """What a power cut leaves, if about this share of what was not synced had reached the disk."""
        content = bytearray(self.synced)
        for place, data in self.unsynced:
            for piece_place, piece in _in_sectors(place, data):
                if choose.random() < share:
                    _apply(content, piece_place, piece)
        return bytes(content)


def _apply(content: bytearray, place: int, data: bytes | None) -> None:
    if data is None:
        del content[place:]
    content.extend(bytes(max(0, place - len(content))))
    if data is not None:
        content[place:place + len(data)] = data


def _in_sectors(place: int, data: bytes | None) -> Iterator[tuple[int, bytes | None]]:
    if data is None:
        yield place, None
        return
    ends = range((place // SECTOR + 1) * SECTOR, place + len(data) + SECTOR, SECTOR)
    for start, end in zip([place, *ends], ends, strict=False):
        if data[start - place:end - place]:
            yield start, data[start - place:end - place]


class Disk:
    """A folder: as the program sees it, and as it is on the disk for certain."""

    def __init__(self, folder: Path) -> None:
        """`folder` exists, and is empty."""
        self._folder = str(folder)
        self._now: dict[str, File | None] = {}
        """Each name below the folder -> its file; None for a folder."""
        self._synced: dict[str, File | None] = {}
        self._unsynced: list[tuple[str, File | None, bool]] = []
        """Names that were added (True) or removed, in order."""

    def do(self, call: Call) -> None:
        """Carry out a call."""
        paths = [path for path in call.paths if path.startswith(self._folder)]
        match call.name:
            case "openat" | "open" if paths and "O_CREAT" in call.arguments and paths[0] not in self._now:
                self._name(paths[0], File())
            case "mkdir" | "mkdirat" if paths:
                self._name(paths[0], None)
            case "link" | "linkat" if len(paths) == 2:
                self._name(paths[1], self._now[paths[0]])
            case "rename" | "renameat" | "renameat2" if len(paths) == 2:
                self._name(paths[1], self._now[paths[0]])
                self._forget(paths[0])
            case "unlink" | "unlinkat" | "rmdir" if paths:
                self._forget(paths[0])
            case "fsync" | "fdatasync" if paths:
                self._sync(paths[0])
            case "write" | "pwrite64" | "ftruncate" if paths:
                self._write(call, self._now.get(paths[0]))

    def _write(self, call: Call, file: File | None) -> None:
        if file is not None and call.name == "ftruncate":
            file.do(call.numbers[-1], None)
        elif file is not None:  # `write` appends: it is used for files that are written from start to end
            file.do(call.numbers[-1] if call.name == "pwrite64" else file.size, call.data)

    def _name(self, path: str, file: File | None) -> None:
        self._now[path] = file
        self._unsynced.append((path, file, True))

    def _forget(self, path: str) -> None:
        self._unsynced.append((path, self._now.pop(path), False))

    def _sync(self, path: str) -> None:
        file = self._now.get(path)
        if file is not None:
            file.sync()
            return
        for change in [change for change in self._unsynced if change[0].rpartition("/")[0] == path]:
            self._unsynced.remove(change)
            _rename(self._synced, *change)

    def leave(self, to: Path, choose: Random, share: float) -> None:
        """Write what a power cut leaves now into the folder `to`, which exists and is empty."""
        names = dict(self._synced)
        for change in self._unsynced:
            if choose.random() < share:
                _rename(names, *change)
        for path in sorted(names):
            copy, file = to / path[len(self._folder) + 1:], names[path]
            if copy.parent.is_dir():  # otherwise its folder is gone, and so is the file
                if file is None:
                    copy.mkdir(0o700)
                else:
                    copy.write_bytes(file.left(choose, share))


def _rename(names: dict[str, File | None], path: str, file: File | None, is_there: bool) -> None:
    if is_there:
        names[path] = file
    else:
        names.pop(path, None)


class Cut:
    """A power cut at one call."""

    def __init__(self, disk: Disk, told: dict[str, bytes], choose: Random, share: float, description: str) -> None:
        self._disk, self._choose, self._share = disk, choose, share
        self.told = told
        """The system's name of each pipe and socket -> the bytes written to it."""
        self.description = description

    def leave(self, to: Path) -> Path:
        """Make the folder `to`, with what the cut leaves."""
        to.mkdir(0o700)
        self._disk.leave(to, self._choose, self._share)
        return to


def power_cuts(calls: Sequence[Call], folder: Path, choose: Random, number: int) -> Iterator[Cut]:
    """About `number` power cuts while `folder` was written: at each call that tells somebody something, and at others.
    Use each before you take the next."""
    disk, told = Disk(folder), dict[str, bytes]()
    chance = number / max(1, len(calls))
    for place, call in enumerate(calls):
        if call.is_telling:
            told[call.paths[0]] = told.get(call.paths[0], b"") + call.data
        else:
            disk.do(call)
        if call.is_telling or choose.random() < chance:
            share = choose.choice([0.0, 0.0, 0.5, 0.9, 1.0])
            yield Cut(disk, told, choose, share, f"call {place} of {len(calls)}, {call.name} {call.paths}, with about"
                                                 f" {share:.0%} of what was not synced")
