"""The keeper alone, with a journal."""

from pathlib import Path

import pytest

from common.interface import Invalid
from common.interface import JournalError
from common.journal import Journal
from stage2_ledger.keeping import Keeper

Entries = list[tuple[str, bytes]]


def replayed(keeper: Keeper) -> Entries:
    """The entries that are replayed."""
    happened: Entries = []
    keeper.replay(lambda kind, content: happened.append((kind, content)))
    return happened


def test_kept_entries_are_replayed_in_order_after_a_restart(tmp_path: Path) -> None:
    keeper = Keeper(Journal(tmp_path))
    entries = [("transaction", b"one"), ("block", b"two"), ("transaction", b"three")]
    for kind, content in entries:
        keeper.keep(kind, content)
    keeper.note("network", "n" * 32)
    keeper.commit()
    keeper.close()
    again = Keeper(Journal(tmp_path))
    assert again.has_journal and replayed(again) == entries and again.read_note("network") == "n" * 32
    again.close()


def test_replayed_entries_are_not_kept_again(tmp_path: Path) -> None:
    keeper = Keeper(Journal(tmp_path))
    keeper.keep("transaction", b"one")
    keeper.note("peers", "before")
    keeper.commit()

    def happen(kind: str, content: bytes) -> None:
        assert keeper.is_replaying
        keeper.keep(kind, content)
        keeper.note("peers", "while it happens again")

    keeper.replay(happen)
    keeper.commit()
    assert not keeper.is_replaying
    assert replayed(keeper) == [("transaction", b"one")] and keeper.read_note("peers") == "before"
    keeper.close()


@pytest.mark.parametrize("error", [Invalid("a wrong signature"), ValueError("no JSON")])
def test_an_invalid_entry_ends_the_replay_with_the_name_of_the_journal(
        tmp_path: Path, error: Exception) -> None:
    keeper = Keeper(Journal(tmp_path))
    keeper.keep("transaction", b"one")
    keeper.commit()

    def refuse(_kind: str, _content: bytes) -> None:
        raise error

    with pytest.raises(JournalError, match=f"{tmp_path}.*: {error}"):
        keeper.replay(refuse)
    assert not keeper.is_replaying
    keeper.close()


class CountingJournal(Journal):
    """Counts how often something is noted."""

    times = 0

    def note(self, name: str, value: str) -> None:
        """Count the call."""
        super().note(name, value)
        self.times += 1


def test_a_note_is_written_only_when_its_value_has_changed(tmp_path: Path) -> None:
    journal = CountingJournal(tmp_path)
    keeper = Keeper(journal)
    for value in ("a", "a", "b", "b", "a"):
        keeper.note("peers", value)
        assert keeper.read_note("peers") == value
    assert journal.times == 3
    keeper.close()


def test_without_a_journal_nothing_is_kept() -> None:
    keeper = Keeper(None)
    keeper.keep("transaction", b"one")
    keeper.note("peers", "somebody")
    keeper.commit()
    assert not keeper.has_journal and replayed(keeper) == [] and keeper.read_note("peers") is None
    keeper.close()
