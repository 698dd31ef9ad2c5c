"""The client of stage 2: `python -m stage2_ledger`."""

import argparse

from stage1_chat.__main__ import ChatClient, run_client
from stage1_chat.network import SocketNetwork
from stage2_ledger.node import LedgerNode


class LedgerClient(ChatClient):
    """The client of stage 1, with a node that keeps a ledger."""

    PROGRAM = "stage2_ledger"
    DESCRIPTION = "A replicated ledger: transactions are flooded, and every node ends up with the same balances."

    def make_node(self, network: SocketNetwork, address: str, options: argparse.Namespace) -> LedgerNode:
        """Make the node."""
        return LedgerNode(network, address)


if __name__ == "__main__":
    run_client(LedgerClient())
