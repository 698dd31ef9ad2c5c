"""The prompt of a terminal: a line is typed below, while messages arrive above it.

The editing is prompt_toolkit's. Here is what it leaves open: lines that arrive, several lines that are pasted,
a terminal that is gone, and an end that comes from another thread.
"""

import asyncio
import os
import re
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.data_structures import Size
from prompt_toolkit.document import Document
from prompt_toolkit.filters import has_validation_error
from prompt_toolkit.input.posix_utils import PosixStdinReader
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.validation import ValidationError, Validator

from common.console import PROMPT

USUAL_ROWS, USUAL_COLUMNS = 24, 80
"""Of a terminal that does not say how large it is, as one that a program has opened and not set up."""

PATIENCE = 1.0
"""Seconds that the end of the process waits for the prompt. Somebody may have stopped the terminal."""


class Prompt:
    """A terminal on standard input and output. One thread reads lines, another one prints above them."""

    def __init__(self) -> None:
        self._screen = threading.Condition()
        """Held by who prints, or puts the prompt up or down."""
        self._arrived = b""
        """What is to be printed above the prompt."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """While the prompt is up: the loop of the thread that reads."""
        self._reading: asyncio.Task[str] | None = None
        self._mode = termios.tcgetattr(0)
        # What was killed here before may have left the terminal silent.
        self._mode[0] |= termios.ICRNL
        self._mode[3] |= termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN
        termios.tcsetattr(0, termios.TCSADRAIN, self._mode)

    def lines(self, words: Callable[[], list[str]]) -> Iterator[str]:
        """The lines that are typed, until the end of input (Ctrl-D on an empty line). Tab completes `words`. Bytes
        that are not UTF-8 become lone surrogates."""
        if not os.isatty(0):
            return  # it is gone already, which the library would complain about
        session: PromptSession[str] = PromptSession(
            PROMPT, key_bindings=_bindings(), validator=_OneLine(), validate_while_typing=False, enable_suspend=True,
            completer=_Words(words), complete_while_typing=False, complete_style=CompleteStyle.READLINE_LIKE,
            input=_Keyboard(), output=_Screen(open(1, "w", closefd=False), _size, os.environ["TERM"]))
        loop = asyncio.new_event_loop()
        try:
            while True:
                yield from self._read(session, loop).split("\n")
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGINT)  # the terminal gives out Ctrl-C as a key: make it a signal again
        except (EOFError, asyncio.CancelledError):
            pass

    def _read(self, session: PromptSession[str], loop: asyncio.AbstractEventLoop) -> str:
        self._session = session
        with self._screen:
            self._reading = loop.create_task(session.prompt_async(set_exception_handler=False))
            self._loop = loop
        try:
            return loop.run_until_complete(self._reading)
        finally:
            with self._screen:
                self._loop = None
                self._write_arrived()

    def print_above(self, data: bytes) -> None:
        """Print whole lines; what is being typed stays below them."""
        with self._screen:
            self._arrived += data
            if self._loop:
                self._loop.call_soon_threadsafe(self._lift)
                self._screen.wait_for(lambda: not self._arrived)
            else:
                self._write_arrived()

    def _lift(self) -> None:
        """In the loop: take the prompt away, print, and have it drawn again."""
        with self._screen:
            if self._arrived:
                self._session.app.renderer.erase()
                self._write_arrived()
        self._session.app.invalidate()

    def _write_arrived(self) -> None:
        data, self._arrived = self._arrived, b""
        self._screen.notify_all()
        with suppress(OSError):  # the terminal is gone, as who reads from it will hear
            while data:
                data = data[os.write(1, data):]

    def restore(self) -> None:
        """Give the terminal back as it was, the shell's prompt in the place of ours, or below what was being typed."""
        if self._screen.acquire(timeout=PATIENCE):
            if self._loop:
                self._loop.call_soon_threadsafe(self._leave)
                self._screen.wait_for(lambda: not self._loop, PATIENCE)
            self._screen.release()
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(0, termios.TCSADRAIN, self._mode)

    def _leave(self) -> None:
        self._session.app.erase_when_done = not self._session.default_buffer.text
        if self._reading:
            self._reading.cancel()


