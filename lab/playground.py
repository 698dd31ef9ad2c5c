"""Real nodes on one machine to play with: typed to, killed, parted, slowed down, replaced by adversaries.

    playground = Playground(Settings(stage=5, nodes=10, seed=7), keys, folder, print)
    playground.start_all()
    playground.partition([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
    while ...:
        playground.tick()           # some times a second: hear what the nodes report, ask them how they are

All methods are for one thread. What people see of it is drawn elsewhere (playground_table.py, live.py). Nodes are
numbered from 1. A node's number stands for its account: in stage 2 that is the name node-1, node-2, …; in stages 3 to
5 the key in its wallet. In stage 5 the keys of the first ten are those of the genesis accounts, so that what a node
earns by blocks and what `/send` takes is one account. Fewer than ten nodes play the other accounts in turn.
"""

import shutil
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.branches import Branches, Known, Piece
from lab.faults import Faults
from lab.member import Member
from lab.nodeview import (ANSWERS, SHOWN_DIGITS, Line, Names, NodeView, agreeing, announce, brief, people_lines,
                          shown_nodes)
from lab.processes import START_SECONDS, Event, NodeError, NodeProcess, end_all
from lab.workload import PASSPHRASE, KeyRing
from stage4_sequencer.genesis import FOUNDERS_BALANCE
from stage5_pos.__main__ import STAKE_HOLDERS

TICK_SECONDS = 0.1

GATHER_SECONDS = 0.3
"""So long the log waits for other nodes to report the same."""

OLD_SECONDS = 2.0
"""Who reports a block so long after others has not followed them: that is told as such, not as a new block."""

POLL_SECONDS = 1.5
"""Between two looks at a node that reports nothing; after news it is looked at sooner."""

SOON_SECONDS = 0.4

ANSWER_SECONDS = 5.0
"""Time for a node to answer what was typed, before the next command has its turn."""

TREE_COLUMNS = 98
"""Of a drawing of the tree: it fits on a terminal of 100."""

JOIN_TRIES = 5

POLLS = {1: ["peers"], 2: ["peers", "ledger"], 3: ["peers", "ledger"], 4: ["status", "ledger"],
         5: ["status", "ledger"]}
"""What a node is asked to see how it is."""


class PlaygroundError(Exception):
    """What was asked for cannot be done. The message is one line for the user."""


class Stopped(Exception):
    """The user wants no more, in the middle of something."""


@dataclass(frozen=True)
class Settings:
    """What the network is like."""

    stage: int
    nodes: int
    seed: int
    founding: tuple[str, ...] = ()
    """Options for the node that founds it."""


