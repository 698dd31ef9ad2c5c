"""The log of the playground. If many nodes report the same thing, the log has one line for all of them."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from lab.adversaries.bad_neighbour import NODES
from lab.live.branches import Branches, Known, Piece
from lab.live.nodeview import NodeView
from lab.blackbox.peer import Event
from lab.live.words import SHOWN_DIGITS, Line, Names, announce, people_lines, shown_nodes

GATHER_SECONDS = 0.3
"""How long the log waits for other nodes to report the same thing, in seconds."""

OLD_SECONDS = 2.0
"""A node that reports a block this many seconds after the first node did is catching up. Then the log says so, and does
not report a new block."""

LEDGER_ACCOUNTS = 12
"""How many accounts of a ledger are shown in one line."""


class Newsroom:
    """Hears what the nodes report, and writes the log."""

    def __init__(self, stage: int, on_line: Callable[[Line], None], width: Callable[[], int]) -> None:
        """`on_line` gets the lines; `width` returns the columns that they may use."""
        self._stage, self._on_line, self.width = stage, on_line, width
        self.names, self.branches = Names(), Branches()
        self.is_starting = True
        """Are the nodes still starting? Then the log leaves out connections and transactions."""
        self._gathered: dict[tuple[str, tuple[Piece, ...]], tuple[float, list[int]]] = {}
        """News -> when it was first reported, by the monotonic clock, and by which nodes."""
        self._quiet: set[str] = set()
        """The ids of transactions that the user did not make."""
        self._heard: dict[str, float] = {}
        """Id of a block -> when it was first reported."""

    # --- writing --------------------------------------------------------------------------------

    def say(self, kind: str, text: str, who: Iterable[int] = ()) -> None:
        """Write a line."""
        self._on_line(Line(kind, shown_nodes(who), text))

    def say_pieces(self, kind: str, pieces: Sequence[Piece], who: Iterable[int] = ()) -> None:
        """Write a line in several colours."""
        self._on_line(Line(kind, shown_nodes(who), "".join(piece.text for piece in pieces), tuple(pieces)))

    def say_answer(self, number: int, event: Event | None) -> None:
        """Write a node's answer; None means no answer."""
        for line in people_lines(event, self.names, NODES[self._stage].EVENTS) if event is not None else []:
            self.say("answer", line, [number])

    def say_tree(self, tips: Mapping[str, Collection[int]], only: Collection[str] | None = None) -> None:
        """Draw the tree of all blocks, or of those in `only`, with the nodes at their tips."""
        words = {tip: f"<- {shown_nodes(numbers)}" for tip, numbers in tips.items()}
        for pieces in self.branches.draw(words, self.width(), only):
            self.say_pieces("answer", pieces)

    def say_ledgers(self, answers: Mapping[int, Event]) -> None:
        """Say which ledgers are equal. Of those that are not, show only what differs."""
        groups: dict[tuple[tuple[str, int], ...], list[int]] = {}
        for number, event in answers.items():
            accounts = sorted((account, balance) for account, balance in event["accounts"].items() if balance)
            groups.setdefault(tuple(accounts), []).append(number)
        if len(groups) == 1:
            self.say("answer", "all ledgers are equal", answers)
        elif groups:
            self.say("alarm", f"{len(groups)} DIFFERENT ledgers: {'  |  '.join(map(shown_nodes, groups.values()))}")
        common = set.intersection(*map(set, groups)) if len(groups) > 1 else set()
        for ledger, numbers in groups.items():
            self.say("answer", self._shown_ledger(pair for pair in ledger if pair not in common), numbers)

    def _shown_ledger(self, ledger: Iterable[tuple[str, int]]) -> str:
        """Balances in one line, as in `1: 999,900  5: 1,000,100`."""
        def place(name: str) -> tuple[int, str]:
            digits = name.rstrip("bcde")
            return (int(digits) if digits.isdigit() else 10**9, name)

        named = sorted(((self.names.of(account), balance) for account, balance in ledger),
                       key=lambda pair: place(pair[0]))
        more = f"  and {len(named) - LEDGER_ACCOUNTS} more" if len(named) > LEDGER_ACCOUNTS else ""
        return "  ".join(f"{name}: {has:,}" for name, has in named[:LEDGER_ACCOUNTS]) + more or "nobody has anything"

    @property
    def is_gathering(self) -> bool:
        """Are there reports that are not written yet?"""
        return bool(self._gathered)

    def flush(self, all_of_it: bool = False) -> None:
        """Write the reports that are older than `GATHER_SECONDS`, or all of them."""
        due = [key for key, (since, _) in self._gathered.items()
                if all_of_it or time.monotonic() - since > GATHER_SECONDS]
        for kind, pieces in due:
            self.say_pieces(kind, pieces, self._gathered.pop((kind, pieces))[1])

    # --- hearing --------------------------------------------------------------------------------

    def hear(self, view: NodeView, event: Event, used: Collection[int]) -> bool:
        """A node has reported something, and `view` has noted it. Is it news? New branches get none of the `used`
        colours."""
        if event["event"] == "listening":
            self.names.add(view.number, view.account, view.address)
        rivals = self._hear_of_block(view.number, event, used) if event["event"] == "block" else []
        news = announce(event, self.names)
        if news is not None and self._is_for_log(view, event):
            self._tell(view.number, event, *news)
        if rivals:  # after the block itself
            self._tell_fork(rivals)
        return news is not None

    def _tell(self, number: int, event: Event, kind: str, text: str) -> None:
        """Write an answer at once. Gather anything else, since other nodes may report the same thing."""
        if kind == "answer":
            self.say(kind, text, [number])
        else:
            is_of_branch = self._stage == 5 and event["event"] == "block"
            self._gather(kind, [Piece(text, self.branches.colour(event["id"]) if is_of_branch else None)], number)

    def _gather(self, kind: str, pieces: Sequence[Piece], *who: int) -> None:
        """Keep news until `flush`, which writes it in this order. `who` are the nodes that reported it."""
        numbers = self._gathered.setdefault((kind, tuple(pieces)), (time.monotonic(), []))[1]
        numbers += [number for number in who if number not in numbers]

    def _is_for_log(self, view: NodeView, event: Event) -> bool:
        """Should the log have this? Not a second connection between the same two nodes, not a block that others have
        reported long ago, and not the refused hellos of a network in which all join at the same time."""
        match event["event"]:
            case "peer":
                count = view.neighbours[event["address"]]
                return not self.is_starting and count == (1 if event["state"] == "up" else 0)
            case "error":
                return not self.is_starting or event["code"] != "HANDSHAKE"
            case "sent" | "transaction":
                self._quiet |= {event["id"]} if self.is_starting else set()
                return event["id"] not in self._quiet
            case "block":
                return not self._is_old(event["id"])
        return True

    def _is_old(self, block_id: str) -> bool:
        """Did other nodes report this block some time ago?"""
        return time.monotonic() - self._heard.setdefault(block_id, time.monotonic()) > OLD_SECONDS

    def _hear_of_block(self, number: int, event: Event, used: Collection[int]) -> list[Known]:
        """Note a block. If it is new and makes a fork, return all blocks on its parent, itself first."""
        if self._stage == 4:
            self.names.call(event["creator"], "sequencer")
        if self._is_old(event["id"]):
            self._gather("news", [Piece("gets blocks that others had")], number)
        elif self._stage == 5 and event["id"] not in self.branches.blocks:
            known = self.branches.add(event, self.names.of(event["creator"]), used)
            rivals = self.branches.rivals(known)
            return [known, *rivals] if rivals else []
        return []

    def _tell_fork(self, blocks: list[Known]) -> None:
        pieces = [Piece(f"FORK at height {blocks[0].height}:")]
        pieces += [Piece(f"  {block.id[:SHOWN_DIGITS]} by {block.creator}", block.colour) for block in blocks]
        self._gather("fork", pieces)
