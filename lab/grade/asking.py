"""What several criteria check in the same way: that ledgers become equal, that bad input is refused."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lab.blackbox.messages import id_of
from lab.blackbox.node_process import NodeError
from lab.blackbox.peer import Event, chat_message, frame
from lab.grade.actors import GradedNode, GradedPeer
from lab.grade.scene import Scene, address_of, setting_up
from lab.grade.shortcomings import check, check_equal

Ledger = Mapping[str, int]


def ledger(node: GradedNode) -> dict[str, int]:
    """What `/ledger` shows, without the accounts that have nothing: a node may list them or not."""
    accounts = node.ask("/ledger", "ledger")["accounts"]
    if not isinstance(accounts, dict) or not all(type(balance) is int for balance in accounts.values()):
        raise NodeError(f"the member `accounts` of `ledger` is not an object of integers: {accounts!r}")
    return {account: balance for account, balance in accounts.items() if balance}


def wait_for_ledger(scene: Scene, nodes: Sequence[GradedNode], expected: Ledger) -> None:
    """Wait until each of these nodes shows this ledger."""
    wanted = {account: balance for account, balance in expected.items() if balance}
    for node in nodes:
        scene.eventually(lambda node=node: ledger(node) == wanted,  # type: ignore[misc]
                         f"the ledger of {node.label} to be {dict(wanted)}", lambda node=node: ledger(node))  # type: ignore[misc]


def peers_of(node: GradedNode) -> list[str]:
    """The addresses that `/peers` lists."""
    addresses = node.ask("/peers", "peers")["addresses"]
    if not isinstance(addresses, list):
        raise NodeError(f"the member `addresses` of `peers` is not a list: {addresses!r}")
    return addresses


def by_port(addresses: Sequence[str]) -> list[str]:
    """Addresses of one host in the order of contract §3: the port counts as a number."""
    return sorted(addresses, key=lambda address: int(address.rpartition(":")[2]))


def wait_for_peers(scene: Scene, nodes: Sequence[GradedNode]) -> None:
    """Wait until each of these nodes lists all of them, in the order of the contract."""
    expected = by_port([node.address for node in nodes])
    for node in nodes:
        scene.eventually(lambda node=node: peers_of(node) == expected,  # type: ignore[misc]
                         f"/peers of {node.label} to list {expected}", lambda node=node: peers_of(node))  # type: ignore[misc]


def wait_for_links(scene: Scene, nodes: Sequence[GradedNode]) -> None:
    """Wait until each of these nodes is linked to all the others, and to nobody else."""
    def connections(node: GradedNode) -> int:
        return int(node.ask("/peers", "peers")["connections"])

    for node in nodes:
        scene.eventually(lambda node=node: connections(node) == len(nodes) - 1,  # type: ignore[misc]
                         f"{node.label} to have {len(nodes) - 1} connections", lambda node=node: connections(node))  # type: ignore[misc]


def keeps_ledger(scene: Scene, nodes: Sequence[GradedNode], expected: Ledger) -> None:
    """Wait until each of these nodes shows this ledger, and see that it stays. What is counted twice may come later."""
    wait_for_ledger(scene, nodes, expected)
    scene.stays(lambda: all(ledger(node) == expected for node in nodes), f"the ledgers to stay {dict(expected)}",
                lambda: [ledger(node) for node in nodes])


def expect_refusal(scene: Scene, node: GradedNode, code: str, data: bytes | Event) -> None:
    """Send bad input. It must be answered by this `error`, end its connection, and be told to the user once. Other
    connections must still be served."""
    bad, good = scene.link(node), scene.link(node)
    bad.send_bytes(data if isinstance(data, bytes) else frame(json.dumps(data).encode()))
    bad.expect_closed(code)
    expect_served(node, good)
    codes = [error["code"] for error in node.told("error")]
    check_equal(codes, [code], f"the codes of the `error` events at {node.label}")


def expect_served(node: GradedNode, peer: GradedPeer) -> None:
    """Check that a connection works: the node prints a message that comes through it."""
    message = chat_message("still served")
    peer.send(message)
    peer.barrier()
    node.wait_for("chat", text="still served")


def expect_ignored(node: GradedNode, sender: GradedPeer, watcher: GradedPeer, message: Event) -> None:
    """Send an invalid message. It must be ignored: it is not forwarded, and the connection stays."""
    sender.send(message)
    sender.barrier()
    same = [one for one in watcher.barrier() if one == message]
    check(not same, "an invalid message not to be forwarded", "it was forwarded")
    check(node.process.poll() is None, "the node to go on", "it has ended")


def expect_request(peer: GradedPeer, kind: str, member: str, wanted: Any) -> Event:
    """Wait for a message of that kind whose list `member` contains `wanted`; others that come first are skipped."""
    while True:
        message = peer.expect(kind)
        if isinstance(message[member], list) and wanted in message[member]:
            return message


def follow(scene: Scene, genesis: Event, *options: str) -> tuple[GradedNode, GradedPeer]:
    """A node that has joined a scripted peer and taken this genesis from it, and that peer."""
    network = id_of(genesis, "", scene.stage)
    with setting_up("a node that joins with a genesis"):
        listener = scene.listen()
        node = scene.start(address_of(listener), *options)
        peer = scene.accept(listener, network)
        peer.send(peer.hello_message(), genesis)
        peer.expect("hello")
        node.wait_for("joined")
        check_equal(node.network, network, "the network of the node")
    return node, peer


def expect_exit(scene: Scene, status: int, *options: str, peer: str | None = "none", **how: Any) -> GradedNode:
    """Start a node with these options. It must end with this status, with one line on standard error and none on
    standard output."""
    node = scene.start(peer, *options, **how)
    check_equal(node.wait_exit(), status, "the exit status")
    check_equal(node.output, b"", "standard output")
    lines = node.error_lines()
    check(len(lines) == 1, "one line on standard error", "\n".join([f"there were {len(lines)}:", *lines[:20]]))
    return node
