"""Honest nodes agree, whatever one stake of ten and connections without a stake do: seeded schedules, in memory.

Each schedule is an attack of a minute on up to ten honest nodes, with up to a hundred connections (lab/schedules.py).
Within the minute after it all honest nodes have the same tip, and no node is more than six blocks behind the others
for longer than a minute. Signatures are keyed hashes. One that fails is made small and printed, to be pasted here.
"""

import os
import subprocess
import sys
from collections import defaultdict

import pytest

from common import rsa
from common.encoding import Message
from common.interface import Connection
from lab.keyed_hash import HashKey, hashes_instead_of_rsa
from lab.schedules import SMALL, Action, Schedule, check_seeds, make_schedule, shrink, try_schedule
from stage5_pos.node import StakeNode
from tests.processes import ROOT

SEEDS, CHUNK = 100, 10
"""Of the small size: one chunk has one past, which is computed once."""

LONG_SEEDS, LONG_CHUNK = 10_000, 1_000
FIRST_LONG, FIRST_OF_FIVE_MINUTES = 100_000, 200_000

CORES = os.cpu_count() or 1


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
    """Run so many seeds, a share of them on each core."""
    share = -(-count // CORES)
    runs = [subprocess.Popen([sys.executable, "-m", "lab.schedules", "--shrink", "--first", str(first + start),
                              "--count", str(min(share, count - start)), *options],
                             cwd=ROOT, stdout=subprocess.PIPE, text=True) for start in range(0, count, share)]
    outputs = [run.communicate()[0] for run in runs]
    assert not any(run.returncode for run in runs), "".join(outputs)


# --- the schedules themselves -----------------------------------------------------------------------

class DropsTwins(StakeNode):
    """Never looks at a third block by one creator in one slot, also if all others build on it."""

    def on_block(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """The first two are enough."""
        self.heard: dict[tuple[str, int], list[str]]
        if not hasattr(self, "heard"):
            self.heard = defaultdict(list)
        twins = self.heard[message["creator"], message["slot"]]
        if message["signature"] not in twins and len(twins) == 2:
            return
        twins += [message["signature"]] * (message["signature"] not in twins)
        super().on_block(connection, message, frame)


def test_a_node_that_drops_the_third_twin_is_found_and_the_schedule_made_small() -> None:
    for seed in range(57, 257):  # 57 is the first, as long as nothing changes what random numbers decide
        schedule = make_schedule(seed, SMALL)
        wrong = try_schedule(schedule, DropsTwins)
        if wrong is not None:
            break
    assert wrong is not None
    small = shrink(schedule, wrong, DropsTwins)
    print(seed, wrong, small)
    assert 1 <= len(small.actions) <= 5 < len(schedule.actions), str(small)
    assert try_schedule(small, DropsTwins) is not None
    assert eval(str(small), {"Schedule": Schedule, "Action": Action}) == small


class Deaf(StakeNode):
    """Takes no block from others."""

    def on_block(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """Only its own, and the founder's past."""
        if connection is None:
            super().on_block(connection, message, frame)


class Fragile(StakeNode):
    """Does not survive a transaction."""

    def on_transaction(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """Break."""
        raise KeyError(message["nonce"])


@pytest.mark.parametrize(("make", "what", "kind"), [(Deaf, "pay", "behind: node-"), (Deaf, "cut", "behind: node-"),
                                                    (Fragile, "fill_pools", "exception: KeyError")])
def test_the_judge_says_what_went_wrong(make: type[StakeNode], what: str, kind: str) -> None:
    schedule = QUIET._replace(actions=[Action(5.0, what, 0, 0)])
    assert (try_schedule(schedule, make) or "").startswith(kind)
    assert try_schedule(schedule) is None


def test_nodes_that_only_differ_in_their_tips_are_found() -> None:
    assert (try_schedule(QUIET._replace(age=0), Deaf) or "").startswith("tips: node-1:1 at ")


QUIET = Schedule(seed=1, nodes=4, strangers=2, is_line=False, is_scarce=False, age=100, seconds=60, actions=[])

TRACE = """
import hashlib, json
from lab.schedules import SMALL, Run, make_schedule
from lab.keyed_hash import hashes_instead_of_rsa
with hashes_instead_of_rsa():
    for seed in range(5):
        run = Run(make_schedule(seed, SMALL))
        run.judge()
        print(hashlib.sha256(json.dumps([one.reported for one in run.world.networks.values()]).encode()).hexdigest())
"""


def test_one_seed_repeats_a_run_exactly_also_in_another_process() -> None:
    # Sets of strings come in another order there.
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


def test_after_it_rsa_is_back() -> None:
    alice = HashKey("alice")
    with hashes_instead_of_rsa():
        pass
    with pytest.raises(ValueError, match="an account is the DER of an RSA key"):
        rsa.verify(alice.account, b"hi", alice.sign(b"hi"))
