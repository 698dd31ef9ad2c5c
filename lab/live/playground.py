"""Real nodes on one machine to play with: typed to, killed, partitioned, slowed down, replaced by adversaries.

    playground = Playground(Settings(stage=5, nodes=10, seed=7), keys, folder, print)
    playground.start_all()
    playground.wiring.partition([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
    while ...:
        playground.tick()           # several times a second: read what the nodes report, ask for their state

Only one thread may call the methods. What people see is drawn elsewhere (table.py, live.py). Nodes are numbered from 1,
and a node's number stands for its account: in stage 2 the name node-1, node-2, …; in stages 3 to 5 the key in its
wallet. In stage 5 the first ten nodes have the keys of the genesis accounts, so a node's rewards go to the account that
`/send` spends from. If there are fewer than ten nodes, they play the other accounts in turn.
"""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from lab.live.launcher import Launcher, Settings
from lab.nodes.member import Member
from lab.live.newsroom import Newsroom
from lab.live.nodeview import ANSWERS, NodeView, OnAnswer, agreeing
from lab.blackbox.node_process import NodeError
from lab.blackbox.peer import Event
from lab.nodes.processes import START_SECONDS, NodeProcess, end_all
from lab.live.wiring import Wiring
from lab.live.words import Line, brief, shown_nodes
from lab.nodes.workload import KeyRing
from stage4_sequencer.genesis import FOUNDERS_BALANCE

TICK_SECONDS = 0.1

POLL_SECONDS = 1.5
"""Seconds between two questions to a node that reports nothing."""

SOON_SECONDS = 0.4
"""Seconds until the next question after a node has reported something."""

ANSWER_SECONDS = 5.0
"""Time for a node to answer a typed line before the next command has its turn."""

LOG_SECONDS = 1.0
"""The longest that a command waits for the log."""

LOG_COLUMNS = 98
"""The width of a log that does not go to a terminal. It can be shown on a terminal of 100 columns."""

POLLS = {1: ["peers"], 2: ["peers", "ledger"], 3: ["peers", "ledger"], 4: ["status", "ledger"],
         5: ["status", "ledger"]}
"""Stage -> the commands whose answers show the state of a node."""


class PlaygroundError(Exception):
    """A command cannot be carried out. The message is one line for the user."""


class Stopped(Exception):
    """The user ends the program in the middle of something."""


