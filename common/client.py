"""The client of every stage: it reads the options, makes the network and the node, and lets them run (contract §4)."""

import argparse
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable

from common.advice import describe_error, describe_listening_error
from common.console import CannotStart, Console, Options, make_options, open_closed_streams
from common.encoding import is_address
from common.foreground import keep_running_in_background
from common.memory import tune_memory
from common.network import Node, ThreadedNetwork
from common.signals import interrupt_on_sigterm
from common.threads import end_at_unwritten
from common.unwritten import complain_of_unwritten


class Client(ABC):
    """A client, from its first line to its exit status."""

    PROGRAM: str
    DESCRIPTION: str

    def add_options(self, options: Options) -> None:
        """Add the options beyond those that every client has. A hook: each stage adds to those of the one before."""

    @abstractmethod
    def make_network(self, options: argparse.Namespace, console: Console) -> ThreadedNetwork:
        """Listen where the options say; OSError or UnicodeError if that fails."""

    @abstractmethod
    def make_node(self, network: ThreadedNetwork, address: str, options: argparse.Namespace) -> Node:
        """Make the node; CannotStart if something that the options name is not usable."""

    def main(self) -> int:
        """Run the client; the exit status is 0 after an orderly end, 1 if it could not start, or could not
        go on."""
        end_at_unwritten()
        parser = make_options(self.PROGRAM, self.DESCRIPTION)
        self.add_options(parser)
        options = parser.parse_args()
        console = Console(options.json, options.daemon)
        interrupt_on_sigterm()
        try:
            network = self.listen(options, console)
            node = self.make_node(network, announced_address(network, options), options)
        except (OSError, CannotStart) as error:
            return complain(self.PROGRAM, describe_error(error))
        peer = options.peer if node.setup.remembers_network else find_peer(console, options)
        tune_memory()
        try:
            start(network, node, None if peer == "none" else peer)
            network.run()
        except CannotStart as error:
            return complain(self.PROGRAM, str(error))
        finally:
            console.restore_terminal()
        return network.status

    def listen(self, options: argparse.Namespace, console: Console) -> ThreadedNetwork:
        """Make the network; CannotStart if it cannot listen."""
        try:
            return self.make_network(options, console)
        except (OSError, UnicodeError) as error:
            reason = describe_listening_error(error)
            raise CannotStart(f"cannot listen on {options.host}:{options.port}: {reason}") from None


def start(network: ThreadedNetwork, node: Node, peer: str | None) -> None:
    """Let the node join or found a network, and let signals end it; CannotStart if there are no threads for that."""
    try:
        network.start(node, peer)
        network.stop_on_signals()
    except OSError as error:
        raise CannotStart(describe_error(error)) from None


def find_peer(console: Console, options: argparse.Namespace) -> str | None:
    """The peer to join, from the options or from the user; None to found a network."""
    return console.ask_peer() if options.peer is None else str(options.peer)


def announced_address(network: ThreadedNetwork, options: argparse.Namespace) -> str:
    """The address that others are told."""
    if options.announce:
        return str(options.announce)
    host = network.sockets.find_own_address(options.peer) if options.host == "0.0.0.0" else options.host
    address = f"{host}:{network.sockets.listening_port}"
    if not is_address(address):
        raise CannotStart(f"{address} is not an address that peers can call; name one by --announce HOST:PORT")
    return address


# --- beginning and end of a client --------------------------------------------------------------

def complain(program: str, reason: str) -> int:
    """Say in one line on standard error why the client does not start; status 1."""
    print(f"python -m {program}: {reason}", file=sys.stderr)
    return 1


def run_client(main: Callable[[], int]) -> None:
    """Run a client's `main`, and end the process with the status that it gives."""
    open_closed_streams()
    keep_running_in_background()
    try:
        status = main()
    except NotImplementedError as error:
        status = complain_of_unwritten(error)
    except KeyboardInterrupt:
        status = 0  # before the node runs, see signals.py
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: threads that still wait for input or a socket must not keep the interpreter from ending.
    os._exit(status)
