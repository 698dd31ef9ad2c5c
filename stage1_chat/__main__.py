"""The client of stage 1: `python -m stage1_chat`."""

import argparse

from common.client import Client, run_client
from common.console import Console
from common.interface import Setup
from common.network import ThreadedNetwork
from stage1_chat.node import ChatNode
from stage1_chat.openings import Openings


class ChatClient(Client):
    """A client whose node listens on a socket, and chats."""

    PROGRAM = "stage1_chat"
    DESCRIPTION = "A chat room without a server: whatever anyone types is printed at every node."

    def make_network(self, options: argparse.Namespace, console: Console) -> ThreadedNetwork:
        """Listen where the options say; OSError or UnicodeError if that fails."""
        return ThreadedNetwork(console, Openings(options.host, options.port))

    def make_node(self, network: ThreadedNetwork, address: str, options: argparse.Namespace) -> ChatNode:
        """Make the node. `options.wait` is in thousandths of a second."""
        return ChatNode(network, address, Setup(join_seconds=options.wait / 1000))


if __name__ == "__main__":
    run_client(ChatClient().main)
