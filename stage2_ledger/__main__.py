"""The client of stage 2: `python -m stage2_ledger`."""

import argparse
from typing import TYPE_CHECKING

from common.client import run_client
from common.console import CannotStart, Options, read_path
from common.interface import JournalError
from common.network import ThreadedNetwork
from stage1_chat.__main__ import ChatClient
from stage2_ledger.keeping import LedgerSetup
from stage2_ledger.node import LedgerNode

if TYPE_CHECKING:
    from common.journal import Journal


class LedgerClient(ChatClient):
    """The client of stage 1, with a node that keeps a ledger."""

    PROGRAM = "stage2_ledger"
    DESCRIPTION = "A replicated ledger: transactions are flooded, and every node ends up with the same balances."

    def add_options(self, options: Options) -> None:
        """Add the option for the folder that keeps what the node must still know after a crash."""
        super().add_options(options)
        options.add_argument("--data", type=read_path, metavar="DIR",
                             help="folder for what a restart needs; if it holds a network, go on with that")

    def make_node(self, network: ThreadedNetwork, address: str, options: argparse.Namespace) -> LedgerNode:
        """Make the node."""
        journal = self.open_journal(options, LedgerNode.STAGE)
        return LedgerNode(network, address, LedgerSetup(join_seconds=options.wait / 1000, journal=journal))

    def open_journal(self, options: argparse.Namespace, stage: int) -> "Journal | None":
        """The journal in the folder of `--data`; CannotStart if it cannot be used, or is that of another stage."""
        if options.data is None:
            return None
        from common.journal import Journal  # loads SQLite, which costs milliseconds at each start

        try:
            journal = Journal(options.data)
        except JournalError as error:
            raise CannotStart(str(error)) from None
        kept = journal.read_note("stage")
        if kept not in (None, str(stage)):
            raise CannotStart(f"{options.data} holds a network of stage {kept}, and this is stage {stage};"
                              " name another folder by --data")
        return journal


if __name__ == "__main__":
    run_client(LedgerClient().main)
