"""What outlasts a crash: a node that keeps what it accepts in a journal, and goes on with what the journal holds."""

from typing import Any

from common.encoding import decode_frame
from common.interface import Invalid, Network
from common.journal import OTHER_VERSION, Journal, JournalError
from stage1_chat.node import ChatNode


class KeepingNode(ChatNode):
    """A node with a journal, if its user wants one."""

    def __init__(self, network: Network, address: str, journal: Journal | None = None) -> None:
        super().__init__(network, address)
        self.journal = journal
        self.is_replaying = False
        """Does the journal tell what has happened? Then nothing is reported, checked or kept again."""

    def on_ready(self) -> None:
        """The node belongs to a network: the next time it goes on with that one."""
        super().on_ready()
        self.note("stage", str(self.STAGE))
        self.note("network", str(self.network_name))

    def how_to_change_network(self) -> str:
        """What the user does to have this node in another network: the one in the journal would come back."""
        again = super().how_to_change_network()
        return again if self.journal is None else f"{again} with another folder as --data"

    @property
    def remembers_network(self) -> bool:
        """Does the journal hold a network?"""
        return self.journal is not None and self.journal.read_note("network") is not None

    def resume(self) -> None:
        """Go on with the network in the journal: what has happened happens again, through the same handlers."""
        assert self.journal is not None, "only who remembers a network resumes"
        self.network_name = self.journal.read_note("network")
        self.is_replaying = True
        try:
            for entry in self.journal.entries():
                self.replay(entry.kind, entry.content)
        except (Invalid, AttributeError, LookupError, TypeError, ValueError) as error:  # a newer version's, too
            raise JournalError(f"{self.journal}: an entry that this version would not have kept: {error};"
                               f" {OTHER_VERSION}") from None
        finally:
            self.is_replaying = False
        self.report("founded", resumed=True)
        self.on_ready()

    def replay(self, kind: str, frame: bytes) -> None:
        """Let an entry of the journal happen again; its kind is the type of its message."""
        self.handler(kind)(None, decode_frame(frame), frame)

    def keep(self, kind: str, frame: bytes) -> None:
        """Put what was accepted into the journal."""
        if self.journal is not None and not self.is_replaying:
            self.journal.append(kind, frame)

    def note(self, name: str, value: str) -> None:
        """Put a value into the journal, in the place of what it was before."""
        if self.journal is not None and not self.is_replaying and self.journal.read_note(name) != value:
            self.journal.note(name, value)

    def commit(self) -> None:
        """Make what was kept outlast a crash, before anybody is told."""
        if self.journal is not None:
            self.journal.commit()

    def on_end(self) -> None:
        """Put the journal away."""
        if self.journal is not None:
            self.journal.close()

    def report(self, event: str, **members: Any) -> None:
        """Tell the user what happened, not what happens again."""
        if not self.is_replaying:
            super().report(event, **members)
