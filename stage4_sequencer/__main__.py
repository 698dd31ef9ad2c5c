"""The client of stage 4: `python -m stage4_sequencer`."""

import argparse

from common.console import Options, read_id, thousandths_from
from common.rsa import make_key
from stage1_chat.__main__ import run_client
from stage1_chat.network import SocketNetwork
from stage3_signed.__main__ import SignedClient, find_key
from stage4_sequencer.genesis import MAX_MILLISECONDS
from stage4_sequencer.node import SequencedNode
from stage4_sequencer.total_order import TotalOrderNode


class SequencedClient(SignedClient):
    """The client of stage 3, for a network with a genesis."""

    PROGRAM = "stage4_sequencer"
    DESCRIPTION = "Signed transactions in one order, which the founder of the network sets as its sequencer."

    def add_options(self, options: Options) -> None:
        """Add which network is wanted, and how often a founder makes a block."""
        super().add_options(options)
        options.add_argument("--network", type=read_id, metavar="ID", help="join this network only, found none")
        self.add_founding_options(options)

    def add_founding_options(self, options: Options) -> None:
        """Add what a founder decides for its network."""
        options.add_argument("--interval", type=thousandths_from(1, MAX_MILLISECONDS, "seconds"), default=10_000,
                             metavar="SECONDS", help="founding: time between blocks (default: 10)")

    def make_node(self, network: SocketNetwork, address: str, options: argparse.Namespace) -> TotalOrderNode:
        """Make the node."""
        return SequencedNode(network, address, find_key(options), make_key, options.interval, options.network)


if __name__ == "__main__":
    run_client(SequencedClient())
