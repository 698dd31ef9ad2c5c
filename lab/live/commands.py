"""The commands of the playground's prompt, and what each does to the network.

`run` reads a line and carries it out. For a line that it does not understand it raises a `PlaygroundError`, which says
what was expected.
"""

import re
import textwrap
from collections.abc import Callable
from typing import NamedTuple

from lab.adversaries.dishonest_nodes import EVIL, evil_names
from lab.adversaries.evil import AGAINST_ONE
from lab.live.playground import Playground, PlaygroundError
from lab.live.wiring import NotCut
from lab.live.words import shown_nodes
from stage4_sequencer.node import SequencedNode

LONGEST_WAIT = 600.0
"""The longest `wait`, in seconds."""

EQUAL_SECONDS = 120.0
"""How long `wait equal` waits, in seconds. Connections that were cut come back within 30 s."""

LONGEST_DELAY = 60.0
"""The longest delay that `slow` may add to a message, in seconds."""


BLANKS = " \t\r\n"
"""Characters that are stripped from a line; other spaces belong to the text."""


class Quit(Exception):
    """The user wants to leave."""


class Command(NamedTuple):
    """One word that the prompt knows."""

    usage: str
    meaning: str
    run: Callable[[Playground, list[str]], None]
    """Carries the command out; it gets the words after the command."""


def run(playground: Playground, line: str) -> None:
    """Carry out one line. PlaygroundError if it has no meaning or cannot be done, Quit if it is `quit`."""
    first, _, rest = line.strip(BLANKS).partition(" ")
    rest = rest.strip(BLANKS)
    if not first or first.startswith("#"):
        return
    if first == "all":
        type_at_all(playground, rest)
    elif first.isdigit():
        type_at(playground, read_node(playground, first), rest)
    elif first in COMMANDS:
        COMMANDS[first].run(playground, rest.split())
    else:
        raise PlaygroundError(f"no command {first!r}; expected a node's number and what to type there,"
                              f" or one of: all, {', '.join(COMMANDS)}")


# --- reading ------------------------------------------------------------------------------------

def read_node(playground: Playground, text: str) -> int:
    """The number of a node."""
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) in playground.numbers):
        raise PlaygroundError(f"expected the number of a node, 1 to {playground.settings.nodes}, not {text!r}")
    return int(text)


def read_nodes(playground: Playground, text: str) -> list[int]:
    """Read nodes as people write them: `4`, `1-5`, `1,3,7-9`."""
    numbers: set[int] = set()
    for part in text.split(","):
        if not re.fullmatch("[0-9]+(-[0-9]+)?", part):
            raise PlaygroundError(f"expected nodes as in 4 or 1-5 or 1,3,7-9, not {text!r}")
        ends = [read_node(playground, end) for end in part.split("-")]
        if ends[0] > ends[-1]:
            raise PlaygroundError(f"expected a range that begins with the lower number, not {part!r}")
        numbers.update(range(ends[0], ends[-1] + 1))
    return sorted(numbers)


def read_seconds(text: str, longest: float) -> float:
    """Read a time as people write it: `200ms`, `0.2s`, `1.5`."""
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s|)", text)
    seconds = float(match[1]) / (1000 if match[2] == "ms" else 1) if match else -1.0
    if not 0 <= seconds <= longest:
        raise PlaygroundError(f"expected a time from 0 to {longest:g}s, as in 200ms or 1.5s, not {text!r}")
    return seconds


def expect(words: list[str], name: str, *counts: int) -> None:
    """Raise PlaygroundError, with the usage, unless the number of words is one of `counts`."""
    if len(words) not in counts:
        raise PlaygroundError(f"expected {COMMANDS[name].usage}")


# --- what is typed at nodes ---------------------------------------------------------------------

def type_at(playground: Playground, number: int, text: str) -> None:
    """Type something at one node, and wait until the node has handled it."""
    if not text:
        raise PlaygroundError(f"expected what to type at node {number}, as in `{number} hello` or `{number} /peers`")
    playground.type(number, with_accounts(playground, number, text))
    playground.wait_until_answered([number])


