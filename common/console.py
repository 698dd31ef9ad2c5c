"""The command line of every stage: options, questions, lines in, events out (contract §4).

Programs get one JSON object per event, on one line. People get one line or several, with
fingerprints for keys, and a prompt that arriving messages do not tear apart.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from common.encoding import fingerprint, is_address, is_id
from common.foreground import read_in_foreground
from common.interface import Lines, Members
from common.limits import MAX_LINE

if TYPE_CHECKING:
    from common.prompt import Prompt

PROMPT = "> "

SHOWN_ID = 16
"""Digits of an id that people are shown: enough to tell any two apart."""
SHOWN_NAME = 16
"""Columns for an account: as many as a fingerprint has digits."""
MAX_NAME = 64
"""Characters of the longest account name of stage 2. What is longer is a key."""


class CannotStart(Exception):
    """The node cannot start, for a reason that its user can do something about."""


class Options(argparse.ArgumentParser):
    """Options as contract §4 has them: a wrong one is one line on standard error, and status 2."""

    def error(self, message: str) -> NoReturn:
        """End with one line: argparse alone would also print the usage, which is longer."""
        self.exit(2, f"{self.prog}: {message}; --help lists the options\n")


def make_options(program: str, description: str) -> Options:
    """The options that all stages have."""
    options = Options(prog=f"python -m {program}", description=description, allow_abbrev=False)
    options.add_argument("--peer", metavar="HOST:PORT",
                         help="the peer to join; `none` founds a network; without this option you are asked")
    options.add_argument("--host", type=read_host, default="127.0.0.1",
                         help="address to listen on; 0.0.0.0 listens everywhere (default: %(default)s)")
    options.add_argument("--port", type=integer_from(0, 65_535), default=0, metavar="N",
                         help="port to listen on; 0 picks a free one (default)")
    options.add_argument("--announce", type=read_address, metavar="HOST:PORT",
                         help="the address to tell other nodes, if it is not the one that this node listens on")
    options.add_argument("--json", action="store_true", help="print one JSON object per line on standard output")
    options.add_argument("--daemon", action="store_true", help="go on when standard input ends")
    options.add_argument("--wait", type=thousandths_from(0, 3_600_000, "seconds"), default=5_000, metavar="SECONDS",
                         help="how long to call the peer before founding a network (default: 5)")
    return options


def integer_from(low: int, high: int) -> Callable[[str], int]:
    """Make the reader of an option that is an integer from `low` to `high`."""
    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,16}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected an integer from {low} to {high}, not {text!r}")
        return int(text)
    return read


def thousandths_from(low: int, high: int, unit: str) -> Callable[[str], int]:
    """Make the reader of an option that is a decimal number, kept as an integer number of thousandths."""
    def read(text: str) -> int:
        try:
            thousandths = round(float(text) * 1000)
        except (ValueError, OverflowError):
            thousandths = low - 1
        if not low <= thousandths <= high:
            raise argparse.ArgumentTypeError(f"expected {unit} from {low / 1000:g} to {high / 1000:g}, not {text!r}")
        return thousandths
    return read


def read_host(text: str) -> str:
    """Read an option that is a name or address of this machine."""
    if not text.isascii():
        raise argparse.ArgumentTypeError(f"expected a name or address in ASCII, not {text!r}")
    return text


def read_address(text: str) -> str:
    """Read an option that is an address."""
    if not is_address(text):
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, not {text!r}")
    return text


def read_path(text: str) -> Path:
    """Read an option that is a path. A `~` in front is the home folder. Shells do not always expand it, and never
    after a `=`. Without this, a node would make a folder called `~`, which is dangerous to remove."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, not an empty text")
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        raise argparse.ArgumentTypeError(f"no home folder is known for {text!r}; for a file here, write ./ in front")
    return Path(expanded)


def read_id(text: str) -> str:
    """Read an option that is an id."""
    if not is_id(text):
        raise argparse.ArgumentTypeError(f"expected 64 lower-case hex digits, not {text!r}")
    return text


def escape_control(text: str) -> str:
    r"""Show control characters as `\xNN`, so that no peer can drive the terminal (contract §4)."""
    return re.sub("[\x00-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match[0]):02x}", text)


