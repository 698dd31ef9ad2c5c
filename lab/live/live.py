"""A network in one terminal: `python -m lab.live --stage 5 --nodes 10`, or `make network STAGE=5 N=10`.

It shows a table of real nodes, a log of what happens, and a prompt; `help` lists its commands. Without a terminal it
prints the log line by line, and reads the same commands from standard input.

    main thread: the screen, or it only waits            conductor thread: owns the playground
        lines ───────────────────────> queue ──────────────> carries them out, one after the other
        log lines, snapshots <────────────────────────────── ticks in between

When this program ends, in whatever way, the nodes end, too: they are told to, or their standard input ends.
"""

import errno
import os
import queue
import secrets
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.advice import describe_error
from common.console import Options, integer_from, read_path, thousandths_from
from common.foreground import is_in_background, read_in_foreground
from common.wallets import WalletError
from lab.live import commands as playground_commands
from lab.live.launcher import Settings
from lab.live.playground import LOG_COLUMNS, TICK_SECONDS, Playground, PlaygroundError, Stopped
from lab.live.commands import Quit
from lab.live.table import Snapshot, Table
from lab.blackbox.node_process import NodeError
from lab.nodes.processes import ROOT
from lab.surroundings import columns, ending_signals, has_colours
from lab.live.words import Line
from lab.nodes.workload import KeyRing
from stage4_sequencer.genesis import MAX_MILLISECONDS
from stage5_pos.__main__ import STAKE_HOLDERS

FOUNDING = {4: {"interval": 5_000}, 5: {"slot": 1_000, "rate": 200}}
"""The founder's default, in thousandths: a block every five seconds."""


def make_options() -> Options:
    """The options of the command."""
    options = Options(prog="python -m lab.live", description="Run a network in one terminal.", allow_abbrev=False)
    options.add_argument("--stage", type=integer_from(1, 5), default=5, metavar="N", help="1 to 5 (default: 5)")
    options.add_argument("--nodes", type=integer_from(2, 30), default=10, metavar="N", help="2 to 30 (default: 10)")
    options.add_argument("--interval", type=thousandths_from(1, MAX_MILLISECONDS, "seconds"), metavar="SECONDS",
                         help="stage 4: time between blocks (default: 5)")
    options.add_argument("--slot", type=thousandths_from(1, MAX_MILLISECONDS, "seconds"), metavar="SECONDS",
                         help="stage 5: length of a slot (default: 1)")
    options.add_argument("--rate", type=thousandths_from(1, 999, "a probability"), metavar="F",
                         help="stage 5: probability that a slot has a block (default: 0.2)")
    options.add_argument("--keys", type=read_path, default=ROOT / "run" / "network-keys", metavar="DIR",
                         help="keys of the accounts, made there if missing (default: run/network-keys)")
    options.add_argument("--seed", type=integer_from(0, 2**32 - 1), metavar="N",
                         help="seed of the random delays of slow connections (default: random, printed)")
    return options


