"""Keeps what must outlast a crash: a journal of what the node accepts, if its user wants one."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from common.advice import OTHER_VERSION
from common.interface import Invalid, JournalError, Setup
from common.limits import HELLO_SECONDS

if TYPE_CHECKING:  # SQLite is loaded only by a node that keeps a journal
    from common.journal import Journal


class LedgerSetup(Setup):
    """What a node of stage 2 is given when it is made."""

    def __init__(self, *, join_seconds: float = HELLO_SECONDS, journal: "Journal | None" = None) -> None:
        super().__init__(join_seconds=join_seconds)
        self.journal = journal
        """Keeps what the node accepts, so that it can go on after a crash: `--data`."""

    @property
    def remembers_network(self) -> bool:
        """Does the journal hold a network?"""
        return self.journal is not None and self.journal.read_note("network") is not None

    @property
    def other_options(self) -> str:
        """With a journal, another folder, too: otherwise the network in the journal would come back."""
        return "" if self.journal is None else "another folder as --data and "


class Keeper:
    """Keeps what a node accepts, and replays it when the node is started again."""

    def __init__(self, journal: "Journal | None") -> None:
        """Without a journal nothing is kept."""
        self._journal = journal
        self.is_replaying = False
        """Is the journal being read back? Then nothing is reported or kept, and no signature is verified."""

    @property
    def has_journal(self) -> bool:
        """Is anything kept?"""
        return self._journal is not None

    def keep(self, kind: str, content: bytes) -> None:
        """Put what was accepted into the journal."""
        if self._journal is not None and not self.is_replaying:
            self._journal.append(kind, content)

    def note(self, name: str, value: str) -> None:
        """Put a value into the journal, in place of the earlier one of this name."""
        if self._journal is not None and not self.is_replaying and self._journal.read_note(name) != value:
            self._journal.note(name, value)

    def read_note(self, name: str) -> str | None:
        """The value that was noted last, even before a crash; None if there is none."""
        return None if self._journal is None else self._journal.read_note(name)

    def replay(self, handle: Callable[[str, bytes], None]) -> None:
        """Call `handle` with the kind and the content of each entry, in order. JournalError if one is not valid."""
        if self._journal is None:
            return
        self.is_replaying = True
        try:
            for entry in self._journal.entries():
                handle(entry.kind, entry.content)
        except (Invalid, AttributeError, LookupError, TypeError, ValueError) as error:  # perhaps a newer version's
            raise JournalError(f"{self._journal}: an entry that this version would not have kept: {error};"
                               f" {OTHER_VERSION}") from None
        finally:
            self.is_replaying = False

    def commit(self) -> None:
        """Make what was kept outlast a crash, before anybody is told."""
        if self._journal is not None:
            self._journal.commit()

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()
