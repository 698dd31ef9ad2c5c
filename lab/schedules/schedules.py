"""Schedules of an adversary against honest nodes of stage 5: made from seeds, run, judged, and shortened if they fail.

    python -m lab.schedules --first 0 --count 1000      # small schedules; with --long, long ones

A schedule is a list of things that are done at certain seconds, some by the adversary (mischief.py), some to the
honest nodes (honest.py). It runs in memory, with a keyed hash in place of RSA, and one seed repeats a run exactly.
"""

import argparse
import random
import sys
import time
import traceback
from typing import NamedTuple

from common.fetch_limits import MAX_MISSING
from lab.schedules.honest import START_MS, HonestNodes, make_past
from lab.schedules.keyed_hash import hashes_instead_of_rsa, swapped
from lab.schedules.mischief import MISCHIEF, WITH_STAKE, WITHOUT_STAKE
from lab.schedules.puppet import Adversary, Puppet
from lab.schedules.shrinking import shrink_list
from lab.simulation import World
from stage2_ledger.limits import MAX_WANT
from stage4_sequencer.limits import MAX_ANSWER_BLOCKS, MAX_POOL, MAX_UNCOVERED, MAX_WAITING, MAX_WAITING_IDS
from stage5_pos.limits import MAX_TWINS
from stage5_pos.node import StakeNode

SHARED = 10
"""The number of seeds that share one past. A past takes as long to compute as a small schedule takes to run."""

STRONG = ["extend", "fill_pools", "make_orphans", "make_twins", "release"]
"""The kinds of mischief that found the most failures. Every schedule has three of them."""

HONEST = ["pay", "cut", "join", "restart"]
"""What happens to honest nodes. `restart` is left out if nodes form a line: if two neighbours forgot each other,
one after the other, the network would stay partitioned without any adversary."""

MOST_BEHIND = 6
"""A node fails if it is more than this many blocks behind the others for longer than a minute."""

MINUTE = 60


SCARCE = {"MAX_WAITING": (MAX_WAITING, 10), "MAX_WAITING_IDS": (MAX_WAITING_IDS, 60), "MAX_TWINS": (MAX_TWINS, 5),
          "MAX_ANSWER_BLOCKS": (MAX_ANSWER_BLOCKS, 5), "MAX_UNCOVERED": (MAX_UNCOVERED, 16 * 1024),
          "MAX_POOL": (MAX_POOL, 128 * 1024), "MAX_MISSING": (MAX_MISSING, 100), "MAX_WANT": (MAX_WANT, 10)}
"""Limits so small that a minute uses them up, as a few hours would use up the real ones: name -> (real, small)."""

LONGEST_DELAY, STEP_SECONDS = 0.01, 0.0005
"""Seconds that it takes to open a connection, or to deliver a frame, so that things happen while others catch up."""


class Action(NamedTuple):
    """Something that is done at second `at`. `what` is its kind, `who` picks the node or the puppet, and `number`
    decides all other choices."""

    at: float
    what: str
    who: int
    number: int


class Schedule(NamedTuple):
    """Everything on which a run depends."""

    seed: int
    nodes: int
    """Honest nodes, without late joiners."""
    strangers: int
    """The number of the adversary's addresses (puppets), each of which calls an honest node at first."""
    is_line: bool
    """Does each honest node reach only the nodes before and after it? Otherwise each reaches all."""
    is_scarce: bool
    """Is there as little room as `SCARCE` says?"""
    age: int
    """Slots before the attack."""
    seconds: int
    """How long the attack lasts."""
    actions: list[Action]

    def __str__(self) -> str:
        """A call that can be pasted into a test."""
        lines = [f"    Action({one.at}, {one.what!r}, {one.who}, {one.number})," for one in self.actions]
        members = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items() if name != "actions")
        return "\n".join([f"Schedule({members}, actions=[", *lines, "])"])


class Size(NamedTuple):
    """How large schedules are: ranges from which the seed chooses."""

    nodes: list[int]
    strangers: list[int]
    ages: list[int]
    actions: list[int]
    seconds: int = MINUTE