class Conductor:
    """Owns the playground in a thread of its own: starts it, lets it run, carries out commands, ends it."""

    def __init__(self, settings: Settings, keys_folder: Path, on_line: Callable[[Line], None],
                 width: Callable[[], int]) -> None:
        """`on_line` gets the lines of the log; `width` returns its current width. The conductor's thread calls both."""
        self.settings = settings
        self._keys_folder, self._on_line, self._width = keys_folder, on_line, width
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        """The typed lines; None is the end of input."""
        self.snapshot: Snapshot | None = None
        """The current state of all nodes, renewed several times a second."""
        self.status = 1
        """The exit status, once all has ended."""
        self.error = ""
        """Why the status is not 0."""
        self.refused = 0
        """The number of lines that had no meaning or could not be carried out."""
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="conductor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the conductor to end. Any thread may call this, more than once, and so may a signal handler."""
        # Not a threading.Event: if a signal came while `set` holds its lock, the handler would wait for it forever.
        self._is_stopping = True

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all has ended, or for `seconds`. Has it?"""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="network-", ignore_cleanup_errors=True) as folder:
                self._conduct(Path(folder))
        except (Stopped, Quit):
            self.status = 0
        except BrokenPipeError:  # nobody reads the log any longer, as with `| head`
            self.status = 0
        except (NodeError, WalletError, OSError) as error:
            self.error = describe_error(error)
        except Exception:  # a defect of this program, shown once the screen is gone
            self.error = traceback.format_exc()
        finally:
            self.stop()

    def _conduct(self, folder: Path) -> None:
        keys = self._make_keys(folder) if self.settings.stage >= 3 else None
        playground = Playground(self.settings, keys, folder, self._on_line, lambda: self._is_stopping, self._on_tick,
                                self._width)
        self._table = Table(playground)
        try:
            playground.start_all()
            while True:
                self._carry_out(playground, self._next_line(playground))
        finally:
            playground.close()

    def _make_keys(self, folder: Path) -> KeyRing:
        def on_progress(text: str) -> None:
            self._on_line(Line("news", "", text))
            if self._is_stopping:
                raise Stopped

        return KeyRing(self._keys_folder, folder, max(STAKE_HOLDERS, self.settings.nodes), on_progress)

    def _on_tick(self) -> None:
        self.snapshot = self._table.snapshot()

    def _next_line(self, playground: Playground) -> str:
        """The next typed line. Quit at the end of input, Stopped if the user ends the program."""
        while True:
            if self._is_stopping:
                raise Stopped
            try:
                line = self.lines.get(timeout=TICK_SECONDS)
            except queue.Empty:
                playground.tick()
            else:
                if line is None:
                    raise Quit
                return line

    def _carry_out(self, playground: Playground, line: str) -> None:
        if line.strip(playground_commands.BLANKS):
            self._on_line(Line("command", "", f"> {line.strip(playground_commands.BLANKS)}"))
        try:
            playground_commands.run(playground, line)
        except PlaygroundError as error:
            self.refused += 1
            self._on_line(Line("error", "", str(error)))
        playground.wait_for_log()


# --- without a terminal -------------------------------------------------------------------------

def run_plain(settings: Settings, keys_folder: Path) -> int:
    """Print the log, read commands from standard input, and wait for the end. The exit status is 1 if a line of a
    script was refused."""
    conductor = Conductor(settings, keys_folder, print_line, lambda: columns(sys.stdout, LOG_COLUMNS))
    for number in ending_signals():
        signal.signal(number, lambda *_: conductor.stop())
    conductor.start()
    threading.Thread(target=read_lines, args=(conductor,), name="standard input", daemon=True).start()
    while not conductor.wait(TICK_SECONDS):
        pass  # The wait has a timeout, since a signal that comes just before a wait is handled only after it.
    status = finish(conductor)
    return 1 if conductor.refused and not sys.stdin.isatty() else status


def read_lines(conductor: Conductor) -> None:
    """Pass on what is typed, and None at the end of input."""
    # Not sys.stdin: if a thread still holds its lock, the interpreter crashes at its end (common/console.py).
    rest = b""
    try:
        while data := read_in_foreground(65_536):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                conductor.lines.put(line.decode(errors="replace"))
    except OSError as error:
        if error.errno == errno.EBADF:
            return  # `nohup` opens an input that cannot be read: go on without it
        # A terminal that is gone counts as the end of input.
    if rest:
        conductor.lines.put(rest.decode(errors="replace"))
    conductor.lines.put(None)


def print_line(line: Line) -> None:
    """Print one line of the log."""
    print(line, flush=True)


def has_screen() -> bool:
    """Is there a terminal that shows colours and moves its cursor, and does the user want that?"""
    # textual draws on standard error.
    return not is_in_background() and all(map(has_colours, (sys.stdin, sys.stdout, sys.stderr)))


def finish(conductor: Conductor) -> int:
    """Wait until all has ended, and say what went wrong, if anything. Return the exit status."""
    conductor.stop()
    conductor.wait()
    if conductor.error:
        print(f"python -m lab.live: {conductor.error}", file=sys.stderr)
    return conductor.status


# --- on a terminal ------------------------------------------------------------------------------

def run_on_screen(settings: Settings, keys_folder: Path) -> int:
    """Show the screen until all has ended. Return the exit status."""
    from lab.live.screen import Screen  # only here: it takes half a second, and scripts do not need it

    for name in ("COLUMNS", "LINES"):  # textual would take them for the window's size, which may have changed
        os.environ.pop(name, None)
    news: queue.SimpleQueue[Line] = queue.SimpleQueue()
    conductor = Conductor(settings, keys_folder, news.put, lambda: screen.log_columns)
    screen = Screen(conductor, news)
    conductor.start()
    try:
        screen.run(mouse=False)
    finally:
        status = finish(conductor)
    return status


# --- main ---------------------------------------------------------------------------------------

def founding_options(options: Any) -> tuple[str, ...]:
    """The options of node 1, which founds the network."""
    words: list[str] = []
    for name, default in FOUNDING.get(options.stage, {}).items():
        given = getattr(options, name)
        words += [f"--{name}", f"{(default if given is None else given) / 1000:g}"]
    return tuple(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the network. 0 after an orderly end, 1 after an error or a refused line of a script, 2 for wrong options."""
    options = make_options().parse_args(arguments)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    settings = Settings(options.stage, options.nodes, seed, founding_options(options))
    print(f"stage {options.stage}, {options.nodes} nodes, seed {seed}", flush=True)
    run = run_on_screen if has_screen() else run_plain
    return run(settings, options.keys)


def main_then_ignore_signals() -> int:
    """Run `main`, then ignore signals. Otherwise a second Ctrl-C would kill Python while it shuts down."""
    status = main()
    for number in ending_signals():
        signal.signal(number, signal.SIG_IGN)
    return status
