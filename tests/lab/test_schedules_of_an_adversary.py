"""Honest nodes agree whatever an adversary with one of ten stakes and many connections does: seeded schedules, in
memory.

Each schedule is an attack of a minute on up to ten honest nodes, with up to a hundred connections (lab/schedules/schedules.py).
Within the minute after the attack all honest nodes have the same tip. During it no node is more than six blocks behind
the others for longer than a minute. Signatures are keyed hashes. A schedule that fails is cut down and printed, so
that it can be pasted here.
"""

import os
import subprocess
import sys

import pytest

from common import rsa
from common.encoding import Message
from common.interface import Connection
from lab.schedules.keyed_hash import HashKey, hashes_instead_of_rsa
from lab.schedules.schedules import LONG, SMALL, Action, Schedule, check_seeds, make_schedule, shrink, try_schedule
from stage5_pos.node import StakeNode
from tests.processes import ROOT

SEEDS, CHUNK = 100, 10
"""How many small schedules there are, and how many of them one test runs: those share one past, computed once."""

LONG_SEEDS, LONG_CHUNK = 10_000, 1_000
FIRST_LONG, FIRST_OF_FIVE_MINUTES = 100_000, 200_000

CORES = os.cpu_count() or 1


FOUND = {
    "postponed twins keep out the good one while pools are full": Schedule(
        seed=259, nodes=4, strangers=2, is_line=True, is_scarce=True, age=100, seconds=60, actions=[
            Action(5.06, "make_twins", 58, 742614), Action(5.43, "fill_pools", 49, 478614),
            Action(5.55, "fill_pools", 69, 646261), Action(7.4, "make_twins", 67, 342136)]),
    "orphans pause a newcomer": Schedule(
        seed=20020, nodes=4, strangers=2, is_line=False, is_scarce=True, age=50, seconds=60, actions=[
            Action(35.17, "change_manner", 73, 374823), Action(51.1, "make_orphans", 86, 345994),
            Action(52.02, "join", 65, 786464)]),
    "what a newcomer's pool refused pushes out the blocks that need it": Schedule(
        seed=100079, nodes=4, strangers=24, is_line=False, is_scarce=True, age=300, seconds=60, actions=[
            Action(9.15, "fill_pools", 15, 287320), Action(9.88, "fill_pools", 76, 908376),
            Action(16.17, "extend", 7, 175997), Action(36.57, "join", 47, 523805),
            Action(40.67, "make_orphans", 73, 86748), Action(54.87, "make_orphans", 57, 72547),
            Action(58.15, "extend", 92, 945591), Action(58.2, "pay_invalidly", 42, 480482),
            Action(58.97, "extend", 90, 252791), Action(58.97, "restart", 28, 677182),
            Action(59.0, "join", 58, 149551)]),
}
"""Schedules that failed once, cut down."""


@pytest.mark.parametrize("schedule", FOUND.values(), ids=FOUND.keys())
def test_a_schedule_that_failed_once_does_not_fail_again(schedule: Schedule) -> None:
    assert try_schedule(schedule) is None


@pytest.mark.long
def test_no_node_asks_for_the_same_answer_without_end() -> None:
    """This schedule failed, too, and was not cut down: it takes five seconds."""
    assert try_schedule(make_schedule(310117, LONG)) is None


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_honest_nodes_agree_whatever_an_adversary_does(first: int) -> None:
    check_seeds(range(first, first + CHUNK), SMALL)


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("first", range(FIRST_LONG, FIRST_LONG + LONG_SEEDS, LONG_CHUNK))
def test_ten_honest_nodes_agree_whatever_a_hundred_connections_do(first: int) -> None:
    check_on_all_cores(first, LONG_CHUNK, "--long")


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_five_minutes_of_attack_do_no_more_than_one() -> None:
    check_on_all_cores(FIRST_OF_FIVE_MINUTES, 200, "--long", "--seconds", "300")


