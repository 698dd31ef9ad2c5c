"""What a tool is started in: its terminal, the environment, the signals that are ignored, and where its output goes."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import TextIO

from common.advice import describe_file_error
from common.console import is_dumb_terminal, open_closed_streams

USUAL_COLUMNS = 80
"""Of a terminal that does not say how wide it is."""

OUTPUT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What is wrong with output that is full, or that goes to a terminal which is gone."""


def takes_escapes(stream: TextIO) -> bool:
    """Is this a terminal that moves its cursor?"""
    return stream.isatty() and not is_dumb_terminal()


def has_colours(stream: TextIO) -> bool:
    """Is this a terminal that takes colours, and does the user want them (https://no-color.org)?"""
    return takes_escapes(stream) and not os.environ.get("NO_COLOR")


def columns(stream: TextIO, elsewhere: int) -> int:
    """How wide a terminal is now. `elsewhere` is for what is no terminal, unless COLUMNS says something.

    A terminal is asked first: COLUMNS in the environment may be from before the window was changed.
    """
    try:
        here = os.get_terminal_size(stream.fileno()).columns
        elsewhere = USUAL_COLUMNS
    except (OSError, ValueError):
        here = 0
    said = os.environ.get("COLUMNS", "")
    return here or (int(said) if said.isascii() and said.isdigit() and 0 < len(said) < 5 else 0) or elsewhere


def ending_signals() -> list[signal.Signals]:
    """The signals that end a tool in order. A hang-up that is ignored stays ignored (nohup)."""
    hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    return [signal.SIGINT, signal.SIGTERM, *hangup]


def run_tool(main: Callable[[], int]) -> None:
    """Run a tool's `main`, and end the process with its status. What the output's encoding lacks is printed as `?`.
    Output that nobody reads any more is no error; output that cannot be written is one line, and status 1."""
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
    # What is still in the buffer would be written at the interpreter's end, and fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
