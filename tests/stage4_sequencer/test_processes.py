"""Stage 4 as real processes: what people see, the command line, and the wire."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import KEYS, Call, Launch, make_wallet
from tests.processes import DEADLINE, Event, NodeProcess, RawPeer, eventually, frame, unused_address
from tests.stage4_sequencer.scenes import (
    ALICE,
    BOB,
    CAROL,
    GENESIS,
    NETWORK,
    SEQUENCER,
    block_id,
    chain_of,
    genesis_id,
    id_of,
    signed_block,
    signed_transaction,
    starting_balances,
)

STAGE = 4


@pytest.fixture(scope="session")
def five_wallets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Wallets of the accounts of key-1 … key-6."""
    folder = tmp_path_factory.mktemp("five-wallets")
    return [make_wallet(KEYS / f"key-{number}.pem", folder / f"wallet-{number}.pem") for number in range(1, 7)]


def status_of(node: NodeProcess) -> tuple[int, int]:
    """Next number and pending transactions that `/status` shows at `node`."""
    status = node.ask("/status", "status")
    return status["next"], status["pending"]


def ledger_of(node: NodeProcess) -> dict[str, int]:
    """What `/ledger` shows at `node`."""
    accounts: dict[str, int] = node.ask("/ledger", "ledger")["accounts"]
    return accounts


def blocks_of(node: NodeProcess) -> list[Event]:
    """What `/blocks` lists at `node`."""
    blocks: list[Event] = node.ask("/blocks", "blocks")["blocks"]
    return blocks


# --- what people see --------------------------------------------------------------------------------

def test_people_see_fingerprints_and_one_line_a_block(launch: Launch, five_wallets: list[Path]) -> None:
    node = launch(STAGE, "--peer", "none", "--interval", "0.1", "--wallet", str(five_wallets[0]), as_json=False)
    node.wait_for_line("listening on ")
    node.type(f"/send {BOB.account} 5")
    block = node.wait_for_line("block ")
    assert "number 0, 1 transaction," in block
    node.wait_for_line("applied")
    node.type("/send nobody 1")
    node.type(f"/send {BOB.account} 999996")
    assert "FUNDS" in node.wait_for_line("FUNDS")
    for command, answer in (("/blocks", block), ("/status", "next 1"), ("/ledger", "999995"), ("/account", "999995")):
        seen = len(node.lines)
        node.type(command)
        eventually(lambda seen=seen, answer=answer:  # type: ignore[misc]
                   any(answer in line for line in node.lines[seen:]), state=node.describe)
    node.wait_for_line(ALICE.account)
    long = [line for line in node.lines if len(line) >= 120]
    assert long == [ALICE.account], "only /account shows a key, its own"


# --- the command line -------------------------------------------------------------------------------

def test_options_that_are_wrong_give_one_line_and_status_2(launch: Launch) -> None:
    wrong = [["--interval", value] for value in ("0", "-1", "abc", "3600.001", "nan")]
    wrong += [["--network", value] for value in ("0" * 32, "A" * 64)] + [["--slot", "1"]]
    nodes = [launch(STAGE, "--peer", "none", *options) for options in wrong]
    for node in nodes:
        node.may_complain = True
        assert node.wait_exit() == 2, node.describe()
        assert len(node.errors) == 1 and node.events == [], node.describe()


def test_the_interval_is_in_the_genesis_in_milliseconds(launch: Launch, call: Call, five_wallets: list[Path]) -> None:
    wallet = ["--peer", "none", "--wallet", str(five_wallets[0])]
    nodes = {10_000: launch(STAGE, *wallet), 1: launch(STAGE, *wallet, "--interval", "0.001")}
    for interval, node in nodes.items():
        peer = call(node)
        hello, genesis = peer.hello(), peer.expect("genesis")
        assert peer.received == [hello, genesis], "right after the hello"
        assert genesis["interval_ms"] == interval
        assert genesis_id(genesis) == hello["network"] == node.network
        assert genesis["accounts"] == [ALICE.account] and genesis["balances"] == [1_000_000]
        assert genesis["sequencer"] != ALICE.account


def test_the_option_network_joins_only_that_network(launch: Launch, five_wallets: list[Path]) -> None:
    founder = launch(STAGE, "--peer", "none", "--wallet", str(five_wallets[0]))

    def start(peer: str, network: str) -> NodeProcess:
        return launch(STAGE, "--peer", peer, "--wallet", str(five_wallets[1]), "--network", network, "--wait", "0")

    right = start(founder.address, founder.network)
    wrong = [start(founder.address, "0" * 64), start("none", founder.network), start(unused_address(), founder.network)]
    right.wait_for("joined", peer=founder.address)
    for node in wrong:
        assert node.wait_exit() == 1
        assert node.all_of("error")[-1]["code"] == "NETWORK", node.describe()
        assert node.all_of("founded") == node.all_of("joined") == node.all_of("listening") == []
        assert node.errors == []


