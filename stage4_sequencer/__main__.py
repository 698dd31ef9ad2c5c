"""The client of stage 4: `python -m stage4_sequencer`."""

import argparse

from common.client import run_client
from common.console import CannotStart, Options, read_id, thousandths_from
from common.network import ThreadedNetwork
from common.rsa import PrivateKey, load_key, load_or_make_key, make_key
from common.wallets import WalletError
from stage3_signed.__main__ import SignedClient
from stage4_sequencer.genesis import MAX_MILLISECONDS
from stage4_sequencer.node import SequencedNode
from stage4_sequencer.total_order import TotalOrderNode, TotalOrderSetup

SEQUENCER_FILE = "sequencer.pem"
"""Where `--data` keeps the sequencer's key, which is not the account's."""


class SequencedClient(SignedClient):
    """The client of stage 3, for a network with a genesis."""

    PROGRAM = "stage4_sequencer"
    DESCRIPTION = "Signed transactions in one order, set by the founder of the network, who is its sequencer."

    def add_options(self, options: Options) -> None:
        """Add the options that say which network is wanted, and what a founder decides."""
        super().add_options(options)
        options.add_argument("--network", type=read_id, metavar="ID", help="join only this network, never found one")
        self.add_founding_options(options)

    def add_founding_options(self, options: Options) -> None:
        """Add the options that only a founder needs: here, how often it makes a block."""
        options.add_argument("--interval", type=thousandths_from(1, MAX_MILLISECONDS, "seconds"), default=10_000,
                             metavar="SECONDS", help="founding: time between blocks (default: 10)")

    def make_node(self, network: ThreadedNetwork, address: str, options: argparse.Namespace) -> TotalOrderNode:
        """Make the node."""
        journal = self.open_journal(options, SequencedNode.STAGE)
        kept = None if options.data is None else options.data / SEQUENCER_FILE

        def make_sequencer_key() -> PrivateKey:
            return make_key() if kept is None else load_or_make_key(kept)

        try:
            sequencer_key = load_key(kept) if kept is not None and kept.exists() else None
        except WalletError as error:
            raise CannotStart(str(error)) from None
        setup = TotalOrderSetup(join_seconds=options.wait / 1000, journal=journal, key=self.find_key(options),
                                only_network=options.network)
        return SequencedNode(network, address, setup, make_sequencer_key, options.interval, sequencer_key)


if __name__ == "__main__":
    run_client(SequencedClient().main)