class Playground:
    """The nodes, and what is done to them."""

    def __init__(self, settings: Settings, keys: KeyRing | None, folder: Path, on_line: Callable[[Line], None],
                 is_stopping: Callable[[], bool] = lambda: False, on_tick: Callable[[], None] = lambda: None) -> None:
        """Nothing runs yet. `keys` are for stages 3 to 5, the nodes' data goes into `folder`, `on_line` gets the log,
        `on_tick` is called with every tick; once `is_stopping` says yes, whatever takes long raises `Stopped`."""
        self.settings, self._keys, self._folder = settings, keys, folder
        self._on_line, self._is_stopping, self._on_tick = on_line, is_stopping, on_tick
        self.faults = Faults(settings.seed)
        self.views = [NodeView(number) for number in self.numbers]
        self.members: dict[int, Member] = {}
        self.evil: dict[int, str] = {}
        """Which adversary is in the place of a node."""
        self._victims: dict[int, str] = {}
        """Against which account that is; empty: against none in particular."""
        self.cuts: set[frozenset[int]] = set()
        self.slowness: dict[int, float] = {}
        """Seconds that what goes to and from a node takes longer."""
        self.is_complete = False
        """Have all nodes been started?"""
        self.names, self.branches = Names(), Branches()
        self._news: dict[tuple[str, Piece], tuple[float, list[int]]] = {}
        self._quiet: set[str] = set()
        """The ids of transactions that the user has not made."""
        self._heard: dict[str, float] = {}
        """When some node has reported a block first, by the monotonic clock."""
        self._next_polls = dict.fromkeys(self.numbers, 0.0)

    @property
    def numbers(self) -> range:
        """The numbers of all nodes."""
        return range(1, self.settings.nodes + 1)

    def view(self, number: int) -> NodeView:
        """What is known of a node."""
        return self.views[number - 1]

    def up(self) -> list[int]:
        """The nodes that take commands."""
        return [view.number for view in self.views if view.is_up]

    def say(self, kind: str, text: str, who: Iterable[int] = ()) -> None:
        """Put a line into the log."""
        self._on_line(Line(kind, shown_nodes(who), text))

    # --- how nodes are started ------------------------------------------------------------------

    def start_all(self) -> None:
        """Start all nodes and wait until they are one network; NodeError if that fails."""
        for number in self.numbers:
            self.faults.add(str(number))
        self._begin(1)
        self._wait_for([1])
        if self.settings.stage == 1:
            for number in self.numbers[1:]:  # a line: each joins the one before it, which must be there
                self._begin(number)
                self._wait_for([number])
        else:
            for number in self.numbers[1:]:
                self._begin(number)
            self._wait_for(self.numbers[1:])
        if self.settings.stage == 5:
            self._name_stakes()
        self.say("news", "all are up")
        if self.settings.stage == 4:
            self._share_out()
        self.is_complete = True

    def _begin(self, number: int) -> None:
        if number in self.members:
            self.members[number].restart()
        else:
            place = self.faults.places[str(number)]
            self.members[number] = Member(place, lambda: self._launch(number))

    def _launch(self, number: int) -> NodeProcess:
        options = ["--peer", self._peer_of(number), *self.faults.places[str(number)].options]
        stage, name = self.settings.stage, self.evil.get(number, "")
        if stage >= 2:
            options += ["--data", str(self._data(number))]
        if stage >= 3:
            assert self._keys is not None
            options += ["--wallet", str(self._keys.wallet(number - 1))]
        if stage == 5:
            assert self._keys is not None
            played = ",".join(map(str, self.stakes(number))) or "none"
            options += ["--keys", str(self._keys.folder), "--forge", played]
        options += self.settings.founding if number == 1 else []
        options += ["--against", self._victims[number]] if name and self._victims[number] else []
        with open(self._errors(number), "ab") as errors:
            return NodeProcess(stage, *options, environment={"WALLET_PASSPHRASE": PASSPHRASE}, errors=errors,
                               evil=name)

    def stakes(self, number: int) -> list[int]:
        """Stage 5: the genesis accounts that a node plays, its own first."""
        return list(range(1, STAKE_HOLDERS + 1))[number - 1::self.settings.nodes]

    def _data(self, number: int) -> Path:
        """Where a node keeps what it knows; an adversary gets a copy, and spoils nothing."""
        return self._folder / (f"{number}-evil" if number in self.evil else str(number))

    def _errors(self, number: int) -> Path:
        return self._folder / f"{number}.errors"

    def _peer_of(self, number: int) -> str:
        """Whom a node calls first: in stage 1 one next to it, later the lowest that it reaches."""
        reached = [other for other in self.up() if other != number and frozenset((number, other)) not in self.cuts]
        if self.settings.stage == 1:
            reached.sort(key=lambda other: (other > number, abs(other - number)))
        return self.faults.places[str(reached[0])].address if reached else "none"

    def _wait_for(self, numbers: Collection[int]) -> None:
        """Until these nodes are in node 1's network. Who has found nobody in time, on a busy machine, tries again."""
        for _ in range(JOIN_TRIES):
            self.wait_until(lambda: all(self.view(number).is_up for number in numbers), START_SECONDS,
                            f"{shown_nodes(numbers)} to come up")
            lost = [number for number in numbers if self.view(number).network != self.view(1).network]
            if not lost:
                return
            self.say("alarm", "nobody answered in time; tries again", lost)
            for number in lost:
                self._end(number)
                shutil.rmtree(self._data(number), ignore_errors=True)
                self._begin(number)
        raise NodeError(f"nodes {shown_nodes(lost)} have not joined the network in {JOIN_TRIES} tries")

    def _share_out(self) -> None:
        """Stage 4: only the founder has money at first."""
        share = FOUNDERS_BALANCE // self.settings.nodes
        for number in self.numbers[1:]:
            self.members[1].running.type(f"/send {self.view(number).account} {share}")
        self.wait_until_answered([1])
        self.say("news", f"gives each of the others {share}, with the first block; it has the money of the genesis", [1])

    # --- what is typed --------------------------------------------------------------------------

    def type(self, number: int, line: str) -> None:
        """Type a line at a node; PlaygroundError if it is not there. What comes of it the log tells."""
        view = self.view(number)
        if not view.is_up:
            raise PlaygroundError(f"node {number} is not up; `start {number}` starts it")
        words = line.split()
        answer = words[0].removeprefix("/") if len(words) == 1 else ""
        try:
            self.members[number].running.type(line)
        except NodeError:
            raise PlaygroundError(f"node {number} has just ended") from None
        if line.startswith("/") and answer in ANSWERS:
            view.expect(answer, lambda event: self._tell(number, event))
        self._next_polls[number] = 0.0

    def ask(self, numbers: Sequence[int], name: str, on_answers: Callable[[dict[int, Event]], None]) -> None:
        """Ask nodes the same, and give all answers at once, without those of nodes that end before."""
        answers: dict[int, Event] = {}
        waiting = set(numbers)

        def note(number: int, event: Event | None) -> None:
            waiting.discard(number)
            answers.update({number: event} if event is not None else {})
            if not waiting:
                on_answers(dict(sorted(answers.items())))

        for number in numbers:
            self._question(number, name, lambda event, number=number: note(number, event))  # type: ignore[misc]

    def _question(self, number: int, name: str, on_answer: Callable[[Event | None], None]) -> None:
        with suppress(NodeError):
            self.members[number].running.type(f"/{name}")
        self.view(number).expect(name, on_answer)

    def _tell(self, number: int, event: Event | None) -> None:
        for line in people_lines(event, self.names) if event is not None else []:
            self.say("answer", line, [number])

    def wait_until_answered(self, numbers: Collection[int]) -> None:
        """Until these nodes have handled what was typed, or a while has passed."""
        passed: list[int] = []
        for number in numbers:
            if self.view(number).is_up:
                self._question(number, "peers", lambda event, number=number: passed.append(number))  # type: ignore
        with suppress(NodeError):
            self.wait_until(lambda: set(passed) >= set(numbers) & set(self.up()), ANSWER_SECONDS, "an answer")

    def draw_tree(self, number: int | None = None) -> None:
        """Stage 5: draw the tree of blocks in the log: all that any node knows, or what one does."""
        if self.settings.stage != 5:
            raise PlaygroundError(f"stage {self.settings.stage} has no tree of blocks; that is what stage 5 brings")
        if number is None:
            self._say_tree(None)
        elif not self.view(number).is_up:
            raise PlaygroundError(f"node {number} is not up; `start {number}` starts it")
        else:
            self._question(number, "tree", self._on_tree)

    def _on_tree(self, event: Event | None) -> None:
        if event is not None:
            self._say_tree([block["id"] for block in event["blocks"]])

    def _say_tree(self, only: Collection[str] | None) -> None:
        standing: dict[str, list[int]] = {}
        for view in self.views:
            if view.is_up:
                standing.setdefault(view.tip, []).append(view.number)
        tips = {tip: f"<- {shown_nodes(numbers)}" for tip, numbers in standing.items()}
        for pieces in self.branches.draw(tips, TREE_COLUMNS, only):
            self._say_pieces("answer", pieces)

    def wait_until_equal(self, seconds: float) -> None:
        """Until all nodes that are up agree; PlaygroundError if they do not in that time."""
        try:
            self.wait_until(lambda: len(agreeing(self.views)) == 1, seconds, "")
        except NodeError:
            raise PlaygroundError(f"the nodes do not agree after {seconds:g} seconds") from None

    # --- what is done to nodes ------------------------------------------------------------------

    def kill(self, numbers: Collection[int]) -> None:
        """`kill -9`."""
        for number in numbers:
            if self.members[number].process is None:
                raise PlaygroundError(f"node {number} is down already")
        for number in numbers:
            self._end(number)
            self.view(number).last = "killed"
        self.say("fault", "killed", numbers)

    def start(self, numbers: Collection[int]) -> None:
        """Start nodes that are down, with their data; an adversary makes room for the honest node."""
        for number in numbers:
            if self.members[number].process is not None and number not in self.evil:
                raise PlaygroundError(f"node {number} runs already")
        for number in numbers:
            self._end(number)
            self.evil.pop(number, None)
            self._begin(number)
        self.say("fault", "started from nothing" if self.settings.stage == 1 else "started with its data", numbers)

    def make_evil(self, number: int, name: str, victim: str = "") -> None:
        """Let an adversary take a node's place, its account and a copy of its data. `victim` is an account that it
        works against, for those that work against one."""
        self._end(number)
        self.evil.pop(number, None)
        honest = self._data(number)
        self.evil[number], self._victims[number] = name, victim
        shutil.rmtree(self._data(number), ignore_errors=True)
        if honest.exists():
            shutil.copytree(honest, self._data(number))
        self._begin(number)
        self.say("alarm", f"is now an adversary: {name}", [number])

    def _end(self, number: int) -> None:
        member = self.members[number]
        if member.process is not None:
            self._hear(number, member.process)
            member.kill()
        self.view(number).forget()

    # --- what is done to connections ------------------------------------------------------------

    def cut(self, one: int, other: int) -> None:
        """Cut what connects two nodes, for good until `mend` or `heal`."""
        self.cuts.add(frozenset((one, other)))
        self.faults.cut(str(one), str(other))
        self.say("fault", f"{one} and {other} cannot reach each other")

    def mend(self, one: int, other: int) -> None:
        """End one cut."""
        if frozenset((one, other)) not in self.cuts:
            raise PlaygroundError(f"{one} and {other} are not cut")
        self.cuts.remove(frozenset((one, other)))
        self.faults.mend(str(one), str(other))
        self.say("fault", f"{one} and {other} can reach each other again, and try within 30 seconds")

    def partition(self, groups: Sequence[Collection[int]]) -> None:
        """Part the network in these groups, instead of what was cut before. Those in none are one more group."""
        rest = set(self.numbers).difference(*groups)
        groups = [*groups, *([rest] if rest else [])]
        self._mend_all()
        self.cuts = {frozenset((one, other)) for place, group in enumerate(groups) for one in group
                     for later in groups[place + 1:] for other in later}
        self.faults.partition([[str(number) for number in group] for group in groups])
        self.say("fault", f"PARTITION: {'  |  '.join(map(shown_nodes, groups))}")

    def heal(self) -> None:
        """End all cuts and all slowness."""
        self._mend_all()
        self.slowness.clear()
        self.faults.heal()
        self.say("fault", "HEALED: nodes call each other again, within 30 seconds")

    def _mend_all(self) -> None:
        for one, other in map(sorted, self.cuts):
            self.faults.mend(str(one), str(other))
        self.cuts.clear()

    def slow(self, number: int, seconds: float) -> None:
        """Let what goes to and from a node take longer; 0 ends that."""
        self.slowness.pop(number, None)
        if seconds:
            self.slowness[number] = seconds
        self.faults.delay(str(number), seconds)
        self.say("fault", f"slowed down by {seconds * 1000:g} ms" if seconds else "slow no more", [number])

    def components(self) -> list[list[int]]:
        """The groups that cannot reach each other, not even by way of others, by the cuts as they are."""
        left, found = list(self.numbers), []
        while left:
            group = [left.pop(0)]
            for one in group:
                joined = [other for other in left if frozenset((one, other)) not in self.cuts]
                group += joined
                left = [other for other in left if other not in joined]
            found.append(sorted(group))
        return found

    # --- what is heard of them ------------------------------------------------------------------

    def wait_until(self, question: Callable[[], bool], seconds: float, wanted: str) -> None:
        """Tick until the answer is yes; NodeError after that many seconds, Stopped if the user wants no more."""
        deadline = time.monotonic() + seconds
        while not question():
            if self._is_stopping():
                raise Stopped
            if time.monotonic() > deadline:
                raise NodeError(f"waited {seconds:g} seconds in vain for {wanted}")
            self.tick()
            time.sleep(TICK_SECONDS)

    def wait(self, seconds: float) -> None:
        """Let so much time pass."""
        end = time.monotonic() + seconds
        self.wait_until(lambda: time.monotonic() >= end, seconds + 1, "time to pass")

    def tick(self) -> None:
        """Hear what the nodes report, put it into the log, and look how they are."""
        for number, member in self.members.items():
            if member.process is not None:
                self._hear(number, member.process)
                if member.process.has_ended:
                    self._on_end(number)
        self.flush_news()
        for number in self.up():
            self._poll(number)
        self._on_tick()

    def _hear(self, number: int, process: NodeProcess) -> None:
        for event in process.take():
            self._on_event(self.view(number), event)

    def _on_event(self, view: NodeView, event: Event) -> None:
        view.note(event)
        if event["event"] == "listening":
            self.names.add(view)
        elif event["event"] == "block":
            self._on_block(view, event)
        view.last = brief(event, self.names) or view.last
        news = announce(event, self.names)
        if news is not None and self._is_news(view, event):
            self._tell_news(view.number, event, *news)
        if news is not None:
            self._next_polls[view.number] = min(self._next_polls[view.number], time.monotonic() + SOON_SECONDS)

    def _name_stakes(self) -> None:
        """Stage 5 with fewer than ten nodes: the second account that node 3 plays is 3b, and so on."""
        assert self._keys is not None
        for number in self.numbers:
            for letter, stake in zip("bcdef", self.stakes(number)[1:], strict=False):
                self.names.call(self._keys.keys[stake - 1].account, f"{number}{letter}")

    def _tell_news(self, number: int, event: Event, kind: str, text: str) -> None:
        """Answers go into the log at once; what others may report too is gathered."""
        if kind == "answer":
            self.say(kind, text, [number])
        else:
            is_of_branch = self.settings.stage == 5 and event["event"] == "block"
            self._add_news(number, kind, text, self.branches.colour(event["id"]) if is_of_branch else None)

    def _is_news(self, view: NodeView, event: Event) -> bool:
        """Is this event for the log? Not a connection more to whom there is one, nor a block that it has told of, nor
        the confusion while all join at once."""
        if event["event"] == "peer":
            count = view.neighbours[event["address"]]
            return self.is_complete and count == (1 if event["state"] == "up" else 0)
        if event["event"] == "error" and event["code"] == "HANDSHAKE":
            return self.is_complete
        if event["event"] in ("sent", "transaction"):
            self._quiet |= set() if self.is_complete else {event["id"]}
            return event["id"] not in self._quiet
        return event["event"] != "block" or not self._is_old(event["id"])

    def _is_old(self, block_id: str) -> bool:
        """Have other nodes reported this block some time ago?"""
        return time.monotonic() - self._heard.setdefault(block_id, time.monotonic()) > OLD_SECONDS

    def _on_block(self, view: NodeView, event: Event) -> None:
        if self.settings.stage == 4:
            self.names.call(event["creator"], "sequencer")
        if self._is_old(event["id"]):
            self._add_news(view.number, "news", "gets blocks that others had")
        elif self.settings.stage == 5 and event["id"] not in self.branches.blocks:
            used = {self.branches.colour(other.tip) for other in self.views}
            known = self.branches.add(event, self.names.of(event["creator"]), used)
            if rivals := self.branches.rivals(known):
                self._say_fork([known, *rivals])

    def _say_fork(self, blocks: list[Known]) -> None:
        pieces = [Piece(f"FORK at height {blocks[0].height}:")]
        pieces += [Piece(f"  {block.id[:SHOWN_DIGITS]} by {block.creator}", block.colour) for block in blocks]
        self._say_pieces("fork", pieces)

    def _say_pieces(self, kind: str, pieces: Sequence[Piece], who: Iterable[int] = ()) -> None:
        self._on_line(Line(kind, shown_nodes(who), "".join(piece.text for piece in pieces), tuple(pieces)))

    def _add_news(self, number: int, kind: str, text: str, colour: int | None = None) -> None:
        heard = self._news.setdefault((kind, Piece(text, colour)), (time.monotonic(), []))[1]
        if number not in heard:
            heard.append(number)

    def flush_news(self, all_of_it: bool = False) -> None:
        """Put into the log what the nodes have reported, once others had the time to report the same."""
        ripe = [key for key, (since, _) in self._news.items()
                if all_of_it or time.monotonic() - since > GATHER_SECONDS]
        for kind, piece in ripe:
            self._say_pieces(kind, [piece], self._news.pop((kind, piece))[1])

    def _on_end(self, number: int) -> None:
        """A node has ended by itself."""
        status = self.members[number].running.wait_end()
        self.members[number].kill()
        self.view(number).forget()
        self.view(number).last = f"ended, status {status}"
        reason = self._errors(number).read_text(errors="replace").strip().splitlines()[-1:]
        self.say("alarm", f"has ended with status {status}" + "".join(f": {line}" for line in reason), [number])

    def _poll(self, number: int) -> None:
        if time.monotonic() >= self._next_polls[number] and not self.view(number).is_waiting():
            self._next_polls[number] = time.monotonic() + POLL_SECONDS
            for name in POLLS[self.settings.stage]:
                self._question(number, name, lambda event: None)

    # --- the end --------------------------------------------------------------------------------

    def close(self) -> list[int]:
        """End all nodes, then the proxy; the exit statuses."""
        statuses = end_all([member.process for member in self.members.values() if member.process is not None])
        self.faults.close()
        return statuses
