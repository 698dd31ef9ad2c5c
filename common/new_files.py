"""Files that are made once, completely or not at all, and never written over; and folders that outlast a power cut.

A file gets its name by a hard link, once it is on the disk. A link fails if the name has been taken meanwhile; a rename
would replace the other file. Some disks have no hard links: USB sticks with exFAT, shared folders of VMware and
VirtualBox, the storage of Android. There an empty file takes the name first, and the complete one then
takes its place. So what others see is empty for a moment, but never half written.
"""

import errno
import itertools
import os
import time
from contextlib import suppress
from pathlib import Path

WITHOUT_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}
"""The errors of link() on a disk without hard links. EACCES is Android's. It cannot mean that this user may not write
to the folder, since the draft was written there a moment ago."""

WITHOUT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EACCES}
"""The errors of fsync() on a folder that are no reason to stop: this system cannot sync folders, or need not. EACCES:
this user may make files in the folder, but not open it."""

PATIENCE, PAUSE = 1.0, 0.01
"""How long a reader waits for the content of a file that is empty, and the pause between two attempts, in seconds."""


def write_new(path: Path, content: bytes) -> bool:
    """Write a file that only its owner may read; False, and nothing is changed, if `path` is there already.

    OSError if the disk does not take it: then `path` is not there either, unless only the sync of its folder failed.
    """
    import tempfile  # here, since it takes some milliseconds, and few starts of a node make a file

    descriptor, draft = tempfile.mkstemp(prefix=".key-", dir=path.parent)  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _give_name(draft, path)
        is_new = True
    except FileExistsError:
        is_new = False
    finally:
        with suppress(OSError):
            os.unlink(draft)
    sync_folder(path.parent)  # even if another program has just made the file: it may not have synced it yet
    return is_new


def _give_name(draft: str, path: Path) -> None:
    """Let the file `draft` have the name `path`; FileExistsError if that is taken."""
    try:
        os.link(draft, path)
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            os.replace(draft, path)
        except BaseException:
            os.unlink(path)
            raise


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner may use, and those above it, where they are missing; OSError if that fails."""
    missing = list(itertools.takewhile(lambda path: not path.exists(), [folder, *folder.parents]))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, so that a new file outlasts a power cut; OSError if that fails."""
    try:
        sync_file(folder)
    except OSError as error:
        if error.errno not in WITHOUT_SYNC:
            raise


def sync_file(path: Path) -> None:
    """Bring the content of a file to the disk, whoever has written it; OSError if the disk does not take it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: Path, size: int) -> bytes:
    """The first `size` bytes of a file. An empty one may be about to get its content: wait for that."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with open(path, "rb") as file:
            content = file.read(size)
        if content or time.monotonic() > deadline:
            return content
        time.sleep(PAUSE)