class Console:
    """Standard input and output of one node."""

    def __init__(self, is_json: bool, is_daemon: bool) -> None:
        self._is_json = is_json
        self.is_daemon = is_daemon
        is_terminal = not is_json and os.isatty(0) and os.isatty(1)
        self._is_terminal = is_terminal
        self._prompt = find_prompt() if is_terminal else None
        self._lines = self._read_pipe()

    # --- in -------------------------------------------------------------------------------------

    def ask_peer(self) -> str | None:
        """Ask for the IP address and the port of a peer; None if the answer is empty (contract §4)."""
        host = self._ask("IP address of a peer (empty: found a network): ")
        if not host or is_address(host):
            return host or None  # somebody has pasted what `listening on` says
        return f"{host}:{self._ask('port of that peer: ')}"

    def _ask(self, question: str) -> str:
        answer = b""
        with suppress(OSError):  # a terminal that is gone says nothing
            if not self._is_json:
                self.write(question.encode())
            if not self._is_terminal:
                answer = next(self._lines, "").encode(errors="surrogateescape")
            else:
                answer = read_in_foreground(4_096)  # a whole line: the terminal is not in the mode of the prompt yet
            if not self._is_json and not (self._is_terminal and answer):
                self.write(b"\n")
        return answer.decode(errors="surrogateescape").strip()

    def lines(self, words: Callable[[], list[str]]) -> Iterator[str]:
        """The lines of standard input, without their ends, until it ends. Bytes that are not UTF-8
        become lone surrogates, which no message may hold: the node refuses such a line.
        On a terminal, Tab completes commands and accounts, which `words` lists."""
        if self._prompt:
            return self._prompt.lines(lambda: sorted(map(shown_account, words())))
        return self._lines

    def _read_pipe(self) -> Iterator[str]:
        # os.read and not sys.stdin: a thread that waits inside sys.stdin holds its lock, and the
        # interpreter stumbles over that lock when it ends.
        rest = bytearray()
        while data := read_in_foreground(65_536):
            *ends, beginning = data.split(b"\n")
            for end in ends:
                rest += end[:MAX_LINE - len(rest)]
                yield rest.removesuffix(b"\r").decode(errors="surrogateescape")
                rest.clear()
            rest += beginning[:MAX_LINE - len(rest)]
        if rest:
            yield rest.decode(errors="surrogateescape")

    # --- out ------------------------------------------------------------------------------------

    def render(self, event: str, members: Members, lines: Lines) -> bytes:
        """One event as it is printed; `lines` makes the text for people."""
        if self._is_json:
            text = json.dumps({"event": event, **members}, ensure_ascii=False)
            # The encoder escapes U+0000-001F. It leaves U+007F-009F as they are, but these also control terminals.
            text = re.sub("[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", text)
            # Typed bytes that were not UTF-8 are lone surrogates by now. They become escapes, too.
            return text.encode(errors="backslashreplace") + b"\n"
        encoding = sys.stdout.encoding or "utf-8"
        return b"".join(escape_control(line).encode(encoding, "backslashreplace") + b"\n" for line in lines(members))

    def write(self, data: bytes) -> None:
        """Print lines, on a terminal above what is being typed."""
        if self._prompt:
            self._prompt.print_above(data)
        while data and not self._prompt:
            data = data[os.write(1, data):]

    def on_continued(self) -> None:
        """This process was stopped (Ctrl-Z) and continues: another program may have used the terminal meanwhile."""
        if self._prompt:
            self._prompt.renew()

    def restore_terminal(self) -> None:
        """Give the terminal back as it was."""
        if self._prompt:
            self._prompt.restore()


def is_dumb_terminal() -> bool:
    """Does the terminal take no escape sequences, as far as TERM says?"""
    return os.environ.get("TERM", "") in ("", "dumb", "unknown")


def find_prompt() -> "Prompt | None":
    """The prompt; None if only plain lines can be read, since the terminal takes no escape sequences, or
    prompt_toolkit is not installed."""
    if is_dumb_terminal():
        return None
    try:
        from common.prompt import Prompt  # here: it takes a tenth of a second, which --json and pipes can save
    except ImportError:
        return None
    return Prompt()


# --- what events for people have in common ------------------------------------------------------

def shown_account(account: str) -> str:
    """An account for people: a name as it is, a key by its fingerprint."""
    return account if len(account) <= MAX_NAME else fingerprint(account)


def shown_id(message_id: str) -> str:
    """An id for people: its first digits."""
    return message_id[:SHOWN_ID]


def count(number: int, noun: str) -> str:
    """`1 block`, `2 blocks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# --- the streams ---------------------------------------------------------------------------------

def open_closed_streams() -> None:
    """Open /dev/null for each of standard input, output and error that is closed. Otherwise the next file or socket
    that is opened would get its number, and what is printed would go into that file or socket."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(number, mode, closefd=False))