def type_at_all(playground: Playground, text: str) -> None:
    """Type something at every node that is up. Ledgers are shown briefly: which are equal, and what differs."""
    if not text:
        raise PlaygroundError("expected what to type at every node, as in `all /ledger`")
    numbers = playground.up()
    if text == "/ledger" and playground.settings.stage == 1:
        raise PlaygroundError("stage 1 has no ledger; stage 2 introduces it")
    if text == "/ledger" and numbers:
        playground.ask(numbers, "ledger", playground.log.say_ledgers)
    else:
        for number in numbers:
            playground.type(number, with_accounts(playground, number, text))
    playground.wait_until_answered(numbers)


def with_accounts(playground: Playground, number: int, text: str) -> str:
    """Replace the number of a node in a `/send` with the account of that node. In stage 2 `/send TO AMOUNT` sends from
    the account of the node where it is typed."""
    words = text.split()
    if words[:1] != ["/send"] or playground.settings.stage == 1:
        return text
    if playground.settings.stage == 2 and len(words) == 3:
        words.insert(1, str(number))
    for place in range(1, 3 if playground.settings.stage == 2 else 2):
        if place < len(words) and re.fullmatch("[0-9]{1,3}", words[place]):
            words[place] = account_of(playground, words[place])
    return " ".join(words)


def account_of(playground: Playground, text: str) -> str:
    """The account of the node with this number."""
    view = playground.view(read_node(playground, text))
    if not view.account:
        raise PlaygroundError(f"the account of node {text} is not known, since the node has never started")
    return view.account


# --- what is done to the network ----------------------------------------------------------------

def kill(playground: Playground, words: list[str]) -> None:
    """`kill NODES`."""
    expect(words, "kill", 1)
    playground.kill(read_nodes(playground, words[0]))


def start(playground: Playground, words: list[str]) -> None:
    """`start NODES`."""
    expect(words, "start", 1)
    playground.start(read_nodes(playground, words[0]))


def good(playground: Playground, words: list[str]) -> None:
    """`good NODE`."""
    expect(words, "good", 1)
    number = read_node(playground, words[0])
    if number not in playground.launcher.evil:
        raise PlaygroundError(f"node {number} is not an adversary")
    playground.start([number])


def cut(playground: Playground, words: list[str]) -> None:
    """`cut NODE NODE`."""
    expect(words, "cut", 2)
    playground.wiring.cut(*read_pair(playground, words))


def read_pair(playground: Playground, words: list[str]) -> tuple[int, int]:
    """Read two different nodes."""
    one, other = [read_node(playground, word) for word in words]
    if one == other:
        raise PlaygroundError(f"expected two different nodes, not {one} twice")
    return one, other


def partition(playground: Playground, words: list[str]) -> None:
    """`partition NODES NODES …`."""
    groups = [read_nodes(playground, word) for word in words]
    named = [number for group in groups for number in group]
    twice = sorted({number for number in named if named.count(number) > 1})
    if twice:
        raise PlaygroundError(f"expected groups that share no node; in two of them: {shown_nodes(twice)}")
    if not groups or (len(groups) == 1 and len(named) == playground.settings.nodes):
        raise PlaygroundError(f"expected {COMMANDS['partition'].usage}; a single group must leave out a node")
    playground.wiring.partition(groups)


def heal(playground: Playground, words: list[str]) -> None:
    """`heal`, or `heal NODE NODE`."""
    expect(words, "heal", 0, 2)
    if words:
        try:
            playground.wiring.mend(*read_pair(playground, words))
        except NotCut as error:
            raise PlaygroundError(str(error)) from None
    else:
        playground.wiring.heal()


def slow(playground: Playground, words: list[str]) -> None:
    """`slow NODE TIME`."""
    expect(words, "slow", 2)
    playground.wiring.slow(read_node(playground, words[0]), read_seconds(words[1], LONGEST_DELAY))


def evil(playground: Playground, words: list[str]) -> None:
    """`evil NODE`, `evil NODE NAME`, or against one node `evil NODE NAME NODE`."""
    expect(words, "evil", 1, 2, 3)
    number, stage = read_node(playground, words[0]), playground.settings.stage
    if len(words) == 1:
        list_evil(playground, number)
        return
    expect_evil(words[1], stage)
    if stage == 4 and number != 1 and issubclass(EVIL[words[1]].kind, SequencedNode):
        raise PlaygroundError(f"expected node 1: {words[1]} is a sequencer, and in stage 4 that is node 1")
    playground.make_evil(number, words[1], read_victim(playground, words))
    playground.log.say("answer", f"to see it: {EVIL[words[1]].sights[stage]}", [number])