# --- the wire ---------------------------------------------------------------------------------------

class Founder:
    """A listening socket at which the test answers as the founder of the network of `GENESIS`."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.peers: list[RawPeer] = []

    def accept(self, *first: Event) -> RawPeer:
        """Let a node in, with a hello and these messages after it."""
        peer = RawPeer(self.listener.accept()[0], STAGE, NETWORK, self.address)
        self.peers.append(peer)
        peer.send(peer.hello_message(), *first)
        peer.expect("hello")
        return peer

    def close(self) -> None:
        """Close everything."""
        self.listener.close()
        for peer in self.peers:
            peer.close()


@pytest.fixture
def founder() -> Iterator[Founder]:
    """A founder that the test plays; its sequencer's key is the test's."""
    one = Founder()
    yield one
    one.close()


def start_follower(launch: Launch, founder: Founder, wallet: Path) -> NodeProcess:
    """A node that joins by the founder that the test plays."""
    return launch(STAGE, "--peer", founder.address, "--wallet", str(wallet))


def test_a_node_follows_the_sequencer_on_the_wire(
        launch: Launch, call: Call, founder: Founder, five_wallets: list[Path]) -> None:
    node = start_follower(launch, founder, five_wallets[0])
    peer = founder.accept(GENESIS)
    assert node.network == NETWORK
    funds, overdraft, lacking = (signed_transaction(*what) for what in
                                 ((BOB, CAROL, 20), (CAROL, BOB, 21), (CAROL, BOB, 20)))
    chain = chain_of([[overdraft, funds], [lacking], []])
    peer.send(funds, overdraft, chain[2], chain[1])
    assert peer.expect("get_blocks") == {"type": "get_blocks", "from": 0}
    peer.send(chain[0])
    assert peer.expect("want")["ids"] == [id_of(lacking)]
    assert ledger_of(node) == {**starting_balances(), BOB.account: 30, CAROL.account: 20}
    assert [block["number"] for block in blocks_of(node)] == [0] and status_of(node) == (3, 0)
    peer.send(lacking)
    peer.barrier()
    assert ledger_of(node) == {**starting_balances(), CAROL.account: 0}
    assert [block["id"] for block in blocks_of(node)] == [block_id(block) for block in chain]

    other = call(node)
    other.hello()
    assert other.expect("genesis") == GENESIS and other.expect("height")["number"] == 3
    other.send({"type": "get_blocks", "from": 1}, {"type": "want", "ids": [id_of(funds), "0" * 64]})
    came = [message for message in other.barrier() if message["type"] in ("block", "transaction")]
    assert came == [chain[1], chain[2], funds]
    peer.barrier()
    second = signed_block(1, [])
    peer.send(second, second, chain[1], signed_block(1, ["0" * 64]))
    assert other.expect("block") == second
    assert node.wait_for("equivocation", number=1) == {
        "event": "equivocation", "creator": SEQUENCER.account, "number": 1,
        "ids": [block_id(chain[1]), block_id(second)]}
    peer.barrier()
    assert [message for message in other.barrier() if message["type"] == "block"] == []
    assert len(node.all_of("equivocation")) == 1
    forged = signed_block(3, [], ALICE)
    other.send(*[forged] * 10)
    other.expect_closed("INVALID")
    peer.send(signed_block(3, []))
    peer.barrier()
    assert status_of(node) == (4, 0) and len(node.all_of("error")) == 1


@pytest.mark.parametrize("change, code", [({"balances": [1]}, "FORMAT"), ({"nonce": "1" * 32}, "HANDSHAKE")])
def test_a_node_does_not_join_by_a_bad_genesis(launch: Launch, founder: Founder, five_wallets: list[Path],
                                               change: dict[str, object], code: str) -> None:
    node = start_follower(launch, founder, five_wallets[0])
    founder.accept({**GENESIS, **change}).expect_closed(code)
    node.wait_for("error", code="NETWORK")
    assert [error["code"] for error in node.all_of("error")] == [code, "NETWORK"] and node.all_of("founded")
    assert node.network != NETWORK and ledger_of(node) == {ALICE.account: 1_000_000}


def test_a_late_joiner_catches_up_with_hundreds_of_blocks_over_the_wire(
        launch: Launch, founder: Founder, five_wallets: list[Path]) -> None:
    first = start_follower(launch, founder, five_wallets[0])
    peer = founder.accept(GENESIS)
    chain = chain_of([[] for _ in range(510)])
    body = b"".join(frame(json.dumps(block).encode()) for block in chain)
    sender = threading.Thread(target=peer.send_bytes, args=(body,), daemon=True)
    sender.start()
    peer.barrier()
    sender.join(DEADLINE)
    late = launch(STAGE, "--peer", first.address, "--wallet", str(five_wallets[1]))
    late.wait_for("block", number=509)
    assert blocks_of(late) == blocks_of(first) and len(blocks_of(late)) == 510
