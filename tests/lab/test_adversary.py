"""The attackers of lab/adversaries/dishonest_nodes.py, in memory: what they do, and what the stages make of it. Those of bad_neighbour.py
are in test_bad_neighbour.py."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.encoding import encode_frame
from common.interface import Network
from lab.adversaries.dishonest_nodes import (EVIL, PUBLISHED_AFTER, RAW, Censor, Equivocate, ForkEverything, Future, Grind, LeaveOut, TwoOrders,
                           Withhold)
from lab.adversaries.evil import main
from lab.nodes.processes import NodeProcess
from lab.simulation import World
from stage4_sequencer.node import SequencedNode
from stage4_sequencer.total_order import TotalOrderSetup
from stage5_pos.node import StakeNode
from tests.conftest import PASSPHRASE
from tests.fixtures import kept_key
from tests.processes import ROOT
from tests.stage4_sequencer.scenes import ALICE, BOB, CAROL, SEQUENCER, no_key, signed_transaction
from tests.stage5_pos.builder import genesis, new_world, transaction

PAGE_LINES = 60
"""The most lines of an attacker: a page."""

VICTIM = 11
"""A key without stake."""

SLOT_SECONDS = genesis().slot_ms / 1000


# --- all of them --------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", [*(evil.kind for evil in EVIL.values()), *RAW], ids=lambda kind: kind.__name__)
def test_an_attacker_is_a_page_and_says_which_stage_stops_it(kind: type) -> None:
    assert len(inspect.getsource(kind).splitlines()) <= PAGE_LINES
    text = inspect.getdoc(kind) or ""
    assert "tage" in text and ("stop" in text or "withst" in text or "harm" in text), text


def test_an_unknown_name_gives_one_line_and_status_2() -> None:
    done = subprocess.run([sys.executable, "-m", "lab.adversaries.evil", "withold"], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("python -m lab.adversaries.evil: argument NAME: invalid choice: 'withold'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("words", "complaint"), [
    (["censor", "--against", "bob"], "expected an account"), (["forge", "2", "--against", ""], "expected a name of 1 to"),
    (["forge", "1", "--peer", "none"], "forge is for stage 2, 3, 4, 5, not 1"),
    (["forge", "6"], "expected an integer from 1 to 5, not '6'")])
def test_a_wrong_option_of_an_attacker_gives_one_line_and_status_2(words: list[str], complaint: str,
                                                                   monkeypatch: pytest.MonkeyPatch,
                                                                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["lab.adversaries.evil", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    errors = capsys.readouterr().err
    assert ended.value.code == 2 and complaint in errors and errors.count("\n") == 1


def test_it_runs_as_a_process_with_the_options_of_its_stage(wallets: list[Path], genesis_keys: Path) -> None:
    environment = {"WALLET_PASSPHRASE": PASSPHRASE}
    options = ["--peer", "none", "--wallet", str(wallets[0]), "--keys", str(genesis_keys), "--slot", "0.1",
               "--rate", "0.9", "--forge", "7"]
    with NodeProcess(5, *options, environment=environment, evil="withhold") as node:
        assert node.wait_for("evil")["withheld"] == 1
        assert node.ask("/status", "status")["height"] == 0


# --- the sequencer ------------------------------------------------------------------------------------

def sequenced(kind: type[SequencedNode], followers: int, seed: int = 1) -> tuple[World, list[Any]]:
    """A network whose founder, and therefore sequencer, is an attacker. It has a million."""
    world = World(seed)
    founder = world.add(kind, None, TotalOrderSetup(key=ALICE), lambda: SEQUENCER, 1_000)
    nodes: list[Any] = [founder]
    for _ in range(followers):
        nodes.append(world.add(SequencedNode, founder.address, TotalOrderSetup(key=BOB), no_key))
        world.run(1)
    return world, nodes


def pay(world: World, node: Any, sender: Any, receiver: Any, amount: int) -> str:
    """Give a node a payment."""
    message = signed_transaction(sender, receiver, amount, node.network_name)
    node.on_transaction(None, message, encode_frame(message))
    return str(node.transaction_id(message))


def test_a_sequencer_leaves_one_user_out() -> None:
    world, (evil, follower) = sequenced(LeaveOut, 1)
    pay(world, follower, ALICE, BOB, 100)
    world.run(5)
    left_out = pay(world, follower, BOB, CAROL, 10)
    world.run(5)
    pay(world, follower, ALICE, CAROL, 1)
    world.run(5)
    assert follower.balances()[BOB.account] == 100 and follower.balances()[CAROL.account] == 1
    assert list(follower.pool) == [left_out], "it waits forever"
    assert world.reported(evil, "evil")[0]["id"] == left_out


def test_two_orders_split_the_network_for_good_and_everyone_has_the_proof() -> None:
    splits = [seed for seed in range(10) if is_split_by_two_orders(seed)]
    assert splits, "each node executes the order that it hears first; with some seeds, these are two orders"


def is_split_by_two_orders(seed: int) -> bool:
    """Let the sequencer sign two orders of a double spend. Do the two others have different ledgers, now and later?"""
    world, (_, one, other) = sequenced(TwoOrders, 2, seed)
    for receiver in (BOB, CAROL):
        pay(world, one, ALICE, receiver, 600_000)
    world.run(30)
    for node in (one, other):
        assert [event["number"] for event in world.reported(node, "equivocation")] == [0]
        assert node.balances()[ALICE.account] == 400_000, "one of the payments was executed"
    is_split: bool = one.balances() != other.balances()
    for receiver in (BOB, CAROL):
        pay(world, other, ALICE, receiver, 1)
    world.run(30)
    assert len(one.blocks) == len(other.blocks) == 2
    assert (one.balances() != other.balances()) == is_split, "what was executed is never undone"
    return is_split


# --- stake holders ------------------------------------------------------------------------------------

def staked(kind: type[StakeNode], *plays: tuple[int, ...]) -> tuple[World, list[Any]]:
    """A network of stage 5. The last node is an attacker. Each plays some genesis accounts; all together win half the
    slots."""
    world = new_world()
    nodes: list[Any] = []
    for number, played in enumerate(plays):
        made = kind if number == len(plays) - 1 else StakeNode
        stakes = {one: kept_key(one) for one in played}

        def make_node(network: Network, address: str, made: type[StakeNode] = made,
                      stakes: dict[int, Any] = stakes) -> StakeNode:
            setup = TotalOrderSetup(key=kept_key(12))
            return made(network, address, setup, dict(stakes), lambda: (genesis(), dict(stakes)))

        nodes.append(world.add(make_node, nodes[0].address if nodes else None))
        world.run(SLOT_SECONDS / 5)
    return world, nodes


def let_pay(node: Any, sender: int, receiver: str, amount: int, nonce: int) -> str:
    """Give a node a payment of one key to an account. Return its id."""
    message = transaction(sender, receiver, amount, nonce)
    node.on_transaction(None, message, encode_frame(message))
    return str(node.transaction_id(message))


def run_until_confessed(world: World, evil: Any, times: int = 1, slots: int = 60, word: str = "") -> None:
    """Let slots pass until the attacker has confessed `times` deeds."""
    for _ in range(slots):
        if sum(word in event["deed"] for event in world.reported(evil, "evil")) >= times:
            return
        world.run(SLOT_SECONDS)
    raise AssertionError(f"after {slots} slots: {world.reported(evil, 'evil')}")


def test_the_next_creator_puts_in_what_one_leaves_out() -> None:
    world, (honest, evil) = staked(Censor, (2, 3), (4,))
    victim = kept_key(VICTIM).account
    let_pay(honest, 2, victim, 1_000, 0)
    world.run(5 * SLOT_SECONDS)
    assert evil.victim == kept_key(2).account, "the first stranger that sends something"
    assert honest.balances()[victim] == 999
    evil.victim, paid = victim, 0
    before = len(world.reported(evil, "evil"))
    while len(world.reported(evil, "evil")) == before and paid < 50:
        paid += 1
        let_pay(honest, VICTIM, kept_key(12).account, 2, paid)
        world.run(SLOT_SECONDS)
    world.run(10 * SLOT_SECONDS)
    assert len(world.reported(evil, "evil")) > before
    assert honest.balances()[kept_key(12).account] == paid, "all of it was executed"
    creators = {block.creator for block in honest.tree.chain for one in block.transactions
                if honest.transactions[one].sender == victim}
    assert kept_key(4).account not in creators and creators


def test_the_others_agree_although_one_builds_on_every_branch() -> None:
    world, (one, other, evil) = staked(ForkEverything, (2, 3, 4), (5, 6, 7, 8), (9,))
    run_until_confessed(world, evil, word="builds on 2")
    world.run(20 * SLOT_SECONDS)
    assert one.tree.best.id == other.tree.best.id and one.balances() == other.balances()
    assert world.reported(one, "equivocation")[0]["creator"] == kept_key(9).account
    assert one.chain.longest_rollback + other.chain.longest_rollback < 10


def test_a_withheld_branch_of_a_minority_comes_too_late() -> None:
    world, (one, other, evil) = staked(Withhold, (2, 3, 4, 5), (6, 7, 8, 9), (10,))
    run_until_confessed(world, evil, word="shows")
    shown = next(event for event in world.reported(evil, "evil") if "shown" in event)
    for node in (one, other):
        assert set(shown["shown"]) <= set(node.tree.blocks) and node.chain.longest_rollback <= 2
    assert len(shown["shown"]) < shown["others"] == PUBLISHED_AFTER


def test_a_withheld_branch_of_a_majority_undoes_what_was_executed() -> None:
    world, (honest, evil) = staked(Withhold, (10,), (1, 2, 3, 4, 5, 6, 7, 8, 9))
    run_until_confessed(world, evil, word="withholds")
    assert all(block.creator == kept_key(10).account for block in honest.tree.chain[1:]), "nothing is shown"
    run_until_confessed(world, evil, word="shows")
    shown = next(event for event in world.reported(evil, "evil") if "shown" in event)
    assert len(shown["shown"]) > PUBLISHED_AFTER and honest.chain.longest_rollback >= PUBLISHED_AFTER
    assert honest.tree.best.id == shown["shown"][-1]


def test_two_blocks_with_one_ticket_leave_one_ledger_and_a_proof() -> None:
    world, (one, other, evil) = staked(Equivocate, (2,), (3,), (4, 5, 6))
    run_until_confessed(world, evil, times=3)
    world.run(5 * SLOT_SECONDS)
    ids = [set(event["ids"]) for event in world.reported(evil, "evil")]
    for node in (one, other):
        assert [set(event["ids"]) for event in world.reported(node, "equivocation")] == ids
    assert one.tree.best.id == other.tree.best.id and one.balances() == other.balances()


def test_blocks_of_future_slots_are_ignored() -> None:
    world, (honest, evil) = staked(Future, (2,), (3, 4, 5, 6))
    run_until_confessed(world, evil, times=3)
    assert evil.tree.best.slot > honest.clock.slot() + 2, "the attacker is ahead"
    assert all(block.slot <= honest.clock.slot() + 1 for block in honest.tree.blocks.values())
    assert any(block.creator == kept_key(2).account for block in honest.tree.chain[1:]), "the others go on"


def test_a_draw_chosen_among_many_wins_nothing() -> None:
    world, (honest, evil) = staked(Grind, (2,), (3,))
    run_until_confessed(world, evil, times=5)
    world.run(SLOT_SECONDS)
    made = {event["id"] for event in world.reported(evil, "evil")}
    assert made.isdisjoint(honest.tree.blocks) and len(honest.tree) > 0
    assert "signature" in next(event["reason"] for event in world.reported(honest, "error") if event["code"] == "INVALID")
