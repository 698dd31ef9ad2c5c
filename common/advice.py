"""What the user can do about an error of the operating system.

The system names the failure, as in "Permission denied", but not what was expected. The caller says first what was
tried, and with which path or address. The functions here give the rest of the line: the system's words, and what to do.
"""

import errno

OTHER_VERSION = "use the version that wrote it, or name another folder, and copy the keys (*.pem) of this one to it"
"""What to do about a journal that this version cannot read."""

_SHORTAGE = "end other programs, or allow this user more (ulimit -a shows how much)"

_SHORTAGES = dict.fromkeys((errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM), _SHORTAGE)

_FILES = {
    **_SHORTAGES,
    errno.ENOENT: "check the path, and that its folder is there",
    errno.ENOTDIR: "a part of this path is a file, expected a folder: name another path",
    errno.EISDIR: "expected a file, not a folder: name another path",
    errno.EEXIST: "expected a folder, and a file has this name: name another path",
    errno.EACCES: "this user is not allowed to do that: change the permissions, or name another path",
    errno.EPERM: "this user is not allowed to do that: change the permissions, or name another path",
    errno.EROFS: "this disk is read-only: name a path on another one",
    errno.ENOSPC: "make room on this disk, or name a path on another one",
    errno.EDQUOT: "make room on this disk, or name a path on another one",
    errno.EFBIG: "allow larger files (ulimit -f), or name a path on another disk",
    errno.ENAMETOOLONG: "name a shorter path",
    errno.ELOOP: "symbolic links form a circle: name another path",
}

_OTHER_FILE_ERROR = "check this disk, or name a path on another one"

_LISTENING = {
    **_SHORTAGES,
    errno.EADDRINUSE: "another program uses this port: name another one by --port, or 0 for one that is free",
    errno.EACCES: "this user may not use this port: name one from 1024 on by --port, or 0 for one that is free",
    errno.EPERM: "this user may not use this port: name one from 1024 on by --port, or 0 for one that is free",
}

_OTHER_LISTENING_ERROR = "name an IPv4 address of this machine by --host, or 0.0.0.0 for all of them"

_CALLING = {
    **_SHORTAGES,
    errno.ECONNREFUSED: "no node listens there: check the address, and whether that node is running",
    errno.ETIMEDOUT: "check the address, whether that node is running, and whether a firewall is in the way",
    errno.EHOSTUNREACH: "there is no route to it: check the address, and this machine's network",
    errno.ENETUNREACH: "there is no route to it: check the address, and this machine's network",
    errno.EACCES: "something on this machine forbids it: check its firewall",
    errno.EPERM: "something on this machine forbids it: check its firewall",
}

_OTHER_ERROR = "try again, and if it fails again, look up this error of the system"

_OTHER_CALL_ERROR = "check the address, and this machine's network"


def describe_file_error(error: OSError) -> str:
    """What is wrong with a file or a folder, and what to do."""
    return f"{_words(error)}; {_FILES.get(_number(error), _OTHER_FILE_ERROR)}"


def describe_listening_error(error: OSError | UnicodeError) -> str:
    """Why a node cannot listen, and what to do. If the address belongs to another machine, or a name has no address,
    then --host is wrong."""
    return f"{_words(error)}; {_LISTENING.get(_number(error), _OTHER_LISTENING_ERROR)}"


def describe_call_error(error: OSError | UnicodeError) -> str:
    """Why nobody was reached at an address, and what to do."""
    if _is_name_error(error):
        return f"{_words(error)}; this name has no IPv4 address: check its spelling, or give the address itself"
    return f"{_words(error)}; {_CALLING.get(_number(error), _OTHER_CALL_ERROR)}"


def describe_error(error: Exception) -> str:
    """What is wrong and what to do, for a caller that reports several kinds of errors. The text of an error that is
    not the system's says both already."""
    if not isinstance(error, OSError):
        return str(error)
    if error.filename:
        return f"{error.filename}: {describe_file_error(error)}"
    return f"{_words(error)}; {(_FILES | _CALLING).get(_number(error), _OTHER_ERROR)}"


def _is_name_error(error: OSError | UnicodeError) -> bool:
    """Was no address found for a name? `gaierror` is compared as text, since nothing in common/ may import sockets."""
    return isinstance(error, UnicodeError) or type(error).__name__ == "gaierror"


def _number(error: OSError | UnicodeError) -> int:
    """The `errno` of an error; 0 if it has none. (The number of a name error is not an `errno`.)"""
    if isinstance(error, UnicodeError) or _is_name_error(error):
        return 0
    return (errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno) or 0


def _words(error: OSError | UnicodeError) -> str:
    """What the system says."""
    if isinstance(error, UnicodeError):
        return "not the name of a machine"  # Python would name its codec instead
    words = error.strerror or str(error) or type(error).__name__
    return words.partition(" (while attempting")[0]  # `create_server` adds the address, which the caller has said