SMALL = Size(nodes=[4, 4, 5], strangers=[2, 4, 8], ages=[50, 100], actions=[20, 30])
LONG = Size(nodes=[4, 7, 10, 10], strangers=[4, 10, 30, 100], ages=[100, 300], actions=[30, 60, 100])
"""The honest nodes share nine stakes. Of ten nodes, the first has none."""


def make_schedule(seed: int, size: Size) -> Schedule:
    """The schedule of a seed. It has only a few kinds of mischief, so they often meet; that finds more failures than
    all kinds mixed. Most actions come just after the adversary has won a slot."""
    choose = random.Random(seed)
    age = random.Random(seed // SHARED).choice(size.ages)
    is_line = choose.random() < 0.3
    kinds = [*choose.sample(STRONG, 3), choose.choice(sorted(WITH_STAKE)), *choose.sample(sorted(WITHOUT_STAKE), 2),
             "change_manner", *choose.sample(HONEST[:-1] if is_line else HONEST, 2)]
    moments = make_past(seed // SHARED, age).won(size.seconds)
    actions = []
    for _ in range(choose.choice(size.actions)):
        at = choose.uniform(0, size.seconds) if choose.random() < 0.4 else choose.choice(moments) + choose.random()
        actions.append(Action(round(at, 2), choose.choice(kinds), choose.randrange(100), choose.randrange(1_000_000)))
    return Schedule(seed, choose.choice(size.nodes), choose.choice(size.strangers), is_line, choose.random() < 0.7,
                    age, size.seconds, sorted(actions))


# --- one run ------------------------------------------------------------------------------------

class Judge:
    """Checks the honest nodes every second."""

    def __init__(self, honest: HonestNodes) -> None:
        self.honest = honest
        self._behind_since: dict[str, float] = {}

    def agree(self) -> bool:
        """Do all have the same tip now?"""
        nodes = self.honest.nodes.values()
        return (len(self.honest.joined()) == len(self.honest.stakes)
                and len({node.tree.best.id for node in nodes}) == 1)

    def look(self) -> str | None:
        """What is wrong, or None."""
        now = self.honest.world.now
        heights = {node.address: node.tree.best.height for node in self.honest.joined()}
        for node in self.honest.joined():
            best = max(heights.values())
            if best - heights[node.address] <= MOST_BEHIND:
                self._behind_since.pop(node.address, None)
            elif now - self._behind_since.setdefault(node.address, now) > MINUTE:
                return f"behind: {node.address} has been at {heights[node.address]} of {best} for over a minute"
            if node.describe_status()["waiting"] > MAX_WAITING:
                return f"waiting: at {node.address} {node.describe_status()['waiting']} blocks wait"
        ended = [address for address in self.honest.nodes if not self.honest.world.networks[address].is_running]
        return f"ended: {ended[0]} could not join" if ended else None


class Run:
    """One run of a schedule."""

    def __init__(self, schedule: Schedule, make: type[StakeNode] = StakeNode) -> None:
        self.schedule = schedule
        self.world = World(schedule.seed, START_MS + 1_000 * schedule.age, LONGEST_DELAY, STEP_SECONDS)
        past = make_past(schedule.seed // SHARED, schedule.age)
        self.honest = HonestNodes(self.world, past, schedule.nodes, schedule.is_line, make)
        self.adversary = Adversary(self.world, past, list(self.honest.nodes))
        for number in range(schedule.strangers):
            target = self.adversary.targets[number % schedule.nodes]
            self.adversary.puppets.append(self.world.add(Puppet, target, self.adversary))
        for action in schedule.actions:
            self.world.after(action.at - self.world.now, lambda action=action: self.act(action))  # type: ignore[misc]

    def act(self, action: Action) -> None:
        """Carry out one action."""
        if action.what in MISCHIEF:
            puppet = self.adversary.puppets[action.who % len(self.adversary.puppets)]
            MISCHIEF[action.what](self.adversary, puppet, random.Random(action.number))
        else:
            getattr(self.honest, action.what)(action.who, action.number)

    def judge(self) -> str | None:
        """Run the attack, and then up to a minute without it. Return what went wrong, or None."""
        judge = Judge(self.honest)
        while self.world.now < self.schedule.seconds:
            self.world.run(1.0)
            if (wrong := judge.look()) is not None:
                return wrong
        self.adversary.is_over = True
        for _ in range(MINUTE):
            self.world.run(1.0)
            if (wrong := judge.look()) is not None or judge.agree():
                return wrong
        return f"tips: {self.describe_tips()}"

    def describe_tips(self) -> str:
        """The tips of the honest nodes."""
        return ", ".join(f"{node.address} at {node.tree.best.height} ({node.tree.best.id[:6]})"
                         for node in self.honest.joined())


def try_schedule(schedule: Schedule, make: type[StakeNode] = StakeNode) -> str | None:
    """Run a schedule. Return what went wrong as one line, which begins with its kind, or None."""
    with hashes_instead_of_rsa(), swapped(SCARCE if schedule.is_scarce else {}):
        try:
            return Run(schedule, make).judge()
        except Exception as error:  # of whatever kind: the adversary has caused it
            place = traceback.extract_tb(error.__traceback__)[-1]
            return f"exception: {type(error).__name__} {error} in {place.name}, line {place.lineno} of {place.filename}"


# --- failures -----------------------------------------------------------------------------------

def shrink(schedule: Schedule, wrong: str, make: type[StakeNode] = StakeNode, tries: int = 300) -> Schedule:
    """A shorter schedule that still fails in the same way. Delta debugging (Zeller and Hildebrandt, 2002) leaves out
    actions, in at most `tries` runs. After that the number of strangers is reduced."""
    kind = wrong.partition(":")[0]

    def fails(smaller: Schedule) -> bool:
        nonlocal tries
        tries -= 1
        return (try_schedule(smaller, make) or "").partition(":")[0] == kind

    actions = shrink_list(schedule.actions, lambda rest: tries > 0 and fails(schedule._replace(actions=rest)))
    schedule = schedule._replace(actions=actions)
    for strangers in range(1, schedule.strangers):
        if tries > 0 and fails(schedule._replace(strangers=strangers)):
            return schedule._replace(strangers=strangers)
    return schedule


def check_seeds(seeds: range, size: Size, make: type[StakeNode] = StakeNode) -> None:
    """Raise AssertionError, with the smallest schedule found, if the schedule of a seed fails."""
    for seed in seeds:
        schedule = make_schedule(seed, size)
        wrong = try_schedule(schedule, make)
        if wrong is not None:
            raise AssertionError(f"seed {seed}: {wrong}; cut down to:\n{shrink(schedule, wrong, make)}")


def main() -> None:
    """Run schedules, and print those that fail."""
    parser = argparse.ArgumentParser(prog="lab.schedules", description="Schedules of an adversary, in memory.")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--count", type=int, default=100, help="number of schedules (default: %(default)s)")
    parser.add_argument("--long", action="store_true", help="as large as in make test-long")
    parser.add_argument("--seconds", type=int, default=MINUTE, help="length of the attacks (default: %(default)s)")
    parser.add_argument("--shrink", action="store_true", help="cut down those that fail")
    options = parser.parse_args()
    size = (LONG if options.long else SMALL)._replace(seconds=options.seconds)
    began, failed = time.process_time(), 0
    for seed in range(options.first, options.first + options.count):
        schedule = make_schedule(seed, size)
        wrong = try_schedule(schedule)
        if wrong is not None:
            failed += 1
            print(f"seed {seed}: {wrong}", flush=True)
            if options.shrink:
                print(shrink(schedule, wrong), flush=True)
    seconds = time.process_time() - began
    print(f"{failed} of {options.count} failed, {seconds / options.count:.3f} s each")
    sys.exit(failed > 0)