NAME_COLUMNS = 16
"""The width for the name of an adversary."""

MIN_COLUMNS = 40
"""The least width of a wrapped line, however narrow the log is."""


def list_evil(playground: Playground, number: int) -> None:
    """List the adversaries for the stage: what each does, and how to see it at work."""
    stage, log = playground.settings.stage, playground.log
    for name in evil_names(stage):
        start = f"evil {number} {name:<{NAME_COLUMNS}}"
        for text in (EVIL[name].meaning, f"> {EVIL[name].sights[stage]}"):
            for line in textwrap.wrap(text, max(MIN_COLUMNS, log.width()), initial_indent=start,
                                      subsequent_indent=" " * len(start)):
                log.say("answer", line)
            start = " " * len(start)


def expect_evil(name: str, stage: int) -> None:
    """Raise PlaygroundError, with the right names, unless this is an adversary for the stage."""
    offered = f"those of stage {stage} are: {', '.join(evil_names(stage))}"
    if name not in EVIL:
        raise PlaygroundError(f"no adversary {name!r}; {offered}")
    if stage not in EVIL[name].sights:
        raise PlaygroundError(f"{name} needs stage {shown_nodes(EVIL[name].sights)}; {offered}")


def read_victim(playground: Playground, words: list[str]) -> str:
    """The account that the adversary works against; empty if it chooses one."""
    if len(words) < 3:
        return ""
    if not issubclass(EVIL[words[1]].kind, AGAINST_ONE):
        raise PlaygroundError(f"{words[1]} works against nobody in particular; expected `evil {words[0]} {words[1]}`")
    return account_of(playground, words[2])


def tree(playground: Playground, words: list[str]) -> None:
    """`tree`, or `tree NODE`."""
    expect(words, "tree", 0, 1)
    playground.draw_tree(read_node(playground, words[0]) if words else None)
    playground.wait_until_answered([int(word) for word in words])


def wait(playground: Playground, words: list[str]) -> None:
    """`wait TIME`, or `wait equal`."""
    expect(words, "wait", 1)
    if words[0] == "equal":
        playground.wait_until_equal(EQUAL_SECONDS)
    else:
        playground.wait(read_seconds(words[0], LONGEST_WAIT))


def show_help(playground: Playground, words: list[str]) -> None:
    """`help`."""
    rows = [("3 TEXT", "type TEXT at node 3: a chat message, or a command as in 3 /send 5 100"),
            ("all TEXT", "type TEXT at every node; all /ledger shows which are equal"),
            *((command.usage, command.meaning) for command in COMMANDS.values())]
    for usage, meaning in rows:
        playground.log.say("answer", f"{usage:<26} {meaning}")


def leave(playground: Playground, words: list[str]) -> None:
    """`quit`."""
    raise Quit


COMMANDS: dict[str, Command] = {
    "kill": Command("kill NODES", "kill -9, as in kill 4 or kill 4,6-8", kill),
    "start": Command("start NODES", "start a killed node again, with its data; or bring the honest node back", start),
    "cut": Command("cut NODE NODE", "cut the connections between two nodes", cut),
    "partition": Command("partition NODES NODES …", "split the network, as in partition 1-5 6-10", partition),
    "heal": Command("heal [NODE NODE]", "end all cuts and delays; or only the cut between two nodes", heal),
    "slow": Command("slow NODE TIME", "delay what a node sends and receives, as in slow 3 200ms; 0 ends it", slow),
    "evil": Command("evil NODE [NAME [NODE]]", "put an adversary in a node's place; without NAME, list them", evil),
    "good": Command("good NODE", "bring the honest node back", good),
    "tree": Command("tree [NODE]", "draw the tree of blocks (stage 5), as all nodes know it or as one does", tree),
    "wait": Command("wait TIME|equal", "for scripts: wait for some time, or until all have the same ledger", wait),
    "help": Command("help", "this list", show_help),
    "quit": Command("quit", "end all nodes and leave", leave),
}
"""All commands except `all` and the numbers of nodes."""
