"""The client of stage 1: `python -m stage1_chat`. Later stages add their options to it."""

import argparse
import signal

from common.advice import describe_error, describe_listening_error
from common.console import CannotStart, Console, Options, complain, make_options, run_client, thousandths_from
from common.encoding import is_address
from common.interface import Setup
from common.memory import tune_memory
from stage1_chat.network import SocketNetwork
from stage1_chat.node import ChatNode
from stage1_chat.openings import find_own_address


class ChatClient:
    """Reads the options, makes the network and the node, and lets them run."""

    PROGRAM = "stage1_chat"
    DESCRIPTION = "A chat room without a server: whatever anyone types is printed at every node."

    def add_options(self, options: Options) -> None:
        """Add the options beyond those that every console has. Later stages add theirs to these."""
        options.add_argument("--wait", type=thousandths_from(0, 3_600_000, "seconds"), default=5_000, metavar="SECONDS",
                             help="how long to call the peer before founding a network (default: 5)")

    def make_node(self, network: SocketNetwork, address: str, options: argparse.Namespace) -> ChatNode:
        """Make the node; CannotStart if something that the options name is not usable."""
        return ChatNode(network, address, Setup(join_seconds=options.wait / 1000))

    def main(self) -> int:
        """Run the client; the exit status is 0 after an orderly end, 1 if it could not start."""
        parser = make_options(self.PROGRAM, self.DESCRIPTION)
        self.add_options(parser)
        options = parser.parse_args()
        console = Console(options.json, options.daemon)
        # While a question is open, or keys are made, SIGTERM must do what Ctrl-C does: raise KeyboardInterrupt.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            network = listen(options, console)
            node = self.make_node(network, announced_address(network, options), options)
        except (OSError, CannotStart) as error:
            return complain(self.PROGRAM, describe_error(error))
        peer = options.peer if node.remembers_network else find_peer(console, options)
        tune_memory()
        try:
            start(network, node, None if peer == "none" else peer)
            network.run()
        except CannotStart as error:
            return complain(self.PROGRAM, str(error))
        finally:
            console.restore_terminal()
        return network.status


def listen(options: argparse.Namespace, console: Console) -> SocketNetwork:
    """The network of a node that listens where the options say; CannotStart if that cannot be."""
    try:
        return SocketNetwork(options.host, options.port, console)
    except (OSError, UnicodeError) as error:
        reason = describe_listening_error(error)
        raise CannotStart(f"cannot listen on {options.host}:{options.port}: {reason}") from None


def start(network: SocketNetwork, node: ChatNode, peer: str | None) -> None:
    """Let the node join or found, and let signals end it; CannotStart if the system has no threads for that."""
    try:
        network.start(node, peer)
        network.stop_on_signals()
    except OSError as error:
        raise CannotStart(describe_error(error)) from None


def find_peer(console: Console, options: argparse.Namespace) -> str | None:
    """The peer to join, from the options or from the user; None to found a network."""
    return console.ask_peer() if options.peer is None else str(options.peer)


def announced_address(network: SocketNetwork, options: argparse.Namespace) -> str:
    """The address that others are told."""
    if options.announce:
        return str(options.announce)
    host = find_own_address(options.peer) if options.host == "0.0.0.0" else options.host
    address = f"{host}:{network.listening_port}"
    if not is_address(address):
        raise CannotStart(f"{address} is not an address that peers can call; name one by --announce HOST:PORT")
    return address


if __name__ == "__main__":
    run_client(ChatClient().main)