class Playground:
    """The nodes, and what is done to them."""

    def __init__(self, settings: Settings, keys: KeyRing | None, folder: Path, on_line: Callable[[Line], None],
                 is_stopping: Callable[[], bool] = lambda: False, on_tick: Callable[[], None] = lambda: None,
                 width: Callable[[], int] = lambda: LOG_COLUMNS) -> None:
        """No node runs yet. `keys` are for stages 3 to 5. The nodes' data goes into `folder`. `on_line` gets the lines
        of the log, `on_tick` is called with every tick. Once `is_stopping` says yes, long waits raise `Stopped`.
        `width` returns the width of the log."""
        self.settings, self._is_stopping, self._on_tick = settings, is_stopping, on_tick
        self.log = Newsroom(settings.stage, on_line, width)
        self.launcher = Launcher(settings, keys, folder)
        self.wiring = Wiring(settings.seed, self.numbers, self.log.say)
        self.views = [NodeView(number) for number in self.numbers]
        self.members: dict[int, Member] = {}
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

    def is_down(self, number: int) -> bool:
        """Was this node started, and is it no longer running?"""
        return number in self.members and self.members[number].process is None

    # --- the beginning --------------------------------------------------------------------------

    def start_all(self) -> None:
        """Start all nodes, and wait until they are one network. NodeError if that fails."""
        for number in self.numbers:
            self._begin(number)
        self._wait_until_joined()
        self.log.say("news", "all are up")
        if self.settings.stage == 4:
            self._share_out()
        elif self.settings.stage == 5:
            self._name_stakes()
        self.log.is_starting = False

    def _begin(self, number: int) -> None:
        place = self.wiring.places[number]
        if number in self.members:
            self.members[number].restart()
        else:
            self.members[number] = Member(place, lambda: self.launcher.launch(number, place, self._peer_of(number)))

    def _peer_of(self, number: int) -> str:
        """The address that a node calls first: in stage 1 that of a node with a number next to its own, in later stages
        that of the node with the lowest number that it reaches. If that node is still starting, the caller tries again
        (`--wait`)."""
        reached = [other for other in self.members if other != number and not self.is_down(other)
                   and not self.wiring.is_cut(number, other)]
        if self.settings.stage == 1:
            reached.sort(key=lambda other: (other > number, abs(other - number)))
        return self.wiring.places[reached[0]].address if reached else "none"

    def _wait_until_joined(self) -> None:
        """Wait until all nodes are in one network. NodeError if a node has ended, or has founded its own network."""
        self.wait_until(lambda: all(view.is_up for view in self.views) or any(map(self.is_down, self.numbers)),
                        START_SECONDS, "the nodes to come up")
        if gone := [number for number in self.numbers if self.is_down(number)]:
            raise NodeError(f"node {gone[0]} has not started: {self.launcher.last_error_line(gone[0])}")
        if lost := [view.number for view in self.views if view.network != self.view(1).network]:
            raise NodeError(f"{'node' if len(lost) == 1 else 'nodes'} {shown_nodes(lost)} could not join the network")

    def _share_out(self) -> None:
        """Stage 4: share the money out, since only the founder has any at first."""
        share = FOUNDERS_BALANCE // self.settings.nodes
        for number in self.numbers[1:]:
            self.members[1].running.type(f"/send {self.view(number).account} {share}")
        self.wait_until_answered([1])
        self.log.say("news", f"has the money of the genesis; gives each of the others {share}, in the first block", [1])

    def _name_stakes(self) -> None:
        """Stage 5 with fewer than ten nodes: the second account that node 3 plays is 3b, and so on."""
        for number in self.numbers:
            for letter, stake in zip("bcde", self.launcher.stakes(number)[1:], strict=False):
                self.log.names.call(self.launcher.keys.keys[stake - 1].account, f"{number}{letter}")

    # --- what is typed --------------------------------------------------------------------------

    def type(self, number: int, line: str) -> None:
        """Type a line at a node. PlaygroundError if the node is not up. The answer goes to the log."""
        view = self.view(number)
        self._expect_up(number)
        try:
            self.members[number].running.type(line)
        except NodeError:
            raise PlaygroundError(f"node {number} has just ended") from None
        name = line.strip().removeprefix("/") if line.startswith("/") else ""
        if self.settings.stage >= ANSWERS.get(name, 6):
            view.expect(name, lambda event: self.log.say_answer(number, event))
        self._next_polls[number] = 0.0

    def _expect_up(self, number: int) -> None:
        if not self.view(number).is_up:
            hint = f"down; `start {number}` starts it" if self.is_down(number) else "still starting"
            raise PlaygroundError(f"node {number} is {hint}")

    def ask(self, numbers: Sequence[int], name: str, on_answers: Callable[[dict[int, Event]], None]) -> None:
        """Ask several nodes the same question, and call `on_answers` with all answers. Nodes that end first are left
        out."""
        answers: dict[int, Event] = {}
        waiting = set(numbers)

        def note(number: int, event: Event | None) -> None:
            waiting.discard(number)
            answers.update({number: event} if event is not None else {})
            if not waiting:
                on_answers(dict(sorted(answers.items())))

        for number in numbers:
            self._question(number, name, lambda event, number=number: note(number, event))  # type: ignore[misc]

    def _question(self, number: int, name: str, on_answer: OnAnswer) -> None:
        with suppress(NodeError):
            self.members[number].running.type(f"/{name}")
        self.view(number).expect(name, on_answer)

    def wait_until_answered(self, numbers: Collection[int]) -> None:
        """Wait until these nodes have handled what was typed, or a while has passed."""
        passed: list[int] = []
        for number in numbers:
            if self.view(number).is_up:
                self._question(number, "peers", lambda event, number=number: passed.append(number))  # type: ignore
        with suppress(NodeError):
            self.wait_until(lambda: set(passed) >= set(numbers) & set(self.up()), ANSWER_SECONDS, "an answer")

    def draw_tree(self, number: int | None = None) -> None:
        """Stage 5: draw the tree of blocks in the log, of all nodes together or of one node."""
        if self.settings.stage != 5:
            raise PlaygroundError(f"stage {self.settings.stage} has no tree of blocks; stage 5 introduces it")
        if number is None:
            for up in self.up():
                self._look(up)
            self.wait_until_answered(self.up())
            self._say_tree(None)
        else:
            self._expect_up(number)
            self._question(number, "tree", self._on_tree)

    def _on_tree(self, event: Event | None) -> None:
        if event is not None:
            self._say_tree([block["id"] for block in event["blocks"]])

    def _say_tree(self, only: Collection[str] | None) -> None:
        tips: dict[str, list[int]] = {}
        for number in self.up():
            tips.setdefault(self.view(number).tip, []).append(number)
        self.log.say_tree(tips, only)

    # --- what is done to nodes ------------------------------------------------------------------

    def kill(self, numbers: Collection[int]) -> None:
        """`kill -9` these nodes. PlaygroundError if one is down already."""
        for number in numbers:
            if self.is_down(number):
                raise PlaygroundError(f"node {number} is down already")
        for number in numbers:
            self._end(number)
            self.view(number).last = "killed"
        self.log.say("fault", "killed", numbers)

    def start(self, numbers: Collection[int]) -> None:
        """Start nodes that are down, with their data. An adversary is replaced by the honest node."""
        for number in numbers:
            if not self.is_down(number) and number not in self.launcher.evil:
                raise PlaygroundError(f"node {number} is already running")
        for number in numbers:
            self._end(number)
            self.launcher.make_good(number)
            self._begin(number)
        how = "from nothing" if self.settings.stage == 1 else "with what it has kept"
        self.log.say("fault", f"started again, {how}", numbers)

    def make_evil(self, number: int, name: str, victim: str = "") -> None:
        """Put an adversary in a node's place, with its account and a copy of its data. `victim` is the account that it
        works against, if it works against one."""
        self._end(number)
        self.launcher.make_evil(number, name, victim)
        self._begin(number)
        self.log.say("alarm", f"is now an adversary: {name}", [number])

    def _end(self, number: int) -> None:
        member = self.members[number]
        if member.process is not None:
            self._hear(number, member.process)
            member.kill()
        self.view(number).forget()

    # --- what the nodes report ------------------------------------------------------------------

    def wait_until(self, question: Callable[[], bool], seconds: float, wanted: str) -> None:
        """Tick until the answer is yes. NodeError after that many seconds, Stopped if the user ends the program."""
        deadline = time.monotonic() + seconds
        while not question():
            if self._is_stopping():
                raise Stopped
            if time.monotonic() > deadline:
                raise NodeError(f"waited {seconds:g} seconds in vain for {wanted}")
            self.tick()
            time.sleep(TICK_SECONDS)

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass."""
        end = time.monotonic() + seconds
        self.wait_until(lambda: time.monotonic() >= end, seconds + 1, "time to pass")

    def wait_for_log(self) -> None:
        """Wait until all reports are in the log, at most `LOG_SECONDS`, so that the next command appears below them."""
        with suppress(NodeError):
            self.wait_until(lambda: not self.log.is_gathering, LOG_SECONDS, "the log")

    def wait_until_equal(self, seconds: float) -> None:
        """Wait until all running nodes are up and agree. PlaygroundError if that takes longer."""
        def do_agree() -> bool:
            for number in self.up():
                self._look(number)
            self.wait_until_answered(self.up())
            is_starting = any(not view.is_up and not self.is_down(view.number) for view in self.views)
            return not is_starting and len(agreeing(self.views)) <= 1

        try:
            self.wait_until(do_agree, seconds, "the nodes to agree")
        except NodeError:
            raise PlaygroundError(f"the nodes do not agree after {seconds:g} seconds") from None

    def tick(self) -> None:
        """Read what the nodes report, put it into the log, and ask for the state of nodes whose turn it is."""
        for number, member in self.members.items():
            if member.process is not None:
                self._hear(number, member.process)
                if member.process.has_ended:
                    self._on_end(number)
        self.log.flush()
        for number in self.up():
            if time.monotonic() >= self._next_polls[number] and not self.view(number).is_waiting():
                self._look(number)
        self._on_tick()

    def _hear(self, number: int, process: NodeProcess) -> None:
        view = self.view(number)
        for event in process.take():
            view.note(event)
            used = {self.log.branches.colour(other.tip) for other in self.views}
            if self.log.hear(view, event, used):
                self._next_polls[number] = min(self._next_polls[number], time.monotonic() + SOON_SECONDS)
            view.last = brief(event, self.log.names) or view.last

    def _on_end(self, number: int) -> None:
        """A node has ended by itself."""
        status = self.members[number].running.wait_end()
        self._end(number)
        self.view(number).last = f"ended, status {status}"
        words = self.launcher.last_error_line(number)
        self.log.say("alarm", f"has ended with status {status}{': ' if words else ''}{words}", [number])

    def _look(self, number: int) -> None:
        """Ask a node for its state."""
        self._next_polls[number] = time.monotonic() + POLL_SECONDS
        for name in POLLS[self.settings.stage]:
            self._question(number, name, lambda event: None)

    # --- the end --------------------------------------------------------------------------------

    def close(self) -> list[int]:
        """Write the rest of the log, end all nodes, then the proxies. Return the exit statuses."""
        for number, member in self.members.items():
            if member.process is not None:
                self._hear(number, member.process)
        try:
            self.log.flush(all_of_it=True)
        finally:  # even if the log cannot be written
            statuses = end_all([member.process for member in self.members.values() if member.process is not None])
            self.wiring.close()
        return statuses
