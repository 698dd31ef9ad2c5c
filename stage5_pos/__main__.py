"""The client of stage 5: `python -m stage5_pos`."""

import argparse
import re
import secrets
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from common.client import run_client
from common.console import CannotStart, Options, read_path, thousandths_from
from common.network import ThreadedNetwork
from common.rsa import PrivateKey, load_key, load_or_make_keys
from common.wallets import WalletError
from stage4_sequencer.__main__ import SequencedClient
from stage4_sequencer.genesis import MAX_MILLISECONDS
from stage4_sequencer.total_order import TotalOrderSetup
from stage5_pos.genesis import Genesis, make_genesis
from stage5_pos.node import StakeNode

STAKE_HOLDERS = 10
"""Accounts in the genesis of a network that this client founds, of equal stake (contract §3, stage 5)."""

FOUNDING_BALANCE = 1_000_000

FOUNDED = "founded"
"""The note in the journal that says whether this node has founded its network: yes or no."""


class StakeClient(SequencedClient):
    """The client of stage 4, with a lottery in the sequencer's place."""

    PROGRAM = "stage5_pos"
    DESCRIPTION = "Signed transactions in the order of a proof-of-stake blockchain."

    def add_founding_options(self, options: Options) -> None:
        """Add the options for the lottery, and for the genesis accounts that this node makes blocks for."""
        options.add_argument("--slot", type=thousandths_from(1, MAX_MILLISECONDS, "seconds"), default=1000,
                             metavar="SECONDS", help="founding: length of a slot (default: 1)")
        options.add_argument("--rate", type=thousandths_from(1, 999, "a probability"), default=100, metavar="F",
                             help="founding: probability that a slot has a block (default: 0.1)")
        options.add_argument("--keys", type=read_path, default=Path("run/keys"), metavar="DIR",
                             help="the private keys of the genesis accounts, made when founding (default: %(default)s)")
        options.add_argument("--forge", type=read_numbers, metavar="all|none|1,3,…",
                             help="genesis accounts to make blocks for (default: all for a founder, none for others)")

    def make_node(self, network: ThreadedNetwork, address: str, options: argparse.Namespace) -> StakeNode:
        """Make the node, with the keys of the accounts that it plays if it joins, or goes on with a network."""

        def make_genesis_and_keys() -> tuple[Genesis, dict[int, PrivateKey]]:
            keys = load_or_make_keys(options.keys, STAKE_HOLDERS, on_progress=tell_progress(options))
            accounts = [key.account for key in keys]
            genesis = make_genesis(secrets.token_hex(32), network.unix_ms(), options.slot, options.rate,
                                   accounts, [FOUNDING_BALANCE] * STAKE_HOLDERS)
            played = range(1, STAKE_HOLDERS + 1) if options.forge is None else options.forge
            if journal is not None:
                journal.note(FOUNDED, "yes")
            return genesis, {number: keys[number - 1] for number in played}

        journal = self.open_journal(options, StakeNode.STAGE)
        setup = TotalOrderSetup(join_seconds=options.wait / 1000, journal=journal, key=self.find_key(options),
                                only_network=options.network)
        if journal is not None and not setup.remembers_network:
            journal.note(FOUNDED, "no")
        has_founded = journal is not None and journal.read_note(FOUNDED) != "no"  # older versions made no note
        stakes = load_stakes(options, is_resuming=setup.remembers_network, has_founded=has_founded)
        return StakeNode(network, address, setup, stakes, make_genesis_and_keys)


def load_stakes(options: argparse.Namespace, is_resuming: bool, has_founded: bool) -> dict[int, PrivateKey]:
    """The keys of the genesis accounts that this node plays, by their number. `is_resuming`: it goes on with the
    network that `--data` holds. `has_founded`: it has founded that network.

    Why may only a founder play what it finds? On one machine all nodes have the same `--keys`. A node that had joined
    would otherwise play the founder's accounts after a restart, and sign second blocks for their slots.
    """
    def present(numbers: Iterable[int]) -> list[int]:
        return [number for number in numbers if (options.keys / f"key-{number}.pem").exists()]

    named = options.forge or []
    if is_resuming:
        numbers = present(range(1, STAKE_HOLDERS + 1)) if options.forge is None and has_founded else named
    elif options.peer == "none":
        numbers = []  # a founder makes its keys, or loads them, with the genesis
    else:
        # Without --peer the user is asked later, and the answer may be to found a network: keys may still be missing.
        numbers = present(named) if options.peer is None else named
    try:
        return {number: load_key(options.keys / f"key-{number}.pem") for number in numbers}
    except WalletError as error:
        raise CannotStart(str(error)) from None


def tell_progress(options: argparse.Namespace) -> Callable[[str], None]:
    """What tells people why they wait: making ten keys takes some seconds, once. With --json it tells nothing."""
    return (lambda text: None) if options.json else lambda text: print(text, file=sys.stderr)


def read_numbers(text: str) -> list[int]:
    """Read `all`, `none` or numbers of genesis accounts."""
    if text == "all":
        return list(range(1, STAKE_HOLDERS + 1))
    if text == "none":
        return []
    if not re.fullmatch("([1-9]|10)(,([1-9]|10))*", text):
        raise argparse.ArgumentTypeError(f"expected all, none, or numbers from 1 to {STAKE_HOLDERS}, not {text!r}")
    return sorted(set(map(int, text.split(","))))


if __name__ == "__main__":
    run_client(StakeClient().main)
