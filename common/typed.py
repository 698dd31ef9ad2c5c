"""What is typed, from the thread of standard input to the node's thread, and what Tab completes on the way back."""

import queue
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from common.console import Console
from common.limits import LINES_AHEAD

WORDS_SECONDS = 0.3
"""Seconds that Tab waits for the node."""


class Reader(Protocol):
    """The node, as standard input sees it."""

    def on_line(self, line: str) -> None:
        """A line was typed."""

    def words(self) -> list[str]:
        """What Tab completes."""


class Typed:
    """Gives the node one line after the other, and reads only a few ahead of it."""

    def __init__(self, console: Console, node: Reader, put: Callable[..., Any], stop: Callable[[], None]) -> None:
        """`put` has the node's thread call a function. At the end of input it calls `stop`, unless the node is a
        daemon."""
        self._console = console
        self._node = node
        self._put = put
        self._stop = stop
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        """One item for each line that may still be read."""
        for _ in range(LINES_AHEAD):
            self._places.put(None)

    def read(self) -> None:
        """Read to the end of input. This is what the thread of standard input does."""
        with suppress(OSError):  # a terminal that is gone is the end of input
            for line in self._console.lines(self._ask_words):
                self._places.get()
                self._put(self._handle, line)
        if not self._console.is_daemon:
            self._put(self._stop)

    def _handle(self, line: str) -> None:
        try:
            self._node.on_line(line)
        finally:
            self._places.put(None)

    def _ask_words(self) -> list[str]:
        """What Tab completes, from the node's thread; nothing if that thread does not answer in time."""
        answer: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        self._put(lambda: answer.put(self._node.words()))
        with suppress(queue.Empty):
            return answer.get(timeout=WORDS_SECONDS)
        return []
