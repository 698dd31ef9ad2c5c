"""An attacker as a process: `python -m lab.adversaries.evil withhold --peer 127.0.0.1:5001 --forge 7`.

The first word names an attacker of dishonest_nodes.py. If it exists for several stages, the second word may be the
stage, as in `forge 3`; the default is the earliest of them. The options after that are those of the stage's own
client. A dishonest sequencer of stage 4 founds its network (`--peer none`), since the founder is the sequencer.
"""

import argparse
import sys

from common.client import run_client
from common.console import Options, integer_from
from common.interface import Network
from common.network import ThreadedNetwork
from common.rsa import InvalidAccount, check_account
from lab.adversaries.dishonest_nodes import EVIL, Censor, Evil, Forge, LeaveOut, node_of
from stage1_chat.__main__ import ChatClient
from stage1_chat.node import ChatNode
from stage2_ledger.__main__ import LedgerClient
from stage2_ledger.node import NAME
from stage3_signed.__main__ import SignedClient
from stage4_sequencer.__main__ import SequencedClient
from stage4_sequencer.node import SequencedNode
from stage5_pos.__main__ import StakeClient
from stage5_pos.node import StakeNode

CLIENTS: dict[int, type[ChatClient]] = {1: ChatClient, 2: LedgerClient, 3: SignedClient, 4: SequencedClient,
                                        5: StakeClient}

AGAINST_ONE = (Censor, LeaveOut, Forge)
"""The attackers that work against one account, if they are told which."""


class EvilClient(ChatClient):
    """The client of a stage, with an attacker in the place of its node."""

    def __init__(self, name: str, evil: Evil, stage: int) -> None:
        self.PROGRAM, self.DESCRIPTION = f"lab.adversaries.evil {name}", evil.meaning
        self.kind, self.stage, self.client = node_of(evil.kind, stage), stage, CLIENTS[stage]()

    def add_options(self, options: Options) -> None:
        """Add the option for the account that it works against, if it has one."""
        self.client.add_options(options)
        if issubclass(self.kind, AGAINST_ONE):
            options.add_argument("--against", type=read_name if self.stage == 2 else read_account, metavar="ACCOUNT",
                                 help="the account that it works against (default: whoever sends something)")

    def make_node(self, network: ThreadedNetwork, address: str, options: argparse.Namespace) -> ChatNode:
        """Make the attacker from what the client has made for an honest node."""
        node = make_evil(self.kind, network, address, self.client.make_node(network, address, options))
        if isinstance(node, AGAINST_ONE):
            node.victim = options.against
        return node


def make_evil(kind: type[ChatNode], network: Network, address: str, honest: ChatNode) -> ChatNode:
    """An attacker with everything that an honest node was given."""
    if isinstance(honest, StakeNode):
        given = [honest.stakes, honest.make_genesis_and_keys]
    elif isinstance(honest, SequencedNode):
        given = [honest.make_key, honest.interval_ms, honest.sequencer_key]
    else:
        given = []
    return kind(network, address, honest.setup, *given)


def read_account(text: str) -> str:
    """Read an option that is an account."""
    try:
        check_account(text)
    except InvalidAccount as error:
        raise argparse.ArgumentTypeError(f"expected an account (/account shows it): {error}") from None
    return text


def read_name(text: str) -> str:
    """Read the same option in stage 2, where an account is a name."""
    if not NAME.is_good(text):
        raise argparse.ArgumentTypeError(f"expected {NAME.expected}, not {text!r}")
    return text


def main() -> int:
    """Run the attacker that the first argument names; the exit status is that of the client."""
    own = sys.argv[1:3] if sys.argv[2:3] and not sys.argv[2].startswith("-") else sys.argv[1:2]
    parser = Options(prog="python -m lab.adversaries.evil", allow_abbrev=False, add_help=len(sys.argv) < 3,
                     description="Run one of the attackers of lab/adversaries/; NAME --help shows its options.")
    parser.add_argument("name", choices=EVIL, metavar="NAME", help=f"one of {', '.join(EVIL)}")
    parser.add_argument("stage", nargs="?", type=integer_from(1, 5), metavar="STAGE", help="a stage that it is for")
    given = parser.parse_args(own)
    evil = EVIL[given.name]
    stage = given.stage or min(evil.sights)
    if stage not in evil.sights:
        parser.error(f"{given.name} is for stage {', '.join(map(str, evil.sights))}, not {stage}")
    del sys.argv[1:1 + len(own)]  # the rest is for the client
    return EvilClient(given.name, evil, stage).main()


if __name__ == "__main__":
    run_client(main)