# --- several lines ------------------------------------------------------------------------------

class _OneLine(Validator):
    """Lets one line pass. What was pasted may be several, and everybody would read each: ask first."""

    def validate(self, document: Document) -> None:
        """ValidationError, shown below the lines, if there are several. The next key answers it."""
        if document.line_count > 1:
            question = f"send {document.line_count} lines? y: each by itself, other keys: join them into one to edit"
            raise ValidationError(document.cursor_position, question)


def _bindings() -> KeyBindings:
    """The keys that do not do what prompt_toolkit has them do."""
    bindings = KeyBindings()

    @bindings.add(Keys.BracketedPaste)
    def paste(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(clean(event.data))

    @bindings.add(Keys.Any, filter=has_validation_error, eager=True)
    def join(event: KeyPressEvent) -> None:
        text = join_lines(event.current_buffer.text)
        event.current_buffer.document = Document(text)

    @bindings.add("y", filter=has_validation_error, eager=True)
    def send(event: KeyPressEvent) -> None:
        event.app.exit(result=event.current_buffer.text)
        event.current_buffer.append_to_history()

    @bindings.add("c-c", filter=has_validation_error, eager=True)
    def interrupt(event: KeyPressEvent) -> None:
        event.app.exit(exception=KeyboardInterrupt)

    return bindings


PIECES_OF_A_KEY = re.compile("(?<=[A-Za-z0-9+/]{40})\\s*\n\\s*(?=[A-Za-z0-9+/=]+\\s*$)", re.MULTILINE)
"""The end of a row of a key, before the next row of it: no word is as long."""


def clean(text: str) -> str:
    """What is pasted, as it is put into the line: without a line's end that was copied along, and what is no text."""
    text = re.sub("\r\n?", "\n", text).strip("\n")
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text)


def join_lines(text: str) -> str:
    """Several lines as one, with spaces between them; none inside a key that was copied as it is shown."""
    return " ".join(PIECES_OF_A_KEY.sub("", text).split("\n"))


# --- the terminal -------------------------------------------------------------------------------

class _Words(Completer):
    """Completes the word at the cursor of a command: the first one by a command, others by an account."""

    def __init__(self, words: Callable[[], list[str]]) -> None:
        self._words = words

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Those that begin as the word does."""
        before = document.text_before_cursor
        if before.startswith("/"):
            word = before.rsplit(" ", 1)[-1]
            for known in self._words():
                if known.startswith(word) and known.startswith("/") == (word == before):
                    yield Completion(known, -len(word))


class _Reader(PosixStdinReader):
    """Takes a terminal that is gone as the end of input. The library would ask it again without end."""

    def read(self, count: int = 4_096) -> str:
        """What was typed."""
        data = b""
        with suppress(OSError):
            data = os.read(self.stdin_fd, count)
        self.closed = not data
        return self._stdin_decoder.decode(data)


class _Keyboard(Vt100Input):
    """Also takes for a paste what a terminal that does not mark pastes brings at once: the end of a line, and more."""

    def __init__(self) -> None:
        super().__init__(sys.stdin)
        self.stdin_reader = _Reader(0)

    def read_keys(self) -> list[KeyPress]:
        """The keys that were pressed."""
        keys = super().read_keys()
        text = "".join(key.data for key in keys)
        is_text = all(len(key.key) == 1 or key.key in (Keys.ControlM, Keys.ControlJ, Keys.ControlI) for key in keys)
        return [KeyPress(Keys.BracketedPaste, text)] if is_text and re.search("[\r\n][^\r\n]", text) else keys


def _size() -> Size:
    columns = rows = 0
    with suppress(OSError):
        columns, rows = os.get_terminal_size(1)
    return Size(rows=rows or USUAL_ROWS, columns=columns or USUAL_COLUMNS)


class _Screen(Vt100_Output):
    """A terminal that may be gone, as the thread that reads from it will hear."""

    @property
    def responds_to_cpr(self) -> bool:
        """It is not asked where its cursor is: the answer would be the shell's input if it came after the end."""
        return False

    def flush(self) -> None:
        """Write what was collected."""
        with suppress(OSError):
            super().flush()
