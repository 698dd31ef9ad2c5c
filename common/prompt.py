"""The prompt of a terminal: a line is typed below, while messages arrive above it.

The editing is prompt_toolkit's. This module adds what it lacks: lines that arrive, several lines that are pasted,
and an end that comes from another thread. The terminal itself is in terminal.py.
"""

import asyncio
import os
import re
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import has_validation_error
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.validation import ValidationError, Validator

from common.console import PROMPT
from common.foreground import is_in_background, wait_for_foreground
from common.terminal import Keyboard, Screen, terminal_size, usual_mode

PATIENCE = 1.0
"""Seconds that a process waits, at its end, for the prompt to leave: somebody may have stopped the terminal (Ctrl-S).
After Ctrl-Z it waits at most as long for the system to stop it: the system does not stop every job."""


class Prompt:
    """A terminal on standard input and output. One thread reads lines, another one prints above them."""

    def __init__(self) -> None:
        self._screen = threading.Condition()
        """Held by the thread that prints, or that puts the prompt up or takes it down."""
        self._arrived = b""
        """What is to be printed above the prompt."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """While the prompt is up: the loop of the thread that reads."""
        self._reading: asyncio.Task[str] | None = None
        self._draft = Document()
        """What was being typed when the prompt was taken down; it is shown again when the prompt comes back."""
        self._is_at_end = self._is_to_stop = False
        """Why the prompt was taken down, if it was: the process ends, or stops (Ctrl-Z)."""
        self._continued = threading.Event()
        self._mode = usual_mode()
        self._set_mode()

    def _set_mode(self) -> None:
        with suppress(termios.error):  # the terminal is gone
            if not is_in_background():
                termios.tcsetattr(0, termios.TCSADRAIN, self._mode)

    def lines(self, words: Callable[[], list[str]]) -> Iterator[str]:
        """The lines that are typed, until the end of input (Ctrl-D on an empty line). Tab completes `words`. Bytes
        that are not UTF-8 become lone surrogates. While another job has the terminal, there is no prompt."""
        if not os.isatty(0):
            return  # it is gone already, which the library would complain about
        bindings = _bindings()
        bindings.add("c-z")(lambda _: self._take_down(is_to_stop=True))
        session: PromptSession[str] = PromptSession(
            PROMPT, key_bindings=bindings, validator=_OneLine(), validate_while_typing=False,
            completer=_Words(words), complete_while_typing=False, complete_style=CompleteStyle.READLINE_LIKE,
            input=Keyboard(self._take_down),
            output=Screen(open(1, "w", closefd=False), terminal_size, os.environ["TERM"]))
        loop = asyncio.new_event_loop()
        try:
            while not self._is_at_end:
                self._wait_for_foreground()
                yield from self._read(session, loop)
                if self._is_to_stop:
                    self._stop_job()
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGINT)  # in the prompt's mode Ctrl-C is a key: make it a signal again
        except EOFError:
            pass

    def _stop_job(self) -> None:
        """Stop this process and all others of its job, as Ctrl-Z does in a terminal's usual mode."""
        self._is_to_stop = False
        self._continued.clear()
        os.kill(0, signal.SIGTSTP)
        # The system stops one thread after the other. This one must not draw the prompt before it is stopped, too.
        self._continued.wait(PATIENCE)

    def renew(self) -> None:
        """This process was stopped and continues: what the prompt had drawn and set up may be gone."""
        loop = self._loop  # Not under the lock: a thread that prints holds it while the terminal is stopped.
        if loop:
            loop.call_soon_threadsafe(self._take_down)
        self._continued.set()

    def _take_down(self, is_to_stop: bool = False) -> None:
        """In the loop: erase the prompt, keep what was being typed, and leave the terminal to others."""
        app = self._session.app
        if self._reading and app.is_running and not app.is_done:
            self._draft = self._session.default_buffer.document
            self._is_to_stop = is_to_stop
            app.erase_when_done = True
            self._reading.cancel()

    def _wait_for_foreground(self) -> None:
        if is_in_background():
            wait_for_foreground()
            with suppress(termios.error):  # the terminal is gone
                self._mode = usual_mode()  # the shell may have changed it

    def _read(self, session: PromptSession[str], loop: asyncio.AbstractEventLoop) -> list[str]:
        """The lines that were sent, by one Enter; none if the prompt was taken down."""
        self._session = session
        session.app.erase_when_done = False
        with self._screen:
            self._reading = loop.create_task(session.prompt_async(default=self._draft, set_exception_handler=False))
            self._loop = loop
        try:
            lines = loop.run_until_complete(self._reading).split("\n")
            self._draft = Document()
            return lines
        except asyncio.CancelledError:
            return []
        finally:
            with self._screen:
                self._loop = None
                self._write_arrived()

    def print_above(self, data: bytes) -> None:
        """Print whole lines; what is being typed stays below them."""
        with self._screen:
            self._arrived += data
            if self._loop and not is_in_background():
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
        with suppress(OSError):  # the terminal is gone; the thread that reads from it finds out
            while data:
                data = data[os.write(1, data):]

    def restore(self) -> None:
        """Give the terminal back as it was. The shell's prompt takes the place of ours, or comes below a draft."""
        if self._screen.acquire(timeout=PATIENCE):
            if self._loop:
                self._loop.call_soon_threadsafe(self._leave)
                self._screen.wait_for(lambda: not self._loop, PATIENCE)
            self._screen.release()
        self._set_mode()

    def _leave(self) -> None:
        self._is_at_end = True
        self._session.app.erase_when_done = not self._session.default_buffer.text
        if self._reading:
            self._reading.cancel()


# --- several lines ------------------------------------------------------------------------------

class _OneLine(Validator):
    """Lets one line pass. A paste may have several, and everybody would read each of them: ask first."""

    def validate(self, document: Document) -> None:
        """ValidationError, shown below the lines, if there are several. The next key answers it."""
        if document.line_count > 1:
            question = f"send {document.line_count} lines? y: each by itself, any other key: join them into one line"
            raise ValidationError(document.cursor_position, question)


def _bindings() -> KeyBindings:
    """The keys that do something else here than in prompt_toolkit."""
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
"""The line break between two rows of a key. No word is as long as such a row."""


def clean(text: str) -> str:
    """A paste as it is put into the line: without line breaks at its ends, and without control characters except tabs
    and the line breaks inside."""
    text = re.sub("\r\n?", "\n", text).strip("\n")
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text)


def join_lines(text: str) -> str:
    """Several lines as one, with spaces between them. The rows of a key are joined without spaces."""
    return " ".join(PIECES_OF_A_KEY.sub("", text).split("\n"))


# --- Tab ----------------------------------------------------------------------------------------

class _Words(Completer):
    """Completes the word at the cursor in a command: the first one to the name of a command, others to an account."""

    def __init__(self, words: Callable[[], list[str]]) -> None:
        self._words = words

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """The known words that begin with what is typed."""
        before = document.text_before_cursor
        if before.startswith("/"):
            word = before.rsplit(" ", 1)[-1]
            for known in self._words():
                if known.startswith(word) and known.startswith("/") == (word == before):
                    yield Completion(known, -len(word))
