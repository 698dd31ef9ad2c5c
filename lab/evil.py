"""An attacker as a process: `python -m lab.evil withhold --peer 127.0.0.1:5001 --forge 7`.

The first word names one of lab/adversary.py; the options behind it are those of the stage's own client. Those of
stage 4 found their network (`--peer none`), since the founder is the sequencer.
"""

import argparse
import sys

from common.console import Options, run_client
from common.interface import Network
from common.rsa import InvalidAccount, check_account
from lab.adversary import EVIL, Censor, LeaveOut
from stage4_sequencer.__main__ import SequencedClient
from stage4_sequencer.node import SequencedNode
from stage5_pos.__main__ import StakeClient
from stage5_pos.node import StakeNode


class EvilSequencedClient(SequencedClient):
    """The client of stage 4, with an attacker in the place of its node."""

    def __init__(self, name: str, kind: type[SequencedNode]) -> None:
        self.PROGRAM, self.DESCRIPTION = f"lab.evil {name}", first_line(kind)
        self.kind = kind

    def add_options(self, options: Options) -> None:
        """Add whom to leave out, to who leaves somebody out."""
        super().add_options(options)
        if issubclass(self.kind, LeaveOut):
            add_victim(options)

    def make_node(self, network: Network, address: str, options: argparse.Namespace) -> SequencedNode:
        """Make the attacker from what the client has made for an honest node."""
        honest = super().make_node(network, address, options)
        assert isinstance(honest, SequencedNode)
        node = self.kind(network, address, honest.key, honest.make_key, honest.interval_ms, honest.only_network,
                         honest.journal, honest.sequencer_key)
        if isinstance(node, LeaveOut):
            node.victim = options.against
        return node


class EvilStakeClient(StakeClient):
    """The client of stage 5, with an attacker in the place of its node."""

    def __init__(self, name: str, kind: type[StakeNode]) -> None:
        self.PROGRAM, self.DESCRIPTION = f"lab.evil {name}", first_line(kind)
        self.kind = kind

    def add_options(self, options: Options) -> None:
        """Add whom to leave out, to who leaves somebody out."""
        super().add_options(options)
        if issubclass(self.kind, Censor):
            add_victim(options)

    def make_node(self, network: Network, address: str, options: argparse.Namespace) -> StakeNode:
        """Make the attacker from what the client has made for an honest node."""
        honest = super().make_node(network, address, options)
        node = self.kind(network, address, honest.key, honest.stakes, honest.found_with, honest.only_network,
                         honest.journal)
        if isinstance(node, Censor):
            node.victim = options.against
        return node


def first_line(kind: type) -> str:
    """What an attacker does, in one sentence."""
    return (kind.__doc__ or "").partition("\n")[0]


def add_victim(options: Options) -> None:
    """Add the option that names the account to leave out."""
    options.add_argument("--against", type=read_account, metavar="ACCOUNT",
                         help="the account to leave out (default: the first stranger that sends something)")


def read_account(text: str) -> str:
    """Read an option that is an account."""
    try:
        check_account(text)
    except InvalidAccount as error:
        raise argparse.ArgumentTypeError(f"expected an account (/account shows it): {error}") from None
    return text


def main() -> int:
    """Run the attacker that the first argument names; the exit status is that of the client."""
    parser = Options(prog="python -m lab.evil", allow_abbrev=False, add_help=len(sys.argv) < 3,
                     description="Run one of the attackers of lab/adversary.py; NAME --help shows its options.")
    parser.add_argument("name", choices=EVIL, metavar="NAME", help=f"one of {', '.join(EVIL)}")
    name = parser.parse_args(sys.argv[1:2]).name
    del sys.argv[1]  # the rest is for the client
    kind = EVIL[name]
    if issubclass(kind, StakeNode):
        return EvilStakeClient(name, kind).main()
    return EvilSequencedClient(name, kind).main()


if __name__ == "__main__":
    run_client(main)
