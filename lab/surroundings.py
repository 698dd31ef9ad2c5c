"""The surroundings of a tool: its terminal, its environment, the signals that are ignored, and its output."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import TextIO

from common.advice import describe_file_error
from common.console import is_dumb_terminal, open_closed_streams

USUAL_COLUMNS = 80
"""The width assumed for a terminal that does not say how wide it is."""

OUTPUT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""The errors of output to a full disk, or to a terminal that is gone."""


def takes_escapes(stream: TextIO) -> bool:
    """Is this a terminal that understands escape sequences?"""
    return stream.isatty() and not is_dumb_terminal()


def has_colours(stream: TextIO) -> bool:
    """Does this terminal show colours, and does the user want them (https://no-color.org)?"""
    return takes_escapes(stream) and not os.environ.get("NO_COLOR")


def columns(stream: TextIO, elsewhere: int) -> int:
    """The current width of a terminal. `elsewhere` is the width of any other output, unless COLUMNS is set.

    A terminal is asked first: COLUMNS in the environment may be older than the last change of the window.
    """
    try:
        here = os.get_terminal_size(stream.fileno()).columns
        elsewhere = USUAL_COLUMNS
    except (OSError, ValueError):
        here = 0
    said = os.environ.get("COLUMNS", "")
    return here or (int(said) if said.isascii() and said.isdigit() and 0 < len(said) < 5 else 0) or elsewhere


def ending_signals() -> list[signal.Signals]:
    """The signals on which a tool ends what it has started, and then itself. A hang-up that is ignored stays ignored
    (nohup)."""
    hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    return [signal.SIGINT, signal.SIGTERM, *hangup]


def run_tool(main: Callable[[], int]) -> None:
    """Run a tool's `main`, and end the process with its status. A character that the output's encoding lacks is printed
    as `?`. It is not an error if nobody reads the output any longer. Output that cannot be written causes one line on
    standard error, and status 1."""
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    status: int | None = None
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        _throw_away_output()
    except OSError as error:
        if error.errno not in OUTPUT_ERRORS:
            raise
        print(f"cannot write the output: {describe_file_error(error)}", file=sys.stderr)
        _throw_away_output()
        status = status or 1
    sys.exit(status or 0)


def _throw_away_output() -> None:
    # Otherwise the interpreter would write the rest of the buffer at its end, and fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
