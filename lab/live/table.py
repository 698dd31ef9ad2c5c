"""The playground as a table: a row for each node. Nodes of one colour agree."""

from collections.abc import Sequence
from typing import NamedTuple

from lab.live.branches import COLOURS
from lab.live.nodeview import NodeView, agreeing
from lab.live.playground import POLLS, Playground
from lab.live.words import SHOWN_DIGITS, shown_nodes

COLUMNS = {
    1: ["node", "address", "conn", "chats"],
    2: ["node", "address", "conn", "ledger", "balance"],
    3: ["node", "address", "conn", "ledger", "balance"],
    4: ["node", "address", "conn", "height", "ledger", "pool", "balance"],
    5: ["node", "address", "conn", "height", "tip", "pool", "balance"],
}
"""The columns of each stage's table. After them come the node's faults and its last event."""


class Row(NamedTuple):
    """A node as the table shows it."""

    number: int
    state: str
    """starting, up, down or evil."""
    cells: list[str]
    faults: str
    last: str
    colour: int
    component: int
    """The part of a partitioned network that contains it, from 0 on."""


class Snapshot(NamedTuple):
    """What the screen shows at one moment."""

    title: str
    summary: str
    """Which nodes agree, in one line."""
    is_split: bool
    """Is there more than one group?"""
    columns: list[str]
    rows: list[Row]
    """Sorted by component."""


class Colours:
    """Gives a colour to each group of nodes that agree. The group keeps it while its members change."""

    def __init__(self) -> None:
        self._before: dict[int, int] = {}

    def choose(self, groups: Sequence[Sequence[int]]) -> dict[int, int]:
        """Node -> colour: the one that most members of its group had. If several groups want one colour, the group with
        more such members gets it, and among equals the larger group."""
        wishes = [(-sum(self._before.get(number) == colour for number in group), -len(group), place, colour)
                  for place, group in enumerate(groups) for colour in range(COLOURS)]
        chosen: dict[int, int] = {}
        for *_, place, colour in sorted(wishes):
            if place not in chosen and colour not in chosen.values():
                chosen[place] = colour
        self._before |= {number: chosen.get(place, COLOURS - 1)  # there are more groups than colours
                         for place, group in enumerate(groups) for number in group}
        return dict(self._before)


class Table:
    """Makes snapshots of a playground."""

    def __init__(self, playground: Playground) -> None:
        self._playground = playground
        self._colours = Colours()

    def snapshot(self) -> Snapshot:
        """The current state of all nodes."""
        playground, settings = self._playground, self._playground.settings
        components = playground.wiring.components()
        groups = on_one_branch(playground) if settings.stage == 5 else agreeing(playground.views)
        colours = self._choose_colours(groups)
        rows = [self._row(playground.view(number), colours.get(number, 0), place)
                for place, component in enumerate(components) for number in component]
        title = f"stage {settings.stage}, {settings.nodes} nodes, seed {settings.seed}"
        return Snapshot(title, summarize(groups, settings.stage), len(groups) > 1, COLUMNS[settings.stage], rows)

    def _choose_colours(self, groups: list[list[int]]) -> dict[int, int]:
        playground = self._playground
        if playground.settings.stage == 5:
            return {view.number: playground.log.branches.colour(view.tip) for view in playground.views}
        return self._colours.choose(groups)

    def _row(self, view: NodeView, colour: int, component: int) -> Row:
        columns = COLUMNS[self._playground.settings.stage]
        cells = [self._cell(view, column) for column in columns]
        return Row(view.number, self._state(view), cells, self._faults(view), view.last, colour, component)

    def _state(self, view: NodeView) -> str:
        if self._playground.is_down(view.number):
            return "down"
        return "starting" if not view.is_up else "evil" if view.number in self._playground.launcher.evil else "up"

    def _cell(self, view: NodeView, column: str) -> str:
        if column == "node":
            return str(view.number)
        if column == "address":
            return view.address
        if not view.is_up:
            return ""
        return {"conn": str(view.connections), "chats": str(view.said), "ledger": view.digest,
                "height": str(view.height), "tip": view.tip[:SHOWN_DIGITS], "pool": str(view.pool),
                "balance": f"{view.balance:,}"}[column]

    def _faults(self, view: NodeView) -> str:
        """A node's faults, in a few words."""
        number, evil, wiring = view.number, self._playground.launcher.evil, self._playground.wiring
        words = [f"evil {evil[number]}"] if number in evil else []
        if number in wiring.slowness:
            words.append(f"slow {wiring.slowness[number] * 1000:g}ms")
        if cut := wiring.cut_from(number):
            words.append(f"cut {shown_nodes(cut)}")
        settings = self._playground.settings
        if "peers" in POLLS[settings.stage] and view.known > settings.nodes:
            words.append(f"lists {view.known}")
        return ", ".join(words)


def on_one_branch(playground: Playground) -> list[list[int]]:
    """Stage 5: the groups of nodes on one branch, even if one of them lags."""
    groups: dict[int, list[int]] = {}
    for view in playground.views:
        if view.is_up:
            groups.setdefault(playground.log.branches.colour(view.tip), []).append(view.number)
    return list(groups.values())


def summarize(groups: list[list[int]], stage: int) -> str:
    """Which nodes agree, in one line."""
    one, some = {1: ("all have read the same messages", "groups have read different messages"),
                 5: ("all are on one branch", "BRANCHES")}.get(stage, ("all ledgers are equal", "DIFFERENT ledgers"))
    if not groups:
        return "no node is up"
    if len(groups) == 1:
        return one
    return f"{len(groups)} {some}: {'  |  '.join(map(shown_nodes, groups))}"