def check_on_all_cores(first: int, count: int, *options: str) -> None:
    """Run `count` seeds, a share of them on each core."""
    share = -(-count // CORES)
    runs = [subprocess.Popen([sys.executable, "-m", "lab.schedules", "--shrink", "--first", str(first + start),
                              "--count", str(min(share, count - start)), *options],
                             cwd=ROOT, stdout=subprocess.PIPE, text=True) for start in range(0, count, share)]
    outputs = [run.communicate()[0] for run in runs]
    assert not any(run.returncode for run in runs), "".join(outputs)


# --- the schedules themselves -----------------------------------------------------------------------

class DropsTwins(StakeNode):
    """Ignores a second block by one creator in one slot, even if all others build on it."""

    def on_block(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """Take only the first one."""
        if not hasattr(self, "heard"):
            self.heard: dict[tuple[str, int], str] = {}
        first = self.heard.setdefault((message["creator"], message["slot"]), message["signature"])
        if first == message["signature"]:
            super().on_block(connection, message, frame)


def test_a_node_that_drops_twins_is_found_and_the_schedule_cut_down() -> None:
    schedules = (make_schedule(seed, SMALL) for seed in range(SEEDS))
    schedule, wrong = next((one, wrong) for one in schedules if (wrong := try_schedule(one, DropsTwins)) is not None)
    small = shrink(schedule, wrong, DropsTwins)
    assert 1 <= len(small.actions) <= 10 < len(schedule.actions), str(small)
    assert try_schedule(small, DropsTwins) is not None
    assert eval(str(small), {"Schedule": Schedule, "Action": Action}) == small


class Deaf(StakeNode):
    """Accepts no block from others."""

    def on_block(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """Take only its own blocks, and the founder's past."""
        if connection is None:
            super().on_block(connection, message, frame)


class Fragile(StakeNode):
    """Does not survive a transaction."""

    def on_transaction(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """Fail."""
        raise KeyError(message["nonce"])


@pytest.mark.parametrize(("make", "what", "kind"), [(Deaf, "pay", "behind: node-"), (Deaf, "cut", "behind: node-"),
                                                    (Fragile, "fill_pools", "exception: KeyError")])
def test_the_judge_says_what_went_wrong(make: type[StakeNode], what: str, kind: str) -> None:
    schedule = QUIET._replace(actions=[Action(5.0, what, 0, 0)])
    assert (try_schedule(schedule, make) or "").startswith(kind)
    assert try_schedule(schedule) is None


def test_nodes_that_differ_only_in_their_tips_are_found() -> None:
    assert (try_schedule(QUIET._replace(age=0), Deaf) or "").startswith("tips: node-1:1 at ")


QUIET = Schedule(seed=1, nodes=4, strangers=2, is_line=False, is_scarce=False, age=100, seconds=60, actions=[])

TRACE = """
import hashlib, json
from lab.schedules.schedules import SMALL, Run, make_schedule
from lab.schedules.keyed_hash import hashes_instead_of_rsa
with hashes_instead_of_rsa():
    for seed in range(5):
        run = Run(make_schedule(seed, SMALL))
        run.judge()
        print(hashlib.sha256(json.dumps([one.reported for one in run.world.networks.values()]).encode()).hexdigest())
"""


def test_one_seed_repeats_a_run_exactly_even_in_another_process() -> None:
    # In another process, sets of strings have another order.
    runs = [subprocess.Popen([sys.executable, "-c", TRACE], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                             env={**os.environ, "PYTHONHASHSEED": seed}) for seed in ("1", "2")]
    first, second = (run.communicate()[0].split() for run in runs)
    assert len(set(first)) == 5
    assert first == second


# --- a keyed hash in place of RSA -------------------------------------------------------------------

def test_a_keyed_hash_signs_as_a_key_would() -> None:
    alice, bob = HashKey("alice"), HashKey("bob")
    with hashes_instead_of_rsa():
        rsa.verify(alice.account, b"hi", alice.sign(b"hi"))
        for account, signed, signature in [(bob.account, b"hi", alice.sign(b"hi")),
                                           (alice.account, b"ho", alice.sign(b"hi")),
                                           (alice.account, b"hi", ""), ("", b"hi", alice.sign(b"hi"))]:
            with pytest.raises(ValueError):
                rsa.verify(account, signed, signature)


def test_afterwards_rsa_is_back() -> None:
    alice = HashKey("alice")
    with hashes_instead_of_rsa():
        pass
    with pytest.raises(ValueError, match="an account is the DER of an RSA key"):
        rsa.verify(alice.account, b"hi", alice.sign(b"hi"))
